/**
 * The lines of a status: what the store has seen, beside what this node knows of the same chats, workspaces and agents.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as ChatExplanation from "../dial/ChatExplanation.ts"
import * as ChatFinding from "../dial/ChatFinding.ts"
import type { ChatView } from "../dial/ChatWorkspaces.ts"
import type { DialConfig } from "../dial/DialConfig.ts"
import type { BuildSnapshot } from "../domain/Agent.ts"
import { currentAgent } from "../domain/AgentSelection.ts"
import { Binding } from "../domain/Binding.ts"
import { ChatId } from "../domain/Ids.ts"
import type { WorkspaceId } from "../domain/Ids.ts"
import type { ActiveChat, ActiveWorkspace, Seen } from "../store/Activity.ts"
import type { HeldTurn } from "../store/Holders.ts"
import type { Explanation } from "../turn/Explanation.ts"
import { finding } from "../turn/ExplanationFinding.ts"
import * as StatusLevel from "./StatusLevel.ts"
import type { ChatLine, ConnectLine, Level, Problem, StatusView, WorkspaceLine } from "./StatusView.ts"
import * as StatusWaits from "./StatusWaits.ts"

/**
 * What the lines are made from: also the last connects of a chat on this node, and the chats that it knows of, for when
 * the store was never seen.
 *
 * @since 0.1.0
 * @category models
 */
export interface Known extends StatusWaits.Known {
  readonly config: DialConfig
  readonly connects: (chatId: ChatId) => { readonly view: ChatView; readonly last: ConnectLine | null }
  readonly unseen: ReadonlyArray<ChatId>
}

/**
 * @since 0.1.0
 * @category models
 */
export type Lines = Pick<StatusView, "problems" | "waits" | "chats" | "workspaces" | "sessions">

const maxProblems = 20

/**
 * Those that are wrong first; otherwise in the order in which the store told them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (known: Known): Lines => {
  const { seen } = known
  const waiting = StatusWaits.make(known)
  if (seen === undefined) {
    const chats = Array.from(new Set(known.unseen), (chatId) => unseenLine(chatId, known))
    return { problems: [], ...waiting, chats, workspaces: [] }
  }
  const places = new Map(seen.workspaces.map((row) => [row.workspace.workspaceId, placeOf(row, seen, known)]))
  const chats = worstFirst(seen.chats.map((chat) => chatLine(chat, places, known, seen)))
  const workspaces = worstFirst(Array.from(places.values(), (place) => workspaceLine(place, known, seen)))
  return { problems: problemsOf(chats, workspaces), ...waiting, chats, workspaces }
}

/** A workspace with its agents as they are seen, which all its chats share. */
interface Place {
  readonly row: ActiveWorkspace
  readonly latest: BuildSnapshot | null
  readonly views: ReadonlyArray<ChatExplanation.AgentView>
  readonly current: NonNullable<ChatExplanation.Stored["current"]>
}

const placeOf = (row: ActiveWorkspace, { asOf, coveredSince }: Seen, { config, transport }: Known): Place => {
  const agents = row.agents.map(({ agent }) => agent)
  const latest = row.build === null ? null : { build: row.build.build, agents, asOf, coveredSince }
  return {
    row,
    latest,
    views: agents.map((agent) => ChatExplanation.viewOf(agent, { asOf, coveredSince }, config, transport)),
    current: currentAgent(row.workspace.workspaceId, Option.fromNullishOr(latest), config)
  }
}

/** What `Explanations` would say of a chat with this row. */
const explained = (
  binding: Binding,
  turn: HeldTurn | null,
  node: Pick<Explanation, "turns"> & { readonly view: ChatView | null },
  place: Place | undefined,
  asOf: DateTime.Utc
): Explanation => ({
  chatId: binding.chatId,
  connection: {
    chatId: binding.chatId,
    stored: Result.succeed({
      binding,
      latest: place?.latest ?? null,
      agents: place?.views ?? [],
      current: binding.workspaceId === null
        ? null
        : place?.current ?? currentAgent(binding.workspaceId, Option.none(), { preferredSuffix: "" })
    }),
    node: node.view
  },
  beside: Result.succeed({
    build: place?.row.build ?? null,
    held: {
      asOf,
      turn,
      build: place?.row.held ?? null,
      agents: place?.row.agents.map(({ held }) => held) ?? []
    }
  }),
  turns: node.turns
})

