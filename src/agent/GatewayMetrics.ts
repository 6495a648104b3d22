/**
 * What the gateway counts; every label has a closed set of values.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

const prefix = "chat_workspace_gateway"

/**
 * Sessions that are lent now.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sessions = Metric.gauge(`${prefix}_sessions`, { description: "Sessions that are lent now" })

/**
 * Sessions that ended, by `reason`: a reason to close a connection.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sessionsEnded = Metric.counter(`${prefix}_sessions_ended`, {
  description: "Sessions that ended, by reason",
  incremental: true
})

/**
 * Sockets that were turned away, by `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const refused = Metric.counter(`${prefix}_refused`, {
  description: "Sockets turned away before they were lent, by reason",
  incremental: true
})

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
export const oldestWaiter = Metric.gauge(`${prefix}_oldest_waiter_ms`, {
  description: "Milliseconds that the oldest waiting dial has waited"
})

/**
 * The age of the call that has run longest, in milliseconds, as of the last heartbeat.
 *
 * @since 0.1.0
 * @category metrics
 */
export const oldestCall = Metric.gauge(`${prefix}_oldest_call_ms`, {
  description: "Milliseconds that the oldest call in flight has run"
})

/**
 * Calls that ended, by `method` and `outcome`: `ok`, `interrupted` or the tag of the error.
 *
 * @since 0.1.0
 * @category metrics
 */
export const calls = Metric.counter(`${prefix}_calls`, {
  description: "Calls that ended, by method and outcome",
  incremental: true
})

/**
 * Heartbeats to the store, by `outcome`: `ok` or `failed`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const heartbeats = Metric.counter(`${prefix}_heartbeats`, {
  description: "Heartbeats to the store, by outcome",
  incremental: true
})

/**
 * Milliseconds from one recorded heartbeat to the next beyond the interval.
 *
 * @since 0.1.0
 * @category metrics
 */
export const heartbeatLag = Metric.gauge(`${prefix}_heartbeat_lag_ms`, {
  description: "Milliseconds by which the last recorded heartbeat was late"
})

/**
 * Lifecycles of agents written to the store, by `outcome`: `ok` or `failed`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const lifecycles = Metric.counter(`${prefix}_lifecycles`, {
  description: "Lifecycles of agents written to the store, by outcome",
  incremental: true
})

/**
 * Kills that are owed to agents whose link is down.
 *
 * @since 0.1.0
 * @category metrics
 */
export const debts = Metric.gauge(`${prefix}_kill_debts`, { description: "Kills owed to agents whose link is down" })
