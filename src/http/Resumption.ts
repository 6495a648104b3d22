/**
 * Numbered events from more than one stream: where one is cut off, the next goes on behind the last event.
 *
 * How the first stream cannot be had is the caller's to know, at once. After that the source is asked again, at growing
 * distances, until it has not been there for too long.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/**
 * A stream was cut off, and could not be taken up again in time. What it had told up to the event with the number `after`
 * was told; `cause` is why the last try failed, where it did.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamLost extends Schema.TaggedError<StreamLost>()("StreamLost", {
  after: Schema.Natural,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return "The server cannot be reached any more; what it does goes on, and can be followed again."
  }
}

/**
 * - `open`: gives the events behind a number; they end where they were cut off, and fail with what is final
 * - `isLast`: nothing follows this event
 * - `isPassing`: worth another try
 * - `giveUp`: how long it is tried without an answer
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<A, E> {
  readonly after: number
  readonly open: (after: number) => Effect.Effect<Stream.Stream<A, E>, E>
  readonly isLast: (event: A) => boolean
  readonly isPassing: (error: E) => boolean
  readonly giveUp: Duration.Duration
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = <A extends { readonly number: number }, E>(
  { after, giveUp, isLast, isPassing, open }: Options<A, E>
): Stream.Stream<A, E | StreamLost> =>
  Stream.suspend(() => {
    let last = after
    let ended = false
    /** Since when nothing was heard, but for streams that ended at once. */
    let failing: { readonly since: number; readonly tries: number } | undefined
    let openedAt = Number.POSITIVE_INFINITY

    const told = (events: Stream.Stream<A, E>): Stream.Stream<A, E | StreamLost> =>
      events.pipe(
        Stream.filter(({ number }) => number > last),
        Stream.takeUntil(isLast),
        Stream.tap((event) =>
          Effect.sync(() => {
            last = event.number
            ended = isLast(event)
            failing = undefined
          })
        ),
        Stream.concat(Stream.suspend(() => ended ? Stream.empty : again()))
      )

    const opened = Effect.suspend(() => open(last)).pipe(
      Effect.zipWith(Clock.currentTimeMillis, (events, now) => {
        openedAt = now
        return told(events)
      })
    )

    const again = (cause?: E): Stream.Stream<A, E | StreamLost> =>
      Stream.unwrap(Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        if (now - openedAt > longest) failing = undefined
        openedAt = Number.POSITIVE_INFINITY
        const { since, tries } = failing ?? { since: now, tries: 0 }
        if (now - since >= Duration.toMillis(giveUp)) {
          return Stream.fail(new StreamLost({ after: last, ...(cause === undefined ? {} : { cause }) }))
        }
        failing = { since, tries: tries + 1 }
        yield* Effect.sleep(Math.min(shortest * 2 ** tries, longest) * (0.5 + (yield* Random.next) / 2))
        return yield* Effect.matchEager(opened, {
          onFailure: (error) => isPassing(error) ? again(error) : Stream.fail(error),
          onSuccess: (events) => events
        })
      }))

    return Stream.unwrap(opened)
  })

/** Between two tries, in milliseconds. */
const shortest = 200
const longest = 5000
