/**
 * Since when the heartbeats of agents were recorded without a gap, so that our own outage is never read as the death
 * of an agent.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"

/**
 * The span of recorded heartbeats: where it began, and the last one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Coverage {
  readonly since: DateTime.Utc
  readonly lastBeatAt: DateTime.Utc
}

/**
 * Silence longer than this between two recorded heartbeats ends the span.
 *
 * @since 0.1.0
 * @category models
 */
export const maxGap: Duration.Duration = Duration.seconds(30)

const gapped = (coverage: Coverage, at: DateTime.Utc): boolean =>
  Duration.isGreaterThan(DateTime.distance(coverage.lastBeatAt, at), maxGap)

/**
 * The coverage after a heartbeat was recorded at `at`: the span goes on, or begins anew after a gap.
 *
 * @since 0.1.0
 * @category combinators
 */
export const beat = (coverage: Coverage | undefined, at: DateTime.Utc): Coverage => ({
  since: coverage === undefined || gapped(coverage, at) ? at : coverage.since,
  lastBeatAt: at
})

/**
 * Since when a reader at `asOf` may hold silence against an agent: not at all while no heartbeat is recorded.
 *
 * @since 0.1.0
 * @category getters
 */
export const coveredSince = (coverage: Coverage | undefined, asOf: DateTime.Utc): DateTime.Utc =>
  coverage === undefined || gapped(coverage, asOf) ? asOf : coverage.since
