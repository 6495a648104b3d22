/**
 * How a turn is read from its row, how messages are added to it, and how one of a lost node ends.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Fragment } from "effect/sql/Statement"
import { Turn, TurnMessage } from "../domain/Turn.ts"
import type { TurnEnd } from "../domain/Turn.ts"
import * as SqlCalls from "./SqlCalls.ts"
import * as TurnClosing from "./TurnClosing.ts"
import * as TurnPages from "./TurnPages.ts"
import type { NumberedMessages } from "./TurnStore.ts"

/**
 * The columns of a turn, of the table `t`.
 *
 * @since 0.1.0
 * @category getters
 */
export const columns = ({ sql }: SqlCalls.SqlCalls): Fragment =>
  sql`
    t.turn_id as "turnId", t.chat_id as "chatId", t.owner as "owner", t.message_id as "messageId", t.epoch as "epoch",
    t.node_id as "nodeId", t.status as "status", t.reason as "reason", t.started_at as "startedAt",
    t.ended_at as "endedAt"`

const TurnRow = Schema.Struct({
  ...Turn.fields,
  startedAt: Schema.DateTimeUtcFromDate,
  endedAt: Schema.NullOr(Schema.DateTimeUtcFromDate)
})

const decodeRows = SqlCalls.rowsOf(Schema.Array(TurnRow))

/**
 * @since 0.1.0
 * @category getters
 */
export const decode = (found: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<Turn>> =>
  Effect.map(decodeRows(found), (rows) => rows.map((row) => new Turn(row)))

/**
 * @since 0.1.0
 * @category getters
 */
export const decodeMessages = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ epoch: Schema.Int, number: Schema.Int, message: TurnMessage }))
)

/**
 * Adds messages to the turn that `held` names by its chat and epoch, if it names one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const insertMessages = (
  { sql, table }: SqlCalls.SqlCalls,
  held: Fragment,
  { from, messages }: NumberedMessages
): Fragment =>
  sql`
    insert into ${table("turn_messages")} (chat_id, epoch, number, bytes, message)
    select h.chat_id, h.epoch, ${from}::integer + m.place::integer - 1, octet_length(m.message::text), m.message
    from ${held} as h
    cross join json_array_elements(${`[${messages.map(TurnPages.encode).join(",")}]`}::text::json)
      with ordinality as m (message, place)
    on conflict (chat_id, epoch, number) do nothing`

/**
 * Ends a turn, whose row has to be locked.
 *
 * @since 0.1.0
 * @category combinators
 */
export const end = Effect.fnUntraced(
  function*(calls: SqlCalls.SqlCalls, { turnId }: Turn, { reason, status }: TurnEnd, last: NumberedMessages) {
    const { sql, table } = calls
    if (last.messages.length > 0) {
      const held = sql`(select t.chat_id, t.epoch from ${table("turns")} as t where t.turn_id = ${turnId})`
      yield* sql`${insertMessages(calls, held, last)}`
    }
    const ended = yield* sql`
      update ${table("turns")} as t set status = ${status}, reason = ${reason}::text, ended_at = clock_timestamp()
      where t.turn_id = ${turnId}
      returning ${columns(calls)}`
    return (yield* decode(ended)).at(0) ?? (yield* Effect.die(new Error("A locked turn was not there")))
  }
)

/**
 * Ends a turn of a lost node, whose row has to be locked.
 *
 * @since 0.1.0
 * @category combinators
 */
export const crash = Effect.fnUntraced(function*(calls: SqlCalls.SqlCalls, turn: Turn) {
  const { sql, table } = calls
  const found = yield* sql`
    select epoch, number, message from ${table("turn_messages")}
    where chat_id = ${turn.chatId} and epoch = ${turn.epoch} order by number`
  const rows = yield* decodeMessages(found)
  const messages = TurnClosing.crashed(rows.map(({ message }) => message))
  return yield* end(calls, turn, TurnClosing.lost, { from: (rows.at(-1)?.number ?? 0) + 1, messages })
})