const chatLine = (
  { activeAt, binding, chatId, owner, turn }: ActiveChat,
  places: ReadonlyMap<WorkspaceId, Place>,
  { config, connects, turns }: Known,
  { asOf }: Seen
): ChatLine => {
  const workspaceId = binding?.workspaceId ?? null
  const place = workspaceId === null ? undefined : places.get(workspaceId)
  const { last, view } = connects(chatId)
  const running = turns?.running.find((running) => running.turn.chatId === chatId) ?? null
  const here = turns === null ? null : { nodeId: turns.nodeId, running }
  return {
    chatId,
    owner,
    workspaceId,
    workspaceName: place?.row.workspace.name ?? null,
    ...(binding === null
      ? { level: "still", code: null, message: "Its row is not in the tables of this module; open it to see more." }
      : foundOf(explained(binding, turn, { view, turns: here }, place, asOf), config)),
    turn: turn === null ? null : {
      turnId: turn.turn.turnId,
      nodeId: turn.turn.nodeId,
      status: turn.turn.status,
      reason: turn.turn.reason,
      age: StatusWaits.since(turn.turn.endedAt ?? turn.turn.startedAt, asOf)
    },
    waiters: view.waiters,
    connect: last,
    activeAge: StatusWaits.since(activeAt, asOf)
  }
}

const unseenLine = (chatId: ChatId, { connects, turns }: Known): ChatLine => {
  const { last, view } = connects(chatId)
  const running = turns?.running.find(({ turn }) => turn.chatId === chatId)
  return {
    chatId,
    owner: running?.turn.owner ?? null,
    workspaceId: null,
    workspaceName: null,
    level: "wrong",
    code: "database_down",
    message: "The database could not answer; open connections are used without it.",
    turn: running === undefined ? null : {
      turnId: running.turn.turnId,
      nodeId: running.turn.nodeId,
      status: "running",
      reason: null,
      age: running.runningFor
    },
    waiters: view.waiters,
    connect: last,
    activeAge: null
  }
}

const foundOf = (
  explanation: Explanation,
  config: DialConfig
): Pick<WorkspaceLine, "level" | "code" | "message"> => {
  const found = finding(explanation)
  return { level: StatusLevel.levelOf(explanation, found, config), ...found }
}

/** What a chat would find that remembers the workspace and the agent that is current. */
const workspaceLine = (place: Place, { config }: Known, { asOf }: Seen): WorkspaceLine => {
  const { current, row: { agents, build, held, workspace }, views } = place
  const binding = new Binding({
    chatId: anyChat,
    workspaceId: workspace.workspaceId,
    buildId: build?.build.buildId ?? null,
    agentId: Result.isSuccess(current) ? current.success.agentId : null,
    generation: 0
  })
  return {
    workspaceId: workspace.workspaceId,
    name: workspace.name,
    owner: workspace.owner,
    templateId: workspace.templateId,
    ...foundOf(explained(binding, null, { view: null, turns: null }, place, asOf), config),
    build: build === null ? null : {
      number: build.build.number,
      transition: build.build.transition,
      status: build.build.status,
      failure: build.failure?.code ?? null,
      age: StatusWaits.since(build.finishedAt ?? build.createdAt, asOf),
      nodeId: held?.nodeId ?? null
    },
    agents: views.map(({ agent, presence, status, unreachableFor }) => ({
      agentId: agent.agentId,
      name: agent.name,
      status: status.status,
      because: ChatFinding.because[status.rule],
      unreachableFor,
      lifecycle: agent.lifecycle,
      nodeId: agents.find(({ held }) => held.agentId === agent.agentId)?.held.nodeId ?? null,
      presence
    }))
  }
}

const anyChat = ChatId.make("any")

const order: Readonly<Record<Level, number>> = { wrong: 0, warn: 1, busy: 2, well: 3, still: 3 }

const worstFirst = <A extends { readonly level: Level }>(lines: ReadonlyArray<A>): ReadonlyArray<A> =>
  Array.from(lines).sort((left, right) => order[left.level] - order[right.level])

/** Once for all chats of a workspace that have the same trouble, and for workspaces that no chat here works in. */
const problemsOf = (
  chats: ReadonlyArray<ChatLine>,
  workspaces: ReadonlyArray<WorkspaceLine>
): ReadonlyArray<Problem> => {
  const problems = new Map<string, Problem>()
  for (const { chatId, code, level, message, workspaceId, workspaceName } of chats) {
    if (level !== "wrong") continue
    const key = JSON.stringify([workspaceId ?? chatId, code])
    const known = problems.get(key)
    problems.set(
      key,
      known === undefined
        ? { message: `${nameOf(workspaceId, workspaceName, chatId)}: ${message}`, chats: 1, chatId, workspaceId }
        : { ...known, chats: known.chats + 1 }
    )
  }
  const inUse = new Set(chats.map(({ workspaceId }) => workspaceId))
  for (const { level, message, name, workspaceId } of workspaces) {
    if (level !== "wrong" || inUse.has(workspaceId)) continue
    problems.set(JSON.stringify([workspaceId]), {
      message: `Workspace ${name ?? workspaceId}: ${message}`,
      chats: 0,
      chatId: null,
      workspaceId
    })
  }
  return Array.from(problems.values()).slice(0, maxProblems)
}

const nameOf = (workspaceId: WorkspaceId | null, name: string | null, chatId: ChatId): string =>
  workspaceId === null ? `Chat ${chatId}` : `Chat ${chatId} in ${name ?? workspaceId}`
