/**
 * The turns of chats in memory, over the tables of `MemoryStore`.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { unbound } from "../domain/Binding.ts"
import { BindingRefused, TurnLost, TurnRunning } from "../domain/Errors.ts"
import type { ChatId, OwnerId, TurnId } from "../domain/Ids.ts"
import { Turn } from "../domain/Turn.ts"
import type { HistoryMessage, TurnEnd, TurnMessage } from "../domain/Turn.ts"
import { MemoryStore } from "./MemoryStore.ts"
import type { TurnRow } from "./MemoryStore.ts"
import * as TurnClosing from "./TurnClosing.ts"
import * as TurnPages from "./TurnPages.ts"
import type { NumberedMessages, TurnFence, TurnStore } from "./TurnStore.ts"

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<TurnStore["Service"], never, MemoryStore> = Effect.gen(function*() {
  const store = yield* MemoryStore
  const { turns } = store

  const inChat = (chatId: ChatId): ReadonlyArray<TurnRow> =>
    Array.from(turns.values()).filter(({ turn }) => turn.chatId === chatId)

  const ofChat = (chatId: ChatId, owner: OwnerId): ReadonlyArray<TurnRow> =>
    inChat(chatId).filter(({ turn }) => turn.owner === owner)

  const owned = (turnId: TurnId, owner: OwnerId): Option.Option<TurnRow> =>
    Option.filter(Option.fromUndefinedOr(turns.get(turnId)), ({ turn }) => turn.owner === owner)

  const held = ({ epoch, turnId }: TurnFence): TurnRow | undefined => {
    const row = turns.get(turnId)
    return row?.turn.status === "running" && row.turn.epoch === epoch ? row : undefined
  }

  const fenced = <A>(fence: TurnFence, use: (row: TurnRow, now: DateTime.Utc) => A): Effect.Effect<A, TurnLost> =>
    Effect.flatMap(DateTime.now, (now) => {
      const row = held(fence)
      return row === undefined ? new TurnLost({ turnId: fence.turnId }) : Effect.succeed(use(row, now))
    })

  const put = ({ messages }: TurnRow, added: NumberedMessages): void =>
    added.messages.forEach((message, index) => {
      const number = added.from + index
      if (!messages.has(number)) messages.set(number, message)
    })

  const end = (row: TurnRow, { reason, status }: TurnEnd, endedAt: DateTime.Utc): Turn =>
    row.turn = new Turn({ ...row.turn, status, reason, endedAt })

  const messagesOf = ({ messages }: TurnRow): ReadonlyArray<TurnMessage> =>
    Array.from(messages).sort(([a], [b]) => a - b).map(([, message]) => message)

  const crash = (row: TurnRow, now: DateTime.Utc): Turn => {
    const messages = messagesOf(row)
    put(row, { from: messages.length + 1, messages: TurnClosing.crashed(messages) })
    return end(row, TurnClosing.lost, now)
  }

  const expired = (row: TurnRow, now: DateTime.Utc): boolean =>
    row.turn.status === "running" && DateTime.isLessThanOrEqualTo(row.leaseUntil, now)

  const historyOf = (chatId: ChatId, owner: OwnerId): ReadonlyArray<HistoryMessage> =>
    ofChat(chatId, owner).flatMap((row) =>
      messagesOf(row).map((message, index) => ({ epoch: row.turn.epoch, number: index + 1, message }))
    )

  const until = (now: DateTime.Utc, lease: Duration.Duration): DateTime.Utc => DateTime.addDuration(now, lease)

  return {
    begin: Effect.fnUntraced(function*({ chatId, lease, message, messageId, nodeId, owner, turnId }) {
      const now = yield* DateTime.now
      const chat = store.chats.get(chatId)
      if (chat !== undefined && chat.owner !== owner) return yield* new BindingRefused({ chatId, workspaceId: null })
      if (chat === undefined) store.chats.set(chatId, { owner, binding: unbound(chatId) })

      const all = inChat(chatId)
      const running = all.find(({ turn }) => turn.status === "running")
      if (running !== undefined && expired(running, now)) crash(running, now)
      const same = all.find(({ turn }) => turn.messageId === messageId)
      if (same !== undefined && (same.turn.turnId !== turnId || same.turn.status !== "running")) {
        return { _tag: "Attached" as const, turn: same.turn }
      }
      if (same === undefined && running?.turn.status === "running") {
        return yield* new TurnRunning({ chatId, turnId: running.turn.turnId })
      }
      const row = same ?? {
        turn: new Turn({
          turnId,
          chatId,
          owner,
          messageId,
          epoch: all.length + 1,
          nodeId,
          status: "running",
          reason: null,
          startedAt: now,
          endedAt: null
        }),
        leaseUntil: until(now, lease),
        interrupting: false,
        messages: new Map([[1, message]]),
        events: new Map()
      }
      row.leaseUntil = until(now, lease)
      turns.set(turnId, row)
      const history = historyOf(chatId, owner).map(({ message }) => message)
      const page = within(history.toReversed(), (message) => message).toReversed()
      return {
        _tag: "Begun" as const,
        turn: row.turn,
        history: page.length < history.length ? TurnPages.fromTurn(page) : page
      }
    }),
    renew: Effect.fnUntraced(function*(options) {
      const now = yield* DateTime.now
      const row = held(options)
      if (row === undefined) return "lost"
      row.leaseUntil = until(now, options.lease)
      return row.interrupting ? "interrupting" : "held"
    }),
    append: (options) => fenced(options, (row) => put(row, options)),
    appendEvents: (options) =>
      fenced(options, ({ events }) => {
        options.events.forEach((event, index) => {
          const number = options.from + index
          if (!events.has(number)) events.set(number, event)
        })
      }),
    finish: (options) =>
      fenced(options, (row, now) => {
        put(row, options)
        return end(row, options, now)
      }),
    interrupt: ({ chatId, owner }) =>
      Effect.sync(() => {
        const row = ofChat(chatId, owner).find(({ turn }) => turn.status === "running")
        if (row !== undefined) row.interrupting = true
        return Option.map(Option.fromUndefinedOr(row), ({ turn }) => turn)
      }),
    sweep: Effect.fnUntraced(function*({ keepEvents }) {
      const now = yield* DateTime.now
      const old = DateTime.subtractDuration(now, keepEvents)
      for (const { events, turn } of turns.values()) {
        if (turn.endedAt !== null && DateTime.isLessThan(turn.endedAt, old)) events.clear()
      }
      return Array.from(turns.values()).filter((row) => expired(row, now)).map((row) => crash(row, now))
    }),
    get: ({ owner, turnId }) => Effect.sync(() => Option.map(owned(turnId, owner), ({ turn }) => turn)),
    latest: ({ chatId, owner }) =>
      Effect.sync(() => Option.map(Option.fromUndefinedOr(ofChat(chatId, owner).at(-1)), ({ turn }) => turn)),
    history: ({ after, chatId, owner }) =>
      Effect.sync(() =>
        within(
          historyOf(chatId, owner).filter(({ epoch, number }) =>
            after === undefined || epoch > after.epoch || epoch === after.epoch && number > after.number
          ),
          ({ message }) => message
        )
      ),
    events: ({ after, owner, turnId }) =>
      Effect.sync(() =>
        Option.map(owned(turnId, owner), ({ events, turn }) => ({
          turn,
          events: Array.from(events, ([number, event]) => ({ number, event }))
            .filter(({ number }) => number > after)
            .sort((a, b) => a.number - b.number)
            .slice(0, TurnPages.events)
        }))
      )
  }
})

/** As many as a page has, but one if there is one. */
const within = <A>(all: ReadonlyArray<A>, messageOf: (a: A) => TurnMessage): ReadonlyArray<A> => {
  let bytes = 0
  const page = all.slice(0, TurnPages.messages)
  const cut = page.findIndex((a, index) => {
    bytes += new TextEncoder().encode(TurnPages.encode(messageOf(a))).length
    return bytes > TurnPages.bytes && index > 0
  })
  return cut === -1 ? page : page.slice(0, cut)
}
