/**
 * The log of a build that runs: lines are taken at once, numbered, kept within bounds, and written in batches.
 *
 * Nobody who prints waits for the store. What could not be written yet is kept, which is no more than the whole log may
 * be, and written again under the same numbers: a repeat changes nothing.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Redacted from "effect/Redacted"
import type { LeaseLost, StoreError } from "../domain/Errors.ts"
import * as LogLines from "./LogLines.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface BuildLog {
  /** Goes on behind the last line that an earlier runner of the build wrote. */
  readonly continueAfter: (number: number) => void
  /** From now on this secret is replaced by `***`. */
  readonly hide: (secret: Redacted.Redacted<string>) => void
  /** A text that is not for the log, as it would stand there: readable, bounded, without secrets. */
  readonly readable: (text: string) => string
  /** Takes a line, or several. */
  readonly write: (text: string) => Effect.Effect<void>
  /** Writes what was taken and is not written yet. */
  readonly flush: Effect.Effect<void, LeaseLost | StoreError>
  /** Flushes soon after lines come, for ever. A store that fails is asked again. */
  readonly flushing: Effect.Effect<never, LeaseLost>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Line {
  readonly number: number
  readonly text: string
}

/**
 * How many lines are flushed at once, and how long fewer of them wait.
 *
 * @since 0.1.0
 * @category constants
 */
export const flushAt = { lines: 64, after: Duration.seconds(1) }

/**
 * An empty log. `append` writes lines to the store; `logLines` bounds the whole log, `logBytes` what this runner adds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly logLines: number
  readonly logBytes: number
  readonly append: (lines: ReadonlyArray<Line>) => Effect.Effect<void, LeaseLost | StoreError>
}): BuildLog => {
  const { append, logBytes, logLines } = options
  const redactor = LogLines.makeRedactor()
  const pending: Array<Line> = []
  const some = Latch.makeUnsafe(false)
  const many = Latch.makeUnsafe(false)
  let last = 0
  let bytes = 0
  let full = false

  const put = (text: string): void => {
    pending.push({ number: ++last, text })
    some.openUnsafe()
    if (pending.length >= flushAt.lines) many.openUnsafe()
  }

  const take = (line: string): void => {
    if (full) return
    const { bytes: size, text } = LogLines.cut(redactor.redact(line))
    full = last >= logLines || bytes + size > logBytes
    bytes += size
    put(full ? "The log is longer than its limit; what follows is not kept." : text)
  }

  const flush = Effect.gen(function*() {
    while (pending.length > 0) {
      const batch = pending.slice(0, batchLines)
      yield* append(batch)
      pending.splice(0, batch.length)
    }
    some.closeUnsafe()
    many.closeUnsafe()
  })

  return {
    continueAfter: (number) => {
      last = number
      full = last > logLines
    },
    hide: redactor.hide,
    readable: (text) => LogLines.cut(LogLines.split(text).map(redactor.redact).join("\n")).text,
    write: (text) => Effect.sync(() => LogLines.split(text).forEach(take)),
    flush,
    flushing: Effect.forever(
      some.await.pipe(
        Effect.andThen(Effect.timeoutOption(many.await, flushAt.after)),
        Effect.andThen(flush),
        Effect.catchTag(
          "StoreError",
          (error) =>
            Effect.andThen(
              Effect.logDebug("The log of a build is kept until the store answers", error),
              Effect.sleep(flushAt.after)
            )
        )
      )
    )
  }
}

/** One statement of the store at most. */
const batchLines = 1000
