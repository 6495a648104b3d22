/**
 * What running builds counts. All label sets are closed; ids are on spans only.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import type { BuildFailureCode, Transition } from "../domain/Build.ts"

/**
 * How a build ended on this node. `lost` is one whose lease went, or could not be kept; `released` one that was given
 * back when the node ended. Both say nothing about how the build ends in the end.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "succeeded" | BuildFailureCode | "canceled" | "lost" | "released"

const prefix = "chat_workspace_builds"

const ended = Metric.counter(`${prefix}_total`, {
  description: "Builds that ended on this node, by transition and outcome",
  incremental: true
})

/**
 * Builds by transition and outcome.
 *
 * @since 0.1.0
 * @category metrics
 */
export const builds = (transition: Transition, outcome: Outcome) =>
  Metric.withAttributes(ended, { transition, outcome })

const took = Metric.histogram(`${prefix}_seconds`, {
  description: "Seconds from the take of a build to its end",
  boundaries: Metric.exponentialBoundaries({ start: 0.5, factor: 2, count: 13 })
})

/**
 * Seconds that a build ran, by transition and outcome.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duration = (transition: Transition, outcome: Outcome) =>
  Metric.withAttributes(took, { transition, outcome })

/**
 * Seconds from the request of a build to its first take.
 *
 * @since 0.1.0
 * @category metrics
 */
export const queueWait = Metric.histogram(`${prefix}_queue_wait_seconds`, {
  description: "Seconds from the request of a build to its first take",
  boundaries: Metric.exponentialBoundaries({ start: 0.25, factor: 2, count: 13 })
})

/**
 * Builds that run on this node now.
 *
 * @since 0.1.0
 * @category metrics
 */
export const running = Metric.gauge(`${prefix}_running`, { description: "Builds that run on this node now" })

/**
 * The age of the build that has run longest here, as of the last look at the queue.
 *
 * @since 0.1.0
 * @category metrics
 */
export const oldest = Metric.gauge(`${prefix}_oldest_seconds`, {
  description: "Seconds that the oldest build on this node has run"
})
