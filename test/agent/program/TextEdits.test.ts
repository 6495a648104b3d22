import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as TextEdits from "../../../src/agent/program/TextEdits.ts"

const edited = (content: string, ...edits: Parameters<typeof TextEdits.apply>[1]): string =>
  Buffer.from(Result.getOrThrow(TextEdits.apply(Buffer.from(content), edits))).toString()

const failed = (content: string, ...edits: Parameters<typeof TextEdits.apply>[1]): TextEdits.Mismatch =>
  Result.getOrThrow(Result.flip(TextEdits.apply(Buffer.from(content), edits)))

describe("TextEdits", () => {
  it("replaces the one place, in order", () => {
    assert.strictEqual(edited("a b c", { find: "b", replace: "x" }, { find: "x c", replace: "y" }), "a y")
    assert.strictEqual(edited("grün", { find: "ü", replace: "ue" }), "gruen")
    assert.strictEqual(edited("$&", { find: "$&", replace: "$1" }), "$1")
  })

  it("replaces all places when asked, without looking at what it put there", () => {
    assert.strictEqual(edited("aXaXa", { find: "a", replace: "aa", all: true }), "aaXaaXaa")
  })

  it("refuses what is not there, naming the edit", () => {
    assert.deepStrictEqual(failed("abc", { find: "x", replace: "" }), {
      reason: "noMatch",
      detail: "the text to find is not in the file"
    })
    assert.deepStrictEqual(failed("abc", { find: "a", replace: "" }, { find: "a", replace: "", all: true }), {
      reason: "noMatch",
      detail: "edit 2 of 2: the text to find is not in the file"
    })
  })

  it("refuses what is there more than once, also where the places overlap", () => {
    assert.strictEqual(failed("abab", { find: "ab", replace: "" }).reason, "manyMatches")
    assert.strictEqual(failed("aaa", { find: "aa", replace: "" }).reason, "manyMatches")
  })

  it("leaves bytes that are no text as they are", () => {
    const content = Uint8Array.from([0xff, 0x00, 0x61, 0xfe, 0xc3])
    const result = Result.getOrThrow(TextEdits.apply(content, [{ find: "a", replace: "bc" }]))
    assert.deepStrictEqual([...result], [0xff, 0x00, 0x62, 0x63, 0xfe, 0xc3])
  })
})
