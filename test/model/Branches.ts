/**
 * Which decisions the schedules of a process have led to, and how often: from what the module counts of itself, whose
 * labels are closed sets, and from what the models saw.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

const seen = new Map<string, number>()

/** A model saw this happen. */
export const took = (branch: string): void => {
  seen.set(branch, (seen.get(branch) ?? 0) + 1)
}

type Counted = readonly [metric: string, labels: Readonly<Record<string, string>>]

const dials = (labels: Readonly<Record<string, string>>): Counted => ["chat_workspace_dials_total", labels]
const hits = (liveness: string): Counted => ["chat_workspace_dial_hits_total", { liveness }]
const repairs = (reason: string): Counted => ["chat_workspace_dial_repairs_total", { reason }]
const ended = (reason: string): Counted => ["chat_workspace_gateway_sessions_ended_total", { reason }]
const refused = (reason: string): Counted => ["chat_workspace_gateway_refused_total", { reason }]
const beats = (outcome: string): Counted => ["chat_workspace_gateway_heartbeats_total", { outcome }]
const lifecycles = (outcome: string): Counted => ["chat_workspace_gateway_lifecycles_total", { outcome }]
const calls = (outcome: string): Counted => ["chat_workspace_gateway_calls_total", { outcome }]
const turns = (status: string): Counted => ["chat_workspace_turns_total", { status }]
const tools = (outcome: string): Counted => ["chat_workspace_tool_calls_total", { outcome }]

/** Each has to be taken, in a run that is long enough. */
export const expected: ReadonlyArray<readonly [branch: string, counted?: Counted]> = [
  ["a live connection is lent", hits("live")],
  ["a doubtful connection is lent after a look", hits("unknown")],
  ["dial: fast", dials({ path: "fast", outcome: "connected" })],
  ["dial: confirmed", dials({ path: "confirmed", outcome: "connected" })],
  ["dial: redialed", dials({ path: "redialed", outcome: "connected" })],
  ["dial: switched", dials({ path: "switched", outcome: "connected" })],
  ["dial: no workspace", dials({ outcome: "no_workspace" })],
  ["dial: no agent", dials({ outcome: "no_workspace_agent" })],
  ["dial: agent disconnected", dials({ outcome: "agent_disconnected" })],
  ["dial: timeout", dials({ outcome: "dial_timeout" })],
  ["dial: failed", dials({ outcome: "dial_failed" })],
  ["dial: workspace changed", dials({ outcome: "workspace_changed" })],
  ["dial: store failed", dials({ outcome: "store_error" })],
  ["dial: left by all its callers", dials({ outcome: "interrupted" })],
  ["repair: the store had dropped the agent", repairs("selected")],
  ["repair: the dial switched", repairs("switched")],
  ["repair: the agent of an open connection was replaced", repairs("replaced")],
  ["told: no workspace"],
  ...["starting", "failed", "stopping", "stopped", "stopFailed"].map(
    (reason) => [`told: no agent, ${reason}`] as const
  ),
  ["told: DialFailed refused"],
  ["told: DialFailed refused, not validated"],
  ["told: DialFailed shutdown"],
  ["told: DialFailed sessionOnOtherNode"],
  ["told: DialFailed incompatible"],
  ["told: AgentDisconnected"],
  ["told: AgentDisconnected, restart"],
  ["session ended: lost", ended("lost")],
  ["session ended: replaced", ended("replaced")],
  ["session ended: revoked", ended("revoked")],
  ["session ended: shutdown", ended("shutdown")],
  ["agent refused: lost in the handshake", refused("lost")],
  ["agent refused: no hello", refused("noHello")],
  ["agent refused: two under one identity", refused("identityConflict")],
  ["agent refused: revoked", refused("revoked")],
  ["agent refused: a version that is not served", refused("incompatible")],
  ["agent refused: store failed", refused("storeFailed")],
  ["agent refused: a newer session came first", refused("replaced")],
  ["agent refused: shutdown", refused("shutdown")],
  ["heartbeat: recorded", beats("ok")],
  ["heartbeat: not recorded", beats("failed")],
  ["lifecycle: recorded", lifecycles("ok")],
  ["lifecycle: not recorded", lifecycles("failed")],
  ["call: ok", calls("ok")],
  ["call: interrupted by its caller", calls("interrupted")],
  ["call: timed out", calls("CallTimedOut")],
  ["call: link lost", calls("CallInterrupted")],
  ["told: the call was not sent"],
  ["told: the call may have run"],
  ["turn: done", turns("done")],
  ["turn: failed", turns("failed")],
  ["turn: interrupted", turns("interrupted")],
  ["turn: crashed", turns("crashed")],
  ...["answered", "user", "shutdown", "lost", "model", "silence"].map((reason) => [`turn ended: ${reason}`] as const),
  ["message: a turn runs"],
  ["message: came before"],
  ["message: refused by a node that ends"],
  ["tool: ok", tools("ok")],
  ["tool: failed in the workspace", tools("call_interrupted")],
  ["tool: interrupted", tools("interrupted")],
  ["tool: timed out"],
  ["tool: outcome unknown"],
  ["tool: not made"],
  ["runner: took a build"],
  ["runner: took over a build"],
  ["runner: had lost its build"],
  ["build: another came first"],
  ["workspace: another came first"]
]

/** How often each branch was taken since the process began. */
export const counts = (): Readonly<Record<string, number>> => {
  const metrics = Effect.runSync(Metric.snapshot)
  const countOf = ([id, labels]: Counted): number =>
    metrics.reduce((sum, metric) => {
      const attributes: Readonly<Record<string, unknown>> = { ...metric.attributes }
      const matches = metric.id === id && Object.entries(labels).every(([name, value]) => attributes[name] === value)
      return matches && metric.type === "Counter" ? sum + Number(metric.state.count) : sum
    }, 0)
  return Object.fromEntries(
    expected.map(([branch, counted]) => [branch, counted === undefined ? seen.get(branch) ?? 0 : countOf(counted)])
  )
}
