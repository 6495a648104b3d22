import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Signals from "../../src/store/Signals.ts"
import type { TurnStore } from "../../src/store/TurnStore.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import type * as TurnLimits from "../../src/turn/TurnLimits.ts"
import * as t from "./support/turns.ts"

const { call, calls, say } = ScriptedModel

/** What carries between the nodes, and which topics it has carried. */
interface Carried {
  readonly signals: Layer.Layer<Signals.Signals>
  readonly topics: Array<Signals.Topic>
}

const test = (
  name: string,
  body: (carried: Carried) => Effect.Effect<void, unknown, TurnStore | Scope.Scope>
) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      const { notify, subscribe } = Context.get(yield* Layer.build(Signals.layer), Signals.Signals)
      const topics: Array<Signals.Topic> = []
      const signals = Layer.succeed(Signals.Signals, {
        subscribe,
        notify: (topic) =>
          Effect.suspend(() => {
            topics.push(topic)
            return notify(topic)
          })
      })
      yield* body({ signals, topics })
    }).pipe(Effect.scoped, Effect.provide(t.memory)))

/** A turn of one node whose tool waits, and another node where it is followed. */
const followed = Effect.fnUntraced(function*(options: {
  readonly signals?: Layer.Layer<Signals.Signals>
  readonly limits?: TurnLimits.Options
}) {
  const script = [ScriptedModel.reply({ text: "I look at it.", calls: [{ name: "hold", args: {} }] }), say("Done.")]
  const one = yield* t.node("one", script, options)
  const two = yield* t.node("two", [], options)
  yield* one.send("m1")
  const there = yield* t.listen((yield* two.send("m1")).events)
  yield* one.hands.untilRan(1)
  return { one, two, there, tags: () => there.heard().map(({ _tag }) => _tag) }
})

const texts = Array.from({ length: 4 }, () => "Text")

describe("an interrupt from another node", () => {
  test("ends the calls at once", ({ signals }) =>
    Effect.gen(function*() {
      const { one, there, two } = yield* followed({ signals })
      yield* TestClock.adjust("1 second")
      yield* two.interrupt
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(one.hands.interrupted, ["hold"])
      assert.deepStrictEqual(yield* there.end, { _tag: "End", status: "interrupted", reason: "user" })
    }))

  test("of which no signal comes is heard when the lease is renewed", () =>
    Effect.gen(function*() {
      const { one, two } = yield* followed({})
      yield* TestClock.adjust("1 second")
      yield* two.interrupt
      yield* TestClock.adjust(3999)
      assert.deepStrictEqual(one.hands.interrupted, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(one.hands.interrupted, ["hold"])
    }))

  test("leaves the turn of another chat alone", ({ signals, topics }) =>
    Effect.gen(function*() {
      const { one, two } = yield* followed({ signals })
      yield* TestClock.adjust("1 second")
      topics.length = 0
      yield* two.turns.interrupt({ chatId: t.otherChat, owner: t.ann })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(one.hands.interrupted, [])
      assert.deepStrictEqual(topics, [])
    }))
})

describe("what a turn tells", () => {
  test("is heard on another node when it is stored, and its end at once", ({ signals }) =>
    Effect.gen(function*() {
      const { one, tags, there } = yield* followed({ signals, limits: { poll: "1 hour" } })
      yield* TestClock.adjust(249)
      assert.deepStrictEqual(tags(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(tags(), [...texts, "Call"])
      yield* one.hands.open
      yield* TestClock.adjust(0)
      assert.isTrue(there.isOver())
      assert.strictEqual(tags().at(-1), "End")
    }))

  test("and without signals at the next poll", () =>
    Effect.gen(function*() {
      const { one, tags, there } = yield* followed({})
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(tags(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(tags(), [...texts, "Call"])
      yield* one.hands.open
      yield* TestClock.adjust(999)
      assert.isFalse(there.isOver())
      yield* TestClock.adjust(1)
      assert.isTrue(there.isOver())
    }))

  test("is one signal each time that it is stored, and no reason to renew the lease", ({ signals, topics }) =>
    Effect.gen(function*() {
      let renewed = 0
      const node = yield* t.node("one", [
        ScriptedModel.reply({ text: "One two three four five.", calls: [{ name: "hold", args: {} }] }),
        calls(["hold", {}])
      ], {
        signals,
        meddle: (store) => ({
          ...store,
          renew: (options) =>
            Effect.suspend(() => {
              renewed++
              return store.renew(options)
            })
        })
      })
      const { turn } = yield* node.send("m1")
      yield* node.hands.untilRan(1)
      yield* TestClock.adjust(250)
      assert.deepStrictEqual(topics, [Signals.turn(turn.turnId)])
      yield* TestClock.adjust("4 seconds")
      assert.lengthOf(topics, 1)
      assert.strictEqual(renewed, 0)
      yield* TestClock.adjust("750 millis")
      assert.strictEqual(renewed, 1)
    }))
})

describe("a turn of a node that is lost", () => {
  test("is ended by another, and who follows on a third hears it at once", ({ signals }) =>
    Effect.gen(function*() {
      const limits = { sweep: "1 hour", poll: "1 hour" } as const
      const one = yield* t.node("one", [call("hold")], { signals, limits, meddle: t.silenced(() => true) })
      const three = yield* t.node("three", [], { signals, limits })
      yield* one.send("m1")
      const there = yield* t.listen((yield* three.send("m1")).events)
      yield* t.node("two", [], { signals })
      yield* TestClock.adjust(29_999)
      assert.isFalse(there.isOver())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* there.end, { _tag: "End", status: "crashed", reason: "lost" })
    }))
})
