/**
 * Shows a wait for a workspace on standard error: on a terminal one living line with the time, and the log above it;
 * elsewhere a line for each phase.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { BuildProgress } from "../domain/BuildProgress.ts"

/**
 * Where a wait is shown. `living` is for terminals.
 *
 * @since 0.1.0
 * @category models
 */
export interface Output {
  readonly living: boolean
  readonly write: (text: string) => void
}

/**
 * Standard error, living when it is a terminal.
 *
 * @since 0.1.0
 * @category constructors
 */
export const standardError = (): Output => ({
  living: process.stderr.isTTY === true,
  write: (text) => process.stderr.write(text)
})

/**
 * Shows one report.
 *
 * @since 0.1.0
 * @category models
 */
export type Show = (progress: BuildProgress) => Effect.Effect<void>

/**
 * Takes the reports of a wait until the scope closes, which leaves the lines and removes the living one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  output: Output
): Effect.fn.Return<Show, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  let phase = ""
  let since = clock.currentTimeMillisUnsafe()

  const draw = () =>
    output.write(`${clear}${unwrapped(`… ${seconds(clock.currentTimeMillisUnsafe() - since)}  ${phase}`)}`)
  if (output.living) {
    yield* Effect.addFinalizer(() => Effect.sync(() => output.write(clear)))
    yield* Effect.sync(() => {
      if (phase !== "") draw()
    }).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
  }

  return (progress) =>
    Effect.sync(() => {
      since = clock.currentTimeMillisUnsafe() - Duration.toMillis(progress.elapsed)
      const before = phase
      phase = describe(progress)
      if (!output.living && phase !== before) output.write(`… ${phase}\n`)
      const lines = progress._tag === "Building" ? progress.lines : []
      if (lines.length > 0) {
        output.write(`${output.living ? clear : ""}${lines.map(({ text }) => `  │ ${text}\n`).join("")}`)
      }
      if (output.living) draw()
    })
})

/**
 * The phase of a wait in words. One that stays in the queue says what is missing.
 *
 * @since 0.1.0
 * @category formatters
 */
export const describe = (progress: BuildProgress): string => {
  const what = progress.transition
  switch (progress._tag) {
    case "Queued":
      return progress.ahead > 0
        ? `${what}: waits behind ${progress.ahead} other ${progress.ahead === 1 ? "build" : "builds"}`
        : Duration.toSeconds(progress.elapsed) < patience
        ? `${what}: waits for a server to take it`
        : `${what}: no server takes it; does \`chat-workspace serve\` run on this database?`
    case "Building":
      return progress.attempt > 1 ? `${what}: builds, attempt ${progress.attempt}` : `${what}: builds`
    case "AwaitingAgent":
      return `${what}: waits for its agent`
    case "AwaitingScripts":
      return `${what}: waits for its start-up scripts (${progress.lifecycle})`
  }
}

const patience = 5

const clear = "\r\u001b[K"

/** Cut where the terminal ends, so the time comes first: of a line that is wrapped only the last part could be cleared. */
const unwrapped = (text: string): string => `\u001b[?7l${text}\u001b[?7h`

const seconds = (millis: number): string => `${Math.max(0, Math.round(millis / 1000))} s`
