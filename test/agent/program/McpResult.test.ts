import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import * as McpResult from "../../../src/agent/program/McpResult.ts"

const limit = 256 * 1024

const decoded = (answer: unknown) => Option.getOrThrow(McpResult.decode(answer))

const text = (text: string) => ({ type: "text", text })

const sizeOnWire = (result: ReturnType<typeof decoded>): number =>
  Buffer.byteLength(JSON.stringify({
    ...result,
    content: result.content.map((piece) =>
      piece._tag === "Image" ? { ...piece, bytes: Buffer.from(piece.bytes).toString("base64") } : piece
    )
  }))

describe("McpResult", () => {
  it("is what the tool answered where that fits", () => {
    assert.deepStrictEqual(decoded({ content: [text("a"), text("b")], structuredContent: [1], isError: true }), {
      content: [{ _tag: "Text", text: "a" }, { _tag: "Text", text: "b" }],
      structured: [1],
      isError: true,
      truncated: false
    })
    assert.deepStrictEqual(decoded({}), { content: [], structured: null, isError: false, truncated: false })
    assert.isTrue(Option.isNone(McpResult.decode({ content: "text" })))
    assert.isTrue(Option.isNone(McpResult.decode(null)))
  })

  it("cuts a text that does not fit, whatever its characters take on the wire", () => {
    for (const character of ["x", "ü", "\u0000", "\"", "😀"]) {
      const result = decoded({ content: [text("first"), text(character.repeat(limit)), text("last")] })
      assert.isTrue(result.truncated)
      assert.isAtMost(sizeOnWire(result), limit)
      assert.isAbove(sizeOnWire(result), limit * 0.8)
      const [first, second, ...others] = result.content
      assert.deepStrictEqual([first, others], [{ _tag: "Text", text: "first" }, []])
      const kept = second?._tag === "Text" ? second.text : ""
      assert.strictEqual(kept, character.repeat(kept.length / character.length))
    }
  })

  it("names an image that does not fit, and leaves out structured content that does not", () => {
    const data = (bytes: number) => Buffer.alloc(bytes, 7).toString("base64")
    const result = decoded({
      content: [
        { type: "image", mimeType: "image/png", data: data(100_000) },
        { type: "image", mimeType: "image/png", data: data(190_000) }
      ],
      structuredContent: { text: "x".repeat(limit) }
    })
    assert.deepStrictEqual(result.content.map((piece) => piece._tag === "Other" ? piece.text : piece._tag), [
      "Image",
      "left out: 254358 bytes are more than fit"
    ])
    assert.deepStrictEqual([result.structured, result.truncated], [null, true])
    assert.isAtMost(sizeOnWire(result), limit)
    const structured = decoded({ content: [text("a")], structuredContent: { text: "x".repeat(limit) } })
    assert.deepStrictEqual([structured.content.length, structured.structured, structured.truncated], [1, null, true])
  })

  it("takes no more than 1,000 pieces", () => {
    const result = decoded({ content: Array.from({ length: 1001 }, () => text("")) })
    assert.deepStrictEqual([result.content.length, result.truncated], [1000, true])
  })
})

describe("a shortened text", () => {
  it("takes no more bytes than the limit, and no half of a character", () => {
    assert.strictEqual(McpResult.shortened("ü".repeat(10), 20), "ü".repeat(10))
    assert.strictEqual(McpResult.shortened("ü".repeat(11), 20), `${"ü".repeat(7)}…`)
    assert.strictEqual(McpResult.shortened(`x${"ü".repeat(11)}`, 20), `x${"ü".repeat(6)}…`)
  })
})
