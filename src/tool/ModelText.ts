/**
 * Bytes as a text that a model can read: whole characters, in bounded size, and said where something is left out.
 *
 * @since 0.1.0
 */
import type { OutputData, OutputGap } from "../agent/Protocol.ts"

/**
 * `leftOut` counts the bytes that are not in the text. `unreadable` says that some were no text: each run of them stands
 * there as one replacement character.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelText {
  readonly text: string
  readonly leftOut: number
  readonly unreadable: boolean
}

/**
 * The output of a process in the order in which it came, at most `limit` bytes of it: the beginning and the end. The two
 * streams are decoded apart, so that a character whose bytes came in several pieces is whole.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromOutput = (pieces: ReadonlyArray<OutputData | OutputGap>, limit: number): ModelText => {
  const decoders = { stdout: makeDecoder(), stderr: makeDecoder() }
  const parts: Array<Part> = []
  let gap: Part | undefined
  let unreadable = false
  const add = (decoded: string): void => {
    const text = readable(decoded)
    unreadable ||= text.includes("\uFFFD")
    if (text !== "") parts.push({ bytes: encoder.encode(text), missing: 0 })
  }
  for (const piece of pieces) {
    if (piece._tag === "Data") {
      const { text, torn } = decoders[piece.stream].decode(piece.bytes)
      if (gap !== undefined) gap.missing += torn
      add(text)
    } else {
      const torn = decoders.stdout.tear() + decoders.stderr.tear()
      gap = { bytes: noBytes, missing: piece.to - piece.from + torn }
      parts.push(gap)
    }
  }
  add(decoders.stdout.end())
  add(decoders.stderr.end())
  return { ...bounded(parts, limit), unreadable }
}

/**
 * Bytes that are one text, or a part of one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBytes = (bytes: Uint8Array): Omit<ModelText, "leftOut"> => {
  const text = readable(decoder.decode(bytes))
  return { text, unreadable: text.includes("\uFFFD") }
}

/**
 * The first bytes of a text, at most `limit`, without the beginning of a character that does not fit.
 *
 * @since 0.1.0
 * @category getters
 */
export const head = (bytes: Uint8Array, limit: number): Uint8Array => {
  if (bytes.length <= limit) return bytes
  const cut = bytes.subarray(0, Math.max(0, limit))
  return cut.subarray(0, cut.length - incomplete(cut))
}

/**
 * How many bytes at the end are the beginning of a character that is not complete.
 *
 * @since 0.1.0
 * @category getters
 */
export const incomplete = (bytes: Uint8Array): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (isContinuation(byte)) continue
    const length = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? back : 0
  }
  return 0
}

/**
 * A short text of at most so many characters.
 *
 * @since 0.1.0
 * @category combinators
 */
export const shortened = (text: string, limit: number): string => {
  if (text.length <= limit) return text
  const isPair = (text.charCodeAt(limit - 1) & 0xfc00) === 0xd800
  return `${text.slice(0, isPair ? limit - 1 : limit)}…`
}

/**
 * How a text says that so many of its bytes are not there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const mark = (leftOut: number): string => `[… ${leftOut} bytes left out …]`

/** Either a text, or bytes that are missing. */
interface Part {
  readonly bytes: Uint8Array
  missing: number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const noBytes = new Uint8Array(0)

/** Room for a mark, with the line breaks around it. */
const markSize = 64

/** Control characters, except those that place or colour text. */
// oxlint-disable-next-line no-control-regex -- the escape that begins a colour is named to be kept
const notText = /[[\uFFFD\p{Cc}]--[\t\n\v\f\r\b\u001B]]+/gv

const readable = (text: string): string => text.replace(notText, "\uFFFD")

const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80

/** How many bytes at the beginning belong to a character that began before. */
const orphans = (bytes: Uint8Array): number => {
  let count = 0
  while (count < Math.min(3, bytes.length) && isContinuation(bytes[count] ?? 0)) count++
  return count
}

/** Decodes one stream in pieces. What a gap tore apart is left out with it. */
const makeDecoder = () => {
  let begun = noBytes
  let isTorn = false
  return {
    decode: (piece: Uint8Array): { readonly text: string; readonly torn: number } => {
      const torn = isTorn ? orphans(piece) : 0
      isTorn = false
      const bytes = new Uint8Array(begun.length + piece.length - torn)
      bytes.set(begun)
      bytes.set(piece.subarray(torn), begun.length)
      const whole = bytes.length - incomplete(bytes)
      begun = bytes.slice(whole)
      return { text: decoder.decode(bytes.subarray(0, whole)), torn }
    },
    tear: (): number => {
      const torn = begun.length
      begun = noBytes
      isTorn = true
      return torn
    },
    end: (): string => decoder.decode(begun)
  }
}

const sizeOf = ({ bytes, missing }: Part): number => missing > 0 ? markSize : bytes.length

const textOf = ({ bytes, missing }: Part): string => missing > 0 ? `\n${mark(missing)}\n` : decoder.decode(bytes)

const countOf = ({ bytes, missing }: Part): number => bytes.length + missing

const sum = (parts: ReadonlyArray<Part>, f: (part: Part) => number): number =>
  parts.reduce((total, part) => total + f(part), 0)

const bounded = (parts: ReadonlyArray<Part>, limit: number): Omit<ModelText, "unreadable"> => {
  if (sum(parts, sizeOf) <= limit) {
    return { text: parts.map(textOf).join(""), leftOut: sum(parts, ({ missing }) => missing) }
  }
  const half = Math.floor((limit - markSize) / 2)
  const first = fitting(parts, half, head)
  const last = fitting(parts.toReversed(), half, (bytes, room) => {
    const cut = bytes.subarray(bytes.length - room)
    return cut.subarray(orphans(cut))
  }).toReversed()
  const between = sum(parts, countOf) - sum(first, countOf) - sum(last, countOf)
  const shown = [...first, { bytes: noBytes, missing: between }, ...last]
  return { text: shown.map(textOf).join(""), leftOut: sum(shown, ({ missing }) => missing) }
}

/** What fits of the parts, from the first on; the last one cut. */
const fitting = (
  parts: ReadonlyArray<Part>,
  room: number,
  cut: (bytes: Uint8Array, room: number) => Uint8Array
): ReadonlyArray<Part> => {
  const taken: Array<Part> = []
  let left = room
  for (const part of parts) {
    if (sizeOf(part) > left) {
      return part.missing > 0 || left === 0 ? taken : [...taken, { bytes: cut(part.bytes, left), missing: 0 }]
    }
    taken.push(part)
    left -= sizeOf(part)
  }
  return taken
}
