/**
 * Why a chat is stuck: everything that the stores and this node know of it, with the cause named first.
 *
 * It is `ChatExplanation` with the latest turn and the latest build beside. It reads and changes nothing, and needs no
 * tracing backend. What lives in memory is that of the node that is asked.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import * as ChatExplanation from "../dial/ChatExplanation.ts"
import * as ChatFinding from "../dial/ChatFinding.ts"
import type { ChatWorkspaces } from "../dial/ChatWorkspaces.ts"
import type { BuildRecord } from "../domain/Build.ts"
import { StoreError } from "../domain/Errors.ts"
import type { ChatId, NodeId, WorkspaceId } from "../domain/Ids.ts"
import * as PlainText from "../domain/PlainText.ts"
import * as Bounded from "../provisioner/Bounded.ts"
import { Builds } from "../store/Builds.ts"
import type { ChatBindings } from "../store/ChatBindings.ts"
import { Holders } from "../store/Holders.ts"
import type { Held } from "../store/Holders.ts"
import { StoreConfig } from "../store/StoreConfig.ts"
import type { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { finding, since } from "./ExplanationFinding.ts"
import { Turns } from "./Turns.ts"
import type { RunningTurn } from "./Turns.ts"

/**
 * What the store says of a chat beside its binding and agents: the latest build of its workspace, and who holds what.
 *
 * @since 0.1.0
 * @category models
 */
export interface Beside {
  readonly build: BuildRecord | null
  readonly held: Held
}

/**
 * The turns of a node that was asked: its id, and the turn of this chat that it runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeTurns {
  readonly nodeId: NodeId
  readonly running: RunningTurn | null
}

/**
 * All that is known of a chat. `turns` is null where nobody was asked who runs turns.
 *
 * @since 0.1.0
 * @category models
 */
export interface Explanation {
  readonly chatId: ChatId
  readonly connection: ChatExplanation.Explanation
  readonly beside: Result.Result<Beside, StoreError>
  readonly turns: NodeTurns | null
}

/**
 * @since 0.1.0
 * @category services
 */
export class Explanations extends Context.Service<Explanations, {
  /**
   * Everything known of a chat: four reads within a bound, no dial, no write. A store that cannot answer is part of the
   * answer. Whose the chat is has to be looked at before.
   */
  readonly explain: (chatId: ChatId) => Effect.Effect<Explanation>
}>()("chat-workspace/turn/Explanations") {}

const make = Effect.fnUntraced(function*(turns?: Turns["Service"]) {
  const connections = yield* ChatExplanation.ChatExplanation
  const builds = yield* Builds
  const holders = yield* Holders
  const { callTimeout } = yield* StoreConfig

  const beside = Effect.fnUntraced(function*(chatId: ChatId, workspaceId: WorkspaceId | null) {
    const read = Effect.all({
      build: workspaceId === null ? Effect.succeedNone : builds.latest(workspaceId),
      held: holders.of({ chatId, workspaceId })
    }, { concurrency: 2 })
    const found = yield* Bounded.within(read, callTimeout)
    return Option.isNone(found)
      ? yield* new StoreError({ operation: "Explanations.explain" })
      : { build: Option.getOrNull(found.value.build), held: found.value.held }
  })

  return Explanations.of({
    explain: Effect.fn("Explanations.explain")(function*(chatId) {
      yield* Effect.annotateCurrentSpan({ "chat.id": chatId })
      const connection = yield* connections.explain(chatId)
      const workspaceId = Result.match(connection.stored, {
        onFailure: () => null,
        onSuccess: ({ binding }) => binding.workspaceId
      })
      return {
        chatId,
        connection,
        beside: yield* Effect.result(beside(chatId, workspaceId)),
        turns: turns === undefined ? null : {
          nodeId: turns.nodeId,
          running: turns.running().find(({ turn }) => turn.chatId === chatId) ?? null
        }
      }
    })
  })
})

type Stores = ChatBindings | WorkspaceAgents | Builds | Holders

