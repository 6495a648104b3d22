/**
 * What providers print, made fit for the log of a build: whole lines, readable, bounded, and without secrets.
 *
 * Order matters: first what cannot be seen is taken out, then secrets are replaced, then a long line is cut. So a secret
 * that is coloured in the middle is found, and none is cut in two before it could be found.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import * as PlainText from "../domain/PlainText.ts"

/**
 * The longest line of a log, in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const lineLimit = 4096

/**
 * The lines of a text as they may be shown.
 *
 * @since 0.1.0
 * @category combinators
 */
export const split: (text: string) => ReadonlyArray<string> = PlainText.lines

/**
 * Replaces secrets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Redactor {
  /** From now on this is replaced, each line of it that is long enough to mean something. */
  readonly hide: (secret: Redacted.Redacted<string>) => void
  readonly redact: (line: string) => string
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const makeRedactor = (): Redactor => {
  let hidden: ReadonlyArray<string> = []
  return {
    hide: (secret) => {
      const parts = split(Redacted.value(secret)).filter((part) => part.length >= shortest)
      // The longest first: one may hold another.
      hidden = Array.from(new Set([...hidden, ...parts])).sort((a, b) => b.length - a.length)
    },
    redact: (line) => hidden.reduce((text, secret) => text.replaceAll(secret, mask), line)
  }
}

/**
 * A line that is too long loses its end, never half a character. Answers its size in bytes with it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const cut = (line: string): { readonly text: string; readonly bytes: number } => {
  const { read, written } = encoder.encodeInto(line, buffer)
  if (read === line.length) return { text: line, bytes: written }
  const kept = encoder.encodeInto(line, buffer.subarray(0, lineLimit - ellipsisBytes))
  return { text: line.slice(0, kept.read) + ellipsis, bytes: kept.written + ellipsisBytes }
}

/** What would be replaced everywhere if it were a secret. */
const shortest = 4

const mask = "***"

const encoder = new TextEncoder()

/** Written anew in each call; a turn of JavaScript is atomic. */
const buffer = new Uint8Array(lineLimit)

const ellipsis = " \u2026"

const ellipsisBytes = encoder.encode(ellipsis).length
