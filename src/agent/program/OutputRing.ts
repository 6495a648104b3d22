/**
 * The output of one process in bounded memory: its beginning, its end, and the count of what lies between.
 *
 * One offset counts both streams. The head is a buffer that grows to its limit and then stays; the tail is a circular
 * buffer that grows to its limit and then overwrites its oldest bytes. Beside each stand runs that say which stream the
 * bytes came from; their number is bounded too, since bytes that alternate between the streams would cost more than
 * themselves: a head with too many runs ends early, a tail with too many drops its oldest run.
 *
 * @since 0.1.0
 */
import type { OutputData, OutputGap } from "../Protocol.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type OutputStream = OutputData["stream"]

/**
 * Pieces in order, and the offset after the last of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface OutputSlice {
  readonly pieces: ReadonlyArray<OutputData | OutputGap>
  readonly next: number
}

/** Runs in the head and in the tail, each. */
const runLimit = 8_192

/** Pieces in one slice: each costs some 80 bytes on the wire beside its content. */
const pieceLimit = 1_024

const smallest = 1_024

/**
 * @since 0.1.0
 * @category models
 */
export class OutputRing {
  readonly #headLimit: number
  readonly #tailLimit: number
  #head = new Uint8Array(0)
  #headRuns = new Runs()
  #headEnd = 0
  #headOpen = true
  #tail = new Uint8Array(0)
  #tailRuns = new Runs()
  #tailFrom = 0
  #end = 0

  constructor(headLimit: number, tailLimit: number) {
    this.#headLimit = headLimit
    this.#tailLimit = tailLimit
  }

  /** Bytes written so far. */
  get end(): number {
    return this.#end
  }

  /** Bytes of memory that the content takes. */
  get allocated(): number {
    return this.#head.length + this.#tail.length
  }

  /** Bytes that are not kept any more. */
  get dropped(): number {
    return this.#tailFrom - this.#headEnd
  }

  write(stream: OutputStream, bytes: Uint8Array): void {
    let rest = bytes
    if (this.#headOpen) {
      const taken = this.#writeHead(stream, rest)
      rest = rest.subarray(taken)
      if (rest.length === 0) return
      this.#headOpen = false
      this.#tailFrom = this.#end
      this.#tailRuns = new Runs()
    }
    this.#writeTail(stream, rest)
  }

