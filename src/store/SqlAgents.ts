/**
 * The statements on agents that recording a build and running one share.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Hex from "effect/encoding/Hex"
import type { BuildId, WorkspaceId } from "../domain/Ids.ts"
import type { EnrolledAgent } from "./AgentEnrollments.ts"
import type { SqlCalls } from "./SqlCalls.ts"

/**
 * Revokes the agents that a workspace has. In order of ids, as every statement that takes many of these rows: two of them
 * never wait for each other.
 *
 * @since 0.1.0
 * @category combinators
 */
export const revoke = ({ sql, table }: SqlCalls, workspaceId: WorkspaceId) =>
  sql`
    with earlier as materialized (
      select p.agent_id from ${table("agent_presence")} as p
      where p.revoked_at is null
        and p.agent_id = any(array(select agent_id from ${table("agents")} where workspace_id = ${workspaceId}))
      order by p.agent_id for no key update
    )
    update ${table("agent_presence")} as p set revoked_at = clock_timestamp()
    from earlier where p.agent_id = earlier.agent_id`

/**
 * Notes that the agents of a build are started. In order of ids too: their lifecycles are reported, many at a time,
 * meanwhile.
 *
 * @since 0.1.0
 * @category combinators
 */
export const start = ({ sql, table }: SqlCalls, buildId: BuildId) =>
  sql`
    with started as materialized (
      select agent_id from ${table("agents")} where build_id = ${buildId} order by agent_id for no key update
    )
    update ${table("agents")} as a set started_at = clock_timestamp()
    from started where a.agent_id = started.agent_id`

/**
 * Makes agents of a build, behind those with an ordinal below `from`. They are `ready` when their build has succeeded
 * already, and otherwise have yet to be started.
 *
 * @since 0.1.0
 * @category combinators
 */
export const insert = ({ sql, table }: SqlCalls, options: {
  readonly workspaceId: WorkspaceId
  readonly buildId: BuildId
  readonly agents: ReadonlyArray<EnrolledAgent>
  readonly from: number
  readonly ready: boolean
}) => {
  const { agents, buildId, from, ready, workspaceId } = options
  return sql`
    with given as materialized (
      select * from jsonb_to_recordset(${encode(agents, from)}::text::jsonb) as e (
        agent_id text, parent_id text, ordinal integer, name text, display_order integer,
        connection_timeout double precision, secret_hash text
      )
    ), inserted as (
      insert into ${table("agents")} (
        agent_id, workspace_id, build_id, parent_id, ordinal, name, display_order, connection_timeout, lifecycle,
        started_at, secret_hash
      )
      select agent_id, ${workspaceId}::text, ${buildId}::text, parent_id, ordinal, name, display_order,
        connection_timeout, ${ready ? "ready" : "created"}::text,
        ${ready ? sql`clock_timestamp()` : sql`null::timestamptz`}, decode(secret_hash, 'hex')
      from given
      returning agent_id
    )
    insert into ${table("agent_presence")} (agent_id) select agent_id from inserted`
}

/**
 * Makes agents of a build into those of its next runner: with new secrets, and as if nothing had been heard of them. Their
 * sessions are fenced off. The rows have to be locked.
 *
 * @since 0.1.0
 * @category combinators
 */
export const renew = ({ sql, table }: SqlCalls, agents: ReadonlyArray<EnrolledAgent>) =>
  sql`
    with given as materialized (
      select * from jsonb_to_recordset(${encode(agents, 0)}::text::jsonb) as e (
        agent_id text, parent_id text, display_order integer, connection_timeout double precision, secret_hash text
      )
    ), renewed as (
      update ${table("agents")} as a set
        parent_id = given.parent_id, display_order = given.display_order,
        connection_timeout = given.connection_timeout, secret_hash = decode(given.secret_hash, 'hex'),
        lifecycle = 'created', started_at = null
      from given where a.agent_id = given.agent_id
      returning a.agent_id
    )
    update ${table("agent_presence")} as p set
      epoch = p.epoch + 1, node_id = null, incarnation = null, replaced_incarnation = null, heard_at = null,
      first_connected_at = null, last_connected_at = null, disconnected_at = null
    from renewed where p.agent_id = renewed.agent_id`

// JSON, since an array of parameters has neither nulls alone nor bytes; for ever is zero in the table.
const encode = (agents: ReadonlyArray<EnrolledAgent>, from: number): string =>
  JSON.stringify(agents.map((agent, index) => ({
    agent_id: agent.agentId,
    parent_id: agent.parentId,
    ordinal: from + index,
    name: agent.name,
    display_order: agent.displayOrder,
    connection_timeout: Duration.isFinite(agent.connectionTimeout) ? Duration.toMillis(agent.connectionTimeout) : 0,
    secret_hash: Hex.encode(agent.secretHash)
  })))
