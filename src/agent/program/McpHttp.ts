/**
 * MCP servers behind an address: Streamable HTTP, where each request is a POST whose answer is JSON or a stream of events.
 *
 * Redirects are not followed, since the headers of the file are meant for one address alone. A server that cannot be
 * reached, or that has forgotten the session, has ended; whoever keeps it shakes hands anew.
 *
 * **Gotchas.** What a server tells outside of an answer is not listened to: no stream is kept open for it. Streams that a
 * server breaks off to be resumed later are not resumed.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as McpTransport from "./McpTransport.ts"
import { McpFailed, type Target, type Transport } from "./McpTransport.ts"
import { ProgramConfig } from "./ProgramConfig.ts"

/**
 * Opens the way to an address; the session that the server gave ends with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = Effect.fnUntraced(function*(
  spec: Extract<Target["spec"], { readonly _tag: "Http" }>
): Effect.fn.Return<Transport, never, HttpClient.HttpClient | Scope.Scope> {
  const config = yield* ProgramConfig
  const client = HttpClient.withScope(yield* HttpClient.HttpClient)
  const ended = yield* Deferred.make<string>()
  let ids = 0
  let session: string | undefined
  let revision: string | undefined

  const execute = (
    request: HttpClientRequest.HttpClientRequest
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError, Scope.Scope> =>
    client.execute(request.pipe(
      HttpClientRequest.setHeaders({
        ...spec.headers,
        accept: "application/json, text/event-stream",
        ...(session === undefined ? {} : { "mcp-session-id": session }),
        // Servers of earlier revisions do not know the header, and may refuse it.
        ...(revision === undefined || revision < "2025-06-18" ? {} : { "mcp-protocol-version": revision })
      })
    )).pipe(Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }))

  const end = (why: string): Effect.Effect<never, McpFailed> =>
    Effect.andThen(
      Deferred.succeed(ended, why),
      Effect.fail(new McpFailed({ reason: "ended", detail: why }))
    )

  const post = Effect.fnUntraced(function*(message: string) {
    const response = yield* execute(
      HttpClientRequest.bodyText(HttpClientRequest.post(spec.url), message, "application/json")
    ).pipe(Effect.catch(() => end("it cannot be reached")))
    if (response.status === 404 && session !== undefined) return yield* end("it has ended the session")
    if (response.status < 200 || response.status >= 300) return yield* refused(`it answered ${response.status}`)
    session = response.headers["mcp-session-id"] ?? session
    return response
  })

  const say = (message: string): Effect.Effect<void, McpFailed> => Effect.scoped(Effect.asVoid(post(message)))

  const texts = (response: HttpClientResponse.HttpClientResponse): Stream.Stream<string, McpFailed> => {
    const bytes = Stream.catch(response.stream, () => Stream.fromEffect(end(brokenOff)))
    const type = response.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase()
    if (type === "text/event-stream") return events(bytes, config.mcpMessageBytes)
    return type === "application/json"
      ? Stream.fromEffect(
        bytes.pipe(
          Stream.limitBytes(config.mcpMessageBytes, () => Stream.fail(tooLarge)),
          Stream.decodeText(),
          Stream.mkString
        )
      )
      : Stream.fail(new McpFailed({ reason: "refused", detail: "its answer is neither JSON nor a stream of events" }))
  }

  yield* Effect.addFinalizer(() =>
    session === undefined
      ? Effect.void
      : Effect.scoped(execute(HttpClientRequest.delete(spec.url))).pipe(
        Effect.timeoutOption(config.mcpFarewell),
        Effect.ignore
      )
  )

  return {
    request: (method, params) =>
      Effect.suspend(() => {
        const id = ++ids
        const answer = Effect.flatMap(post(McpTransport.request(id, method, params)), (response) =>
          texts(response).pipe(
            Stream.map(McpTransport.parse),
            Stream.tap((message) =>
              message?._tag === "Request" ? Effect.ignore(say(McpTransport.reply(message))) : Effect.void
            ),
            Stream.filter((message) => message !== undefined && message._tag !== "Request" && message.id === id),
            Stream.runHead
          ))
        return Effect.scoped(answer).pipe(
          Effect.flatMap((message) => {
            const found = Option.getOrUndefined(message)
            if (found === undefined || found._tag === "Request") return refused(brokenOff)
            return found._tag === "Error"
              ? Effect.fail(McpTransport.refusal(found.message))
              : Effect.succeed(found.result)
          }),
          Effect.onInterrupt(() =>
            method === "initialize"
              ? Effect.void
              : say(McpTransport.cancellation(id)).pipe(Effect.timeoutOption(config.mcpFarewell), Effect.ignore)
          )
        )
      }),
    notify: (method) => say(McpTransport.notification(method)),
    agree: (agreed) => {
      revision = agreed
    },
    ended: Deferred.await(ended)
  }
})

const brokenOff = "its answer was broken off"

const tooLarge = new McpFailed({ reason: "refused", detail: "its answer is too large" })

const refused = (detail: string): Effect.Effect<never, McpFailed> =>
  Effect.fail(new McpFailed({ reason: "refused", detail }))

/** The data of each event. */
const events = (bytes: Stream.Stream<Uint8Array, McpFailed>, limit: number): Stream.Stream<string, McpFailed> =>
  Stream.suspend(() => {
    const found: Array<string> = []
    const parser = Sse.makeParser((event) => {
      if (event._tag === "Event" && event.data !== "") found.push(event.data)
    }, { maxEventSize: limit })
    return bytes.pipe(
      Stream.decodeText(),
      Stream.flatMap((text) => {
        const error = parser.feed(text)
        const complete = Stream.fromIterable(found.splice(0))
        return error === undefined ? complete : Stream.concat(complete, Stream.fail(tooLarge))
      })
    )
  })
