/** What is reachable, measured after a collection: what the process holds of the system says little about it. */
import { Effect, Fiber, Schedule } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** Reachable bytes, those of buffers outside of the heap included. */
export const liveBytes = (): number => {
  collect()
  // The buffers that were found are freed by another thread; the next collection waits for it.
  collect()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

/** The most that was reachable at once while the effect ran, over what was reachable before. */
export const peak = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const before = liveBytes()
    let most = before
    const look = Effect.sync(() => {
      most = Math.max(most, liveBytes())
    })
    return Effect.gen(function*() {
      const looking = yield* Effect.forkChild(Effect.repeat(look, Schedule.spaced("50 millis")))
      const result = yield* effect
      yield* Fiber.interrupt(looking)
      return [most - before, result] as const
    })
  })
