/**
 * Answers `ExplanationsApi`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { StoreError } from "../domain/Errors.ts"
import * as Explanation from "../turn/Explanation.ts"
import * as ExplanationView from "../turn/ExplanationView.ts"
import type { Authentication, Authorization } from "./Authentication.ts"
import { ExplanationsApi } from "./ExplanationsApi.ts"
import * as Mount from "./Mount.ts"
import * as Owned from "./Owned.ts"
import type { Requests } from "./Requests.ts"

const api = HttpApi.make("chat-workspace").add(ExplanationsApi)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"chat-workspace", "explanations">,
  never,
  Explanation.Explanations | Owned.OwnedChats | Authorization | Requests
> = HttpApiBuilder.group(
  api,
  "explanations",
  Effect.fnUntraced(function*(handlers) {
    const { explain } = yield* Explanation.Explanations
    const chatOf = yield* Owned.chats
    return handlers.handleAll({
      get: Effect.fnUntraced(function*({ headers, params }) {
        const { chatId } = yield* chatOf(params.chatId)
        const explanation = yield* explain(chatId)
        return isText(headers.accept)
          ? Explanation.format(withoutCause(explanation))
          : ExplanationView.make(explanation)
      })
    })
  })
)

const isText = (accept: string | undefined): boolean => accept?.trim().toLowerCase().startsWith("text/plain") === true

/** What a database said is for operators. */
const withoutCause = (explanation: Explanation.Explanation): Explanation.Explanation => ({
  ...explanation,
  connection: {
    ...explanation.connection,
    stored: Result.mapError(explanation.connection.stored, ({ operation }) => new StoreError({ operation }))
  }
})

/**
 * The routes of this group alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRoutes: Layer.Layer<
  never,
  never,
  Explanation.Explanations | Owned.OwnedChats | Authentication | Mount.Server
> = HttpApiBuilder.layer(api).pipe(Layer.provide(layer), Layer.provide(Mount.guards))
