/**
 * The waits of the tools that build: which build of which workspace, with progress to the caller.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Binding } from "../domain/Binding.ts"
import { isFinished } from "../domain/Build.ts"
import type { Build } from "../domain/Build.ts"
import type { BuildProgress } from "../domain/BuildProgress.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { WorkspaceId } from "../domain/Ids.ts"
import { Readiness } from "../provisioner/Readiness.ts"
import type { Ready } from "../provisioner/Readiness.ts"
import * as StoreCall from "../provisioner/StoreCall.ts"
import { Builds } from "../store/Builds.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { placeOf } from "./LifecycleResult.ts"
import type { Place } from "./LifecycleResult.ts"
import type { ToolContext } from "./ToolContext.ts"

/**
 * Hears how far a wait is.
 *
 * @since 0.1.0
 * @category models
 */
export type Report = (progress: BuildProgress) => Effect.Effect<void>

/**
 * The end of a wait for a build that failed, or that did not end in its time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failed extends Ready {
  readonly failure: string
}

/**
 * How often one call decides what to do. Each time but the first, another caller was faster or a build ended meanwhile.
 *
 * @since 0.1.0
 * @category constants
 */
export const decisions = 8

/**
 * @since 0.1.0
 * @category models
 */
export interface LifecycleWaits {
  /** The chat's row as it is now, which the turn then knows too. */
  readonly row: (context: ToolContext) => Effect.Effect<Binding, StoreError>
  /** The workspace in the words of a result. */
  readonly place: (workspaceId: WorkspaceId) => Effect.Effect<Place, StoreError>
  /** Waits for a build and, where it is a start, for its agent and scripts. */
  readonly ready: (
    build: Build,
    report: Report,
    options?: { readonly dial: boolean }
  ) => Effect.Effect<Ready, StoreError>
  /** Waits for a build alone; none when it succeeded. */
  readonly built: (build: Build, report: Report) => Effect.Effect<Option.Option<Failed>, StoreError>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<LifecycleWaits, never, Builds | ChatBindings | Readiness> = Effect.gen(function*() {
  const bindings = yield* ChatBindings
  const builds = yield* Builds
  const readiness = yield* Readiness
  const ask = yield* StoreCall.make
  return {
    row: ({ chatId, workspace }) => Effect.tap(ask("ChatBindings.get", bindings.get(chatId)), workspace.select),
    place: (workspaceId) =>
      Effect.map(
        ask("Builds.workspace", builds.workspace(workspaceId)),
        (workspace) => placeOf(Option.getOrElse(workspace, () => ({ name: null, workspaceId })))
      ),
    ready: (build, report, options) =>
      readiness.of(build.buildId, {
        dial: options?.dial ?? true,
        // The log of a build that ended before the call is no news.
        report: (progress) => isFinished(build) && progress._tag === "Building" ? Effect.void : report(progress)
      }),
    built: Effect.fnUntraced(function*(build, report) {
      // The first word of the agent says that the build has succeeded; nothing behind it is waited for.
      const succeeded = yield* Deferred.make<Option.Option<Failed>>()
      const ended = readiness.of(build.buildId, {
        report: (progress) =>
          progress._tag === "AwaitingAgent" || progress._tag === "AwaitingScripts"
            ? Effect.asVoid(Deferred.succeed(succeeded, Option.none()))
            : report(progress)
      }).pipe(
        Effect.map(({ failure, ...ready }) => failure === null ? Option.none() : Option.some({ ...ready, failure }))
      )
      return yield* Effect.raceFirst(ended, Deferred.await(succeeded))
    })
  }
})
