import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Admission from "../../src/agent/Admission.ts"
import { GatewayConfig } from "../../src/agent/index.ts"
import * as h from "./support/harness.ts"

const make = (options: GatewayConfig.Options = {}) =>
  Admission.make.pipe(
    Effect.provideService(GatewayConfig.GatewayConfig, GatewayConfig.make(options)),
    Effect.provide(h.layerStores)
  )

describe("a crowd of agents", () => {
  it.effect("asks the store for so many at once, and the others wait their turn", () =>
    Effect.gen(function*() {
      const { asked } = yield* make({ lookups: 3 })
      const answer = yield* Deferred.make<void>()
      let open = 0
      const crowd = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 5 }),
          () => asked(Effect.andThen(Effect.sync(() => open++), Deferred.await(answer))),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust(0)
      assert.strictEqual(open, 3)
      yield* Deferred.succeed(answer, undefined)
      yield* Fiber.join(crowd)
      assert.strictEqual(open, 5)
    }))

  it.effect("waits 5 s for the store, its turn included", () =>
    Effect.gen(function*() {
      const { asked } = yield* make({ lookups: 1 })
      const [first, second] = yield* Effect.forEach([1, 2], () => Effect.forkChild(Effect.flip(asked(Effect.never))))
      yield* TestClock.adjust(4999)
      assert.deepStrictEqual([first?.pollUnsafe(), second?.pollUnsafe()], [undefined, undefined])
      yield* TestClock.adjust(1)
      for (const fiber of [first, second]) {
        if (fiber === undefined) return assert.fail()
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "StoreError")
      }
    }))
})
