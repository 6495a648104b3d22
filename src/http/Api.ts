/**
 * The whole API: the contract of all groups, from which its documents and its client come. The routes are in `ApiRoutes`.
 *
 * Paths have no prefix of their own; an application that wants one gives it with `HttpRouter.prefixAll`.
 *
 * @since 0.1.0
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as OpenApi from "effect/http-api/OpenApi"
import { AgentsApi } from "./AgentsApi.ts"
import { BuildsApi } from "./BuildsApi.ts"
import { ChatsApi } from "./ChatsApi.ts"
import { ExplanationsApi } from "./ExplanationsApi.ts"
import { TemplatesApi } from "./TemplatesApi.ts"
import { TurnsApi } from "./TurnsApi.ts"
import { WorkspacesApi } from "./WorkspacesApi.ts"

/**
 * @since 0.1.0
 * @category api
 */
export class Api extends HttpApi.make("chat-workspace")
  .add(ChatsApi, TurnsApi, ExplanationsApi, TemplatesApi, WorkspacesApi, BuildsApi, AgentsApi)
  .annotateMerge(OpenApi.annotations({
    title: "chat-workspace",
    version: "0.1.0",
    description:
      "AI chats, the turns that run in them, and the remote workspaces in which they work. Every request names " +
      "its owner by a bearer token, and what is not yours is not found. Errors are problem details (RFC 9457): `code` " +
      "names the error, `forUser` says it to a person, and `recovery` what to do next."
  }))
{}
