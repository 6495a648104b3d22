/**
 * Reads builds and agents from PostgreSQL: each answer is one statement, hence one snapshot, under the database's clock.
 *
 * Reads of agents that come together, of whichever chats, are one statement.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { Agent } from "../domain/Agent.ts"
import type { AgentSnapshot } from "../domain/Agent.ts"
import { Build } from "../domain/Build.ts"
import * as Coverage from "../domain/Coverage.ts"
import type { AgentId } from "../domain/Ids.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlCalls from "./SqlCalls.ts"
import { WorkspaceAgents } from "./WorkspaceAgents.ts"

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const { batched, call, sql, table } = yield* SqlCalls.make(options)
  const clock = sql`clock as materialized (select clock_timestamp() as now)`
  const span = sql`clock.now as "asOf", h.covered_since as "beatsSince", h.last_beat_at as "lastBeatAt"`
  const agentColumns = sql`
    a.agent_id as "agentId", a.parent_id as "parentId", a.name as "name", a.display_order as "displayOrder",
    a.connection_timeout as "connectionTimeout", a.lifecycle as "lifecycle", a.started_at as "startedAt",
    p.first_connected_at as "firstConnectedAt", p.last_connected_at as "lastConnectedAt",
    p.disconnected_at as "disconnectedAt"`
  const agents = sql`${table("agents")} as a join ${table("agent_presence")} as p on p.agent_id = a.agent_id`

  const agent = batched<AgentId, Option.Option<AgentSnapshot>>(
    "WorkspaceAgents.agent",
    Effect.fnUntraced(function*(ids) {
      const found = yield* sql`
        with ${clock}
        select a.workspace_id as "workspaceId", a.build_id as "buildId", ${agentColumns}, ${span}
        from ${agents}
        cross join clock
        left join ${table("heartbeats")} as h on true
        where a.agent_id = any(${ids})`
      const rows = new Map((yield* decodeAgents(found)).map((row) => [row.agentId, row]))
      return (id) =>
        Exit.succeed(Option.map(
          Option.fromUndefinedOr(rows.get(id)),
          (row) => ({ agent: new Agent(row), ...spanOf(row) })
        ))
    })
  )

  return WorkspaceAgents.of({
    agent: Effect.fn("WorkspaceAgents.agent")(agent),
    latestBuild: Effect.fn("WorkspaceAgents.latestBuild")(function*(workspaceId) {
      // One row for each agent, and one without when the build has none.
      const found = yield* call(
        "WorkspaceAgents.latestBuild",
        sql<{ readonly agentId: unknown }>`
          with ${clock}, latest as materialized (
            select * from ${table("builds")} where workspace_id = ${workspaceId} order by number desc limit 1
          )
          select b.workspace_id as "workspaceId", b.build_id as "buildId", b.number as "number",
            b.transition as "transition", b.status as "status", b.log_tail as "logTail", ${agentColumns}, ${span}
          from latest as b
          cross join clock
          left join ${table("heartbeats")} as h on true
          left join (${agents}) on a.build_id = b.build_id
          order by a.ordinal`
      )
      const [latest] = yield* decodeBuilds(found.slice(0, 1))
      if (latest === undefined) return Option.none()
      const rows = yield* decodeAgents(found.filter((row) => row.agentId !== null))
      return Option.some({ build: new Build(latest), agents: rows.map((row) => new Agent(row)), ...spanOf(latest) })
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<WorkspaceAgents, never, SqlClient.SqlClient> =>
  Layer.effect(WorkspaceAgents, make(options))

const Span = Schema.Struct({
  asOf: Schema.DateTimeUtcFromDate,
  beatsSince: Schema.NullOr(Schema.DateTimeUtcFromDate),
  lastBeatAt: Schema.NullOr(Schema.DateTimeUtcFromDate)
})

const AgentRow = Schema.Struct({
  ...Agent.fields,
  ...Span.fields,
  connectionTimeout: Schema.DurationFromMillis,
  startedAt: Schema.NullOr(Schema.DateTimeUtcFromDate),
  firstConnectedAt: Schema.NullOr(Schema.DateTimeUtcFromDate),
  lastConnectedAt: Schema.NullOr(Schema.DateTimeUtcFromDate),
  disconnectedAt: Schema.NullOr(Schema.DateTimeUtcFromDate)
})

const BuildRow = Schema.Struct({ ...Build.fields, ...Span.fields })

const decodeAgents = SqlCalls.rowsOf(Schema.Array(AgentRow))

const decodeBuilds = SqlCalls.rowsOf(Schema.Array(BuildRow))

const spanOf = ({ asOf, beatsSince: since, lastBeatAt }: typeof Span.Type) => ({
  asOf,
  coveredSince: Coverage.coveredSince(since === null || lastBeatAt === null ? undefined : { since, lastBeatAt }, asOf)
})
