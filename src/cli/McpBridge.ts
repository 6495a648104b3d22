/**
 * Carries MCP between a program that speaks it over standard input and output and a server that speaks it over HTTP.
 *
 * Each line that comes in is posted, and what the server answers goes out as lines; it knows nothing of tools. Where the
 * server has forgotten the session, as after it was started again, another is begun with the words of the first, and the
 * program does not notice. When the input ends, so do the session and what is under way in it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Queue from "effect/Queue"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"

/**
 * The address of the endpoint, and the token for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly url: string
  readonly token: Redacted.Redacted
}

/**
 * There is no MCP server to speak to.
 *
 * @since 0.1.0
 * @category errors
 */
export class McpUnreachable extends Schema.TaggedError<McpUnreachable>()("McpUnreachable", {
  url: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `No MCP at ${this.url}: ${this.reason}.`
  }
}

/** What the bridge has to know of a message; the line itself is what is sent. */
const Message = Schema.fromJsonString(Schema.Struct({
  id: Schema.optionalKey(Schema.Union([Schema.String, Schema.Finite])),
  method: Schema.optionalKey(Schema.String),
  params: Schema.optionalKey(Schema.Struct({
    name: Schema.optionalKey(Schema.Unknown),
    requestId: Schema.optionalKey(Schema.Unknown),
    _meta: Schema.optionalKey(Schema.Struct({
      "io.modelcontextprotocol/protocolVersion": Schema.optionalKey(Schema.String)
    }))
  }))
}))

type Message = typeof Message.Type

const decodeMessage = Schema.decodeEffect(Message)

const decodeMessageOption = Schema.decodeOption(Message)

const Problem = Schema.fromJsonString(Schema.Struct({ code: Schema.String, detail: Schema.String }))

const decodeProblem = Schema.decodeOption(Problem)

const isUnknownSession = (text: string): boolean =>
  Option.exists(decodeProblem(text), ({ code }) => code === "unknown_session")

/** Longer than any call of a tool may take. */
const callLimit = "1 hour"

/** What a message may take that asks for nothing. */
const noticeLimit = "10 seconds"

const farewellLimit = "2 seconds"

const sessionHeader = "mcp-session-id"

/**
 * Carries messages until the input ends. Fails with `McpUnreachable` when the server does not take the first look.
 *
 * @since 0.1.0
 * @category running
 */
