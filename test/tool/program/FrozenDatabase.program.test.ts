/** A database that stands still while workspaces are made: each is there whole, or not at all. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as PostgresServer from "../../../src/testing/PostgresServer.ts"
import { databaseClient, databaseIn } from "../../postgres.ts"
import * as backends from "./support/Backends.ts"
import * as world from "./support/World.ts"

// Of its own, since it is frozen.
const database = Layer.unwrap(Effect.map(PostgresServer.PostgresServer, ({ url }) => databaseIn(url))).pipe(
  Layer.provideMerge(PostgresServer.layer())
)

const all = Layer.provideMerge(world.layer, Layer.provideMerge(databaseClient(), database))

layer(all, { excludeTestServices: true, timeout: "60 seconds" })("a database that freezes", (it) => {
  /** Freezes the database once calls have come so far, until each has answered or waits for its build. */
  const frozen = Effect.fnUntraced(
    function*(calls: ReadonlyArray<backends.Call>, far: Effect.Effect<unknown, unknown>) {
      const server = yield* PostgresServer.PostgresServer
      yield* far
      yield* Effect.andThen(server.pause, Effect.forEach(calls, ({ answeredOrTold }) => answeredOrTold)).pipe(
        Effect.ensuring(server.resume)
      )
    }
  )

  it.effect(
    "in the middle of creates: after the thaw each chat has one whole workspace or none, and a repeat gives one",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const node = yield* backends.start({ bounds: { STORE_CALL_TIMEOUT: "2 seconds" } })
        const create = { template_id: "quick" }
        const begin = Effect.suspend(() =>
          Effect.forEach(Array.from({ length: 8 }, backends.chat), (chat) =>
            Effect.map(node.begin(chat, "create_workspace", create), (call) => ({ ...call, chat })))
        )

        // Their workspaces are written, and their builds not yet.
        const waiting = sql`
          select count(*)::int as count from pg_locks where not granted and relation = 'flows.builds'::regclass`
        const lock = sql`lock table flows.builds in access exclusive mode`
        const first = yield* sql.withTransaction(Effect.gen(function*() {
          yield* lock
          const calls = yield* begin
          yield* frozen(
            calls,
            backends.eventually("they wait", waiting, ([row]) =>
              Number(row?.["count"]) >= 4)
          )
          return calls
        }))
        for (const { answer } of first) assert.deepInclude(yield* answer, { error: "store_error" })
        assert.deepStrictEqual(yield* world.halfMade, [])

        // Some have their workspace by now, others do not.
        const second = yield* begin
        yield* frozen(second, backends.until("one is built", () => second.some(({ progress }) => progress.length > 0)))
        const outcomes = yield* Effect.forEach(
          second,
          ({ answer }) => Effect.map(answer, ({ created, error }) => error ?? created)
        )
        assert.includeMembers([true, "store_error"], outcomes)
        assert.include(outcomes, true)
        assert.deepStrictEqual(yield* world.halfMade, [])

        const chats = [...first, ...second].map(({ chat }) => chat)
        const again = yield* Effect.forEach(chats, (chat) => node.call(chat, "create_workspace", create), {
          concurrency: "unbounded"
        })
        for (const answer of again) assert.isString(answer["workspace_id"])
        assert.deepStrictEqual(yield* world.counts, [{ workspaces: chats.length, builds: chats.length }])
        assert.deepStrictEqual(yield* world.halfMade, [])
      }),
    90_000
  )
})
