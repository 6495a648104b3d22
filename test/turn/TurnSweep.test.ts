import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as t from "./support/turns.ts"

describe("turns of lost nodes", () => {
  it.effect("are looked for at once and every 10 s, and events are kept for a day", () =>
    Effect.gen(function*() {
      const sweeps: Array<Duration.Duration> = []
      yield* t.node("n", [], {
        meddle: (store) => ({
          ...store,
          sweep: (options) => {
            sweeps.push(options.keepEvents)
            return store.sweep(options)
          }
        })
      })
      yield* TestClock.adjust(9999)
      assert.deepStrictEqual(sweeps, [Duration.days(1)])
      yield* TestClock.adjust(1)
      assert.lengthOf(sweeps, 2)
    }).pipe(Effect.scoped, Effect.provide(t.memory)))
})
