/**
 * Whether an agent is there, decided from one row and one clock.
 *
 * The rules are tried in order and each answer carries the number of the rule that gave it, so that an operator can be
 * told why. A row kept in memory decides nothing: read it anew.
 *
 * | rule | condition | status |
 * |---|---|---|
 * | 1 | never connected, and its build succeeded longer ago than `connectionTimeout` (> 0) | `timeout` |
 * | 2 | never connected otherwise | `connecting` |
 * | 3 | `disconnectedAt` at or after `lastConnectedAt` | `disconnected` |
 * | 4 | `lastConnectedAt` longer ago than the inactive timeout | `disconnected` |
 * | 5 | otherwise | `connected` |
 *
 * Exactly on a bound is still connecting, or connected.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { Agent } from "./Agent.ts"

/**
 * The status of an agent, the rule that decided it, and since when it holds (null where no instant is known).
 *
 * @since 0.1.0
 * @category models
 */
export type AgentStatus =
  | { readonly status: "timeout"; readonly rule: 1; readonly since: DateTime.Utc }
  | { readonly status: "connecting"; readonly rule: 2; readonly since: DateTime.Utc | null }
  | { readonly status: "disconnected"; readonly rule: 3 | 4; readonly since: DateTime.Utc | null }
  | { readonly status: "connected"; readonly rule: 5; readonly since: DateTime.Utc }

/**
 * The status of an agent that cannot be reached.
 *
 * @since 0.1.0
 * @category models
 */
export type Unreachable = Extract<AgentStatus, { readonly status: "disconnected" | "timeout" }>

/**
 * Decides the status at `asOf`, an instant of the clock that wrote the row.
 *
 * @since 0.1.0
 * @category getters
 */
export const statusAt = (agent: Agent, asOf: DateTime.Utc, inactiveTimeout: Duration.Duration): AgentStatus => {
  const { connectionTimeout, disconnectedAt, firstConnectedAt, lastConnectedAt, startedAt } = agent
  if (firstConnectedAt === null) {
    // The window opens with the success of the build: before that nothing can be late.
    const late = startedAt !== null && Duration.isGreaterThan(connectionTimeout, Duration.zero) &&
      longerAgo(startedAt, asOf, connectionTimeout)
    return late
      ? { status: "timeout", rule: 1, since: startedAt }
      : { status: "connecting", rule: 2, since: startedAt }
  }
  if (lastConnectedAt === null) {
    return { status: "disconnected", rule: 3, since: disconnectedAt }
  }
  if (disconnectedAt !== null && DateTime.isGreaterThanOrEqualTo(disconnectedAt, lastConnectedAt)) {
    return { status: "disconnected", rule: 3, since: disconnectedAt }
  }
  return longerAgo(lastConnectedAt, asOf, inactiveTimeout)
    ? { status: "disconnected", rule: 4, since: lastConnectedAt }
    : { status: "connected", rule: 5, since: lastConnectedAt }
}

/**
 * Whether the agent is disconnected or never came in its time.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUnreachable = (status: AgentStatus): status is Unreachable =>
  status.status === "disconnected" || status.status === "timeout"

/**
 * How long an unreachable agent has been so while its heartbeats would have been recorded: our own outage counts
 * nothing. Never negative.
 *
 * @since 0.1.0
 * @category getters
 */
export const unreachableFor = (
  status: Unreachable,
  asOf: DateTime.Utc,
  coveredSince: DateTime.Utc
): Duration.Duration => {
  const since = status.since === null ? coveredSince : DateTime.max(status.since, coveredSince)
  return Duration.max(Duration.zero, DateTime.distance(since, asOf))
}

const longerAgo = (since: DateTime.Utc, asOf: DateTime.Utc, bound: Duration.Duration): boolean =>
  Duration.isGreaterThan(DateTime.distance(since, asOf), bound)
