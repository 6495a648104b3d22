/**
 * Where the rows of chats stand: in a table of the module, or in four columns of the application's own.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { Fragment, Identifier } from "effect/sql/Statement"
import { Binding } from "../domain/Binding.ts"
import * as SqlCalls from "./SqlCalls.ts"

/**
 * The application's own table of chats, named with its schema if need be. `key` and `owner` are its columns for the id
 * and the owner of a chat; it needs `workspace_id`, `build_id`, `agent_id` (text) and `generation` (integer, 0) as well:
 * see `Migrations.columnsText`. Rows are never made there, so a chat that is not there is refused.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChatTable {
  readonly table: string
  readonly key: string
  readonly owner: string
}

/**
 * Table and columns. `own` is the table of the module, in which a chat that has no row gets one when it is bound.
 *
 * @since 0.1.0
 * @category models
 */
export interface SqlChatRows {
  readonly own: boolean
  readonly chats: Identifier
  readonly key: Identifier
  readonly owner: Identifier
  /** What a `Binding` is read from; the table is `c`. */
  readonly columns: Fragment
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ sql, table }: SqlCalls.SqlCalls, of?: ChatTable): SqlChatRows => {
  const key = sql(of?.key ?? "chat_id")
  return {
    own: of === undefined,
    chats: of === undefined ? table("chats") : sql(of.table),
    key,
    owner: sql(of?.owner ?? "owner"),
    columns: sql`
      c.${key}::text as "chatId", c.workspace_id::text as "workspaceId", c.build_id::text as "buildId",
      c.agent_id::text as "agentId", coalesce(c.generation, 0) as "generation"`
  }
}

/**
 * @since 0.1.0
 * @category getters
 */
export const decode = SqlCalls.rowsOf(Schema.Array(Binding))
