/**
 * What PostgreSQL is asked: readers of agents' rows together and each for itself, the heartbeats of 10,000 agents, and
 * 10,000 agents that come back at once.
 *
 * The server is the one of the tests, on this machine and without syncs. Statements are counted by the server itself.
 */
import { PgClient } from "@effect/sql-pg"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as AgentGateway from "../src/agent/AgentGateway.ts"
import { Incarnation, NodeId } from "../src/domain/Ids.ts"
import * as AgentPresence from "../src/store/AgentPresence.ts"
import * as Migrations from "../src/store/Migrations.ts"
import * as SqlStore from "../src/store/SqlStore.ts"
import * as SqlWorkspaceAgents from "../src/store/SqlWorkspaceAgents.ts"
import * as WorkspaceAgents from "../src/store/WorkspaceAgents.ts"
import * as PostgresServer from "../src/testing/PostgresServer.ts"
import * as b from "./backend.ts"
import * as h from "./harness.ts"
import type * as Agents from "./peers/agents.ts"
import * as Peer from "./peers/peer.ts"

/** A database with all tables, its ports, and a client of its own for whoever counts. */
export const database = Effect.gen(function*() {
  const server = yield* PostgresServer.make({ settings: { shared_preload_libraries: "pg_stat_statements" } })
  const ports = yield* Layer.build(
    SqlStore.layer().pipe(
      Layer.provideMerge(Migrations.layerMigrations()),
      Layer.provideMerge(PgClient.layer({ url: server.url, maxConnections: 10 }))
    )
  )
  return { ports, server }
})

const counter = Effect.fnUntraced(function*(server: PostgresServer.PostgresServer["Service"]) {
  const context = yield* Layer.build(Layer.fresh(PgClient.layer({ url: server.url, maxConnections: 1 })))
  const sql = Context.get(context, SqlClient.SqlClient)
  yield* sql`create extension if not exists pg_stat_statements`
  return {
    reset: Effect.asVoid(sql`select pg_stat_statements_reset()`),
    /** Since the last reset, without our own. */
    count: Effect.map(
      sql<{ readonly calls: number; readonly millis: number }>`
        select coalesce(sum(calls), 0)::integer as calls, coalesce(sum(total_exec_time), 0)::float8 as millis
        from pg_stat_statements where query not like '%pg_stat_statements%'`,
      ([row]) => ({ statements: row?.calls ?? 0, millis: row?.millis ?? 0 })
    )
  }
})

type Counter = Effect.Success<ReturnType<typeof counter>>

const readers = 64

/** Readers of different rows, through one port, and each through a port of its own over the same pool. */
const reading = Effect.fnUntraced(function*(
  { quick }: h.Options,
  enrolled: ReadonlyArray<b.Enrolled>,
  ports: Context.Context<WorkspaceAgents.WorkspaceAgents | SqlClient.SqlClient>,
  counter: Counter
) {
  const together = Context.get(ports, WorkspaceAgents.WorkspaceAgents)
  const apart = yield* Effect.forEach(Array.from({ length: readers }), () =>
    Effect.map(
      Layer.build(Layer.fresh(SqlWorkspaceAgents.layer())),
      (context) => Context.get(context, WorkspaceAgents.WorkspaceAgents)
    )).pipe(Effect.provideContext(ports))
  let next = 0
  const ids = enrolled.map(({ agentId }) => agentId)
  const read = (port: (reader: number) => WorkspaceAgents.WorkspaceAgents["Service"]) =>
    Effect.suspend(() => {
      const reader = next++
      const id = ids[reader % ids.length]
      return id === undefined ? Effect.void : port(reader % readers).agent(id)
    })
  const own = (reader: number) => apart[reader] ?? together
  const millis = quick ? 300 : 1000
  const samples = yield* h.takeTurns(quick ? 3 : 9, {
    apart: h.load(readers, millis, read(own)),
    together: h.load(readers, millis, read(() => together)),
    alone: h.load(1, millis, read(() => together)),
    aloneApart: h.load(1, millis, read(own))
  })
  yield* counter.reset
  yield* Effect.forEach(ids.slice(0, readers), (id) => together.agent(id), { concurrency: "unbounded" })
  const { statements } = yield* counter.count
  const row = (what: string, name: keyof typeof samples, reference: keyof typeof samples) => [
    what,
    h.withSpread(h.spread(samples[name].map(({ perSecond }) => perSecond))),
    h.digits(h.median(samples[name].map(({ p50 }) => p50))),
    h.digits(h.median(samples[name].map(({ p99 }) => p99))),
    name === reference ? "1" : h.withSpread(h.ratios(samples[name], samples[reference], (one) => one.perSecond))
  ]
  return {
    rows: [
      ["reads of agents' rows", "reads/s", "p50 ms", "p99 ms", "of each for itself"],
      row(`${readers} readers, each for itself`, "apart", "apart"),
      row("  together", "together", "apart"),
      row("one reader, for itself", "aloneApart", "aloneApart"),
      row("  as one of the readers together", "alone", "aloneApart")
    ],
    statements
  }
})

