/**
 * Records starts and stops made elsewhere in PostgreSQL.
 *
 * Each record is one short transaction that begins with the row of the workspace: whoever else records for it waits, so
 * numbers have no gap and no agent of an earlier start escapes its revocation.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { Build } from "../domain/Build.ts"
import type { Transition } from "../domain/Build.ts"
import { WorkspaceRefused } from "../domain/Errors.ts"
import type { BuildId, WorkspaceId } from "../domain/Ids.ts"
import { AgentEnrollments } from "./AgentEnrollments.ts"
import type { EnrolledAgent } from "./AgentEnrollments.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlCalls from "./SqlCalls.ts"

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const { call, sql, table, transact } = yield* SqlCalls.make(options)
  const [workspaces, builds, agents, presence] = [
    table("workspaces"),
    table("builds"),
    table("agents"),
    table("agent_presence")
  ]

  const insertBuild = Effect.fnUntraced(function*(workspaceId: WorkspaceId, buildId: BuildId, transition: Transition) {
    const inserted = yield* sql`
      insert into ${builds} as b (build_id, workspace_id, number, transition, status, finished_at)
      select ${buildId}::text, ${workspaceId}::text, coalesce(max(number), 0) + 1, ${transition}::text, 'succeeded',
        clock_timestamp()
      from ${builds} where workspace_id = ${workspaceId}
      returning b.build_id as "buildId", b.workspace_id as "workspaceId", b.number as "number",
        b.transition as "transition", b.status as "status", b.log_tail as "logTail"`
    const [build] = yield* decode(inserted)
    return build
  })

  // In order of ids, as every statement that takes many of these rows: two of them never wait for each other.
  const revoke = (workspaceId: WorkspaceId) =>
    sql`
      with earlier as materialized (
        select p.agent_id from ${presence} as p
        where p.revoked_at is null
          and p.agent_id = any(array(select agent_id from ${agents} where workspace_id = ${workspaceId}))
        order by p.agent_id for no key update
      )
      update ${presence} as p set revoked_at = clock_timestamp() from earlier where p.agent_id = earlier.agent_id`

  const insertAgents = Effect.fnUntraced(
    function*(workspaceId: WorkspaceId, buildId: BuildId, enrolled: ReadonlyArray<EnrolledAgent>) {
      yield* sql`
        with enrolled as materialized (
          select * from jsonb_to_recordset(${encodeAgents(enrolled)}::text::jsonb) as e (
            agent_id text, parent_id text, ordinal integer, name text, display_order integer,
            connection_timeout double precision, secret_hash text
          )
        ), inserted as (
          insert into ${agents} (
            agent_id, workspace_id, build_id, parent_id, ordinal, name, display_order, connection_timeout, lifecycle,
            started_at, secret_hash
          )
          select agent_id, ${workspaceId}::text, ${buildId}::text, parent_id, ordinal, name, display_order,
            connection_timeout, 'ready', clock_timestamp(), decode(secret_hash, 'hex')
          from enrolled
          returning agent_id
        )
        insert into ${presence} (agent_id) select agent_id from inserted`
    }
  )

  return AgentEnrollments.of({
    recordStart: Effect.fn("AgentEnrollments.recordStart")(function*(options) {
      const { buildId, owner, workspaceId } = options
      return yield* transact(
        "AgentEnrollments.recordStart",
        Effect.gen(function*() {
          const locked = yield* sql`
            insert into ${workspaces} as w (workspace_id, owner) values (${workspaceId}, ${owner})
            on conflict (workspace_id) do update set owner = excluded.owner where w.owner = excluded.owner
            returning 1`
          if (locked.length === 0) return yield* new WorkspaceRefused({ workspaceId, owner })
          const build = yield* insertBuild(workspaceId, buildId, "start")
          yield* revoke(workspaceId)
          yield* insertAgents(workspaceId, buildId, options.agents)
          return build
        })
      )
    }),
    recordEnd: Effect.fn("AgentEnrollments.recordEnd")(function*({ buildId, owner, transition, workspaceId }) {
      return yield* transact(
        "AgentEnrollments.recordEnd",
        Effect.gen(function*() {
          const locked = yield* sql`
            select 1 from ${workspaces} where workspace_id = ${workspaceId} and owner = ${owner} for no key update`
          if (locked.length === 0) return yield* new WorkspaceRefused({ workspaceId, owner })
          const build = yield* insertBuild(workspaceId, buildId, transition)
          yield* revoke(workspaceId)
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

// JSON, since an array of parameters has neither nulls alone nor bytes; for ever is zero in the table.
const encodeAgents = (agents: ReadonlyArray<EnrolledAgent>): string =>
  JSON.stringify(agents.map((agent, ordinal) => ({
    agent_id: agent.agentId,
    parent_id: agent.parentId,
    ordinal,
    name: agent.name,
    display_order: agent.displayOrder,
    connection_timeout: Duration.isFinite(agent.connectionTimeout) ? Duration.toMillis(agent.connectionTimeout) : 0,
    secret_hash: Hex.encode(agent.secretHash)
  })))
