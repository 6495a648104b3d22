/**
 * Who holds what a chat needs: the node of its latest turn, the node that runs the latest build of its workspace, and the
 * nodes at which the agents of that build were last.
 *
 * For whoever asks why a chat is stuck. Nothing decides by it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { StoreError } from "../domain/Errors.ts"
import type { AgentId, BuildId, ChatId, NodeId, WorkspaceId } from "../domain/Ids.ts"
import type { Turn } from "../domain/Turn.ts"
import { MemoryStore } from "./MemoryStore.ts"

/**
 * A turn under its lease, and whether somebody wants it interrupted. The lease of a turn that has ended says nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldTurn {
  readonly turn: Turn
  readonly leaseUntil: DateTime.Utc
  readonly interrupting: boolean
}

/**
 * A build under the lease of its runner, and whether somebody wants it canceled. No node has taken it while it waits.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldBuild {
  readonly buildId: BuildId
  readonly nodeId: NodeId | null
  readonly leaseUntil: DateTime.Utc | null
  readonly canceling: boolean
}

/**
 * The last session of an agent: its node, if it ever came, and its epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldAgent {
  readonly agentId: AgentId
  readonly nodeId: NodeId | null
  readonly epoch: number
}

/**
 * All of it in one snapshot, at `asOf` of the store's clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Held {
  readonly asOf: DateTime.Utc
  readonly turn: HeldTurn | null
  readonly build: HeldBuild | null
  readonly agents: ReadonlyArray<HeldAgent>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Holders extends Context.Service<Holders, {
  /** Of one chat, whoever owns it, and the workspace that it remembers. */
  readonly of: (chat: {
    readonly chatId: ChatId
    readonly workspaceId: WorkspaceId | null
  }) => Effect.Effect<Held, StoreError>
}>()("chat-workspace/store/Holders") {}

const makeMemory = Effect.gen(function*() {
  const store = yield* MemoryStore
  return Holders.of({
    of: ({ chatId, workspaceId }) =>
      Effect.map(DateTime.now, (asOf) => {
        const turn = Array.from(store.turns.values()).findLast(({ turn }) => turn.chatId === chatId)
        const build = workspaceId === null ? undefined : store.latestBuild(workspaceId)
        const row = build === undefined ? undefined : store.buildRows.get(build.buildId)
        return {
          asOf,
          turn: turn === undefined
            ? null
            : { turn: turn.turn, leaseUntil: turn.leaseUntil, interrupting: turn.interrupting },
          build: build === undefined ? null : {
            buildId: build.buildId,
            nodeId: row?.nodeId ?? null,
            leaseUntil: row?.leaseUntil ?? null,
            canceling: row?.cancelRequested ?? false
          },
          agents: build === undefined ? [] : store.agentsOf(build.buildId).map(({ agentId }) => {
            const agent = store.agents.get(agentId)
            return { agentId, nodeId: agent?.nodeId ?? null, epoch: agent?.epoch ?? 0 }
          })
        }
      })
  })
})

/**
 * Reads what is in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Holders, never, MemoryStore> = Layer.effect(Holders, makeMemory)
