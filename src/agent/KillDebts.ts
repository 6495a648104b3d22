/**
 * Kills that could not be sent: what was given up while its agent's link was down is ended before the next session of
 * that agent is lent.
 *
 * A debt belongs to one incarnation, since a new one ends what the old one left by itself. Debts are bounded in number
 * and age; of those of one agent the oldest goes first, and when the node has too many a new one is not taken on.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { AgentId, Incarnation, OperationId } from "../domain/Ids.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface KillDebts {
  /** Takes a debt on; says whether it could. */
  readonly owe: (agentId: AgentId, incarnation: Incarnation, id: OperationId, now: number) => boolean
  /** What is owed to this incarnation. Debts of another are dropped, and those that are too old. */
  readonly due: (agentId: AgentId, incarnation: Incarnation, now: number) => ReadonlyArray<OperationId>
  readonly paid: (agentId: AgentId, id: OperationId) => void
  /** Drops what is too old, of agents that do not come back. */
  readonly expire: (now: number) => void
  readonly size: () => number
}

/**
 * No debts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: GatewayConfig): KillDebts => {
  const byAgent = new Map<AgentId, Map<OperationId, { readonly incarnation: Incarnation; readonly since: number }>>()
  const maxAge = Duration.toMillis(config.debtAge)
  let size = 0

  const remove = (agentId: AgentId, id: OperationId): void => {
    const debts = byAgent.get(agentId)
    if (debts?.delete(id) !== true) return
    size -= 1
    if (debts.size === 0) byAgent.delete(agentId)
  }

  const removeIf = (agentId: AgentId, drop: (debt: { incarnation: Incarnation; since: number }) => boolean): void => {
    for (const [id, debt] of byAgent.get(agentId) ?? []) {
      if (drop(debt)) remove(agentId, id)
    }
  }

  return {
    owe: (agentId, incarnation, id, now) => {
      const oldest = byAgent.get(agentId)?.size === config.debtsPerAgent
        ? byAgent.get(agentId)?.keys().next().value
        : undefined
      if (oldest !== undefined) remove(agentId, oldest)
      if (size >= config.debts) return false
      const debts = byAgent.get(agentId) ?? new Map()
      byAgent.set(agentId, debts)
      if (!debts.has(id)) size += 1
      debts.set(id, { incarnation, since: now })
      return true
    },
    due: (agentId, incarnation, now) => {
      removeIf(agentId, (debt) => debt.incarnation !== incarnation || now - debt.since > maxAge)
      return Array.from(byAgent.get(agentId)?.keys() ?? [])
    },
    paid: remove,
    expire: (now) => {
      for (const agentId of Array.from(byAgent.keys())) removeIf(agentId, (debt) => now - debt.since > maxAge)
    },
    size: () => size
  }
}
