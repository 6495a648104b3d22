import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import * as Migrations from "../../src/store/Migrations.ts"
import { emptyDatabase, TestDatabase } from "../postgres.ts"
import * as Backends from "./Backends.ts"

const database = Layer.provideMerge(Migrations.layerMigrations({ schema: Backends.schema }), emptyDatabase())

layer(database, { excludeTestServices: true, timeout: "60 seconds" })("a backend", (it) => {
  it.effect(
    "that is asked to end does so although its links to the database are half open",
    () =>
      Effect.gen(function*() {
        const { url } = yield* TestDatabase
        const backend = yield* Backends.make({ name: "backend", url, env: {} })
        const sql = yield* SqlClient.SqlClient
        // One of them listens, and would be the last to be let go.
        yield* Effect.repeat(
          sql`select 1 from pg_stat_activity where query like 'LISTEN%'
        and datname = current_database()`,
          { until: (found) => found.length > 0, schedule: Schedule.spaced("50 millis") }
        )
        backend.database.halfOpen()
        assert.isTrue(yield* backend.child.stop(30_000))
      }),
    90_000
  )
})
