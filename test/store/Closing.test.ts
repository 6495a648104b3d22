import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Logger, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Closing from "../../src/store/Closing.ts"
import * as Proxy from "../chaos/Proxy.ts"
import { emptyDatabase, TestDatabase } from "../postgres.ts"

class Pool extends Context.Service<Pool, string>()("test/Pool") {}

/** A pool that closes when the effect given has ended. */
const pool = (closed: Effect.Effect<void>) =>
  Layer.effect(Pool, Effect.as(Effect.addFinalizer(() => closed), "a pool")).pipe(Closing.layerWithin("3 seconds"))

const closing = Effect.fnUntraced(function*(layer: Layer.Layer<Pool>) {
  const scope = yield* Scope.make()
  assert.strictEqual(Context.get(yield* Layer.buildWithScope(layer, scope), Pool), "a pool")
  return yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
})

describe("the end of a pool", () => {
  it.effect("is waited for as long as it takes, up to its bound", () =>
    Effect.gen(function*() {
      const end = yield* closing(pool(Effect.sleep("2999 millis")))
      yield* TestClock.adjust("2998 millis")
      assert.isUndefined(end.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(end.pollUnsafe())
    }))

  it.effect("that does not come is left to itself at its bound, not a millisecond before", () =>
    Effect.gen(function*() {
      const end = yield* closing(pool(Effect.never))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(end.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(end.pollUnsafe())
    }))
})

layer(Layer.merge(emptyDatabase(), Logger.layer([])), { excludeTestServices: true, timeout: "60 seconds" })(
  "a pool of PostgreSQL",
  (it) => {
    it.effect("with a statement under way on a link that is half open holds up nobody", () =>
      Effect.gen(function*() {
        const { url } = yield* TestDatabase
        const proxy = yield* Proxy.make(() => Proxy.databaseAt(url))
        const scope = yield* Scope.make()
        const client = yield* PgClient.layer({ url: Proxy.through(url, proxy), maxConnections: 1 }).pipe(
          Closing.layerWithin("1 second"),
          Layer.buildWithScope(scope)
        )
        const sql = Context.get(client, PgClient.PgClient)
        yield* sql`select 1`
        proxy.halfOpen()
        yield* Effect.forkDetach(Effect.ignore(sql`select 2`), { startImmediately: true })
        const end = yield* Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true })
        assert.isTrue(Option.isSome(yield* Effect.timeoutOption(Fiber.await(end), "15 seconds")))
      }), 60_000)
  }
)
