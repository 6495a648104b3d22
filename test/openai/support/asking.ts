/** Requests to a model in the two forms that there are, and what an endpoint sends for either. */
import { Effect, Layer, Schema, Stream } from "effect"
import type { AiError } from "effect/ai"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import type { Prompt, Response } from "effect/ai"
import { FetchHttpClient } from "effect/http"
import { OpenAiCompat } from "../../../src/openai/index.ts"
import * as Endpoint from "./Endpoint.ts"

export type Mode = "complete" | "streamed"

export const modes: ReadonlyArray<Mode> = ["complete", "streamed"]

export const kit = Toolkit.make(
  Tool.make("look", {
    description: "Looks there",
    parameters: Schema.Struct({ at: Schema.String }),
    success: Schema.String,
    failureMode: "return"
  }),
  Tool.make("wait", { failureMode: "return" })
)

export const toolkit = Effect.flatMap(
  kit.toHandlers({ look: ({ at }) => Effect.succeed(`at ${at}`), wait: () => Effect.void }),
  (handlers) => Effect.provideContext(kit, handlers)
)

export interface Options {
  readonly prompt?: Prompt.RawInput | undefined
  readonly toolChoice?: LanguageModel.ToolChoice<"look" | "wait"> | undefined
}

/** What a request came to, whichever form it had. */
export interface Answer {
  readonly text: string
  readonly reasoning: string
  readonly calls: ReadonlyArray<{ readonly id: string; readonly name: string; readonly params: unknown }>
  readonly finish: Response.FinishReason | undefined
  readonly usage: Response.Usage | undefined
  readonly id: string | undefined
}

export const ask = (
  mode: Mode,
  { prompt = "Hello", toolChoice = "auto" }: Options = {}
): Effect.Effect<Answer, AiError.AiError, LanguageModel.LanguageModel> =>
  Effect.gen(function*() {
    const options = {
      prompt,
      toolChoice,
      toolkit: yield* toolkit,
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    } as const
    return mode === "complete"
      ? answerOf((yield* LanguageModel.generateText(options)).content)
      : answerOf(Array.from(yield* Stream.runCollect(LanguageModel.streamText(options))))
  })

const answerOf = (parts: ReadonlyArray<Response.AnyPart>): Answer => {
  let text = ""
  let reasoning = ""
  const calls: Array<Answer["calls"][number]> = []
  let finish: Response.FinishPart | undefined
  let id: string | undefined
  for (const part of parts) {
    if (part.type === "text") text += part.text
    if (part.type === "text-delta") text += part.delta
    if (part.type === "reasoning") reasoning += part.text
    if (part.type === "reasoning-delta") reasoning += part.delta
    if (part.type === "tool-call") calls.push({ id: part.id, name: part.name, params: part.params })
    if (part.type === "finish") finish = part
    if (part.type === "response-metadata") id = part.id
  }
  return { text, reasoning, calls, finish: finish?.reason, usage: finish?.usage, id }
}

/** A message as an endpoint sends it. */
export interface Message {
  readonly content?: string
  readonly reasoning_content?: string
  readonly tool_calls?: ReadonlyArray<{
    readonly id?: string
    readonly function: { readonly name: string; readonly arguments: unknown }
  }>
}

export interface Said {
  readonly finish?: string | undefined
  readonly usage?: unknown
}

export const said = (mode: Mode, message: Message, options: Said = {}): Endpoint.Behaviour =>
  mode === "complete"
    ? Endpoint.json(completion(message, options))
    : Endpoint.pieces([...chunks(message, options), Endpoint.done])

export const completion = (message: Message, { finish = "stop", usage }: Said = {}) => ({
  id: "answer-1",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: null, ...message }, finish_reason: finish }],
  ...(usage === undefined ? {} : { usage })
})

/** A piece of a message as an event. */
export const chunk = (delta: unknown, finish: string | null = null): string =>
  Endpoint.event({ id: "answer-1", model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })

const split = (text: string, size: number): ReadonlyArray<string> =>
  Array.from({ length: Math.ceil(text.length / size) }, (_, at) => text.slice(at * size, (at + 1) * size))

export const chunks = (
  { content = "", reasoning_content = "", tool_calls = [] }: Message,
  { finish = "stop", usage }: Said = {}
): ReadonlyArray<string> => [
  chunk({ role: "assistant", content: "" }),
  ...split(reasoning_content, 3).map((piece) => chunk({ reasoning_content: piece })),
  ...split(content, 3).map((piece) => chunk({ content: piece })),
  ...tool_calls.flatMap(({ function: { arguments: args, name }, id }, index) => [
    chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] }),
    ...(typeof args === "string" ? split(args, 3) : [args]).map((piece) =>
      chunk({ tool_calls: [{ index, function: { arguments: piece } }] })
    )
  ]),
  chunk({}, finish),
  ...(usage === undefined ? [] : [Endpoint.event({ id: "answer-1", choices: [], usage })])
]

/** Runs an effect against an endpoint that answers so. */
export const against = <A, E>(
  behaviour: Endpoint.Behaviour | ReadonlyArray<Endpoint.Behaviour>,
  body: (endpoint: Endpoint.Endpoint) => Effect.Effect<A, E, LanguageModel.LanguageModel>,
  options: Partial<OpenAiCompat.Options> = {}
) =>
  Effect.gen(function*() {
    const endpoint = yield* Endpoint.make(...(typeof behaviour === "function" ? [behaviour] : behaviour))
    const layer = OpenAiCompat.layer({ baseUrl: endpoint.baseUrl, model: "m", ...options })
    return yield* Effect.provide(body(endpoint), Layer.provide(layer, FetchHttpClient.layer))
  }).pipe(Effect.scoped)
