/**
 * What connecting counts. All label sets are closed; ids are on spans only.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import type { ConnectError } from "../domain/Errors.ts"
import type { Path } from "./LazyDial.ts"

/**
 * How a flight ended: with a connection, with an error by its code, left by all its callers, or by a defect.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "connected" | ConnectError["code"] | "interrupted" | "defect"

/**
 * Why a binding was repaired: the store had dropped its agent, a dial switched, or the agent of an open connection had
 * been replaced.
 *
 * @since 0.1.0
 * @category models
 */
export type Repair = "selected" | "switched" | "replaced"

const dials = Metric.counter("chat_workspace_dials_total", {
  description: "Flights to an agent, by the path that led to a connection and by outcome",
  incremental: true
})

/**
 * Flights by path (`none` where it led to no connection) and outcome.
 *
 * @since 0.1.0
 * @category metrics
 */
export const dial = (path: Path | "none", outcome: Outcome) => Metric.withAttributes(dials, { path, outcome })

const boundaries = Metric.exponentialBoundaries({ start: 1, factor: 2, count: 16 })

const timeToConnection = Metric.histogram("chat_workspace_dial_connection_milliseconds", {
  description: "Time from the start of a flight to its connection",
  boundaries
})

const timeToError = Metric.histogram("chat_workspace_dial_error_milliseconds", {
  description: "Time from the start of a flight to its error",
  boundaries
})

/**
 * Milliseconds of a flight, to its connection or to its error.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duration = (path: Path | "none", outcome: Outcome) =>
  outcome === "connected"
    ? Metric.withAttributes(timeToConnection, { path })
    : Metric.withAttributes(timeToError, { outcome })

const hits = Metric.counter("chat_workspace_dial_hits_total", {
  description: "Calls that were lent an open connection, by what was known of its liveness",
  incremental: true
})

/**
 * Hits on a connection known to be live: no query.
 *
 * @since 0.1.0
 * @category metrics
 */
export const hitLive = Metric.withAttributes(hits, { liveness: "live" })

/**
 * Hits on a connection whose liveness was read from the store first.
 *
 * @since 0.1.0
 * @category metrics
 */
export const hitUnknown = Metric.withAttributes(hits, { liveness: "unknown" })

const repairs = Metric.counter("chat_workspace_dial_repairs_total", {
  description: "Bindings repaired while connecting, by reason",
  incremental: true
})

/**
 * Repaired bindings by reason.
 *
 * @since 0.1.0
 * @category metrics
 */
export const repair = (reason: Repair) => Metric.withAttributes(repairs, { reason })

/**
 * Calls that wait in a flight now.
 *
 * @since 0.1.0
 * @category metrics
 */
export const waiters = Metric.gauge("chat_workspace_dial_waiters", {
  description: "Calls that wait for a connection"
})
