/**
 * The chats of the module over HTTP: what they remember of their workspaces. The handlers are in `ChatsHandlers`; what is
 * said in a chat is in `TurnsApi`.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { AgentId, BuildId, ChatId, WorkspaceId } from "../domain/Ids.ts"
import { Authorization } from "./Authentication.ts"
import { Bodies } from "./Bodies.ts"
import * as Page from "./Page.ts"
import * as Problems from "./Problems.ts"
import { Requests } from "./Requests.ts"

/**
 * A chat, with the workspace that it works in. Build and agent are those that the workspace has now, also where the chat
 * remembers others; there is no agent while the workspace gives none. `generation` counts the changes of what is
 * remembered.
 *
 * @since 0.1.0
 * @category models
 */
export const ChatView = Schema.Struct({
  chatId: ChatId,
  parentId: Schema.NullOr(ChatId),
  createdAt: Schema.DateTimeUtc,
  workspaceId: Schema.NullOr(WorkspaceId),
  buildId: Schema.NullOr(BuildId),
  agentId: Schema.NullOr(AgentId),
  generation: Schema.Natural
}).annotate({ identifier: "Chat" })

/**
 * @since 0.1.0
 * @category models
 */
export type ChatView = typeof ChatView.Type

/**
 * A page of chats, the newest first.
 *
 * @since 0.1.0
 * @category models
 */
export const ChatPage = Schema.Struct({ chats: Schema.Array(ChatView), next: Schema.NullOr(ChatId) })

/**
 * A chat to be made, under an id that is made up where none is given.
 *
 * @since 0.1.0
 * @category models
 */
export const NewChat = Schema.Struct({
  chatId: Schema.optionalKey(ChatId),
  workspaceId: Schema.optionalKey(WorkspaceId)
})

/**
 * A child to be made, under an id that is made up where none is given.
 *
 * @since 0.1.0
 * @category models
 */
export const NewChild = Schema.Struct({ chatId: Schema.optionalKey(ChatId) })

const params = { chatId: ChatId }
const notFound = [Problems.notFound, Problems.storeError] as const
const created = ChatView.pipe(HttpApiSchema.status("Created"))

const create = HttpApiEndpoint.post("create", "/chats", {
  payload: NewChat,
  success: created,
  error: notFound
}).middleware(Bodies).annotateMerge(OpenApi.annotations({
  summary: "Make a chat",
  description: "With `workspaceId` it works in that workspace, which has to be yours. A chat of yours that is there " +
    "already is answered as it is."
}))

const list = HttpApiEndpoint.get("list", "/chats", {
  query: Page.query(ChatId),
  success: ChatPage,
  error: Problems.storeError
}).annotateMerge(OpenApi.annotations({
  summary: "List chats",
  description: "Your chats, the newest first. `next` is the `after` of the page that follows."
}))

const get = HttpApiEndpoint.get("get", "/chats/:chatId", {
  params,
  success: ChatView,
  error: notFound
}).annotateMerge(OpenApi.annotations({
  summary: "Read a chat",
  description: "With the build and the agent that its workspace has now. Reading changes nothing."
}))

const bind = HttpApiEndpoint.patch("bind", "/chats/:chatId", {
  params,
  payload: Schema.Struct({ workspaceId: Schema.NullOr(WorkspaceId) }),
  success: ChatView,
  error: notFound
}).middleware(Bodies).annotateMerge(OpenApi.annotations({
  summary: "Change the workspace of a chat",
  description: "The chat works in that workspace from its next tool call on, or in none with null."
}))

const createChild = HttpApiEndpoint.post("createChild", "/chats/:chatId/children", {
  params,
  payload: NewChild,
  success: created,
  error: notFound
}).middleware(Bodies).annotateMerge(OpenApi.annotations({
  summary: "Make a child of a chat",
  description: "It works in the workspace that its parent has now, and cannot make, start or stop one itself."
}))

const children = HttpApiEndpoint.get("children", "/chats/:chatId/children", {
  params,
  query: Page.query(ChatId),
  success: ChatPage,
  error: notFound
}).annotateMerge(OpenApi.annotations({
  summary: "List the children of a chat",
  description: "The newest first. `next` is the `after` of the page that follows."
}))

/**
 * @since 0.1.0
 * @category groups
 */
export class ChatsApi extends HttpApiGroup.make("chats")
  .add(create, list, get, bind, createChild, children)
  .middleware(Authorization)
  .middleware(Requests)
  .annotateMerge(OpenApi.annotations({ title: "Chats", description: "Chats, and the workspaces that they work in." }))
{}
