/**
 * The output of a command as lines for a log, in bounded memory.
 *
 * Bytes come as the pipes give them, and a line is whole before it is looked at: a character or a secret that stands in
 * two pieces is one. When the log has had its share only the end is kept, for the message of a command that fails.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import * as LogLines from "../LogLines.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface CommandOutput {
  readonly write: (stream: "stdout" | "stderr", bytes: Uint8Array) => void
  /** Nothing more comes: what stands behind the last line break is a line too. */
  readonly end: () => void
  /** The last lines, at most 2,000 characters of them. */
  readonly tail: () => string
}

/**
 * `emit` gets at most `lines` lines, as long as they are no more than `bytes`, and one that says that there were more.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly lines: number
  readonly bytes: number
  readonly secrets: ReadonlyArray<Redacted.Redacted<string>>
  readonly emit: (line: string) => void
}): CommandOutput => {
  const redactor = LogLines.makeRedactor()
  options.secrets.forEach(redactor.hide)
  const longest = Math.max(0, ...options.secrets.map((secret) => Redacted.value(secret).length))
  const last: Array<string> = []
  let lines = options.lines
  let bytes = options.bytes
  let isFull = false

  const take = (text: string, isCut: boolean): void => {
    const shown = redactor.redact(LogLines.split(text).join(" "))
    // What was cut off may be the second half of a secret: its first half goes too.
    const line = LogLines.cut(isCut ? `${shown.slice(0, Math.max(0, shown.length - longest))}…` : shown)
    last.push(line.text)
    if (last.length > tailLines) last.shift()
    if (isFull) return
    isFull = lines-- <= 0 || bytes <= 0
    bytes -= line.bytes
    options.emit(isFull ? "… the command printed more, which is not kept." : line.text)
  }
  const room = LogLines.lineLimit + longest
  const streams = { stdout: assembler(room, take), stderr: assembler(room, take) }

  return {
    // A flood must not cost the decoding of all of it.
    write: (stream, chunk) => streams[stream].write(isFull ? chunk.subarray(-tailBytes) : chunk),
    end: () => {
      streams.stdout.end()
      streams.stderr.end()
    },
    tail: () => last.join("\n").slice(-tailCharacters).toWellFormed()
  }
}

const tailLines = 20
const tailCharacters = 2_000
const tailBytes = 8 * 1024

interface Assembler {
  readonly write: (bytes: Uint8Array) => void
  readonly end: () => void
}

/** Puts lines together, of each at most `room` characters. */
const assembler = (room: number, line: (text: string, isCut: boolean) => void): Assembler => {
  const decoder = new TextDecoder()
  let pending = ""
  let isCut = false

  const append = (piece: string): void => {
    const text = piece.replace(/\r+$/, "\r")
    if (text === "" || (text === "\r" && pending.endsWith("\r"))) return
    // A progress bar writes over itself: what a terminal would show is what follows the last return.
    const start = text.slice(0, -1).lastIndexOf("\r") + 1
    const isNew = start > 0 || pending.endsWith("\r")
    const joined = isNew ? text.slice(start) : pending + text
    isCut = (isCut && !isNew) || joined.length > room
    pending = joined.slice(0, room)
  }
  const flush = (): void => {
    line(pending.endsWith("\r") ? pending.slice(0, -1) : pending, isCut)
    pending = ""
    isCut = false
  }
  const take = (text: string): void => {
    for (const [index, part] of text.split("\n").entries()) {
      if (index > 0) flush()
      append(part)
    }
  }

  return {
    write: (bytes) => take(decoder.decode(bytes, { stream: true })),
    end: () => {
      take(decoder.decode())
      if (pending !== "") flush()
    }
  }
}
