/**
 * `start_workspace` and `stop_workspace`: a wish for a build of the chat's workspace, and the wait for it.
 *
 * A build that is under way is waited for first. If it does what is wished, its end is the answer; otherwise the wish is
 * made again.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { DialConfig } from "../dial/DialConfig.ts"
import * as Unreachable from "../dial/Unreachable.ts"
import { isFinished } from "../domain/Build.ts"
import type { Build, Transition } from "../domain/Build.ts"
import type { BuildProgress } from "../domain/BuildProgress.ts"
import { NoWorkspace, WorkspaceChanged } from "../domain/Errors.ts"
import type { BuildRequestError } from "../domain/Errors.ts"
import type { BuildId } from "../domain/Ids.ts"
import * as Recovery from "../domain/Recovery.ts"
import type { ParameterValues } from "../domain/TemplateParameters.ts"
import { Workspaces } from "../provisioner/Workspaces.ts"
import type { Look } from "./LifecycleLook.ts"
import { ofFailure, ofWait } from "./LifecycleResult.ts"
import type { Place } from "./LifecycleResult.ts"
import type { StartWorkspaceResult, StopWorkspaceResult } from "./LifecycleTools.ts"
import { decisions } from "./LifecycleWaits.ts"
import type { Failed, LifecycleWaits, Report } from "./LifecycleWaits.ts"
import type { ToolContext } from "./ToolContext.ts"

/**
 * One call of either tool.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly context: ToolContext
  readonly parameters?: ParameterValues | undefined
  readonly report: (about: About & { readonly progress: BuildProgress }) => Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Restart {
  readonly start: (call: Call) => Effect.Effect<StartWorkspaceResult, RestartError>
  readonly stop: (call: Call) => Effect.Effect<StopWorkspaceResult, RestartError>
}

/**
 * @since 0.1.0
 * @category models
 */
export type RestartError = BuildRequestError | NoWorkspace | WorkspaceChanged

type About = Place & { readonly build_id: BuildId }

/** What a wish came to: a build to wait for, nothing to do, or another build that did not end in its time. */
type Wished = Data.TaggedEnum<{
  readonly Building: { readonly about: About; readonly build: Build }
  readonly Unneeded: { readonly place: Place; readonly build: Build }
  readonly Overdue: { readonly about: About; readonly failed: Failed }
}>

const Wished = Data.taggedEnum<Wished>()

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly look: Look
  readonly waits: LifecycleWaits
}): Effect.fn.Return<Restart, never, Workspaces> {
  const { look, waits } = options
  const workspaces = yield* Workspaces
  const dialConfig = yield* DialConfig

  const wish = Effect.fnUntraced(
    function*(call: Call, transition: Transition): Effect.fn.Return<Wished, RestartError> {
      const { context, parameters } = call
      for (let decision = 0; decision < decisions; decision++) {
        const row = yield* waits.row(context)
        const { workspaceId } = row
        if (workspaceId === null) return yield* new NoWorkspace({ workspaceId })
        // Before the wish: behind it, a store that does not answer would fail a call whose build is under way.
        const place = yield* waits.place(workspaceId)
        const { owner } = context
        const requested = yield* workspaces.request({ owner, workspaceId, transition, chat: row, parameters })
        if (requested._tag === "Queued" && requested.binding !== null) {
          yield* context.workspace.select(requested.binding)
        }
        const { build } = requested
        if (requested._tag === "Unneeded") return Wished.Unneeded({ place, build })
        const about = { ...place, build_id: build.buildId }
        if (build.transition === transition) return Wished.Building({ about, build })
        const failed = yield* waits.built(build, reporting(call, about))
        if (Option.isSome(failed) && !isFinished(failed.value.record.build)) {
          return Wished.Overdue({ about, failed: failed.value })
        }
      }
      return yield* new WorkspaceChanged({ chatId: context.chatId })
    }
  )

  /** A start of what runs changes nothing: what the caller wanted of it must be said in another way. */
  const running = Effect.fnUntraced(function*(call: Call, place: Place, build: Build) {
    const about = { ...place, build_id: build.buildId }
    const ready = yield* waits.ready(build, reporting(call, about))
    const { unreachable } = ready.agentStatus === "not_ready" ? yield* look(place.workspace_id) : nothing
    const message = unreachable !== undefined
      ? Recovery.explain(Unreachable.disconnected(unreachable, dialConfig), call.context.audience)
      : call.parameters !== undefined && Object.keys(call.parameters).length > 0
      ? "The workspace ran already, and its parameters are as they were. To change them call stop_workspace first."
      : undefined
    return { started: true, ...place, no_build: true, ...(message === undefined ? {} : { message }), ...ofWait(ready) }
  })

  return {
    start: Effect.fnUntraced(function*(call) {
      const wished = yield* wish(call, "start")
      switch (wished._tag) {
        case "Unneeded":
          return yield* running(call, wished.place, wished.build)
        case "Overdue":
          return { started: false, ...wished.about, ...ofFailure(wished.failed) }
        case "Building": {
          const ready = yield* waits.ready(wished.build, reporting(call, wished.about))
          return { started: ready.failure === null, ...wished.about, ...ofWait(ready) }
        }
      }
    }),
    stop: Effect.fnUntraced(function*(call) {
      const wished = yield* wish(call, "stop")
      switch (wished._tag) {
        case "Unneeded":
          return { stopped: true, ...wished.place, no_build: true }
        case "Overdue":
          return { stopped: false, ...wished.about, ...ofFailure(wished.failed) }
        case "Building": {
          const failed = yield* waits.built(wished.build, reporting(call, wished.about))
          return Option.isNone(failed)
            ? { stopped: true, ...wished.about }
            : { stopped: false, ...wished.about, ...ofFailure(failed.value) }
        }
      }
    })
  }
})

const nothing = { unreachable: undefined }

const reporting = ({ report }: Call, about: About): Report => (progress) => report({ ...about, progress })
