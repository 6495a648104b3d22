/**
 * Why a chat is stuck, from what the store says and what this node knows, without a tracing backend.
 *
 * It reads like a connect would, and changes nothing. What lives in memory is that of the node that is asked.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { AgentTransport } from "../agent/AgentTransport.ts"
import type { Presence, TransportView } from "../agent/AgentTransport.ts"
import type { Agent, BuildSnapshot } from "../domain/Agent.ts"
import { currentAgent } from "../domain/AgentSelection.ts"
import * as AgentStatus from "../domain/AgentStatus.ts"
import type { Binding } from "../domain/Binding.ts"
import type { NoCurrentAgent, StoreError } from "../domain/Errors.ts"
import type { AgentId, ChatId } from "../domain/Ids.ts"
import * as PlainText from "../domain/PlainText.ts"
import type { ChatBindings } from "../store/ChatBindings.ts"
import type { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { age, because, finding } from "./ChatFinding.ts"
import { ChatWorkspaces } from "./ChatWorkspaces.ts"
import type { ChatView } from "./ChatWorkspaces.ts"
import * as Detached from "./Detached.ts"
import { DialConfig } from "./DialConfig.ts"
import * as StoreCalls from "./StoreCalls.ts"

/**
 * An agent of the latest build: its status with the rule that decided it, how long it has been unreachable while that
 * would have been noticed (null when it is not), and what this node's transport knows of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentView {
  readonly agent: Agent
  readonly status: AgentStatus.AgentStatus
  readonly unreachableFor: Duration.Duration | null
  readonly presence: Presence
  readonly transport: TransportView | null
}

/**
 * What the store says of a chat. `current` is the agent that it should work with, or why there is none; it is null when
 * the chat has no workspace.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stored {
  readonly binding: Binding
  readonly latest: BuildSnapshot | null
  readonly agents: ReadonlyArray<AgentView>
  readonly current: Result.Result<Agent, NoCurrentAgent> | null
}

/**
 * All that is known of a chat. `node` is null where no node was asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Explanation {
  readonly chatId: ChatId
  readonly stored: Result.Result<Stored, StoreError>
  readonly node: ChatView | null
}

/**
 * @since 0.1.0
 * @category services
 */
export class ChatExplanation extends Context.Service<ChatExplanation, {
  /** Everything known of a chat: two reads, no dial, no write. A store that cannot answer is part of the answer. */
  readonly explain: (chatId: ChatId) => Effect.Effect<Explanation>
}>()("chat-workspace/dial/ChatExplanation") {}

/**
 * An agent as it is at the instant of the read, with what this node's transport knows of it where there is one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const viewOf = (
  agent: Agent,
  { asOf, coveredSince }: Pick<BuildSnapshot, "asOf" | "coveredSince">,
  { inactiveTimeout }: Pick<DialConfig, "inactiveTimeout">,
  transport?: AgentTransport["Service"] | undefined
): AgentView => {
  const status = AgentStatus.statusAt(agent, asOf, inactiveTimeout)
  return {
    agent,
    status,
    unreachableFor: AgentStatus.isUnreachable(status) ? AgentStatus.unreachableFor(status, asOf, coveredSince) : null,
    presence: transport?.presence(agent.agentId) ?? "unknown",
    transport: transport?.describe?.(agent.agentId) ?? null
  }
}

interface Node {
  readonly chats: ChatWorkspaces["Service"]
  readonly transport: AgentTransport["Service"]
}

const makeWith = Effect.fnUntraced(function*(node: Node | undefined) {
  const config = yield* DialConfig
  // The bounds of a connect: who asks why nothing moves must not wait for ever as well.
  const store = yield* StoreCalls.make(yield* Detached.make(config.drain))

  const stored = Effect.fnUntraced(function*(chatId: ChatId): Effect.fn.Return<Stored, StoreError> {
    const binding = yield* store.binding(chatId)
    const { workspaceId } = binding
    if (workspaceId === null) return { binding, latest: null, agents: [], current: null }
    const latest = yield* store.latestBuild(workspaceId)
    return {
      binding,
      latest: Option.getOrNull(latest),
      agents: Option.match(latest, {
        onNone: () => [],
        onSome: (found) => found.agents.map((agent) => viewOf(agent, found, config, node?.transport))
      }),
      current: currentAgent(workspaceId, latest, { preferredSuffix: config.preferredSuffix })
    }
  })

  return ChatExplanation.of({
    explain: Effect.fn("ChatExplanation.explain")(function*(chatId) {
      const read = yield* Effect.result(stored(chatId))
      return { chatId, stored: read, node: node?.chats.describe(chatId) ?? null }
    })
  })
})

const make = Effect.gen(function*() {
  return yield* makeWith({ chats: yield* ChatWorkspaces, transport: yield* AgentTransport })
})

/**
 * Explains with what this node knows.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  ChatExplanation,
  never,
  ChatWorkspaces | ChatBindings | WorkspaceAgents | AgentTransport
> = Layer.effect(ChatExplanation, make)

/**
 * Explains from the store alone, where no node can be asked.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStored: Layer.Layer<ChatExplanation, never, ChatBindings | WorkspaceAgents> = Layer.effect(
  ChatExplanation,
  makeWith(undefined)
)

/**
 * The explanation as a page of text: first the finding, then what it rests on.
 *
 * @since 0.1.0
 * @category formatters
 */
