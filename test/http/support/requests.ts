/** Requests to routes in process, on the clock of the test. */
import { Context, Effect, Layer, Redacted } from "effect"
import type { Scope } from "effect"
import {
  HttpClientRequest,
  HttpEffect,
  HttpRouter,
  HttpServer,
  type HttpServerError,
  type HttpServerRequest
} from "effect/http"
import { HttpApiMiddleware } from "effect/http-api"
import * as GatewayServer from "../../../src/cli/GatewayServer.ts"
import { OwnerId } from "../../../src/domain/Ids.ts"
import * as Authentication from "../../../src/http/Authentication.ts"
import { Unauthenticated } from "../../../src/http/HttpErrors.ts"
import * as Mount from "../../../src/http/Mount.ts"
import { TestWorkspaces } from "../../../src/testing/index.ts"

/** Each token is the name of its owner. */
export const ann = TestWorkspaces.owner
export const bob = OwnerId.make("bob")
/** The token at which the application's authentication breaks, and what it says then. */
export const breaking = "breaking"
export const secret = "the password is 1234"
/** The token at which it is interrupted, as by the end of the server. */
export const interrupting = "interrupting"
/** Another token of ann's. */
export const anns = "PLANTED-token"

export const layerTokens = Layer.succeed(Authentication.Authentication, {
  authenticate: (token) => {
    if (Redacted.value(token) === breaking) return Effect.die(new Error(secret))
    if (Redacted.value(token) === interrupting) return Effect.interrupt
    const owner = Redacted.value(token) === anns ? ann : [ann, bob].find((owner) => owner === Redacted.value(token))
    return owner === undefined ? Effect.fail(new Unauthenticated()) : Effect.succeed({ owner, tenant: null })
  }
})

/** What handlers stand behind where a derived client asks them, as `ann`. */
export const layerClient = Layer.mergeAll(
  HttpApiMiddleware.layerClient(
    Authentication.Authorization,
    ({ next, request }) => next(HttpClientRequest.bearerToken(request, ann))
  ),
  Layer.provide(Mount.guards, layerTokens),
  HttpServer.layerServices
)

export interface Answer {
  readonly status: number
  readonly type: string
  // oxlint-disable-next-line typescript/no-explicit-any -- what comes is asserted on
  readonly body: any
}

export interface Sending {
  /** Null for none. */
  readonly token?: string | null
  /** Texts, bytes and streams are sent as they are. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface Routes {
  readonly fetch: (request: string, sending?: Sending) => Effect.Effect<Response>
  /** Sends "GET /path", and reads the answer to its end. */
  readonly send: (request: string, sending?: Sending) => Effect.Effect<Answer>
}

/** Answers requests by these routes for the life of the scope. */
export const serve = Effect.fnUntraced(function*<R>(routes: Layer.Layer<never, never, R>): Effect.fn.Return<
  Routes,
  never,
  Exclude<R, Authentication.Authentication | Mount.Server> | Scope.Scope
> {
  const app = yield* HttpRouter.toHttpEffect(
    Layer.provide(routes as Layer.Layer<never, never, Authentication.Authentication | Mount.Server>, [
      layerTokens,
      HttpServer.layerServices
    ])
  ).pipe(Effect.provideService(HttpRouter.RouterConfig, { maxParamLength: 1024 }))
  const handler = HttpEffect.toWebHandlerWith<never, HttpServerRequest.HttpServerRequest | Scope.Scope>(
    yield* Effect.context<never>()
  )(Effect.orDie(app))
  const fetch: Routes["fetch"] = (request, { body, headers, token = ann } = {}) => {
    const [method = "", path = ""] = request.split(" ")
    return Effect.promise(() =>
      handler(
        new Request(`http://api.test${path}`, {
          method,
          headers: {
            ...(token === null ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...headers
          },
          ...(body === undefined ? {} : { body: isRaw(body) ? body : JSON.stringify(body), duplex: "half" })
        })
      )
    )
  }
  return {
    fetch,
    send: Effect.fnUntraced(function*(request, sending) {
      const response = yield* fetch(request, sending)
      const text = yield* Effect.promise(() => response.text())
      const type = response.headers.get("content-type") ?? ""
      return { status: response.status, type, body: type.includes("json") ? JSON.parse(text) : text }
    })
  }
})

const isRaw = (body: unknown): body is string | Uint8Array<ArrayBuffer> | ReadableStream =>
  typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream

/** The same behind the server of `serve`, on a free port of this host; answers its address. */
export const listening = Effect.fnUntraced(function*<R>(routes: Layer.Layer<never, never, R>): Effect.fn.Return<
  string,
  HttpServerError.ServeError,
  Exclude<R, Authentication.Authentication | Mount.Server> | Scope.Scope
> {
  const context = yield* Layer.build(
    HttpRouter.serve(
      Layer.provide(routes as Layer.Layer<never, never, Authentication.Authentication | Mount.Server>, layerTokens),
      { disableListenLog: true, disableLogger: true, routerConfig: { maxParamLength: 1024 } }
    ).pipe(
      Layer.provideMerge(GatewayServer.layer({ host: "127.0.0.1", port: 0 })),
      Layer.provide(HttpServer.layerServices)
    )
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  return `http://127.0.0.1:${"port" in address ? address.port : 0}`
})
