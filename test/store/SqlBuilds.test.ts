import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Option, Schedule, Tracer } from "effect"
import { SqlClient } from "effect/sql"
import { Binding, unbound } from "../../src/domain/Binding.ts"
import { BindingRefused, StoreError, TooManyWorkspaces } from "../../src/domain/Errors.ts"
import { AgentPresence } from "../../src/store/AgentPresence.ts"
import { Builds, CreateResult, RequestResult } from "../../src/store/Builds.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlBuilds from "../../src/store/SqlBuilds.ts"
import * as SqlChatBindings from "../../src/store/SqlChatBindings.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import {
  ann,
  attach,
  cancel,
  create,
  created,
  finish,
  prepare,
  queued,
  request,
  run,
  seen,
  succeeded,
  take,
  takeSome
} from "../../src/testing/BuildWords.ts"
import { PostgresServer } from "../../src/testing/PostgresServer.ts"
import * as Postgres from "../../src/testing/PostgresServer.ts"
import { agentId, build, chat, enrolled, node, start, workspace } from "../../src/testing/StoreWords.ts"
import { databaseClient, databaseIn, freshDatabase } from "../postgres.ts"
import { type Ports } from "./support.ts"

const real = { excludeTestServices: true, timeout: "60 seconds" } as const

/** An application with its own chats, under uuids. */
const application = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`create schema app`
  yield* sql`create table app."userChats" ("chatKey" uuid primary key, "ownedBy" text not null)`
  yield* sql.unsafe(Migrations.columnsText({ table: "app.userChats" }).replace(";\n", ""))
}))

const table = { table: "app.userChats", key: "chatKey", owner: "ownedBy" }

let chats = 0

const newChat = Effect.fnUntraced(function*(ownedBy: string) {
  const sql = yield* SqlClient.SqlClient
  const id = `00000000-0000-4000-8000-${String(++chats).padStart(12, "0")}`
  yield* sql`insert into app."userChats" ("chatKey", "ownedBy") values (${id}, ${ownedBy})`
  return chat(id)
})

layer(
  Layer.mergeAll(SqlBuilds.layer({ chats: table }), SqlChatBindings.layerTable(table)).pipe(
    Layer.provideMerge(application),
    Layer.provideMerge(freshDatabase())
  ),
  real
)("Builds for chats in a table of the application", (it) => {
  it.effect("a chat is bound there to what was made for it, and to what it asks for later", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const id = yield* newChat("ann")
      const { binding } = yield* created("1", { chat: unbound(id) })
      const bound = { workspaceId: workspace("w1"), buildId: build("b1"), agentId: null, generation: 1 }
      assert.deepStrictEqual(binding, new Binding({ chatId: id, ...bound }))
      assert.deepStrictEqual(yield* seen(id), binding)
      yield* run()
      const next = yield* queued("1", "stop", 1, { chat: unbound(id) })
      assert.deepInclude(next.binding, { buildId: build("b1.2"), generation: 2 })
      assert.deepStrictEqual(yield* seen(id), next.binding)
      yield* run()
      assert.deepStrictEqual(yield* sql`select * from chat_workspace.chats`, [])
    }))

  it.effect("a chat of another owner, or that is not there, is refused and not made", () =>
    Effect.gen(function*() {
      const builds = yield* Builds
      const sql = yield* SqlClient.SqlClient
      const before = yield* sql`select * from app."userChats"`
      for (const id of [yield* newChat("bob"), chat("00000000-0000-4000-8000-999999999999")]) {
        for (const generation of [0, 3]) {
          const row = new Binding({ ...unbound(id), generation })
          const refused = yield* Effect.flip(create("foreign", { chat: row }))
          assert.deepStrictEqual<unknown>(refused, new BindingRefused({ chatId: id, workspaceId: null }))
        }
        assert.deepStrictEqual(yield* seen(id), unbound(id))
      }
      assert.deepStrictEqual(yield* builds.workspace(workspace("wforeign")), Option.none())
      assert.strictEqual((yield* sql`select * from app."userChats"`).length, before.length + 1)
    }))

  it.effect("a chat that was handed to another owner, or to nobody, asks for nothing more", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const id = yield* newChat("ann")
      yield* created("handed", { chat: unbound(id) })
      yield* run()
      const row = yield* seen(id)
      yield* sql`alter table app."userChats" alter "ownedBy" drop not null`
      for (const ownedBy of ["bob", null]) {
        yield* sql`update app."userChats" set "ownedBy" = ${ownedBy} where "chatKey" = ${id}`
        assert.deepStrictEqual<unknown>(yield* request("handed", "stop", 1, { chat: row }), RequestResult.Superseded())
      }
      assert.deepStrictEqual(yield* seen(id), row)
      yield* sql`update app."userChats" set "ownedBy" = 'ann' where "chatKey" = ${id}`
      yield* queued("handed", "stop", 1, { chat: row })
    }))

  it.effect("of 64 that want a workspace for one chat at once one makes it", () =>
    Effect.gen(function*() {
      const id = yield* newChat("ann")
      const results = yield* Effect.forEach(
        Array.from({ length: 64 }, (_, index) => `crowd-${index}`),
        (suffix) => create(suffix, { chat: unbound(id) }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(results.filter(CreateResult.$is("Created")).length, 1)
      const binding = yield* seen(id)
      for (const result of results) assert.deepStrictEqual(result.binding, binding)
    }))

  it.effect("workspaces are counted by the chat that made them", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* newChat("ann"), yield* newChat("ann")]
      const limit = { count: 1, within: Duration.hours(1) }
      const { binding } = yield* created("counted-1", { chat: unbound(one), limit })
      assert(binding !== null)
      assert.deepStrictEqual<unknown>(
        yield* Effect.flip(create("counted-2", { chat: binding, limit })),
        new TooManyWorkspaces({ limit: 1, within: limit.within })
      )
      yield* created("counted-3", { chat: unbound(other), limit })
    }))
})

