/**
 * What the gateway counts; every label has a closed set of values.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import type { CloseReason } from "./AgentConnection.ts"

const prefix = "chat_workspace_gateway"

/**
 * Sessions that are lent now.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sessions = Metric.gauge(`${prefix}_sessions`, { description: "Sessions that are lent now" })

const ended = Metric.counter(`${prefix}_sessions_ended_total`, {
  description: "Sessions that ended, by reason",
  incremental: true
})

/**
 * Sessions that ended, by `reason`: a reason to close a connection.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sessionsEnded = (reason: CloseReason) => Metric.withAttributes(ended, { reason })

const refusals = Metric.counter(`${prefix}_refused_total`, {
  description: "Sockets turned away before they were lent, by reason",
  incremental: true
})

/**
 * Sockets that were turned away, by `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const refused = (reason: string) => Metric.withAttributes(refusals, { reason })

/**
 * Dials that wait for their agent now.
 *
 * @since 0.1.0
 * @category metrics
 */
export const waiters = Metric.gauge(`${prefix}_waiters`, { description: "Dials that wait for their agent now" })

/**
 * The age of the dial that has waited longest, in milliseconds, as of the last heartbeat.
 *
 * @since 0.1.0
 * @category metrics
 */
export const oldestWaiter = Metric.gauge(`${prefix}_oldest_waiter_milliseconds`, {
  description: "Milliseconds that the oldest waiting dial has waited"
})

/**
 * The age of the call that has run longest, in milliseconds, as of the last heartbeat.
 *
 * @since 0.1.0
 * @category metrics
 */
export const oldestCall = Metric.gauge(`${prefix}_oldest_call_milliseconds`, {
  description: "Milliseconds that the oldest call in flight has run"
})

const callsEnded = Metric.counter(`${prefix}_calls_total`, {
  description: "Calls that ended, by method and outcome",
  incremental: true
})

/**
 * Calls that ended, by `method` and `outcome`: `ok`, `interrupted` or the tag of the error.
 *
 * @since 0.1.0
 * @category metrics
 */
export const calls = (method: string, outcome: string) => Metric.withAttributes(callsEnded, { method, outcome })

const beats = Metric.counter(`${prefix}_heartbeats_total`, {
  description: "Heartbeats to the store, by outcome",
  incremental: true
})

/**
 * Heartbeats to the store, by `outcome`: `ok` or `failed`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const heartbeats = (outcome: "ok" | "failed") => Metric.withAttributes(beats, { outcome })

/**
 * Milliseconds from one recorded heartbeat to the next beyond the interval.
 *
 * @since 0.1.0
 * @category metrics
 */
export const heartbeatLag = Metric.gauge(`${prefix}_heartbeat_lag_milliseconds`, {
  description: "Milliseconds by which the last recorded heartbeat was late"
})

const written = Metric.counter(`${prefix}_lifecycles_total`, {
  description: "Lifecycles of agents written to the store, by outcome",
  incremental: true
})

/**
 * Lifecycles of agents written to the store, by `outcome`: `ok` or `failed`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const lifecycles = (outcome: "ok" | "failed") => Metric.withAttributes(written, { outcome })

/**
 * Kills that are owed to agents whose link is down.
 *
 * @since 0.1.0
 * @category metrics
 */
export const debts = Metric.gauge(`${prefix}_kill_debts`, { description: "Kills owed to agents whose link is down" })
