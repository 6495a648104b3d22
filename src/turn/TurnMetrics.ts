/**
 * What the work before a turn, and the notices within it, count. All label sets are closed.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * What became of the instruction files of a turn: taken from the store, read through the agent, not there to be read
 * because there is no workspace or no agent, not read because something failed, or not in time.
 *
 * @since 0.1.0
 * @category models
 */
export type InstructionsOutcome = "stored" | "read" | "none" | "failed" | "late"

const reads = Metric.counter("chat_workspace_turn_instructions_total", {
  description: "Turns by what became of their instruction files",
  incremental: true
})

/**
 * Turns by what became of their instruction files.
 *
 * @since 0.1.0
 * @category metrics
 */
export const instructions = (outcome: InstructionsOutcome) => Metric.withAttributes(reads, { outcome })

/**
 * What became of the search for tools of a workspace's own servers: switched off, remembered, listed by the agent, no
 * agent to ask, failed, or not in time.
 *
 * @since 0.1.0
 * @category models
 */
export type DiscoveryOutcome = "off" | "hit" | "listed" | "none" | "failed" | "late"

const discoveries = Metric.counter("chat_workspace_turn_mcp_total", {
  description: "Turns by what became of the search for tools of the workspace's own servers",
  incremental: true
})

/**
 * Turns by what became of the search for tools.
 *
 * @since 0.1.0
 * @category metrics
 */
export const discovery = (outcome: DiscoveryOutcome) => Metric.withAttributes(discoveries, { outcome })

const notices = Metric.counter("chat_workspace_turn_notices_total", {
  description: "Calls that were answered from what an earlier call of the turn had found, by error",
  incremental: true
})

/**
 * Calls answered without a dial, by the code of the error.
 *
 * @since 0.1.0
 * @category metrics
 */
export const notice = (code: "no_workspace_agent" | "agent_disconnected" | "dial_timeout") =>
  Metric.withAttributes(notices, { code })
