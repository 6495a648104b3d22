/**
 * The right to go on with what the store holds for one node: kept while the store confirms it, given up before it could
 * end.
 *
 * Between two holders only time stands. So a lease counts from the instant before the store was asked, and is given up one
 * renewal before its end: what was begun under it has ended by then.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { StoreError } from "../domain/Errors.ts"
import * as Bounded from "./Bounded.ts"

/**
 * A lease, and what the store may say instead of `"held"`. It is `"lost"` too when the store cannot be asked in time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lease<out Verdict> {
  /** Renews until there is a reason to stop. */
  readonly keep: Effect.Effect<Verdict>
  /** Whether something may begin, whatever the fiber that renews has come to. */
  readonly isHeld: () => boolean
  /** How long the lease still lasts, as far as is known here. */
  readonly left: () => Duration.Duration
}

/**
 * `of` is what the lease is on, for the log. It was asked for at `since`, in milliseconds of the clock, and lasts for
 * `lease`; the store is asked again after each `every`, or a third of the lease if that is shorter, and after `poll` while
 * it fails. `pause` waits for that long, or until there is a reason to ask at once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<Verdict> {
  readonly of: string
  readonly renew: Effect.Effect<"held" | Verdict, StoreError>
  readonly since: number
  readonly lease: Duration.Duration
  readonly every: Duration.Duration
  readonly poll: Duration.Duration
  readonly pause: (within: Duration.Input) => Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.map(
  Clock.Clock,
  (clock) => <Verdict>(options: Options<Verdict>): Lease<Verdict | "lost"> => {
    const lease = Duration.toMillis(options.lease)
    const every = Math.min(Duration.toMillis(options.every), lease / 3)
    const poll = Math.min(Duration.toMillis(options.poll), every)
    let confirmedAt = options.since
    const until = (age: number): number => Math.max(0, confirmedAt + age - clock.currentTimeMillisUnsafe())

    const keep = Effect.gen(function*(): Effect.fn.Return<Verdict | "lost"> {
      let pause = every
      while (true) {
        yield* options.pause(Math.min(pause, until(lease - every)))
        // Looked at before anything is asked: a process that was frozen wakes here when its lease is over.
        const left = until(lease - every)
        if (left === 0) return lost
        const askedAt = clock.currentTimeMillisUnsafe()
        const answer = yield* Bounded.within(Effect.result(options.renew), left)
        if (Option.isNone(answer)) return lost
        if (Result.isFailure(answer.value)) {
          // Once per outage.
          if (pause === every) {
            yield* Effect.logWarning(`The lease on a ${options.of} cannot be renewed`, answer.value.failure)
          }
          pause = poll
        } else if (isHeld(answer.value.success)) {
          confirmedAt = askedAt
          pause = every
        } else return answer.value.success
      }
    })

    return { keep, isHeld: () => until(lease - every) > 0, left: () => Duration.millis(until(lease)) }
  }
)

const lost = "lost" as const

const isHeld = <Verdict>(verdict: "held" | Verdict): verdict is "held" => verdict === "held"
