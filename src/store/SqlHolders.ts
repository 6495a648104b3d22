/**
 * Who holds what a chat needs, from PostgreSQL: one statement, under the database's clock.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { AgentId, BuildId, NodeId } from "../domain/Ids.ts"
import { Holders } from "./Holders.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlCalls from "./SqlCalls.ts"
import * as SqlTurnRows from "./SqlTurnRows.ts"

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const calls = yield* SqlCalls.make(options)
  const { call, sql, table } = calls
  const columns = SqlTurnRows.columns(calls)

  return Holders.of({
    of: Effect.fn("Holders.of")(function*({ chatId, workspaceId }) {
      const found = yield* call(
        "Holders.of",
        sql`
          select clock_timestamp() as "asOf", ${columns}, t.lease_until as "leaseUntil",
            t.interrupt_requested as "interrupting", b.build_id as "buildId", b.node_id as "runner",
            b.lease_until as "runnerUntil", b.cancel_requested as "canceling", coalesce((
              select json_agg(json_build_object('agentId', p.agent_id, 'nodeId', p.node_id, 'epoch', p.epoch))
              from ${table("agents")} as a join ${table("agent_presence")} as p on p.agent_id = a.agent_id
              where a.build_id = b.build_id
            ), '[]'::json) as "agents"
          from (select 1) as one
          left join lateral (
            select * from ${table("turns")} where chat_id = ${chatId} order by epoch desc limit 1
          ) as t on true
          left join lateral (
            select * from ${table("builds")} where workspace_id = ${workspaceId}::text order by number desc limit 1
          ) as b on true`
      )
      const [{ asOf, ...row }] = yield* decode(found)
      const [turn] = row.turnId === null ? [] : yield* SqlTurnRows.decode(found)
      return {
        asOf,
        turn: turn === undefined || row.leaseUntil === null
          ? null
          : { turn, leaseUntil: row.leaseUntil, interrupting: row.interrupting === true },
        build: row.buildId === null ? null : {
          buildId: row.buildId,
          nodeId: row.runner,
          leaseUntil: row.runnerUntil,
          canceling: row.canceling === true
        },
        agents: row.agents
      }
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<Holders, never, SqlClient.SqlClient> =>
  Layer.effect(Holders, make(options))

const instant = Schema.NullOr(Schema.DateTimeUtcFromDate)

const decode = SqlCalls.rowsOf(Schema.Tuple([
  Schema.Struct({
    asOf: Schema.DateTimeUtcFromDate,
    turnId: Schema.NullOr(Schema.String),
    leaseUntil: instant,
    interrupting: Schema.NullOr(Schema.Boolean),
    buildId: Schema.NullOr(BuildId),
    runner: Schema.NullOr(NodeId),
    runnerUntil: instant,
    canceling: Schema.NullOr(Schema.Boolean),
    agents: Schema.Array(Schema.Struct({ agentId: AgentId, nodeId: Schema.NullOr(NodeId), epoch: Schema.Int }))
  })
]))
