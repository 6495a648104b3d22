import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import * as LoopMetrics from "../../src/turn/LoopMetrics.ts"
import * as t from "./support/turns.ts"

const oldest = Effect.map(Metric.value(LoopMetrics.oldest), ({ value }) => value)

describe("the age of the oldest turn", () => {
  it.effect("is told at each look for lost turns, and is zero when none runs", () =>
    Effect.gen(function*() {
      const node = yield* t.node("n", [ScriptedModel.call("hold"), ScriptedModel.say("Done.")])
      yield* TestClock.adjust("3 seconds")
      yield* node.send("m1")
      yield* node.hands.untilRan(1)
      yield* TestClock.adjust("6999 millis")
      assert.strictEqual(yield* oldest, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* oldest, 7)
      yield* node.hands.open
      yield* t.told(node.send("m1"))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* oldest, 0)
    }).pipe(Effect.provide(t.memory), Effect.provideService(Metric.MetricRegistry, new Map())))
})