/**
 * Explains with what this node knows of connections and turns.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Explanations, never, Stores | ChatWorkspaces | AgentTransport | Turns> = Layer.effect(
  Explanations,
  Effect.flatMap(Turns, make)
).pipe(Layer.provide(ChatExplanation.layer))

/**
 * The same for a node that runs no turns.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithoutTurns: Layer.Layer<Explanations, never, Stores | ChatWorkspaces | AgentTransport> = Layer
  .effect(Explanations, make()).pipe(Layer.provide(ChatExplanation.layer))

/**
 * Explains from the stores alone, where no node can be asked.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStored: Layer.Layer<Explanations, never, Stores> = Layer.effect(Explanations, make()).pipe(
  Layer.provide(ChatExplanation.layerStored)
)

/**
 * The explanation as a page of text: first the finding, then what it rests on.
 *
 * @since 0.1.0
 * @category formatters
 */
export const format = (explanation: Explanation): string =>
  [
    `finding    ${finding(explanation).message}`,
    ...ChatExplanation.lines(explanation.connection),
    ...Result.match(explanation.beside, {
      onFailure: ({ message }) => [`turn       ${message}`],
      onSuccess: ({ build, held }) => [
        ...(build === null ? [] : buildLines(build, held)),
        ...turnLines(held, explanation.turns)
      ]
    }),
    ...runningLines(explanation.turns)
  ].map(PlainText.line).join("\n")

const buildLines = (record: BuildRecord, { agents, asOf, build }: Held): ReadonlyArray<string> => {
  const { ahead, attempt, createdAt, failure, finishedAt } = record
  const { number, status, transition } = record.build
  const asked = `asked for ${since(createdAt, asOf)} ago`
  const ended = finishedAt === null ? "" : `, ended ${since(finishedAt, asOf)} ago`
  return [
    `build      number ${number}, ${transition} ${status}, ${asked}${ended}`,
    ...(status === "pending" ? [`           waits for a runner, ${ahead} before it`] : []),
    ...(build === null || build.nodeId === null
      ? []
      : [`           attempt ${attempt} by node ${build.nodeId}${leaseText(status === "running", build, asOf)}`]),
    ...(build?.canceling === true && status === "running" ? ["           somebody wants it canceled"] : []),
    ...(failure === null ? [] : [`           failed with ${failure.code}`]),
    ...agents.flatMap(({ agentId, epoch, nodeId }) =>
      nodeId === null ? [] : [`           agent ${agentId} was last at node ${nodeId}, epoch ${epoch}`]
    )
  ]
}

const turnLines = ({ asOf, turn: held }: Held, turns: NodeTurns | null): ReadonlyArray<string> => {
  if (held === null) return ["turn       none yet"]
  const { interrupting, turn } = held
  const ended = turn.endedAt === null ? "" : `, ended ${since(turn.endedAt, asOf)} ago`
  const reason = turn.reason === null ? "" : ` (${turn.reason})`
  const here = turns?.nodeId === turn.nodeId ? ", this one" : ""
  return [
    `turn       ${turn.turnId}: ${turn.status}${reason}, began ${since(turn.startedAt, asOf)} ago${ended}`,
    `           epoch ${turn.epoch} at node ${turn.nodeId}${here}${leaseText(turn.status === "running", held, asOf)}`,
    ...(interrupting && turn.status === "running" ? ["           somebody wants it interrupted"] : [])
  ]
}

const runningLines = (turns: NodeTurns | null): ReadonlyArray<string> => {
  if (turns === null) return ["turns      no node was asked which it runs"]
  const { nodeId, running } = turns
  if (running === null) return [`turns      node ${nodeId} runs none of this chat`]
  return [
    `turns      node ${nodeId} has run it for ${ChatFinding.age(running.runningFor)}, and it told something ${
      ChatFinding.age(running.quietFor)
    } ago`,
    ...running.calls.map(({ name, runningFor }) => `             ${name} for ${ChatFinding.age(runningFor)}`)
  ]
}

const leaseText = (
  holds: boolean,
  { leaseUntil }: { readonly leaseUntil: DateTime.Utc | null },
  asOf: DateTime.Utc
): string => {
  if (!holds || leaseUntil === null) return ""
  return DateTime.isGreaterThan(leaseUntil, asOf)
    ? `, under a lease for another ${since(asOf, leaseUntil)}`
    : `, whose lease ended ${since(leaseUntil, asOf)} ago`
}
