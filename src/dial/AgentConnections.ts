/**
 * The open connections of this node, by agent: shared by all chats on an agent, and kept across turns.
 *
 * A connection stays open for the idle time after its last lease. One that has closed is never lent again, and forgotten
 * as soon as somebody looks; its resources go with its last lease.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AgentConnection } from "../agent/AgentConnection.ts"
import { AgentTransport } from "../agent/AgentTransport.ts"
import { DialFailed } from "../domain/Errors.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { Detached } from "./Detached.ts"
import { DialConfig } from "./DialConfig.ts"
import * as Shared from "./Shared.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface AgentConnections {
  /** The connection that would be lent now, from memory. */
  readonly open: (agentId: AgentId) => AgentConnection | undefined
  /** A lease of the open connection of an agent, or `undefined`; never dials. */
  readonly lend: (agentId: AgentId) => Effect.Effect<AgentConnection | undefined, never, Scope.Scope>
  /** A lease of the open connection, or of the one dial that is wanted now. For flights only. */
  readonly dial: (agentId: AgentId) => Effect.Effect<AgentConnection, DialFailed, Scope.Scope>
  /** Never lends this connection again. Another one of the same agent is left alone. */
  readonly forget: (connection: AgentConnection) => void
  /** Ends all dials and connections, and refuses from then on. */
  readonly close: () => void
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(detached: Detached): Effect.fn.Return<AgentConnections, never, AgentTransport> {
    const transport = yield* AgentTransport
    const config = yield* DialConfig
    const shared = Shared.make<AgentId, AgentConnection, DialFailed>({
      detached,
      idle: config.connectionIdle,
      release: config.release,
      onInterrupt: interrupted
    })
    const open = (agentId: AgentId) => {
      const connection = shared.peek(agentId)
      if (connection?.liveness() !== "closed") return connection
      shared.forget(agentId)
      return undefined
    }
    return {
      open,
      lend: (agentId) => Effect.suspend(() => open(agentId) === undefined ? Effect.undefined : shared.lend(agentId)),
      dial: (agentId) =>
        Effect.suspend(() => {
          open(agentId)
          return shared.get(agentId, transport.dial(agentId))
        }),
      forget: (connection) => {
        if (shared.peek(connection.agentId) === connection) shared.forget(connection.agentId)
      },
      close: shared.close
    }
  }
)

/** What a waiter sees instead of an interruption that is not its own. */
const interrupted = (agentId: AgentId, closed: boolean): DialFailed =>
  new DialFailed({ agentId, reason: closed ? "shutdown" : "refused" })
