import { assert, describe, it } from "@effect/vitest"
import * as ModelText from "../../src/tool/ModelText.ts"

type Pieces = Parameters<typeof ModelText.fromOutput>[0]

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Pieces one after the other: texts and bytes of stdout, and how many bytes are missing. */
const pieces = (...parts: ReadonlyArray<string | Uint8Array | number | { readonly stderr: Uint8Array }>): Pieces => {
  let offset = 0
  return parts.map((part) => {
    const from = offset
    if (typeof part === "number") {
      offset += part
      return { _tag: "Gap" as const, from, to: offset }
    }
    const stream = typeof part === "object" && "stderr" in part ? "stderr" as const : "stdout" as const
    const bytes = typeof part === "string" ? encode(part) : "stderr" in part ? part.stderr : part
    offset += bytes.length
    return { _tag: "Data" as const, offset: from, stream, bytes }
  })
}

const euro = encode("€")
const snail = encode("🐌")

describe("output as a text", () => {
  it("keeps both streams in the order in which they came", () => {
    const { text } = ModelText.fromOutput(pieces("a\n", { stderr: encode("b\n") }, "c\n"), 1000)
    assert.strictEqual(text, "a\nb\nc\n")
  })

  it("makes a character whole whose bytes came in several pieces, with the other stream between", () => {
    const split = pieces(
      "1",
      snail.subarray(0, 1),
      { stderr: encode("x") },
      snail.subarray(1, 3),
      snail.subarray(3),
      "2"
    )
    assert.deepStrictEqual(ModelText.fromOutput(split, 1000), { text: "1x🐌2", leftOut: 0, unreadable: false })
  })

  it("says what is missing, and takes with it what the gap tore apart", () => {
    const torn = pieces("ab", euro.subarray(0, 2), 10, euro.subarray(2), "cd")
    assert.deepStrictEqual(ModelText.fromOutput(torn, 1000), {
      text: "ab\n[… 13 bytes left out …]\ncd",
      leftOut: 13,
      unreadable: false
    })
  })

  it("an end in the middle of a character is not text", () => {
    assert.deepStrictEqual(ModelText.fromOutput(pieces("ab", euro.subarray(0, 2)), 1000), {
      text: "ab\uFFFD",
      leftOut: 0,
      unreadable: true
    })
  })

  it("shows a run of bytes that are not text as one mark, and keeps line breaks, tabs and colours", () => {
    const { text, unreadable } = ModelText.fromOutput(
      pieces(new Uint8Array([0x45, 0x4c, 0x46, 0, 1, 2, 255, 254, 0x41]), "\t\u001B[31mred\r\n"),
      1000
    )
    assert.deepStrictEqual([text, unreadable], ["ELF\uFFFDA\t\u001B[31mred\r\n", true])
  })

  it("exactly at the limit nothing is left out, one byte more and the middle is", () => {
    const limit = 1000
    const whole = "x".repeat(limit)
    assert.deepStrictEqual(ModelText.fromOutput(pieces(whole), limit), { text: whole, leftOut: 0, unreadable: false })
    const { leftOut, text } = ModelText.fromOutput(pieces(`${whole}y`), limit)
    assert.isAtMost(encode(text).length, limit)
    assert.isTrue(text.startsWith("xxx") && text.endsWith("xy"))
    const kept = text.replace(`\n${ModelText.mark(leftOut)}\n`, "")
    assert.strictEqual(kept.length + leftOut, limit + 1)
  })

  it("cuts no character in two, wherever the limit falls", () => {
    const text = "🐌€ü!".repeat(200)
    for (let limit = 200; limit < 212; limit++) {
      const shown = ModelText.fromOutput(pieces(text), limit)
      assert.isAtMost(encode(shown.text).length, limit)
      assert.isFalse(shown.text.includes("\uFFFD"), `at ${limit}`)
      const kept = shown.text.replace(`\n${ModelText.mark(shown.leftOut)}\n`, "")
      assert.strictEqual(encode(kept).length + shown.leftOut, encode(text).length)
    }
  })

  it("counts the gaps in what is left out between beginning and end", () => {
    const long = pieces("a".repeat(5000), 70_000, "b".repeat(5000))
    const { leftOut, text } = ModelText.fromOutput(long, 1000)
    assert.strictEqual(encode(text.replace(`\n${ModelText.mark(leftOut)}\n`, "")).length + leftOut, 80_000)
    assert.isTrue(text.startsWith("aaa") && text.endsWith("bbb"))
  })

  it("thousands of gaps stay within the limit too", () => {
    const many = pieces(...Array.from({ length: 4000 }, () => ["a", 5] as const).flat())
    assert.isAtMost(encode(ModelText.fromOutput(many, 1000).text).length, 1000)
  })
})

describe("short texts", () => {
  it("are cut between characters", () => {
    assert.strictEqual(ModelText.shortened("abcd", 4), "abcd")
    assert.strictEqual(ModelText.shortened("abcde", 4), "abcd…")
    assert.strictEqual(ModelText.shortened("abc🐌", 4), "abc…")
  })
})
