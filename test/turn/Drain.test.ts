import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { TurnRefused } from "../../src/domain/Errors.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import * as t from "./support/turns.ts"

describe("a node that drains its turns", () => {
  it.effect("begins none, ends those that run, and tells whoever follows them; it is not ready any more", () =>
    Effect.gen(function*() {
      const one = yield* t.node("one", [ScriptedModel.call("hold")])
      const listener = yield* t.listen((yield* one.send("m1")).events)
      yield* one.hands.untilRan(1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(one.turns.unready(), [])

      const draining = yield* Effect.forkChild(one.turns.drain, { startImmediately: true })
      assert.deepStrictEqual(one.turns.unready(), ["this node shuts down"])
      assert.deepStrictEqual(yield* Effect.flip(one.send("m2")), new TurnRefused({ chatId: t.chatId }))
      assert.deepStrictEqual(yield* listener.end, { _tag: "End", status: "interrupted", reason: "shutdown" })
      yield* Fiber.join(draining)
      assert.deepStrictEqual(one.turns.running(), [])
      assert.deepStrictEqual(one.hands.interrupted, ["hold"])
      t.assertAcceptable(yield* t.history)
    }).pipe(Effect.provide(t.memory)))

  it.effect("takes no longer than ten seconds, for a call that ignores it and a store that hangs", () =>
    Effect.gen(function*() {
      const one = yield* t.node("one", [ScriptedModel.call("deaf")], {
        meddle: (store) => ({ ...store, finish: () => Effect.never })
      })
      yield* one.send("m1")
      yield* one.hands.untilRan(1)
      const draining = yield* Effect.forkChild(one.turns.drain, { startImmediately: true })
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(draining.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(draining)
      yield* one.hands.open
    }).pipe(Effect.provide(t.memory)))
})
