/**
 * An explanation as data, for whoever draws it. It holds ids, states and ages, and nothing of what was said or printed.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { AgentView, Explanation as ConnectExplanation } from "../dial/ChatExplanation.ts"
import * as ChatFinding from "../dial/ChatFinding.ts"
import { Lifecycle } from "../domain/Agent.ts"
import { BuildFailureCode, BuildStatus, Transition } from "../domain/Build.ts"
import { AgentId, BuildId, ChatId, NodeId, TurnId, WorkspaceId } from "../domain/Ids.ts"
import { TurnEndReason, TurnStatus } from "../domain/Turn.ts"
import type { Beside, Explanation, NodeTurns } from "./Explanation.ts"
import { finding, FindingCode } from "./ExplanationFinding.ts"

const Instant = Schema.DateTimeUtcFromString
const Millis = Schema.DurationFromMillis

/** A call that is under way: the method of an agent, or the tool of a turn. */
const Call = Schema.Struct({ name: Schema.String, runningFor: Millis })

const AgentPart = Schema.Struct({
  agentId: AgentId,
  name: Schema.String,
  current: Schema.Boolean,
  status: Schema.Literals(["timeout", "connecting", "disconnected", "connected"]),
  rule: Schema.Literals([1, 2, 3, 4, 5]),
  because: Schema.String,
  since: Schema.NullOr(Instant),
  unreachableFor: Schema.NullOr(Millis),
  lifecycle: Lifecycle,
  nodeId: Schema.NullOr(NodeId),
  presence: Schema.Literals(["live", "absent", "unknown"]),
  session: Schema.NullOr(Schema.Struct({ epoch: Schema.Int, openFor: Millis, silentFor: Millis })),
  waiters: Schema.Array(Millis),
  calls: Schema.Array(Call),
  lastRefusal: Schema.NullOr(Schema.Struct({ reason: Schema.String, age: Millis }))
})

const BuildPart = Schema.Struct({
  buildId: BuildId,
  number: Schema.Int,
  transition: Transition,
  status: BuildStatus,
  failure: Schema.NullOr(BuildFailureCode),
  attempt: Schema.Natural,
  ahead: Schema.Natural,
  createdAt: Instant,
  startedAt: Schema.NullOr(Instant),
  finishedAt: Schema.NullOr(Instant),
  nodeId: Schema.NullOr(NodeId),
  leaseUntil: Schema.NullOr(Instant),
  canceling: Schema.Boolean
})

const TurnPart = Schema.Struct({
  turnId: TurnId,
  epoch: Schema.Int,
  status: TurnStatus,
  reason: Schema.NullOr(TurnEndReason),
  nodeId: NodeId,
  startedAt: Instant,
  endedAt: Schema.NullOr(Instant),
  leaseUntil: Instant,
  interrupting: Schema.Boolean
})

const RunningPart = Schema.Struct({
  turnId: TurnId,
  runningFor: Millis,
  quietFor: Millis,
  calls: Schema.Array(Call)
})

const ConnectPart = Schema.Struct({
  endedAt: Instant,
  took: Millis,
  agentId: Schema.NullOr(AgentId),
  path: Schema.NullOr(Schema.String),
  outcome: Schema.String,
  calls: Schema.Int
})

/**
 * What `Explanation` holds: the finding, then what it rests on. `asOf` is the store's clock at the read of `build` and
 * `turn`. `connects` is null where no node was asked, and `turns` where none was asked for turns. Durations are
 * milliseconds in JSON.
 *
 * @since 0.1.0
 * @category models
 */
export const ExplanationView = Schema.Struct({
  chatId: ChatId,
  finding: Schema.Struct({ code: FindingCode, message: Schema.String }),
  asOf: Schema.NullOr(Instant),
  binding: Schema.NullOr(Schema.Struct({
    workspaceId: Schema.NullOr(WorkspaceId),
    buildId: Schema.NullOr(BuildId),
    agentId: Schema.NullOr(AgentId),
    generation: Schema.Natural
  })),
  agents: Schema.Array(AgentPart),
  build: Schema.NullOr(BuildPart),
  turn: Schema.NullOr(TurnPart),
  turns: Schema.NullOr(Schema.Struct({ nodeId: NodeId, running: Schema.NullOr(RunningPart) })),
  connects: Schema.NullOr(Schema.Struct({ waiters: Schema.Natural, recent: Schema.Array(ConnectPart) }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type ExplanationView = typeof ExplanationView.Type

/**
 * The explanation as data.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (explanation: Explanation): ExplanationView => {
  const { chatId, connection, turns } = explanation
  const beside = Result.getOrElse(explanation.beside, () => null)
  return {
    chatId,
    finding: finding(explanation),
    asOf: beside?.held.asOf ?? null,
    ...stored(connection, beside),
    build: beside === null ? null : buildOf(beside),
    turn: beside === null ? null : turnOf(beside),
    turns: turns === null ? null : runningOf(turns),
    connects: connection.node
  }
}

const stored = (
  connection: ConnectExplanation,
  beside: Beside | null
): Pick<ExplanationView, "binding" | "agents"> => {
  if (Result.isFailure(connection.stored)) return { binding: null, agents: [] }
  const { agents, binding } = connection.stored.success
  const current = ChatFinding.currentView(connection)
  return { binding, agents: agents.map((view) => agentOf(view, view === current, beside)) }
}

const agentOf = (view: AgentView, current: boolean, beside: Beside | null): typeof AgentPart.Type => {
  const { agent: { agentId, lifecycle, name }, presence, status, transport, unreachableFor } = view
  return {
    agentId,
    name,
    current,
    status: status.status,
    rule: status.rule,
    because: ChatFinding.because[status.rule],
    since: status.since,
    unreachableFor,
    lifecycle,
    nodeId: beside?.held.agents.find((held) => held.agentId === agentId)?.nodeId ?? null,
    presence,
    session: transport?.session ?? null,
    waiters: transport?.waiters.map(({ waitingFor }) => waitingFor) ?? [],
    calls: transport?.calls.map(({ method, runningFor }) => ({ name: method, runningFor })) ?? [],
    lastRefusal: transport?.lastRefusal ?? null
  }
}

const buildOf = ({ build: record, held }: Beside): typeof BuildPart.Type | null => {
  if (record === null) return null
  const { ahead, attempt, build, createdAt, failure, finishedAt, startedAt } = record
  return {
    buildId: build.buildId,
    number: build.number,
    transition: build.transition,
    status: build.status,
    failure: failure?.code ?? null,
    attempt,
    ahead,
    createdAt,
    startedAt,
    finishedAt,
    nodeId: held.build?.nodeId ?? null,
    leaseUntil: held.build?.leaseUntil ?? null,
    canceling: held.build?.canceling ?? false
  }
}

const turnOf = ({ held }: Beside): typeof TurnPart.Type | null => {
  if (held.turn === null) return null
  const { interrupting, leaseUntil, turn } = held.turn
  const { endedAt, epoch, nodeId, reason, startedAt, status, turnId } = turn
  return { turnId, epoch, status, reason, nodeId, startedAt, endedAt, leaseUntil, interrupting }
}

const runningOf = ({ nodeId, running }: NodeTurns): ExplanationView["turns"] => ({
  nodeId,
  running: running === null ? null : {
    turnId: running.turn.turnId,
    runningFor: running.runningFor,
    quietFor: running.quietFor,
    calls: running.calls
  }
})
