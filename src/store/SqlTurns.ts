/**
 * The turns of chats in PostgreSQL.
 *
 * Nothing is held between two calls but rows: no session, no lock, no notification. Every instant is of the database's
 * clock. Messages of one chat wait for one another at its row.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import { BindingRefused, TurnLost, TurnRunning } from "../domain/Errors.ts"
import { Turn, TurnEvent } from "../domain/Turn.ts"
import type { HistoryMessage } from "../domain/Turn.ts"
import type * as Migrations from "./Migrations.ts"
import * as SqlCalls from "./SqlCalls.ts"
import * as SqlChatRows from "./SqlChatRows.ts"
import * as SqlTurnRows from "./SqlTurnRows.ts"
import * as TurnPages from "./TurnPages.ts"
import { BeginResult, TurnStore } from "./TurnStore.ts"
import type { TurnFence } from "./TurnStore.ts"

/**
 * `chats` is the application's own table of chats, as in `SqlChatBindings.layerTable`. Without it they stand in the table
 * of the module.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Migrations.Options & { readonly chats?: SqlChatRows.ChatTable | undefined }

// Of each kind in one call of `sweep`; what is left goes in the next.
const sweepSize = 16

const make = Effect.fnUntraced(function*(options?: Options) {
  const calls = yield* SqlCalls.make(options)
  const { call, sql, table, transact } = calls
  const [turns, messages, events] = [table("turns"), table("turn_messages"), table("turn_events")]
  const columns = SqlTurnRows.columns(calls)
  const chatRows = SqlChatRows.make(calls, options?.chats)

  const fence = ({ epoch, turnId }: TurnFence) =>
    sql`t.turn_id = ${turnId} and t.epoch = ${epoch} and t.status = 'running'`

  /** The newest of the chat's messages, as many as a page has, oldest first. */
  const newest = Effect.fnUntraced(function*({ chatId, owner }: Turn) {
    const found = yield* sql`
      select epoch, number, message from (
        select m.*, sum(m.bytes) over (order by m.epoch desc, m.number desc) as total from (
          select m.* from ${messages} as m join ${turns} as t on t.chat_id = m.chat_id and t.epoch = m.epoch
          where m.chat_id = ${chatId} and t.owner = ${owner}
          order by m.epoch desc, m.number desc limit ${TurnPages.messages}
        ) as m
      ) as m
      where m.total <= ${TurnPages.bytes} or m.total = m.bytes order by m.epoch, m.number`
    const rows = yield* SqlTurnRows.decodeMessages(found)
    const page = rows.map(({ message }) => message)
    const [first] = rows
    const whole = first === undefined || first.number === 1
    return whole ? page : TurnPages.fromTurn(page)
  })

  return TurnStore.of({
    begin: Effect.fn("TurnStore.begin")(function*({ chatId, lease, message, messageId, nodeId, owner, turnId }) {
      return yield* transact(
        "TurnStore.begin",
        Effect.gen(function*() {
          if (chatRows.own) {
            yield* sql`
              insert into ${chatRows.chats} (chat_id, owner) values (${chatId}, ${owner})
              on conflict (chat_id) do nothing`
          }
          const chat = yield* sql`
            select 1 from ${chatRows.chats} as c
            where c.${chatRows.key} = ${chatId} and c.${chatRows.owner} = ${owner} for no key update`
          if (chat.length === 0) return yield* new BindingRefused({ chatId, workspaceId: null })

          const lookup = sql`
            select ${columns}, t.lease_until <= clock_timestamp() as "expired" from ${turns} as t
            where t.chat_id = ${chatId} and (t.message_id = ${messageId} or t.status = 'running') for no key update`
          let found = yield* lookup
          for (const { expired, ...turn } of yield* decodeExpiring(found)) {
            if (!expired || turn.status !== "running") continue
            yield* SqlTurnRows.crash(calls, new Turn(turn))
            found = yield* lookup
          }
          const present = yield* SqlTurnRows.decode(found)
          const same = present.find((turn) => turn.messageId === messageId)
          if (same !== undefined && (same.turnId !== turnId || same.status !== "running")) {
            return BeginResult.Attached({ turn: same })
          }
          const other = present.find((turn) => turn.status === "running")
          if (same === undefined && other !== undefined) {
            return yield* new TurnRunning({ chatId, turnId: other.turnId })
          }
          const until = sql`clock_timestamp() + ${SqlCalls.interval(sql, lease)}`
          const begun = yield* sql`
            insert into ${turns} as t (turn_id, chat_id, owner, message_id, epoch, node_id, status, lease_until)
            select ${turnId}, ${chatId}, ${owner}, ${messageId}, coalesce(max(o.epoch), 0) + 1, ${nodeId}, 'running',
              ${until}
            from ${turns} as o where o.chat_id = ${chatId}
            on conflict (turn_id) do update set lease_until = excluded.lease_until
            returning ${columns}`
          const turn = (yield* SqlTurnRows.decode(begun)).at(0) ??
            (yield* Effect.die(new Error("A turn that began was not there")))
          const first = sql`(select ${chatId}::text as chat_id, ${turn.epoch}::integer as epoch)`
          yield* sql`${SqlTurnRows.insertMessages(calls, first, { from: 1, messages: [message] })}`
          return BeginResult.Begun({ turn, history: yield* newest(turn) })
        })
      )
    }),
    renew: Effect.fnUntraced(function*(options) {
      const renewed = yield* call(
        "TurnStore.renew",
        sql`
          update ${turns} as t set lease_until = clock_timestamp() + ${SqlCalls.interval(sql, options.lease)}
          where ${fence(options)}
          returning t.interrupt_requested as "interrupting"`
      )
      const [row] = yield* decodeRenewed(renewed)
      return row === undefined ? "lost" : row.interrupting ? "interrupting" : "held"
    }),
    append: Effect.fn("TurnStore.append")(function*(options) {
      const held = yield* call(
        "TurnStore.append",
        sql`
          with held as materialized (
            select t.chat_id, t.epoch from ${turns} as t where ${fence(options)} for no key update
          ), written as (
            ${SqlTurnRows.insertMessages(calls, sql`held`, options)}
          )
          select 1 from held`
      )
      if (held.length === 0) return yield* new TurnLost({ turnId: options.turnId })
    }),
    // Without a span: a turn that streams writes several times a second.
    appendEvents: Effect.fnUntraced(function*(options) {
      const held = yield* call(
        "TurnStore.appendEvents",
        sql`
          with held as materialized (
            select t.turn_id from ${turns} as t where ${fence(options)} for no key update
          ), written as (
            insert into ${events} (turn_id, number, event)
            select held.turn_id, ${options.from}::integer + e.place::integer - 1, e.event
            from held
            cross join json_array_elements(${JSON.stringify(options.events)}::text::json)
              with ordinality as e (event, place)
            on conflict (turn_id, number) do nothing
          )
          select 1 from held`
      )
      if (held.length === 0) return yield* new TurnLost({ turnId: options.turnId })
    }),
    finish: Effect.fn("TurnStore.finish")(function*(options) {
      return yield* transact(
        "TurnStore.finish",
        Effect.gen(function*() {
          const found = yield* sql`select ${columns} from ${turns} as t where ${fence(options)} for no key update`
          const turn = (yield* SqlTurnRows.decode(found)).at(0)
          if (turn === undefined) return yield* new TurnLost({ turnId: options.turnId })
          return yield* SqlTurnRows.end(calls, turn, options, options)
        })
      )
    }),
    interrupt: Effect.fn("TurnStore.interrupt")(function*({ chatId, owner }) {
      const found = yield* call(
        "TurnStore.interrupt",
        sql`
          update ${turns} as t set interrupt_requested = true
          where t.chat_id = ${chatId} and t.owner = ${owner} and t.status = 'running'
          returning ${columns}`
      )
      return Option.fromUndefinedOr((yield* SqlTurnRows.decode(found)).at(0))
    }),
    sweep: Effect.fnUntraced(function*({ keepEvents }) {
      return yield* transact(
        "TurnStore.sweep",
        Effect.gen(function*() {
          // Without their rows' events they are still in the history.
          const old = yield* sql<{ readonly turn_id: string }>`
            update ${turns} set events_kept = false where turn_id in (
              select turn_id from ${turns}
              where events_kept and ended_at < clock_timestamp() - ${SqlCalls.interval(sql, keepEvents)}
              order by ended_at limit ${sweepSize} for no key update skip locked
            ) returning turn_id`
          if (old.length > 0) {
            yield* sql`delete from ${events} where turn_id = any(${old.map(({ turn_id }) => turn_id)})`
          }
          const expired = yield* sql`
            select ${columns} from ${turns} as t
            where t.status = 'running' and t.lease_until <= clock_timestamp()
            order by t.lease_until limit ${sweepSize} for no key update skip locked`
          return yield* Effect.forEach(
            yield* SqlTurnRows.decode(expired),
            (turn) => SqlTurnRows.crash(calls, turn)
          )
        })
      )
    }),
    get: Effect.fn("TurnStore.get")(function*({ owner, turnId }) {
      const found = yield* call(
        "TurnStore.get",
        sql`select ${columns} from ${turns} as t where t.turn_id = ${turnId} and t.owner = ${owner}`
      )
      return Option.fromUndefinedOr((yield* SqlTurnRows.decode(found)).at(0))
    }),
    latest: Effect.fn("TurnStore.latest")(function*({ chatId, owner }) {
      const found = yield* call(
        "TurnStore.latest",
        sql`
          select ${columns} from ${turns} as t
          where t.chat_id = ${chatId} and t.owner = ${owner} order by t.epoch desc limit 1`
      )
      return Option.fromUndefinedOr((yield* SqlTurnRows.decode(found)).at(0))
    }),
    history: Effect.fn("TurnStore.history")(function*({ after, chatId, owner }) {
      const found = yield* call(
        "TurnStore.history",
        sql`
          select epoch, number, message from (
            select m.*, sum(m.bytes) over (order by m.epoch, m.number) as total from (
              select m.* from ${messages} as m join ${turns} as t on t.chat_id = m.chat_id and t.epoch = m.epoch
              where m.chat_id = ${chatId} and t.owner = ${owner}
                and (m.epoch, m.number) > (${after?.epoch ?? 0}::integer, ${after?.number ?? 0}::integer)
              order by m.epoch, m.number limit ${TurnPages.messages}
            ) as m
          ) as m
          where m.total <= ${TurnPages.bytes} or m.total = m.bytes order by m.epoch, m.number`
      )
      return yield* Effect.map(SqlTurnRows.decodeMessages(found), (rows): ReadonlyArray<HistoryMessage> => rows)
    }),
    // Without a span: whoever follows a turn of another node asks every second.
    events: Effect.fnUntraced(function*({ after, owner, turnId }) {
      // The turn is read before its events in one snapshot: a turn that has ended has no more.
      const found = yield* call(
        "TurnStore.events",
        sql`
          select ${columns}, coalesce((
            select json_agg(json_build_object('number', e.number, 'event', e.event) order by e.number) from (
              select number, event from ${events}
              where turn_id = t.turn_id and number > ${after}::integer order by number limit ${TurnPages.events}
            ) as e
          ), '[]'::json) as "events"
          from ${turns} as t where t.turn_id = ${turnId} and t.owner = ${owner}`
      )
      const [turn] = yield* SqlTurnRows.decode(found)
      const [row] = yield* decodeEvents(found)
      return turn === undefined || row === undefined ? Option.none() : Option.some({ turn, events: row.events })
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<TurnStore, never, SqlClient.SqlClient> =>
  Layer.effect(TurnStore, make(options))

const decodeExpiring = SqlCalls.rowsOf(Schema.Array(Schema.Struct({
  ...Turn.fields,
  startedAt: Schema.DateTimeUtcFromDate,
  endedAt: Schema.NullOr(Schema.DateTimeUtcFromDate),
  expired: Schema.Boolean
})))

const decodeRenewed = SqlCalls.rowsOf(Schema.Array(Schema.Struct({ interrupting: Schema.Boolean })))

const decodeEvents = SqlCalls.rowsOf(
  Schema.Array(Schema.Struct({ events: Schema.Array(Schema.Struct({ number: Schema.Int, event: TurnEvent })) }))
)
