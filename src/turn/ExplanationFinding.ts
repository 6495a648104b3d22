/**
 * The cause that an explanation names first.
 *
 * What stops every message comes before what stops every call, and that before what a running turn waits for. Only then
 * comes what is odd, and that nothing is wrong.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as ChatExplanation from "../dial/ChatExplanation.ts"
import * as ChatFinding from "../dial/ChatFinding.ts"
import type { BuildRecord } from "../domain/Build.ts"
import type { Held } from "../store/Holders.ts"
import type { Explanation } from "./Explanation.ts"

/**
 * What a finding is, in one word that does not change: those of connecting, and
 *
 * - `turn_lost`: the node of the running turn is gone, and nobody has ended the turn yet
 * - `build_waiting`, `build_running`, `build_lost`: the latest build waits for a runner, runs, or its runner is gone
 * - `scripts_running`, `scripts_failed`: the agent is there, and its start-up scripts are not done, or failed
 * - `agent_conflict`: the agent is there, and another program under its identity was turned away
 * - `turn_in_call`, `turn_at_model`, `turn_elsewhere`: what the running turn waits for, or that another node knows
 * - `turn_failed`: the last turn ended before the model had answered
 *
 * @since 0.1.0
 * @category models
 */
export const FindingCode = Schema.Literals([
  ...ChatFinding.FindingCode.literals,
  "turn_lost",
  "build_waiting",
  "build_running",
  "build_lost",
  "scripts_running",
  "scripts_failed",
  "agent_conflict",
  "turn_in_call",
  "turn_at_model",
  "turn_elsewhere",
  "turn_failed"
])

/**
 * @since 0.1.0
 * @category models
 */
export type FindingCode = typeof FindingCode.Type

/**
 * @since 0.1.0
 * @category models
 */
export interface Finding {
  readonly code: FindingCode
  readonly message: string
}

/**
 * The cause, or that nothing is wrong.
 *
 * @since 0.1.0
 * @category getters
 */
export const finding = (explanation: Explanation): Finding => {
  const connection = ChatFinding.finding(explanation.connection)
  if (Result.isFailure(explanation.beside)) {
    return connection.code === "database_down" || !isWell(connection)
      ? connection
      : { code: "database_down", message: explanation.beside.failure.message }
  }
  const { build, held } = explanation.beside.success
  const view = ChatFinding.currentView(explanation.connection)
  return lostTurn(held) ??
    ofBuild(connection, build, held) ??
    ofAgent(connection, held, view) ??
    (view?.agent.lifecycle === "starting" ? scriptsRunning : undefined) ??
    runningTurn(explanation, held) ??
    ofScripts(view) ??
    conflict(view) ??
    (connection.code === "well" ? endedTurn(held) : undefined) ??
    connection
}

/**
 * How long ago an instant is, in words.
 *
 * @since 0.1.0
 * @category formatters
 */
export const since = (then: DateTime.Utc, asOf: DateTime.Utc): string =>
  ChatFinding.age(Duration.max(Duration.zero, DateTime.distance(then, asOf)))

/** Nothing here holds up a call. */
const isWell = ({ code }: ChatFinding.Finding): boolean =>
  code === "well" || code === "not_connected_yet" || code === "other_agent_remembered"

const isOver = (leaseUntil: DateTime.Utc | null, asOf: DateTime.Utc): leaseUntil is DateTime.Utc =>
  leaseUntil !== null && DateTime.isLessThanOrEqualTo(leaseUntil, asOf)

const lostTurn = ({ asOf, turn: held }: Held): Finding | undefined => {
  if (held === null || held.turn.status !== "running" || !isOver(held.leaseUntil, asOf)) return undefined
  return {
    code: "turn_lost",
    message: `The chat's turn belongs to node ${held.turn.nodeId}, which has not renewed its lease: it ended ${
      since(held.leaseUntil, asOf)
    } ago. The next message, or any node that looks for lost turns, ends the turn.`
  }
}

