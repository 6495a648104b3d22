import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Stream } from "effect"
import { AiError, LanguageModel, Prompt, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"

const { call, calls, choose, cut, fail, hang, reply, say, slowly, stuck } = ScriptedModel

const test = (
  name: string,
  script: ReadonlyArray<ScriptedModel.Step>,
  body: () => Effect.Effect<void, unknown, LanguageModel.LanguageModel | ScriptedModel.ScriptedModel>
) => it.effect(name, () => Effect.provide(Effect.suspend(body), ScriptedModel.layer(script)))

const kit = Toolkit.make(Tool.make("look", { parameters: Schema.Struct({ at: Schema.String }) }))

const toolkit = Effect.flatMap(
  kit.toHandlers({ look: () => Effect.void }),
  (handlers) => Effect.provideContext(kit, handlers)
)

const options = { prompt: "Hello", disableToolCallResolution: true, toolCallValidation: "deferred" } as const

const generate = Effect.flatMap(toolkit, (toolkit) => LanguageModel.generateText({ ...options, toolkit }))

const stream = Stream.unwrap(Effect.map(toolkit, (toolkit) => LanguageModel.streamText({ ...options, toolkit })))

const overload = new AiError.InternalProviderError({ description: "overloaded" })

describe("ScriptedModel", () => {
  test("says its texts in order, complete", [say("one"), say("two")], () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* generate).text, "one")
      const second = yield* generate
      assert.deepStrictEqual([second.text, second.finishReason], ["two", "stop"])
    }))

  it.effect("keeps no request where it is told so, and goes on counting them", () =>
    Effect.gen(function*() {
      const model = yield* ScriptedModel.ScriptedModel
      yield* generate
      const second = yield* generate
      yield* model.untilAsked(2)
      assert.deepStrictEqual(model.requests(), [])
      assert.deepStrictEqual(second.toolCalls.map(({ id }) => id), ["call-2-1"])
    }).pipe(Effect.provide(ScriptedModel.layerChoosing(() => call("look", { at: "a" }), { keepRequests: false }))))

  test("streams a text word by word", [say("one two")], () =>
    Effect.gen(function*() {
      const parts = Array.from(yield* Stream.runCollect(stream))
      assert.deepStrictEqual(parts.map(({ type }) => type), [
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "finish"
      ])
      assert.deepInclude(parts[1], { id: "text-1", delta: "one " })
    }))

  test("calls tools under ids that are the same in every run", [
    call("look", { at: "a" }),
    calls(["look", 1], ["no", 2])
  ], () =>
    Effect.gen(function*() {
      const first = yield* generate
      assert.strictEqual(first.finishReason, "tool-calls")
      assert.deepStrictEqual(first.toolCalls.map(({ id, name }) => [id, name]), [["call-1-1", "look"]])
      const second = Array.from(yield* Stream.runCollect(stream)).filter((part) => part.type === "tool-call")
      assert.deepStrictEqual(second.map(({ id, name, params }) => [id, name, params]), [
        ["call-2-1", "look", 1],
        ["call-2-2", "no", 2]
      ])
    }))

  test("ends as a reply says", [reply({ text: "too lo", finish: "length" })], () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* generate).finishReason, "length")
    }))

  test(
    "fails with the reason given, complete and streamed",
    [fail(overload), fail(overload)],
    () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(generate)).reason, overload)
        assert.strictEqual((yield* Effect.flip(Stream.runDrain(stream))).reason, overload)
      })
  )

  test("hangs, until it is interrupted", [hang], () =>
    Effect.gen(function*() {
      const asked = yield* Effect.forkChild(generate, { startImmediately: true })
      yield* TestClock.adjust("1 day")
      assert.isUndefined(asked.pollUnsafe())
      yield* Fiber.interrupt(asked)
    }))

  test("says some of it and then fails", [cut(say("one two"), overload)], () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const heard = Stream.runForEach(stream, (part) => Effect.sync(() => said.push(part.type)))
      assert.strictEqual((yield* Effect.flip(heard)).reason, overload)
      assert.deepStrictEqual(said, ["text-start", "text-delta", "text-delta", "text-end"])
    }))

  test("says some of it and then no more", [stuck(say("one"))], () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const heard = yield* Effect.forkChild(
        Stream.runForEach(stream, (part) => Effect.sync(() => said.push(part.type))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(said, ["text-start", "text-delta", "text-end"])
      assert.isUndefined(heard.pollUnsafe())
      yield* Fiber.interrupt(heard)
    }))

  test(
    "takes its time for each piece",
    [slowly(say("one two"), "1 second"), slowly(say("one two"), "1 second")],
    () =>
      Effect.gen(function*() {
        for (const asking of [Stream.runDrain(stream), Effect.asVoid(generate)]) {
          const asked = yield* Effect.forkChild(asking, { startImmediately: true })
          yield* TestClock.adjust(3999)
          assert.isUndefined(asked.pollUnsafe())
          yield* TestClock.adjust(1)
          yield* Fiber.join(asked)
        }
      })
  )

  test(
    "chooses by the request, which is kept",
    [choose(({ prompt, tools }) => say(`${prompt.content.length} ${tools.map(({ name }) => name).join()}`))],
    () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* generate).text, "1 look")
        const model = yield* ScriptedModel.ScriptedModel
        assert.lengthOf(model.requests(), 1)
        yield* model.untilAsked(1)
      })
  )

  test("lets a test wait for a request", [say("one")], () =>
    Effect.gen(function*() {
      const model = yield* ScriptedModel.ScriptedModel
      const waiting = yield* Effect.forkChild(model.untilAsked(1), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe())
      yield* generate
      yield* Fiber.join(waiting)
    }))

  test("a request after the last step is a defect that says so", [say("one")], () =>
    Effect.gen(function*() {
      yield* generate
      const exit = yield* Effect.exit(generate)
      assert.isTrue(Exit.hasDies(exit))
      assert.include(String(exit), "has 1 steps")
    }))

  test(
    "what a choice throws is a defect",
    [choose(() => assert.fail("not what it should see"))],
    () =>
      Effect.gen(function*() {
        assert.isTrue(Exit.hasDies(yield* Effect.exit(generate)))
      })
  )

  it.effect("knows what the tools answered last", () =>
    Effect.gen(function*() {
      const result = Prompt.makePart("tool-result", {
        id: "call-1-1",
        name: "look",
        isFailure: false,
        result: "a wall",
        providerExecuted: false
      })
      const prompt = Prompt.fromMessages([Prompt.makeMessage("tool", { content: [result] })])
      assert.deepStrictEqual(ScriptedModel.results({ prompt }), [result])
      assert.deepStrictEqual(ScriptedModel.results({ prompt: Prompt.make("Hello") }), [])
    }))
})
