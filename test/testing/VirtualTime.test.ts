import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import * as VirtualTime from "../../src/testing/VirtualTime.ts"

class Slow extends Context.Service<Slow, { readonly closed: () => boolean }>()("test/Slow") {}

/** A layer that takes so long to close. */
const layer = (takes: number) =>
  Layer.effect(
    Slow,
    Effect.gen(function*() {
      let closed = false
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          closed = true
        })
      )
      yield* Effect.addFinalizer(() => takes === 0 ? Effect.void : Effect.sleep(takes))
      return { closed: () => closed }
    })
  )

describe("VirtualTime", () => {
  it.effect("a layer that waits for its fibers closes while the clock passes the drain", () =>
    Effect.gen(function*() {
      const { closed } = yield* VirtualTime.provide(layer(2_000))(Slow)
      assert.isTrue(closed())
      assert.strictEqual(yield* Clock.currentTimeMillis, 2_000)
    }))

  it.effect("the drain may be longer", () =>
    Effect.gen(function*() {
      const { closed } = yield* VirtualTime.provide(layer(9_000), { drain: "9 seconds" })(Slow)
      assert.isTrue(closed())
    }))

  it.effect("no time passes for a layer that just closes", () =>
    Effect.gen(function*() {
      const { closed } = yield* VirtualTime.provide(layer(0))(Slow)
      assert.isTrue(closed())
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
    }))

  it.effect("the failure of the effect stays, and the layer is closed", () =>
    Effect.gen(function*() {
      let closed = () => false
      const exit = yield* Slow.pipe(
        Effect.flatMap((slow) => {
          closed = slow.closed
          return Effect.fail("wrong")
        }),
        VirtualTime.provide(layer(1_000)),
        Effect.exit
      )
      assert.deepStrictEqual(exit, Exit.fail("wrong"))
      assert.isTrue(closed())
    }))

  it.live("under a live clock it waits as long as it takes", () =>
    Effect.gen(function*() {
      const { closed } = yield* VirtualTime.provide(layer(5))(Slow)
      assert.isTrue(closed())
    }))

  it.effect("each use builds the layer anew", () =>
    Effect.gen(function*() {
      const shared = layer(0)
      const one = yield* VirtualTime.provide(shared)(Slow)
      const other = yield* VirtualTime.provide(shared)(Slow)
      assert.notStrictEqual(one, other)
    }))

  it.effect("a scope of one's own is closed the same way, with its exit", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      let seen: Exit.Exit<unknown, unknown> = Exit.void
      yield* Scope.addFinalizerExit(scope, (exit) => {
        seen = exit
        return Effect.sleep("1 second")
      })
      yield* VirtualTime.close(scope, Exit.fail("wrong"))
      assert.deepStrictEqual(seen, Exit.fail("wrong"))
    }))
})
