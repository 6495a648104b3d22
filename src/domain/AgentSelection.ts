/**
 * Which agent of a workspace a chat works with.
 *
 * Only root agents count. They are ordered by `displayOrder`, lower-cased name, name and id, and the first is taken,
 * unless exactly one name ends in the preferred suffix: that one wins whatever its order.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Result from "effect/Result"
import type { Agent, BuildSnapshot } from "./Agent.ts"
import { AgentSelectionFailed, NoWorkspace, NoWorkspaceAgent } from "./Errors.ts"
import type { NoAgentReason, NoCurrentAgent } from "./Errors.ts"
import type { WorkspaceId } from "./Ids.ts"

/**
 * How to choose. The suffix is compared in any case and is `-chat` unless said otherwise; an empty one prefers nobody.
 *
 * @since 0.1.0
 * @category models
 */
export interface SelectionOptions {
  readonly preferredSuffix?: string | undefined
}

/**
 * Chooses among the agents of one build, which must not be empty. Fails when several names carry the preferred suffix,
 * naming them, and when there is no root agent.
 *
 * @since 0.1.0
 * @category getters
 */
export const selectAgent = (
  agents: ReadonlyArray<Agent>,
  options?: SelectionOptions
): Result.Result<Agent, AgentSelectionFailed> => {
  const suffix = (options?.preferredSuffix ?? "-chat").toLowerCase()
  const roots = agents.filter((agent) => agent.parentId === null).sort(byRank)
  const preferred = suffix === "" ? [] : roots.filter((agent) => agent.name.toLowerCase().endsWith(suffix))
  if (preferred.length > 1) {
    return Result.fail(new AgentSelectionFailed({ reason: "ambiguous", names: preferred.map((agent) => agent.name) }))
  }
  const chosen = preferred[0] ?? roots[0]
  return chosen === undefined
    ? Result.fail(new AgentSelectionFailed({ reason: "noRootAgent", names: agents.map((agent) => agent.name) }))
    : Result.succeed(chosen)
}

/**
 * The agent that the latest build of a workspace has now, or precisely why there is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const currentAgent = (
  workspaceId: WorkspaceId,
  latest: Option.Option<BuildSnapshot>,
  options?: SelectionOptions
): Result.Result<Agent, NoCurrentAgent> => {
  if (Option.isNone(latest)) {
    return Result.fail(new NoWorkspaceAgent({ workspaceId, buildId: null, reason: "neverBuilt", logTail: null }))
  }
  const { agents, build } = latest.value
  const reason = whyNone(latest.value)
  if (reason === "deleted") {
    return Result.fail(new NoWorkspace({ workspaceId }))
  }
  return reason === undefined
    ? selectAgent(agents, options)
    : Result.fail(new NoWorkspaceAgent({ workspaceId, buildId: build.buildId, reason, logTail: build.logTail }))
}

const byRank = Order.combineAll<Agent>([
  Order.mapInput(Order.Number, (agent) => agent.displayOrder),
  Order.mapInput(Order.String, (agent) => agent.name.toLowerCase()),
  Order.mapInput(Order.String, (agent) => agent.name),
  Order.mapInput(Order.String, (agent) => agent.agentId)
])

const whyNone = ({ agents, build }: BuildSnapshot): NoAgentReason | "deleted" | undefined => {
  const unfinished = build.status === "pending" || build.status === "running"
  const succeeded = build.status === "succeeded"
  switch (build.transition) {
    case "start":
      return unfinished ? "starting" : !succeeded ? "failed" : agents.length === 0 ? "noAgents" : undefined
    case "stop":
      return unfinished ? "stopping" : succeeded ? "stopped" : "stopFailed"
    case "delete":
      return unfinished ? "deleting" : succeeded ? "deleted" : "deleteFailed"
  }
}
