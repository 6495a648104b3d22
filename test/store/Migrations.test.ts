import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Exit, Layer, String as Str } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { BindResult } from "../../src/domain/Binding.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { Chats } from "../../src/store/Chats.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { agentId, build, chat, owner, start, workspace } from "../../src/testing/StoreWords.ts"
import { databaseClient, emptyDatabase } from "../postgres.ts"

/** What is in a schema: columns, indexes and constraints, without its name. */
const shapeOf = Effect.fnUntraced(function*(schema: string) {
  const sql = yield* SqlClient.SqlClient
  const columns = yield* sql`
    select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
    where table_schema = ${schema} order by table_name, ordinal_position`
  const indexes = yield* sql<{ readonly definition: string }>`
    select replace(indexdef, ${schema}, 'S') as definition from pg_indexes where schemaname = ${schema} order by 1`
  const constraints = yield* sql`
    select conrelid::regclass::text as relation, conname, replace(pg_get_constraintdef(oid), ${schema}, 'S') as definition
    from pg_constraint where connamespace = ${schema}::regnamespace order by conname`
  return {
    columns,
    indexes,
    constraints: constraints.map((row) => ({ ...row, relation: String(row["relation"]).replace(schema, "S") }))
  }
})

const tablesOutside = (schema: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql`
      select table_schema, table_name from information_schema.tables
      where table_schema not in ('pg_catalog', 'information_schema', ${schema})`)

/** A chat of ann's goes through the ports. */
const useStore = Effect.gen(function*() {
  const bindings = yield* ChatBindings
  const chats = yield* Chats
  yield* start("w", "b1", "a1")
  yield* chats.create({ chatId: chat("c"), owner: owner("ann") })
  const row = yield* bindings.bindWorkspace({ chatId: chat("c"), owner: owner("ann"), workspaceId: workspace("w") })
  const result = yield* bindings.bindAgent(row, build("b1"), agentId("a1"))
  assert.isTrue(BindResult.$is("Bound")(result))
  return yield* bindings.get(chat("c"))
})

/** All there are, in their order. */
const all: ReadonlyArray<readonly [id: number, name: string]> = [
  [1, "bindings_builds_and_presence"],
  [2, "queue_of_builds"],
  [3, "instruction_files"],
  [4, "turns"],
  [5, "chats_of_an_owner"],
  [6, "newest"]
]

const fresh = { excludeTestServices: true, timeout: "60 seconds" } as const

layer(emptyDatabase(), fresh)("Migrations in an empty database", (it) => {
  it.effect("stand in one schema, with their own record there, and run once", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const ran = yield* Migrations.run()
      assert.deepStrictEqual(ran, all)
      assert.deepStrictEqual(yield* Migrations.run(), [])
      assert.deepStrictEqual(yield* tablesOutside("chat_workspace"), [])
      assert.deepStrictEqual(
        yield* sql`select migration_id, name from chat_workspace.migrations order by migration_id`,
        all.map(([migration_id, name]) => ({ migration_id, name }))
      )
    }))

  it.effect("are run by one of many at once, and the others wait for it", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      // All connections are open, so that all begin at once.
      yield* Effect.all(Array.from({ length: 8 }, () => sql`select pg_sleep(0.1)`), { concurrency: "unbounded" })
      const runs = yield* Effect.all(
        Array.from({ length: 8 }, () => Migrations.run({ schema: "at_once" })),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(runs.map((ran) => ran.length).sort((left, right) => left - right), [
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        all.length
      ])
    }))

  it.effect("as text they make the same tables, and count as run", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* Migrations.run({ schema: "by_run" })
      for (const statement of Migrations.statements({ schema: "by_text" })) yield* sql.unsafe(statement)
      assert.deepStrictEqual(yield* shapeOf("by_text"), yield* shapeOf("by_run"))
      assert.deepStrictEqual(yield* Migrations.run({ schema: "by_text" }), [])
    }))

  it.effect("two schemas side by side know nothing of each other", () =>
    Effect.gen(function*() {
      const store = (schema: string) =>
        Layer.provideMerge(SqlStore.layer({ schema }), Migrations.layerMigrations({ schema }))
      const one = yield* Effect.provide(useStore, store("side_a"))
      const unknown = yield* Effect.provide(
        Effect.flatMap(ChatBindings, (bindings) => bindings.get(chat("c"))),
        store("side_b")
      )
      assert.strictEqual(one.generation, 3)
      assert.strictEqual(unknown.generation, 0)
      // The same ids, again.
      assert.deepStrictEqual(yield* Effect.provide(useStore, store("side_b")), one)
    }))
})

