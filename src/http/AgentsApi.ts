/**
 * Agents over HTTP: how they are, and, for workspaces that are made elsewhere, their tokens. The handlers are in
 * `AgentsHandlers`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { Agent } from "../domain/Agent.ts"
import { Build } from "../domain/Build.ts"
import { AgentId, BuildId, WorkspaceId } from "../domain/Ids.ts"
import { TemplateAgent } from "../domain/Template.ts"
import { Authorization } from "./Authentication.ts"
import { Bodies } from "./Bodies.ts"
import * as Problems from "./Problems.ts"
import { Requests } from "./Requests.ts"

/**
 * An agent and how it is: `rule` is the row of the status table that decided, `since` when it holds, `unreachableFor` for
 * how long it has been unreachable while that would have been noticed (null when it is not). `presence` is what the node
 * that answers knows of it: `absent` only says that it is not connected there.
 *
 * @since 0.1.0
 * @category models
 */
export const AgentDetails = Schema.Struct({
  ...Agent.fields,
  connectionTimeout: Schema.DurationFromMillis,
  status: Schema.Literals(["timeout", "connecting", "disconnected", "connected"]),
  rule: Schema.Literals([1, 2, 3, 4, 5]),
  since: Schema.NullOr(Schema.DateTimeUtc),
  unreachableFor: Schema.NullOr(Schema.DurationFromMillis),
  presence: Schema.Literals(["live", "absent", "unknown"]),
  asOf: Schema.DateTimeUtc
}).annotate({ identifier: "Agent" })

/**
 * The agents of the latest build of a workspace. Without a build there are none, and a stop or a deletion has none.
 *
 * @since 0.1.0
 * @category models
 */
export const WorkspaceAgentList = Schema.Struct({
  build: Schema.NullOr(Build),
  agents: Schema.Array(AgentDetails)
})

/**
 * What was started. The agent has `connectionTimeout` milliseconds to come before it counts as lost: 120 s, 0 for ever.
 *
 * @since 0.1.0
 * @category models
 */
export const NewEnrollment = Schema.Struct({
  name: Schema.optionalKey(TemplateAgent.fields.name),
  connectionTimeout: Schema.optionalKey(
    Schema.DurationFromMillis.check(
      Schema.makeFilter((duration) =>
        Duration.between(duration, { minimum: Duration.zero, maximum: Duration.days(1) }) || "at most a day"
      )
    )
  )
})

/**
 * An agent that may now connect. The token is shown once and stored nowhere.
 *
 * @since 0.1.0
 * @category models
 */
export const Enrolled = Schema.Struct({
  buildId: BuildId,
  agentId: AgentId,
  token: Schema.RedactedFromValue(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export const AgentToken = Schema.Struct({ token: Schema.RedactedFromValue(Schema.String) })

const workspace = { workspaceId: WorkspaceId }

const errors = [Problems.notFound, Problems.storeError] as const

const list = HttpApiEndpoint.get("list", "/workspaces/:workspaceId/agents", {
  params: workspace,
  success: WorkspaceAgentList,
  error: errors
}).annotateMerge(OpenApi.annotations({
  summary: "List the agents of a workspace",
  description: "The agents of its latest build, each with its status and what decided that."
}))

const get = HttpApiEndpoint.get("get", "/agents/:agentId", {
  params: { agentId: AgentId },
  success: AgentDetails,
  error: errors
}).annotateMerge(OpenApi.annotations({
  summary: "Read an agent",
  description: "An agent of any build, with its status and what decided that."
}))

const enroll = HttpApiEndpoint.post("enroll", "/workspaces/:workspaceId/enrollment", {
  params: workspace,
  payload: [NewEnrollment, Schema.Null],
  success: Enrolled.pipe(HttpApiSchema.status("Created")),
  error: errors
}).middleware(Bodies).annotateMerge(OpenApi.annotations({
  summary: "Enroll a workspace",
  description:
    "Records that a workspace was started elsewhere, and makes the token of its agent. The agents of earlier " +
    "starts are revoked. The id is yours to choose; the answer shows the token once."
}))

const retire = HttpApiEndpoint.delete("retire", "/workspaces/:workspaceId/enrollment", {
  params: workspace,
  success: HttpApiSchema.NoContent,
  error: errors
}).annotateMerge(OpenApi.annotations({
  summary: "Retire a workspace",
  description: "Records that a workspace was stopped elsewhere, and revokes its agents."
}))

const rotate = HttpApiEndpoint.post("rotate", "/agents/:agentId/token", {
  params: { agentId: AgentId },
  success: AgentToken,
  error: errors
}).annotateMerge(OpenApi.annotations({
  summary: "Replace the token of an agent",
  description: "The answer shows the new token once; the one before opens nothing from now on, and its session ends."
}))

/**
 * @since 0.1.0
 * @category groups
 */
export class AgentsApi extends HttpApiGroup.make("agents")
  .add(list, get, enroll, retire, rotate)
  .middleware(Authorization)
  .middleware(Requests)
  .annotateMerge(OpenApi.annotations({ title: "Agents", description: "What connects a workspace with its chats." }))
{}
