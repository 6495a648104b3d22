import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, type Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Pace from "../../src/store/Pace.ts"

const make = Effect.map(Clock.Clock, Pace.make)

const turn = Effect.callback<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

const waits = (pace: Pace.Pace): Effect.Effect<Fiber.Fiber<void>> =>
  Effect.forkChild(pace.wait, { startImmediately: true })

describe("the store is asked", () => {
  it.effect("at once by so many in a second, however they come", () =>
    Effect.gen(function*() {
      const pace = yield* make
      for (let index = 0; index < Pace.crowd; index++) {
        yield* pace.wait
        pace.went(1)
      }
      yield* TestClock.adjust("1 second")
      yield* pace.wait
      pace.went(Pace.crowd)
    }))

  it.effect("by a crowd once in an interval", () =>
    Effect.gen(function*() {
      const pace = yield* make
      pace.went(Pace.crowd)
      for (let round = 0; round < 5; round++) {
        const waiting = yield* waits(pace)
        yield* TestClock.adjust("399 millis")
        yield* turn
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        yield* turn
        assert.isDefined(waiting.pollUnsafe())
        pace.went(1000)
      }
    }))

  it.effect("at once again a second or two after the crowd", () =>
    Effect.gen(function*() {
      const pace = yield* make
      pace.went(10_000)
      yield* TestClock.adjust("1001 millis")
      yield* pace.wait
      // One more fills up what is left; the next one waits.
      pace.went(1)
      const waiting = yield* waits(pace)
      yield* turn
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      for (let index = 0; index < Pace.crowd; index++) {
        yield* pace.wait
        pace.went(1)
      }
    }))

  it.effect("at once when a clock was set back", () =>
    Effect.gen(function*() {
      const pace = yield* make
      yield* TestClock.adjust("1 hour")
      pace.went(Pace.crowd)
      yield* TestClock.setTime(0)
      const waiting = yield* waits(pace)
      yield* TestClock.adjust(Pace.interval)
      yield* turn
      assert.isDefined(waiting.pollUnsafe())
    }))
})