export const run = Effect.fnUntraced(
  function*({ token, url }: Options): Effect.fn.Return<
    void,
    McpUnreachable | PlatformError,
    HttpClient.HttpClient | Scope.Scope | Stdio.Stdio
  > {
    const http = yield* HttpClient.HttpClient
    const stdio = yield* Stdio.Stdio
    const renewing = Semaphore.makeUnsafe(1)
    const out = yield* Queue.bounded<string>(16)
    /** The calls that nobody has answered. */
    const waiting = new Set<unknown>()
    let session: string | undefined
    let hello: string | undefined

    const request = (request: HttpClientRequest.HttpClientRequest, session: string | undefined) =>
      http.execute(request.pipe(
        HttpClientRequest.bearerToken(token),
        HttpClientRequest.setHeaders({
          accept: "application/json, text/event-stream",
          ...(session === undefined ? {} : { [sessionHeader]: session })
        })
      ))

    const post = (line: string, message: Message, session: string | undefined) =>
      request(
        HttpClientRequest.post(url).pipe(
          HttpClientRequest.setHeaders(routing(message)),
          HttpClientRequest.bodyText(line, "application/json")
        ),
        session
      )

    /** Begins another session in the place of a lost one, unless somebody has. */
    const renew = (lost: string) =>
      Effect.gen(function*() {
        if (session !== lost || hello === undefined) return
        const response = yield* post(hello, {}, undefined)
        yield* response.text
        session = response.headers[sessionHeader]
        yield* post(initialized, {}, session)
      }).pipe(renewing.withPermit)

    const sent = Effect.fnUntraced(function*(line: string, message: Message) {
      if (message.method === "initialize") {
        hello = line
        const response = yield* post(line, message, undefined)
        session = response.headers[sessionHeader]
        return response
      }
      const known = session
      const response = yield* post(line, message, known)
      // By this word, and by no other, it is certain that the server did nothing.
      if (response.status !== 404 || known === undefined || !isUnknownSession(yield* response.text)) return response
      yield* renew(known)
      return yield* post(line, message, session)
    })

    const carried = (line: string, message: Message) =>
      Effect.gen(function*() {
        const response = yield* sent(line, message)
        if (response.status >= 300) return yield* Effect.flip(reasonOf(response))
        yield* answersOf(response).pipe(
          Stream.runForEach((answer) => {
            const { id, method } = Option.getOrElse(decodeMessageOption(answer), (): Message => ({}))
            if (method === undefined) waiting.delete(id)
            return Queue.offer(out, answer)
          }),
          Effect.mapError(() => gone)
        )
        return gone
      }).pipe(
        Effect.timeout(message.id === undefined ? noticeLimit : callLimit),
        Effect.catch((error) => Effect.succeed(typeof error === "string" ? error : reasonFor(error))),
        // Not for a call that was answered, or was canceled meanwhile.
        Effect.flatMap((reason) =>
          waiting.delete(message.id) ? Queue.offer(out, refusal(message.id, reason)) : Effect.void
        )
      )

    const handled = (line: string, message: Message) => {
      if (message.method === "notifications/cancelled") waiting.delete(message.params?.requestId)
      else if (message.id !== undefined && message.method !== undefined) waiting.add(message.id)
      // What has its place before others is there before the next line is read.
      return message.method === "initialize" || message.id === undefined
        ? carried(line, message)
        : Effect.asVoid(Effect.forkScoped(carried(line, message)))
    }

    const look = request(HttpClientRequest.get(url), undefined).pipe(
      Effect.timeout(noticeLimit),
      Effect.mapError(reasonFor),
      // The endpoint has nothing to read, and says so to those whom it lets in.
      Effect.flatMap((response) => response.status === 405 ? Effect.void : reasonOf(response)),
      Effect.mapError((reason) => new McpUnreachable({ url, reason }))
    )

    yield* look
    yield* Effect.addFinalizer(() =>
      session === undefined
        ? Effect.void
        : Effect.ignore(Effect.timeout(request(HttpClientRequest.delete(url), session), farewellLimit))
    )
    yield* Effect.raceFirst(
      stdio.stdin.pipe(
        Stream.decodeText,
        Stream.splitLines,
        Stream.filter((line) => line.trim() !== ""),
        Stream.runForEach((line) =>
          Effect.matchEffect(decodeMessage(line), {
            onFailure: () => Queue.offer(out, unreadable),
            onSuccess: (message) => handled(line, message)
          })
        )
      ),
      Stream.run(Stream.fromQueue(out), stdio.stdout())
    )
  },
  Effect.scoped
)

/** What the revision without sessions wants to see outside of the message too. */
const routing = ({ method, params }: Message): Readonly<Record<string, string>> => {
  const version = params?._meta?.["io.modelcontextprotocol/protocolVersion"]
  return version === undefined || method === undefined ? {} : {
    "mcp-protocol-version": version,
    "mcp-method": method,
    ...(typeof params?.name === "string" ? { "mcp-name": params.name } : {})
  }
}

const initialized = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" })

/** The messages in a response, each a line. */
const answersOf = (response: HttpClientResponse): Stream.Stream<string, HttpClientError | Sse.SseError> =>
  (response.headers["content-type"] ?? "").startsWith("text/event-stream")
    ? Stream.decodeText(response.stream).pipe(
      Stream.pipeThroughChannel(Sse.decode<HttpClientError, unknown>()),
      Stream.map(({ data }) => `${data}\n`),
      // When to come again is for streams that can be taken up.
      Stream.catchIf((error): error is Sse.Retry => error instanceof Sse.Retry, () => Stream.empty)
    )
    : Stream.fromEffect(response.text).pipe(
      Stream.filter((text) => text.trim() !== ""),
      Stream.map((text) => `${text.trim()}\n`)
    )

/** Why the server did not take a request; fails with it. */
const reasonOf = (response: HttpClientResponse): Effect.Effect<never, string> =>
  response.text.pipe(
    Effect.orElseSucceed(() => ""),
    Effect.flatMap((text) =>
      Effect.fail(Option.match(decodeProblem(text), {
        onNone: () => `the server answers with status ${response.status}`,
        onSome: ({ detail }) => detail.replace(/\.$/, "")
      }))
    )
  )

const reasonFor = (error: { readonly _tag: string }): string =>
  error._tag === "TimeoutError" ? "the server does not answer in time" : "the server cannot be reached"

const gone = "the server went away before it answered"

const refusal = (id: Message["id"], reason: string): string =>
  failure(id, -32000, `There is no answer: ${reason}. A call may have had its effect: look before you repeat it.`)

const failure = (id: Message["id"] | null, code: number, message: string): string =>
  `${JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } })}\n`

const unreadable = failure(null, -32700, "This is no message.")
