/**
 * The identifiers of the module: branded, non-empty strings of at most 128 characters that a
 * database keeps as they are: without NUL and halves of characters.
 *
 * Chat, workspace and owner ids belong to the application and the id of a message to its client; they are taken as they
 * are. The others are made here.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Id = Schema.NonEmptyString.check(
  // PostgreSQL has no texts with NUL, and takes all halves of characters for the same.
  Schema.makeFilter((id) => !id.includes("\0") && id.isWellFormed() || "Expected neither NUL nor halves of characters"),
  // The last: what describes an id in a contract goes with a check that has words there.
  Schema.isMaxLength(128)
)

/**
 * A chat of the application.
 *
 * @since 0.1.0
 * @category ids
 */
export const ChatId = Id.pipe(Schema.brand("chat-workspace/ChatId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type ChatId = typeof ChatId.Type

/**
 * Who owns a chat and a workspace, in the words of the application.
 *
 * @since 0.1.0
 * @category ids
 */
export const OwnerId = Id.pipe(Schema.brand("chat-workspace/OwnerId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type OwnerId = typeof OwnerId.Type

/**
 * A user's environment.
 *
 * @since 0.1.0
 * @category ids
 */
export const WorkspaceId = Id.pipe(Schema.brand("chat-workspace/WorkspaceId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type WorkspaceId = typeof WorkspaceId.Type

/**
 * One start, stop or delete of a workspace.
 *
 * @since 0.1.0
 * @category ids
 */
export const BuildId = Id.pipe(Schema.brand("chat-workspace/BuildId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type BuildId = typeof BuildId.Type

/**
 * What a workspace is made from.
 *
 * @since 0.1.0
 * @category ids
 */
export const TemplateId = Id.pipe(Schema.brand("chat-workspace/TemplateId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type TemplateId = typeof TemplateId.Type

/**
 * One agent of one start build; a new start build makes new agents.
 *
 * @since 0.1.0
 * @category ids
 */
export const AgentId = Id.pipe(Schema.brand("chat-workspace/AgentId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type AgentId = typeof AgentId.Type

/**
 * One backend process.
 *
 * @since 0.1.0
 * @category ids
 */
export const NodeId = Id.pipe(Schema.brand("chat-workspace/NodeId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type NodeId = typeof NodeId.Type

/**
 * One run of the agent program; random, in its hello.
 *
 * @since 0.1.0
 * @category ids
 */
export const Incarnation = Id.pipe(Schema.brand("chat-workspace/Incarnation"))

/**
 * @since 0.1.0
 * @category ids
 */
export type Incarnation = typeof Incarnation.Type

/**
 * One call with a side effect, under an id that the caller made. The id of a process is the id of its start.
 *
 * @since 0.1.0
 * @category ids
 */
export const OperationId = Id.pipe(Schema.brand("chat-workspace/OperationId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type OperationId = typeof OperationId.Type

/**
 * One run of the model for one user message.
 *
 * @since 0.1.0
 * @category ids
 */
export const TurnId = Id.pipe(Schema.brand("chat-workspace/TurnId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type TurnId = typeof TurnId.Type

/**
 * A user's message, under the id that the client made for it: a repeat has the same.
 *
 * @since 0.1.0
 * @category ids
 */
export const MessageId = Id.pipe(Schema.brand("chat-workspace/MessageId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type MessageId = typeof MessageId.Type