const ofBuild = (
  { code, message }: ChatFinding.Finding,
  record: BuildRecord | null,
  { asOf, build: held }: Held
): Finding | undefined => {
  if (record === null) return undefined
  const { ahead, build: { transition }, createdAt, failure, startedAt } = record
  switch (code) {
    case "workspace_starting":
    case "workspace_stopping":
    case "workspace_deleting":
      break
    case "start_failed":
    case "stop_failed":
    case "delete_failed":
      return failure === null ? undefined : { code, message: `${message} ${failures[failure.code]}` }
    default:
      return undefined
  }
  if (record.build.status === "pending") {
    return {
      code: "build_waiting",
      message: `The ${transition} of the workspace has waited for a runner for ${since(createdAt, asOf)}, with ${
        ahead === 0 ? "nothing" : ahead
      } before it. Does a node run builds, and has it room?`
    }
  }
  const node = held?.nodeId ?? "unknown"
  if (isOver(held?.leaseUntil ?? null, asOf)) {
    return {
      code: "build_lost",
      message:
        `The ${transition} of the workspace was run by node ${node}, which has not renewed its lease. The next ` +
        "node that looks for builds runs it again, or ends it."
    }
  }
  return {
    code: "build_running",
    message: `The ${transition} of the workspace has run for ${since(startedAt ?? createdAt, asOf)} on node ${node}.`
  }
}

const failures: Readonly<Record<NonNullable<BuildRecord["failure"]>["code"], string>> = {
  provider_failed: "Its provider said why: read the log of the build.",
  runner_lost: "The node that ran it was lost, and it may not be run again.",
  timed_out: "It took longer than its limit.",
  template_missing: "Its template, or the template's provider, is not there any more."
}

const ofAgent = (
  connection: ChatFinding.Finding,
  { agents }: Held,
  view: ChatExplanation.AgentView | undefined
): Finding | undefined => {
  if (isWell(connection)) return undefined
  const node = agents.find(({ agentId }) => agentId === view?.agent.agentId)?.nodeId ?? null
  return connection.code === "agent_elsewhere" && node !== null
    ? { code: "agent_elsewhere", message: `The agent is connected to node ${node}, and not to this one.` }
    : connection
}

const scriptsRunning: Finding = {
  code: "scripts_running",
  message: "The agent is connected, and its start-up scripts still run."
}

const runningTurn = ({ turns }: Explanation, { asOf, turn: held }: Held): Finding | undefined => {
  const running = turns?.running ?? null
  if (running !== null) {
    const [call] = running.calls
    return call === undefined
      ? {
        code: "turn_at_model",
        message: `A turn has run here for ${ChatFinding.age(running.runningFor)} and waits for the model, which ` +
          `has said nothing for ${ChatFinding.age(running.quietFor)}.`
      }
      : {
        code: "turn_in_call",
        message:
          `A turn has run here for ${ChatFinding.age(running.runningFor)} and waits for its call of ${call.name}, ` +
          `which has run for ${ChatFinding.age(call.runningFor)}.`
      }
  }
  if (held === null || held.turn.status !== "running") return undefined
  return {
    code: "turn_elsewhere",
    message: `A turn has run for ${since(held.turn.startedAt, asOf)} on node ${held.turn.nodeId}, which holds it. ` +
      "Ask that node what it waits for."
  }
}

const ofScripts = (view: ChatExplanation.AgentView | undefined): Finding | undefined => {
  const lifecycle = view?.agent.lifecycle
  if (lifecycle !== "start_error" && lifecycle !== "start_timeout") return undefined
  return {
    code: "scripts_failed",
    message: `The agent is connected, but its start-up scripts ${
      lifecycle === "start_error" ? "failed" : "did not end in time"
    }.`
  }
}

const conflict = (view: ChatExplanation.AgentView | undefined): Finding | undefined => {
  const refusal = view?.transport?.lastRefusal ?? null
  if (refusal?.reason !== "identityConflict") return undefined
  return {
    code: "agent_conflict",
    message: `The agent is connected, but another program under its identity was turned away ${
      ChatFinding.age(refusal.age)
    } ago: two run with one token.`
  }
}

const endedTurn = ({ asOf, turn: held }: Held): Finding | undefined => {
  const turn = held?.turn
  if (turn === undefined || turn.status !== "failed" && turn.status !== "crashed") return undefined
  const ago = Option.match(Option.fromNullishOr(turn.endedAt), {
    onNone: () => "",
    onSome: (at) => ` ${since(at, asOf)} ago`
  })
  return {
    code: "turn_failed",
    message: `Nothing is wrong now; the last turn ended${ago}: ${turn.status} (${turn.reason ?? "no reason"}).`
  }
}
