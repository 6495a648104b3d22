/**
 * A model that says what a test says: each request is answered by the next step of a script, complete or as a stream.
 *
 * A step sees the whole request, so that it can assert on it or choose by it. Ids are the same in every run. A request
 * after the last step is a defect, which says so: a loop asked more often than the script expects.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

/**
 * What the model is asked: the prompt, the tools, and which of them it may choose.
 *
 * @since 0.1.0
 * @category models
 */
export type Request = LanguageModel.ProviderOptions

/**
 * A call of a tool with arguments as a model writes them, which need not fit the tool.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly name: string
  readonly args: unknown
}

/**
 * What the model answers: a text, then calls. It pauses before each piece for `every`, where that is given. With `after` it
 * does not finish after the last piece, but does that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reply {
  readonly text?: string | undefined
  readonly calls?: ReadonlyArray<Call> | undefined
  readonly finish?: Response.FinishReason | undefined
  readonly every?: Duration.Input | undefined
  readonly after?: Effect.Effect<never, AiError.AiError> | undefined
}

/**
 * One answer of the model. What it throws is a defect of the request.
 *
 * @since 0.1.0
 * @category models
 */
export type Step = (request: Request) => Effect.Effect<Reply, AiError.AiError>

/**
 * Whether requests are kept for a test to look at, as they are unless said otherwise. What serves for long keeps none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Keeping {
  readonly keepRequests?: boolean | undefined
}

/**
 * What the model was asked.
 *
 * @since 0.1.0
 * @category services
 */
export class ScriptedModel extends Context.Service<ScriptedModel, {
  /** All requests so far, in order; none where they are not kept. */
  readonly requests: () => ReadonlyArray<Request>
  /** Completes when so many requests have come, counted from the beginning. */
  readonly untilAsked: (requests: number) => Effect.Effect<void>
}>()("chat-workspace/testing/ScriptedModel") {}

/**
 * Answers this.
 *
 * @since 0.1.0
 * @category steps
 */
export const reply = (reply: Reply): Step => () => Effect.succeed(reply)

/**
 * Says a text, in pieces of a word where it is streamed.
 *
 * @since 0.1.0
 * @category steps
 */
export const say = (text: string): Step => reply({ text })

/**
 * Calls a tool.
 *
 * @since 0.1.0
 * @category steps
 */
export const call = (name: string, args: unknown = {}): Step => reply({ calls: [{ name, args }] })

/**
 * Calls several tools at once.
 *
 * @since 0.1.0
 * @category steps
 */
export const calls = (...calls: ReadonlyArray<readonly [name: string, args: unknown]>): Step =>
  reply({ calls: calls.map(([name, args]) => ({ name, args })) })

/**
 * Fails before it has said anything.
 *
 * @since 0.1.0
 * @category steps
 */
export const fail = (reason: AiError.AiErrorReason): Step => () => failure(reason)

/**
 * Never answers.
 *
 * @since 0.1.0
 * @category steps
 */
export const hang: Step = () => Effect.never

/**
 * Looks at the request and chooses what to do; also to assert on it.
 *
 * @since 0.1.0
 * @category steps
 */
export const choose = (choice: (request: Request) => Step): Step => (request) => choice(request)(request)

/**
 * As the step, with a pause before each piece.
 *
 * @since 0.1.0
 * @category steps
 */
export const slowly = (step: Step, every: Duration.Input): Step => (request) =>
  Effect.map(step(request), (reply) => ({ ...reply, every }))

/**
 * As the step, but fails where it would finish: what was streamed by then was said.
 *
 * @since 0.1.0
 * @category steps
 */
export const cut = (step: Step, reason: AiError.AiErrorReason): Step => (request) =>
  Effect.map(step(request), (reply) => ({ ...reply, after: failure(reason) }))

/**
 * As the step, but says no more where it would finish.
 *
 * @since 0.1.0
 * @category steps
 */
export const stuck = (step: Step): Step => (request) =>
  Effect.map(step(request), (reply) => ({ ...reply, after: Effect.never }))

/**
 * What the tools had answered last when this was asked: nothing, unless a message with results ends the prompt.
 *
 * @since 0.1.0
 * @category getters
 */