const beats = Effect.fnUntraced(function*(
  enrolled: ReadonlyArray<b.Enrolled>,
  presence: AgentPresence.AgentPresence["Service"],
  counter: Counter
) {
  const nodeId = NodeId.make("bench")
  const incarnation = Incarnation.make("bench")
  const attached = yield* Effect.forEach(
    enrolled,
    ({ agentId }) =>
      Effect.map(presence.attach({ agentId, nodeId, incarnation }), ({ epoch }) => ({
        agentId,
        epoch,
        age: Duration.zero
      })),
    { concurrency: "unbounded" }
  )
  const sessions = attached.toSorted((left, right) => left.agentId < right.agentId ? -1 : 1)
  const beat = presence.beat({ nodeId, sessions, waiting: [] })
  yield* beat
  yield* counter.reset
  const taken: Array<number> = []
  for (let round = 0; round < 5; round++) {
    const begin = performance.now()
    yield* beat
    taken.push(performance.now() - begin)
  }
  const { millis, statements } = yield* counter.count
  return { taken: h.spread(taken), statements: statements / taken.length, millis: millis / taken.length }
})

const returning = Effect.fnUntraced(function*(
  enrolled: ReadonlyArray<b.Enrolled>,
  presence: Context.Context<AgentPresence.AgentPresence>,
  counter: Counter
) {
  const node = yield* Effect.provideContext(b.serve(AgentGateway.layerTransport()), presence)
  const agents = yield* Peer.start<Agents.Command>("agents")
  yield* agents.ask({ _tag: "Dial", url: node.url, tokens: enrolled.map(({ token }) => token) })
  yield* h.until("all agents to come", () => node.attached() === enrolled.length, 300_000)
  // What the coming left to do, lifecycles above all, is done.
  yield* Effect.sleep("3 seconds")
  yield* agents.ask({ _tag: "Drop" })
  const begin = performance.now()
  yield* h.until("all agents to be gone", () => node.attached() === 0, 60_000).pipe(
    Effect.timeoutOption("2 seconds")
  )
  yield* counter.reset
  yield* h.until("all agents to come back", () => node.attached() === enrolled.length, 300_000)
  const seconds = (performance.now() - begin) / 1000
  const { statements } = yield* counter.count
  const seen = yield* agents.ask<Agents.Seen>({ _tag: "Seen" })
  return { seconds, statements, attempts: seen.attempts - enrolled.length }
})

export const run = (options: h.Options): Effect.Effect<h.Report, unknown> =>
  Effect.scoped(Effect.gen(function*(): Effect.fn.Return<h.Report, unknown, Scope.Scope> {
    const count = options.quick ? 2000 : 10_000
    const { ports, server } = yield* database
    const counted = yield* counter(server)
    const enrolled = yield* Effect.provideContext(b.enroll(count), ports)
    const read = yield* reading(options, enrolled, ports, counted)
    const presence = Context.get(ports, AgentPresence.AgentPresence)
    const beaten = yield* beats(enrolled, presence, counted)
    const returned = yield* returning(enrolled, ports, counted)
    const many = count.toLocaleString("en")
    const limit = 400
    const failures = [
      ...(read.statements > 1 ? [`${read.statements} statements for ${readers} reads at once`] : []),
      ...(beaten.statements > 1 ? [`${beaten.statements} statements for ${many} heartbeats`] : []),
      ...(returned.statements > limit ? [`${returned.statements} statements for ${many} returning agents`] : [])
    ]
    return {
      rows: [
        ...read.rows,
        ["", "", "", "", ""],
        ["statements", "figure", "", "", "aim"],
        [`for ${readers} reads at once`, h.digits(read.statements), "", "", "1"],
        [`for ${many} heartbeats`, h.digits(beaten.statements), "", "", "1"],
        ["  milliseconds of one, at the node", h.withSpread(beaten.taken), "", "", ""],
        ["  milliseconds of one, in PostgreSQL", h.digits(beaten.millis), "", "", ""],
        [`for ${many} returning agents`, h.digits(returned.statements), "", "", `at most ${limit}`],
        ["  until all are back, with their back-off", `${h.digits(returned.seconds)} s`, "", "", "60 s"],
        ["  attempts", h.digits(returned.attempts), "", "", ""]
      ],
      notes: [],
      failures
    }
  }))
