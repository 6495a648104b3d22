/**
 * The tools of one chat as an MCP server, for programs that speak that protocol: over HTTP for each chat under its own
 * path, and over standard input and output for a chat that is named at the start.
 *
 * Over HTTP a request needs a token as the API does, and a chat that is not of its owner is not there. Browsers are
 * refused unless their origin is allowed, so that no page can reach a server on its reader's machine.
 *
 * @since 0.1.0
 */
import * as McpServer from "effect/ai/McpServer"
import * as ByteSize from "effect/ByteSize"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { StoreError } from "../domain/Errors.ts"
import { ChatId } from "../domain/Ids.ts"
import type { OwnerId } from "../domain/Ids.ts"
import { ChatTools } from "../tool/ChatTools.ts"
import { Authentication, CurrentPrincipal } from "./Authentication.ts"
import { HttpConfig } from "./HttpConfig.ts"
import { InternalError, NotFound, Unauthenticated } from "./HttpErrors.ts"
import * as McpSessions from "./McpSessions.ts"
import { TooManySessions, UnknownSession } from "./McpSessions.ts"
import * as McpTools from "./McpTools.ts"
import * as Owned from "./Owned.ts"
import * as Problem from "./Problem.ts"

/**
 * Where the endpoint stands, and the origins of browsers that may use it: none, unless said otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly path?: `/${string}:chatId${string}` | undefined
  readonly allowedOrigins?: ReadonlyArray<string> | undefined
}

const sessionHeader = "mcp-session-id"

const make = Effect.fnUntraced(function*(path: HttpRouter.PathInput, allowedOrigins: ReadonlyArray<string>) {
  const { authenticate } = yield* Authentication
  const chats = yield* Owned.chats
  const tools = yield* ChatTools
  const { bodyBytes } = yield* HttpConfig
  const server = (yield* routerOf(allowedOrigins)).asHttpEffect()
  // The server itself ends a session only when it is asked to, and so it is asked for one that nobody uses.
  const sessions = yield* McpSessions.make((id) =>
    Effect.scoped(server).pipe(
      Effect.provideService(
        HttpServerRequest.HttpServerRequest,
        HttpServerRequest.fromWeb(
          new Request("http://localhost/", { method: "DELETE", headers: { [sessionHeader]: id } })
        )
      ),
      Effect.filterOrFail(({ status }) => status === 204),
      Effect.catchCause((cause) =>
        Effect.annotateLogs(Effect.logWarning("A session stays in memory", cause), { module: "McpEndpoint" })
      ),
      Effect.asVoid
    )
  )

  const handler = Effect.gen(function*() {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const principal = yield* authenticated(authenticate)
    const { owner } = principal
    const chatId = yield* named
    yield* Effect.annotateCurrentSpan({ "chat.id": chatId })
    const id = headers[sessionHeader]
    const holder = id === undefined
      ? yield* Effect.map(
        Effect.provideService(chats(chatId), CurrentPrincipal, principal),
        ({ parentId }): McpSessions.Holder => ({ chatId, owner, child: parentId !== null })
      )
      : yield* sessions.enter(id, { chatId, owner })

    const chat: McpTools.McpChat = {
      open: yield* Effect.cached(tools.open(holder)),
      admit: sessions.admit(owner),
      gone: Effect.never
    }
    const response = yield* server.pipe(
      Effect.provideService(McpTools.CurrentChat, chat),
      Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(bodyBytes)),
      // The protocol has no use for this method.
      Effect.orElseSucceed(() => HttpServerResponse.empty({ status: 405 }))
    )
    if (id !== undefined && response.status === 204) yield* sessions.forget(id)
    // A session is named by what its server adds to the response at last.
    yield* HttpEffect.appendPreResponseHandler((_, response) => {
      const begun = response.headers[sessionHeader]
      return begun === undefined
        ? Effect.succeed(response)
        : Effect.matchEffect(sessions.begin(begun, holder), {
          onSuccess: () => Effect.succeed(response),
          onFailure: refusal
        })
    })
    return response
  }).pipe(
    Effect.catch(refusal),
    Effect.catchDefect((defect) =>
      Effect.logError("A request met a defect", defect).pipe(
        Effect.annotateLogs({ module: "McpEndpoint" }),
        Effect.andThen(refusal(new InternalError()))
      )
    ),
    Effect.withSpan("McpEndpoint.request")
  )
  return HttpRouter.add("*", path, handler)
})

/** The server behind the route: a router of its own, so that it can be asked from within. */
const routerOf = Effect.fnUntraced(function*(allowedOrigins: ReadonlyArray<string>) {
  const router = yield* HttpRouter.make
  const layer = McpServer.layerHttp({
    ...McpTools.server,
    path: "*",
    registrations: McpTools.layer,
    allowedOrigins,
    allowSessionTermination: true,
    allowSubscriptions: false
  }).pipe(Layer.provide(Layer.succeed(HttpRouter.HttpRouter, router)))
  // With the application's memory of layers, two endpoints would share one server.
  yield* Effect.orDie(Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), yield* Effect.scope))
  return router
})

