/**
 * Keeps the module's own chats in PostgreSQL, in the rows that `SqlChatBindings.layer` reads.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { Binding } from "../domain/Binding.ts"
import { BindingRefused } from "../domain/Errors.ts"
import { Chats } from "./Chats.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlCalls from "./SqlCalls.ts"

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const { call, sql, table } = yield* SqlCalls.make(options)
  const chats = table("chats")

  return Chats.of({
    create: Effect.fn("Chats.create")(function*({ chatId, owner, parent }) {
      // A repeat takes the branch of the conflict, which changes nothing and answers the row as it is now; it also
      // has to get there when the parent is gone.
      const created = yield* call(
        "Chats.create",
        sql`
          insert into ${chats} as c (chat_id, owner, parent_id, workspace_id, build_id, agent_id, generation)
          select ${chatId}::text, ${owner}::text, ${parent ?? null}::text, p.workspace_id, p.build_id, p.agent_id, 1
          from (select 1) as one
          left join ${chats} as p on p.chat_id = ${parent ?? null}::text and p.owner = ${owner}::text
          where ${parent ?? null}::text is null
            or p.chat_id is not null
            or exists (select 1 from ${chats} where chat_id = ${chatId})
          on conflict (chat_id) do update set owner = excluded.owner where c.owner = excluded.owner
          returning c.chat_id as "chatId", c.workspace_id as "workspaceId", c.build_id as "buildId",
            c.agent_id as "agentId", c.generation as "generation"`
      )
      return (yield* decode(created)).at(0) ?? (yield* new BindingRefused({ chatId, workspaceId: null }))
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<Chats, never, SqlClient.SqlClient> =>
  Layer.effect(Chats, make(options))

const decode = SqlCalls.rowsOf(Schema.Array(Binding))
