/**
 * What a wait for a workspace has come to: the queue, the build, its agent, and the agent's start-up scripts.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Lifecycle } from "./Agent.ts"
import { LogLine, Transition } from "./Build.ts"
import { AgentId, BuildId } from "./Ids.ts"

const common = { buildId: BuildId, transition: Transition, elapsed: Schema.DurationFromMillis }

/**
 * One report of a wait. `elapsed` counts from the beginning of the phase, by the store's clock.
 *
 * @since 0.1.0
 * @category models
 */
export const BuildProgress = Schema.Union([
  /** It waits for a runner, with so many builds before it. */
  Schema.TaggedStruct("Queued", { ...common, ahead: Schema.Natural }),
  /** It runs; these lines are new in its log. */
  Schema.TaggedStruct("Building", { ...common, attempt: Schema.Natural, lines: Schema.Array(LogLine) }),
  /** It has succeeded, and its agent is awaited. */
  Schema.TaggedStruct("AwaitingAgent", { ...common, agentId: AgentId }),
  /** The agent answers, and its start-up scripts are awaited. */
  Schema.TaggedStruct("AwaitingScripts", { ...common, agentId: AgentId, lifecycle: Lifecycle })
])

/**
 * @since 0.1.0
 * @category models
 */
export type BuildProgress = typeof BuildProgress.Type
