/**
 * The routes of `serve`: the API with its documents and MCP; and what operators ask, whether it is alive and ready, how all
 * is, its metrics, and why a chat is stuck.
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
import * as DialMetrics from "../dial/DialMetrics.ts"
import { ChatId } from "../domain/Ids.ts"
import * as ApiRoutes from "../http/ApiRoutes.ts"
import * as McpEndpoint from "../http/McpEndpoint.ts"
import * as Owned from "../http/Owned.ts"
import * as Status from "../http/Status.ts"
import * as StatusHosts from "../http/StatusHosts.ts"
import * as StatusPage from "../http/StatusPage.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import type { ChatTools } from "../tool/ChatTools.ts"
import * as Explanation from "../turn/Explanation.ts"
import { Turns } from "../turn/Turns.ts"
import { prefix } from "./ApiAddress.ts"

/**
 * `GET /healthz`: the process answers. `GET /readyz`: the database answers too, through the pool that chats use, no
 * other node holds agents that this one was asked for, and it is not shutting down; 503 and the reasons otherwise.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHealth: Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | AgentGateway | ChatBindings | Turns
> = Layer.unwrap(
  Effect.gen(function*() {
    const gateway = yield* AgentGateway
    const turns = yield* Turns
    const bindings = yield* ChatBindings
    const ready = Effect.map(Effect.isSuccess(bindings.get(ChatId.make("readyz"))), (database) => {
      const reasons = Array.from(
        new Set([...(database ? [] : ["the database does not answer"]), ...turns.unready(), ...gateway.unready()])
      )
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

/**
 * All groups of the API, its OpenAPI document and the page to read it, and the tools of a chat over MCP, under one prefix.
 * `GET /` leads to the page.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerApi: Layer.Layer<
  never,
  never,
  Layer.Services<ReturnType<typeof ApiRoutes.layer>> | ChatTools
> = Layer.mergeAll(
  ApiRoutes.layer({ prefix }),
  ApiRoutes.layerDocs({ prefix }),
  McpEndpoint.layerRoute({ path: `${prefix}/chats/:chatId/mcp` }).pipe(Layer.provide(Owned.layer)),
  HttpRouter.add("GET", "/", HttpServerResponse.redirect(`${prefix}/docs`))
)

const ChatParams = HttpRouter.schemaPathParams(Schema.Struct({ chatId: ChatId }))

/**
 * The status page, `GET /metrics` for Prometheus, and `GET /explain/:chatId` as text. They tell of chats and agents by
 * their ids, so they belong on an address that only operators reach, and answer only where they are called by a name of
 * this machine.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOperator: Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | AgentGateway | Explanation.Explanations | Layer.Services<ReturnType<typeof Status.layer>>
> = Layer
  .mergeAll(
    StatusHosts.layer(),
    Layer.unwrap(
      Effect.map(AgentGateway, ({ unready }) => Layer.provide(StatusPage.layer(), Status.layer({ unready })))
    ),
    PrometheusMetrics.layerHttp(),
    // Read once, so that a node on which nothing was dialed shows zero, and not nothing.
    Layer.effectDiscard(Metric.value(DialMetrics.waiters)),
    Layer.unwrap(Effect.map(Explanation.Explanations, ({ explain }) =>
      HttpRouter.add(
        "GET",
        "/explain/:chatId",
        ChatParams.pipe(
          Effect.flatMap(({ chatId }) => explain(chatId)),
          Effect.map((explanation) => HttpServerResponse.text(`${Explanation.format(explanation)}\n`)),
          Effect.catchTag("SchemaError", () =>
            Effect.succeed(HttpServerResponse.text("This is not the id of a chat.\n", { status: 400 })))
        )
      )))
  )
