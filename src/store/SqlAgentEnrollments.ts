/**
 * Records starts and stops made elsewhere in PostgreSQL.
 *
 * Each record is one short transaction that begins with the row of the workspace: whoever else records for it waits, so
 * numbers have no gap and no agent of an earlier start escapes its revocation.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { Build } from "../domain/Build.ts"
import type { Transition } from "../domain/Build.ts"
import { WorkspaceRefused } from "../domain/Errors.ts"
import type { BuildId, WorkspaceId } from "../domain/Ids.ts"
import { AgentEnrollments } from "./AgentEnrollments.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlAgents from "./SqlAgents.ts"
import * as SqlCalls from "./SqlCalls.ts"

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const calls = yield* SqlCalls.make(options)
  const { call, sql, table, transact } = calls
  const [workspaces, builds, agents, presence] = [
    table("workspaces"),
    table("builds"),
    table("agents"),
    table("agent_presence")
  ]

  const insertBuild = Effect.fnUntraced(function*(workspaceId: WorkspaceId, buildId: BuildId, transition: Transition) {
    const inserted = yield* sql`
      with replaced as (
        update ${builds} set status = 'canceled', finished_at = clock_timestamp()
        where workspace_id = ${workspaceId} and status in ('pending', 'running')
      )
      insert into ${builds} as b (build_id, workspace_id, number, transition, status, finished_at)
      select ${buildId}::text, ${workspaceId}::text, coalesce(max(number), 0) + 1, ${transition}::text, 'succeeded',
        clock_timestamp()
      from ${builds} where workspace_id = ${workspaceId}
      returning b.build_id as "buildId", b.workspace_id as "workspaceId", b.number as "number",
        b.transition as "transition", b.status as "status", b.log_tail as "logTail"`
    const [build] = yield* decode(inserted)
    return build
  })

  return AgentEnrollments.of({
    recordStart: Effect.fn("AgentEnrollments.recordStart")(function*(options) {
      const { buildId, owner, workspaceId } = options
      return yield* transact(
        "AgentEnrollments.recordStart",
        Effect.gen(function*() {
          const locked = yield* sql`
            insert into ${workspaces} as w (workspace_id, owner) values (${workspaceId}, ${owner})
            on conflict (workspace_id) do update set
              deleted_at = null,
              -- It was free for others since this one was deleted.
              name = case when w.deleted_at is null then w.name end
            where w.owner = excluded.owner
            returning 1`
          if (locked.length === 0) return yield* new WorkspaceRefused({ workspaceId, owner })
          const build = yield* insertBuild(workspaceId, buildId, "start")
          yield* SqlAgents.revoke(calls, workspaceId)
          yield* SqlAgents.insert(calls, { workspaceId, buildId, agents: options.agents, from: 0, ready: true })
          return build
        })
      )
    }),
    recordEnd: Effect.fn("AgentEnrollments.recordEnd")(function*({ buildId, owner, transition, workspaceId }) {
      return yield* transact(
        "AgentEnrollments.recordEnd",
        Effect.gen(function*() {
          const own = sql`workspace_id = ${workspaceId} and owner = ${owner}`
          const locked = transition === "delete"
            ? yield* sql`update ${workspaces} set deleted_at = clock_timestamp() where ${own} returning 1`
            : yield* sql`select 1 from ${workspaces} where ${own} for no key update`
          if (locked.length === 0) return yield* new WorkspaceRefused({ workspaceId, owner })
          const build = yield* insertBuild(workspaceId, buildId, transition)
          yield* SqlAgents.revoke(calls, workspaceId)
          return build
        })
      )
    }),
    replaceSecret: Effect.fn("AgentEnrollments.replaceSecret")(
      function*({ agentId, owner, secretHash, workspaceId }) {
        const replaced = yield* call(
          "AgentEnrollments.replaceSecret",
          sql`
            with owned as materialized (
              select a.agent_id from ${agents} as a join ${workspaces} as w on w.workspace_id = a.workspace_id
              where a.agent_id = ${agentId} and a.workspace_id = ${workspaceId} and w.owner = ${owner}
            ), fenced as (
              update ${presence} as p set epoch = p.epoch + 1 from owned where p.agent_id = owned.agent_id
            )
            update ${agents} as a set secret_hash = ${secretHash} from owned where a.agent_id = owned.agent_id
            returning 1`
        )
        if (replaced.length === 0) return yield* new WorkspaceRefused({ workspaceId, owner })
      }
    )
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<AgentEnrollments, never, SqlClient.SqlClient> =>
  Layer.effect(AgentEnrollments, make(options))

const decode = SqlCalls.rowsOf(Schema.Tuple([Build]))
