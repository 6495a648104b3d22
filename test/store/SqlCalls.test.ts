import type { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import {
  Cause,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Schedule,
  Schema,
  Scope,
  Tracer
} from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { type Binding, unbound } from "../../src/domain/Binding.ts"
import { StoreError } from "../../src/domain/Errors.ts"
import { TemplateId } from "../../src/domain/Ids.ts"
import { WorkspaceName } from "../../src/domain/Workspace.ts"
import { AgentEnrollments } from "../../src/store/AgentEnrollments.ts"
import { AgentPresence } from "../../src/store/AgentPresence.ts"
import { Builds } from "../../src/store/Builds.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { Chats } from "../../src/store/Chats.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlAgentPresence from "../../src/store/SqlAgentPresence.ts"
import * as SqlChatBindings from "../../src/store/SqlChatBindings.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import * as StoreConfig from "../../src/store/StoreConfig.ts"
import { WorkspaceAgents } from "../../src/store/WorkspaceAgents.ts"
import { PostgresServer } from "../../src/testing/PostgresServer.ts"
import * as Postgres from "../../src/testing/PostgresServer.ts"
import {
  agentId,
  build,
  chat,
  enrolled,
  incarnation,
  node,
  owner,
  secretOf,
  start,
  workspace
} from "../../src/testing/StoreWords.ts"
import { databaseClient, databaseIn, emptyDatabase, type TestDatabase } from "../postgres.ts"
import { type Ports } from "./support.ts"

const real = { excludeTestServices: true, timeout: "60 seconds" } as const

/** A store that is migrated, over a client of its own. */
const store = (options?: {
  readonly client?: PgClient.PgPoolConfig
  readonly callTimeout?: Duration.Input
}): Layer.Layer<Ports | SqlClient.SqlClient, unknown, TestDatabase> =>
  SqlStore.layer().pipe(
    Layer.provide(StoreConfig.layer({ callTimeout: options?.callTimeout })),
    Layer.provideMerge(Migrations.layerMigrations()),
    Layer.provideMerge(databaseClient(options?.client))
  )

/** Every call of every port, under names that are free. */
const everyCall = Effect.fnUntraced(function*(suffix: string) {
  const bindings = yield* ChatBindings
  const chats = yield* Chats
  const agents = yield* WorkspaceAgents
  const presence = yield* AgentPresence
  const enrollments = yield* AgentEnrollments
  const builds = yield* Builds
  const lease = Duration.seconds(30)
  const w = { workspaceId: workspace(`w${suffix}`), owner: owner("ann") }
  const c = { chatId: chat(`c${suffix}`), owner: owner("ann") }
  const a = agentId(`a${suffix}`)
  const token = { agentId: a, secret: Redacted.make(new Uint8Array(32).fill(1)) }
  const agent = enrolled(`a${suffix}`, { secretHash: yield* secretOf(1) })
  // In an order in which each has what it needs.
  const calls: ReadonlyArray<readonly [name: string, call: Effect.Effect<unknown, unknown>]> = [
    ["recordStart", enrollments.recordStart({ ...w, buildId: build(`b${suffix}`), agents: [agent] })],
    ["create", chats.create(c)],
    ["bindWorkspace", bindings.bindWorkspace({ ...c, workspaceId: w.workspaceId })],
    ["get", bindings.get(c.chatId)],
    ["bindAgent", bindings.bindAgent(unbound(c.chatId), build(`b${suffix}`), a)],
    ["agent", agents.agent(a)],
    ["latestBuild", agents.latestBuild(w.workspaceId)],
    ["verify", presence.verify(token)],
    ["attach", presence.attach({ agentId: a, nodeId: node("n"), incarnation: incarnation("i") })],
    ["beat", presence.beat({ nodeId: node("n"), sessions: [], waiting: [] })],
    ["report", presence.report({ agentId: a, epoch: 1, lifecycle: "starting" })],
    ["detach", presence.detach({ agentId: a, epoch: 1 })],
    ["replaceSecret", enrollments.replaceSecret({ ...w, agentId: a, secretHash: yield* secretOf(2) })],
    ["recordEnd", enrollments.recordEnd({ ...w, buildId: build(`e${suffix}`), transition: "stop" })],
    [
      "createWorkspace",
      builds.createWorkspace({
        owner: w.owner,
        workspaceId: workspace(`n${suffix}`),
        templateId: TemplateId.make("template"),
        names: [WorkspaceName.make(`n${suffix}`)],
        build: { buildId: build(`n${suffix}`), parameters: {}, repeatable: true },
        chat: unbound(chat(`n${suffix}`)),
        limit: { count: 3, within: Duration.hours(1) }
      })
    ],
    ["take", builds.take({ nodeId: node("n"), lease, limit: Duration.minutes(15), attempts: 3 })],
    ["renew", builds.renew({ buildId: build(`n${suffix}`), epoch: 1, lease })],
    [
      "prepareAgents",
      builds.prepareAgents({ buildId: build(`n${suffix}`), epoch: 1, agents: [enrolled(`n${suffix}`)] })
    ],
    [
      "appendLog",
      builds.appendLog({ buildId: build(`n${suffix}`), epoch: 1, lines: [{ number: 1, text: "line" }] })
    ],
    ["lastLine", builds.lastLine(build(`n${suffix}`))],
    ["log", builds.log({ buildId: build(`n${suffix}`), after: 0 })],
    ["getBuild", builds.get(build(`n${suffix}`))],
    ["latest", builds.latest(workspace(`n${suffix}`))],
    ["workspace", builds.workspace(workspace(`n${suffix}`))],
    ["workspaces", builds.workspaces(w.owner)],
    ["finish", builds.finish({ buildId: build(`n${suffix}`), epoch: 1, outcome: { _tag: "Succeeded" } })],
    [
      "request",
      builds.request({
        owner: w.owner,
        workspaceId: workspace(`n${suffix}`),
        transition: "start",
        after: 1,
        build: { buildId: build(`m${suffix}`), parameters: {}, repeatable: false },
        chat: null
      })
    ],
    ["release", builds.release({ buildId: build(`m${suffix}`), epoch: 1 })],
    ["cancel", builds.cancel({ owner: w.owner, workspaceId: workspace(`n${suffix}`) })]
  ]
  return calls
})

let suffixes = 0

/** Asserts that each call fails with a `StoreError` within `bound`, all of them at once. */
const allFailWithin = Effect.fnUntraced(function*(bound: number) {
  const calls = yield* everyCall(`-${++suffixes}`)
  const results = yield* Effect.forEach(
    calls,
    ([name, call]) => Effect.map(Effect.timed(Effect.exit(call)), ([took, exit]) => ({ name, took, exit })),
    { concurrency: "unbounded" }
  )
  assert.strictEqual(results.length, 29)
  for (const { exit, name, took } of results) {
    const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
    assert.isTrue(Schema.is(StoreError)(error), `${name}: ${String(exit)}`)
    assert.isBelow(Duration.toMillis(took), bound, name)
  }
  return results.map(({ exit, name, took }) => ({ exit, name, took: Duration.toMillis(took) }))
})

/** Asserts that each call works, one after the other, and well within the bound. */
const allWork = Effect.gen(function*() {
  for (const [name, call] of yield* everyCall(`-${++suffixes}`)) {
    const [took, exit] = yield* Effect.timed(Effect.exit(call))
    assert.isTrue(Exit.isSuccess(exit), `${name}: ${String(exit)}`)
    assert.isBelow(Duration.toMillis(took), 2000, name)
  }
})

/** Waits until so many statements of the block's database wait for a lock. */
const untilBlocked = Effect.fnUntraced(function*(count: number) {
  // A client of its own: inside a transaction the server would repeat what it showed first.
  const sql = Context.get(yield* Layer.build(databaseClient({ maxConnections: 1 })), SqlClient.SqlClient)
  const waiting = sql`
    select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  yield* Effect.repeat(waiting, { until: (rows) => rows.length === count, schedule: Schedule.spaced("10 millis") })
    .pipe(
      Effect.timeout("5 seconds")
    )
}, Effect.scoped)

/** Holds a lock on the row of a chat or workspace until the scope closes. */
const hold = Effect.fnUntraced(function*(table: "chats" | "workspaces", key: string) {
  const other = yield* Layer.build(databaseClient({ maxConnections: 2 }))
  const sql = Context.get(other, SqlClient.SqlClient)
  const held = yield* Deferred.make<void>()
  const column = table === "chats" ? "chat_id" : "workspace_id"
  yield* Effect.forkScoped(sql.withTransaction(
    sql`select 1 from ${sql(`chat_workspace.${table}`)} where ${sql(column)} = ${key} for update`.pipe(
      Effect.andThen(Deferred.succeed(held, undefined)),
      Effect.andThen(Effect.never)
    )
  ))
  yield* Deferred.await(held)
})

/** A chat bound to a workspace of its own. */
const boundChat = Effect.gen(function*() {
  const suffix = `-${++suffixes}`
  yield* start(`w${suffix}`, `b${suffix}`, `a${suffix}`)
  const bindings = yield* ChatBindings
  return yield* bindings.bindWorkspace({
    chatId: chat(`c${suffix}`),
    owner: owner("ann"),
    workspaceId: workspace(`w${suffix}`)
  })
})

const ownServer = Layer.unwrap(Effect.map(PostgresServer, ({ url }) => databaseIn(url))).pipe(
  Layer.provideMerge(Postgres.layer())
)

layer(Layer.provideMerge(store(), ownServer), real)("Calls to a server that fails", (it) => {
  it.effect("frozen: each ends within its 3 s, and works again afterwards", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer
      yield* allWork
      yield* server.pause
      const results = yield* Effect.ensuring(allFailWithin(3500), server.resume)
      // The bound, and not something faster, ended what was waiting.
      for (const { name, took } of results) assert.isAtLeast(took, 2900, name)
      yield* allWork
    }), 30_000)

  it.effect(
    "frozen with no connection open: each ends within its 3 s, and works again afterwards",
    () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer
        yield* server.pause
        yield* Effect.ensuring(allFailWithin(3500), server.resume)
        yield* allWork
      }).pipe(Effect.provide(Layer.fresh(SqlStore.layer().pipe(Layer.provide(databaseClient()))))),
    30_000
  )

  it.effect("gone: each fails at once, and works when it is back", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer
      for (const verb of ["stop", "kill"] as const) {
        yield* server[verb]
        yield* Effect.ensuring(allFailWithin(2000), Effect.ignore(server.restart))
        yield* allWork
      }
    }), 30_000)

  for (const verb of ["restart", "kill"] as const) {
    it.effect(`${verb} during a transaction: a typed failure at once`, () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer
        const { workspaceId } = yield* boundChat
        yield* hold("workspaces", workspaceId ?? "")
        const enrollments = yield* AgentEnrollments
        const waiting = yield* Effect.forkChild(Effect.exit(enrollments.recordEnd({
          workspaceId: workspace(workspaceId ?? ""),
          owner: owner("ann"),
          buildId: build("never"),
          transition: "stop"
        })))
        yield* untilBlocked(1)
        yield* server[verb]
        const [took, exit] = yield* Effect.timed(Fiber.join(waiting))
        assert.isBelow(Duration.toMillis(took), 1000)
        assert(Exit.isFailure(exit))
        const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
        assert(Schema.is(StoreError)(error), String(exit))
        assert.isTrue(SqlError.isSqlError(error.cause), String(error.cause))
        if (verb === "kill") yield* server.restart
        yield* allWork
      }).pipe(Effect.scoped), 30_000)
  }

  it.effect("interrupted while the server is frozen, the caller leaves at once", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer
      const bindings = yield* ChatBindings
      yield* server.pause
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(bindings.get(chat("c")))
        yield* Effect.sleep("100 millis")
        assert.isUndefined(fiber.pollUnsafe())
        const [took] = yield* Effect.timed(Fiber.interrupt(fiber))
        assert.isBelow(Duration.toMillis(took), 1000)
      }).pipe(Effect.ensuring(server.resume))
    }), 30_000)

  it.effect("a caller on a virtual clock is bound by the clock of the layer", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer
      const bindings = yield* ChatBindings
      const agents = yield* WorkspaceAgents
      yield* server.pause
      const [took, results] = yield* Effect.timed(
        Effect.all([Effect.flip(bindings.get(chat("c"))), Effect.flip(agents.agent(agentId("a")))], {
          concurrency: "unbounded"
        }).pipe(Effect.provide(TestClock.layer()))
      ).pipe(Effect.ensuring(server.resume))
      assert.deepStrictEqual(results.map((error) => error._tag), ["StoreError", "StoreError"])
      assert.isBelow(Duration.toMillis(took), 3500)
    }), 30_000)

  it.effect("the layer closes while the server is frozen, and its callers are told", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer
      const scope = yield* Scope.make()
      const built = yield* Layer.buildWithScope(
        SqlChatBindings.layer().pipe(Layer.provide(StoreConfig.layer({ callTimeout: "2 seconds" }))),
        scope
      )
      const bindings = Context.get(built, ChatBindings)
      yield* bindings.get(chat("c"))
      yield* server.pause
      yield* Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(Effect.timed(Effect.flip(bindings.get(chat("c")))))
        yield* Effect.sleep("100 millis")
        const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
        assert.isBelow(Duration.toMillis(took), 2500)
        const [waited, error] = yield* Fiber.join(waiting)
        assert.strictEqual(error._tag, "StoreError")
        assert.isBelow(Duration.toMillis(waited), 2500)
        const [after, closed] = yield* Effect.timed(Effect.flip(bindings.get(chat("c"))))
        assert.strictEqual(closed._tag, "StoreError")
        assert.isBelow(Duration.toMillis(after), 500)
      }).pipe(Effect.ensuring(server.resume))
    }), 30_000)
})

const database = Layer.unwrap(Effect.sync(() => emptyDatabase({ maxConnections: 2 })))

layer(database, real)("Calls on a pool without a free connection", (it) => {
  it.effect(
    "each ends within its 3 s, and works when one is free; heartbeats with a pool of their own never wait",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const taken = yield* Deferred.make<void>()
        const holder = yield* Effect.forkChild(
          sql.withTransaction(Effect.andThen(Deferred.succeed(taken, undefined), Effect.never))
        )
        yield* Deferred.await(taken)
        const own = Layer.merge(
          SqlStore.layer(),
          SqlAgentPresence.layer().pipe(Layer.provide(databaseClient({ maxConnections: 1 })))
        )
        const beat = yield* Effect.flatMap(
          AgentPresence,
          (presence) => presence.beat({ nodeId: node("n"), sessions: [], waiting: [] })
        ).pipe(
          Effect.provide(own),
          Effect.timed,
          Effect.forkChild
        )
        const results = yield* allFailWithin(3500)
        for (const { name, took } of results) assert.isAtLeast(took, 2900, name)
        const [took, answer] = yield* Fiber.join(beat)
        assert.strictEqual(answer.verdicts.size, 0)
        assert.isBelow(Duration.toMillis(took), 1000)
        yield* Fiber.interrupt(holder)
        yield* allWork
      }).pipe(Effect.provide(store({ client: { maxConnections: 1 } }))),
    30_000
  )
})

layer(Layer.provideMerge(store(), database), real)("Calls beside a caller's transaction", (it) => {
  it.effect("what they wrote stays when it rolls back", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const bindings = yield* ChatBindings
      const agents = yield* WorkspaceAgents
      yield* sql`create table if not exists orders (id int primary key)`
      const row = yield* boundChat
      const bound = yield* Deferred.make<Binding>()
      const rolledBack = yield* Effect.exit(sql.withTransaction(Effect.gen(function*() {
        yield* sql`insert into orders (id) values (1)`
        const { binding } = yield* bindings.bindAgent(row, build("b"), agentId("a"))
        yield* agents.agent(agentId("a"))
        yield* Deferred.succeed(bound, binding)
        return yield* Effect.fail("no")
      })))
      assert.deepStrictEqual(rolledBack, Exit.fail("no"))
      assert.deepStrictEqual(yield* sql`select id from orders`, [])
      const stored = yield* bindings.get(row.chatId)
      assert.strictEqual(stored.generation, row.generation + 1)
      assert.deepStrictEqual(stored, yield* Deferred.await(bound))
    }))

  it.effect("also where the layer itself was built inside one", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const row = yield* boundChat
      yield* Effect.exit(sql.withTransaction(
        Effect.flatMap(ChatBindings, (bindings) => bindings.bindAgent(row, build("b"), agentId("a"))).pipe(
          Effect.provide(Layer.fresh(SqlChatBindings.layer())),
          Effect.andThen(Effect.fail("no"))
        )
      ))
      const stored = yield* Effect.flatMap(ChatBindings, (bindings) => bindings.get(row.chatId))
      assert.strictEqual(stored.agentId, agentId("a"))
    }))

  it.effect(
    "one that holds the row makes a write fail within its bound, and the write is withdrawn",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const bindings = yield* ChatBindings
        const row = yield* boundChat
        const [took, error] = yield* sql.withTransaction(Effect.gen(function*() {
          yield* sql`select 1 from chat_workspace.chats where chat_id = ${row.chatId} for update`
          const timed = yield* Effect.timed(Effect.flip(bindings.bindAgent(row, build("b"), agentId("a"))))
          // Until the server has heard that nobody waits for it, the write may still be done.
          const waiting = sql`
          select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
          yield* Effect.repeat(waiting, { until: (rows) => rows.length === 0, schedule: Schedule.spaced("10 millis") })
          return timed
        }))
        assert.strictEqual(error._tag, "StoreError")
        assert.isBelow(Duration.toMillis(took), 3500)
        assert.deepStrictEqual(yield* bindings.get(row.chatId), row)
      }),
    30_000
  )

  it.effect("a row that is not what the migrations made is a defect", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const agents = yield* WorkspaceAgents
      yield* start("broken", "broken", "broken")
      yield* sql`update chat_workspace.agents set name = '' where agent_id = 'broken'`
      for (const read of [agents.agent(agentId("broken")), agents.latestBuild(workspace("broken"))]) {
        const exit = yield* Effect.exit<unknown, StoreError, never>(read)
        assert.isTrue(Exit.isFailure(exit) && exit.cause.reasons.every(Cause.isDieReason), String(exit))
      }
    }))
})

