/**
 * Fibers that no caller waits for: shared dials, flights, releases and idle times.
 *
 * They run with the context of the layer that owns them (its clock, tracer and scheduler, never a caller's transaction
 * or tenant), and end with it: the owner's scope interrupts them all without waiting, gives them the drain time
 * together, then logs how many are left and goes. A `FiberSet` would wait for them without a bound.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/**
 * @since 0.1.0
 * @category models
 */
export interface Detached {
  /**
   * Starts a fiber at once. One that releases must be `uninterruptible`, by this option: the end of the layer would
   * otherwise interrupt the release itself, and a wrapper leaves a gap before its first step.
   */
  readonly run: <A, E>(
    effect: Effect.Effect<A, E>,
    options?: { readonly uninterruptible?: boolean | undefined }
  ) => Fiber.Fiber<A, E>
  /** How many have not ended. */
  readonly size: () => number
}

/**
 * A set of fibers that ends with the scope, within the drain time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(drain: Duration.Input): Effect.fn.Return<Detached, never, Scope.Scope> {
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
    let ending = false
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        ending = true
        for (const fiber of fibers) fiber.interruptUnsafe()
        // The set itself, not a copy: a release that begins during the drain is waited for too.
        return Effect.timeoutOrElse(Effect.asVoid(Fiber.awaitAll(fibers)), {
          duration: drain,
          orElse: () => Effect.logWarning(`${fibers.size} fibers of the dial did not end in time and were left`)
        })
      })
    )
    return {
      run: (effect, options) => {
        const fiber = fork(effect, options?.uninterruptible === true ? { uninterruptible: true } : undefined)
        // A caller that was on its way when the layer ended starts nothing that it would have to wait for.
        if (ending) fiber.interruptUnsafe()
        if (fiber.pollUnsafe() === undefined) {
          fibers.add(fiber)
          fiber.addObserver(() => fibers.delete(fiber))
        }
        return fiber
      },
      size: () => fibers.size
    }
  }
)
