import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as WaitDisplay from "../../src/cli/WaitDisplay.ts"
import type { BuildProgress } from "../../src/domain/BuildProgress.ts"
import { AgentId, BuildId } from "../../src/domain/Ids.ts"

const common = { buildId: BuildId.make("b1"), transition: "start", elapsed: Duration.zero } as const
const agentId = AgentId.make("a1")

const queued = (fields: { readonly ahead?: number; readonly elapsed?: Duration.Input } = {}): BuildProgress => ({
  _tag: "Queued",
  ...common,
  ahead: fields.ahead ?? 0,
  elapsed: Duration.fromInputUnsafe(fields.elapsed ?? 0)
})

const building = (...texts: ReadonlyArray<string>): BuildProgress => ({
  _tag: "Building",
  ...common,
  attempt: 1,
  lines: texts.map((text, index) => ({ number: index + 1, at: DateTime.makeUnsafe(0), text }))
})

const visible = (text: string): string => text.replaceAll("\u001b", "⎋")

/** A display that keeps what it writes, and a terminal's view of that. */
const displayed = Effect.fnUntraced(function*(living: boolean) {
  let written = ""
  const scope = yield* Scope.make()
  const report = yield* WaitDisplay.make({ living, write: (text) => void (written += text) }).pipe(
    Scope.provide(scope)
  )
  return {
    report,
    close: Scope.close(scope, Exit.void),
    /** With a mark that can be seen where an escape sequence begins. */
    written: () => visible(written),
    /** What stands in the rows: a row that is cleared begins anew. */
    rows: () => visible(written).replaceAll(/⎋\[\?7[lh]/g, "").replaceAll(/[^\n]*\r⎋\[K/g, "").split("\n")
  }
})

describe("WaitDisplay on a terminal", () => {
  it.effect("shows nothing before the first report", () =>
    Effect.gen(function*() {
      const display = yield* displayed(true)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(display.written(), "")
      yield* display.close
    }))

  it.effect("one line lives on each second, from the time that the report says", () =>
    Effect.gen(function*() {
      const display = yield* displayed(true)
      yield* display.report({ ...building(), elapsed: Duration.seconds(3) })
      assert.deepStrictEqual(display.rows(), ["… 3 s  start: builds"])
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(display.rows(), ["… 3 s  start: builds"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(display.rows(), ["… 4 s  start: builds"])
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual(display.rows(), ["… 64 s  start: builds"])
      yield* display.close
    }))

  it.effect("the log stands above the living line, and stays when it goes", () =>
    Effect.gen(function*() {
      const display = yield* displayed(true)
      yield* display.report(queued())
      yield* display.report(building("one", "two"))
      assert.deepStrictEqual(display.rows(), ["  │ one", "  │ two", "… 0 s  start: builds"])
      yield* display.close
      assert.deepStrictEqual(display.rows(), ["  │ one", "  │ two", ""])
      const written = display.written()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(display.written(), written)
    }))

  it.effect("the living line is not wrapped, and what comes after it is", () =>
    Effect.gen(function*() {
      const display = yield* displayed(true)
      yield* display.report(queued({ elapsed: "5 seconds" }))
      assert.match(display.written(), /^\r⎋\[K⎋\[\?7l… 5 s {2}start: [^\n]+⎋\[\?7h$/)
      yield* display.close
    }))
})

describe("WaitDisplay elsewhere", () => {
  it.effect("a line for each phase, before the lines of its log, and none for the time", () =>
    Effect.gen(function*() {
      const display = yield* displayed(false)
      yield* display.report(queued())
      yield* display.report(building("one"))
      yield* display.report(building())
      yield* TestClock.adjust("10 seconds")
      yield* display.report(building("two"))
      yield* display.report({ _tag: "AwaitingAgent", ...common, agentId })
      yield* display.close
      assert.strictEqual(
        display.written(),
        [
          "… start: waits for a server to take it",
          "… start: builds",
          "  │ one",
          "  │ two",
          "… start: waits for its agent",
          ""
        ].join("\n")
      )
    }))
})

describe("WaitDisplay.describe", () => {
  it("a build that nobody takes says after five seconds what may be missing", () => {
    const waits = (elapsed: Duration.Input) => WaitDisplay.describe(queued({ elapsed }))
    assert.strictEqual(waits("4999 millis"), "start: waits for a server to take it")
    assert.strictEqual(
      waits("5 seconds"),
      "start: no server takes it; does `chat-workspace serve` run on this database?"
    )
  })

  it("one that waits behind others says behind how many, however long", () => {
    assert.strictEqual(
      WaitDisplay.describe(queued({ ahead: 1, elapsed: "1 hour" })),
      "start: waits behind 1 other build"
    )
    assert.strictEqual(WaitDisplay.describe(queued({ ahead: 2 })), "start: waits behind 2 other builds")
  })

  it("names the attempt when it is not the first, and how far the scripts are", () => {
    assert.strictEqual(
      WaitDisplay.describe({ _tag: "Building", ...common, attempt: 2, lines: [] }),
      "start: builds, attempt 2"
    )
    assert.strictEqual(
      WaitDisplay.describe({ _tag: "AwaitingScripts", ...common, agentId, lifecycle: "starting" }),
      "start: waits for its start-up scripts (starting)"
    )
    assert.strictEqual(
      WaitDisplay.describe({ _tag: "Building", ...common, transition: "stop", attempt: 1, lines: [] }),
      "stop: builds"
    )
  })
})
