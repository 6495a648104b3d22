import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { AgentId, WorkspaceId } from "../../src/domain/Ids.ts"
import { Book } from "./Book.ts"
import * as Bounds from "./Bounds.ts"
import * as Outcome from "./Outcome.ts"
import type { Workspace } from "./Workspaces.ts"

/** A workspace of which only the ledgers are there. */
const noted = () => {
  const begun = new Map<string, number>()
  const ended = new Map<string, number>()
  const files = new Map<string, string>()
  const never = (): never => assert.fail()
  const workspace: Workspace = {
    name: "workspace",
    workspaceId: WorkspaceId.make("w"),
    agentId: () => AgentId.make("a"),
    directory: "",
    get child() {
      return never()
    },
    get link() {
      return never()
    },
    home: never,
    rebuild: never,
    move: never,
    begun: () => begun,
    ended: () => ended,
    written: (operation) => files.get(operation)
  }
  return { workspace, begun, ended, files }
}

/** What one operation came to in the workspace, and what was told of it; the verdict of the book. */
const verdict = (told: Outcome.Outcome, begun: number, ended: number): ReadonlyArray<string> => {
  const book = new Book()
  const world = noted()
  const { id } = book.begin("run", world.workspace)
  if (begun > 0) world.begun.set(id, begun)
  if (ended > 0) world.ended.set(id, ended)
  for (const operation of book.operations) book.told(operation, told, "")
  book.judge([world.workspace])
  return book.violations.map((text) => text.replace(/^.*: \)?/, ""))
}

describe("the book of the callers", () => {
  it("finds what ran twice, what was acknowledged and is lost, and what ran although it should not have", () => {
    const counts: Record<string, number> = {}
    for (const told of ["done", "ended", "notRun", "mayHaveRun", "lost"] as const) {
      for (const [begun, ended] of [[0, 0], [1, 0], [1, 1], [2, 2]] as const) {
        counts[`${told} ${begun} ${ended}`] = verdict(told, begun, ended).length
      }
    }
    assert.deepStrictEqual(Object.entries(counts).filter(([, count]) => count > 0).map(([name]) => name), [
      "done 0 0",
      "done 1 0",
      "done 2 2",
      "ended 2 2",
      "notRun 1 0",
      "notRun 1 1",
      "notRun 2 2",
      "mayHaveRun 2 2",
      "lost 2 2"
    ])
  })

  it("looks into files that were written", () => {
    for (
      const [told, left, count] of [["done", undefined, 1], ["done", "b", 1], ["notRun", "a", 1], [
        "done",
        "a",
        0
      ]] as const
    ) {
      const book = new Book()
      const world = noted()
      const operation = book.begin("write_file", world.workspace, "a")
      if (left !== undefined) world.files.set(operation.id, left)
      book.told(operation, told, "")
      book.judge([world.workspace])
      assert.strictEqual(book.violations.length, count)
    }
  })

  it.live("sees a call that is late while it is under way, and does not count the time in which its backend was frozen", () =>
    Effect.gen(function*() {
      const late = (Bounds.calls.run + Bounds.slack) * 1000 + 1
      const book = new Book()
      const began = performance.now()
      // As if it had begun long ago.
      const frozenBefore: Array<readonly [number, number]> = []
      const call = yield* Effect.forkChild(book.timed("run", () => frozenBefore, Effect.never), {
        startImmediately: true
      })
      book.watch()
      assert.deepStrictEqual(book.violations, [])
      const now = performance.now.bind(performance)
      try {
        performance.now = () => now() + late
        frozenBefore.push([began, began + 2000])
        book.watch()
        assert.deepStrictEqual(book.violations, [])
        frozenBefore.pop()
        book.watch()
        book.watch()
        assert.strictEqual(book.violations.length, 1)
      } finally {
        performance.now = now
      }
      yield* Fiber.interrupt(call)
    }))
})

describe("an outcome", () => {
  const failed = (error: string, retry: string, sent?: "notSent" | "mayHaveRun") =>
    Outcome.of("op-1", { error, retry, message: "", ...(sent === undefined ? {} : { sent }) }).outcome

  it("is read from the answer as a caller must take it", () => {
    assert.strictEqual(Outcome.of("op-1", { success: true, output: "op-1\n" }).outcome, "done")
    assert.strictEqual(Outcome.of("op-1", { success: true, output: "op-2\n" }).outcome, "wrong")
    assert.strictEqual(Outcome.of("op-1", { success: false, output: "" }).outcome, "ended")
    assert.strictEqual(Outcome.of("op-1", { path: "a", size_bytes: 1 }).outcome, "done")
    assert.strictEqual(Outcome.of("op-1", null).outcome, "wrong")
    assert.strictEqual(failed("dial_timeout", "now-once"), "notRun")
    assert.strictEqual(failed("call_interrupted", "now-once"), "notRun")
    assert.strictEqual(failed("call_interrupted", "never"), "mayHaveRun")
    assert.strictEqual(failed("call_timed_out", "never", "notSent"), "notRun")
    assert.strictEqual(failed("outcome_unknown", "never"), "mayHaveRun")
    assert.strictEqual(failed("internal", "never"), "wrong")
    assert.strictEqual(failed("no_such_code", "never"), "wrong")
  })
})
