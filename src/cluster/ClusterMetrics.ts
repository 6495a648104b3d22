/**
 * What is counted between nodes; every label has a closed set of values.
 *
 * Of dials that wait and of calls in flight, those of a node with other nodes are counted here and not at its gateway.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import type { Outcome } from "./Opening.ts"
import type { Cause } from "./Tunnel.ts"

const prefix = "chat_workspace_cluster"

/**
 * Which end of a tunnel this node has: `here` where it holds the agent, `away` where another one does.
 *
 * @since 0.1.0
 * @category models
 */
export type Side = "here" | "away"

const open = Metric.gauge(`${prefix}_tunnels`, { description: "Tunnels between nodes that are open now, by side" })

/**
 * Tunnels that are open now.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tunnels = (side: Side) => Metric.withAttributes(open, { side })

const ended = Metric.counter(`${prefix}_tunnels_ended_total`, {
  description: "Tunnels between nodes that ended, by side and cause",
  incremental: true
})

/**
 * Tunnels that ended, by the cause of it.
 *
 * @since 0.1.0
 * @category metrics
 */
export const tunnelsEnded = (side: Side, cause: Cause) => Metric.withAttributes(ended, { side, cause })

const questions = Metric.counter(`${prefix}_asked_total`, {
  description: "Times that other nodes were asked for an agent, by outcome",
  incremental: true
})

/**
 * Times that other nodes were asked for an agent, by what came of it.
 *
 * @since 0.1.0
 * @category metrics
 */
export const asked = (outcome: Outcome["_tag"]) => Metric.withAttributes(questions, { outcome })

/**
 * Dials that wait for their agent now, wherever it may come.
 *
 * @since 0.1.0
 * @category metrics
 */
export const waiters = Metric.gauge(`${prefix}_waiters`, { description: "Dials that wait for their agent now" })

/**
 * The age of the dial that has waited longest, in milliseconds, as of the last second.
 *
 * @since 0.1.0
 * @category metrics
 */
export const oldestWaiter = Metric.gauge(`${prefix}_oldest_waiter_milliseconds`, {
  description: "Milliseconds that the oldest waiting dial has waited"
})

/**
 * The age of the call that has run longest, in milliseconds, as of the last second.
 *
 * @since 0.1.0
 * @category metrics
 */
export const oldestCall = Metric.gauge(`${prefix}_oldest_call_milliseconds`, {
  description: "Milliseconds that the oldest call in flight has run"
})

/**
 * Whether NATS counts as lost: 1 or 0, as of the last second.
 *
 * @since 0.1.0
 * @category metrics
 */
export const brokerLost = Metric.gauge(`${prefix}_broker_lost`, { description: "1 while NATS counts as lost" })
