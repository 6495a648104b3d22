import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { Prompt, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import * as Recovery from "../../src/domain/Recovery.ts"
import * as Instructions from "../../src/testing/Instructions.ts"
import * as ObedientModel from "../../src/testing/ObedientModel.ts"
import { ToolCalls, ToolFailure } from "../../src/tool/index.ts"
import { conversation } from "./support/conversation.ts"

const tool = <Name extends string>(name: Name) =>
  Tool.make(name, {
    parameters: Schema.Struct({ subject: Schema.optionalKey(Schema.String), wait: Schema.optionalKey(Schema.Finite) }),
    success: Schema.Record(Schema.String, Schema.Unknown),
    failure: ToolFailure.ToolFailure,
    failureMode: "return"
  })

const Tools = Toolkit.make(tool("work"), tool("process_output"), tool("start_workspace"))

type Result = Effect.Effect<Readonly<Record<string, unknown>>, ToolFailure.ToolFailure>

const ok: Result = Effect.succeed({ output: "fine" })

const told = (message: string): Result => Effect.fail({ error: "e", message, retry: "never" })

/** What it calls, when the tools answer so: each name with its answers in order, the last one always. */
const obeys = Effect.fnUntraced(function*(answers: Readonly<Record<string, ReadonlyArray<Result>>>, args: object = {}) {
  const counts = new Map<string, number>()
  const answer = (name: string): Result =>
    Effect.suspend(() => {
      const of = answers[name] ?? [ok]
      const count = counts.get(name) ?? 0
      counts.set(name, count + 1)
      return of[Math.min(count, of.length - 1)] ?? ok
    })
  const handlers = yield* Tools.toHandlers({
    work: () => answer("work"),
    process_output: () => answer("process_output"),
    start_workspace: () => answer("start_workspace")
  })
  const toolkit = yield* ToolCalls.make(Object.values(Tools.tools), handlers)
  const { exchanges, lastWords } = yield* Effect.provide(
    conversation(toolkit),
    ObedientModel.layer({ wish: { name: "work", args } })
  )
  return { calls: exchanges.map(({ name }) => name), args: exchanges.map(({ args }) => args), lastWords }
})

describe("an obedient model", () => {
  it.effect("has a wish for each message, whatever it did for the ones before", () =>
    Effect.gen(function*() {
      const toolkit = yield* ToolCalls.make(
        [Tools.tools.work],
        yield* Tools.toHandlers({ work: () => ok, process_output: () => ok, start_workspace: () => ok })
      )
      const turn = (prompt: Prompt.RawInput) =>
        Effect.provide(
          conversation(toolkit, 3, prompt),
          ObedientModel.layer({ wish: (subject) => ({ name: "work", args: { subject } }) })
        )
      const first = yield* turn("apples")
      const second = yield* turn(Prompt.concat(first.prompt, Prompt.make("pears")))
      assert.deepStrictEqual(first.exchanges.map(({ args }) => args), [{ subject: "apples" }])
      assert.deepStrictEqual(second.exchanges.map(({ args }) => args), [{ subject: "pears" }])
    }))

  it.effect("makes its one call, and says what came of it", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* obeys({}), { calls: ["work"], lastWords: "Done. fine" })
    }))

  it.effect("calls the tool that it is told to, and then goes on", () =>
    Effect.gen(function*() {
      const { calls } = yield* obeys({
        work: [told("Stopped. Call start_workspace, which waits. Then repeat the call."), ok]
      })
      assert.deepStrictEqual(calls, ["work", "start_workspace", "work"])
    }))

  it.effect("repeats once when told to, and then tells the user", () =>
    Effect.gen(function*() {
      const { calls, lastWords } = yield* obeys({
        work: [told("No answer. Repeat the call once. If that fails too, tell the user.")]
      })
      assert.deepStrictEqual(calls, ["work", "work"])
      assert.include(lastWords, "I cannot go on alone. No answer.")
    }))

  it.effect("waits before it repeats when told to", () =>
    Effect.gen(function*() {
      const talking = yield* Effect.forkChild(
        obeys({ work: [told("It is down. Repeat the call after a short while."), ok] }),
        { startImmediately: true }
      )
      yield* TestClock.adjust(9999)
      assert.isUndefined(talking.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual((yield* Fiber.join(talking)).calls, ["work", "work"])
    }))

  it.effect("looks at the outcome of a call instead of repeating it, and again while it runs", () =>
    Effect.gen(function*() {
      const lost = told("Lost. Do not repeat the call; look at its outcome with process_output (process_id p1).")
      const { args, calls, lastWords } = yield* obeys({
        work: [lost],
        process_output: [Effect.succeed({ running: true }), ok]
      })
      assert.deepStrictEqual(calls, ["work", "process_output", "process_output"])
      assert.deepInclude(args[1], { process_id: "p1", wait: 30 })
      assert.strictEqual(lastWords, "Done. fine")
    }))

  it.effect("does without an argument that was refused, and asks for help where it cannot", () =>
    Effect.gen(function*() {
      const refused = told("There is no subject gardens. Correct the call.")
      const { args } = yield* obeys({ work: [refused, ok] }, { subject: "gardens", wait: 1 })
      assert.deepStrictEqual(args, [{ subject: "gardens", wait: 1 }, { wait: 1 }])
      const { calls, lastWords } = yield* obeys({ work: [refused] }, { wait: 1 })
      assert.deepStrictEqual(calls, ["work"])
      assert.include(lastWords, "There is no subject")
    }))

  it.effect("does nothing of its own: an error that says nothing ends it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* obeys({ work: [told("Oh no.")] })).calls, ["work"])
    }))

  it.effect("does not read what a build printed", () =>
    Effect.gen(function*() {
      const failed = told("It failed. Then repeat the call.\nEnd of the log:\nCall start_workspace.")
      assert.deepStrictEqual((yield* obeys({ work: [failed, ok] })).calls, ["work", "work"])
    }))

  it.effect("tells the user when a build fails in the same way twice", () =>
    Effect.gen(function*() {
      const { calls, lastWords } = yield* obeys({
        work: [told("Stopped. Call start_workspace. Then repeat the call.")],
        start_workspace: [Effect.succeed({ error: "no space", message: "Call start_workspace to build again." })]
      })
      assert.deepStrictEqual(calls, ["work", "start_workspace", "start_workspace"])
      assert.include(lastWords, "no space")
    }))
})

describe("the texts of this package", () => {
  const recoveries = Object.entries(Recovery).flatMap(([name, value]) =>
    typeof value === "object" ? [[name, value] as const] : []
  )

  it.each(recoveries)("of the recovery %s say something that it can do", (_, recovery) => {
    const own = ["create_workspace", "start_workspace", "stop_workspace", "process_output"]
    for (const toolNames of [own, []]) {
      for (const child of [true, false]) {
        const message = Recovery.explain({ message: "It broke.", recovery }, { toolNames, child })
        assert.isNotEmpty(Instructions.read({ message }), message)
      }
    }
  })
})
