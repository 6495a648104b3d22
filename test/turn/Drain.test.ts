import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { TurnRefused } from "../../src/domain/Errors.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import * as t from "./support/turns.ts"

const shutdown = { _tag: "End", status: "interrupted", reason: "shutdown" } as const

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
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* listener.end, shutdown)
      yield* Fiber.join(draining)
      assert.deepStrictEqual(one.turns.running(), [])
      assert.deepStrictEqual(one.hands.interrupted, ["hold"])
      t.assertAcceptable(yield* t.history)
    }).pipe(Effect.provide(t.memory)))

  it.effect("lets calls that run end by themselves, makes no others, and does not ask the model again", () =>
    Effect.gen(function*() {
      const script = [ScriptedModel.calls(["hold", {}], ["echo", {}]), ScriptedModel.say("Never said.")]
      const one = yield* t.node("one", script, { limits: { calls: 1 } })
      const listener = yield* t.listen((yield* one.send("m1")).events)
      yield* one.hands.untilRan(1)
      const draining = yield* Effect.forkChild(one.turns.drain, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isFalse(listener.isOver())
      yield* one.hands.open
      assert.deepStrictEqual(yield* listener.end, shutdown)
      yield* Fiber.join(draining)
      assert.deepStrictEqual(one.hands.ran, ["hold"])
      assert.deepStrictEqual(one.hands.interrupted, [])
      assert.deepStrictEqual(t.outcomes(yield* t.history), ["held", "not_made"])
      assert.strictEqual(one.model.requests().length, 1)
    }).pipe(Effect.provide(t.memory)))

  it.effect("interrupts them after five seconds", () =>
    Effect.gen(function*() {
      const one = yield* t.node("one", [ScriptedModel.call("hold")])
      const listener = yield* t.listen((yield* one.send("m1")).events)
      yield* one.hands.untilRan(1)
      const draining = yield* Effect.forkChild(one.turns.drain, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(one.hands.interrupted, [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(draining)
      assert.deepStrictEqual(one.hands.interrupted, ["hold"])
      assert.deepStrictEqual(yield* listener.end, shutdown)
      assert.deepStrictEqual(t.outcomes(yield* t.history), ["interrupted"])
    }).pipe(Effect.provide(t.memory)))

  it.effect("ends a model that speaks at once, and keeps what it has said", () =>
    Effect.gen(function*() {
      const one = yield* t.node("one", [ScriptedModel.stuck(ScriptedModel.say("Half a"))])
      yield* one.send("m1")
      yield* one.model.untilAsked(1)
      yield* one.turns.drain
      assert.strictEqual(
        t.textOf((yield* t.history)[1]),
        "Half a|[This turn was interrupted because the server restarted.]"
      )
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
