/**
 * Waits that end in time, whatever it is that they wait for.
 *
 * A timeout directly over an effect waits until the effect has heard of it, and one that ignores its interruption holds
 * everybody. Here the effect has a fiber of its own, and only the wait for it ends.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"

/**
 * What the effect came to, or none when that took longer. It is interrupted then, and when the wait is.
 *
 * @since 0.1.0
 * @category combinators
 */
export const within = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.Input
): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.acquireUseRelease(
    Effect.forkDetach(effect, { startImmediately: true }),
    (fiber) => Effect.timeoutOption(Fiber.join(fiber), duration),
    (fiber) => Effect.sync(() => fiber.interruptUnsafe())
  )
