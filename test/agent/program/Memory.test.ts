import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const memory = fileURLToPath(new URL("../../../src/agent/program/Memory.ts", import.meta.url))

/** By how many megabytes the young generation of a process grows in a flood of garbage, of which a little lives on. */
const growth = (before: string): number => {
  const script = `
    import * as Effect from "effect/Effect"
    import { getHeapSpaceStatistics } from "node:v8"
    import { keepSmall } from ${JSON.stringify(memory)}
    const young = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space").space_size
    ${before}
    const first = young()
    const kept = []
    for (let index = 0; index < 2_000_000; index++) kept[index % 100_000] = { index, text: "x" + index }
    console.log((young() - first) / 2 ** 20)`
  return Number(execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }))
}

describe("the young generation of the program", () => {
  it("does not grow in a flood of garbage, in which it would", () => {
    assert.isAtMost(growth("Effect.runSync(keepSmall)"), 1)
    assert.isAtLeast(growth(""), 8)
  })
})
