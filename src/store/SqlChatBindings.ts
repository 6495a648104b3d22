/**
 * Keeps what each chat remembers in PostgreSQL: in a table of the module, or in four columns of the application's own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import { Binding, BindResult, unbound } from "../domain/Binding.ts"
import { BindingRefused } from "../domain/Errors.ts"
import type { OwnerId, WorkspaceId } from "../domain/Ids.ts"
import { ChatBindings } from "./ChatBindings.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlCalls from "./SqlCalls.ts"
import * as SqlChatRows from "./SqlChatRows.ts"

/**
 * The rows stand in the table `chats` of the module's schema, which binding fills as needed.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<ChatBindings, never, SqlClient.SqlClient> =>
  Layer.effect(ChatBindings, make(options))

/**
 * The rows stand in the application's own table of chats, with the id and the owner of a chat in the columns `key` and
 * `owner`. It needs four columns for the binding as well: see `Migrations.columnsText`. Rows are never made there, so
 * binding a chat that is not there is refused.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTable = (
  options: Migrations.Options & SqlChatRows.ChatTable
): Layer.Layer<ChatBindings, never, SqlClient.SqlClient> => Layer.effect(ChatBindings, make(options, options))

const make = Effect.fnUntraced(function*(options?: Migrations.Options, of?: SqlChatRows.ChatTable) {
  const calls = yield* SqlCalls.make(options)
  const { call, sql } = calls
  const { chats, columns, key, own, owner } = SqlChatRows.make(calls, of)

  const bindWorkspace = (options: Parameters<ChatBindings["Service"]["bindWorkspace"]>[0]) => {
    const { buildId, chatId, workspaceId } = options
    const allowed = ownsWorkspace(calls, options.owner, workspaceId)
    return own
      ? sql`
        insert into ${chats} as c (chat_id, owner, workspace_id, build_id, generation)
        select ${chatId}::text, ${options.owner}::text, ${workspaceId}::text, ${buildId ?? null}::text, 1
        where ${allowed}
        on conflict (chat_id) do update set
          workspace_id = excluded.workspace_id,
          build_id = excluded.build_id,
          agent_id = null,
          generation = c.generation + 1
        where c.owner = excluded.owner
        returning ${columns}`
      : sql`
        update ${chats} as c set
          workspace_id = ${workspaceId}::text,
          build_id = ${buildId ?? null}::text,
          agent_id = null,
          generation = coalesce(c.generation, 0) + 1
        where c.${key} = ${chatId} and c.${owner} = ${options.owner} and (${allowed})
        returning ${columns}`
  }

  return ChatBindings.of({
    get: Effect.fn("ChatBindings.get")(function*(chatId) {
      const found = yield* call(
        "ChatBindings.get",
        sql`select ${columns} from ${chats} as c where c.${key} = ${chatId}`
      )
      return (yield* SqlChatRows.decode(found)).at(0) ?? unbound(chatId)
    }),
    bindWorkspace: Effect.fn("ChatBindings.bindWorkspace")(function*(options) {
      const { chatId, workspaceId } = options
      const bound = yield* call("ChatBindings.bindWorkspace", bindWorkspace(options))
      return (yield* SqlChatRows.decode(bound)).at(0) ?? (yield* new BindingRefused({ chatId, workspaceId }))
    }),
    bindAgent: Effect.fn("ChatBindings.bindAgent")(function*(seen, buildId, agentId) {
      // The lock shows the row as the faster writer left it, which the snapshot of the statement may not.
      const found = yield* call(
        "ChatBindings.bindAgent",
        sql`
          with now as materialized (
            select ${key}, workspace_id, build_id, agent_id, generation
            from ${chats} where ${key} = ${seen.chatId} for no key update
          ), bound as (
            update ${chats} as c set
              build_id = ${buildId}::text,
              agent_id = ${agentId}::text,
              generation = coalesce(c.generation, 0) + 1
            from now
            where c.${key} = now.${key} and coalesce(now.generation, 0) = ${seen.generation}
            returning ${columns}
          )
          select true as "bound", * from bound
          union all
          select false, ${columns} from now as c where coalesce(c.generation, 0) <> ${seen.generation}`
      )
      const [row] = yield* decodeBound(found)
      if (row === undefined) return BindResult.Superseded({ binding: unbound(seen.chatId) })
      const { bound, ...binding } = row
      return BindResult[bound ? "Bound" : "Superseded"]({ binding: new Binding(binding) })
    })
  })
})

const ownsWorkspace = (
  { sql, table }: SqlCalls.SqlCalls,
  owner: OwnerId,
  workspaceId: WorkspaceId | null
): Fragment =>
  sql`${workspaceId}::text is null or exists (
    select 1 from ${table("workspaces")} as w where w.workspace_id = ${workspaceId} and w.owner = ${owner}::text
  )`

const decodeBound = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ ...Binding.fields, bound: Schema.Boolean }))
)
