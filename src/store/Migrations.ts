/**
 * The tables of the SQL stores, and how they come to be in somebody else's database.
 *
 * All stand in one schema of their own, with a table there that records which migrations ran, so a migrator of the
 * application is not disturbed. Nothing here runs by itself: provide `layerMigrations`, or hand `text` to whoever may
 * change the database (PostgreSQL 12 or newer). Migrations only add; what is no longer used goes in a later release than
 * its last reader.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/**
 * Which schema the tables stand in: a plain name of at most 63 characters, `chat_workspace` unless said otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly schema?: string | undefined
}

/**
 * The tables. `agent_presence` is apart from `agents`, and narrow, since every heartbeat rewrites its rows.
 *
 * @since 0.1.0
 * @category models
 */
export type Table =
  | "workspaces"
  | "builds"
  | "build_logs"
  | "agents"
  | "agent_presence"
  | "heartbeats"
  | "chats"
  | "instructions"
  | "turns"
  | "turn_messages"
  | "turn_events"
  | "migrations"

/**
 * The name of the schema. A name that is not plain is a defect: it comes from the program and not from outside.
 *
 * @since 0.1.0
 * @category getters
 */
export const schemaOf = (options: Options | undefined): string => {
  const schema = options?.schema ?? "chat_workspace"
  if (/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(schema)) return schema
  throw new RangeError(`Not a plain name for a schema: ${schema}`)
}

/**
 * Brings the schema up to date and answers what it ran. Concurrent runs wait for one another; all that is pending runs
 * in one transaction.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = Effect.fnUntraced(function*(
  options?: Options
): Effect.fn.Return<
  ReadonlyArray<readonly [id: number, name: string]>,
  Migrator.MigrationError | SqlError,
  SqlClient.SqlClient
> {
  const schema = schemaOf(options)
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  // Asked first: who may not create schemas may still find one that an operator made.
  const exists = sql`select 1 from pg_namespace where nspname = ${schema}`
  yield* sql.withTransaction(Effect.gen(function*() {
    // Two that create at once fail on the catalogue, also with `if not exists`.
    yield* sql`select pg_advisory_xact_lock(hashtextextended(${`chat-workspace:${schema}`}, 0))`
    if ((yield* exists).length === 0) yield* sql`create schema ${sql(schema)}`
  }))
  const loader = Migrator.fromRecord(Object.fromEntries(
    Object.entries(migrations).map(([key, statements]) => [
      key,
      Effect.forEach(statements(quote(schema)), (statement) => sql.unsafe(statement), { discard: true })
    ])
  ))
  return yield* Effect.provideService(
    Migrator.make({})({ loader, table: `${schema}.migrations` }),
    SqlClient.SqlClient,
    sql
  )
})

/**
 * Brings the schema up to date while the layer is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMigrations = (
  options?: Options
): Layer.Layer<never, Migrator.MigrationError | SqlError, SqlClient.SqlClient> => Layer.effectDiscard(run(options))

/**
 * What `run` would run in an empty database, statement by statement, with the records that it ran.
 *
 * @since 0.1.0
 * @category getters
 */
export const statements = (options?: Options): ReadonlyArray<string> => {
  const schema = quote(schemaOf(options))
  return [
    `create schema if not exists ${schema}`,
    // As the migrator makes it.
    `create table if not exists ${schema}.migrations (
  migration_id integer primary key,
  created_at timestamp with time zone not null default now(),
  name text not null
)`,
    ...Object.entries(migrations).flatMap(([key, statements]) => {
      const [id = "", name = ""] = key.split(/_(.*)/)
      return [
        ...statements(schema),
        `insert into ${schema}.migrations (migration_id, name) values (${Number(id)}, '${name}')`
      ]
    })
  ]
}

/**
 * The same as one script, to be read and run by a person.
 *
 * @since 0.1.0
 * @category getters
 */
export const text = (options?: Options): string =>
  `begin;\n\n${statements(options).map((statement) => `${statement};\n`).join("\n")}\ncommit;\n`

/**
 * Adds the four columns of a binding to a table of chats that an application already has.
 *
 * @since 0.1.0
 * @category getters
 */
export const columnsText = (options: { readonly table: string }): string =>
  `alter table ${options.table.split(".").map(quote).join(".")}
  add column if not exists workspace_id text,
  add column if not exists build_id text,
  add column if not exists agent_id text,
  add column if not exists generation integer not null default 0;
`

const quote = (name: string): string => `"${name.replaceAll("\"", "\"\"")}"`

