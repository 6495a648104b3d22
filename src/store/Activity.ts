/**
 * What goes on in a store, whoever owns it: the chats and workspaces in which something happened last, with all that says
 * how they are.
 *
 * For operators. Nothing decides by it, and it belongs where only they can ask.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Agent } from "../domain/Agent.ts"
import type { Binding } from "../domain/Binding.ts"
import { BuildRecord, isFinished } from "../domain/Build.ts"
import * as Coverage from "../domain/Coverage.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { AgentId, ChatId, OwnerId, WorkspaceId } from "../domain/Ids.ts"
import { Workspace } from "../domain/Workspace.ts"
import type { HeldAgent, HeldBuild, HeldTurn } from "./Holders.ts"
import * as MemoryStore from "./MemoryStore.ts"

/**
 * A chat with its latest turn. One that stands in an application's own table, and had a turn, has no binding here.
 *
 * @since 0.1.0
 * @category models
 */
export interface ActiveChat {
  readonly chatId: ChatId
  readonly owner: OwnerId
  readonly binding: Binding | null
  readonly turn: HeldTurn | null
  /** When it was made, or its latest turn began or ended. */
  readonly activeAt: DateTime.Utc
}

/**
 * A workspace with its latest build, who holds that, and its agents.
 *
 * @since 0.1.0
 * @category models
 */
export interface ActiveWorkspace {
  readonly workspace: Workspace
  readonly build: BuildRecord | null
  readonly held: HeldBuild | null
  readonly agents: ReadonlyArray<{ readonly agent: Agent; readonly held: HeldAgent }>
}

/**
 * The instants are of the store's clock. `coveredSince` is as in a snapshot of agents.
 *
 * @since 0.1.0
 * @category models
 */
