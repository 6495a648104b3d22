/** A fresh database for a block of tests, in the PostgreSQL of `globalSetup`. */
import { PgClient } from "@effect/sql-pg"
import { Clock, Context, Effect, Layer, Redacted } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"
import * as Migrations from "../src/store/Migrations.ts"

/** The database of the block; it goes with the block. */
export class TestDatabase extends Context.Service<TestDatabase, {
  readonly url: Redacted.Redacted<string>
}>()("test/TestDatabase") {}

// Pools live in real time: on a virtual clock a connect would time out, and idle connections end, by `adjust`.
const onRealTime = Layer.succeed(Clock.Clock, Clock.Clock.defaultValue())

/** The server that `globalSetup` started or was given. */
export const serverUrl = (): Redacted.Redacted<string> => Redacted.make(inject("databaseUrl"))

/** A client of its own, on real time. */
export const client = (
  config: PgClient.PgPoolConfig
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, SqlError.SqlError> =>
  PgClient.layer(config).pipe(Layer.provide(onRealTime))

/** A client of its own for the block's database. */
export const databaseClient = (
  config?: PgClient.PgPoolConfig
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, SqlError.SqlError, TestDatabase> =>
  Layer.unwrap(Effect.map(TestDatabase, ({ url }) => client({ url, ...config })))

/** Makes an empty database in a server. */
export const databaseIn = (server: Redacted.Redacted<string>): Layer.Layer<TestDatabase, SqlError.SqlError> => {
  const admin = <A>(run: (sql: SqlClient.SqlClient) => Effect.Effect<A, SqlError.SqlError>) =>
    Effect.scoped(
      Effect.flatMap(SqlClient.SqlClient, run).pipe(Effect.provide(client({ url: server, maxConnections: 1 })))
    )
  return Layer.effect(
    TestDatabase,
    Effect.acquireRelease(
      Effect.suspend(() => {
        const name = `test_${randomUUID().replaceAll("-", "")}`
        return Effect.as(admin((sql) => sql`create database ${sql(name)}`), name)
      }),
      (name) => Effect.ignore(admin((sql) => sql`drop database if exists ${sql(name)} with (force)`))
    ).pipe(Effect.map((name) => {
      const url = new URL(Redacted.value(server))
      url.pathname = `/${name}`
      return TestDatabase.of({ url: Redacted.make(url.toString()) })
    }))
  )
}

/** An empty database and a client for it. */
export const emptyDatabase = (
  config?: PgClient.PgPoolConfig
): Layer.Layer<TestDatabase | PgClient.PgClient | SqlClient.SqlClient, SqlError.SqlError> =>
  databaseClient(config).pipe(Layer.provideMerge(Layer.unwrap(Effect.sync(() => databaseIn(serverUrl())))))

/** A migrated database and a client for it. */
export const freshDatabase = (options?: Migrations.Options & { readonly client?: PgClient.PgPoolConfig | undefined }) =>
  Layer.provideMerge(Migrations.layerMigrations(options), emptyDatabase(options?.client))
