/**
 * One run of the model for one user message, with its tool calls: how far it is, what it says, and what it leaves.
 *
 * Turns of a chat follow one another, and their epochs count them: everything that a turn writes is fenced by its own.
 *
 * @since 0.1.0
 */
import * as Prompt from "effect/ai/Prompt"
import * as Schema from "effect/Schema"
import { ChatId, MessageId, NodeId, OwnerId, TurnId } from "./Ids.ts"

/**
 * How far a turn is. All but the first are final: the model has answered; it cannot go on; somebody or the end of its
 * node ended it; its node was lost.
 *
 * @since 0.1.0
 * @category models
 */
export const TurnStatus = Schema.Literals(["running", "done", "failed", "interrupted", "crashed"])

/**
 * @since 0.1.0
 * @category models
 */
export type TurnStatus = typeof TurnStatus.Type

/**
 * Why a turn ended before the model had answered: `steps` and `time` are its limits, `silence` the model's; `model` is an
 * error of the model and `internal` one of the server; `user` wanted it; `shutdown` is the planned end of its node and
 * `lost` any other.
 *
 * @since 0.1.0
 * @category models
 */
export const TurnEndReason = Schema.Literals([
  "steps",
  "time",
  "silence",
  "model",
  "internal",
  "user",
  "shutdown",
  "lost"
])

/**
 * @since 0.1.0
 * @category models
 */
export type TurnEndReason = typeof TurnEndReason.Type

/**
 * A turn as the store holds it. `epoch` is its number in the chat, from 1.
 *
 * @since 0.1.0
 * @category models
 */
export class Turn extends Schema.Class<Turn>("chat-workspace/domain/Turn")({
  turnId: TurnId,
  chatId: ChatId,
  owner: OwnerId,
  messageId: MessageId,
  epoch: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  nodeId: NodeId,
  status: TurnStatus,
  reason: Schema.NullOr(TurnEndReason),
  startedAt: Schema.DateTimeUtc,
  endedAt: Schema.NullOr(Schema.DateTimeUtc)
}) {}

/**
 * How a turn ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnEnd {
  readonly status: Exclude<TurnStatus, "running">
  readonly reason: TurnEndReason | null
}

/**
 * A message of the history, in the encoded form of `effect/ai`.
 *
 * @since 0.1.0
 * @category models
 */
export const TurnMessage = Schema.toEncoded(Prompt.Message)

/**
 * @since 0.1.0
 * @category models
 */
export type TurnMessage = typeof TurnMessage.Type

/**
 * Where a message stands in the history of its chat: the epoch of its turn, and its number there, from 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface Position {
  readonly epoch: number
  readonly number: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface HistoryMessage extends Position {
  readonly message: TurnMessage
}

/**
 * What a turn tells while it runs.
 *
 * @since 0.1.0
 * @category models
 */
export const TurnEvent = Schema.Union([
  Schema.TaggedStruct("Text", { delta: Schema.String }),
  Schema.TaggedStruct("Call", { callId: Schema.String, name: Schema.String, params: Schema.Unknown }),
  Schema.TaggedStruct("Progress", { callId: Schema.String, name: Schema.String, progress: Schema.Unknown }),
  Schema.TaggedStruct("Result", {
    callId: Schema.String,
    name: Schema.String,
    isFailure: Schema.Boolean,
    result: Schema.Unknown
  }),
  Schema.TaggedStruct("Notice", { message: Schema.String }),
  Schema.TaggedStruct("End", {
    status: TurnStatus.pick(["done", "failed", "interrupted", "crashed"]),
    reason: Schema.NullOr(TurnEndReason)
  })
])

/**
 * @since 0.1.0
 * @category models
 */
export type TurnEvent = typeof TurnEvent.Type

/**
 * An event under its number in the turn, from 1. Who was cut off goes on behind the last number it has.
 *
 * @since 0.1.0
 * @category models
 */
export const NumberedEvent = Schema.Struct({ number: Schema.Int, event: TurnEvent })

/**
 * @since 0.1.0
 * @category models
 */
export type NumberedEvent = typeof NumberedEvent.Type

/**
 * The last event of a turn, which is read from its row: none while it runs.
 *
 * @since 0.1.0
 * @category getters
 */
export const endOf = ({ reason, status }: Turn): TurnEvent | undefined =>
  status === "running" ? undefined : { _tag: "End", status, reason }
