import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { LanguageModel, type Response } from "effect/ai"
import * as Toolkit from "effect/ai/Toolkit"
import * as TurnModel from "../../src/turn/TurnModel.ts"

/** What becomes of these parts of a stream. */
const answer = Effect.fnUntraced(function*(...parts: ReadonlyArray<Response.StreamPartEncoded>) {
  let text = ""
  const ask = yield* Effect.provide(
    TurnModel.make,
    Layer.effect(
      LanguageModel.LanguageModel,
      LanguageModel.make({
        generateText: () => Effect.die(new Error("not played")),
        streamText: () => Stream.fromIterable(parts)
      })
    )
  )
  const { calls, message } = yield* ask({
    system: "",
    history: [{ role: "user", content: "Hi!" }],
    toolkit: yield* Toolkit.empty,
    onText: (delta) => {
      text += delta
    }
  })
  return { text, message, calls: calls.map(({ id, name }) => [id, name]) }
})

const toolCall = (id: string, name = "echo"): Response.StreamPartEncoded => ({
  type: "tool-call",
  id,
  name,
  params: {}
})

const said = (id: string, ...deltas: ReadonlyArray<string>): ReadonlyArray<Response.StreamPartEncoded> => [
  { type: "text-start", id },
  ...deltas.map((delta) => ({ type: "text-delta" as const, id, delta })),
  { type: "text-end", id }
]

const partsOf = (message: TurnModel.Answer["message"]) =>
  typeof message.content === "string" ? message.content : message.content.map(({ type }) => type)

describe("an answer of the model", () => {
  it.effect("has its text and its calls in their order, also of tools that are not there", () =>
    Effect.gen(function*() {
      const { calls, message, text } = yield* answer(...said("t", "Let ", "me."), toolCall("a"), toolCall("b", "nope"))
      assert.strictEqual(text, "Let me.")
      assert.deepStrictEqual(calls, [["a", "echo"], ["b", "nope"]])
      assert.deepStrictEqual(partsOf(message), ["text", "tool-call", "tool-call"])
    }))

  it.effect("calls under one id, or under none, get ids of their own", () =>
    Effect.gen(function*() {
      const { calls, message } = yield* answer(
        toolCall("a"),
        toolCall("a"),
        toolCall(""),
        toolCall(""),
        toolCall("a-2")
      )
      const ids = ["a", "a-2", "call", "call-2", "a-2-2"]
      assert.deepStrictEqual(calls.map(([id]) => id), ids)
      assert.deepStrictEqual(
        typeof message.content === "string"
          ? []
          : message.content.flatMap((part) => part.type === "tool-call" ? [part.id] : []),
        ids
      )
    }))

  it.effect("a text that says nothing is left out", () =>
    Effect.gen(function*() {
      const { message } = yield* answer(...said("t"), toolCall("a"))
      assert.deepStrictEqual(partsOf(message), ["tool-call"])
    }))

  it.effect("one of thoughts alone says that there is none", () =>
    Effect.gen(function*() {
      const { message } = yield* answer(
        { type: "reasoning-start", id: "r" },
        { type: "reasoning-delta", id: "r", delta: "Hm." },
        { type: "reasoning-end", id: "r" }
      )
      assert.include(JSON.stringify(message), "[No answer.]")
    }))
})
