import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Ending from "../../../src/provisioner/process/Ending.ts"

/** Something that runs until a signal, or its number of them, ends it. */
const scripted = (ends: (signal: string, count: number) => boolean) => {
  const signals: Array<string> = []
  let runs = true
  const find: Ending.Find = () =>
    runs
      ? [(signal) => {
        signals.push(signal)
        runs = !ends(signal, signals.length)
      }]
      : []
  return {
    find,
    signals,
    end: () => {
      runs = false
    }
  }
}

describe("Ending", () => {
  it.effect("what ends by itself when it is asked is not killed", () =>
    Effect.gen(function*() {
      const { end, find, signals } = scripted(() => false)
      const ending = yield* Effect.forkChild(Ending.end(find, "3 seconds"))
      yield* TestClock.adjust("2900 millis")
      end()
      yield* TestClock.adjust("60 millis")
      assert.isTrue(yield* Fiber.join(ending))
      assert.deepStrictEqual(signals, ["SIGTERM"])
    }))

  it.effect("what does not is killed when its time is over, not before", () =>
    Effect.gen(function*() {
      const { find, signals } = scripted((signal) => signal === "SIGKILL")
      const ending = yield* Effect.forkChild(Ending.end(find, "3 seconds"))
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(signals, ["SIGTERM"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(signals, ["SIGTERM", "SIGKILL"])
      yield* TestClock.adjust("40 millis")
      assert.isTrue(yield* Fiber.join(ending))
    }))

  it.effect("without time it is killed at once, and what it left behind with it", () =>
    Effect.gen(function*() {
      const { find, signals } = scripted((_, count) => count === 3)
      const ending = yield* Effect.forkChild(Ending.end(find, 0))
      yield* TestClock.adjust("80 millis")
      assert.isTrue(yield* Fiber.join(ending))
      assert.deepStrictEqual(signals, ["SIGKILL", "SIGKILL", "SIGKILL"])
    }))

  it.effect("what is seen again after it was gone has not ended", () =>
    Effect.gen(function*() {
      let looks = 0
      const signals: Array<string> = []
      // Gone at the second look only, as a process is that becomes another program.
      const find: Ending.Find = () => ++looks === 2 || looks > 5 ? [] : [(signal) => void signals.push(signal)]
      const ending = yield* Effect.forkChild(Ending.end(find, "3 seconds"))
      yield* TestClock.adjust("20 millis")
      assert.isUndefined(ending.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* Fiber.join(ending))
    }))

  it.effect("says when something outlives its kill, after a second", () =>
    Effect.gen(function*() {
      const { find } = scripted(() => false)
      const ending = yield* Effect.forkChild(Ending.end(find, "3 seconds"))
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(ending.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isFalse(yield* Fiber.join(ending))
    }))

  it.effect("several are ended in their order, in one time for all", () =>
    Effect.gen(function*() {
      const first = scripted((signal) => signal === "SIGKILL")
      const second = scripted((signal) => signal === "SIGKILL")
      const ending = yield* Effect.forkChild(Ending.endInOrder([first.find, second.find], "3 seconds"))
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(second.signals, [])
      yield* TestClock.adjust("41 millis")
      assert.deepStrictEqual(first.signals, ["SIGTERM", "SIGKILL"])
      assert.deepStrictEqual(second.signals, ["SIGKILL"])
      yield* TestClock.adjust("40 millis")
      assert.isTrue(yield* Fiber.join(ending))
    }))
})
