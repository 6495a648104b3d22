/**
 * `create_workspace`: the workspace of a chat, made if it has none and reused if it has one.
 *
 * What to do is decided by the row of the chat and the latest build, read anew. Whoever is faster, on any node, wins: the
 * others find its row, and wait for its build. What cannot be read, or is silent, is no reason to build.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import { DialConfig } from "../dial/DialConfig.ts"
import * as Unreachable from "../dial/Unreachable.ts"
import type { Binding } from "../domain/Binding.ts"
import { isFinished } from "../domain/Build.ts"
import type { Build } from "../domain/Build.ts"
import { WorkspaceChanged } from "../domain/Errors.ts"
import type { BuildRequestError } from "../domain/Errors.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import * as Recovery from "../domain/Recovery.ts"
import type { ParameterValues } from "../domain/TemplateParameters.ts"
import { Workspaces } from "../provisioner/Workspaces.ts"
import type { Look } from "./LifecycleLook.ts"
import * as LifecycleProbe from "./LifecycleProbe.ts"
import { ofFailure, ofNoAgent, ofWait, placeOf } from "./LifecycleResult.ts"
import type { Place } from "./LifecycleResult.ts"
import type { CreateWorkspaceResult } from "./LifecycleTools.ts"
import { decisions } from "./LifecycleWaits.ts"
import type { LifecycleWaits, Report } from "./LifecycleWaits.ts"
import { ToolConfig } from "./ToolConfig.ts"
import type { ToolContext } from "./ToolContext.ts"

/**
 * One call of the tool. `replace` is the user's wish for another workspace than the one that the turn knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly context: ToolContext
  readonly templateId: string
  readonly name: string | undefined
  readonly parameters: ParameterValues | undefined
  readonly replace: boolean
  readonly preliminary: (result: CreateWorkspaceResult) => Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category models
 */
export type Create = (call: Call) => Effect.Effect<CreateWorkspaceResult, BuildRequestError | WorkspaceChanged>

/** A workspace that was there before the call. */
interface There extends Place {
  readonly created: boolean
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly look: Look
  readonly waits: LifecycleWaits
}): Effect.fn.Return<Create, never, AgentTransport | Scope.Scope | Workspaces> {
  const { look, waits } = options
  const workspaces = yield* Workspaces
  const dialConfig = yield* DialConfig
  const { onUnreachable } = yield* ToolConfig
  const probe = yield* LifecycleProbe.make

  // Each of these answers, or comes to nothing because somebody was faster or a build has ended meanwhile.

  const built = Effect.fnUntraced(function*(call: Call, row: Binding) {
    const { context, name, parameters, templateId } = call
    const result = yield* workspaces.create({ owner: context.owner, chat: row, templateId, name, parameters })
    if (result._tag === "Superseded") return undefined
    if (result.binding !== null) yield* context.workspace.select(result.binding)
    return yield* starting(call, placeOf(result.workspace), result.build)
  })

  /** Who waits for the first start of a workspace got a new workspace, whichever call made it. */
  const starting = Effect.fnUntraced(function*(call: Call, place: Place, build: Build) {
    const created = build.number === 1
    const about = { created, ...place, build_id: build.buildId }
    const ready = yield* waits.ready(build, reporting(call, about))
    return {
      ...about,
      ...(ready.failure !== null
        ? { status: "failed" as const }
        : created
        ? {}
        : { status: "already_exists" as const, message: reused }),
      ...ofWait(ready)
    }
  })

  const ending = Effect.fnUntraced(function*(call: Call, there: There, build: Build) {
    const about = { ...there, build_id: build.buildId }
    const failed = yield* waits.built(build, reporting(call, about))
    // One that ended is decided on by what it left behind, also when it failed.
    return Option.isSome(failed) && !isFinished(failed.value.record.build)
      ? { ...about, status: "failed" as const, ...ofFailure(failed.value) }
      : undefined
  })

  const reuse = Effect.fnUntraced(function*(call: Call, there: There, build: Build, dial: boolean) {
    const ready = yield* waits.ready(build, reporting(call, there), { dial })
    return { ...there, status: "already_exists" as const, message: reused, ...ofWait(ready) }
  })

  const unreachable = Effect.fnUntraced(function*(call: Call, row: Binding, there: There, agentId: AgentId) {
    // The dial took its time: the advice is about now, and only about an agent that is still the one that was dialed.
    const { unreachable } = yield* look(there.workspace_id)
    if (unreachable?.agent.agentId !== agentId) return undefined
    if (onUnreachable === "create" && isGone(unreachable)) return yield* built(call, row)
    const message = Recovery.explain(Unreachable.disconnected(unreachable, dialConfig), call.context.audience)
    return { ...there, status: "unreachable" as const, message }
  })

  /** Silence that our own outage explains is no reason to leave a workspace. */
  const isGone = (unreachable: Unreachable.Unreachable): boolean =>
    unreachable.evidence === "disconnected" || Unreachable.isSilent(unreachable, dialConfig)

  const existing = Effect.fnUntraced(function*(call: Call, row: Binding, workspaceId: WorkspaceId) {
    const { agent, build, connected, unreachable: gone } = yield* look(workspaceId)
    const deleted = Result.isFailure(agent) && agent.failure._tag === "NoWorkspace"
    if (build === undefined || deleted) return yield* built(call, row)
    const place = yield* waits.place(workspaceId)
    const there: There = { created: false, ...place }
    if (!isFinished(build)) {
      return yield* build.transition === "start" ? starting(call, place, build) : ending(call, there, build)
    }
    if (Result.isSuccess(agent)) {
      if (gone === undefined) return yield* reuse(call, there, build, !connected)
      const { agentId } = agent.success
      return (yield* probe(agentId))
        ? yield* reuse(call, there, build, false)
        : yield* unreachable(call, row, there, agentId)
    }
    if (agent.failure._tag === "NoWorkspaceAgent") return { ...there, ...ofNoAgent(agent.failure.reason, build) }
    const selection = { agent_status: "selection_error" as const, agent_error: agent.failure.message }
    return { ...there, status: "already_exists" as const, ...selection }
  })

  return Effect.fnUntraced(function*(call) {
    const { context, replace } = call
    // A row that names another workspace by now is of a caller that was faster, and whose wish was the same.
    const leaving = replace ? (yield* context.workspace.binding).workspaceId : null
    for (let decision = 0; decision < decisions; decision++) {
      const row = yield* waits.row(context)
      const result = row.workspaceId === null || row.workspaceId === leaving
        ? yield* built(call, row)
        : yield* existing(call, row, row.workspaceId)
      if (result !== undefined) return result
    }
    return yield* new WorkspaceChanged({ chatId: context.chatId })
  })
})

const reused = "This chat has this workspace already; go on with it."

const reporting = (
  { preliminary }: Call,
  about: There & Pick<CreateWorkspaceResult, "build_id">
): Report =>
(progress) => preliminary({ ...about, progress })
