/** A turn in its simplest form: the model is asked, its calls are made, and again until it calls nothing more. */
import { Effect, Stream } from "effect"
import { LanguageModel, Prompt } from "effect/ai"
import type { AiError } from "effect/ai"
import type { ToolCalls } from "../../../src/tool/index.ts"

/** A call that the model made, and what it read. */
export interface Exchange {
  readonly name: string
  readonly args: unknown
  readonly isFailure: boolean
  readonly result: unknown
}

export interface Conversation {
  readonly exchanges: ReadonlyArray<Exchange>
  readonly lastWords: string
  /** What was said in all, for another message behind it. */
  readonly prompt: Prompt.Prompt
}

export const conversation = Effect.fnUntraced(function*(
  toolkit: ToolCalls.ChatToolkit,
  steps = 12,
  asked: Prompt.RawInput = "Do it."
): Effect.fn.Return<Conversation, AiError.AiError, LanguageModel.LanguageModel> {
  const exchanges: Array<Exchange> = []
  let prompt = Prompt.make(asked)
  for (let step = 0; step < steps; step++) {
    const { content, text, toolCalls } = yield* LanguageModel.generateText({
      prompt,
      toolkit,
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    })
    if (toolCalls.length === 0) return { exchanges, lastWords: text, prompt }
    const results: Array<Prompt.ToolResultPart> = []
    for (const { id, name, params } of toolCalls) {
      const answers = yield* Stream.runCollect(Stream.unwrap(toolkit.handle(name, params))).pipe(Effect.orDie)
      const last = answers.at(-1)
      // As it goes over a wire.
      const result: unknown = JSON.parse(JSON.stringify(last?.encodedResult))
      const isFailure = last?.isFailure === true
      exchanges.push({ name, args: params, isFailure, result })
      results.push(Prompt.makePart("tool-result", { id, name, isFailure, result, providerExecuted: false }))
    }
    prompt = Prompt.fromMessages([
      ...prompt.content,
      ...Prompt.fromResponseParts(content).content,
      Prompt.makeMessage("tool", { content: results })
    ])
  }
  return { exchanges, prompt, lastWords: `The conversation did not end within ${steps} steps.` }
})
