/**
 * What of a log is stored: every line as a text that a database can hold, and the end of it with a build that failed.
 *
 * @since 0.1.0
 */

/**
 * How many lines the end of a log is made from, and how many bytes of UTF-8 it has at most.
 *
 * @since 0.1.0
 * @category constants
 */
export const tailLines = 200

const tailBytes = 4096

/**
 * A text without what PostgreSQL refuses: NUL, and halves of surrogate pairs.
 *
 * @since 0.1.0
 * @category combinators
 */
export const storable = (text: string): string => text.toWellFormed().replaceAll("\0", "\uFFFD")

/**
 * The end of a log, none when there is no line.
 *
 * @since 0.1.0
 * @category getters
 */
export const tail = (lines: ReadonlyArray<string>): string | null => {
  if (lines.length === 0) return null
  const bytes = new TextEncoder().encode(lines.slice(-tailLines).join("\n"))
  let from = Math.max(0, bytes.length - tailBytes)
  // Not from the middle of a character.
  while (((bytes[from] ?? 0) & 0xc0) === 0x80) from++
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(from))
}
