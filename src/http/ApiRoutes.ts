/**
 * The routes of the whole API, its OpenAPI document, and a page to read it. Each group can be mounted alone as well: see
 * the `layerRoutes` of its handlers.
 *
 * @since 0.1.0
 */
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as OpenApi from "effect/http-api/OpenApi"
import type { HttpRouter } from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import type { Enrollment } from "../provisioner/Enrollment.ts"
import type { Readiness } from "../provisioner/Readiness.ts"
import type { Workspaces } from "../provisioner/Workspaces.ts"
import type { Builds } from "../store/Builds.ts"
import type { ChatBindings } from "../store/ChatBindings.ts"
import type { Chats } from "../store/Chats.ts"
import type { TurnStore } from "../store/TurnStore.ts"
import type { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import type { Explanations } from "../turn/Explanation.ts"
import type { Turns } from "../turn/Turns.ts"
import * as AgentsHandlers from "./AgentsHandlers.ts"
import { Api } from "./Api.ts"
import type { Authentication } from "./Authentication.ts"
import * as BuildsHandlers from "./BuildsHandlers.ts"
import * as ChatsHandlers from "./ChatsHandlers.ts"
import * as EventStream from "./EventStream.ts"
import * as ExplanationsHandlers from "./ExplanationsHandlers.ts"
import * as Mount from "./Mount.ts"
import * as Owned from "./Owned.ts"
import * as TemplatesHandlers from "./TemplatesHandlers.ts"
import * as TurnsHandlers from "./TurnsHandlers.ts"
import * as WorkspacesHandlers from "./WorkspacesHandlers.ts"

/**
 * With a prefix all paths begin with it, those of the documents too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly prefix?: `/${string}` | undefined
}

const under = <E, R>(routes: Layer.Layer<never, E, R>, { prefix }: Options) =>
  prefix === undefined ? routes : Mount.prefixed(prefix)(routes)

const documented = ({ prefix }: Options) =>
  prefix === undefined ? Api : Api.annotate(OpenApi.Servers, [{ url: prefix }])

/**
 * All groups over the chats of the module, and the OpenAPI document at `/openapi.json`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<
  never,
  never,
  | AgentTransport
  | Authentication
  | Builds
  | ChatBindings
  | Chats
  | Enrollment
  | Explanations
  | Mount.Server
  | Readiness
  | Turns
  | TurnStore
  | WorkspaceAgents
  | Workspaces
> =>
  under(HttpApiBuilder.layer(documented(options), { openapiPath: "/openapi.json" }), options).pipe(
    Layer.provide([
      ChatsHandlers.layer,
      TurnsHandlers.layer,
      ExplanationsHandlers.layer,
      TemplatesHandlers.layer,
      WorkspacesHandlers.layer,
      BuildsHandlers.layer,
      AgentsHandlers.layer
    ]),
    Layer.provide([Mount.guards, Owned.layer, EventStream.layer])
  )

/**
 * The page, at `/docs`. It brings all that it needs, and asks no other server.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDocs = (options: Options = {}): Layer.Layer<never, never, HttpRouter> =>
  under(HttpApiScalar.layer(documented(options), { path: "/docs", scalar: { withDefaultFonts: false } }), options)
