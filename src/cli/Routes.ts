/**
 * What operators ask a running server: is it alive, is it ready, its metrics, and why a chat is stuck.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Schema from "effect/Schema"
import { AgentGateway } from "../agent/AgentGateway.ts"
import * as ChatExplanation from "../dial/ChatExplanation.ts"
import * as DialMetrics from "../dial/DialMetrics.ts"
import { ChatId } from "../domain/Ids.ts"
import { ChatBindings } from "../store/ChatBindings.ts"

/**
 * `GET /healthz`: the process answers. `GET /readyz`: the database answers too, through the pool that chats use, no
 * other node holds agents that this one was asked for, and it is not shutting down; 503 and the reasons otherwise.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHealth: Layer.Layer<never, never, HttpRouter.HttpRouter | AgentGateway | ChatBindings> = Layer.unwrap(
  Effect.gen(function*() {
    const gateway = yield* AgentGateway
    const bindings = yield* ChatBindings
    const ready = Effect.map(Effect.isSuccess(bindings.get(ChatId.make("readyz"))), (database) => {
      const reasons = [...(database ? [] : ["the database does not answer"]), ...gateway.unready()]
      return HttpServerResponse.jsonUnsafe({ ready: reasons.length === 0, reasons }, {
        status: reasons.length === 0 ? 200 : 503
      })
    })
    return Layer.merge(
      HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok\n")),
      HttpRouter.add("GET", "/readyz", ready)
    )
  })
)

const ChatParams = HttpRouter.schemaPathParams(Schema.Struct({ chatId: ChatId }))

/**
 * `GET /metrics` for Prometheus, and `GET /explain/:chatId` as text. They tell of chats and agents by their ids, so they
 * belong on an address that only operators reach.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOperator: Layer.Layer<never, never, HttpRouter.HttpRouter | ChatExplanation.ChatExplanation> = Layer
  .mergeAll(
    PrometheusMetrics.layerHttp(),
    // Read once, so that a node on which nothing was dialed shows zero, and not nothing.
    Layer.effectDiscard(Metric.value(DialMetrics.waiters)),
    Layer.unwrap(Effect.map(ChatExplanation.ChatExplanation, ({ explain }) =>
      HttpRouter.add(
        "GET",
        "/explain/:chatId",
        ChatParams.pipe(
          Effect.flatMap(({ chatId }) => explain(chatId)),
          Effect.map((explanation) => HttpServerResponse.text(`${ChatExplanation.format(explanation)}\n`)),
          Effect.catchTag("SchemaError", () =>
            Effect.succeed(HttpServerResponse.text("This is not the id of a chat.\n", { status: 400 })))
        )
      )))
  )
