/**
 * The turns of chats: who runs one, what it has said and done, and what it tells those who follow it.
 *
 * A chat has one running turn at a time. A node holds it under a lease, and everything that it writes is fenced by the
 * turn's epoch. A turn whose lease has ended is never run again: the next message, or a sweep, ends it `crashed`, with an
 * answer to every open call, so that the history is one that every provider accepts.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type { BindingRefused, StoreError, TurnLost, TurnRunning } from "../domain/Errors.ts"
import type { ChatId, MessageId, NodeId, OwnerId, TurnId } from "../domain/Ids.ts"
import type { HistoryMessage, NumberedEvent, Position, Turn, TurnEnd, TurnEvent, TurnMessage } from "../domain/Turn.ts"
import type { MemoryStore } from "./MemoryStore.ts"
import * as MemoryTurns from "./MemoryTurns.ts"

/**
 * What became of a user's message: its turn begins, with the history of the chat and this message at its end; or the
 * message had come before, and this is its turn, whether it runs or has ended.
 *
 * @since 0.1.0
 * @category models
 */
export type BeginResult = Data.TaggedEnum<{
  readonly Begun: { readonly turn: Turn; readonly history: ReadonlyArray<TurnMessage> }
  readonly Attached: { readonly turn: Turn }
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const BeginResult = Data.taggedEnum<BeginResult>()

/**
 * What a node hears when it renews: go on, somebody wants the turn interrupted, or it is not its turn any more.
 *
 * @since 0.1.0
 * @category models
 */
export type TurnRenewal = "held" | "interrupting" | "lost"

/**
 * A turn as its node writes to it.
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnFence {
  readonly turnId: TurnId
  readonly epoch: number
}

/**
 * Messages of a turn under their numbers in it, beginning with `from`. Those that are there already stay as they are, so
 * that a write of which nobody knows whether it was done can be repeated.
 *
 * @since 0.1.0
 * @category models
 */
export interface NumberedMessages {
  readonly from: number
  readonly messages: ReadonlyArray<TurnMessage>
}

/**
 * @since 0.1.0
 * @category services
 */
export class TurnStore extends Context.Service<TurnStore, {
  /**
   * Begins the turn of a message, under an id that has to be new; the same id again answers the same. The chat gets a row
   * if it has none. A running turn whose lease has ended is ended `crashed` before. Fails with `TurnRunning` when the chat
   * answers another message, and with `BindingRefused` when it is of another owner (or, in an application's own table,
   * not there). The history is its end: at most 1,000 messages and 4 MiB, from the beginning of a turn.
   */
  readonly begin: (options: {
    readonly turnId: TurnId
    readonly chatId: ChatId
    readonly owner: OwnerId
    readonly messageId: MessageId
    readonly message: TurnMessage
    readonly nodeId: NodeId
    readonly lease: Duration.Duration
  }) => Effect.Effect<BeginResult, TurnRunning | BindingRefused | StoreError>
  /** Keeps a turn for another `lease` from now, also when its lease has ended and nobody has ended the turn yet. */
  readonly renew: (
    options: TurnFence & { readonly lease: Duration.Duration }
  ) => Effect.Effect<TurnRenewal, StoreError>
  /** Writes messages of a step. */
  readonly append: (options: TurnFence & NumberedMessages) => Effect.Effect<void, TurnLost | StoreError>
  /** Writes events under their numbers, beginning with `from`. Those that are there already stay as they are. */
  readonly appendEvents: (
    options: TurnFence & { readonly from: number; readonly events: ReadonlyArray<TurnEvent> }
  ) => Effect.Effect<void, TurnLost | StoreError>
  /** Ends a turn, in one step with its last messages. */
  readonly finish: (options: TurnFence & NumberedMessages & TurnEnd) => Effect.Effect<Turn, TurnLost | StoreError>
  /** Wants the running turn of a chat interrupted: its node hears of it when it renews. None when there is none. */
  readonly interrupt: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
  }) => Effect.Effect<Option.Option<Turn>, StoreError>
  /**
   * Ends turns whose lease has ended, and answers them; forgets the events of turns that ended longer than `keepEvents`
   * ago. A few of each at a time.
   */
  readonly sweep: (options: {
    readonly keepEvents: Duration.Duration
  }) => Effect.Effect<ReadonlyArray<Turn>, StoreError>

  /** One turn of this owner. */
  readonly get: (options: {
    readonly turnId: TurnId
    readonly owner: OwnerId
  }) => Effect.Effect<Option.Option<Turn>, StoreError>
  /** The newest turn of a chat. */
  readonly latest: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
  }) => Effect.Effect<Option.Option<Turn>, StoreError>
  /** The messages of a chat behind a position, or from the first: at most 1,000 and 4 MiB, but one if there is one. */
  readonly history: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
    readonly after?: Position | undefined
  }) => Effect.Effect<ReadonlyArray<HistoryMessage>, StoreError>
  /** A turn, with at most 1,000 of its events behind the one with the number `after`; none if there is no such turn. */
  readonly events: (options: {
    readonly turnId: TurnId
    readonly owner: OwnerId
    readonly after: number
  }) => Effect.Effect<Option.Option<TurnWithEvents>, StoreError>
}>()("chat-workspace/store/TurnStore") {}

/**
 * A turn and what it has told. The end of a turn is not among its events: `Turn.endOf` reads it from the turn.
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnWithEvents {
  readonly turn: Turn
  readonly events: ReadonlyArray<NumberedEvent>
}

/**
 * Keeps the turns in memory. Whose a chat is stands in the tables that `ChatBindings.layerMemory` reads.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TurnStore, never, MemoryStore> = Layer.effect(TurnStore, MemoryTurns.make)
