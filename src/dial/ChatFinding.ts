/**
 * The first thing that would hold up a call of a chat: what an explanation begins with.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as AgentStatus from "../domain/AgentStatus.ts"
import type { NoAgentReason, NoCurrentAgent } from "../domain/Errors.ts"
import type { AgentView, Explanation } from "./ChatExplanation.ts"

/**
 * What a finding is, in one word that does not change.
 *
 * - the store: `database_down`
 * - the workspace: `no_workspace`, `workspace_…`, and `…_failed` for its latest build
 * - its agents: `agents_ambiguous`, `no_root_agent`
 * - the agent: it was turned away, never came, was seen to go, went silent, may still come, or is at another node
 * - nothing: the chat has not connected since a start, remembers another agent, or is well
 *
 * @since 0.1.0
 * @category models
 */
export const FindingCode = Schema.Literals([
  "database_down",
  "no_workspace",
  "workspace_deleted",
  "workspace_starting",
  "workspace_stopping",
  "workspace_stopped",
  "workspace_deleting",
  "workspace_never_built",
  "workspace_without_agents",
  "start_failed",
  "stop_failed",
  "delete_failed",
  "agents_ambiguous",
  "no_root_agent",
  "agent_refused",
  "agent_missing",
  "agent_disconnected",
  "agent_silent",
  "agent_connecting",
  "agent_elsewhere",
  "not_connected_yet",
  "other_agent_remembered",
  "well"
])

/**
 * @since 0.1.0
 * @category models
 */
export type FindingCode = typeof FindingCode.Type

/**
 * What is wrong with a chat, or that nothing is, in a word and in a sentence.
 *
 * @since 0.1.0
 * @category models
 */
export interface Finding {
  readonly code: FindingCode
  readonly message: string
}

/**
 * The agent that the chat should work with, as it is seen.
 *
 * @since 0.1.0
 * @category getters
 */
export const currentView = ({ stored }: Explanation): AgentView | undefined => {
  if (Result.isFailure(stored)) return undefined
  const { agents, current } = stored.success
  if (current === null || Result.isFailure(current)) return undefined
  return agents.find((view) => view.agent.agentId === current.success.agentId)
}

/**
 * The first thing that would hold up a call of the chat.
 *
 * @since 0.1.0
 * @category getters
 */
export const finding = (explanation: Explanation): Finding => {
  const { node, stored } = explanation
  if (Result.isFailure(stored)) {
    return { code: "database_down", message: "The database could not answer; open connections are used without it." }
  }
  const { binding, current } = stored.success
  if (current === null) return { code: "no_workspace", message: "The chat has no workspace." }
  if (Result.isFailure(current)) return { code: codeOf(current.failure), message: current.failure.message }
  const view = currentView(explanation)
  if (view !== undefined) {
    const { presence, status, transport, unreachableFor } = view
    const refusal = transport?.session === null ? transport.lastRefusal : null
    // One from before its last session says nothing of why it is gone.
    if (
      refusal !== null && (unreachableFor === null || status.status === "timeout" ||
        Duration.isLessThanOrEqualTo(refusal.age, unreachableFor))
    ) {
      return {
        code: "agent_refused",
        message: `The agent was turned away ${age(refusal.age)} ago: ${refusals[refusal.reason] ?? refusal.reason}.`
      }
    }
    if (unreachableFor !== null) {
      const missing = status.status === "timeout"
      return {
        code: missing ? "agent_missing" : status.rule === 4 ? "agent_silent" : "agent_disconnected",
        message: `The workspace runs, but its agent is ${missing ? "missing" : status.status}: ${
          because[status.rule]
        }. Unreachable for ${age(unreachableFor)} of recorded heartbeats.`
      }
    }
    if (status.status === "connecting") {
      return { code: "agent_connecting", message: "The agent has not connected yet and still has time to." }
    }
    if (presence === "absent") {
      return { code: "agent_elsewhere", message: "The agent counts as connected, but not to this node." }
    }
  }
  if (binding.agentId !== current.success.agentId) {
    return binding.agentId === null
      ? {
        code: "not_connected_yet",
        message: "Nothing is wrong; the chat has not connected since its workspace was started, and its next call does."
      }
      : {
        code: "other_agent_remembered",
        message: "The chat remembers another agent than the current one; its next call repairs that."
      }
  }
  const failed = node?.recent[0]?.cause ?? null
  return {
    code: "well",
    message: failed === null ? "Nothing is wrong." : `Nothing is wrong now; the last connect failed: ${failed.message}`
  }
}

const codeOf = (error: NoCurrentAgent): FindingCode => {
  switch (error._tag) {
    case "NoWorkspace":
      return "workspace_deleted"
    case "AgentSelectionFailed":
      return error.reason === "ambiguous" ? "agents_ambiguous" : "no_root_agent"
    case "NoWorkspaceAgent":
      return noAgent[error.reason]
  }
}

const noAgent: Readonly<Record<NoAgentReason, FindingCode>> = {
  starting: "workspace_starting",
  failed: "start_failed",
  noAgents: "workspace_without_agents",
  stopping: "workspace_stopping",
  stopped: "workspace_stopped",
  stopFailed: "stop_failed",
  deleting: "workspace_deleting",
  deleteFailed: "delete_failed",
  neverBuilt: "workspace_never_built"
}

/** Why the gateway turns sockets away, in words; what another transport says stands as it is. */
const refusals: Readonly<Record<string, string>> = {
  unknown: "its token is of no agent",
  malformed: "its token is none",
  revoked: "its token was revoked by a newer build, a stop or a rotation",
  incompatible: "its version is not served by this node",
  identityConflict: "several programs run under its identity",
  noHello: "it did not say hello in time",
  violation: "it broke the protocol",
  overloaded: "this node has too many unauthenticated sockets",
  tooOften: "it comes and goes without a pause",
  storeFailed: "the database did not answer",
  shutdown: "this node was about to end"
}

/**
 * Why a rule of the status of an agent decided as it did.
 *
 * @since 0.1.0
 * @category constants
 */
export const because: Readonly<Record<AgentStatus.AgentStatus["rule"], string>> = {
  1: "it never connected within its connection timeout",
  2: "it never connected, and still may",
  3: "its session was seen to end",
  4: "its heartbeats stopped",
  5: "its heartbeats are recent"
}

/**
 * A duration as operators read it.
 *
 * @since 0.1.0
 * @category formatters
 */
export const age = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  return millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`
}
