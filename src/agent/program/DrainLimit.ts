/**
 * How fast output is read, all processes together.
 *
 * Output is always read, or its process would stop at a full pipe; but a command that writes without end would take the
 * whole event loop, and the calls beside it would wait. A stream that used up the present window is paused to its end.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Readable } from "node:stream"

/**
 * @since 0.1.0
 * @category models
 */
export interface DrainLimit {
  /** Counts what was read and pauses the stream when that was too much for the window. */
  readonly took: (bytes: number, stream: Readable) => void
  /** Lets a stream run on and forgets it. */
  readonly release: (stream: Readable) => void
}

/**
 * `rate` is in bytes a second.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly rate: number
  readonly window: Duration.Duration
}): Effect.fn.Return<DrainLimit, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const window = Duration.toMillis(options.window)
  const budget = options.rate * window / 1000
  const paused = new Set<Readable>()
  let opened = clock.currentTimeMillisUnsafe()
  let used = 0

  const open = (now: number): void => {
    // What was read beyond the budget counts against the windows to come.
    used = Math.max(0, used - budget * Math.max(1, Math.floor((now - opened) / window)))
    opened = now
  }

  const nextWindow: Effect.Effect<void> = Effect.delay(
    Effect.suspend(() => {
      open(clock.currentTimeMillisUnsafe())
      if (used >= budget) return nextWindow
      const streams = [...paused]
      paused.clear()
      for (const stream of streams) stream.resume()
      return Effect.void
    }),
    options.window
  )

  return {
    took: (bytes, stream) => {
      const now = clock.currentTimeMillisUnsafe()
      if (paused.size === 0 && now - opened >= window) open(now)
      used += bytes
      if (used < budget) return
      stream.pause()
      paused.add(stream)
      if (paused.size === 1) Fiber.runIn(fork(nextWindow), scope)
    },
    release: (stream) => {
      paused.delete(stream)
      stream.resume()
    }
  }
})
