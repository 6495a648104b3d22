/**
 * What the turns of a node count. All label sets are closed.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import type { TurnEnd } from "../domain/Turn.ts"

const ended = Metric.counter("chat_workspace_turns_total", {
  description: "Turns by how they ended",
  incremental: true
})

const seconds = Metric.histogram("chat_workspace_turn_seconds", {
  description: "Turns from their message to their end",
  boundaries: [1, 5, 15, 60, 300, 900, 1800, 3600]
})

/**
 * Turns that ended so.
 *
 * @since 0.1.0
 * @category metrics
 */
export const turns = (status: TurnEnd["status"]) => Metric.withAttributes(ended, { status })

/**
 * How long they took, in seconds.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duration = (status: TurnEnd["status"]) => Metric.withAttributes(seconds, { status })

/**
 * Turns that run on this node.
 *
 * @since 0.1.0
 * @category metrics
 */
export const running = Metric.gauge("chat_workspace_turns_running", { description: "Turns that run on this node" })

/**
 * The age of the turn that has run longest here, as of the last look for lost turns.
 *
 * @since 0.1.0
 * @category metrics
 */
export const oldest = Metric.gauge("chat_workspace_turns_oldest_seconds", {
  description: "Seconds that the oldest turn on this node has run"
})
