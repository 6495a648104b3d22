/**
 * What a call may cost when nobody else did anything since it began: the table of what a turn costs, as upper bounds.
 */
import type { AgentConnection } from "../../../src/agent/AgentConnection.ts"
import type { Binding } from "../../../src/domain/Binding.ts"
import type { ConnectError } from "../../../src/domain/Errors.ts"
import type { Queries } from "../../../src/testing/ScriptedStores.ts"

export interface Cost extends Queries {
  readonly dials: number
}

/** What a call saw when it began, and what it came to. */
export interface Situation {
  readonly row: Binding
  /** An open connection to the agent of the row. */
  readonly open: AgentConnection | undefined
  readonly ended: AgentConnection | ConnectError
}

const none: Cost = { binding: 0, agent: 0, latestBuild: 0, bindAgent: 0, bindWorkspace: 0, dials: 0 }

export const mostOf = ({ ended, open, row }: Situation): Cost => {
  const error = "_tag" in ended ? ended._tag : undefined
  if (open !== undefined && ended === open) return { ...none, agent: open.liveness() === "live" ? 0 : 1 }
  if (row.workspaceId === null) return { ...none, binding: 1 }
  // One that is open, and in doubt, is asked for before the flight.
  const agent = (row.agentId === null ? 0 : 1) + (open === undefined ? 0 : 1)
  if (error === "NoWorkspaceAgent" || error === "NoWorkspace") {
    return { ...none, agent, latestBuild: row.agentId === null ? 1 : 2, dials: row.agentId === null ? 0 : 1 }
  }
  const same = "agentId" in ended && !("_tag" in ended) && ended.agentId === row.agentId
  if (same) return { ...none, agent, latestBuild: 1, dials: 2 }
  // A call that ran out of time looks once more; the row of a remembered agent may be no more.
  const look = error === "DialTimeout" || error === "AgentDisconnected" ? 1 : 0
  return { ...none, agent, latestBuild: 2 + look, bindAgent: 1, dials: 2 }
}

export const exceeds = (cost: Cost, most: Cost): boolean =>
  cost.binding > most.binding || cost.agent > most.agent || cost.latestBuild > most.latestBuild ||
  cost.bindAgent > most.bindAgent || cost.dials > most.dials

export const difference = (after: Cost, before: Cost): Cost => ({
  binding: after.binding - before.binding,
  agent: after.agent - before.agent,
  latestBuild: after.latestBuild - before.latestBuild,
  bindAgent: after.bindAgent - before.bindAgent,
  bindWorkspace: after.bindWorkspace - before.bindWorkspace,
  dials: after.dials - before.dials
})

export const queriesOf = ({ agent, bindAgent, binding, latestBuild }: Cost): number =>
  agent + bindAgent + binding + latestBuild
