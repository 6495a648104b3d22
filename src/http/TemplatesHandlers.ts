/**
 * Answers `TemplatesApi`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import { Workspaces } from "../provisioner/Workspaces.ts"
import { CurrentPrincipal } from "./Authentication.ts"
import type { Authentication, Authorization } from "./Authentication.ts"
import { HttpConfig } from "./HttpConfig.ts"
import * as Mount from "./Mount.ts"
import * as Page from "./Page.ts"
import type { Requests } from "./Requests.ts"
import { TemplatesApi } from "./TemplatesApi.ts"

const api = HttpApi.make("chat-workspace").add(TemplatesApi)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"chat-workspace", "templates">,
  never,
  Workspaces | Authorization | Requests
> = HttpApiBuilder.group(
  api,
  "templates",
  Effect.fnUntraced(function*(handlers) {
    const workspaces = yield* Workspaces
    const { pageItems } = yield* HttpConfig
    return handlers.handleAll({
      list: Effect.fnUntraced(function*({ query }) {
        const { owner } = yield* CurrentPrincipal
        const all = yield* workspaces.templates(owner)
        const { items, next } = Page.of(all, ({ templateId }) => templateId, query, pageItems)
        return { templates: items, next }
      }),
      get: Effect.fnUntraced(function*({ params }) {
        const { owner } = yield* CurrentPrincipal
        return yield* workspaces.template(owner, params.templateId)
      })
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
  Workspaces | Authentication | Mount.Server
> = HttpApiBuilder.layer(api).pipe(Layer.provide(layer), Layer.provide(Mount.guards))
