/** What a backend is started with, what it is asked and what it says, in lines of JSON; and the words of its model. */
import { Schema } from "effect"
import { ChatId, MessageId, NodeId, OperationId, OwnerId } from "../../src/domain/Ids.ts"
import { NumberedEvent } from "../../src/domain/Turn.ts"

export const Options = Schema.Struct({
  schema: Schema.String,
  owner: OwnerId,
  /** Of the API. */
  token: Schema.String,
  /** Where workspaces are built, and what their agents call; null where none are. */
  building: Schema.NullOr(Schema.Struct({ root: Schema.String, agentUrl: Schema.String }))
})

/** What the model answers, request by request, as the text of a message. */
export const Script = Schema.fromJsonString(Schema.Array(Schema.Struct({
  text: Schema.optionalKey(Schema.String),
  calls: Schema.optionalKey(Schema.Array(Schema.Struct({ name: Schema.String, args: Schema.Json })))
})))

export const Request = Schema.Union([
  /** One call of a tool, in a turn of its own. */
  Schema.TaggedStruct("Tool", { id: Schema.String, chat: ChatId, tool: Schema.String, args: Schema.Json }),
  /** A command under an id that the caller made. */
  Schema.TaggedStruct("Run", {
    id: Schema.String,
    chat: ChatId,
    operation: OperationId,
    command: Schema.String,
    timeoutMillis: Schema.Finite
  }),
  /** What became of such a command. */
  Schema.TaggedStruct("Outcome", { id: Schema.String, chat: ChatId, operation: OperationId }),
  Schema.TaggedStruct("Send", { id: Schema.String, chat: ChatId, message: MessageId, text: Schema.String }),
  /** Ends the turn of a chat, wherever it runs. */
  Schema.TaggedStruct("Interrupt", { id: Schema.String, chat: ChatId }),
  /** How much of all this is still under way. */
  Schema.TaggedStruct("Rest", { id: Schema.String })
])

export const Event = Schema.Union([
  Schema.TaggedStruct("Ready", { port: Schema.Int, nodeId: NodeId }),
  /** It hears nobody any more. */
  Schema.TaggedStruct("Gone", {}),
  Schema.TaggedStruct("Answer", { id: Schema.String, result: Schema.Json }),
  Schema.TaggedStruct("Told", { id: Schema.String, told: Schema.toEncoded(NumberedEvent) }),
  /** A turn tells nothing more. `error` says why, where that is not its end. */
  Schema.TaggedStruct("Over", { id: Schema.String, error: Schema.NullOr(Schema.String) })
])
