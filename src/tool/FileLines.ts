/**
 * Some lines of a file that comes in parts, without keeping the rest.
 *
 * @since 0.1.0
 */
import * as ModelText from "./ModelText.ts"

/**
 * Which lines: at most `count` from `from` on, at most `bytes` of them together, and of each at most `lineBytes`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wanted {
  readonly from: number
  readonly count: number
  readonly bytes: number
  readonly lineBytes: number
}

/**
 * The lines as they stand in the file, their line breaks included. `next` is the first line behind them, where the file
 * is known to go on; `line` is the last that was seen of the file.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lines {
  readonly content: string
  readonly lines: number
  readonly line: number
  readonly next: number | undefined
  readonly cut: boolean
  readonly unreadable: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface FileLines {
  /** Takes the next part; false when no more is needed. */
  readonly add: (part: Uint8Array) => boolean
  /** What was found, when all was added or no more is needed. */
  readonly end: () => Lines
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (wanted: Wanted): FileLines => {
  const texts: Array<string> = []
  let room = wanted.bytes
  let line = 0
  let next: number | undefined
  let cut = false
  let unreadable = false
  const kept = new Uint8Array(wanted.lineBytes)
  let length = 0
  let isOpen = false

  /** Ends the line; false when it does not fit beside those before it. */
  const close = (lineBreak: string): boolean => {
    isOpen = false
    if (line < wanted.from) return true
    const shown = length > wanted.lineBytes ? whole(kept) : kept.subarray(0, length)
    const { text, unreadable: isUnreadable } = ModelText.fromBytes(shown)
    const left = length - shown.length
    const full = `${text}${left > 0 ? ` ${ModelText.mark(left)}` : ""}${lineBreak}`
    const size = encoder.encode(full).length
    if (size > room && texts.length > 0) {
      next = line
      return false
    }
    texts.push(full)
    room -= size
    cut ||= left > 0
    unreadable ||= isUnreadable
    return true
  }

  const add = (part: Uint8Array): boolean => {
    let at = 0
    while (at < part.length) {
      if (next !== undefined) return false
      if (!isOpen) {
        line += 1
        length = 0
        isOpen = true
        if (texts.length === wanted.count) {
          next = line
          return false
        }
      }
      const found = part.indexOf(lineBreak, at)
      const until = found === -1 ? part.length : found
      if (line >= wanted.from && length < wanted.lineBytes) {
        kept.set(part.subarray(at, Math.min(until, at + wanted.lineBytes - length)), length)
      }
      length += until - at
      at = until + 1
      if (found !== -1 && !close("\n")) return false
    }
    return true
  }

  return {
    add,
    end: () => {
      if (isOpen && next === undefined) close("")
      return { content: texts.join(""), lines: texts.length, line, next, cut, unreadable }
    }
  }
}

const encoder = new TextEncoder()
const lineBreak = 10

/** Without the beginning of a character that is cut off. */
const whole = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length - ModelText.incomplete(bytes))
