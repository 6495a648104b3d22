/**
 * How calls reach an agent: the port that the gateway, a cluster, or one's own sandbox SDK stands behind.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { DialFailed } from "../domain/Errors.ts"
import type { AgentId, Incarnation } from "../domain/Ids.ts"
import type { AgentConnection } from "./AgentConnection.ts"
import * as ExecConnection from "./ExecConnection.ts"
import type { Feature } from "./Feature.ts"

/**
 * What a transport knows of an agent without IO: `unknown` where it cannot know.
 *
 * @since 0.1.0
 * @category models
 */
export type Presence = "live" | "absent" | "unknown"

/**
 * What a node knows of an agent, for an operator who asks why a chat is stuck. Ages count from now.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransportView {
  readonly session: {
    readonly epoch: number
    readonly incarnation: Incarnation
    readonly openFor: Duration.Duration
    readonly silentFor: Duration.Duration
  } | null
  readonly waiters: ReadonlyArray<{ readonly waitingFor: Duration.Duration }>
  readonly calls: ReadonlyArray<{ readonly method: string; readonly runningFor: Duration.Duration }>
  readonly lastRefusal: { readonly reason: string; readonly age: Duration.Duration } | null
}

/**
 * What a node knows of all its agents together, as counts, and of whom it knows the most: at most so many as were asked
 * for, those that are waited for first, for longest.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransportOverview {
  readonly sessions: number
  readonly waiters: number
  readonly calls: number
  readonly agents: ReadonlyArray<AgentId>
}

/**
 * @since 0.1.0
 * @category services
 */
export class AgentTransport extends Context.Service<AgentTransport, {
  /**
   * Opens a connection that lives as long as its scope. May wait for ever for an agent that is not there, and ends at
   * once when interrupted.
   */
  readonly dial: (agentId: AgentId) => Effect.Effect<AgentConnection, DialFailed, Scope.Scope>
  /** Looks in memory only. */
  readonly presence: (agentId: AgentId) => Presence
  /** What this node knows of an agent, from memory, where the transport keeps it. */
  readonly describe?: ((agentId: AgentId) => TransportView) | undefined
  /** The same of all agents together. */
  readonly overview?: ((limit: number) => TransportOverview) | undefined
  /** What its connections can do at most. */
  readonly features: ReadonlySet<Feature>
}>()("chat-workspace/agent/AgentTransport") {}

/**
 * A transport over commands run elsewhere: ssh, `docker exec`, the SDK of a sandbox service.
 *
 * `open` finds the place of an agent and may acquire into the scope of the dial. Outcomes of operations are remembered
 * per agent, whichever connection they were made on, for the last 1,000 agents.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromExec = (
  open: (agentId: AgentId) => Effect.Effect<ExecConnection.Exec, DialFailed, Scope.Scope>
): AgentTransport["Service"] => {
  const memories = new Map<AgentId, ExecConnection.Memory>()
  const memoryOf = (agentId: AgentId): ExecConnection.Memory => {
    const memory = memories.get(agentId) ?? ExecConnection.makeMemory()
    // Set anew, so that the first key is the one that was used longest ago.
    memories.delete(agentId)
    memories.set(agentId, memory)
    const oldest = memories.size > rememberedAgents ? memories.keys().next().value : undefined
    if (oldest !== undefined) memories.delete(oldest)
    return memory
  }
  return AgentTransport.of({
    dial: (agentId) => Effect.map(open(agentId), (exec) => ExecConnection.make(agentId, exec, memoryOf(agentId))),
    presence: () => "unknown",
    features: ExecConnection.features
  })
}

/**
 * The same as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerExec = (
  open: (agentId: AgentId) => Effect.Effect<ExecConnection.Exec, DialFailed, Scope.Scope>
): Layer.Layer<AgentTransport> => Layer.sync(AgentTransport, () => fromExec(open))

const rememberedAgents = 1000