export const format = (explanation: Explanation): string =>
  [PlainText.line(`finding    ${finding(explanation).message}`), ...lines(explanation)].join("\n")

/**
 * What the finding rests on, line by line.
 *
 * @since 0.1.0
 * @category formatters
 */
export const lines = (explanation: Explanation): ReadonlyArray<string> =>
  [
    `chat       ${explanation.chatId}`,
    ...Result.match(explanation.stored, {
      onFailure: ({ cause, message }) => [
        `store      ${message} ${cause === undefined ? "" : String(cause)}`.trimEnd()
      ],
      onSuccess: storedLines
    }),
    ...(explanation.node === null
      ? ["node       none was asked: sessions, waiters and the last connects are known to the nodes alone"]
      : nodeLines(explanation.node))
  ].map(PlainText.line)

const storedLines = ({ agents, binding, latest }: Stored): ReadonlyArray<string> => [
  `workspace  ${binding.workspaceId ?? "none"}`,
  `remembers  build ${binding.buildId ?? "none"}, agent ${binding.agentId ?? "none"}, generation ${binding.generation}`,
  latest === null
    ? "latest     no build"
    : `latest     build ${latest.build.buildId}: number ${latest.build.number}, ${latest.build.transition} ${latest.build.status}`,
  ...agents.flatMap((view) => agentLines(view, binding.agentId))
]

const nodeLines = ({ recent, waiters }: ChatView): ReadonlyArray<string> => [
  `waiting    ${count(waiters, "call")} of this chat on this node`,
  ...(recent.length === 0 ? ["connects   none on this node"] : recent.map((record, index) => {
    const outcome = record.cause === null ? `${record.outcome} (${record.path ?? "none"})` : record.cause.message
    const calls = record.calls > 1 ? `, ${record.calls} calls` : ""
    const label = index === 0 ? "connects   " : "           "
    return `${label}${DateTime.formatIso(record.endedAt)} after ${age(record.took)}: ${outcome}${calls}`
  }))
]

const agentLines = (view: AgentView, remembered: AgentId | null): ReadonlyArray<string> => {
  const { agent, presence, status, transport, unreachableFor } = view
  const since = status.since === null ? "" : ` since ${DateTime.formatIso(status.since)}`
  const silent = unreachableFor === null ? "" : `, unreachable for ${age(unreachableFor)}`
  const lines = [
    `agent      ${agent.name} ${agent.agentId}${agent.agentId === remembered ? " (remembered)" : ""}`,
    `           ${status.status}${since}, by rule ${status.rule}: ${because[status.rule]}${silent}`,
    `           start-up scripts: ${agent.lifecycle}`
  ]
  if (transport === null) return [...lines, `           presence on this node: ${presence}`]
  const { calls, lastRefusal, session, waiters } = transport
  return [
    ...lines,
    session === null
      ? `           no session on this node (${presence})`
      : `           session epoch ${session.epoch}, incarnation ${session.incarnation}, open for ${
        age(session.openFor)
      }, last frame ${age(session.silentFor)} ago`,
    `           ${count(waiters.length, "dial")} waiting${oldest(waiters.map(({ waitingFor }) => waitingFor))}, ${
      count(calls.length, "call")
    } in flight${oldest(calls.map(({ runningFor }) => runningFor))}`,
    ...calls.map(({ method, runningFor }) => `             ${method} for ${age(runningFor)}`),
    ...(lastRefusal === null ? [] : [`           last refused ${age(lastRefusal.age)} ago: ${lastRefusal.reason}`])
  ]
}

const count = (many: number, what: string): string => `${many} ${what}${many === 1 ? "" : "s"}`

const oldest = (ages: ReadonlyArray<Duration.Duration>): string =>
  ages.length === 0 ? "" : ` (oldest ${age(ages.reduce((left, right) => Duration.max(left, right)))})`
