import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  ConfigProvider,
  Deferred,
  Duration,
  Effect,
  Fiber,
  Layer,
  Logger,
  Redacted,
  Schema,
  Stream,
  Tracer
} from "effect"
import { LanguageModel, Prompt, Toolkit } from "effect/ai"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { OpenAiCompat } from "../../src/openai/index.ts"
import { against, ask, chunk, chunks, completion, modes, said, toolkit } from "./support/asking.ts"
import * as Endpoint from "./support/Endpoint.ts"

const { done, event, json, pieces, silent, text } = Endpoint

const look = (args: unknown, id = "c1") => ({ id, function: { name: "look", arguments: args } })

describe.each(modes)("a %s answer", (mode) => {
  it.live("is the text of the endpoint, with its id, usage and how it finished", () =>
    against(
      said(mode, { content: "Grüße 👋" }, {
        usage: {
          prompt_tokens: 10,
          completion_tokens: 7,
          prompt_tokens_details: { cached_tokens: 4 },
          completion_tokens_details: { reasoning_tokens: 2 }
        }
      }),
      () =>
        Effect.gen(function*() {
          const answer = yield* ask(mode)
          assert.deepInclude(answer, { text: "Grüße 👋", finish: "stop", id: "answer-1", calls: [] })
          assert.deepInclude(answer.usage?.inputTokens, { total: 10, cacheRead: 4, uncached: 6 })
          assert.deepInclude(answer.usage?.outputTokens, { total: 7, reasoning: 2, text: 5 })
        })
    ))

  it.live("has the thoughts apart from the text", () =>
    against(said(mode, { reasoning_content: "Hmm. Yes.", content: "Yes." }), () =>
      Effect.gen(function*() {
        assert.deepInclude(yield* ask(mode), { reasoning: "Hmm. Yes.", text: "Yes." })
      })))

  it.live("calls several tools at once", () =>
    against(
      said(mode, {
        content: "Let me look.",
        tool_calls: [
          look(JSON.stringify({ at: "a" })),
          { id: "c2", function: { name: "wait", arguments: "" } },
          look(JSON.stringify({ at: "ß" }), "c3")
        ]
      }, { finish: "tool_calls" }),
      () =>
        Effect.gen(function*() {
          assert.deepInclude(yield* ask(mode), {
            text: "Let me look.",
            finish: "tool-calls",
            calls: [
              { id: "c1", name: "look", params: { at: "a" } },
              { id: "c2", name: "wait", params: {} },
              { id: "c3", name: "look", params: { at: "ß" } }
            ]
          })
        })
    ))

  it.live("calls tools under ids of our own where the endpoint gives none, or one twice", () =>
    against(
      said(mode, { tool_calls: [{ function: { name: "wait", arguments: {} } }, look({ at: "a" }), look({ at: "b" })] }),
      () =>
        Effect.gen(function*() {
          const { calls, finish } = yield* ask(mode)
          assert.deepStrictEqual(calls.map(({ params }) => params), [{}, { at: "a" }, { at: "b" }])
          assert.strictEqual(new Set(calls.map(({ id }) => id)).size, 3)
          assert.strictEqual(finish, "tool-calls")
        })
    ))

  it.live("with malformed arguments is a call that the tool refuses", () =>
    against(said(mode, { tool_calls: [look("{\"at\": \"a")] }, { finish: "length" }), () =>
      Effect.gen(function*() {
        const { calls: [call], finish } = yield* ask(mode)
        assert.deepStrictEqual([call?.params, finish], ["{\"at\": \"a", "length"])
        const kit = yield* toolkit
        const results = yield* Stream.runCollect(Stream.unwrap(kit.handle("look", call?.params as never)))
        assert.deepInclude(results.at(-1), { isFailure: true, failureOrigin: "parameters" })
      })))

  it.live("that would change prototypes is a call that the tool refuses", () =>
    against(said(mode, { tool_calls: [look("{\"__proto__\": {\"at\": \"a\"}}")] }), () =>
      Effect.gen(function*() {
        const { calls } = yield* ask(mode)
        assert.isString(calls[0]?.params)
      })))

  it.live.each([["length", "length"], ["content_filter", "content-filter"], ["function_call", "tool-calls"], [
    "eos",
    "other"
  ]])(
    "that finished by %s finished by %s",
    ([theirs, ours]) =>
      against(said(mode, { content: "x" }, { finish: theirs }), () =>
        Effect.gen(function*() {
          assert.strictEqual((yield* ask(mode)).finish, ours)
        }))
  )

  it.live("is asked for with the prompt, the tools and the key", () =>
    against(said(mode, { content: "x" }), ({ requests }) =>
      Effect.gen(function*() {
        yield* ask(mode, {
          prompt: [
            { role: "system", content: "Be brief." },
            { role: "user", content: "Look!" },
            {
              role: "assistant",
              content: [
                { type: "reasoning", text: "Hmm." },
                { type: "text", text: "I look." },
                { type: "tool-call", id: "c1", name: "look", params: { at: "a" } },
                { type: "tool-call", id: "c2", name: "look", params: "{ broken" }
              ]
            },
            {
              role: "tool",
              content: [
                { type: "tool-result", id: "c1", name: "look", isFailure: false, result: { seen: true } },
                { type: "tool-result", id: "c2", name: "look", isFailure: true, result: "No." }
              ]
            },
            { role: "assistant", content: [{ type: "reasoning", text: "Only a thought." }] },
            {
              role: "user",
              content: [
                { type: "text", text: "And this?" },
                { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2, 3]) }
              ]
            }
          ]
        })
        const [request] = requests
        assert.strictEqual(request?.path, "/v1/chat/completions")
        assert.strictEqual(request?.headers.authorization, "Bearer secret-key")
        assert.deepInclude(request?.body, { model: "m", temperature: 0.5, tool_choice: "auto" })
        assert.strictEqual(request?.body["stream"], mode === "streamed" ? true : undefined)
        assert.deepStrictEqual(request?.body["messages"], [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Look!" },
          {
            role: "assistant",
            content: "I look.",
            tool_calls: [
              { id: "c1", type: "function", function: { name: "look", arguments: "{\"at\":\"a\"}" } },
              { id: "c2", type: "function", function: { name: "look", arguments: "{\"malformed\":\"{ broken\"}" } }
            ]
          },
          { role: "tool", tool_call_id: "c1", content: "{\"seen\":true}" },
          { role: "tool", tool_call_id: "c2", content: "No." },
          {
            role: "user",
            content: [
              { type: "text", text: "And this?" },
              { type: "image_url", image_url: { url: "data:image/png;base64,AQID" } }
            ]
          }
        ])
        const tools = decodeTools(request?.body["tools"])
        assert.deepStrictEqual(tools.map(({ function: { name } }) => name), ["look", "wait"])
        assert.deepInclude(tools[0]?.function, { description: "Looks there" })
        assert.deepInclude(tools[0]?.function.parameters, { type: "object", required: ["at"] })
      }), { apiKey: Redacted.make("secret-key"), parameters: { temperature: 0.5 } }))

  it.live("is asked for without a key, and with the tool choice of the request", () =>
    against(said(mode, { content: "x" }), ({ requests }) =>
      Effect.gen(function*() {
        yield* ask(mode, { toolChoice: "required" })
        yield* ask(mode, { toolChoice: { tool: "look" } })
        yield* ask(mode, { toolChoice: { mode: "required", oneOf: ["wait"] } })
        assert.deepStrictEqual(requests.map(({ body, headers }) => [body["tool_choice"], headers.authorization]), [
          ["required", undefined],
          [{ type: "function", function: { name: "look" } }, undefined],
          ["required", undefined]
        ])
        assert.deepStrictEqual(decodeTools(requests[2]?.body["tools"]).map(({ function: { name } }) => name), ["wait"])
      })))

  it.live("is not asked for with a file that the protocol has no word for", () =>
    against(said(mode, { content: "x" }), ({ requests }) =>
      Effect.gen(function*() {
        const file = { type: "file" as const, mediaType: "application/zip", data: "AQID" }
        const error = yield* Effect.flip(ask(mode, { prompt: [{ role: "user", content: [file] }] }))
        assert.strictEqual(error.reason._tag, "InvalidUserInputError")
        assert.lengthOf(requests, 0)
      })))

  const refusal = (message: string, code?: string) => ({ error: { message, code: code ?? null, type: "t" } })

  it.live.each(
    [
      [401, refusal("bad key"), { _tag: "AuthenticationError", kind: "InvalidKey" }],
      [403, refusal("not you"), { _tag: "AuthenticationError", kind: "InsufficientPermissions" }],
      [404, refusal("no such model"), { _tag: "InvalidRequestError" }],
      [400, refusal("too long", "context_length_exceeded"), { _tag: "InvalidRequestError", description: "too long" }],
      [400, refusal("not nice", "content_filter"), { _tag: "ContentPolicyError" }],
      [422, { message: "no" }, { _tag: "InvalidRequestError", description: "no" }],
      [429, refusal("slow down"), { _tag: "RateLimitError" }],
      [429, refusal("pay", "insufficient_quota"), { _tag: "QuotaExhaustedError" }],
      [500, { error: "oh" }, { _tag: "InternalProviderError", description: "oh" }],
      [503, "<html>", { _tag: "InternalProviderError" }],
      [307, {}, { _tag: "InvalidResponseError" }]
    ] as const
  )(
    "that is refused with %s %j fails",
    ([status, body, reason]) =>
      against(json(body, status), ({ requests }) =>
        Effect.gen(function*() {
          assert.deepInclude((yield* Effect.flip(ask(mode))).reason, reason)
          assert.lengthOf(requests, 1)
        }))
  )

  it.live("that is refused without an end of the refusal fails by its status", () =>
    against((response) => {
      response.writeHead(401)
      response.write("{")
    }, ({ left }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(ask(mode))).reason._tag, "AuthenticationError")
        yield* Deferred.await(left)
      }), { silence: "1 second" }))

  it.live("that is put off is asked for again, when the endpoint says", () =>
    against(
      [
        json(refusal("later"), 429, { "retry-after-ms": "1" }),
        json(refusal("later"), 503, { "retry-after": "0.001" }),
        said(mode, { content: "now" })
      ],
      ({ requests }) =>
        Effect.gen(function*() {
          assert.strictEqual((yield* ask(mode)).text, "now")
          assert.lengthOf(requests, 3)
        })
    ))

  it.live("that is put off again and again fails at the last try", () =>
    against(json(refusal("later"), 429, { "retry-after": "0" }), ({ requests }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(ask(mode))).reason._tag, "RateLimitError")
        assert.lengthOf(requests, 3)
      })))

  it.live("that is put off for longer than the bound fails at once, and says for how long", () =>
    against(json(refusal("later"), 429, { "retry-after": "21" }), ({ requests }) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ask(mode))
        assert.deepStrictEqual(error.retryAfter, Duration.seconds(21))
        assert.isTrue(error.isRetryable)
        assert.lengthOf(requests, 1)
      })))

  it.live("that is none of the protocol fails", () =>
    Effect.gen(function*() {
      const bodies = mode === "complete"
        ? [text("<html>"), json({ choices: [] }), json({ choices: "x" })]
        : [pieces(["data: <html>\n\n"]), pieces([event({ choices: "x" })])]
      for (const body of bodies) {
        assert.strictEqual((yield* against(body, () => Effect.flip(ask(mode)))).reason._tag, "InvalidResponseError")
      }
    }))

  it.live.each(
    [
      [{ message: "slow down", code: 429 }, { _tag: "RateLimitError", metadata: { description: "slow down" } }],
      [{ message: "slow down", type: "rate_limit_error" }, { _tag: "RateLimitError" }],
      [{ message: "bad gateway", code: "502" }, { _tag: "InternalProviderError", description: "bad gateway" }],
      [{ message: "oh", code: "constructor" }, { _tag: "InternalProviderError" }],
      ["oh", { _tag: "InternalProviderError", description: "oh" }]
    ] as const
  )(
    "that tells of the error %j with status 200 fails by it",
    ([error, reason]) =>
      against(
        mode === "complete" ? json({ error }) : pieces([chunk({ content: "x" }), event({ error })]),
        () =>
          Effect.gen(function*() {
            assert.deepInclude((yield* Effect.flip(ask(mode))).reason, reason)
          })
      )
  )

  it.live("that breaks off fails, and may be asked for again", () =>
    Effect.gen(function*() {
      const whole = JSON.stringify(completion({ content: "x" }))
      const broken = mode === "complete"
        ? pieces([whole.slice(0, 30)], "break")
        : pieces(chunks({ content: "x" }).slice(0, 2), "break")
      const { isRetryable, reason } = yield* against(broken, () => Effect.flip(ask(mode)))
      assert.deepStrictEqual([reason._tag, isRetryable], ["NetworkError", true])
    }))

  it.live("of nobody fails, and says what the network said", () =>
    Effect.gen(function*() {
      const { baseUrl } = yield* Effect.scoped(Endpoint.make(silent))
      const layer = OpenAiCompat.layer({ baseUrl, model: "m" })
      const error = yield* Effect.flip(Effect.provide(ask(mode), Layer.provide(layer, FetchHttpClient.layer)))
      assert.strictEqual(error.reason._tag, "NetworkError")
      assert.include(error.message, "ECONNREFUSED")
    }))

  it.live("that is too large fails", () =>
    Effect.gen(function*() {
      const mebi = "x".repeat(1024 * 1024)
      const large = mode === "complete"
        ? pieces(["{\"choices\": \"", ...Array.from({ length: 11 }, () => mebi)], "hang")
        : pieces(Array.from({ length: 11 }, () => chunk({ content: mebi })), "hang")
      const { reason } = yield* against(large, () => Effect.flip(ask(mode)))
      assert.deepInclude(reason, { _tag: "InvalidResponseError" })
      assert.include(reason.message, "larger than 10485760")
    }))

  it.live("that nobody waits for any more closes its connection", () =>
    against(
      mode === "complete" ? silent : pieces([chunk({ content: "x" })], "hang"),
      ({ asked, left }) =>
        Effect.gen(function*() {
          const asking = yield* Effect.forkChild(ask(mode))
          yield* Deferred.await(asked)
          yield* Fiber.interrupt(asking)
          yield* Deferred.await(left)
        })
    ))

  it.live("whose body hangs after the headers closes its connection when nobody waits any more", () =>
    against(pieces(["{"], "hang"), ({ asked, left }) =>
      Effect.gen(function*() {
        const asking = yield* Effect.forkChild(ask(mode))
        yield* Deferred.await(asked)
        yield* Fiber.interrupt(asking)
        yield* Deferred.await(left)
      })))

  it.live("comes through the HTTP client of Node as well", () =>
    Effect.gen(function*() {
      const endpoint = yield* Endpoint.make(said(mode, { content: "Grüße" }))
      const layer = OpenAiCompat.layer({ baseUrl: `${endpoint.baseUrl}/`, model: "m" })
      const answer = yield* Effect.provide(ask(mode), Layer.provide(layer, NodeHttpClient.layerUndici))
      assert.strictEqual(answer.text, "Grüße")
    }))

  it.live("tells the key to nobody but the endpoint", () =>
    Effect.gen(function*() {
      const told: Array<unknown> = []
      const logger = Logger.make((entry) => told.push(entry))
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          told.push(span)
          return span
        }
      })
      const refusal = json({ error: "no secret-key here" }, 401)
      for (const behaviour of [said(mode, { content: "x" }), refusal, pieces(["x"], "break")]) {
        const exit = yield* against(behaviour, () => Effect.exit(ask(mode)), { apiKey: Redacted.make("secret-key") })
          .pipe(
            Effect.tap(Effect.logInfo),
            Effect.provide(Logger.layer([logger])),
            Effect.provideService(Tracer.Tracer, tracer)
          )
        told.push(exit, String(exit))
      }
      const all = everything(told)
      assert.include(all, "LanguageModel.")
      assert.include(all, "no <redacted> here")
      assert.isFalse(all.includes("secret-key"))
    }))

  it.effect("that does not come fails at its bound", () =>
    Effect.gen(function*() {
      const layer = OpenAiCompat.layer({
        baseUrl: "http://x/v1",
        model: "m",
        timeout: "10 minutes",
        silence: "2 minutes"
      })
      const client = Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.never))
      const asking = yield* ask(mode).pipe(
        Effect.provide(Layer.provide(layer, client)),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      const bound = mode === "complete" ? 600_000 : 120_000
      yield* TestClock.adjust(bound - 1)
      assert.isUndefined(asking.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.include((yield* Fiber.join(asking)).message, mode === "complete" ? "longer than 10m" : "came for 2m")
    }))
})

