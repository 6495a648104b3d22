import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { StoreError, TurnLost } from "../../src/domain/Errors.ts"
import { TurnId } from "../../src/domain/Ids.ts"
import type { TurnEvent } from "../../src/domain/Turn.ts"
import * as TurnEvents from "../../src/turn/TurnEvents.ts"
import * as TurnLimits from "../../src/turn/TurnLimits.ts"

const text = (delta: string): TurnEvent => ({ _tag: "Text", delta })
const end: TurnEvent = { _tag: "End", status: "done", reason: null }

/** Events whose store answers as a test says. */
const make = (answer: () => Effect.Effect<void, StoreError | TurnLost> = () => Effect.void) => {
  const written: Array<readonly [from: number, count: number]> = []
  const events = TurnEvents.make((from, events) => {
    written.push([from, events.length])
    return Effect.suspend(answer)
  }, TurnLimits.defaults)
  return { events, written }
}

describe("the events of a turn", () => {
  it.effect("are stored once each, some at a time", () =>
    Effect.gen(function*() {
      const { events, written } = make()
      for (let i = 0; i < 501; i++) events.tell(text("x"))
      yield* events.flush
      yield* events.flush
      events.tell(text("y"))
      yield* events.flush
      assert.deepStrictEqual(written, [[1, 500], [501, 1], [502, 1]])
    }))

  it.effect("are gathered for a short while before they are stored", () =>
    Effect.gen(function*() {
      const { events, written } = make()
      yield* Effect.forkChild(events.flushing, { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(written, [])
      events.tell(text("a"))
      yield* TestClock.adjust("249 millis")
      events.tell(text("b"))
      assert.deepStrictEqual(written, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(written, [[1, 2]])
    }))

  it.effect("are stored again and again while the store fails, and not any more once the turn is lost", () =>
    Effect.gen(function*() {
      let error: StoreError | TurnLost = new StoreError({ operation: "planted" })
      const { events, written } = make(() => Effect.fail(error))
      const flushing = yield* Effect.forkChild(events.flushing, { startImmediately: true })
      events.tell(text("a"))
      yield* TestClock.adjust("2250 millis")
      assert.deepStrictEqual(written, [[1, 1], [1, 1], [1, 1]])
      error = new TurnLost({ turnId: TurnId.make("t") })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Effect.flip(Fiber.join(flushing)), error)
    }))

  it.effect("end with the last, and nothing is told after it", () =>
    Effect.gen(function*() {
      const { events } = make()
      const early = yield* Effect.forkChild(Stream.runCollect(events.follow(0)), { startImmediately: true })
      events.tell(text("a"))
      events.end(end)
      events.tell(text("late"))
      events.end({ _tag: "End", status: "crashed", reason: "lost" })
      const all = [{ number: 1, event: text("a") }, { number: 2, event: end }]
      assert.deepStrictEqual(Array.from(yield* Fiber.join(early)), all)
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(events.follow(0))), all)
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(events.follow(1))), all.slice(1))
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(events.follow(2))), [])
    }))

  it.effect("one who does not listen for a while misses nothing", () =>
    Effect.gen(function*() {
      const { events } = make()
      const numbers: Array<number> = []
      const slow = yield* Effect.forkChild(
        Stream.runForEach(events.follow(0), ({ number }) =>
          Effect.andThen(Effect.sleep("1 minute"), Effect.sync(() => numbers.push(number)))),
        { startImmediately: true }
      )
      for (let i = 0; i < 5; i++) {
        events.tell(text("x"))
        yield* TestClock.adjust("1 second")
      }
      events.end(end)
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(slow)
      assert.deepStrictEqual(numbers, [1, 2, 3, 4, 5, 6])
    }))
})
