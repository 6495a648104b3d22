/**
 * Keeps what was read of instruction files in PostgreSQL.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { InstructionFile, InstructionStore } from "./InstructionStore.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlCalls from "./SqlCalls.ts"

const make = Effect.fnUntraced(function*(options?: Migrations.Options) {
  const { call, sql, table } = yield* SqlCalls.make(options)
  const instructions = table("instructions")

  return InstructionStore.of({
    get: Effect.fn("InstructionStore.get")(function*(chatId, agentId) {
      const found = yield* call(
        "InstructionStore.get",
        sql`select files from ${instructions} where chat_id = ${chatId} and agent_id = ${agentId}`
      )
      return Option.map(Arr.head(yield* decode(found)), ({ files }) => files)
    }),
    put: Effect.fn("InstructionStore.put")(function*(chatId, agentId, files) {
      yield* call(
        "InstructionStore.put",
        sql`
          insert into ${instructions} (chat_id, agent_id, files)
          values (${chatId}::text, ${agentId}::text, ${JSON.stringify(files)}::text::jsonb)
          on conflict (chat_id) do update set
            agent_id = excluded.agent_id, files = excluded.files, read_at = clock_timestamp()`
      )
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Migrations.Options): Layer.Layer<InstructionStore, never, SqlClient.SqlClient> =>
  Layer.effect(InstructionStore, make(options))

const decode = SqlCalls.rowsOf(Schema.Array(Schema.Struct({ files: Schema.Array(InstructionFile) })))
