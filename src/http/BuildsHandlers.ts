/**
 * Answers `BuildsApi`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import { isFinished } from "../domain/Build.ts"
import type { Readiness } from "../provisioner/Readiness.ts"
import type { Workspaces } from "../provisioner/Workspaces.ts"
import { Builds } from "../store/Builds.ts"
import type { Authentication, Authorization } from "./Authentication.ts"
import * as BuildFollow from "./BuildFollow.ts"
import { BuildEvent, BuildsApi } from "./BuildsApi.ts"
import * as EventStream from "./EventStream.ts"
import * as Mount from "./Mount.ts"
import * as Owned from "./Owned.ts"
import type { Requests } from "./Requests.ts"

const api = HttpApi.make("chat-workspace").add(BuildsApi)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"chat-workspace", "builds">,
  never,
  Workspaces | Readiness | Builds | EventStream.EventStreams | Authorization | Requests
> = HttpApiBuilder.group(
  api,
  "builds",
  Effect.fnUntraced(function*(handlers) {
    const builds = yield* Builds
    const owned = yield* Owned.builds
    const follow = yield* BuildFollow.make
    const { respond } = yield* EventStream.EventStreams
    return handlers.handleAll({
      get: ({ params }) => Effect.map(owned(params.buildId), ({ record }) => record),
      log: Effect.fnUntraced(function*({ params: { buildId }, query: { after = 0 } }) {
        // Before the lines: what a build that has ended had to say is all there.
        const { record: { build } } = yield* owned(buildId)
        const lines = yield* builds.log({ buildId, after })
        return { lines, next: lines.at(-1)?.number ?? (isFinished(build) ? null : after) }
      }),
      events: Effect.fnUntraced(function*({ params: { buildId }, ...request }) {
        yield* owned(buildId)
        return yield* respond({ data: BuildEvent, events: follow(buildId, EventStream.after(request)) })
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
  Workspaces | Readiness | Builds | EventStream.EventStreams | Authentication | Mount.Server
> = HttpApiBuilder.layer(api).pipe(Layer.provide(layer), Layer.provide(Mount.guards))
