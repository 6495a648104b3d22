/**
 * What goes on in PostgreSQL: three statements, of which each finds its rows by an index, however many there are.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { Agent } from "../domain/Agent.ts"
import { Binding } from "../domain/Binding.ts"
import * as Coverage from "../domain/Coverage.ts"
import { BuildId, ChatId, NodeId, OwnerId } from "../domain/Ids.ts"
import { Activity } from "./Activity.ts"
import type { ActiveChat, ActiveWorkspace } from "./Activity.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlBuildRows from "./SqlBuildRows.ts"
import * as SqlCalls from "./SqlCalls.ts"
import * as SqlTurnRows from "./SqlTurnRows.ts"

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const calls = yield* SqlCalls.make(options)
  const { call, sql, table } = calls
  const turnColumns = SqlTurnRows.columns(calls)
  const { record, workspace } = SqlBuildRows.columns(calls)

  /** Ids as rows. As JSON, since a parameter that is an array must not be empty. */
  const rows = (ids: ReadonlyArray<string>) => sql`json_array_elements_text(${JSON.stringify(ids)}::text::json)`

  const chatsOf = Effect.fnUntraced(function*(ids: ReadonlyArray<string>, limit: number) {
    const found = yield* call(
      "Activity.look",
      sql<{ readonly turnId: unknown }>`
        with asked as materialized (select value as chat_id from ${rows(ids)}), seen as (
          select chat_id from asked
          union (
            select chat_id from ${table("turns")} where status = 'running' order by lease_until limit ${limit}::integer
          )
          union (
            select chat_id from ${table("turns")} where events_kept and ended_at is not null
            order by ended_at desc limit ${limit}::integer
          )
          union (select chat_id from ${table("chats")} order by created_at desc limit ${limit}::integer)
        )
        select ${turnColumns}, t.lease_until as "leaseUntil", t.interrupt_requested as "interrupting",
          s.chat_id as "ofChat", coalesce(c.owner, t.owner) as "ofOwner", c.workspace_id as "workspaceId",
          c.build_id as "boundBuild", c.agent_id as "boundAgent", c.generation as "generation",
          greatest(c.created_at, t.started_at, t.ended_at) as "activeAt"
        from seen as s
        left join ${table("chats")} as c on c.chat_id = s.chat_id
        left join lateral (
          select * from ${table("turns")} where chat_id = s.chat_id order by epoch desc limit 1
        ) as t on true
        where c.chat_id is not null or t.turn_id is not null
        order by case when t.status = 'running' then 0 when s.chat_id in (select chat_id from asked) then 1 else 2 end,
          "activeAt" desc, s.chat_id
        limit ${limit}::integer`
    )
    const turns = yield* SqlTurnRows.decode(found.filter(({ turnId }) => turnId !== null))
    const turnOf = new Map(turns.map((turn) => [turn.chatId, turn]))
    return (yield* decodeChats(found)).map((row): ActiveChat => {
      const turn = turnOf.get(row.ofChat)
      return {
        chatId: row.ofChat,
        owner: row.ofOwner,
        binding: row.generation === null ? null : new Binding({
          chatId: row.ofChat,
          workspaceId: row.workspaceId,
          buildId: row.boundBuild,
          agentId: row.boundAgent,
          generation: row.generation
        }),
        turn: turn === undefined || row.leaseUntil === null
          ? null
          : { turn, leaseUntil: row.leaseUntil, interrupting: row.interrupting === true },
        activeAt: row.activeAt
      }
    })
  })

  const workspacesOf = Effect.fnUntraced(function*(
    ids: ReadonlyArray<string>,
    agentIds: ReadonlyArray<string>,
    limit: number
  ) {
    const found = yield* call(
      "Activity.look",
      sql<{ readonly buildId: unknown }>`
        with asked as materialized (
          select value as workspace_id from ${rows(ids)}
          union
          select a.workspace_id from ${rows(agentIds)} as e join ${table("agents")} as a on a.agent_id = e.value
        ), seen as (
          select workspace_id from asked
          union (
            select workspace_id from ${table("builds")} where status in ('pending', 'running')
            order by created_at limit ${limit}::integer
          )
          union (
            select workspace_id from ${table("workspaces")} where deleted_at is null
            order by created_at desc limit ${limit}::integer
          )
        )
        select ${workspace}, ${record}, b.node_id as "runner", b.lease_until as "runnerUntil",
          b.cancel_requested as "canceling"
        from seen as s
        join ${table("workspaces")} as w on w.workspace_id = s.workspace_id
        left join lateral (
          select * from ${table("builds")} where workspace_id = s.workspace_id order by number desc limit 1
        ) as b on true
        order by case when s.workspace_id in (select workspace_id from asked) then 0
            when b.status in ('pending', 'running') then 1 else 2 end,
          coalesce(b.finished_at, b.created_at, w.created_at) desc, s.workspace_id
        limit ${2 * limit}::integer`
    )
    const built = found.filter(({ buildId }) => buildId !== null)
    const records = yield* SqlBuildRows.decodeRecords(built)
    const recordOf = new Map(records.map((record) => [record.build.workspaceId, record]))
    const heldOf = new Map((yield* decodeHeld(built)).map((row) => [row.buildId, row]))
    return (yield* SqlBuildRows.decodeWorkspaces(found)).map((workspace): Omit<ActiveWorkspace, "agents"> => {
      const build = recordOf.get(workspace.workspaceId) ?? null
      const held = build === null ? undefined : heldOf.get(build.build.buildId)
      return {
        workspace,
        build,
        held: held === undefined ? null : {
          buildId: held.buildId,
          nodeId: held.runner,
          leaseUntil: held.runnerUntil,
          canceling: held.canceling
        }
      }
    })
  })

  const agentsOf = Effect.fnUntraced(function*(buildIds: ReadonlyArray<string>) {
    // One row for each agent, and one without when there is none.
    const found = yield* call(
      "Activity.look",
      sql<{ readonly agentId: unknown }>`
        select clock_timestamp() as "asOf", h.covered_since as "beatsSince", h.last_beat_at as "lastBeatAt",
          a.agent_id as "agentId", a.workspace_id as "workspaceId", a.build_id as "buildId",
          a.parent_id as "parentId", a.name as "name", a.display_order as "displayOrder",
          a.connection_timeout as "connectionTimeout", a.lifecycle as "lifecycle", a.started_at as "startedAt",
          p.first_connected_at as "firstConnectedAt", p.last_connected_at as "lastConnectedAt",
          p.disconnected_at as "disconnectedAt", p.node_id as "nodeId", p.epoch as "epoch"
        from (select 1) as one
        left join ${table("heartbeats")} as h on true
        left join (
          ${rows(buildIds)} as e
          join ${table("agents")} as a on a.build_id = e.value
          join ${table("agent_presence")} as p on p.agent_id = a.agent_id
        ) on true
        order by a.build_id, a.ordinal`
    )
    const [{ asOf, beatsSince: since, lastBeatAt }] = yield* decodeSpan(found.slice(0, 1))
    const agents = (yield* decodeAgents(found.filter(({ agentId }) => agentId !== null))).map((row) => ({
      agent: new Agent(row),
      held: { agentId: row.agentId, nodeId: row.nodeId, epoch: row.epoch }
    }))
    const coverage = since === null || lastBeatAt === null ? undefined : { since, lastBeatAt }
    return { asOf, coveredSince: Coverage.coveredSince(coverage, asOf), agents }
  })

  return Activity.of({
    look: Effect.fn("Activity.look")(function*({ agents, chats, limit }) {
      const active = yield* chatsOf(chats, limit)
      const workspaces = yield* workspacesOf(
        active.flatMap(({ binding }) => binding?.workspaceId ?? []),
        agents,
        limit
      )
      const seen = yield* agentsOf(workspaces.flatMap(({ build }) => build?.build.buildId ?? []))
      return {
        // Read last: no age that is counted from it is negative.
        asOf: seen.asOf,
        coveredSince: seen.coveredSince,
        chats: active,
        workspaces: workspaces.map((row) => ({
          ...row,
          agents: seen.agents.filter(({ agent }) => agent.buildId === row.build?.build.buildId)
        }))
      }
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<Activity, never, SqlClient.SqlClient> =>
  Layer.effect(Activity, make(options))

const instant = Schema.NullOr(Schema.DateTimeUtcFromDate)

const decodeChats = SqlCalls.rowsOf(Schema.Array(Schema.Struct({
  ofChat: ChatId,
  ofOwner: OwnerId,
  workspaceId: Binding.fields.workspaceId,
  boundBuild: Binding.fields.buildId,
  boundAgent: Binding.fields.agentId,
  generation: Schema.NullOr(Binding.fields.generation),
  leaseUntil: instant,
  interrupting: Schema.NullOr(Schema.Boolean),
  activeAt: Schema.DateTimeUtcFromDate
})))

const decodeHeld = SqlCalls.rowsOf(Schema.Array(Schema.Struct({
  buildId: BuildId,
  runner: Schema.NullOr(NodeId),
  runnerUntil: instant,
  canceling: Schema.Boolean
})))

const decodeSpan = SqlCalls.rowsOf(
  Schema.Tuple([Schema.Struct({ asOf: Schema.DateTimeUtcFromDate, beatsSince: instant, lastBeatAt: instant })])
)

const decodeAgents = SqlCalls.rowsOf(Schema.Array(Schema.Struct({
  ...Agent.fields,
  connectionTimeout: Schema.DurationFromMillis,
  startedAt: instant,
  firstConnectedAt: instant,
  lastConnectedAt: instant,
  disconnectedAt: instant,
  nodeId: Schema.NullOr(NodeId),
  epoch: Schema.Int
})))
