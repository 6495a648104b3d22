/**
 * Who uses sessions over other nodes. One that nobody uses stays open for the idle time, since its next user comes soon,
 * and its opening is what costs.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { InFlight } from "../agent/Calls.ts"
import type { Session } from "../agent/Sessions.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { ClusterConfig } from "./ClusterConfig.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Leases {
  /** Uses the agent's sessions until the scope closes. */
  readonly take: (agentId: AgentId) => Effect.Effect<void, never, Scope.Scope>
  /** Those of these sessions that nobody has used for the idle time. To be asked now and then. */
  readonly idle: (
    sessions: ReadonlyArray<Session>,
    inFlight: ReadonlyArray<InFlight>,
    now: number
  ) => ReadonlyArray<Session>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: ClusterConfig): Leases => {
  const idle = Duration.toMillis(config.idle)
  const leases = new Map<AgentId, number>()
  let unusedSince = new Map<Session, number>()

  const change = (agentId: AgentId, by: 1 | -1): void => {
    const count = (leases.get(agentId) ?? 0) + by
    if (count === 0) leases.delete(agentId)
    else leases.set(agentId, count)
  }

  return {
    take: (agentId) =>
      Effect.asVoid(
        Effect.acquireRelease(Effect.sync(() => change(agentId, 1)), () => Effect.sync(() => change(agentId, -1)))
      ),
    idle: (sessions, inFlight, now) => {
      // A call may outlive the connection that it was made on.
      const calling = new Set(inFlight.map(({ agentId }) => agentId))
      const unused = sessions.filter(({ agentId }) => !leases.has(agentId) && !calling.has(agentId))
      unusedSince = new Map(unused.map((session) => [session, unusedSince.get(session) ?? now]))
      return unused.filter((session) => now - (unusedSince.get(session) ?? now) >= idle)
    }
  }
}