export const results = ({ prompt }: Pick<Request, "prompt">): ReadonlyArray<Prompt.ToolResultPart> => {
  const last = prompt.content.at(-1)
  return last?.role === "tool" ? last.content.filter((part) => part.type === "tool-result") : []
}

const failure = (reason: AiError.AiErrorReason): Effect.Effect<never, AiError.AiError> =>
  Effect.fail(AiError.make({ module: "ScriptedModel", method: "request", reason }))

const make = Effect.fnUntraced(function*(stepOf: (position: number) => Step, { keepRequests = true }: Keeping = {}) {
  const requests: Array<Request> = []
  let count = 0
  /** Completed by the next request. */
  let asked = Deferred.makeUnsafe<void>()

  /** The answer to a request, with its number, of which the ids are made. */
  const answer = (request: Request): Effect.Effect<readonly [Reply, number], AiError.AiError> =>
    Effect.suspend(() => {
      const position = ++count
      if (keepRequests) requests.push(request)
      const waiting = asked
      asked = Deferred.makeUnsafe()
      Deferred.doneUnsafe(waiting, Effect.void)
      return Effect.map(stepOf(position - 1)(request), (reply) => [reply, position] as const)
    })

  const control = ScriptedModel.of({
    requests: () => requests.slice(),
    untilAsked: (requests) =>
      Effect.suspend(() =>
        count >= requests ? Effect.void : Effect.andThen(Deferred.await(asked), control.untilAsked(requests))
      )
  })

  const model = yield* LanguageModel.make({
    generateText: Effect.fnUntraced(function*(request) {
      const [reply, position] = yield* answer(request)
      const parts = complete(reply, position)
      if (reply.every !== undefined) {
        yield* Effect.sleep(Duration.times(Duration.fromInputUnsafe(reply.every), streamed(reply, position).length))
      }
      return reply.after === undefined ? [...parts, finish(reply)] : yield* reply.after
    }),
    streamText: (request) =>
      Stream.unwrap(Effect.map(answer(request), ([reply, position]) => {
        const { every } = reply
        const parts = Stream.fromIterable(streamed(reply, position))
        return Stream.concat(
          every === undefined ? parts : Stream.mapEffect(parts, (part) => Effect.as(Effect.sleep(every), part)),
          reply.after === undefined ? Stream.succeed(finish(reply)) : Stream.fromEffect(reply.after)
        )
      }))
  })

  return Context.make(LanguageModel.LanguageModel, model).pipe(Context.add(ScriptedModel, control))
})

/**
 * The model that plays these steps, one for each request.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (script: Iterable<Step>): Layer.Layer<LanguageModel.LanguageModel | ScriptedModel> => {
  const steps = Array.from(script)
  return Layer.effectContext(make((position) => steps[position] ?? over(steps.length)))
}

/**
 * The model that answers every request by the same step, which has to choose.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerChoosing = (
  choice: (request: Request) => Step,
  keeping?: Keeping
): Layer.Layer<LanguageModel.LanguageModel | ScriptedModel> => Layer.effectContext(make(() => choose(choice), keeping))

const over = (steps: number): Step => () =>
  Effect.die(new Error(`The script of the model has ${steps} steps, and it was asked once more`))

const callsOf = ({ calls }: Reply, position: number): ReadonlyArray<Response.ToolCallPartEncoded> =>
  (calls ?? []).map(({ args, name }, index) => ({
    type: "tool-call",
    id: `call-${position}-${index + 1}`,
    name,
    params: args
  }))

const complete = (reply: Reply, position: number): ReadonlyArray<Response.PartEncoded> => [
  ...(reply.text === undefined ? [] : [{ type: "text" as const, text: reply.text }]),
  ...callsOf(reply, position)
]

const streamed = (reply: Reply, position: number): ReadonlyArray<Response.StreamPartEncoded> => {
  const id = `text-${position}`
  const text: ReadonlyArray<Response.StreamPartEncoded> = reply.text === undefined ? [] : [
    { type: "text-start", id },
    ...reply.text.split(/(?<= )/).map((delta) => ({ type: "text-delta" as const, id, delta })),
    { type: "text-end", id }
  ]
  return [...text, ...callsOf(reply, position)]
}

const finish = (reply: Reply): Response.FinishPartEncoded => ({
  type: "finish",
  reason: reply.finish ?? ((reply.calls ?? []).length > 0 ? "tool-calls" : "stop"),
  usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
})