  /**
   * What is kept from an offset on, at most `limit` bytes, copied: the ring overwrites what a slow socket still holds.
   * With `rejoin`, a reader that meets a gap goes on at most so many bytes before the end.
   */
  read(from: number, limit: number, rejoin?: number): OutputSlice {
    const pieces: Array<OutputData | OutputGap> = []
    let next = from
    let left = limit
    const take = (runs: Runs, until: number, copy: (from: number, to: number) => Uint8Array<ArrayBuffer>): void => {
      for (let run = runs.find(next); next < until && left > 0 && pieces.length < pieceLimit; run++) {
        const to = Math.min(runs.end(run), until, next + left)
        pieces.push({ _tag: "Data", offset: next, stream: runs.stream(run), bytes: copy(next, to) })
        left -= to - next
        next = to
      }
    }
    take(this.#headRuns, this.#headEnd, (from, to) => this.#head.slice(from, to))
    if (next >= this.#headEnd && next < this.#tailFrom) {
      const to = rejoin === undefined ? this.#tailFrom : Math.max(this.#tailFrom, this.#end - rejoin)
      pieces.push({ _tag: "Gap", from: next, to })
      next = to
    }
    if (next >= this.#tailFrom) take(this.#tailRuns, this.#end, (from, to) => this.#copyTail(from, to))
    return { pieces, next }
  }

  /** Gives back what growing took too much of; nothing is written after that. */
  seal(): void {
    this.#head = this.#head.slice(0, this.#headEnd)
    const written = this.#end - this.#origin
    if (written < this.#tail.length) this.#tail = this.#tail.slice(0, written)
  }

  /** Forgets the content, not how much there was. */
  clear(): void {
    this.#head = new Uint8Array(0)
    this.#headRuns = new Runs()
    this.#headEnd = 0
    this.#headOpen = false
    this.#tail = new Uint8Array(0)
    this.#tailRuns = new Runs()
    this.#tailFrom = this.#end
  }

  #writeHead(stream: OutputStream, bytes: Uint8Array): number {
    const length = Math.min(bytes.length, this.#headLimit - this.#headEnd)
    if (length === 0 || !this.#headRuns.extend(stream, this.#end + length)) return 0
    this.#head = grown(this.#head, this.#headEnd + length, this.#headLimit)
    this.#head.set(bytes.subarray(0, length), this.#headEnd)
    this.#headEnd += length
    this.#end += length
    // Until the head is closed the tail begins where it ends.
    this.#tailFrom = this.#end
    return length
  }

  #writeTail(stream: OutputStream, bytes: Uint8Array): void {
    const end = this.#end + bytes.length
    while (!this.#tailRuns.extend(stream, end)) this.#tailFrom = this.#tailRuns.dropFirst()
    this.#tail = grown(this.#tail, Math.min(this.#tailLimit, end - this.#origin), this.#tailLimit)
    const kept = bytes.subarray(Math.max(0, bytes.length - this.#tail.length))
    const at = (end - kept.length - this.#origin) % this.#tail.length
    const first = Math.min(kept.length, this.#tail.length - at)
    this.#tail.set(kept.subarray(0, first), at)
    this.#tail.set(kept.subarray(first), 0)
    this.#end = end
    this.#tailFrom = Math.max(this.#tailFrom, end - this.#tail.length)
    this.#tailRuns.dropUntil(this.#tailFrom)
  }

  /** The offset of the first byte ever written to the tail: it stands at index 0, before and after growing. */
  get #origin(): number {
    return this.#headEnd
  }

  #copyTail(from: number, to: number): Uint8Array<ArrayBuffer> {
    const at = (from - this.#origin) % this.#tail.length
    const length = to - from
    const first = Math.min(length, this.#tail.length - at)
    const copy = new Uint8Array(length)
    copy.set(this.#tail.subarray(at, at + first), 0)
    copy.set(this.#tail.subarray(0, length - first), first)
    return copy
  }
}

/** Which stream the bytes came from: the ends of runs, the stream in the lowest bit. */
class Runs {
  #packed: Array<number> = []
  #first = 0

  /** False when there is no room for one more run. */
  extend(stream: OutputStream, end: number): boolean {
    const last = this.#packed.length - 1
    if (last >= this.#first && this.stream(last) === stream) this.#packed[last] = pack(stream, end)
    else if (this.#packed.length - this.#first < runLimit) this.#packed.push(pack(stream, end))
    else return false
    return true
  }

  /** Drops the oldest run and answers where the next one begins. */
  dropFirst(): number {
    const end = this.end(this.#first)
    this.#first++
    if (this.#first >= runLimit) {
      this.#packed = this.#packed.slice(this.#first)
      this.#first = 0
    }
    return end
  }

  dropUntil(offset: number): void {
    while (this.#first < this.#packed.length && this.end(this.#first) <= offset) this.dropFirst()
  }

  /** The run that holds an offset. */
  find(offset: number): number {
    let low = this.#first
    let high = this.#packed.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.end(middle) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  end(run: number): number {
    return Math.floor((this.#packed[run] ?? 0) / 2)
  }

  stream(run: number): OutputStream {
    return (this.#packed[run] ?? 0) % 2 === 0 ? "stdout" : "stderr"
  }
}

const pack = (stream: OutputStream, end: number): number => end * 2 + (stream === "stdout" ? 0 : 1)

const grown = (buffer: Uint8Array<ArrayBuffer>, needed: number, limit: number): Uint8Array<ArrayBuffer> => {
  if (needed <= buffer.length) return buffer
  const larger = new Uint8Array(Math.min(limit, Math.max(smallest, needed, buffer.length * 2)))
  larger.set(buffer)
  return larger
}