layer(emptyDatabase(), fresh)("Migrations beside those of the application", (it) => {
  it.effect("neither migrator sees the other's record, whichever runs first", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const host = (loader: Parameters<typeof Migrator.fromRecord>[0]) =>
        Migrator.make({})({ loader: Migrator.fromRecord(loader) })
      const first = { "0001_users": Effect.asVoid(sql`create table users (id int primary key)`) }
      const second = { ...first, "0002_chats": Effect.asVoid(sql`create table chats (id int primary key)`) }
      assert.deepStrictEqual(yield* host(first), [[1, "users"]])
      assert.strictEqual((yield* Migrations.run()).length, all.length)
      assert.deepStrictEqual(yield* host(second), [[2, "chats"]])
      assert.deepStrictEqual(yield* Migrations.run(), [])
      assert.deepStrictEqual(
        yield* sql`select migration_id from public.effect_sql_migrations order by migration_id`,
        [{ migration_id: 1 }, { migration_id: 2 }]
      )
    }))

  it.effect("work for a role that may not create schemas, once the schema is there", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const role = `role_${Math.floor(performance.timeOrigin + performance.now())}`
      yield* sql`create role ${sql(role)}`
      yield* sql`create schema given authorization ${sql(role)}`
      const asRole = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        sql.withTransaction(Effect.andThen(sql`set local role ${sql(role)}`, self))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(asRole(sql`create schema other`))))
      assert.strictEqual((yield* asRole(Migrations.run({ schema: "given" }))).length, all.length)
      yield* sql`drop schema given cascade`
      yield* sql`drop role ${sql(role)}`
    }))
})

layer(
  emptyDatabase({ transformQueryNames: Str.camelToSnake, transformResultNames: Str.snakeToCamel }),
  fresh
)("Migrations and stores over a client that transforms names", (it) => {
  it.effect("are not transformed", () =>
    Effect.gen(function*() {
      const schema = "camelSchema"
      const store = Layer.provideMerge(SqlStore.layer({ schema }), Migrations.layerMigrations({ schema }))
      const row = yield* Effect.provide(useStore, store)
      assert.deepInclude(row, { chatId: chat("c"), workspaceId: workspace("w"), agentId: agentId("a1"), generation: 3 })
      const sql = yield* SqlClient.SqlClient
      const names = yield* sql`select table_name from information_schema.tables where table_schema = ${schema}`
      assert.strictEqual(names.length, 12)
      // The application's own statements still are.
      assert.deepStrictEqual(yield* sql`select 1 as ${sql("someName")}`, [{ someName: 1 }])
    }))
})

layer(emptyDatabase(), fresh)("Migrations for a reader", (it) => {
  it.effect("the script names the statements in order, in one transaction", () =>
    Effect.gen(function*() {
      const text = Migrations.text({ schema: "mine" })
      assert.isTrue(text.startsWith("begin;\n\ncreate schema if not exists \"mine\";\n"))
      assert.isTrue(text.endsWith("\ncommit;\n"))
      assert.notInclude(text, "chat_workspace")
      for (const statement of Migrations.statements({ schema: "mine" })) assert.include(text, `${statement};\n`)
    }))

  it.effect("the columns for a table of the application can be added twice", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create schema app`
      yield* sql`create table app."userChats" (id uuid primary key)`
      const text = Migrations.columnsText({ table: "app.userChats" }).replace(";\n", "")
      yield* sql.unsafe(text)
      yield* sql.unsafe(text)
      const columns = yield* sql`
        select column_name from information_schema.columns where table_name = 'userChats' order by ordinal_position`
      assert.deepStrictEqual(
        columns.map((row) => row["column_name"]),
        ["id", "workspace_id", "build_id", "agent_id", "generation"]
      )
    }).pipe(Effect.provide(databaseClient())))
})

describe("Migrations", () => {
  it("takes only a plain name for a schema", () => {
    assert.strictEqual(Migrations.schemaOf(undefined), "chat_workspace")
    assert.strictEqual(Migrations.schemaOf({ schema: "a".repeat(63) }), "a".repeat(63))
    for (const schema of ["", "a".repeat(64), "with space", "quo\"te", "a.b", "1a"]) {
      assert.throws(() => Migrations.schemaOf({ schema }), RangeError)
    }
  })
})
