/**
 * A language model behind an endpoint that speaks the chat completions protocol of OpenAI: OpenAI itself, and Ollama,
 * vLLM, LiteLLM, OpenRouter and many more.
 *
 * Complete and streamed answers, tools, structured output, images. Every request is bounded in time, silence and size, and
 * ends its connection when it is interrupted. The endpoint is asked again by itself only where it said when, and soon; all
 * other failures are the caller's to repeat, by `isRetryable` of the `AiError`.
 *
 * **Gotchas**
 *
 * A call with malformed arguments has the text in the place of the arguments: resolve calls with
 * `toolCallValidation: "deferred"` so that the tool refuses it. Other headers than the key, and proxies, belong to the
 * `HttpClient`.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import { IdGenerator } from "effect/ai/IdGenerator"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as OpenAiStructuredOutput from "effect/ai/OpenAiStructuredOutput"
import type * as Response from "effect/ai/Response"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Bounds from "../domain/Bounds.ts"
import * as Answer from "./Answer.ts"
import * as Failures from "./Failures.ts"
import * as Messages from "./Messages.ts"
import * as Wire from "./Wire.ts"

/**
 * @since 0.1.0
 * @category bounds
 */
export const bounds = Bounds.make("MODEL", {
  /** A whole request, however it goes, waits that the endpoint asked for included. */
  timeout: Bounds.duration("10 minutes"),
  /** Until a streamed answer begins, and between its pieces. */
  silence: Bounds.duration("2 minutes"),
  /** A complete answer in bytes; of a streamed one the text and the arguments in characters. */
  answerLimit: Bounds.bytes(10 * 1024 * 1024),
  /** How often a request is repeated that the endpoint put off (429, 503). */
  retries: Bounds.count(2, { zero: true }),
  /** The longest time to which an endpoint may put it off; for more the request fails. */
  retryAfterLimit: Bounds.duration("20 seconds", { zero: true })
})