/** Everything that can be seen of values, whatever they hide in. */
const everything = (values: unknown): string => {
  const seen = new Set<unknown>()
  const walk = (value: unknown): string => {
    if (typeof value === "string") return value
    if (value instanceof Map) return walk(Array.from(value))
    if (typeof value !== "object" || value === null || seen.has(value)) return ""
    seen.add(value)
    return Reflect.ownKeys(value).map((key) => {
      try {
        return walk(Reflect.get(value, key))
      } catch {
        return ""
      }
    }).join(" ")
  }
  return walk(values)
}

const decodeTools = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({
  function: Schema.Struct({
    name: Schema.String,
    description: Schema.optionalKey(Schema.String),
    parameters: Schema.Record(Schema.String, Schema.Unknown)
  })
})))

describe("a streamed answer", () => {
  it.live("is whole whatever pieces it comes in, one byte at a time too", () =>
    Effect.gen(function*() {
      const sent = [
        ": comment\r\n\r\n",
        "retry: 1000\n\n",
        ...chunks({ content: "Grüße 👋 日本", tool_calls: [look(JSON.stringify({ at: "ß👋" }))] }),
        done
      ].join("")
      const bytes = new TextEncoder().encode(sent)
      const single = Array.from(bytes, (byte) => new Uint8Array([byte]))
      const { calls, text } = yield* against(pieces(single), () => ask("streamed"))
      assert.deepStrictEqual([text, calls[0]?.params], ["Grüße 👋 日本", { at: "ß👋" }])
    }))

  it.live("says what it calls while the arguments come", () =>
    against(said("streamed", { tool_calls: [look("{\"at\":\"a\"}")] }), () =>
      Effect.gen(function*() {
        const kit = yield* toolkit
        const options = { prompt: "Hello", toolkit: kit, disableToolCallResolution: true } as const
        const parts = Array.from(yield* Stream.runCollect(LanguageModel.streamText(options)))
        const types = parts.map(({ type }) => type)
        assert.deepStrictEqual(types.filter((type, at) => type !== types[at - 1]), [
          "response-metadata",
          "tool-params-start",
          "tool-params-delta",
          "tool-params-end",
          "tool-call",
          "finish"
        ])
      })))

  it.live("keeps calls apart that have one index, or none", () =>
    Effect.gen(function*() {
      for (const index of [0, undefined]) {
        const call = (id: string | undefined, args: string) =>
          chunk({
            tool_calls: [{ index, id, function: { name: id === undefined ? undefined : "look", arguments: args } }]
          })
        const sent = [call("c1", "{\"at\":"), call(undefined, "\"a\"}"), call("c2", "{\"at\":"), call("c2", "\"b\"}")]
        const { calls } = yield* against(pieces([...sent, chunk({}, "stop"), done]), () => ask("streamed"))
        assert.deepStrictEqual(calls.map(({ id, params }) => [id, params]), [["c1", { at: "a" }], ["c2", { at: "b" }]])
      }
    }))

  it.live("may end without its last event, once it said how it finished", () =>
    against(pieces(chunks({ content: "x" })), () =>
      Effect.gen(function*() {
        assert.deepInclude(yield* ask("streamed"), { text: "x", finish: "stop" })
      })))

  it.live("that ends before it said how it finished is cut, and may be asked for again", () =>
    against(pieces(chunks({ content: "x" }).slice(0, -1)), () =>
      Effect.gen(function*() {
        const { isRetryable, message } = yield* Effect.flip(ask("streamed"))
        assert.include(message, "ended before it was complete")
        assert.isTrue(isRetryable)
      })))

  it.live("is heard as far as it came before it broke", () =>
    against(pieces(chunks({ content: "abcdef" }).slice(0, 3), "break"), () =>
      Effect.gen(function*() {
        const heard: Array<string> = []
        yield* Effect.flip(Stream.runForEach(LanguageModel.streamText({ prompt: "Hello" }), (part) =>
          Effect.sync(() => {
            if (part.type === "text-delta") heard.push(part.delta)
          })))
        assert.isTrue("abcdef".startsWith(heard.join("")))
      })))

  it.live("with an event without end is too large", () =>
    against(pieces(["data: ", ..."x".repeat(30).split("")], "hang"), () =>
      Effect.gen(function*() {
        assert.include((yield* Effect.flip(ask("streamed"))).message, "larger than 20")
      }), { answerLimit: 20 }))

  it.live("that falls silent fails", () =>
    against(pieces([chunk({ content: "x" })], "hang"), ({ left }) =>
      Effect.gen(function*() {
        assert.include((yield* Effect.flip(ask("streamed"))).message, "Nothing came for 200ms")
        yield* Deferred.await(left)
      }), { silence: "200 millis" }))

  it.live("that never ends fails", () =>
    against((response) => {
      response.writeHead(200)
      const more = (): void => {
        response.write(chunk({ content: "x" }), () => setTimeout(more, 5))
      }
      more()
    }, ({ left }) =>
      Effect.gen(function*() {
        assert.include((yield* Effect.flip(ask("streamed"))).message, "longer than 300ms")
        yield* Deferred.await(left)
      }), { timeout: "300 millis" }))

  it.live("whose reader stops closes its connection", () =>
    against(pieces([chunk({ content: "x" })], "hang"), ({ left }) =>
      Effect.gen(function*() {
        yield* Stream.runDrain(Stream.take(LanguageModel.streamText({ prompt: "Hello" }), 1))
        yield* Deferred.await(left)
      })))
})

