import { assert, describe, it } from "@effect/vitest"
import * as Output from "../../src/agent/Output.ts"
import { chunkLimit } from "../../src/agent/Protocol.ts"
import { liveBytes } from "../memory.ts"

const data = (offset: number, length: number, stream: "stdout" | "stderr" = "stdout"): Output.Piece => ({
  _tag: "Data",
  offset,
  stream,
  bytes: new Uint8Array(length).map((_, index) => (offset + index) % 251)
})

const gap = (from: number, to: number): Output.Piece => ({ _tag: "Gap", from, to })

describe("advance", () => {
  it("cuts off what was heard before", () => {
    assert.deepStrictEqual(Output.advance(0, data(0, 4)), [data(0, 4)])
    assert.deepStrictEqual(Output.advance(4, data(0, 4)), [])
    assert.deepStrictEqual(Output.advance(3, data(0, 4)), [data(3, 1)])
    assert.deepStrictEqual(Output.advance(10, gap(2, 10)), [])
    assert.deepStrictEqual(Output.advance(5, gap(2, 10)), [gap(5, 10)])
  })

  it("makes a gap of what is missing", () => {
    assert.deepStrictEqual(Output.advance(2, data(5, 1)), [gap(2, 5), data(5, 1)])
    assert.deepStrictEqual(Output.advance(2, gap(5, 9)), [gap(2, 9)])
  })

  it("refuses what breaks the protocol", () => {
    assert.isDefined(Output.advance(0, data(0, chunkLimit)))
    assert.isUndefined(Output.advance(0, data(0, chunkLimit + 1)))
    assert.isUndefined(Output.advance(0, data(0, 0)))
    assert.isUndefined(Output.advance(0, gap(5, 5)))
  })
})

describe("an output buffer", () => {
  const total = (pieces: ReadonlyArray<Output.Piece>): number =>
    pieces.reduce((sum, piece) => sum + (piece._tag === "Data" ? piece.bytes.length : 0), 0)

  const isContiguous = (pieces: ReadonlyArray<Output.Piece>, end: number): void => {
    let next = 0
    for (const piece of pieces) {
      assert.strictEqual(piece._tag === "Gap" ? piece.from : piece.offset, next)
      next = Output.endOf(piece)
    }
    assert.strictEqual(next, end)
  }

  it("keeps everything up to its size", () => {
    const buffer = Output.makeBuffer(0)
    for (let offset = 0; offset < 1024 * 1024; offset += 64 * 1024) assert.isTrue(buffer.add(data(offset, 64 * 1024)))
    assert.strictEqual(total(buffer.pieces()), 1024 * 1024)
    assert.isFalse(buffer.pieces().some(({ _tag }) => _tag === "Gap"))
  })

  it("keeps the beginning and the end of more, with one gap", () => {
    const buffer = Output.makeBuffer(0)
    const length = 5 * 1024 * 1024
    for (let offset = 0; offset < length; offset += 10_000) buffer.add(data(offset, 10_000))
    const pieces = buffer.pieces()
    assert.strictEqual(pieces.filter(({ _tag }) => _tag === "Gap").length, 1)
    assert.isAtMost(total(pieces), 1024 * 1024)
    assert.isAtLeast(total(pieces), 1024 * 1024 - 20_000)
    isContiguous(pieces, buffer.next())
  })

  it("lets go of what it does not keep, piece by piece", () => {
    const buffer = Output.makeBuffer(0)
    const before = liveBytes()
    for (let offset = 0; offset < 64 * 1024 * 1024; offset += 64 * 1024) {
      buffer.add({ _tag: "Data", offset, stream: "stdout", bytes: new Uint8Array(64 * 1024) })
    }
    assert.isBelow(liveBytes() - before, 16 * 1024 * 1024)
    assert.isAtMost(total(buffer.pieces()), 1024 * 1024)
  })

  it("bounds the number of pieces too", () => {
    const buffer = Output.makeBuffer(0)
    for (let offset = 0; offset < 50_000; offset++) buffer.add(data(offset, 1, offset % 2 === 0 ? "stdout" : "stderr"))
    const pieces = buffer.pieces()
    assert.isAtMost(pieces.length, 2 * 4096 + 1)
    isContiguous(pieces, 50_000)
  })

  it("a repeated stretch after a lost link is heard once", () => {
    const buffer = Output.makeBuffer(0)
    buffer.add(data(0, 100))
    buffer.add(data(50, 100))
    assert.strictEqual(buffer.next(), 150)
    assert.strictEqual(total(buffer.pieces()), 150)
    isContiguous(buffer.pieces(), 150)
  })
})
