/**
 * Keeps the module's own chats in PostgreSQL, in the rows that `SqlChatBindings.layer` reads.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { Binding } from "../domain/Binding.ts"
import { Chat } from "../domain/Chat.ts"
import { BindingRefused } from "../domain/Errors.ts"
import { Chats } from "./Chats.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlCalls from "./SqlCalls.ts"

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const { call, sql, table } = yield* SqlCalls.make(options)
  const chats = table("chats")

  const columns = sql`
    c.chat_id as "chatId", c.owner as "owner", c.parent_id as "parentId", c.created_at as "createdAt",
    c.workspace_id as "workspaceId", c.build_id as "buildId", c.agent_id as "agentId", c.generation as "generation"`

  return Chats.of({
    create: Effect.fn("Chats.create")(function*({ chatId, owner, parent = null, workspaceId = null }) {
      // A repeat takes the branch of the conflict, which changes nothing and answers the row as it is now; it also
      // has to get there when the parent or the workspace is gone.
      const created = yield* call(
        "Chats.create",
        sql`
          insert into ${chats} as c (chat_id, owner, parent_id, workspace_id, build_id, agent_id, generation)
          select ${chatId}::text, ${owner}::text, ${parent}::text, coalesce(${workspaceId}::text, p.workspace_id),
            case when ${workspaceId}::text is null then p.build_id end,
            case when ${workspaceId}::text is null then p.agent_id end, 1
          from (select 1) as one
          left join ${chats} as p on p.chat_id = ${parent}::text and p.owner = ${owner}::text
          where (${parent}::text is null or p.chat_id is not null) and (${workspaceId}::text is null or exists (
              select 1 from ${table("workspaces")} as w where w.workspace_id = ${workspaceId} and w.owner = ${owner}
            )) or exists (select 1 from ${chats} where chat_id = ${chatId})
          on conflict (chat_id) do update set owner = excluded.owner where c.owner = excluded.owner
          returning ${columns}`
      )
      const [chat] = yield* decode(created)
      if (chat !== undefined) return chat
      const known = yield* call("Chats.create", sql`select 1 from ${chats} where chat_id = ${chatId}`)
      return yield* new BindingRefused({ chatId, workspaceId: known.length === 0 ? workspaceId : null })
    }),
    get: Effect.fn("Chats.get")(function*({ chatId, owner }) {
      const found = yield* call(
        "Chats.get",
        sql`select ${columns} from ${chats} as c where c.chat_id = ${chatId} and c.owner = ${owner}`
      )
      return Option.fromUndefinedOr((yield* decode(found)).at(0))
    }),
    list: Effect.fn("Chats.list")(function*({ after, limit, owner, parent }) {
      const behind = after === undefined ? sql`` : sql`and (c.created_at, c.chat_id) < (
        select created_at, chat_id from ${chats} where chat_id = ${after} and owner = ${owner}
      )`
      const found = yield* call(
        "Chats.list",
        sql`
          select ${columns} from ${chats} as c
          where c.owner = ${owner} ${parent === undefined ? sql`` : sql`and c.parent_id = ${parent}`} ${behind}
          order by c.created_at desc, c.chat_id desc limit ${limit}::integer`
      )
      return yield* decode(found)
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<Chats, never, SqlClient.SqlClient> =>
  Layer.effect(Chats, make(options))

const { binding: _, ...own } = Chat.fields

const decodeRows = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ ...own, ...Binding.fields, createdAt: Schema.DateTimeUtcFromDate }))
)

const decode = (found: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<Chat>> =>
  Effect.map(
    decodeRows(found),
    (rows) =>
      rows.map(({ createdAt, owner, parentId, ...binding }) =>
        new Chat({ chatId: binding.chatId, owner, parentId, createdAt, binding: new Binding(binding) })
      )
  )