layer(
  Layer.provideMerge(
    store({ client: { startupParameters: { default_transaction_isolation: "repeatable read" } } }),
    database
  ),
  real
)("Calls where the database is told to be stricter", (it) => {
  it.effect("what lost against another transaction is tried again", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`show default_transaction_isolation`, [{
        default_transaction_isolation: "repeatable read"
      }])
      const bindings = yield* ChatBindings
      const row = yield* boundChat
      const fibers = yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`update chat_workspace.chats set created_at = clock_timestamp() where chat_id = ${row.chatId}`
        const fibers = yield* Effect.forEach(
          ["a", "b"],
          (name) => Effect.forkScoped(bindings.bindAgent(row, build("b"), agentId(name)))
        )
        // Both have looked, and now the row changes under them.
        yield* untilBlocked(2)
        return fibers
      }))
      const results = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(results.map(({ _tag }) => _tag).toSorted(), ["Bound", "Superseded"])
    }), 30_000)
})

/** Counts statements, by the span that each has. */
class Statements extends Context.Service<Statements, { readonly count: () => number }>()("test/Statements") {}

const counted = Layer.unwrap(Effect.sync(() => {
  let count = 0
  const tracer = Tracer.make({
    span(options) {
      if (options.kind === "client") count++
      return Tracer.nativeTracer.span(options)
    }
  })
  return Layer.merge(
    Layer.provideMerge(store(), Layer.succeed(Tracer.Tracer, tracer)),
    Layer.succeed(Statements, { count: () => count })
  )
}))

