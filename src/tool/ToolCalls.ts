/**
 * What stands around every call of a tool: one span without arguments or output, the metrics, and an answer in one shape
 * also where the arguments are wrong or the tool has a defect.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import type * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as ModelText from "./ModelText.ts"
import { ToolFailure } from "./ToolFailure.ts"
import * as ToolMetrics from "./ToolMetrics.ts"

/**
 * A tool of this folder: a failure is a result, in the shape of `ToolFailure`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChatTool extends
  Tool.Tool<string, {
    readonly parameters: Schema.Codec<unknown, unknown>
    readonly success: Schema.Codec<unknown, unknown>
    readonly failure: typeof ToolFailure
    readonly failureMode: "return"
  }>
{}

/**
 * The tools of a chat, each with its handler.
 *
 * @since 0.1.0
 * @category models
 */
export type ChatToolkit = Toolkit.WithHandler<Record<string, ChatTool>>

/**
 * The tools given, with their handlers from a context. Where their names are not ours, `label` is what their calls are
 * counted under: the metrics have closed label sets.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  tools: ReadonlyArray<ChatTool>,
  handlers: Context.Context<never>,
  options?: { readonly label?: string | undefined }
): Effect.Effect<ChatToolkit> => {
  // Which tools there are is decided at run time, so that no type says whose handlers the context holds.
  const provided = handlers as Context.Context<Tool.Handler<string>>
  return Effect.map(Effect.provideContext(Toolkit.make(...tools), provided), observed(options?.label))
}

/**
 * The tools of several kits in one. Of two tools with the same name the one of the earlier kit is there.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (first: ChatToolkit, ...others: ReadonlyArray<ChatToolkit>): ChatToolkit => {
  const tools = new Map<string, { readonly tool: ChatTool; readonly kit: ChatToolkit }>()
  for (const kit of [first, ...others]) {
    for (const [name, tool] of Object.entries(kit.tools)) {
      if (!tools.has(name)) tools.set(name, { tool, kit })
    }
  }
  return {
    tools: Object.fromEntries(Array.from(tools, ([name, { tool }]) => [name, tool])),
    handle: (name, ...call) => (tools.get(name)?.kit ?? first).handle(name, ...call)
  }
}

const observed = (label: string | undefined) => (toolkit: ChatToolkit): ChatToolkit => ({
  tools: toolkit.tools,
  handle: (name, ...call) => {
    const answers = hidden(toolkit.handle(name, ...call))
    return Object.hasOwn(toolkit.tools, name)
      ? Effect.succeed(
        Stream.withSpan(answered(name, label ?? name, answers), "Tool.call", { attributes: { "tool.name": name } })
      )
      // There is no such tool, which is all that this says.
      : Effect.as(Stream.runDrain(answers), Stream.empty)
  }
})

type Answer = Tool.HandlerResult<ChatTool>

/** A toolkit writes the arguments on the span it is called in; a span that is not ours to write on takes none. */
const hidden = <E>(handling: Effect.Effect<Stream.Stream<Answer, E>, E>): Stream.Stream<Answer, E> =>
  Stream.unwrap(
    Effect.flatMap(
      Effect.option(Effect.currentSpan),
      (current) =>
        current._tag === "None" ? handling : Effect.withParentSpan(handling, Tracer.externalSpan(current.value))
    )
  )

const answered = <E>(name: string, label: string, answers: Stream.Stream<Answer, E>): Stream.Stream<Answer> =>
  Stream.unwrap(Effect.map(Clock.currentTimeMillis, (started) => {
    let outcome: ToolMetrics.Outcome = "interrupted"
    return answers.pipe(
      Stream.map((answer) => answer.failureOrigin === "parameters" ? failed(wrongArguments(answer.result)) : answer),
      Stream.catchCause((cause) =>
        Stream.fromEffect(
          Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.as(logged(name, cause), failed(broken))
        )
      ),
      Stream.map((answer) => {
        if (!answer.preliminary) outcome = answer.isFailure ? codeOf(answer.result) : "ok"
        return answer
      }),
      Stream.onExit(() =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Effect.andThen(
            Metric.update(ToolMetrics.seconds(label), (now - started) / 1000),
            Metric.update(ToolMetrics.call(label, outcome), 1)
          ))
      )
    )
  }))

/** As a failure that a handler declared, whose content every consumer passes on. */
const failed = (failure: ToolFailure): Answer => ({
  result: failure,
  encodedResult: failure,
  isFailure: true,
  failureOrigin: "handler",
  preliminary: false
})

const wrongArguments = (error: unknown): ToolFailure => ({
  error: "invalid_arguments",
  message: `The arguments do not fit the tool: ${
    AiError.isAiError(error) && error.reason._tag === "ToolParameterValidationError"
      ? ModelText.shortened(error.reason.description, 1000)
      : "they could not be read"
  }. Correct the call.`,
  retry: "never"
})

const broken: ToolFailure = {
  error: "internal",
  message:
    "The tool failed inside the server, which noted why. It may have had its effect: look before you repeat the call, " +
    "and tell the user if it fails again.",
  retry: "never"
}

const logged = (tool: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logError("A tool failed", cause), { "tool.name": tool })

const isFailure = Schema.is(ToolFailure)

const codeOf = (result: unknown): ToolMetrics.Outcome => isFailure(result) ? result.error : "internal"
