/**
 * How often an agent may come: so many times at once, and from then on one time more in each interval.
 *
 * An honest agent waits longer and longer between its attempts, so it never meets this; one that comes and goes without a
 * pause costs statements of the database each time. Each agent is counted apart, on this node alone, and is forgotten as
 * soon as it may come as often as one that was never here.
 *
 * **Gotchas**
 *
 * Agents whose `CW_AGENT_BACKOFF_CAP` is shorter than two intervals may meet it on a bad network. They wait as they are
 * told, so it costs them time and nothing else.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { AgentId } from "../domain/Ids.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"

/**
 * Times are milliseconds of a clock that does not jump.
 *
 * @since 0.1.0
 * @category models
 */
export interface Returns {
  /** How long the agent has to wait before it may come; 0 when it may now. */
  readonly wait: (agentId: AgentId, now: number) => number
  /** The same, and counts it when it may come now. */
  readonly count: (agentId: AgentId, now: number) => number
  /** How many agents are remembered. */
  readonly size: () => number
}

/**
 * Nobody has come yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: Pick<GatewayConfig, "connectsPerAgent" | "connectInterval">): Returns => {
  const interval = Duration.toMillis(config.connectInterval)
  const allowed = config.connectsPerAgent * interval
  // When each is as good as new. Who came last stands last; one that came often holds up the others for `allowed` at most.
  const cleared = new Map<AgentId, number>()

  const forget = (now: number): void => {
    for (const [agentId, at] of cleared) {
      if (at > now) return
      cleared.delete(agentId)
    }
  }

  const wait = (agentId: AgentId, now: number): number =>
    Math.max(0, (cleared.get(agentId) ?? now) + interval - now - allowed)

  return {
    wait,
    count: (agentId, now) => {
      forget(now)
      const left = wait(agentId, now)
      if (left > 0) return left
      const at = Math.max(cleared.get(agentId) ?? now, now) + interval
      cleared.delete(agentId)
      cleared.set(agentId, at)
      return 0
    },
    size: () => cleared.size
  }
}
