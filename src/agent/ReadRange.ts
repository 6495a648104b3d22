/**
 * What a read of a file asks for: all of it, or a range. A file that is larger than one answer is refused unless a range
 * was asked for, so that nobody takes its beginning for the whole.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { FileError } from "../domain/Errors.ts"

/**
 * Bytes that one read answers, at most.
 *
 * @since 0.1.0
 * @category constants
 */
export const readLimit = 1024 * 1024

/**
 * @since 0.1.0
 * @category models
 */
export interface ReadRange {
  readonly offset: number
  readonly limit: number
  readonly whole: boolean
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: { readonly offset?: number | undefined; readonly limit?: number | undefined } | undefined
): ReadRange => ({
  offset: options?.offset ?? 0,
  limit: Math.min(options?.limit ?? readLimit, readLimit),
  whole: options?.offset === undefined && options?.limit === undefined
})

/**
 * Fails with `FileError` (`tooLarge`) where all of a file was asked for that is larger than one answer.
 *
 * @since 0.1.0
 * @category combinators
 */
export const check = (range: ReadRange, path: string, size: number): Effect.Effect<void, FileError> =>
  range.whole && size > readLimit
    ? Effect.fail(
      new FileError({
        path,
        reason: "tooLarge",
        detail: `has ${size} bytes; ask for a range of at most ${readLimit}`,
        changed: []
      })
    )
    : Effect.void
