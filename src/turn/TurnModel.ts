/**
 * One request to the model: what it says is told as it comes, and the whole of it is a message of the history.
 *
 * Calls of tools are left as they are, whether there is such a tool or not and whatever their arguments, unless nobody
 * could write these down: to answer them is not this module's concern.
 *
 * @since 0.1.0
 */
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Nesting from "../domain/Nesting.ts"
import type { TurnMessage } from "../domain/Turn.ts"
import * as TurnClosing from "../store/TurnClosing.ts"
import type { ChatToolkit } from "../tool/ToolCalls.ts"
import type { Call } from "./TurnCalls.ts"
import { TurnLimits } from "./TurnLimits.ts"

/**
 * What the model came to. One without calls is the end of the turn.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly message: TurnMessage
  readonly calls: ReadonlyArray<Call>
}

/**
 * The model failed, or said nothing for as long as it may.
 *
 * @since 0.1.0
 * @category errors
 */
export class ModelFailed extends Data.TaggedError("ModelFailed")<{
  readonly reason: "model" | "silence"
  readonly cause?: AiError.AiError | undefined
}> {}

/**
 * @since 0.1.0
 * @category models
 */
export type TurnModel = (request: {
  readonly system: string
  readonly history: ReadonlyArray<TurnMessage>
  readonly toolkit: ChatToolkit
  readonly onText: (delta: string) => void
}) => Effect.Effect<Answer, ModelFailed>

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<TurnModel, never, LanguageModel.LanguageModel> = Effect.gen(function*() {
  const model = yield* LanguageModel.LanguageModel
  const { silence } = yield* TurnLimits
  const clock = yield* Clock.Clock

  return Effect.fnUntraced(function*({ history, onText, system, toolkit }) {
    const parts: Array<Response.AnyPart> = []
    const unique = uniqueIds()
    let heardAt = clock.currentTimeMillisUnsafe()

    const prompt: ReadonlyArray<TurnMessage> = system === ""
      ? history
      : [{ role: "system", content: system }, ...history]

    const said = Stream.runForEach(
      model.streamText({ prompt, toolkit, disableToolCallResolution: true, toolCallValidation: "deferred" }),
      (part) =>
        Effect.sync(() => {
          heardAt = clock.currentTimeMillisUnsafe()
          if (part.type === "text-delta" && part.delta !== "") onText(part.delta)
          parts.push(
            part.type === "tool-call" && !part.providerExecuted
              ? { ...part, id: unique(part.id), params: Nesting.isWithin(part.params) ? part.params : tooDeep }
              : part
          )
        })
    )

    const silent = Effect.gen(function*() {
      while (true) {
        const left = heardAt + Duration.toMillis(silence) - clock.currentTimeMillisUnsafe()
        if (left <= 0) return yield* new ModelFailed({ reason: "silence" })
        yield* Effect.sleep(left)
      }
    })

    // A model that ignores its interruption holds up nobody: what is waited for is only its fiber.
    yield* Effect.acquireUseRelease(
      Effect.forkDetach(said, { startImmediately: true }),
      (fiber) =>
        Effect.raceFirst(
          Effect.mapError(Fiber.join(fiber), (cause) => new ModelFailed({ reason: "model", cause })),
          silent
        ),
      (fiber) => Effect.sync(() => fiber.interruptUnsafe())
    )
    return yield* answerOf(parts)
  })
})

const encode = Schema.encodeEffect(Prompt.Message)

const answerOf = Effect.fnUntraced(function*(parts: ReadonlyArray<Response.AnyPart>) {
  const [said] = Prompt.fromResponseParts(parts).content
  const message = said?.role === "assistant" ? withoutBlanks(said) : undefined
  const calls = (message?.content ?? []).flatMap((part) =>
    part.type === "tool-call" && !part.providerExecuted ? [part] : []
  )
  const isAnswer = message?.content.some(({ type }) => type !== "reasoning") ?? false
  const answer: Answer = {
    message: message === undefined || !isAnswer
      ? TurnClosing.lastWord({ status: "done", reason: null })
      : yield* Effect.orDie(encode(message)),
    calls
  }
  return answer
})

/** Some providers refuse a text that says nothing. */
const withoutBlanks = (message: Prompt.AssistantMessage): Prompt.AssistantMessage =>
  Prompt.assistantMessage({
    content: message.content.filter((part) => part.type !== "text" || part.text !== ""),
    options: message.options
  })

/** A text, which no tool takes for its arguments: neither a history nor a provider could be told what was there. */
const tooDeep = `(arguments that nest deeper than ${Nesting.limit} levels)`

/** Results are found by the ids of their calls, which not every model makes with care. */
const uniqueIds = () => {
  const ids = new Set<string>()
  return (id: string): string => {
    const wanted = id === "" ? "call" : id
    let free = wanted
    for (let n = 2; ids.has(free); n++) free = `${wanted}-${n}`
    ids.add(free)
    return free
  }
}