const authenticated = (authenticate: Authentication["Service"]["authenticate"]) =>
  Effect.flatMap(
    HttpApiBuilder.securityDecode(HttpApiSecurity.bearer),
    (token) => Redacted.value(token) === "" ? Effect.fail(new Unauthenticated()) : authenticate(token)
  )

/** The chat that the path names; what is no id names none. */
const named = HttpRouter.params.pipe(
  Effect.flatMap(({ chatId = "" }) =>
    Effect.mapError(Schema.decodeEffect(ChatId)(chatId), () => new NotFound({ kind: "chat", id: chatId }))
  )
)

const Refusal = Schema.Union([
  Problem.of(Unauthenticated),
  Problem.of(NotFound),
  Problem.of(UnknownSession),
  Problem.of(TooManySessions),
  Problem.of(StoreError),
  Problem.of(InternalError)
])

const encodeRefusal = Schema.encodeEffect(Refusal)

const refusal = (error: typeof Refusal.Type): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.map(Effect.orDie(encodeRefusal(error)), (problem) =>
    HttpServerResponse.jsonUnsafe(problem, {
      status: problem.status,
      contentType: ProblemDetails.contentType,
      ...(error._tag === "Unauthenticated" ? { headers: { "www-authenticate": "Bearer" } } : {})
    }))

/**
 * The MCP server as a route, `/chats/:chatId/mcp` unless said otherwise: streamable HTTP, one path for each chat.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRoute = (
  { allowedOrigins = [], path = "/chats/:chatId/mcp" }: Options = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Authentication | Owned.OwnedChats | ChatTools> =>
  Layer.unwrap(make(path, allowedOrigins))

/**
 * The MCP server of one chat over standard input and output. When the input ends, so do the calls under way, and the
 * fiber that builds this layer is interrupted. What the process logs goes to standard error.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStdio = (chat: {
  readonly chatId: ChatId
  readonly owner: OwnerId
  readonly child?: boolean | undefined
}): Layer.Layer<never, never, ChatTools | Stdio.Stdio> =>
  Layer.unwrap(Effect.gen(function*() {
    const tools = yield* ChatTools
    const stdio = yield* Stdio.Stdio
    const gone = yield* Deferred.make<void>()
    return McpServer.layerStdio({ ...McpTools.server, registrations: McpTools.layer }).pipe(
      Layer.provide([
        Layer.succeed(McpTools.CurrentChat, {
          open: tools.open(chat),
          admit: Effect.succeed(true),
          gone: Deferred.await(gone)
        }),
        Layer.succeed(Stdio.Stdio, {
          ...stdio,
          stdin: Stream.ensuring(stdio.stdin, Deferred.succeed(gone, undefined))
        }),
        Layer.succeed(Logger.LogToStderr, true)
      ]),
      Layer.orDie
    )
  }))
