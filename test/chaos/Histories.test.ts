import { assert, describe, it } from "@effect/vitest"
import type { NumberedEvent, TurnEvent } from "../../src/domain/Turn.ts"
import * as Histories from "./Histories.ts"

const text = (delta: string): TurnEvent => ({ _tag: "Text", delta })
const end: TurnEvent = { _tag: "End", status: "done", reason: null }

const kept = (...deltas: ReadonlyArray<string>): ReadonlyArray<NumberedEvent> =>
  deltas.map((delta, index) => ({ number: index + 1, event: text(delta) }))

const verdict = (deltas: ReadonlyArray<string>, numbers: ReadonlyArray<number>, stored: string, status = "done") =>
  Histories.unheard({ events: [...deltas.map(text), end], numbers, error: null }, kept(...stored), status).length

describe("what was heard of a turn", () => {
  it("is what is kept of it, in its order", () => {
    assert.strictEqual(verdict(["a", "b"], [1, 2, 3], "ab"), 0)
    assert.strictEqual(verdict(["a", "b"], [1, 2, 3], "ba"), 1)
    assert.strictEqual(verdict(["a", "b"], [1, 2, 3], "abc"), 1)
    assert.strictEqual(verdict(["a", "b"], [1, 2, 3], "a"), 1)
  })

  it("has each number once", () => {
    assert.strictEqual(verdict(["a", "b"], [1, 3, 4], "ab"), 1)
    assert.strictEqual(verdict(["a", "b"], [1, 1, 2], "ab"), 1)
  })

  it("may be more than what a lost node had written, and not something else", () => {
    assert.strictEqual(verdict(["a", "b"], [1, 2, 3], "a", "crashed"), 0)
    assert.strictEqual(verdict(["a", "b"], [1, 2, 3], "b", "crashed"), 1)
    assert.strictEqual(verdict(["a"], [1, 2], "ab", "crashed"), 1)
  })
})
