/**
 * The subjects that nodes use. Ids are made one token each: an id of somebody else's must not name other subjects.
 *
 * @since 0.1.0
 */
import type { AgentId, NodeId } from "../domain/Ids.ts"

/**
 * - `agent`: what the node hears that holds the agent; `open` asks it for a tunnel
 * - `online`: that a node holds the agent, or what came of its try
 * - `tunnel`: one end of one tunnel
 * - `node`: what a node hears of the pulse; `ask` and `answer` are parts of it
 *
 * @since 0.1.0
 * @category models
 */
export interface Subjects {
  readonly agent: (agentId: AgentId) => string
  readonly open: (agentId: AgentId) => string
  readonly online: (agentId: AgentId) => string
  readonly tunnel: (name: string) => string
  readonly node: (nodeId: NodeId) => string
  readonly ask: (nodeId: NodeId) => string
  readonly answer: (nodeId: NodeId, peer: NodeId) => string
  readonly signals: string
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (prefix: string): Subjects => ({
  agent: (agentId) => `${prefix}.a.${token(agentId)}.*`,
  open: (agentId) => `${prefix}.a.${token(agentId)}.open`,
  online: (agentId) => `${prefix}.a.${token(agentId)}.online`,
  tunnel: (name) => `${prefix}.t.${token(name)}`,
  node: (nodeId) => `${prefix}.n.${token(nodeId)}.>`,
  ask: (nodeId) => `${prefix}.n.${token(nodeId)}.ask`,
  answer: (nodeId, peer) => `${prefix}.n.${token(nodeId)}.answer.${token(peer)}`,
  signals: `${prefix}.signals`
})

/**
 * Any text as one token, no two alike. Half characters count too, so it goes by units and not by characters.
 *
 * @since 0.1.0
 * @category conversions
 */
export const token = (text: string): string =>
  text.replaceAll(/[^A-Za-z0-9_-]/g, (unit) => `=${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
