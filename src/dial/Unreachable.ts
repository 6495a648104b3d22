/**
 * How long an agent has been unreachable while its heartbeats would have been recorded, and what proves it.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { Agent } from "../domain/Agent.ts"
import { isUnreachable, statusAt, unreachableFor } from "../domain/AgentStatus.ts"
import { AgentDisconnected } from "../domain/Errors.ts"
import type { Evidence } from "../domain/Errors.ts"
import type { DialConfig } from "./DialConfig.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Unreachable {
  readonly agent: Agent
  readonly duration: Duration.Duration
  readonly evidence: Evidence
}

/**
 * Judges a row at the instant of its own read; `undefined` when the agent is connected or may still come.
 *
 * @since 0.1.0
 * @category constructors
 */
export const judge = (
  agent: Agent,
  read: { readonly asOf: DateTime.Utc; readonly coveredSince: DateTime.Utc },
  config: DialConfig
): Unreachable | undefined => {
  const status = statusAt(agent, read.asOf, config.inactiveTimeout)
  if (!isUnreachable(status)) return undefined
  return {
    agent,
    duration: unreachableFor(status, read.asOf, read.coveredSince),
    evidence: status.rule === 1 ? "neverConnected" : status.rule === 3 ? "disconnected" : "silent"
  }
}

/**
 * Whether a restart is the advice: never before the agent was unreachable that long under our own eyes.
 *
 * @since 0.1.0
 * @category guards
 */
export const adviseRestart = (unreachable: Unreachable | undefined, config: DialConfig): unreachable is Unreachable =>
  unreachable !== undefined && Duration.isGreaterThanOrEqualTo(unreachable.duration, config.restartAdvice)

/**
 * @since 0.1.0
 * @category constructors
 */
export const disconnected = (unreachable: Unreachable, config: DialConfig): AgentDisconnected =>
  new AgentDisconnected({
    workspaceId: unreachable.agent.workspaceId,
    agentId: unreachable.agent.agentId,
    unreachableFor: unreachable.duration,
    evidence: unreachable.evidence,
    restart: adviseRestart(unreachable, config)
  })

/**
 * Whether that is longer than an agent may be silent: enough to doubt an open connection, which has been silent too.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSilent = (unreachable: Unreachable | undefined, config: DialConfig): unreachable is Unreachable =>
  unreachable !== undefined && Duration.isGreaterThan(unreachable.duration, config.inactiveTimeout)
