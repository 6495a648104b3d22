/** What a block of tests stands on: an empty database with its tables, and a folder; and looks at what is stored. */
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import type { Binding } from "../../../../src/domain/Binding.ts"
import type { ChatId } from "../../../../src/domain/Ids.ts"
import { AgentId, BuildId, WorkspaceId } from "../../../../src/domain/Ids.ts"
import { Builds, ChatBindings, WorkspaceAgents } from "../../../../src/store/index.ts"
import * as Migrations from "../../../../src/store/Migrations.ts"
import * as SqlStore from "../../../../src/store/SqlStore.ts"
import { owner, type Result, schema } from "./Backends.ts"
import * as Place from "./Place.ts"

/** Over a database, which the block brings. */
export const layer = Layer.merge(SqlStore.layer({ schema }), Place.layer).pipe(
  Layer.provideMerge(Migrations.layerMigrations({ schema }))
)

export const binding = (chat: ChatId) => Effect.flatMap(ChatBindings.ChatBindings, ({ get }) => get(chat))

/** The workspaces that there are, each with its latest build. */
export const workspaces = Effect.flatMap(Builds.Builds, (builds) => builds.workspaces(owner))

export const record = (buildId: BuildId) =>
  Effect.flatMap(Builds.Builds, ({ get }) => Effect.map(get(buildId), Option.getOrThrow))

export const buildIdOf = ({ build_id: id }: Result): BuildId => BuildId.make(String(id))

export const workspaceIdOf = ({ workspace_id: id }: Result): WorkspaceId => WorkspaceId.make(String(id))

export const log = (buildId: BuildId) =>
  Effect.flatMap(
    Builds.Builds,
    ({ log }) => Effect.map(log({ buildId, after: 0 }), (lines) => lines.map(({ text }) => text))
  )

/** The agent that a chat is bound to. */
export const agentOf = Effect.fnUntraced(function*({ agentId }: Binding) {
  const { agent } = yield* WorkspaceAgents.WorkspaceAgents
  return Option.getOrThrow(yield* agent(AgentId.make(agentId ?? "none"))).agent
})

/** How many rows there are of workspaces and of builds. */
export const counts = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  return yield* sql`
    select (select count(*)::int from ${sql(`${schema}.workspaces`)}) as workspaces,
      (select count(*)::int from ${sql(`${schema}.builds`)}) as builds`
})

/** The node that runs a build now. */
export const runnerOf = Effect.fnUntraced(function*(buildId: BuildId) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql`select node_id as node from ${sql(`${schema}.builds`)} where build_id = ${buildId}`
  return row?.["node"]
})

/** Everything that is stored of a build: its row, its log and its agents. */
export const stored = Effect.fnUntraced(function*(buildId: BuildId) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql`
    select to_jsonb(b) as row,
      (select jsonb_agg(l order by number) from ${
    sql(`${schema}.build_logs`)
  } as l where l.build_id = b.build_id) as log,
      (select jsonb_agg(a order by ordinal) from ${
    sql(`${schema}.agents`)
  } as a where a.build_id = b.build_id) as agents
    from ${sql(`${schema}.builds`)} as b where b.build_id = ${buildId}`
})

/** Lets ten minutes pass for what is stored of agents and heartbeats. */
export const silence = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    update ${sql(`${schema}.agent_presence`)} set
      first_connected_at = first_connected_at - interval '10 minutes',
      last_connected_at = last_connected_at - interval '10 minutes',
      heard_at = heard_at - interval '10 minutes'`
  yield* sql`
    update ${sql(`${schema}.heartbeats`)} set
      covered_since = covered_since - interval '10 minutes', last_beat_at = last_beat_at - interval '10 minutes'`
})

/** Makes builds older, so that their time is nearly over. */
export const age = Effect.fnUntraced(function*(buildId: BuildId, seconds: number) {
  const sql = yield* SqlClient.SqlClient
  const back = sql`${String(seconds)}::float8 * interval '1 second'`
  yield* sql`
    update ${sql(`${schema}.builds`)} set created_at = created_at - ${back}, started_at = started_at - ${back}
    where build_id = ${buildId}`
})

/** What is there in part: a workspace without a build, or that its chat is not bound to, or a binding to nothing. */
export const halfMade = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [workspaces, builds, chats] = [sql(`${schema}.workspaces`), sql(`${schema}.builds`), sql(`${schema}.chats`)]
  return yield* sql`
    select w.chat_id from ${workspaces} as w
    left join ${builds} as b on b.workspace_id = w.workspace_id
    left join ${chats} as c on c.chat_id = w.chat_id and c.workspace_id = w.workspace_id and c.build_id = b.build_id
    where c.chat_id is null
    union all
    select c.chat_id from ${chats} as c
    left join ${workspaces} as w on w.chat_id = c.chat_id and w.workspace_id = c.workspace_id
    where w.workspace_id is null`
})
