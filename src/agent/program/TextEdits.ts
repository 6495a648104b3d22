/**
 * Replacements in a file's content, on its bytes: what is not found stays as it is, whatever its encoding.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { FileEdit } from "../Protocol.ts"

/**
 * Why an edit does not fit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mismatch {
  readonly reason: "noMatch" | "manyMatches"
  readonly detail: string
}

/**
 * Applies edits in order. Each must match exactly once, or at least once with `all`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const apply = (content: Uint8Array, edits: FileEdit["edits"]): Result.Result<Uint8Array, Mismatch> => {
  let bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  for (const [index, edit] of edits.entries()) {
    const mismatch = (reason: Mismatch["reason"], detail: string): Result.Result<never, Mismatch> =>
      Result.fail({ reason, detail: edits.length === 1 ? detail : `edit ${index + 1} of ${edits.length}: ${detail}` })
    const find = Buffer.from(edit.find)
    const first = bytes.indexOf(find)
    if (first === -1) return mismatch("noMatch", "the text to find is not in the file")
    // Matches that overlap are several places too.
    if (edit.all !== true && bytes.includes(find, first + 1)) {
      return mismatch("manyMatches", "the text to find is in the file more than once")
    }
    const replace = Buffer.from(edit.replace)
    const parts: Array<Buffer> = []
    let kept = 0
    for (let at = first; at !== -1; at = edit.all === true ? bytes.indexOf(find, kept) : -1) {
      parts.push(bytes.subarray(kept, at), replace)
      kept = at + find.length
    }
    parts.push(bytes.subarray(kept))
    bytes = Buffer.concat(parts)
  }
  return Result.succeed(bytes)
}
