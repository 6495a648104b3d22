import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as TurnDisplay from "../../src/cli/TurnDisplay.ts"
import type { TurnEvent } from "../../src/domain/Turn.ts"

/** What is written where, in its order: what the model says, and what stands beside it. */
const displayed = Effect.fnUntraced(function*(events: ReadonlyArray<TurnEvent>, living = false) {
  const outputs = { text: "", aside: "" }
  const scope = yield* Scope.make()
  const show = yield* TurnDisplay.make({
    text: (text) => void (outputs.text += text),
    aside: { living, write: (text) => void (outputs.aside += text) }
  }).pipe(Scope.provide(scope))
  yield* Effect.forEach(events, show, { discard: true })
  yield* Scope.close(scope, Exit.void)
  return { text: outputs.text, aside: outputs.aside.split("\n").slice(0, -1), raw: outputs.aside }
})

const text = (delta: string): TurnEvent => ({ _tag: "Text", delta })
const call = (params: unknown): TurnEvent => ({ _tag: "Call", callId: "1", name: "execute", params })
const result = (result: unknown, isFailure = false): TurnEvent => ({
  _tag: "Result",
  callId: "1",
  name: "execute",
  isFailure,
  result
})
const progress = (progress: unknown): TurnEvent => ({ _tag: "Progress", callId: "1", name: "execute", progress })
const done: TurnEvent = { _tag: "End", status: "done", reason: null }

const cleared = "\r\u001b[K"

const queued = { _tag: "Queued", buildId: "b", transition: "start", elapsed: 0, ahead: 2 }

describe("TurnDisplay", () => {
  it.effect("gives what the model says as it comes, and ends its last line", () =>
    Effect.gen(function*() {
      const shown = yield* displayed([text("Hel"), text("lo"), done])
      assert.deepStrictEqual([shown.text, shown.aside], ["Hello\n", []])
    }))

  it.effect("a line that the model began ends before a call is shown, and once", () =>
    Effect.gen(function*() {
      const shown = yield* displayed([text("I look."), call({}), text("Found.\n"), done])
      assert.strictEqual(shown.text, "I look.\nFound.\n")
    }))

  it.effect("shows a call by its one argument, or by all of them", () =>
    Effect.gen(function*() {
      const shown = yield* displayed([call({ command: "make\ntest" }), call({ command: "make", timeout: 5 })])
      assert.deepStrictEqual(shown.aside, ["→ execute make ⏎ test", "→ execute {\"command\":\"make\",\"timeout\":5}"])
    }))

  it.effect("shows eight lines of what a command printed, and its exit code where it failed", () =>
    Effect.gen(function*() {
      const lines = Array.from({ length: 9 }, (_, index) => `${index + 1}`)
      const shown = yield* displayed([
        result({ output: `${lines.slice(0, 8).join("\n")}\n`, exit_code: 0 }),
        result({ output: lines.join("\n"), exit_code: 2 })
      ])
      assert.deepStrictEqual(shown.aside, [
        ...lines.slice(0, 8).map((line) => `  │ ${line}`),
        ...lines.slice(0, 8).map((line) => `  │ ${line}`),
        "  │ … 1 more line",
        "  │ exit code 2"
      ])
    }))

  it.effect("shows the text of a failure, marked as one", () =>
    Effect.gen(function*() {
      const shown = yield* displayed([result({ error: "no_workspace", message: "Make one." }, true)])
      assert.deepStrictEqual(shown.aside, ["  ✗ Make one."])
    }))

  it.effect("cuts a long line at 160 characters", () =>
    Effect.gen(function*() {
      const shown = yield* displayed([result({ output: `${"x".repeat(160)}\n${"ä".repeat(161)}` })])
      assert.deepStrictEqual(shown.aside, [`  │ ${"x".repeat(160)}`, `  │ ${"ä".repeat(159)}…`])
    }))

  it.effect("shows a long wait until its call has its result", () =>
    Effect.gen(function*() {
      const shown = yield* displayed([progress({ progress: queued }), result({ output: "up" })], true)
      assert.include(shown.raw, "start: waits behind 2 other builds")
      // The living line is cleared before the result is shown.
      assert.isTrue(shown.raw.endsWith(`${cleared}  │ up\n`))
    }))

  it.effect("a wait that never had its result ends with the turn", () =>
    Effect.gen(function*() {
      const shown = yield* displayed([progress({ progress: queued }), done], true)
      assert.isTrue(shown.raw.endsWith(cleared))
    }))

  it.effect("progress of another form is nothing to show", () =>
    Effect.gen(function*() {
      const shown = yield* displayed([progress({ percent: 3 }), progress(null)])
      assert.strictEqual(shown.raw, "")
    }))

  it.effect("prints nothing that a terminal would obey", () =>
    Effect.gen(function*() {
      const evil = "a\u001b]0;title\u0007b\u009b2Jc\u202ed"
      const shown = yield* displayed([
        text(evil),
        call({ command: evil }),
        result({ output: evil }),
        { _tag: "Notice", message: `${evil}\nnext` }
      ])
      assert.strictEqual(shown.text, "a�]0;title�bc�d\n")
      assert.deepStrictEqual(shown.aside, [
        "→ execute a�]0;title�bc�d",
        "  │ a�]0;title�bc�d",
        "! a�]0;title�bc�d next"
      ])
    }))
})
