/**
 * What the API counts. All label sets are closed.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Streams of events that are open on this node, of all owners.
 *
 * @since 0.1.0
 * @category metrics
 */
export const streams = Metric.gauge("chat_workspace_http_streams", {
  description: "Streams of events that are open on this node"
})

/**
 * Sessions of the MCP endpoint on this node, of all owners, those too in which nothing is under way.
 *
 * @since 0.1.0
 * @category metrics
 */
export const mcpSessions = Metric.gauge("chat_workspace_http_mcp_sessions", {
  description: "Sessions of MCP that are open on this node"
})

/**
 * Calls of tools that are under way over MCP on this node.
 *
 * @since 0.1.0
 * @category metrics
 */
export const mcpCalls = Metric.gauge("chat_workspace_http_mcp_calls", {
  description: "Calls of tools over MCP that are under way on this node"
})
