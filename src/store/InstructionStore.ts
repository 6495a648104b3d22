/**
 * What was last read of the instruction files of a chat's workspace, and from which agent.
 *
 * One row a chat: what was read from another agent takes its place. That there were no files is an answer too, and kept
 * like any other.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { StoreError } from "../domain/Errors.ts"
import type { AgentId, ChatId } from "../domain/Ids.ts"

/**
 * A file as the model is to see it: `path` within the workspace folder, the content or its beginning, and the bytes that
 * the whole file had.
 *
 * @since 0.1.0
 * @category models
 */
export const InstructionFile = Schema.Struct({
  path: Schema.String,
  content: Schema.String,
  size: Schema.Natural,
  truncated: Schema.Boolean
})

/**
 * @since 0.1.0
 * @category models
 */
export type InstructionFile = typeof InstructionFile.Type

/**
 * @since 0.1.0
 * @category services
 */
export class InstructionStore extends Context.Service<InstructionStore, {
  /** What was read for a chat, if it was read from this agent. */
  readonly get: (
    chatId: ChatId,
    agentId: AgentId
  ) => Effect.Effect<Option.Option<ReadonlyArray<InstructionFile>>, StoreError>
  /** Takes the place of what was read for the chat before, from whichever agent. */
  readonly put: (
    chatId: ChatId,
    agentId: AgentId,
    files: ReadonlyArray<InstructionFile>
  ) => Effect.Effect<void, StoreError>
}>()("chat-workspace/store/InstructionStore") {}

const makeMemory = Effect.sync(() => {
  const rows = new Map<ChatId, { readonly agentId: AgentId; readonly files: ReadonlyArray<InstructionFile> }>()
  return InstructionStore.of({
    get: (chatId, agentId) =>
      Effect.sync(() => {
        const row = rows.get(chatId)
        return row?.agentId === agentId ? Option.some(row.files) : Option.none()
      }),
    put: (chatId, agentId, files) =>
      Effect.sync(() => {
        rows.set(chatId, { agentId, files })
      })
  })
})

/**
 * Keeps the rows in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<InstructionStore> = Layer.effect(InstructionStore, makeMemory)
