/**
 * The two servers of a node: one that agents and clients reach, and one for operators on this machine alone.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as AgentGateway from "../agent/AgentGateway.ts"
import type { Authentication } from "../http/Authentication.ts"
import type { Services } from "./Application.ts"
import * as GatewayServer from "./GatewayServer.ts"
import * as Routes from "./Routes.ts"

/**
 * Only this machine reaches it.
 *
 * @since 0.1.0
 * @category constants
 */
export const loopback = "127.0.0.1"

/**
 * Where the first one listens, and the port of the second. Port 0 takes any free one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends GatewayServer.Options {
  readonly operatorPort: number
}

/**
 * Host and port of both.
 *
 * @since 0.1.0
 * @category models
 */
export interface Addresses {
  readonly api: string
  readonly operators: string
}

/**
 * Serves for the life of the scope, and answers where.
 *
 * @since 0.1.0
 * @category constructors
 */
export const listen = Effect.fnUntraced(function*(
  { operatorPort, ...at }: Options
): Effect.fn.Return<Addresses, ServeError, Services | Authentication | Scope.Scope> {
  return {
    api: yield* serve(Layer.mergeAll(AgentGateway.layerRoute(), Routes.layerHealth, Routes.layerApi), at),
    operators: yield* serve(Routes.layerOperator, { host: loopback, port: operatorPort })
  }
})

const serve = <R>(routes: Layer.Layer<never, never, R | HttpRouter.HttpRouter>, at: GatewayServer.Options) =>
  Layer.build(
    HttpRouter.serve(routes, {
      disableListenLog: true,
      disableLogger: true,
      // The longest id as it stands in an address: 128 characters of three bytes, each byte as %xx.
      routerConfig: { maxParamLength: 128 * 9 }
    }).pipe(
      Layer.provideMerge(GatewayServer.layer(at))
    )
  ).pipe(Effect.map((context) => {
    const { address } = Context.get(context, HttpServer.HttpServer)
    const host = at.host.includes(":") ? `[${at.host}]` : at.host
    return `${host}:${"port" in address ? address.port : at.port}`
  }))