const counting = Effect.fnUntraced(function*<A, E, R>(self: Effect.Effect<A, E, R>) {
  const statements = yield* Statements
  const before = statements.count()
  const result = yield* self
  return [result, statements.count() - before] as const
})

layer(Layer.provideMerge(counted, database), real)("Statements", (it) => {
  it.effect("each call is one, but for those that are a transaction", () =>
    Effect.gen(function*() {
      const counts: Record<string, number> = {}
      for (const [name, call] of yield* everyCall("-count")) counts[name] = (yield* counting(call))[1]
      assert.deepStrictEqual(counts, {
        recordStart: 4,
        recordEnd: 3,
        ...Object.fromEntries(
          ["create", "bindWorkspace", "get", "bindAgent", "agent", "latestBuild", "verify", "attach", "beat", "report"]
            .map((name) => [name, 1])
        ),
        detach: 1,
        replaceSecret: 1,
        createWorkspace: 6,
        take: 2,
        prepareAgents: 4,
        finish: 4,
        request: 4,
        release: 1,
        cancel: 3,
        ...Object.fromEntries(
          ["renew", "appendLog", "lastLine", "log", "getBuild", "latest", "workspace", "workspaces"]
            .map((name) => [name, 1])
        )
      })
    }))

  it.effect("64 reads of agents, tokens, attachments or reports at once are one, also when the first caller leaves", () =>
    Effect.gen(function*() {
      const agents = yield* WorkspaceAgents
      const presence = yield* AgentPresence
      const names = Array.from({ length: 64 }, (_, index) => `crowd-${index % 32}`)
      yield* start("crowd", "crowd", ...new Set(names))
      const [found, reads] = yield* counting(
        Effect.forEach(names, (name) => agents.agent(agentId(name)), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(
        found.map((row) => Option.getOrUndefined(row)?.agent.agentId),
        names.map(agentId)
      )
      assert.strictEqual(reads, 1)

      const [, verified] = yield* counting(
        Effect.forEach(
          names,
          (name) =>
            presence.verify({ agentId: agentId(name), secret: Redacted.make(new Uint8Array(32)) }).pipe(Effect.exit),
          {
            concurrency: "unbounded"
          }
        )
      )
      assert.strictEqual(verified, 1)

      const crowd = [...new Set(names)]
      const [attached, attaches] = yield* counting(
        Effect.forEach(
          crowd,
          (name) => presence.attach({ agentId: agentId(name), nodeId: node("n"), incarnation: incarnation(name) }),
          {
            concurrency: "unbounded"
          }
        )
      )
      assert.deepStrictEqual(attached, crowd.map(() => ({ epoch: 1, previous: null })))
      assert.strictEqual(attaches, 1)

      const [, reports] = yield* counting(
        Effect.forEach(
          crowd,
          (name, index) =>
            presence.report({ agentId: agentId(name), epoch: 1, lifecycle: index % 2 === 0 ? "starting" : "off" }),
          { concurrency: "unbounded" }
        )
      )
      const told = yield* Effect.forEach(crowd, (name) => agents.agent(agentId(name)), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        told.map((row) => Option.getOrUndefined(row)?.agent.lifecycle),
        crowd.map((_, index) => index % 2 === 0 ? "starting" : "off")
      )
      assert.strictEqual(reports, 1)

      const [rest, again] = yield* counting(Effect.gen(function*() {
        const fibers = yield* Effect.forEach(names, (name) => Effect.forkChild(agents.agent(agentId(name))))
        const [first, ...others] = fibers
        yield* Effect.yieldNow
        if (first !== undefined) yield* Fiber.interrupt(first)
        return yield* Effect.forEach(others, Fiber.join)
      }))
      assert.isTrue(rest.every(Option.isSome))
      assert.strictEqual(again, 1)
    }))

  it.effect("reads from inside a transaction and outside share one, which is not in it", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const agents = yield* WorkspaceAgents
      yield* start("mixed", "mixed", "mixed-1", "mixed-2")
      const outside = Effect.suspend(() =>
        Fiber.join(Effect.runForkWith(Context.empty())(agents.agent(agentId("mixed-2"))))
      )
      const [rows, count] = yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`update chat_workspace.agents set name = 'not yet' where build_id = 'mixed'`
        return yield* counting(Effect.all([agents.agent(agentId("mixed-1")), outside], { concurrency: "unbounded" }))
      }))
      assert.deepStrictEqual(rows.map((row) => Option.getOrUndefined(row)?.agent.name), ["main", "main"])
      assert.strictEqual(count, 1)
    }))

  it.effect("a crowd that comes one by one is few, and each has its own answer", () =>
    Effect.gen(function*() {
      const presence = yield* AgentPresence
      const names = Array.from({ length: 400 }, (_, index) => `one-by-one-${index}`)
      yield* start("one-by-one", "one-by-one", ...names)
      const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      const oneByOne = <A, E>(call: (name: string) => Effect.Effect<A, E>) =>
        counting(
          Effect.forEach(
            names,
            (name) => Effect.andThen(nextTurn, Effect.forkChild(call(name), { startImmediately: true }))
          ).pipe(Effect.flatMap(Fiber.joinAll))
        )
      const [attached, attaches] = yield* oneByOne((name) =>
        presence.attach({ agentId: agentId(name), nodeId: node("n"), incarnation: incarnation(name) })
      )
      assert.isTrue(attached.every(({ epoch, previous }) => epoch === 1 && previous === null))
      // Those that are no crowd yet, each for itself, and a few for all others.
      assert.isAtMost(attaches, 100)
      const [, detaches] = yield* oneByOne((name) => presence.detach({ agentId: agentId(name), epoch: 1 }))
      assert.isAtMost(detaches, 100)
    }))

  it.effect("heartbeats of 10,000 agents are one, well within the bound", () =>
    Effect.gen(function*() {
      const enrollments = yield* AgentEnrollments
      const presence = yield* AgentPresence
      const sql = yield* SqlClient.SqlClient
      const names = Array.from({ length: 10_000 }, (_, index) => `many-${index}`)
      yield* enrollments.recordStart({
        workspaceId: workspace("many"),
        owner: owner("ann"),
        buildId: build("many"),
        agents: names.map((name) => enrolled(name))
      })
      const sessions = names.map((name) => ({ agentId: agentId(name), epoch: 0, age: Duration.millis(7.5) }))
      // More than the five times after which the server may plan for arrays of any length.
      for (let round = 0; round < 8; round++) {
        const [[took, { verdicts }], count] = yield* counting(
          Effect.timed(presence.beat({ nodeId: node("n"), sessions, waiting: [] }))
        )
        assert.strictEqual(count, 1)
        assert.strictEqual(verdicts.size, 10_000)
        assert.isTrue(Array.from(verdicts.values()).every((verdict) => verdict === "valid"))
        assert.isBelow(Duration.toMillis(took), 3000)
      }
      assert.deepStrictEqual(
        yield* sql`select count(*)::int as heard from chat_workspace.agent_presence where agent_id like 'many-%' and heard_at is not null`,
        [{ heard: 10_000 }]
      )
    }), 30_000)
})
