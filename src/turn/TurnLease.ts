/**
 * The right of a node to go on with a turn: kept while the store confirms it, given up before it could end.
 *
 * Behind a node that was frozen another may have ended the turn. So a node counts its lease from the instant before it
 * asked, and begins nothing any more one renewal before the end: `isHeld` is looked at before each step and each call,
 * whatever the fiber that renews has come to.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Turn } from "../domain/Turn.ts"
import * as Bounded from "../provisioner/Bounded.ts"
import { TurnStore } from "../store/TurnStore.ts"
import type { TurnRenewal } from "../store/TurnStore.ts"
import { TurnLimits } from "./TurnLimits.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface TurnLease {
  /** Renews until there is a reason to stop. */
  readonly keep: Effect.Effect<Exclude<TurnRenewal, "held">>
  /** Whether something may begin. */
  readonly isHeld: () => boolean
  /** How long the lease still lasts, as far as is known here. */
  readonly left: () => Duration.Duration
}

/**
 * Leases on turns that were begun by a call at `beganAt`, in milliseconds of the clock.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<(turn: Turn, beganAt: number) => TurnLease, never, TurnStore> = Effect.gen(
  function*() {
    const store = yield* TurnStore
    const clock = yield* Clock.Clock
    const limits = yield* TurnLimits
    const lease = Duration.toMillis(limits.lease)
    const renew = Math.min(Duration.toMillis(limits.renew), lease / 3)
    const poll = Math.min(Duration.toMillis(limits.poll), renew)

    return ({ epoch, turnId }, beganAt) => {
      let confirmedAt = beganAt
      const until = (age: number): number => Math.max(0, confirmedAt + age - clock.currentTimeMillisUnsafe())

      const keep = Effect.gen(function*(): Effect.fn.Return<Exclude<TurnRenewal, "held">> {
        let pause = renew
        while (true) {
          yield* Effect.sleep(Math.min(pause, until(lease - renew)))
          // Looked at before anything is asked: a process that was frozen wakes here when its lease is over.
          const left = until(lease - renew)
          if (left === 0) return "lost"
          const askedAt = clock.currentTimeMillisUnsafe()
          const answer = yield* Bounded.within(
            Effect.result(store.renew({ turnId, epoch, lease: limits.lease })),
            left
          )
          if (Option.isNone(answer)) return "lost"
          if (Result.isFailure(answer.value)) {
            // Once per outage.
            if (pause === renew) yield* Effect.logWarning("The lease on a turn cannot be renewed", answer.value.failure)
            pause = poll
          } else if (answer.value.success === "held") {
            confirmedAt = askedAt
            pause = renew
          } else return answer.value.success
        }
      })

      return { keep, isHeld: () => until(lease - renew) > 0, left: () => Duration.millis(until(lease)) }
    }
  }
)
