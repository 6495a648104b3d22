import { assert, describe, it } from "@effect/vitest"
import * as FileLines from "../../src/tool/FileLines.ts"

const wanted: FileLines.Wanted = { from: 1, count: 100, bytes: 1000, lineBytes: 20 }

/** What is found in a text that comes in parts of so many bytes. */
const found = (text: string, options?: Partial<FileLines.Wanted>, size = 1000): FileLines.Lines => {
  const lines = FileLines.make({ ...wanted, ...options })
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; at += size) {
    if (!lines.add(bytes.subarray(at, at + size))) break
  }
  return lines.end()
}

const nothing = { next: undefined, cut: false, unreadable: false }

describe("lines of a file", () => {
  it("are all there, as they stand in it, however the parts fall", () => {
    const text = "one\r\n\nthreé\n🐌 four"
    for (const size of [1, 2, 3, 7, 1000]) {
      assert.deepStrictEqual(found(text, {}, size), { content: text, lines: 4, line: 4, ...nothing })
    }
  })

  it("a line break at the end begins no line", () => {
    assert.deepStrictEqual(found("a\nb\n"), { content: "a\nb\n", lines: 2, line: 2, ...nothing })
    assert.deepStrictEqual(found(""), { content: "", lines: 0, line: 0, ...nothing })
    assert.deepStrictEqual(found("\n"), { content: "\n", lines: 1, line: 1, ...nothing })
  })

  it("so many of them are read, and where to read on is said only if the file goes on", () => {
    assert.deepInclude(found("a\nb\nc\n", { count: 2 }), { content: "a\nb\n", next: 3 })
    assert.deepInclude(found("a\nb\n", { count: 2 }), { content: "a\nb\n", next: undefined, line: 2 })
    assert.deepInclude(found("a\nb\nc", { from: 2, count: 1 }, 1), { content: "b\n", next: 3 })
    assert.deepInclude(found("a\nb\nc", { from: 3, count: 1 }, 1), { content: "c", next: undefined, line: 3 })
  })

  it("behind the end there are none, and how many there are is known", () => {
    assert.deepInclude(found("a\nb\n", { from: 3 }), { content: "", lines: 0, line: 2, next: undefined })
  })

  it("those that do not fit together are left for the next call", () => {
    const text = "123456789\n".repeat(5)
    assert.deepInclude(found(text, { bytes: 30 }), { content: "123456789\n".repeat(3), next: 4 })
    assert.deepInclude(found(text, { bytes: 29 }), { content: "123456789\n".repeat(2), next: 3 })
    assert.deepInclude(found("123456789\n12345678", { bytes: 17 }), { content: "123456789\n", next: 2 })
  })

  it("the first is there even if it does not fit, so that reading goes on", () => {
    assert.deepInclude(found("123456789\nb\n", { bytes: 5 }), { content: "123456789\n", next: 2 })
  })

  it("a long one is cut between characters, and does not hide those behind it", () => {
    const exact = "x".repeat(20)
    assert.deepInclude(found(`${exact}\nb\n`), { content: `${exact}\nb\n`, cut: false })
    assert.deepInclude(found(`${exact}y\nb\n`, {}, 7), { content: `${exact} [… 1 bytes left out …]\nb\n`, cut: true })
    assert.deepInclude(found(`${"x".repeat(19)}é\nb\n`, {}, 1), {
      content: `${"x".repeat(19)} [… 2 bytes left out …]\nb\n`,
      unreadable: false
    })
  })

  it("bytes that are no text are shown as such", () => {
    const lines = FileLines.make(wanted)
    lines.add(new Uint8Array([0x61, 0xff, 0xfe, 0x62, 0x0a]))
    assert.deepInclude(lines.end(), { content: "a\uFFFDb\n", unreadable: true })
  })
})
