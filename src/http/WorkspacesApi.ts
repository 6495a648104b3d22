/**
 * Workspaces over HTTP: made, started, stopped and deleted. The handlers are in `WorkspacesHandlers`.
 *
 * Nothing here waits for a build: an answer names the build that was asked for, and `builds` tells of it until the
 * workspace can be used.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { Build, BuildRecord, Transition } from "../domain/Build.ts"
import { BuildId, ChatId, TemplateId, WorkspaceId } from "../domain/Ids.ts"
import * as Recovery from "../domain/Recovery.ts"
import { Workspace, WorkspaceName } from "../domain/Workspace.ts"
import { Authorization } from "./Authentication.ts"
import { Bodies } from "./Bodies.ts"
import * as Page from "./Page.ts"
import * as Problem from "./Problem.ts"
import * as Problems from "./Problems.ts"
import { Requests } from "./Requests.ts"

/**
 * Another build of the workspace is under way, and does something else. Wait for its end, or cancel it, and ask again.
 *
 * @since 0.1.0
 * @category errors
 */
export class BuildUnfinished extends Schema.TaggedError<BuildUnfinished>()("BuildUnfinished", {
  workspaceId: WorkspaceId,
  buildId: BuildId,
  transition: Transition
}, { httpApiStatus: 409 }) {
  readonly code = "build_unfinished"
  readonly recovery: Recovery.Recovery = Recovery.wait
  override get message(): string {
    return `A ${this.transition} of this workspace is under way.`
  }
  get forUser(): string {
    return `${this.message} Wait for its end, or cancel it.`
  }
}

/**
 * A workspace with its latest build; null when it was never built.
 *
 * @since 0.1.0
 * @category models
 */
export const WorkspaceDetails = Schema.Struct({
  workspace: Workspace,
  latest: Schema.NullOr(BuildRecord)
}).annotate({ identifier: "WorkspaceWithBuild" })

/**
 * A page of workspaces, by their ids.
 *
 * @since 0.1.0
 * @category models
 */
export const WorkspacePage = Schema.Struct({
  workspaces: Schema.Array(WorkspaceDetails),
  next: Schema.NullOr(WorkspaceId)
})

/**
 * Values for the parameters of a template, by name.
 *
 * @since 0.1.0
 * @category models
 */
export const ParameterValues = Schema.Record(
  Schema.String,
  Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])
)

/**
 * A workspace to be made. Without a name one is made up. The chat, if there is one, works in it from then on.
 *
 * @since 0.1.0
 * @category models
 */
export const NewWorkspace = Schema.Struct({
  templateId: TemplateId,
  name: Schema.optionalKey(WorkspaceName),
  parameters: Schema.optionalKey(ParameterValues),
  chatId: Schema.optionalKey(ChatId)
})

/**
 * A new workspace and its first build, which waits for a runner.
 *
 * @since 0.1.0
 * @category models
 */
export const CreatedWorkspace = Schema.Struct({ workspace: Workspace, build: Build })

/**
 * What to change at a start; what is not named stays as it was at the build before.
 *
 * @since 0.1.0
 * @category models
 */
export const StartOptions = Schema.Struct({ parameters: Schema.optionalKey(ParameterValues) })

/**
 * The build that makes the workspace as wished: it was asked for now, or it is under way since before.
 *
 * @since 0.1.0
 * @category models
 */
export const BuildAccepted = Schema.Struct({
  outcome: Schema.Literals(["queued", "unfinished"]),
  build: Build
}).pipe(HttpApiSchema.status("Accepted"))

/**
 * The workspace is as wished already; the build is the one that made it so.
 *
 * @since 0.1.0
 * @category models
 */
export const BuildUnneeded = Schema.Struct({ outcome: Schema.Literal("unneeded"), build: Build })

/**
 * The build is being canceled; it ends when its runner has heard of it.
 *
 * @since 0.1.0
 * @category models
 */
export const CancelAccepted = Schema.Struct({
  outcome: Schema.Literal("canceling"),
  latest: Schema.NullOr(BuildRecord)
}).pipe(HttpApiSchema.status("Accepted"))