const migrations: Readonly<Record<`${number}_${string}`, (schema: string) => ReadonlyArray<string>>> = {
  "0001_bindings_builds_and_presence": (schema) => [
    `create table ${schema}.workspaces (
  workspace_id text primary key,
  owner text not null,
  created_at timestamptz not null default clock_timestamp()
)`,
    `create table ${schema}.builds (
  build_id text primary key,
  workspace_id text not null references ${schema}.workspaces,
  number integer not null check (number >= 1),
  transition text not null check (transition in ('start', 'stop', 'delete')),
  status text not null check (status in ('pending', 'running', 'succeeded', 'failed', 'canceled')),
  log_tail text,
  created_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  unique (workspace_id, number)
)`,
    // One unfinished build of a workspace at a time.
    `create unique index builds_unfinished on ${schema}.builds (workspace_id) where status in ('pending', 'running')`,
    `create table ${schema}.agents (
  agent_id text primary key,
  workspace_id text not null references ${schema}.workspaces,
  build_id text not null references ${schema}.builds,
  ordinal integer not null,
  parent_id text,
  name text not null,
  display_order integer not null,
  connection_timeout double precision not null check (connection_timeout >= 0),
  lifecycle text not null check (lifecycle in (
    'created', 'starting', 'ready', 'start_timeout', 'start_error', 'shutting_down', 'shutdown_error', 'off'
  )),
  started_at timestamptz,
  secret_hash bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  unique (build_id, ordinal)
)`,
    `comment on column ${schema}.agents.connection_timeout is 'milliseconds; 0 waits for ever'`,
    `create index agents_workspace on ${schema}.agents (workspace_id)`,
    // Half of each page is left free, and nothing but the key is indexed: a heartbeat rewrites its rows in place.
    `create table ${schema}.agent_presence (
  agent_id text primary key references ${schema}.agents,
  epoch integer not null default 0,
  node_id text,
  incarnation text,
  replaced_incarnation text,
  first_connected_at timestamptz,
  last_connected_at timestamptz,
  disconnected_at timestamptz,
  heard_at timestamptz,
  revoked_at timestamptz
) with (fillfactor = 50)`,
    // One row: the span in which some node's heartbeats were recorded without a gap.
    `create table ${schema}.heartbeats (
  only_row boolean primary key default true check (only_row),
  covered_since timestamptz not null,
  last_beat_at timestamptz not null
) with (fillfactor = 10)`,
    `create table ${schema}.chats (
  chat_id text primary key,
  owner text not null,
  parent_id text,
  workspace_id text,
  build_id text,
  agent_id text,
  generation integer not null default 0,
  created_at timestamptz not null default clock_timestamp()
)`
  ],
  "0002_queue_of_builds": (schema) => [
    `alter table ${schema}.workspaces
  add column name text,
  add column template_id text,
  add column chat_id text,
  add column deleted_at timestamptz`,
    `comment on column ${schema}.workspaces.chat_id is 'the chat that made it'`,
    `create unique index workspaces_name on ${schema}.workspaces (owner, lower(name))
  where name is not null and deleted_at is null`,
    `create index workspaces_owner on ${schema}.workspaces (owner, created_at) where deleted_at is null`,
    `create index workspaces_chat on ${schema}.workspaces (chat_id, created_at) where chat_id is not null`,
    `alter table ${schema}.builds
  add column template_id text,
  add column parameters jsonb not null default '{}',
  add column repeatable boolean not null default false,
  add column failure_code text check (failure_code in (
    'provider_failed', 'runner_lost', 'timed_out', 'template_missing'
  )),
  add column failure text,
  add column attempt integer not null default 0,
  add column epoch integer not null default 0,
  add column node_id text,
  add column lease_until timestamptz,
  add column cancel_requested boolean not null default false,
  add column started_at timestamptz`,
    `create index builds_queue on ${schema}.builds (created_at, build_id) where status in ('pending', 'running')`,
    `create table ${schema}.build_logs (
  build_id text not null references ${schema}.builds,
  number integer not null check (number >= 1),
  at timestamptz not null default clock_timestamp(),
  text text not null,
  primary key (build_id, number)
)`
  ],
  "0003_instruction_files": (schema) => [
    `create table ${schema}.instructions (
  chat_id text primary key,
  agent_id text not null,
  files jsonb not null,
  read_at timestamptz not null default clock_timestamp()
)`,
    `comment on table ${schema}.instructions is 'what was last read of the instruction files of a chat''s workspace'`
  ],
  "0004_turns": (schema) => [
    `create table ${schema}.turns (
  turn_id text primary key,
  chat_id text not null,
  owner text not null,
  message_id text not null,
  epoch integer not null check (epoch >= 1),
  node_id text not null,
  status text not null check (status in ('running', 'done', 'failed', 'interrupted', 'crashed')),
  reason text check (reason in ('steps', 'time', 'silence', 'model', 'internal', 'user', 'shutdown', 'lost')),
  lease_until timestamptz not null,
  interrupt_requested boolean not null default false,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  events_kept boolean not null default true,
  unique (chat_id, epoch),
  unique (chat_id, message_id)
)`,
    // One running turn of a chat at a time.
    `create unique index turns_running on ${schema}.turns (chat_id) where status = 'running'`,
    `create index turns_leases on ${schema}.turns (lease_until) where status = 'running'`,
    `create index turns_events on ${schema}.turns (ended_at) where events_kept`,
    // Not jsonb, which refuses texts with a NUL: a tool may have read one.
    `create table ${schema}.turn_messages (
  chat_id text not null,
  epoch integer not null,
  number integer not null check (number >= 1),
  bytes integer not null,
  message json not null,
  primary key (chat_id, epoch, number),
  foreign key (chat_id, epoch) references ${schema}.turns (chat_id, epoch)
)`,
    `create table ${schema}.turn_events (
  turn_id text not null references ${schema}.turns,
  number integer not null check (number >= 1),
  event json not null,
  primary key (turn_id, number)
)`
  ],
  "0005_chats_of_an_owner": (schema) => [
    `create index chats_owner on ${schema}.chats (owner, created_at, chat_id)`,
    `create index chats_parent on ${schema}.chats (parent_id, created_at, chat_id) where parent_id is not null`
  ],
  "0006_newest": (schema) => [
    `create index chats_newest on ${schema}.chats (created_at)`,
    `create index workspaces_newest on ${schema}.workspaces (created_at) where deleted_at is null`
  ]
}
