/**
 * The client of the API, derived from its contract, with two streams that go on behind their last event when they are
 * cut off.
 *
 * `send` repeats its message then, which attaches to the turn: a message that was sent twice is still one. Nothing is
 * repeated before the first answer has come, since what an answer says is for the caller.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import type { HttpClient } from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { StoreError, TurnRefused, TurnRunning } from "../domain/Errors.ts"
import type { ChatId, MessageId, TurnId } from "../domain/Ids.ts"
import { TurnEvent } from "../domain/Turn.ts"
import type { NumberedEvent } from "../domain/Turn.ts"
import { Api } from "./Api.ts"
import { Authorization } from "./Authentication.ts"
import * as EventStream from "./EventStream.ts"
import type {
  BadRequest,
  BodyTooLarge,
  InternalError,
  MessageTooLarge,
  NotFound,
  ServerEnding,
  TooManyStreams,
  Unauthenticated,
  UnsupportedMediaType
} from "./HttpErrors.ts"
import * as Resumption from "./Resumption.ts"

/**
 * What any request can fail with.
 *
 * @since 0.1.0
 * @category unions
 */
export type RequestError =
  | Unauthenticated
  | BadRequest
  | BodyTooLarge
  | UnsupportedMediaType
  | InternalError
  | ServerEnding
  | HttpClientError
  | Schema.SchemaError

/**
 * @since 0.1.0
 * @category unions
 */
export type FollowError = RequestError | NotFound | StoreError | TooManyStreams | Resumption.StreamLost

/**
 * @since 0.1.0
 * @category unions
 */
export type SendError = FollowError | TurnRunning | TurnRefused | MessageTooLarge

/**
 * Where the API is, with the prefix of its paths, and whose token it is asked with.
 *
 * - `silence` (45 s): a stream that says nothing for so long, not even that it has no news, counts as cut off; so long an
 *   answer is waited for
 * - `giveUp` (2 min): how long a stream that was cut off is tried to be taken up again
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly baseUrl: string | URL
  readonly token: Redacted.Redacted<string>
  readonly silence?: Duration.Input | undefined
  readonly giveUp?: Duration.Input | undefined
}

/**
 * @since 0.1.0
 * @category services
 */
export class Client extends Context.Service<Client, {
  /** All endpoints, by group. */
  readonly api: HttpApiClient.ForApi<typeof Api>
  /** Sends a message, and gives what its turn tells, from its first event to its `End`. */
  readonly send: (options: {
    readonly chatId: ChatId
    readonly messageId: MessageId
    readonly text: string
  }) => Stream.Stream<NumberedEvent, SendError>
  /** What a turn tells behind the event with the number `after`, to its `End`. */
  readonly follow: (options: {
    readonly turnId: TurnId
    readonly after?: number | undefined
  }) => Stream.Stream<NumberedEvent, FollowError>
}>()("chat-workspace/http/Client") {}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Client["Service"], never, HttpClient> {
  const silence = Duration.fromInputUnsafe(options.silence ?? "45 seconds")
  const giveUp = Duration.fromInputUnsafe(options.giveUp ?? "2 minutes")
  const api = yield* HttpApiClient.make(Api, { baseUrl: options.baseUrl }).pipe(
    Effect.provide(HttpApiMiddleware.layerClient(
      Authorization,
      ({ next, request }) => next(HttpClientRequest.bearerToken(request, options.token))
    ))
  )

  /** The events of an answer, up to where it was cut off. The answer itself tells that it still lives. */
  const eventsOf = ({ stream }: HttpClientResponse): Stream.Stream<NumberedEvent, Schema.SchemaError> =>
    stream.pipe(
      Stream.timeout(silence),
      Stream.decodeText,
      Stream.pipeThroughChannel(Sse.decodeSchema(events)),
      Stream.map(({ data, id }) => ({ number: id, event: data })),
      Stream.catchTags({
        HttpClientError: () => Stream.empty,
        SseError: () => Stream.empty,
        Retry: () => Stream.empty
      })
    )

  const answered = <A, E>(asked: Effect.Effect<A, E>, after: number) =>
    Effect.timeoutOrElse(asked, {
      duration: silence,
      orElse: () => Effect.fail(new Resumption.StreamLost({ after }))
    })

  const resumed = <E extends { readonly _tag: string }>(
    after: number,
    ask: (after: number) => Effect.Effect<HttpClientResponse, E>,
    refused: (response: HttpClientResponse) => Effect.Effect<unknown, E>
  ) =>
    Resumption.make<NumberedEvent, E | Schema.SchemaError | Resumption.StreamLost>({
      after,
      giveUp,
      isLast: ({ event }) => event._tag === "End",
      isPassing: ({ _tag }) => passing.has(_tag),
      open: (after) =>
        Effect.flatMap(answered(ask(after), after), (response) =>
          response.status === 200
            ? Effect.succeed(eventsOf(response))
            : Effect.andThen(refused(response), Effect.die("An answer that is none was read")))
    })

  return Client.of({
    api,
    send: ({ chatId, messageId, text }) =>
      resumed<SendError>(
        0,
        (after) =>
          api.turns.send({
            params: { chatId },
            payload: { messageId, text },
            query: {},
            headers: { "last-event-id": after },
            responseMode: "response-only"
          }),
        sent
      ),
    follow: ({ after = 0, turnId }) =>
      resumed<FollowError>(
        after,
        (after) =>
          api.turns.follow({
            params: { turnId },
            query: {},
            headers: { "last-event-id": after },
            responseMode: "response-only"
          }),
        followed
      )
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Client, never, HttpClient> => Layer.effect(Client, make(options))

const { events } = EventStream.schema(TurnEvent)

const sent = HttpApiClient.decodeResponse(Api, { group: "turns", endpoint: "send" })
const followed = HttpApiClient.decodeResponse(Api, { group: "turns", endpoint: "follow" })

/** What another try, or another node, may not meet. */
const passing: ReadonlySet<string> = new Set([
  "HttpClientError",
  "ServerEnding",
  "StoreError",
  "StreamLost",
  "TooManyStreams",
  "TurnRefused"
])
