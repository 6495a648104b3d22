/**
 * Answers `WorkspacesApi`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Build, Transition } from "../domain/Build.ts"
import { WorkspaceChanged } from "../domain/Errors.ts"
import type { WorkspaceId } from "../domain/Ids.ts"
import type { ParameterValues } from "../domain/TemplateParameters.ts"
import { Workspaces } from "../provisioner/Workspaces.ts"
import { Builds } from "../store/Builds.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { CurrentPrincipal } from "./Authentication.ts"
import type { Authentication, Authorization } from "./Authentication.ts"
import type { Bodies } from "./Bodies.ts"
import { HttpConfig } from "./HttpConfig.ts"
import { NotFound } from "./HttpErrors.ts"
import * as Mount from "./Mount.ts"
import * as Owned from "./Owned.ts"
import * as Page from "./Page.ts"
import type { Requests } from "./Requests.ts"
import { BuildUnfinished, WorkspacesApi } from "./WorkspacesApi.ts"

const api = HttpApi.make("chat-workspace").add(WorkspacesApi)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"chat-workspace", "workspaces">,
  never,
  Workspaces | Builds | ChatBindings | Authorization | Requests | Bodies
> = HttpApiBuilder.group(
  api,
  "workspaces",
  Effect.fnUntraced(function*(handlers) {
    const workspaces = yield* Workspaces
    const builds = yield* Builds
    const bindings = yield* ChatBindings
    const owned = yield* Owned.workspaces
    const { pageItems } = yield* HttpConfig

    const request = Effect.fnUntraced(
      function*(
        workspaceId: WorkspaceId,
        transition: Transition,
        parameters?: ParameterValues | undefined
      ) {
        const { owner } = yield* CurrentPrincipal
        const { _tag, build } = yield* workspaces.request({ owner, workspaceId, transition, chat: null, parameters })
        if (_tag === "Unfinished" && build.transition !== transition) {
          return yield* new BuildUnfinished({ workspaceId, buildId: build.buildId, transition: build.transition })
        }
        return { outcome: outcomes[_tag], build }
      },
      (requested, workspaceId) =>
        Effect.catchTags(requested, {
          // The second is deleted.
          WorkspaceRefused: () => notFound(workspaceId),
          NoWorkspace: () => notFound(workspaceId),
          // Without a chat nobody can leave.
          WorkspaceChanged: Effect.die
        })
    )

    /** Its parameters are those of the build before, which nobody looks at again. */
    const end = (workspaceId: WorkspaceId, transition: "stop" | "delete") =>
      Effect.catchTag(request(workspaceId, transition), "ParametersRefused", Effect.die)

    return handlers.handleAll({
      list: Effect.fnUntraced(function*({ query }) {
        const { owner } = yield* CurrentPrincipal
        const all = yield* workspaces.list(owner)
        const { items, next } = Page.of(all, ({ workspace }) => workspace.workspaceId, query, pageItems)
        return { workspaces: items, next }
      }),
      create: Effect.fnUntraced(function*({ payload: { chatId, name, parameters, templateId } }) {
        const { owner } = yield* CurrentPrincipal
        let chat = chatId === undefined ? null : yield* bindings.get(chatId)
        for (let tries = 1; true; tries++) {
          const created = yield* workspaces.create({ owner, chat, templateId, exactName: name, parameters })
          if (created._tag === "Created") return { workspace: created.workspace, build: created.build }
          const { binding } = created
          // A repair of the row is no matter; a workspace from somebody else is, and who asked has to look again.
          if (binding.workspaceId !== chat?.workspaceId || tries === mostTries) {
            return yield* new WorkspaceChanged({ chatId: binding.chatId })
          }
          chat = binding
        }
      }, Effect.catchTag("BindingRefused", ({ chatId }) => new NotFound({ kind: "chat", id: chatId }))),
      get: Effect.fnUntraced(function*({ params: { workspaceId } }) {
        const workspace = yield* owned(workspaceId)
        const latest = Option.getOrNull(yield* builds.latest(workspaceId))
        return latest !== null && isDeleted(latest.build) ? yield* notFound(workspaceId) : { workspace, latest }
      }),
      start: ({ params, payload }) => request(params.workspaceId, "start", payload?.parameters),
      stop: ({ params }) => end(params.workspaceId, "stop"),
      delete: Effect.fnUntraced(function*({ params: { workspaceId } }) {
        const { build, outcome } = yield* end(workspaceId, "delete")
        return outcome === "unneeded" ? yield* notFound(workspaceId) : { outcome, build }
      }),
      cancel: Effect.fnUntraced(function*({ params: { workspaceId } }) {
        const { owner } = yield* CurrentPrincipal
        const canceled = yield* workspaces.cancel({ owner, workspaceId })
        const latest = Option.getOrNull(yield* builds.latest(workspaceId))
        return { outcome: canceled ? "canceling" as const : "unneeded" as const, latest }
      }, Effect.catchTag("WorkspaceRefused", ({ workspaceId }) => notFound(workspaceId)))
    })
  })
)

/**
 * These routes by themselves.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRoutes: Layer.Layer<
  never,
  never,
  Workspaces | Builds | ChatBindings | Authentication | Mount.Server
> = HttpApiBuilder.layer(api).pipe(Layer.provide(layer), Layer.provide(Mount.guards))

const outcomes = { Queued: "queued", Unfinished: "unfinished", Unneeded: "unneeded" } as const

const notFound = (workspaceId: WorkspaceId): NotFound => new NotFound({ kind: "workspace", id: workspaceId })

const isDeleted = ({ status, transition }: Build): boolean => transition === "delete" && status === "succeeded"

/** Times that a chat's row may be repaired while its workspace is made. */
const mostTries = 5
