/**
 * What a turn of this node tells: numbered, kept in memory for whoever follows it here, and stored for all others.
 *
 * Nobody who follows holds up the turn: a slow one reads later from the same list. The list is bounded; what is left out
 * then is text and progress, which the history has whole.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { StoreError, TurnLost } from "../domain/Errors.ts"
import type { NumberedEvent, TurnEvent } from "../domain/Turn.ts"
import type { TurnLimits } from "./TurnLimits.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface TurnEvents {
  /** Tells something, unless the turn has ended. */
  readonly tell: (event: TurnEvent) => void
  /** The last event; nothing follows it. */
  readonly end: (event: TurnEvent) => void
  /** Everything behind the event with this number, until the last. */
  readonly follow: (after: number) => Stream.Stream<NumberedEvent>
  /** Stores what was told so far. */
  readonly flush: Effect.Effect<void, TurnLost | StoreError>
  /** Stores what is told, a little later, for as long as it runs. */
  readonly flushing: Effect.Effect<never, TurnLost>
}

/**
 * @since 0.1.0
 * @category models
 */
export type Append = (
  from: number,
  events: ReadonlyArray<TurnEvent>
) => Effect.Effect<void, TurnLost | StoreError>

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (append: Append, limits: TurnLimits): TurnEvents => {
  const told: Array<TurnEvent> = []
  let stored = 0
  let ended = false
  let next = Deferred.makeUnsafe<void>()

  const push = (event: TurnEvent): void => {
    told.push(event)
    const woken = next
    next = Deferred.makeUnsafe()
    Deferred.doneUnsafe(woken, Effect.void)
  }

  const isMuch = ({ _tag }: TurnEvent): boolean => _tag === "Text" || _tag === "Progress"

  const flush = Effect.gen(function*() {
    while (stored < told.length) {
      const batch = told.slice(stored, stored + batchSize)
      yield* append(stored + 1, batch)
      stored += batch.length
    }
  })

  return {
    tell: (event) => {
      if (ended || isMuch(event) && told.length > limits.events) return
      push(isMuch(event) && told.length === limits.events ? { _tag: "Notice", message: tooMuch } : event)
    },
    end: (event) => {
      if (ended) return
      ended = true
      push(event)
    },
    follow: (after) =>
      Stream.paginate(Math.max(0, after), (from) =>
        Effect.suspend(() => {
          const events = told.slice(from).map((event, index) => ({ number: from + index + 1, event }))
          const to = from + events.length
          if (ended && to >= told.length) return Effect.succeed([events, Option.none<number>()] as const)
          const page = Effect.succeed([events, Option.some(to)] as const)
          return events.length > 0 ? page : Effect.andThen(Deferred.await(next), page)
        })),
    flush,
    flushing: Effect.gen(function*() {
      let failing = false
      while (true) {
        if (stored === told.length) yield* Deferred.await(next)
        yield* Effect.sleep(failing ? limits.poll : limits.flush)
        failing = yield* Effect.matchEffect(flush, {
          onSuccess: () => Effect.succeed(false),
          onFailure: (error) =>
            error._tag === "TurnLost"
              ? Effect.fail(error)
              // Once per outage.
              : Effect.as(failing ? Effect.void : Effect.logWarning("Events of a turn cannot be stored", error), true)
        })
      }
    })
  }
}

const batchSize = 500

const tooMuch = "This turn tells so much that its text and progress are not shown any more; the history has it all."