export interface Seen {
  readonly asOf: DateTime.Utc
  readonly coveredSince: DateTime.Utc
  /** Those with a running turn first, then those that were asked for, then the others; each with the newest first. */
  readonly chats: ReadonlyArray<ActiveChat>
  /** Those of the chats first, then those that are being built, then the others; each with the newest first. */
  readonly workspaces: ReadonlyArray<ActiveWorkspace>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Activity extends Context.Service<Activity, {
  /**
   * At most `limit` chats: those with a turn that runs or ended lately, the newest, and those that the caller knows of.
   * At most twice as many workspaces: those of these chats and of the agents that the caller knows of, those that are
   * being built, and the newest that are not deleted. Three statements, each in its own snapshot.
   */
  readonly look: (options: {
    readonly chats: ReadonlyArray<ChatId>
    readonly agents: ReadonlyArray<AgentId>
    readonly limit: number
  }) => Effect.Effect<Seen, StoreError>
}>()("chat-workspace/store/Activity") {}

const makeMemory = Effect.gen(function*() {
  const store = yield* MemoryStore.MemoryStore

  const chatOf = (chatId: ChatId, asOf: DateTime.Utc): ActiveChat | undefined => {
    const row = Array.from(store.turns.values()).findLast(({ turn }) => turn.chatId === chatId)
    const turn = row === undefined
      ? null
      : { turn: row.turn, leaseUntil: row.leaseUntil, interrupting: row.interrupting }
    const chat = store.chats.get(chatId)
    const owner = chat?.owner ?? turn?.turn.owner
    if (owner === undefined) return undefined
    const createdAt = store.chatRows.get(chatId)?.createdAt
    const known = [createdAt, turn?.turn.startedAt, turn?.turn.endedAt].flatMap((at) => at ?? [])
    const activeAt = known.length === 0 ? asOf : known.reduce((left, right) => DateTime.max(left, right))
    return { chatId, owner, binding: chat?.binding ?? null, turn, activeAt }
  }

  const recordOf = (workspaceId: WorkspaceId, asOf: DateTime.Utc): Pick<ActiveWorkspace, "build" | "held"> => {
    const build = store.latestBuild(workspaceId)
    if (build === undefined) return { build: null, held: null }
    const row = store.buildRows.get(build.buildId) ?? MemoryStore.buildRow(asOf)
    const waiting = Array.from(store.workspaces.values()).flatMap(({ builds }) => builds).filter((other) =>
      other.status === "pending" && other.buildId !== build.buildId &&
      DateTime.isLessThan(store.buildRows.get(other.buildId)?.createdAt ?? asOf, row.createdAt)
    )
    const { attempt, createdAt, failure, finishedAt, parameters, startedAt, templateId } = row
    return {
      build: new BuildRecord({
        build,
        templateId,
        parameters,
        failure,
        attempt,
        ahead: build.status === "pending" ? waiting.length : 0,
        createdAt,
        startedAt,
        finishedAt,
        asOf
      }),
      held: {
        buildId: build.buildId,
        nodeId: row.nodeId,
        leaseUntil: row.leaseUntil,
        canceling: row.cancelRequested
      }
    }
  }

  const workspaceOf = (workspaceId: WorkspaceId, asOf: DateTime.Utc): ActiveWorkspace | undefined => {
    const found = store.workspaces.get(workspaceId)
    if (found === undefined) return undefined
    const row = store.workspaceRows.get(workspaceId) ?? MemoryStore.workspaceRow(asOf)
    const { createdAt, name, templateId } = row
    const record = recordOf(workspaceId, asOf)
    const agents = record.build === null ? [] : store.agentsOf(record.build.build.buildId)
    return {
      workspace: new Workspace({ workspaceId, owner: found.owner, name, templateId, createdAt }),
      ...record,
      agents: agents.map((agent) => {
        const held = store.agents.get(agent.agentId)
        return {
          agent,
          held: { agentId: agent.agentId, nodeId: held?.nodeId ?? null, epoch: held?.epoch ?? 0 }
        }
      })
    }
  }

  const changedAt = ({ build, workspace }: ActiveWorkspace): DateTime.Utc =>
    build?.finishedAt ?? build?.createdAt ?? workspace.createdAt

  return Activity.of({
    look: ({ agents, chats, limit }) =>
      Effect.map(DateTime.now, (asOf) => {
        const turns = Array.from(store.turns.values(), ({ turn }) => turn.chatId)
        const active = Array.from(new Set([...chats, ...store.chats.keys(), ...turns]))
          .flatMap((chatId) => chatOf(chatId, asOf) ?? [])
          .sort((left, right) =>
            rankOf(left, chats) - rankOf(right, chats) ||
            DateTime.Order(right.activeAt, left.activeAt)
          )
          .slice(0, limit)
        const wanted = new Set([
          ...active.flatMap(({ binding }) => binding?.workspaceId ?? []),
          ...agents.flatMap((agentId) => store.agents.get(agentId)?.agent.workspaceId ?? [])
        ])
        const rank = ({ build, workspace: { workspaceId } }: ActiveWorkspace): number =>
          wanted.has(workspaceId) ? 0 : build !== null && !isFinished(build.build) ? 1 : 2
        const others = Array.from(store.workspaces.keys())
          .filter((workspaceId) => (store.workspaceRows.get(workspaceId)?.deletedAt ?? null) === null)
        return {
          asOf,
          coveredSince: Coverage.coveredSince(store.coverage, asOf),
          chats: active,
          workspaces: Array.from(new Set([...wanted, ...others]))
            .flatMap((workspaceId) => workspaceOf(workspaceId, asOf) ?? [])
            .sort((left, right) => rank(left) - rank(right) || DateTime.Order(changedAt(right), changedAt(left)))
            .slice(0, 2 * limit)
        }
      })
  })
})

const rankOf = ({ chatId, turn }: ActiveChat, asked: ReadonlyArray<ChatId>): number =>
  turn?.turn.status === "running" ? 0 : asked.includes(chatId) ? 1 : 2

/**
 * Reads what is in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Activity, never, MemoryStore.MemoryStore> = Layer.effect(Activity, makeMemory)
