/**
 * The last connects of each chat on this node, for whoever asks why a chat is stuck.
 *
 * Bounded twice: 20 records a chat, and the 10,000 chats that connected last. Hits in a row are one record.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { ConnectError } from "../domain/Errors.ts"
import type { AgentId, ChatId } from "../domain/Ids.ts"
import type { Outcome } from "./DialMetrics.ts"
import type { Path } from "./LazyDial.ts"

/**
 * One flight, or hits in a row. `path` is null where it led to no connection, and `cause` is then the error. `calls` is
 * how many callers waited for the flight when it ended, or how many hits there were.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectRecord {
  readonly endedAt: DateTime.Utc
  readonly took: Duration.Duration
  readonly agentId: AgentId | null
  readonly path: Path | "hit" | null
  readonly outcome: Outcome
  readonly cause: ConnectError | null
  readonly calls: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ConnectHistory {
  readonly record: (chatId: ChatId, record: ConnectRecord) => void
  /** At an instant in milliseconds of the clock. This is on the path of every call, and so does next to nothing. */
  readonly hit: (chatId: ChatId, agentId: AgentId, at: number) => void
  /** Newest first. */
  readonly recent: (chatId: ChatId) => ReadonlyArray<ConnectRecord>
  /** At most `limit` chats, those that began a record last first. */
  readonly chats: (limit: number) => ReadonlyArray<ChatId>
}

const recordsPerChat = 20
const maxChats = 10_000

/** Hits in a row, counted in place. */
interface Hits {
  readonly agentId: AgentId
  at: number
  calls: number
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (): ConnectHistory => {
  const chats = new Map<ChatId, Array<ConnectRecord | Hits>>()

  const add = (chatId: ChatId, record: ConnectRecord | Hits) => {
    const records = chats.get(chatId) ?? []
    // A map keeps the order of insertion, so its first key is the chat that was quiet for longest.
    chats.delete(chatId)
    chats.set(chatId, records)
    if (chats.size > maxChats) {
      for (const oldest of chats.keys()) {
        chats.delete(oldest)
        break
      }
    }
    records.push(record)
    if (records.length > recordsPerChat) records.shift()
  }

  return {
    record: add,
    hit: (chatId, agentId, at) => {
      const last = chats.get(chatId)?.at(-1)
      if (last === undefined || !("at" in last) || last.agentId !== agentId) {
        add(chatId, { agentId, at, calls: 1 })
      } else {
        last.at = at
        last.calls++
      }
    },
    recent: (chatId) => (chats.get(chatId) ?? []).map((record) => "at" in record ? hits(record) : record).reverse(),
    chats: (limit) => Array.from(chats.keys()).reverse().slice(0, limit)
  }
}

const hits = ({ agentId, at, calls }: Hits): ConnectRecord => ({
  endedAt: DateTime.makeUnsafe(at),
  took: Duration.zero,
  agentId,
  path: "hit",
  outcome: "connected",
  cause: null,
  calls
})