/** Has a lock in a transaction of its own until it is released or the scope closes. */
const hold = Effect.fnUntraced(function*<E>(lock: Effect.Effect<unknown, E>) {
  const sql = yield* SqlClient.SqlClient
  const held = yield* Deferred.make<void>()
  const letGo = yield* Deferred.make<void>()
  const holder = yield* Effect.forkScoped(
    sql.withTransaction(Effect.andThen(lock, Effect.andThen(Deferred.succeed(held, undefined), Deferred.await(letGo))))
  )
  yield* Deferred.await(held)
  return { release: Effect.andThen(Deferred.succeed(letGo, undefined), Fiber.join(holder)) }
})

/** Waits until so many statements of the block's database wait for a lock. */
const untilBlocked = Effect.fnUntraced(function*(count: number) {
  const sql = yield* SqlClient.SqlClient
  const waiting = sql`
    select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  yield* Effect.repeat(waiting, { until: (rows) => rows.length === count, schedule: Schedule.spaced("10 millis") })
})

/** Counts the statements that PostgreSQL ended because two waited for each other, by the span that each has. */
class Deadlocks extends Context.Service<Deadlocks, { readonly count: () => number }>()("test/Deadlocks") {}

const watched = Layer.unwrap(Effect.sync(() => {
  let count = 0
  const tracer = Tracer.make({
    span(options) {
      const span = Tracer.nativeTracer.span(options)
      const end = span.end.bind(span)
      span.end = (at, exit) => {
        if (options.kind === "client" && String(exit).includes("DeadlockError")) count++
        end(at, exit)
      }
      return span
    }
  })
  return Layer.merge(Layer.succeed(Tracer.Tracer, tracer), Layer.succeed(Deadlocks, { count: () => count }))
}))

layer(
  SqlStore.layer().pipe(
    Layer.provideMerge(watched),
    Layer.provideMerge(freshDatabase({ client: { maxConnections: 12 } }))
  ),
  real
)("Builds at once", (it) => {
  it.effect(
    "whoever asks for, runs, records and hears of the same workspaces at once never waits for another in a ring",
    () =>
      Effect.gen(function*() {
        const presence = yield* AgentPresence
        const { count } = yield* Deadlocks
        const suffixes = Array.from({ length: 8 }, (_, index) => `ring-${index}`)
        for (let round = 0; round < 3; round++) {
          const names = suffixes.map((suffix) => `${suffix}-${round}`)
          yield* Effect.forEach(names, (suffix) => created(suffix, { chat: unbound(chat(suffix)), repeatable: true }))
          const taken = yield* Effect.forEach(names, () => take())
          const agents = (of: string) => ["c", "a", "b"].map((name) => enrolled(`${name}-${of}`, { name }))
          yield* Effect.forEach(taken, ({ build, epoch }) => prepare(build.buildId, epoch, ...agents(build.buildId)))
          const ids = taken.flatMap(({ build }) => agents(build.buildId).map(({ agentId }) => agentId))
          const sessions = ids.map((agentId) => ({ agentId, epoch: 1, age: Duration.zero }))
          const calls = taken.flatMap(
            ({ build, epoch, workspace }, index): Array<Effect.Effect<unknown, unknown, Ports>> => {
              const suffix = names[index] ?? ""
              const id = ids[index] ?? agentId("none")
              return [
                prepare(build.buildId, epoch, ...agents(build.buildId).toReversed()),
                finish(build.buildId, epoch, succeeded),
                Effect.flatMap(seen(suffix), (row) => request(suffix, "start", 1, { chat: row })),
                cancel(suffix),
                start(workspace.workspaceId, `recorded-${suffix}`, `recorded-${suffix}`),
                attach(id),
                presence.report({ agentId: id, epoch: 1, lifecycle: "ready" }),
                presence.beat({ nodeId: node(`n${index}`), sessions, waiting: [] }),
                presence.beat({ nodeId: node(`m${index}`), sessions: sessions.toReversed(), waiting: [] }),
                takeSome()
              ]
            }
          )
          const exits = yield* Effect.forEach(calls, (call) => Effect.exit(call), { concurrency: "unbounded" })
          // Others may have been faster, but the store has an answer for all.
          for (const exit of exits) assert.notInclude(String(exit), "StoreError")
        }
        assert.strictEqual(count(), 0)
      }),
    30_000
  )

  it.effect(
    "agents that are prepared anew while their sessions beat do not wait in a ring either",
    () =>
      Effect.gen(function*() {
        const presence = yield* AgentPresence
        const sql = yield* SqlClient.SqlClient
        const { count } = yield* Deadlocks
        yield* created("anew")
        const { epoch } = yield* take()
        // The last of their ids first.
        const agents = Array.from({ length: 40 }, (_, index) =>
          enrolled(`anew-${49 - index}`, { name: `agent-${index}` }))
        yield* prepare("banew", epoch, ...agents)
        const sessions = agents.map(({ agentId }) => ({ agentId, epoch: 0, age: Duration.zero }))
        // Both meet a row in the middle that somebody else has, and go on when he lets it go.
        const { release } = yield* hold(
          sql`select 1 from chat_workspace.agent_presence where agent_id = 'anew-30' for no key update`
        )
        const preparing = yield* Effect.forkChild(prepare("banew", epoch, ...agents))
        yield* untilBlocked(1)
        const beating = yield* Effect.forkChild(presence.beat({ nodeId: node("n"), sessions, waiting: [] }))
        yield* untilBlocked(2)
        yield* release
        yield* Fiber.join(preparing)
        const { verdicts } = yield* Fiber.join(beating)
        assert.deepStrictEqual(new Set(verdicts.values()), new Set(["replaced" as const]))
        assert.strictEqual(count(), 0)
        yield* finish("banew", epoch, succeeded)
      }).pipe(Effect.scoped),
    30_000
  )

  it.effect(
    "a start that ends while its agents report does not either",
    () =>
      Effect.gen(function*() {
        const presence = yield* AgentPresence
        const sql = yield* SqlClient.SqlClient
        const { count } = yield* Deadlocks
        yield* created("ends")
        const { epoch } = yield* take()
        // The last of their ids first.
        const agents = Array.from({ length: 40 }, (_, index) =>
          enrolled(`ends-${49 - index}`, { name: `agent-${index}` }))
        yield* prepare("bends", epoch, ...agents)
        const { release } = yield* hold(
          sql`select 1 from chat_workspace.agents where agent_id = 'ends-30' for no key update`
        )
        const finishing = yield* Effect.forkChild(finish("bends", epoch, succeeded))
        yield* untilBlocked(1)
        const reporting = yield* Effect.forkChild(Effect.forEach(
          agents,
          ({ agentId }) =>
            presence.report({ agentId, epoch: 0, lifecycle: "ready" }),
          { concurrency: "unbounded", discard: true }
        ))
        yield* untilBlocked(2)
        yield* release
        yield* Fiber.join(finishing)
        yield* Fiber.join(reporting)
        assert.strictEqual(count(), 0)
      }).pipe(Effect.scoped),
    30_000
  )

  it.effect(
    "deletes that end while they are to be canceled do not wait in a ring either",
    () =>
      Effect.gen(function*() {
        const { count } = yield* Deadlocks
        const suffixes = Array.from({ length: 12 }, (_, index) => `delete-${index}`)
        yield* Effect.forEach(suffixes, (suffix) => created(suffix))
        yield* Effect.forEach(suffixes, () => run())
        yield* Effect.forEach(suffixes, (suffix) => queued(suffix, "delete", 1))
        const taken = yield* Effect.forEach(suffixes, () => take())
        yield* Effect.forEach(
          taken,
          ({ build, epoch }, index) =>
            Effect.all(
              [
                finish(build.buildId, epoch, succeeded),
                Effect.exit(cancel(suffixes[index] ?? "")),
                Effect.exit(request(suffixes[index] ?? "", "start", 2))
              ],
              { concurrency: "unbounded" }
            ),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(count(), 0)
        const builds = yield* Builds
        const left = (yield* builds.workspaces(ann)).map(({ workspace }) => workspace.workspaceId)
        assert.deepStrictEqual(left.filter((id) => id.startsWith("wdelete")), [])
      }),
    30_000
  )

  it.effect("a runner passes over a build that another one is just taking or ending", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* created("passed-1")
      yield* created("passed-2")
      const { release } = yield* hold(
        sql`select 1 from chat_workspace.builds where build_id = 'bpassed-1' for no key update`
      )
      assert.strictEqual((yield* take()).build.buildId, "bpassed-2")
      assert.deepStrictEqual(yield* takeSome(), Option.none())
      yield* release
      assert.strictEqual((yield* take()).build.buildId, "bpassed-1")
    }).pipe(Effect.scoped), 30_000)

  it.effect("what a caller's transaction made stays when that rolls back", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const before = unbound(chat("beside"))
      const rolledBack = yield* Effect.exit(sql.withTransaction(
        Effect.andThen(created("beside", { chat: before }), Effect.fail("no"))
      ))
      assert.deepStrictEqual(rolledBack, Exit.fail("no"))
      assert.strictEqual((yield* seen("beside")).workspaceId, workspace("wbeside"))
      assert.deepStrictEqual<unknown>(yield* request("beside", "stop", 1), RequestResult.Superseded())
    }))
})

layer(
  SqlStore.layer().pipe(
    Layer.provideMerge(Migrations.layerMigrations()),
    Layer.provideMerge(databaseClient()),
    Layer.provideMerge(Layer.unwrap(Effect.map(PostgresServer, ({ url }) => databaseIn(url)))),
    Layer.provideMerge(Postgres.layer())
  ),
  real
)("Builds in a database that freezes", (it) => {
  it.effect("in the middle of making a workspace: nothing is made, or all of it", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer
      const builds = yield* Builds
      const sql = yield* SqlClient.SqlClient
      // Somebody else is about to take the name: the workspace waits for him, with its chat's row made and locked.
      const { release } = yield* hold(
        sql`insert into chat_workspace.workspaces (workspace_id, owner, name) values ('other', 'ann', 'name1')`
      )
      const waiting = yield* Effect.forkChild(Effect.flip(create("1", { chat: unbound(chat("c")) })))
      yield* untilBlocked(1)
      yield* server.pause
      const error = yield* Effect.ensuring(Fiber.join(waiting), server.resume)
      assert.instanceOf(error, StoreError)
      yield* release
      yield* Effect.repeat(
        sql`
          select 1 from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`,
        { until: (rows) => rows.length === 0, schedule: Schedule.spaced("10 millis") }
      )
      const binding = yield* seen("c")
      const made = yield* builds.workspace(workspace("w1"))
      assert.strictEqual(Option.isSome(made), binding.workspaceId === workspace("w1"))
      assert.strictEqual(Option.isSome(yield* builds.get(build("b1"))), Option.isSome(made))
      assert.strictEqual(Option.isSome(yield* builds.latest(workspace("w1"))), Option.isSome(made))
      // Asked again, it is made.
      if (Option.isNone(made)) yield* created("2", { chat: binding })
    }).pipe(Effect.scoped), 30_000)
})
