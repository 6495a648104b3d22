import { assert, describe, it } from "@effect/vitest"
import { OutputRing, type OutputStream } from "../../../src/agent/program/OutputRing.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const text = (pieces: ReturnType<OutputRing["read"]>["pieces"]): string =>
  pieces.map((piece) => piece._tag === "Gap" ? `<${piece.from}-${piece.to}>` : new TextDecoder().decode(piece.bytes))
    .join("")

describe("OutputRing", () => {
  it("gives back what was written, in order and by stream", () => {
    const ring = new OutputRing(16, 16)
    ring.write("stdout", bytes("one "))
    ring.write("stderr", bytes("two "))
    ring.write("stderr", bytes("three "))
    ring.write("stdout", bytes("four"))
    const { next, pieces } = ring.read(0, 1_000)
    assert.strictEqual(next, 18)
    assert.deepStrictEqual(
      pieces.map((piece) => piece._tag === "Data" ? [piece.offset, piece.stream, piece.bytes.length] : piece),
      [[0, "stdout", 4], [4, "stderr", 10], [14, "stdout", 2], [16, "stdout", 2]]
    )
    assert.strictEqual(text(pieces), "one two three four")
  })

  it("keeps the beginning and the end, and counts what lies between", () => {
    const ring = new OutputRing(4, 8)
    for (const letter of "abcdefghijklmnopqrst") ring.write("stdout", bytes(letter))
    assert.strictEqual(ring.end, 20)
    assert.strictEqual(ring.dropped, 8)
    assert.strictEqual(text(ring.read(0, 1_000).pieces), "abcd<4-12>mnopqrst")
    assert.strictEqual(text(ring.read(2, 1_000).pieces), "cd<4-12>mnopqrst")
    assert.strictEqual(text(ring.read(6, 1_000).pieces), "<6-12>mnopqrst")
    assert.strictEqual(text(ring.read(15, 2).pieces), "pq")
    assert.deepStrictEqual(ring.read(20, 10), { pieces: [], next: 20 })
  })

  it("keeps the end of one piece that is larger than the whole ring", () => {
    const ring = new OutputRing(2, 4)
    ring.write("stdout", bytes("abcdefghijklmno"))
    assert.strictEqual(text(ring.read(0, 100).pieces), "ab<2-11>lmno")
  })

  it("lets a reader that fell behind go on near the end", () => {
    const ring = new OutputRing(2, 8)
    ring.write("stdout", bytes("abcdefghijklmnop"))
    assert.strictEqual(text(ring.read(2, 100, 3).pieces), "<2-13>nop")
    assert.strictEqual(text(ring.read(2, 100, 100).pieces), "<2-8>ijklmnop")
    assert.strictEqual(text(ring.read(9, 100, 3).pieces), "jklmnop")
  })

  it("reads in chunks of the size asked for", () => {
    const ring = new OutputRing(5, 10)
    ring.write("stdout", bytes("abcdefghijklmno"))
    let next = 0
    const chunks: Array<string> = []
    while (next < ring.end) {
      const slice = ring.read(next, 4)
      chunks.push(text(slice.pieces))
      next = slice.next
    }
    assert.deepStrictEqual(chunks, ["abcd", "efgh", "ijkl", "mno"])
  })

  it("copies what it gives: later writes do not change it", () => {
    const ring = new OutputRing(1, 4)
    ring.write("stdout", bytes("abcde"))
    const { pieces } = ring.read(1, 100)
    ring.write("stdout", bytes("wxyz"))
    assert.strictEqual(text(pieces), "bcde")
  })

  it("bounds what alternating bytes cost, and never says the wrong stream", () => {
    const ring = new OutputRing(1_000_000, 1_000_000)
    const total = 50_000
    for (let index = 0; index < total; index++) ring.write(index % 2 === 0 ? "stdout" : "stderr", bytes("x"))
    assert.strictEqual(ring.end, total)
    let next = 0
    let data = 0
    while (next < total) {
      const slice = ring.read(next, 1_000_000)
      assert.isAtMost(slice.pieces.length, 1_025)
      for (const piece of slice.pieces) {
        if (piece._tag === "Gap") continue
        data += piece.bytes.length
        assert.strictEqual(piece.stream, piece.offset % 2 === 0 ? "stdout" : "stderr")
        assert.strictEqual(piece.bytes.length, 1)
      }
      next = slice.next
    }
    assert.strictEqual(data, 2 * 8_192)
    assert.strictEqual(ring.dropped, total - 2 * 8_192)
  })

  it("takes no more memory than its limits, gives back what it took too much, and can be emptied", () => {
    const ring = new OutputRing(4_096, 8_192)
    ring.write("stdout", new Uint8Array(5_000))
    assert.isAtMost(ring.allocated, 4_096 + 8_192)
    ring.seal()
    assert.strictEqual(ring.allocated, 5_000)
    assert.strictEqual(ring.read(4_000, 10_000).next, 5_000)
    ring.clear()
    assert.strictEqual(ring.allocated, 0)
    assert.deepStrictEqual(ring.read(10, 100), { pieces: [{ _tag: "Gap", from: 10, to: 5_000 }], next: 5_000 })
  })

  it("agrees with an unbounded log in any sequence of writes, at any offset", () => {
    let seed = 42
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return Math.floor(seed / 2_147_483_648 * below)
    }
    for (let round = 0; round < 200; round++) {
      const headLimit = 1 + random(50)
      const tailLimit = 1 + random(80)
      const ring = new OutputRing(headLimit, tailLimit)
      const log: Array<readonly [OutputStream, number]> = []
      for (let write = random(40); write > 0; write--) {
        const stream = random(2) === 0 ? "stdout" : "stderr"
        const piece = Uint8Array.from({ length: random(60) }, () => random(256))
        for (const byte of piece) log.push([stream, byte])
        ring.write(stream, piece)
        if (random(10) > 0) continue
        const from = random(log.length + 1)
        let next = from
        while (next < log.length) {
          const slice = ring.read(next, 1 + random(100))
          assert.isAbove(slice.pieces.length, 0)
          for (const piece of slice.pieces) {
            if (piece._tag === "Gap") {
              assert.strictEqual(piece.from, next)
              assert.isAtLeast(piece.from, headLimit)
              assert.strictEqual(piece.to, log.length - tailLimit)
              next = piece.to
              continue
            }
            assert.strictEqual(piece.offset, next)
            for (const byte of piece.bytes) assert.deepStrictEqual([piece.stream, byte], log[next++])
          }
          assert.strictEqual(slice.next, next)
        }
      }
      if (random(2) === 0) ring.seal()
      assert.strictEqual(ring.end, log.length)
      assert.strictEqual(ring.dropped, Math.max(0, log.length - headLimit - tailLimit))
      assert.strictEqual(ring.read(0, 100_000).next, log.length)
    }
  })
})
