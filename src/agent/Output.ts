/**
 * The output of a process as its agent tells it, put in order and kept within bounds.
 *
 * An agent may repeat what was heard before a link was lost, and may say anything: what lies before the next expected
 * offset is cut off, and what is missing becomes a gap, so that readers see each byte once and in order.
 *
 * @since 0.1.0
 */
import type { OutputData, OutputGap } from "./Protocol.ts"
import { chunkLimit } from "./Protocol.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type Piece = OutputData | OutputGap

/**
 * What of a piece lies at or after `next`: nothing, the rest of it, or it and the gap before it. None when it breaks the
 * protocol.
 *
 * @since 0.1.0
 * @category combinators
 */
export const advance = (next: number, piece: Piece): ReadonlyArray<Piece> | undefined => {
  if (piece._tag === "Gap") {
    if (piece.to <= piece.from) return undefined
    return piece.to <= next ? [] : [{ _tag: "Gap", from: next, to: piece.to }]
  }
  if (piece.bytes.length === 0 || piece.bytes.length > chunkLimit) return undefined
  if (piece.offset > next) return [{ _tag: "Gap", from: next, to: piece.offset }, piece]
  const skip = next - piece.offset
  if (skip === 0) return [piece]
  return skip >= piece.bytes.length ? [] : [{ ...piece, offset: next, bytes: piece.bytes.subarray(skip) }]
}

/**
 * The offset behind a piece.
 *
 * @since 0.1.0
 * @category getters
 */
export const endOf = (piece: Piece): number => piece._tag === "Gap" ? piece.to : piece.offset + piece.bytes.length

/**
 * The beginning and the end of an output of any length: the first 256 KiB, the last 768 KiB, and a gap between.
 *
 * @since 0.1.0
 * @category models
 */
export interface OutputBuffer {
  /** The offset that comes next. */
  readonly next: () => number
  /** Takes a piece; false when it breaks the protocol. */
  readonly add: (piece: Piece) => boolean
  readonly pieces: () => ReadonlyArray<Piece>
}

/**
 * An empty buffer for the output from an offset on.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeBuffer = (from: number): OutputBuffer => {
  const head: Array<Piece> = []
  let headSize = 0
  // What came between: the tail begins at `start`, and what lies before it is given up.
  let gap: OutputGap | undefined
  let tail: Array<Piece> = []
  let start = 0
  let tailSize = 0
  let next = from

  const append = (piece: Piece): void => {
    const size = sizeOf(piece)
    next = endOf(piece)
    if (tail.length === 0 && headSize + size <= headLimit && head.length < piecesLimit) {
      head.push(piece)
      headSize += size
      return
    }
    tail.push(piece)
    tailSize += size
    while (tailSize > tailLimit || tail.length - start > piecesLimit) {
      const oldest = tail[start]
      if (oldest === undefined) return
      gap = { _tag: "Gap", from: gap?.from ?? startOf(oldest), to: endOf(oldest) }
      // The bytes go at once. The slots go many at a time: shifting for each piece would cost the square of their number.
      tail[start] = gap
      start += 1
      tailSize -= sizeOf(oldest)
    }
    if (start > piecesLimit) {
      tail = tail.slice(start)
      start = 0
    }
  }

  return {
    next: () => next,
    add: (piece) => {
      const pieces = advance(next, piece)
      pieces?.forEach(append)
      return pieces !== undefined
    },
    pieces: () => joined([...head, ...(gap === undefined ? [] : [gap]), ...tail.slice(start)])
  }
}

const headLimit = 256 * 1024
const tailLimit = 768 * 1024

/** Pieces can be single bytes; their number is bounded too. */
const piecesLimit = 4096

const sizeOf = (piece: Piece): number => piece._tag === "Gap" ? 0 : piece.bytes.length

const startOf = (piece: Piece): number => piece._tag === "Gap" ? piece.from : piece.offset

/** Gaps that touch are one. */
const joined = (pieces: ReadonlyArray<Piece>): ReadonlyArray<Piece> => {
  const out: Array<Piece> = []
  for (const piece of pieces) {
    const last = out.at(-1)
    if (piece._tag === "Gap" && last?._tag === "Gap") out[out.length - 1] = { ...last, to: piece.to }
    else out.push(piece)
  }
  return out
}