/**
 * `baseUrl` is what stands before `/chat/completions`, as in `https://api.openai.com/v1`, and holds no secret.
 * `parameters` are further fields of the request, such as `temperature`. The bounds are those of `bounds`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Bounds.Options<Bounds.Of<typeof bounds>> {
  readonly baseUrl: string
  readonly model: string
  readonly apiKey?: Redacted.Redacted | undefined
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: Bounds.Of<typeof bounds> = bounds.defaults

/**
 * Reads `MODEL_BASE_URL`, `MODEL_NAME` and `MODEL_API_KEY`, which need not be there, and `MODEL_TIMEOUT`,
 * `MODEL_SILENCE` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<Options> = Config.map(
  Config.all({
    baseUrl: Config.String("MODEL_BASE_URL"),
    model: Config.String("MODEL_NAME"),
    apiKey: Config.map(Config.option(Config.Redacted("MODEL_API_KEY")), Option.getOrUndefined),
    bounds: bounds.config
  }),
  ({ bounds, ...endpoint }) => ({ ...endpoint, ...bounds })
)

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<LanguageModel.LanguageModel, never, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const url = `${options.baseUrl.replace(/\/+$/, "")}/chat/completions`
  const failures = Failures.make({ url, apiKey: options.apiKey })
  const { answerLimit, retries, retryAfterLimit, silence, timeout } = bounds.make(options)

  const tooLong = failures.lost(`The request took longer than ${Duration.format(timeout)}`)
  const tooSilent = failures.lost(`Nothing came for ${Duration.format(silence)}`)
  const tooLarge = failures.malformed(`The answer is larger than ${answerLimit}`)

  /** At most so much of a body; `undefined` where there is more. */
  const text = (
    response: HttpClientResponse,
    limit: number
  ): Effect.Effect<string | undefined, AiError.AiErrorReason> =>
    Effect.suspend(() => {
      let bytes = 0
      return response.stream.pipe(
        Stream.mapError(failures.broken),
        Stream.takeWhile((chunk) => (bytes += chunk.length) <= limit),
        Stream.decodeText(),
        Stream.mkString,
        Effect.map((text) => bytes > limit ? undefined : text)
      )
    })

  /** `within` bounds the wait for the answer to begin. */
  const attempt = Effect.fnUntraced(function*(
    body: Readonly<Record<string, unknown>>,
    within: Duration.Duration
  ): Effect.fn.Return<HttpClientResponse, Failures.Failure> {
    const request = yield* HttpClientRequest.post(url).pipe(
      options.apiKey === undefined ? (request) => request : HttpClientRequest.bearerToken(options.apiKey),
      HttpClientRequest.bodyJson(body),
      Effect.mapError(() => ({
        reason: new AiError.InvalidUserInputError({ description: "The request cannot be written as JSON" })
      }))
    )
    const response = yield* client.execute(request).pipe(
      // The client's own span would keep the request, with its key; that of the model is there anyway.
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.mapError((error) => ({ reason: failures.broken(error) })),
      Effect.timeoutOrElse({ duration: within, orElse: () => Effect.fail({ reason: tooSilent }) })
    )
    if (response.status >= 200 && response.status < 300) return response
    const said = yield* Effect.orElseSucceed(Effect.timeout(text(response, refusalLimit), silence), () => undefined)
    return yield* Effect.flatMap(failures.refused(response.status, response.headers, said ?? ""), Effect.fail)
  })

  /** The answer of the endpoint once it accepts the request. */
  const send = Effect.fnUntraced(function*(
    request: LanguageModel.ProviderOptions,
    form: Readonly<Record<string, unknown>>,
    within: Duration.Duration
  ): Effect.fn.Return<HttpClientResponse, AiError.AiErrorReason> {
    const body = {
      model: options.model,
      ...(yield* Effect.fromResult(Messages.body(request))),
      ...form,
      ...options.parameters
    }
    const again = (left: number): Effect.Effect<HttpClientResponse, AiError.AiErrorReason> =>
      Effect.catch(
        attempt(body, within),
        ({ reason, retryAfter }) =>
          left > 0 && retryAfter !== undefined && Duration.isLessThanOrEqualTo(retryAfter, retryAfterLimit)
            ? Effect.andThen(Effect.sleep(retryAfter), again(left - 1))
            : Effect.fail(reason)
      )
    return yield* again(retries)
  })

  const decoded = <A>(decode: (text: string) => Effect.Effect<A, Schema.SchemaError>) => (text: string) =>
    Effect.mapError(decode(text), () => failures.malformed(`This is not of the protocol: ${text.slice(0, 200)}`))

  const completion = decoded(Schema.decodeEffect(Wire.Completion))
  const chunk = decoded(Schema.decodeEffect(Wire.Chunk))

  const generate = Effect.fnUntraced(function*(
    request: LanguageModel.ProviderOptions
  ): Effect.fn.Return<Array<Response.PartEncoded>, AiError.AiErrorReason, IdGenerator> {
    const id = yield* (yield* IdGenerator).generateId()
    const response = yield* send(request, {}, Duration.infinity)
    const said = yield* text(response, answerLimit)
    if (said === undefined) return yield* tooLarge
    const answer = yield* completion(said)
    if (answer.error !== undefined && answer.error !== null) return yield* failures.problem(answer.error)
    const parts = Answer.complete(answer, id)
    return parts ?? (yield* failures.malformed("The answer holds no message"))
  })

  const stream = Effect.fnUntraced(function*(
    request: LanguageModel.ProviderOptions
  ): Effect.fn.Return<
    Stream.Stream<Response.StreamPartEncoded, AiError.AiErrorReason>,
    AiError.AiErrorReason,
    IdGenerator
  > {
    const answer = Answer.make(yield* (yield* IdGenerator).generateId())
    const form = { stream: true, stream_options: { include_usage: true } }
    const response = yield* send(request, form, silence)

    const take = (data: string): Effect.Effect<ReadonlyArray<Response.StreamPartEncoded>, AiError.AiErrorReason> =>
      Effect.flatMap(chunk(data), (chunk) => {
        if (chunk.error !== undefined && chunk.error !== null) return Effect.fail(failures.problem(chunk.error))
        const parts = answer.take(chunk)
        return answer.size() > answerLimit ? Effect.fail(tooLarge) : Effect.succeed(parts)
      })

    let isDone = false
    const end = Stream.suspend(() =>
      isDone || answer.isFinished()
        ? Stream.fromIterable(answer.end())
        : Stream.fail(failures.lost("The answer ended before it was complete"))
    )
    return response.stream.pipe(
      Stream.mapError(failures.broken),
      Stream.timeoutOrElse({ duration: silence, orElse: () => Stream.fail(tooSilent) }),
      Stream.decodeText(),
      Stream.mapEffect(events(answerLimit, tooLarge)),
      Stream.flattenIterable,
      Stream.takeUntil((data) => isDone = data === "[DONE]", { excludeLast: true }),
      Stream.mapEffect(take),
      Stream.flattenIterable,
      Stream.concat(end)
    )
  })

  const named = (method: string) => (reason: AiError.AiErrorReason): AiError.AiError =>
    AiError.make({ module: "OpenAiCompat", method, reason })

  const overdue = Effect.andThen(Effect.sleep(timeout), Effect.fail(tooLong))

  return yield* LanguageModel.make({
    generateText: (request) =>
      generate(request).pipe(
        Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(tooLong) }),
        Effect.mapError(named("generateText"))
      ),
    streamText: (request) =>
      Stream.unwrap(stream(request)).pipe(
        Stream.interruptWhen(overdue),
        Stream.mapError(named("streamText"))
      ),
    codecTransformer: OpenAiStructuredOutput.toCodecOpenAI
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<LanguageModel.LanguageModel, never, HttpClient.HttpClient> =>
  Layer.effect(LanguageModel.LanguageModel, make(options))

/**
 * The model that the configuration names, as `config` reads it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError, HttpClient.HttpClient> = Layer
  .effect(LanguageModel.LanguageModel, Effect.flatMap(config, make))

/** What is read of a refusal. */
const refusalLimit = 64 * 1024

/** The data of the events in a text that comes in pieces. What an endpoint says of reconnecting is not for us. */
const events = (
  limit: number,
  tooLarge: AiError.AiErrorReason
): (text: string) => Effect.Effect<ReadonlyArray<string>, AiError.AiErrorReason> => {
  let found: Array<string> = []
  const parser = Sse.makeParser((event) => {
    if (event._tag === "Event") found.push(event.data)
  }, { maxEventSize: limit })
  return (text) =>
    Effect.suspend(() => {
      const error = parser.feed(text)
      const data = found
      found = []
      return error === undefined ? Effect.succeed(data) : Effect.fail(tooLarge)
    })
}
