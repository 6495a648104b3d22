/**
 * How often the store is asked on behalf of a crowd: few go at once, many go together, a few times in a second.
 *
 * What comes in one turn of the event loop is one statement already. Agents that come back all at once are greeted one
 * after the other, though, and would be a statement each. While more come than a pool would notice, each batch waits until
 * an interval has passed since the one before.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/**
 * @since 0.1.0
 * @category models
 */
export interface Pace {
  /** Waits until the next batch may go. */
  readonly wait: Effect.Effect<void>
  /** A batch of so many goes now. */
  readonly went: (size: number) => void
}

/**
 * What goes at once, and the same again in each second. More is a crowd.
 *
 * @since 0.1.0
 * @category constants
 */
export const crowd = 16

/**
 * Between two batches of a crowd.
 *
 * @since 0.1.0
 * @category constants
 */
export const interval = Duration.millis(400)

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (clock: Clock.Clock): Pace => {
  const intervalMillis = Duration.toMillis(interval)
  let level = 0
  let wentAt = -Infinity
  const sinceLast = (): number => Math.max(0, clock.currentTimeMillisUnsafe() - wentAt)
  const levelNow = (): number => Math.max(0, level - sinceLast() * crowd / 1000)
  return {
    wait: Effect.suspend(() => {
      const left = intervalMillis - sinceLast()
      // A turn of the event loop, so that what comes together goes together.
      return levelNow() < crowd || left <= 0 ? Effect.yieldNow : Effect.sleep(left)
    }).pipe(Effect.asVoid),
    went: (size) => {
      // No more than two seconds' worth: when the crowd is in, who comes next does not wait for it.
      level = Math.min(2 * crowd, levelNow() + size)
      wentAt = clock.currentTimeMillisUnsafe()
    }
  }
}
