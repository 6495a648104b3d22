import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import * as BuildMetrics from "../../src/provisioner/BuildMetrics.ts"
import * as Runners from "./support/runners.ts"

const oldest = Effect.map(Metric.value(BuildMetrics.oldest), ({ value }) => value)

describe("the age of the oldest build", () => {
  it.effect("is told at each look at the queue, and is zero when none runs", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.takes("5 seconds")
      yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(yield* oldest, 0)
      yield* TestClock.adjust("2001 millis")
      assert.strictEqual(yield* oldest, 4)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* oldest, 0)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
