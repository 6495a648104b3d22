/**
 * What all phases of one wait have in common: which build it is about, the store's clock, and who hears how far it is.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { BuildProgress } from "../domain/BuildProgress.ts"
import type { BuildId } from "../domain/Ids.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Watch {
  readonly buildId: BuildId
  /** Whether anybody hears the reports. */
  readonly listening: () => boolean
  /** Reports what is new: another phase or state, lines of the log, or the time when nothing was said for a while. */
  readonly note: (progress: BuildProgress) => void
  /** An answer of the store came just now, and this is when it was read there. */
  readonly heard: (asOf: DateTime.Utc) => void
  /** Milliseconds from an instant of the store's clock until now. */
  readonly since: (instant: DateTime.Utc) => number
}

/**
 * Who waits, and how often they want to hear that nothing has changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly buildId: BuildId
  readonly listening: () => boolean
  readonly report: (progress: BuildProgress) => void
  readonly every: Duration.Duration
}

/**
 * The clock of the store goes on here from what it said last. Instants of it are deadlines, so a node whose own clock is
 * wrong, or was set meanwhile, keeps them too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ buildId, every, listening, report }: Options): Effect.Effect<Watch> =>
  Effect.map(Clock.Clock, (clock) => {
    const here = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
    let ahead = clock.currentTimeMillisUnsafe() - here()
    let state = ""
    let saidAt = 0
    return {
      buildId,
      listening,
      note: (progress) => {
        const now = stateOf(progress)
        const lines = progress._tag === "Building" ? progress.lines.length : 0
        if (now === state && lines === 0 && here() - saidAt < Duration.toMillis(every)) return
        state = now
        saidAt = here()
        report(progress)
      },
      heard: (asOf) => {
        ahead = DateTime.toEpochMillis(asOf) - here()
      },
      since: (instant) => here() + ahead - DateTime.toEpochMillis(instant)
    }
  })

/**
 * What a report says of its phase.
 *
 * @since 0.1.0
 * @category getters
 */
export const elapsed = (from: DateTime.Utc, asOf: DateTime.Utc): Duration.Duration =>
  Duration.max(Duration.zero, DateTime.distance(from, asOf))

const stateOf = (progress: BuildProgress): string => {
  switch (progress._tag) {
    case "Queued":
      return `${progress._tag} ${progress.ahead}`
    case "Building":
      return `${progress._tag} ${progress.attempt}`
    case "AwaitingAgent":
      return `${progress._tag} ${progress.agentId}`
    case "AwaitingScripts":
      return `${progress._tag} ${progress.agentId} ${progress.lifecycle}`
  }
}