describe("OpenAiCompat", () => {
  it.live("asks without tools where there are none", () =>
    against(said("complete", { content: "x" }), ({ requests }) =>
      Effect.gen(function*() {
        yield* LanguageModel.generateText({ prompt: "Hello" })
        yield* LanguageModel.generateText({ prompt: "Hello", toolkit: Toolkit.empty })
        for (const { body } of requests) assert.doesNotHaveAnyKeys(body, ["tools", "tool_choice"])
      })))

  it.live("answers an object of a schema", () =>
    against(said("complete", { content: "{\"name\":\"Ada\"}" }), ({ requests }) =>
      Effect.gen(function*() {
        const schema = Schema.Struct({ name: Schema.String })
        const { value } = yield* LanguageModel.generateObject({ prompt: "Who?", schema, objectName: "a person" })
        assert.deepStrictEqual(value, { name: "Ada" })
        const format = JSON.stringify(requests[0]?.body["response_format"])
        assert.include(format, "\"name\":\"a_person\"")
        assert.include(format, "\"required\":[\"name\"]")
      })))

  it.live("runs a whole conversation with the tools of Effect's own resolution", () =>
    against(
      [said("complete", { tool_calls: [look("{\"at\":\"a\"}")] }), said("complete", { content: "x" })],
      () =>
        Effect.gen(function*() {
          const kit = yield* toolkit
          const first = yield* LanguageModel.generateText({ prompt: "Hello", toolkit: kit })
          assert.deepStrictEqual(first.toolResults.map(({ result }) => result), ["at a"])
          const prompt = Prompt.concat(Prompt.make("Hello"), Prompt.fromResponseParts(first.content))
          assert.strictEqual((yield* LanguageModel.generateText({ prompt, toolkit: kit })).text, "x")
        })
    ))

  it.effect("waits as long as the endpoint says, to the millisecond", () =>
    Effect.gen(function*() {
      let asked = 0
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          asked++
          const response = asked === 1
            ? new Response(null, { status: 429, headers: { "retry-after": "20" } })
            : Response.json(completion({ content: "x" }))
          return HttpClientResponse.fromWeb(request, response)
        })
      )
      const layer = OpenAiCompat.layer({ baseUrl: "http://x/v1", model: "m" })
      const asking = yield* ask("complete").pipe(
        Effect.provide(Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, client))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust(19_999)
      assert.strictEqual(asked, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(asking)).text, "x")
    }))

  it.effect("reads its options from the configuration", () =>
    Effect.gen(function*() {
      const read = (env: Readonly<Record<string, string>>) =>
        OpenAiCompat.config.parse(
          ConfigProvider.fromUnknown({ MODEL_BASE_URL: "http://x/v1", MODEL_NAME: "m", ...env })
        )
      assert.deepInclude(yield* read({}), {
        ...OpenAiCompat.defaults,
        baseUrl: "http://x/v1",
        model: "m",
        apiKey: undefined
      })
      const { apiKey, silence } = yield* read({ MODEL_API_KEY: "k", MODEL_SILENCE: "5 seconds" })
      assert.deepStrictEqual([apiKey === undefined ? "" : Redacted.value(apiKey), silence], ["k", Duration.seconds(5)])
    }))
})
