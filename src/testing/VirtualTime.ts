/**
 * Layers that wait when they close, under a clock that stands still.
 *
 * A layer that gives its fibers time to end sleeps on the clock of the test when it closes, and nobody moves that clock
 * any more: the test hangs. Here the clock is moved while the layer closes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { TestClock } from "effect/testing/TestClock"

/**
 * How long the layer may take to close, in time of the clock: 2 seconds unless said otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly drain?: Duration.Input | undefined
}

/**
 * Provides a layer that is built for this effect alone, and closes it while a virtual clock passes the drain. Under a
 * live clock it just closes it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide =
  <ROut, E2, RIn>(layer: Layer.Layer<ROut, E2, RIn>, options?: Options) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, RIn | Exclude<R, ROut>> =>
    Effect.acquireUseRelease(
      Scope.make(),
      (scope) =>
        Effect.flatMap(
          Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), scope),
          (context) => Effect.provideContext(effect, context)
        ),
      (scope, exit) => close(scope, exit, options)
    )

/**
 * Closes a scope while a virtual clock passes the drain.
 *
 * @since 0.1.0
 * @category combinators
 */
export const close = Effect.fnUntraced(function*(
  scope: Scope.Closeable,
  exit: Exit.Exit<unknown, unknown> = Exit.void,
  options?: Options
): Effect.fn.Return<void> {
  const clock = yield* Clock.Clock
  if (!isVirtual(clock)) return yield* Scope.close(scope, exit)
  const closing = yield* Effect.forkChild(Scope.close(scope, exit), { startImmediately: true })
  yield* clock.adjust(Duration.zero)
  // Time moves only where somebody waits for it, so that a test goes on at the instant it expects.
  if (closing.pollUnsafe() === undefined) yield* clock.adjust(options?.drain ?? Duration.seconds(2))
  yield* Fiber.join(closing)
})

const isVirtual = (clock: Clock.Clock): clock is TestClock => "adjust" in clock && typeof clock.adjust === "function"
