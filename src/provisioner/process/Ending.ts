/**
 * Ends processes for sure: asked first, killed after a time, and looked for until nothing is found.
 *
 * What is to be ended is found anew each time, in the step in which the signal is sent: a number that was found before may
 * be another's by now, and a process that was found may have started one that was not.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Signal } from "../../agent/Protocol.ts"

/**
 * Something that runs now, and the way to signal it.
 *
 * @since 0.1.0
 * @category models
 */
export type Running = (signal: Signal) => void

/**
 * Looks for what runs, at once.
 *
 * @since 0.1.0
 * @category models
 */
export type Find = () => ReadonlyArray<Running>

/**
 * Sends TERM to what is found, gives it `within` to end, and sends KILL to what is found then. False when there still is
 * something after that.
 *
 * @since 0.1.0
 * @category combinators
 */
export const end = Effect.fnUntraced(function*(find: Find, within: Duration.Input): Effect.fn.Return<boolean> {
  if (Duration.isPositive(Duration.fromInputUnsafe(within))) {
    signalAll(find, "SIGTERM")
    if (yield* gone(find, within)) return true
  }
  return yield* gone(() => signalAll(find, "SIGKILL"), killTakes)
})

/**
 * The same for several, one after the other, in `within` for all of them together.
 *
 * @since 0.1.0
 * @category combinators
 */
export const endInOrder = Effect.fnUntraced(function*(
  finds: ReadonlyArray<Find>,
  within: Duration.Input
): Effect.fn.Return<boolean> {
  const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(Duration.fromInputUnsafe(within))
  let ended = true
  for (const find of finds) {
    const left = Math.max(0, until - (yield* Clock.currentTimeMillis))
    ended = (yield* end(find, Duration.millis(left))) && ended
  }
  return ended
})

const signalAll = (find: Find, signal: Signal): ReadonlyArray<Running> => {
  const found = find()
  for (const running of found) running(signal)
  return found
}

/** Seen to be so twice, since what becomes another program is in no list for a moment. */
const gone = (find: Find, within: Duration.Input): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    for (let clear = 0; clear < 2;) {
      clear = find().length === 0 ? clear + 1 : 0
      if (clear < 2) yield* Effect.sleep(lookEvery)
    }
    return true
  }).pipe(Effect.timeoutOrElse({ duration: within, orElse: () => Effect.succeed(false) }))

const lookEvery = Duration.millis(20)

/** A killed process is gone as soon as the kernel comes to it; one that waits for a broken disk is not. */
const killTakes = Duration.seconds(1)
