import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { TurnEvent } from "../../src/domain/Turn.ts"
import * as TurnCalls from "../../src/turn/TurnCalls.ts"
import * as TurnLimits from "../../src/turn/TurnLimits.ts"
import * as t from "./support/turns.ts"

describe("the result of a call", () => {
  it.effect("is the first, whatever a tool says after it", () =>
    Effect.gen(function*() {
      const { toolkit } = yield* t.tools()
      const answer = { isFailure: false, preliminary: false } as const
      const told: Array<TurnEvent> = []
      const step = TurnCalls.make({
        calls: [{ id: "a", name: "echo", params: {} }],
        toolkit: {
          tools: toolkit.tools,
          handle: () =>
            Effect.succeed(Stream.make(
              { ...answer, result: 1, encodedResult: 1 },
              { ...answer, result: 2, encodedResult: 2 }
            ))
        },
        limits: TurnLimits.defaults,
        mayBegin: () => true,
        isClosing: () => false,
        tell: (event) => {
          told.push(event)
        }
      })
      yield* step.run
      assert.deepStrictEqual(t.outcomes([step.message()]), [1])
      assert.deepStrictEqual(told.map(({ _tag }) => _tag), ["Call", "Result"])
    }))
})

describe("calls under a lease", () => {
  it.effect("a node that thaws when its lease is over makes none of the calls that it had before it", () =>
    Effect.gen(function*() {
      const { hands, toolkit } = yield* t.tools()
      let held = true
      const told: Array<TurnEvent> = []
      const step = TurnCalls.make({
        calls: ["hold", "echo", "echo"].map((name, index) => ({ id: `${index}`, name, params: {} })),
        toolkit,
        limits: TurnLimits.make({ calls: 1 }),
        mayBegin: () => held,
        isClosing: () => false,
        tell: (event) => {
          told.push(event)
        }
      })
      const running = yield* Effect.forkChild(step.run, { startImmediately: true })
      yield* hands.untilRan(1)
      held = false
      yield* hands.open
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(hands.ran, ["hold"])
      assert.isUndefined(running.pollUnsafe())
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(t.outcomes([step.message()]), ["held", "not_made", "not_made"])
      assert.strictEqual(told.filter(({ _tag }) => _tag === "Result").length, 3)
    }))

  it.effect("a result that comes after the end of the turn changes nothing", () =>
    Effect.gen(function*() {
      const { hands, toolkit } = yield* t.tools()
      const told: Array<TurnEvent> = []
      const step = TurnCalls.make({
        calls: [{ id: "a", name: "deaf", params: {} }],
        toolkit,
        limits: TurnLimits.defaults,
        mayBegin: () => true,
        isClosing: () => false,
        tell: (event) => {
          told.push(event)
        }
      })
      const running = yield* Effect.forkChild(step.run, { startImmediately: true })
      yield* hands.untilRan(1)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(running)
      const message = step.message()
      yield* hands.open
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(step.message(), message)
      assert.deepStrictEqual(t.outcomes([message]), ["interrupted"])
      assert.deepStrictEqual(told.map(({ _tag }) => _tag), ["Call", "Result"])
    }))
})
