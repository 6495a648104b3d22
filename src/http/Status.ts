/**
 * The status of a node and of what it shares with others, for an operator who wants to know what is wrong.
 *
 * It puts together what the store has seen last with what this node knows, and gives each chat the finding that
 * explaining it would give. A look costs three statements, and a chat those of its explanation; each is kept for a
 * second, so that many readers cost no more than one. It reads and changes nothing.
 *
 * **Gotchas**
 *
 * It tells of the chats of all owners, by their ids, and so belongs on an address that only operators reach.
 *
 * @since 0.1.0
 */
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AgentTransport } from "../agent/AgentTransport.ts"
import { ChatWorkspaces } from "../dial/ChatWorkspaces.ts"
import type { ConnectRecord } from "../dial/ConnectHistory.ts"
import { DialConfig } from "../dial/DialConfig.ts"
import type { ChatId, NodeId } from "../domain/Ids.ts"
import * as Bounded from "../provisioner/Bounded.ts"
import { Activity } from "../store/Activity.ts"
import type { Seen } from "../store/Activity.ts"
import { StoreConfig } from "../store/StoreConfig.ts"
import { Explanations } from "../turn/Explanation.ts"
import * as ExplanationView from "../turn/ExplanationView.ts"
import { Turns } from "../turn/Turns.ts"
import * as StatusLevel from "./StatusLevel.ts"
import * as StatusLines from "./StatusLines.ts"
import type { ChatStatusView, ConnectLine, StatusView } from "./StatusView.ts"
import * as StatusWaits from "./StatusWaits.ts"

/**
 * @since 0.1.0
 * @category services
 */
export class Status extends Context.Service<Status, {
  /** The whole. A store that cannot answer is part of the answer. */
  readonly overview: Effect.Effect<StatusView>
  /** One chat, whoever owns it, with its last connects on this node. */
  readonly chat: (chatId: ChatId) => Effect.Effect<ChatStatusView>
}>()("chat-workspace/http/Status") {}

/**
 * The name of this node, where it is not that of its turns; what `AgentGateway.unready` says; how many chats are listed
 * at most (50; twice as many workspaces); and how long an answer is kept (1 s).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly nodeId?: NodeId | undefined
  readonly unready?: (() => ReadonlyArray<string>) | undefined
  readonly limit?: number | undefined
  readonly freshFor?: Duration.Input | undefined
}

const make = Effect.fnUntraced(function*(options: Options, turns?: Turns["Service"]) {
  const activity = yield* Activity
  const chats = yield* ChatWorkspaces
  const transport = yield* AgentTransport
  const explanations = yield* Explanations
  const config = yield* DialConfig
  const { callTimeout } = yield* StoreConfig
  const { freshFor = "1 second", limit = 50 } = options
  const nodeId = options.nodeId ?? turns?.nodeId ?? null
  const startedAt = yield* DateTime.now
  // What it says of the store while that does not answer.
  let last: { readonly seen: Seen; readonly at: DateTime.Utc } | undefined

  const overview = Effect.gen(function*() {
    const node = transport.overview?.(limit) ?? null
    const known = chats.known(limit)
    const read = yield* Effect.option(
      Bounded.within(activity.look({ chats: known, agents: node?.agents ?? [], limit }), callTimeout)
    )
    const at = yield* DateTime.now
    const seen = Option.getOrUndefined(Option.flatten(read))
    if (seen !== undefined) last = { seen, at }
    const running = turns?.running() ?? []
    const lines = StatusLines.make({
      seen: last?.seen,
      at,
      config,
      transport,
      agents: node?.agents ?? [],
      connects: (chatId) => {
        const { recent, waiters } = chats.describe(chatId)
        const [newest] = recent
        return { view: { recent, waiters }, last: newest === undefined ? null : connectLine(newest, at) }
      },
      turns: turns === undefined ? null : { nodeId: turns.nodeId, running },
      unseen: [...running.map(({ turn }) => turn.chatId), ...known]
    })
    const unready = options.unready?.() ?? []
    const database = {
      reachable: seen !== undefined,
      seenAt: last?.at ?? null,
      seenAge: last === undefined ? null : DateTime.distance(last.at, at)
    }
    return {
      at,
      node: { nodeId, upFor: DateTime.distance(startedAt, at), unready },
      database,
      ...StatusLevel.headline({ database, unready, ...lines }),
      counts: {
        sessions: node?.sessions ?? null,
        dials: node?.waiters ?? null,
        calls: node?.calls ?? null,
        turns: turns === undefined ? null : running.length
      },
      ...lines
    }
  })

  const chat = Effect.fnUntraced(function*(chatId: ChatId): Effect.fn.Return<ChatStatusView> {
    const explanation = yield* explanations.explain(chatId)
    const at = yield* DateTime.now
    const { connects, ...view } = ExplanationView.make(explanation)
    const level = StatusLevel.levelOf(explanation, view.finding, config)
    const recent = explanation.connection.node?.recent ?? []
    return {
      ...view,
      at,
      level,
      waiters: connects?.waiters ?? 0,
      timeline: recent.map((record) => connectLine(record, at))
    }
  })

  // Each lookup is a fiber of its own, which ends when nobody waits for it any more. Without spans: pages poll.
  const kept = yield* Cache.make<"overview", StatusView>({
    capacity: 1,
    timeToLive: freshFor,
    lookup: () => Effect.withTracerEnabled(overview, false)
  })
  const keptChats = yield* Cache.make({
    capacity: 100,
    timeToLive: freshFor,
    lookup: (chatId: ChatId) => Effect.withTracerEnabled(chat(chatId), false)
  })

  return Status.of({
    overview: Cache.get(kept, "overview"),
    chat: (chatId) => Cache.get(keptChats, chatId)
  })
})

const connectLine = (record: ConnectRecord, at: DateTime.Utc): ConnectLine => {
  const { agentId, calls, cause, endedAt, outcome, path, took } = record
  return {
    endedAt,
    age: StatusWaits.since(endedAt, at),
    took,
    agentId,
    path,
    outcome,
    cause: cause?.message ?? null,
    calls
  }
}

type Known = Activity | AgentTransport | ChatWorkspaces | Explanations

/**
 * Tells of connections, turns and the store.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Status, never, Known | Turns> =>
  Layer.effect(Status, Effect.flatMap(Turns, (turns) => make(options, turns)))

/**
 * The same for a node that runs no turns.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithoutTurns = (options: Options = {}): Layer.Layer<Status, never, Known> =>
  Layer.effect(Status, make(options))
