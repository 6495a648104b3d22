/**
 * Your model loop is the Vercel AI SDK: it gets the tools of a chat as tools of its own. Interrupting `answer` aborts the
 * loop, and with it a command that runs.
 */
import { dynamicTool, generateText, isStepCount, jsonSchema } from "ai"
import type { LanguageModel, ToolSet } from "ai"
import type { Ids } from "chat-workspace/domain"
import { ChatTools } from "chat-workspace/tool"
import type { PlainTools } from "chat-workspace/tool"
import { Data, Effect } from "effect"

export class ModelError extends Data.TaggedError("ModelError")<{ readonly cause: unknown }> {}

/** A failed call is a result that the model reads, so `execute` has nothing to catch. */
export const toolSet = (tools: ReadonlyArray<PlainTools.PlainTool>): ToolSet =>
  Object.fromEntries(tools.map((tool) => [
    tool.name,
    dynamicTool({
      description: tool.description,
      inputSchema: jsonSchema(tool.jsonSchema),
      execute: (args, { abortSignal }) => tool.execute(args, { signal: abortSignal })
    })
  ]))

/** One turn: the model works in the chat's workspace until it has an answer. */
export const answer = Effect.fn("answer")(function*(options: {
  readonly chatId: Ids.ChatId
  readonly owner: Ids.OwnerId
  readonly model: LanguageModel
  readonly prompt: string
}) {
  const { plain } = yield* (yield* ChatTools.ChatTools).open(options)
  const { text } = yield* Effect.tryPromise({
    try: (abortSignal) =>
      generateText({
        model: options.model,
        tools: toolSet(plain),
        stopWhen: isStepCount(20),
        prompt: options.prompt,
        abortSignal
      }),
    catch: (cause) => new ModelError({ cause })
  })
  return text
})
