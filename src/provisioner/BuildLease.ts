/**
 * The right of a runner to go on with a build: kept while the store confirms it, given up before it could end.
 *
 * Between two runners of one build only time stands. So a runner counts its lease from the instant before it asked, and
 * gives up one renewal before the end: what its provider began has ended by then.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { Builds } from "../store/Builds.ts"
import type { Renewal, TakenBuild } from "../store/Builds.ts"
import * as Bounded from "./Bounded.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"

/**
 * Why a runner stops: somebody wants the build canceled; or it is not its build any more, or may not be soon, because the
 * store could not be asked.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict = Exclude<Renewal, "held">

/**
 * @since 0.1.0
 * @category models
 */
export interface BuildLease {
  /** Renews until there is a reason to stop. */
  readonly keep: Effect.Effect<Verdict>
  /** How long the lease still lasts, as far as is known here. */
  readonly left: () => Duration.Duration
}

/**
 * Leases on builds that were asked for at `takenAt`, in milliseconds of the clock.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<(taken: TakenBuild, takenAt: number) => BuildLease, never, Builds> = Effect.gen(
  function*() {
    const builds = yield* Builds
    const clock = yield* Clock.Clock
    const config = yield* ProvisionerConfig
    const lease = Duration.toMillis(config.lease)
    const renew = Math.min(Duration.toMillis(config.renew), lease / 3)
    const poll = Duration.toMillis(config.poll)

    return ({ build: { buildId }, epoch }, takenAt) => {
      let confirmedAt = takenAt
      const until = (age: number): number => Math.max(0, confirmedAt + age - clock.currentTimeMillisUnsafe())

      const keep = Effect.gen(function*(): Effect.fn.Return<Verdict> {
        let pause = renew
        while (true) {
          yield* Effect.sleep(Math.min(pause, until(lease - renew)))
          // Looked at before anything is asked: a process that was frozen wakes here when its lease is over.
          const left = until(lease - renew)
          if (left === 0) return "lost"
          const askedAt = clock.currentTimeMillisUnsafe()
          const answer = yield* Bounded.within(
            Effect.result(builds.renew({ buildId, epoch, lease: config.lease })),
            left
          )
          if (Option.isNone(answer)) return "lost"
          if (Result.isFailure(answer.value)) {
            // Once per outage.
            if (pause === renew) {
              yield* Effect.logWarning("The lease on a build cannot be renewed", answer.value.failure)
            }
            pause = poll
          } else if (answer.value.success === "held") {
            confirmedAt = askedAt
            pause = renew
          } else {
            return answer.value.success
          }
        }
      })

      return { keep, left: () => Duration.millis(until(lease)) }
    }
  }
)
