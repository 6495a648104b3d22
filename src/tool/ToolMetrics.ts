/**
 * What the model's tools count. All label sets are closed: the names of the tools, and the codes of their failures.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * How a call ended: with a result, by being interrupted, or with the code of a failure. A command that failed is a result.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "ok" | "interrupted" | (string & {})

const calls = Metric.counter("chat_workspace_tool_calls_total", {
  description: "Calls of the model's tools, by tool and outcome",
  incremental: true
})

/**
 * Calls by tool and outcome.
 *
 * @since 0.1.0
 * @category metrics
 */
export const call = (tool: string, outcome: Outcome) => Metric.withAttributes(calls, { tool, outcome })

const durations = Metric.histogram("chat_workspace_tool_seconds", {
  description: "Time from a call of a tool to its end, in seconds",
  boundaries: [0.05, 0.25, 1, 5, 30, 120, 600, 1800]
})

/**
 * Seconds that calls took, by tool.
 *
 * @since 0.1.0
 * @category metrics
 */
export const seconds = (tool: string) => Metric.withAttributes(durations, { tool })
