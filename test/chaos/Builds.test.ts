import { assert, describe, it } from "@effect/vitest"
import { Book } from "./Book.ts"
import * as Builds from "./Builds.ts"
import * as SlowProvider from "./SlowProvider.ts"

const all = Array.from({ length: SlowProvider.steps }, (_, index) => index + 1)

const lines = (run: string, steps: ReadonlyArray<number>): ReadonlyArray<string> =>
  steps.map((step) => SlowProvider.line(run, step))

const verdict = (row: Partial<Parameters<typeof Builds.judgeBuild>[2]>): number => {
  const book = new Book()
  const whole = { buildId: "b", number: 1, transition: "start", status: "succeeded", failure: null, attempt: 1 }
  Builds.judgeBuild(book, "c", { ...whole, lines: lines("a", all), ...row })
  return book.violations.length
}

describe("a build", () => {
  it("that ended with a whole log is as it should be, also when another runner took it over", () => {
    assert.strictEqual(verdict({}), 0)
    const taken = [...lines("a", [1, 2]), "The agent main runs as process 1.", ...lines("b", all)]
    assert.strictEqual(verdict({ attempt: 2, lines: taken }), 0)
    assert.strictEqual(verdict({ status: "failed", failure: "runner_lost: …", attempt: 3, lines: lines("a", [1]) }), 0)
  })

  it("that has no end, or failed for no reason, is found", () => {
    assert.strictEqual(verdict({ status: "running" }), 1)
    assert.strictEqual(verdict({ status: "failed", failure: "provider_failed: …" }), 1)
  })

  it("whose log has a gap, a line twice, or too little, is found", () => {
    assert.strictEqual(verdict({ lines: lines("a", all.slice(1)) }), 1)
    assert.strictEqual(verdict({ lines: lines("a", [1, ...all]) }), 1)
    assert.strictEqual(verdict({ lines: lines("a", all.slice(0, -1)) }), 1)
    assert.strictEqual(verdict({ lines: [] }), 1)
  })

  it("that was run more often than it was taken is found", () => {
    assert.strictEqual(verdict({ lines: [...lines("a", [1]), ...lines("b", all)] }), 1)
  })
})
