/**
 * The one place where workspaces are waited for: a build, then its agent, then the agent's start-up scripts.
 *
 * Who waits for the same build shares one wait, which goes on while anybody does; that somebody leaves changes nothing for
 * the build. Deadlines count from instants that the store holds, so that a wait that is taken up again, on another node or
 * after a restart, ends when the first would have.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Lifecycle } from "../domain/Agent.ts"
import type { BuildRecord } from "../domain/Build.ts"
import type { BuildProgress } from "../domain/BuildProgress.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { BuildId } from "../domain/Ids.ts"

/**
 * What a wait came to. `failure` says why the build did not succeed, also when it did not end in time. The rest is about
 * the agent of a start that succeeded, null where nothing is wrong: it cannot be dialed, there is none, or which one is
 * not clear; its start-up scripts failed, took too long, or could not be asked about.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ready {
  readonly record: BuildRecord
  readonly failure: string | null
  readonly agentStatus: "not_ready" | "no_agent" | "selection_error" | null
  readonly agentError: string | null
  readonly startupScripts: "startup_scripts_failed" | "startup_scripts_timeout" | "startup_scripts_unknown" | null
  readonly lifecycle: Lifecycle | null
}

/**
 * @since 0.1.0
 * @category services
 */
export class Readiness extends Context.Service<Readiness, {
  /**
   * Waits for a build to end and, where it is a start, for its agent and scripts. Everything but a store that cannot be
   * asked at all is an answer. With `dial: false` the agent is taken as reachable.
   */
  readonly of: (buildId: BuildId, options?: {
    readonly dial?: boolean | undefined
    readonly report?: ((progress: BuildProgress) => Effect.Effect<void>) | undefined
  }) => Effect.Effect<Ready, StoreError>
}>()("chat-workspace/provisioner/Readiness") {}
