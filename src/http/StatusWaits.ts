/**
 * What has not ended, and for how long: dials and calls of this node, builds and turns; and the sessions that calls go
 * over.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { AgentTransport, TransportView } from "../agent/AgentTransport.ts"
import { isFinished } from "../domain/Build.ts"
import type { AgentId, NodeId, WorkspaceId } from "../domain/Ids.ts"
import type { Seen } from "../store/Activity.ts"
import type { RunningTurn } from "../turn/Turns.ts"
import type { SessionLine, StatusView, WaitLine } from "./StatusView.ts"

/**
 * What the store has seen, and what this node knows: at `at` of its clock, the agents of whom its transport knows the
 * most, and its turns.
 *
 * @since 0.1.0
 * @category models
 */
export interface Known {
  readonly at: DateTime.Utc
  readonly seen: Seen | undefined
  readonly transport: AgentTransport["Service"]
  readonly agents: ReadonlyArray<AgentId>
  readonly turns: { readonly nodeId: NodeId; readonly running: ReadonlyArray<RunningTurn> } | null
}

const maxWaits = 20
const maxSessions = 100

/**
 * The longest waits, and the sessions of which nothing was heard for longest.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (known: Known): Pick<StatusView, "waits" | "sessions"> => {
  const workspaceOf = new Map(
    known.seen?.workspaces.flatMap(({ agents, workspace: { workspaceId } }) =>
      agents.map(({ agent }) => [agent.agentId, workspaceId])
    )
  )
  const agents = Array.from(new Set([...known.agents, ...workspaceOf.keys()])).flatMap((agentId) => {
    const view = known.transport.describe?.(agentId)
    return view === undefined ? [] : [{ agentId, workspaceId: workspaceOf.get(agentId) ?? null, view }]
  })
  return {
    waits: [...agents.flatMap(linkWaits), ...buildWaits(known), ...turnWaits(known)]
      .sort((left, right) => Duration.Order(right.age, left.age))
      .slice(0, maxWaits),
    sessions: agents.flatMap(sessionLine)
      .sort((left, right) => Duration.Order(right.silentFor, left.silentFor))
      .slice(0, maxSessions)
  }
}

/**
 * How long ago an instant is; one that is still to come by another clock is now.
 *
 * @since 0.1.0
 * @category getters
 */
export const since = (then: DateTime.Utc, now: DateTime.Utc): Duration.Duration =>
  Duration.max(Duration.zero, DateTime.distance(then, now))

interface Linked {
  readonly agentId: AgentId
  readonly workspaceId: WorkspaceId | null
  readonly view: TransportView
}

const nowhere = { chatId: null, workspaceId: null, agentId: null }

const sessionLine = ({ agentId, view: { calls, session }, workspaceId }: Linked): ReadonlyArray<SessionLine> => {
  if (session === null) return []
  const { epoch, openFor, silentFor } = session
  return [{ agentId, workspaceId, epoch, openFor, silentFor, calls: calls.length }]
}

const linkWaits = ({ agentId, view: { calls, waiters }, workspaceId }: Linked): ReadonlyArray<WaitLine> => {
  const where = { ...nowhere, agentId, workspaceId }
  return [
    ...waiters.map(({ waitingFor }): WaitLine => ({ kind: "dial", what: "for its agent", age: waitingFor, ...where })),
    ...calls.map(({ method, runningFor }): WaitLine => ({ kind: "call", what: method, age: runningFor, ...where }))
  ]
}

const buildWaits = ({ seen }: Known): ReadonlyArray<WaitLine> =>
  seen === undefined ? [] : seen.workspaces.flatMap(({ build, workspace: { workspaceId } }) => {
    if (build === null || isFinished(build.build)) return []
    const { status, transition } = build.build
    const what = status === "pending" ? `${transition}, for a runner` : transition
    return [{ ...nowhere, kind: "build", what, age: since(build.createdAt, seen.asOf), workspaceId }]
  })

const turnWaits = ({ seen, turns }: Known): ReadonlyArray<WaitLine> => {
  const running = turns?.running ?? []
  const here = new Set(running.map(({ turn }) => turn.turnId))
  return [
    ...running.map(({ calls: [call], runningFor, turn: { chatId } }): WaitLine => {
      const what = call === undefined ? "for the model" : `for its call of ${call.name}`
      return { ...nowhere, kind: "turn", what, age: runningFor, chatId }
    }),
    ...(seen === undefined ? [] : seen.chats.flatMap(({ chatId, turn: held }): ReadonlyArray<WaitLine> => {
      if (held === null || held.turn.status !== "running" || here.has(held.turn.turnId)) return []
      const age = since(held.turn.startedAt, seen.asOf)
      return [{ ...nowhere, kind: "turn", what: `on node ${held.turn.nodeId}`, age, chatId }]
    }))
  ]
}
