import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Logger, Option, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { BuildId } from "../../src/domain/Ids.ts"
import * as Signals from "../../src/store/Signals.ts"
import * as SqlSignals from "../../src/store/SqlSignals.ts"
import * as StoreConfig from "../../src/store/StoreConfig.ts"
import { SignalsKit } from "../../src/testing/index.ts"
import * as Proxy from "../chaos/Proxy.ts"
import { emptyDatabase, TestDatabase } from "../postgres.ts"
import * as s from "./signals.ts"

const build = Signals.build(BuildId.make("b"))

let schemas = 0

const nodes = Effect.gen(function*() {
  const schema = `signals_${++schemas}`
  const both = { there: yield* s.sqlNode(schema), here: yield* s.sqlNode(schema), schema }
  yield* s.connected(both)
  return both
})

layer(Layer.merge(emptyDatabase(), Logger.layer([])), { excludeTestServices: true, timeout: "60 seconds" })(
  "signals over PostgreSQL",
  (it) => {
    for (const { name, run } of SignalsKit.casesFor({ nodes })) it.effect(name, () => run, 60_000)

    it.effect("nodes of another schema hear nothing of it", () =>
      Effect.gen(function*() {
        const { here, there } = yield* nodes
        const other = yield* nodes
        const fiber = yield* s.waiting(yield* other.here.subscribe(build))
        yield* s.waiting(yield* here.subscribe(build)).pipe(
          Effect.tap(there.notify(build)),
          Effect.flatMap(Fiber.join)
        )
        yield* s.connected(other)
        assert.isUndefined(fiber.pollUnsafe())
      }), 60_000)

    it.effect("of a schema with the longest name are heard too", () =>
      Effect.gen(function*() {
        const schema = "s".repeat(63)
        yield* s.connected({ there: yield* s.sqlNode(schema), here: yield* s.sqlNode(schema) })
      }), 60_000)

    it.effect("a node whose connections were lost hears and is heard again", () =>
      Effect.gen(function*() {
        const { here, schema, there } = yield* nodes
        const sql = yield* SqlClient.SqlClient
        const ended =
          yield* sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${schema}`
        assert.isAtLeast(ended.length, 2)
        yield* s.connected({ here, there })
        yield* s.connected({ here: there, there: here })
      }), 60_000)

    it.effect("a node whose connections are half open ends in time all the same", () =>
      Effect.gen(function*() {
        const { here, schema } = yield* nodes
        const { url } = yield* TestDatabase
        // Closed last, when its sockets are gone with the proxy: a pool waits for what is under way.
        const pool = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
        const proxy = yield* Proxy.make(() => Proxy.databaseAt(url))
        const client = yield* Layer.buildWithScope(
          PgClient.layer({ url: Proxy.through(url, proxy), maxConnections: 2 }),
          pool
        )
        const { listen } = Context.get(client, PgClient.PgClient)
        const scope = yield* Scope.make()
        const node = yield* SqlSignals.layer({ schema, listen }).pipe(
          Layer.provide(Layer.merge(Layer.succeedContext(client), StoreConfig.layer({ callTimeout: "1 second" }))),
          Layer.buildWithScope(scope)
        )
        const there = Context.get(node, Signals.Signals)
        yield* s.connected({ here, there })
        yield* s.connected({ here: there, there: here })
        proxy.halfOpen()
        const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true })
        assert.isTrue(Option.isSome(yield* Effect.timeoutOption(Fiber.await(closing), "15 seconds")))
      }), 60_000)
  }
)
