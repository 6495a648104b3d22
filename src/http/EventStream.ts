/**
 * Streams of server-sent events, which a client that was cut off goes on with behind the last event it has.
 *
 * Each event has the number of what it tells as its id. A stream that has nothing to tell says so with a comment, also at
 * its beginning, so that neither a proxy nor its client takes it for dead. It ends after the last event; one that ends
 * before, because its node ended or the store could not answer, is taken up again with `Last-Event-ID`. A client that
 * goes away ends its stream and nothing else.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { OwnerId } from "../domain/Ids.ts"
import { CurrentPrincipal } from "./Authentication.ts"
import { HttpConfig } from "./HttpConfig.ts"
import { TooManyStreams } from "./HttpErrors.ts"
import * as HttpMetrics from "./HttpMetrics.ts"

/**
 * The number of what is told, from 1, and the data of the event.
 *
 * @since 0.1.0
 * @category models
 */
export interface Told<A> {
  readonly number: number
  readonly data: A
}

/** As large as the store counts. */
const Number = Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

/**
 * The answer of an endpoint that streams, for its contract.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = <S extends Schema.Constraint>(data: S) =>
  HttpApiSchema.StreamSse({
    events: Schema.Struct({ id: Number, event: Schema.String, data: Schema.fromJsonString(data) })
  })

/**
 * Where a client goes on, for the contract of an endpoint: the header that clients of event streams send by themselves.
 *
 * @since 0.1.0
 * @category schemas
 */
export const headers = {
  "last-event-id": Schema.optionalKey(Number.pipe(
    Schema.annotateEncoded({ description: "The id of the last event that you have" })
  ))
}

/**
 * The same as a query. The header counts where both are given.
 *
 * @since 0.1.0
 * @category schemas
 */
export const query = {
  after: Schema.optionalKey(Number.pipe(
    Schema.annotateEncoded({ description: "As Last-Event-ID, which counts where both are given" })
  ))
}

/**
 * The number behind which a client goes on, 0 for the beginning.
 *
 * @since 0.1.0
 * @category getters
 */
export const after = (request: {
  readonly headers: { readonly "last-event-id"?: number | undefined }
  readonly query: { readonly after?: number | undefined }
}): number => request.headers["last-event-id"] ?? request.query.after ?? 0

/**
 * What an endpoint streams. `headers` are those beside the ones that every stream has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<A, E> {
  readonly data: Schema.Codec<A, unknown>
  readonly events: Stream.Stream<Told<A>, E>
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Makes the answer of a request out of what it streams.
 *
 * @since 0.1.0
 * @category models
 */
export type Respond = <A, E>(options: Options<A, E>) => HttpServerResponse.HttpServerResponse

/**
 * @since 0.1.0
 * @category services
 */
export class EventStreams extends Context.Service<EventStreams, {
  /**
   * Holds a place of the owner for the life of the request, before something is done that should not be done without one.
   * Fails with `TooManyStreams` when there is none.
   */
  readonly reserve: Effect.Effect<Respond, TooManyStreams, CurrentPrincipal | Scope.Scope>
  /** Answers a request with a stream, in a place of its owner. Fails with `TooManyStreams` when there is none. */
  readonly respond: <A, E>(
    options: Options<A, E>
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, TooManyStreams, CurrentPrincipal | Scope.Scope>
}>()("chat-workspace/http/EventStreams") {}

const make = Effect.gen(function*() {
  const { keepAlive, streamsPerOwner } = yield* HttpConfig
  const open = new Map<OwnerId, number>()

  const gauge = (by: number): Effect.Effect<void> => Metric.modify(HttpMetrics.streams, by)

  const enter = (owner: OwnerId): Effect.Effect<void, TooManyStreams> =>
    Effect.suspend(() => {
      const count = open.get(owner) ?? 0
      if (count >= streamsPerOwner) return new TooManyStreams({ limit: streamsPerOwner })
      open.set(owner, count + 1)
      return gauge(1)
    })

  const leave = (owner: OwnerId): Effect.Effect<void> =>
    Effect.suspend(() => {
      const count = open.get(owner) ?? 0
      if (count > 1) open.set(owner, count - 1)
      else open.delete(owner)
      return gauge(-1)
    })

  const silence = Stream.map(Stream.tick(keepAlive), () => ": keep-alive\n\n")

  const respond: Respond = ({ data, events, headers }) => {
    const encode = Schema.encodeEffect(Schema.fromJsonString(Schema.toCodecJson(data)))
    const told = events.pipe(
      Stream.mapEffect(({ data, number }) =>
        Effect.map(
          encode(data),
          (data) => Sse.encoder.write({ _tag: "Event", event: "message", id: `${number}`, data })
        )
      ),
      // The client has not heard the last event, and comes again.
      Stream.catchCause((cause) =>
        Stream.fromEffectDrain(
          Effect.annotateLogs(Effect.logWarning("A stream ended early", cause), { module: "EventStream" })
        )
      ),
      Stream.merge(silence, { haltStrategy: "left" }),
      Stream.encodeText
    )
    return HttpServerResponse.stream(told, {
      contentType: "text/event-stream",
      headers: { "cache-control": "no-store", "x-accel-buffering": "no", ...headers }
    })
  }

  const reserve = CurrentPrincipal.pipe(
    Effect.flatMap(({ owner }) => Effect.acquireRelease(enter(owner), () => leave(owner))),
    Effect.as(respond)
  )

  // Zero, and not nothing, is shown before the first of them.
  yield* gauge(0)
  return EventStreams.of({
    reserve,
    respond: (options) => Effect.map(reserve, (respond) => respond(options))
  })
})

/**
 * Counts the streams of this node, of all groups that are given the same layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<EventStreams> = Layer.effect(EventStreams, make)
