/**
 * What Ctrl-C and SIGTERM do in a command, before they end it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * Asks `handle` about each signal, for the life of the scope. What it does not take, by answering false, goes to those who
 * listened before: they end the command in an orderly way.
 *
 * @since 0.1.0
 * @category constructors
 */
export const intercept = (handle: (count: number) => boolean): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      let count = 0
      return signals.map((signal) => {
        const before = process.listeners(signal)
        const listener = () => {
          if (!handle(++count)) { for (const one of before) one(signal) }
        }
        process.removeAllListeners(signal)
        process.on(signal, listener)
        return { signal, before, listener }
      })
    }),
    (all) =>
      Effect.sync(() => {
        for (const { before, listener, signal } of all) {
          process.off(signal, listener)
          for (const one of before) process.on(signal, one)
        }
      })
  ))

/**
 * The first signal ends the command in an orderly way, of which `begun` is told; the second ends the process at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const secondEndsAtOnce = (begun: () => void): Effect.Effect<void, never, Scope.Scope> =>
  intercept((count) => {
    if (count > 1) process.exit(interrupted)
    begun()
    return false
  })

const signals = ["SIGINT", "SIGTERM"] as const

/** The code of a command that was interrupted, which `runMain` has too. */
const interrupted = 130