/**
 * Nothing was under way.
 *
 * @since 0.1.0
 * @category models
 */
export const CancelUnneeded = Schema.Struct({
  outcome: Schema.Literal("unneeded"),
  latest: Schema.NullOr(BuildRecord)
})

const params = { workspaceId: WorkspaceId }

const requestErrors = [
  Problems.notFound,
  Problem.of(BuildUnfinished, "Another build of it is under way: `buildId`. Wait for its end, or cancel it."),
  Problems.templateNotFound,
  Problems.buildRefused,
  Problems.storeError
] as const

const list = HttpApiEndpoint.get("list", "/workspaces", {
  query: Page.query(WorkspaceId),
  success: WorkspacePage,
  error: Problems.storeError
}).annotateMerge(OpenApi.annotations({
  summary: "List workspaces",
  description:
    "Your workspaces that are not deleted, each with its latest build, by their ids. `next` is the `after` of " +
    "the page that follows."
}))

const create = HttpApiEndpoint.post("create", "/workspaces", {
  payload: NewWorkspace,
  success: CreatedWorkspace.pipe(HttpApiSchema.status("Accepted")),
  error: [
    Problems.notFound,
    Problems.templateNotFound,
    Problems.parametersRefused,
    Problems.workspaceNameTaken,
    Problems.workspaceChanged,
    Problems.tooManyWorkspaces,
    Problems.buildRefused,
    Problems.storeError
  ]
}).middleware(Bodies).annotateMerge(OpenApi.annotations({
  summary: "Make a workspace",
  description: "Makes a workspace from a template and asks for its first start. Follow the build with " +
    "`GET /builds/{buildId}/events`. With `chatId` the chat works in it from now on; a workspace that it had is kept."
}))

const get = HttpApiEndpoint.get("get", "/workspaces/:workspaceId", {
  params,
  success: WorkspaceDetails,
  error: [Problems.notFound, Problems.storeError]
}).annotateMerge(
  OpenApi.annotations({ summary: "Read a workspace", description: "A workspace with its latest build." })
)

const start = HttpApiEndpoint.post("start", "/workspaces/:workspaceId/start", {
  params,
  payload: [StartOptions, Schema.Null],
  success: [BuildAccepted, BuildUnneeded],
  error: [...requestErrors, Problems.parametersRefused]
}).middleware(Bodies).annotateMerge(OpenApi.annotations({
  summary: "Start a workspace",
  description:
    "Asks for a start, with other parameters if some are given. 200 when it runs already, also if parameters " +
    "are given; 409 while it is being stopped or deleted."
}))

const stop = HttpApiEndpoint.post("stop", "/workspaces/:workspaceId/stop", {
  params,
  success: [BuildAccepted, BuildUnneeded],
  error: requestErrors
}).annotateMerge(OpenApi.annotations({
  summary: "Stop a workspace",
  description:
    "Asks for a stop; the files stay. 200 when it is stopped already; 409 while it is being started or deleted."
}))

const cancel = HttpApiEndpoint.post("cancel", "/workspaces/:workspaceId/cancel", {
  params,
  success: [CancelAccepted, CancelUnneeded],
  error: [Problems.notFound, Problems.storeError]
}).annotateMerge(OpenApi.annotations({
  summary: "Cancel the build of a workspace",
  description:
    "Ends the build that is under way: at once while nobody runs it, otherwise when its runner has heard of it. " +
    "200 when none is."
}))

const remove = HttpApiEndpoint.delete("delete", "/workspaces/:workspaceId", {
  params,
  success: BuildAccepted,
  error: requestErrors
}).annotateMerge(OpenApi.annotations({
  summary: "Delete a workspace",
  description:
    "Asks for the deletion of a workspace and its files. When its build has succeeded the workspace is not found " +
    "any more. 409 while it is being started or stopped."
}))

/**
 * @since 0.1.0
 * @category groups
 */
export class WorkspacesApi extends HttpApiGroup.make("workspaces")
  .add(list, create, get, start, stop, cancel, remove)
  .middleware(Authorization)
  .middleware(Requests)
  .annotateMerge(OpenApi.annotations({ title: "Workspaces", description: "The environments that chats work in." }))
{}
