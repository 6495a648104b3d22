/**
 * What a gateway writes of its sessions: who attached, who is still heard, who left.
 *
 * `attach` increments the agent's epoch, and everything a session writes later is fenced by the epoch it got: a node that
 * froze while its agent moved on changes nothing when it thaws. Writers pass ages, never instants; the store's clock
 * makes instants of them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Agent } from "../domain/Agent.ts"
import type { Lifecycle } from "../domain/Agent.ts"
import type { AgentToken } from "../domain/AgentToken.ts"
import * as Coverage from "../domain/Coverage.ts"
import { TokenRefused } from "../domain/Errors.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { AgentId, Incarnation, NodeId } from "../domain/Ids.ts"
import { MemoryStore } from "./MemoryStore.ts"
import * as SecretHash from "./SecretHash.ts"

/**
 * A session that attached: the epoch that fences its writes, and the incarnation that was attached before it, if any.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attached {
  readonly epoch: number
  readonly previous: Incarnation | null
}

/**
 * What a heartbeat says of one session: still the newest, replaced by a newer one, or revoked by a build.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict = "valid" | "replaced" | "revoked"

/**
 * The heartbeat of a node: its sessions with the ages of their last frames, and the dials that wait on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Beat {
  readonly nodeId: NodeId
  readonly sessions: ReadonlyArray<{
    readonly agentId: AgentId
    readonly epoch: number
    readonly age: Duration.Duration
  }>
  readonly waiting: ReadonlyArray<{ readonly agentId: AgentId; readonly age: Duration.Duration }>
}

/**
 * The answer to a heartbeat: a verdict for each session, and of the waiting agents those that another node attached or
 * beat for after the wait began.
 *
 * @since 0.1.0
 * @category models
 */
export interface BeatAnswer {
  readonly verdicts: ReadonlyMap<AgentId, Verdict>
  readonly elsewhere: ReadonlyArray<AgentId>
}

/**
 * @since 0.1.0
 * @category services
 */
export class AgentPresence extends Context.Service<AgentPresence, {
  /** Whose token it is. Fails with `TokenRefused` when it is unknown, or revoked by a later build. */
  readonly verify: (token: AgentToken) => Effect.Effect<AgentId, TokenRefused | StoreError>
  /** Makes this the agent's newest session. Fails with `TokenRefused` when the agent was revoked meanwhile. */
  readonly attach: (options: {
    readonly agentId: AgentId
    readonly nodeId: NodeId
    readonly incarnation: Incarnation
  }) => Effect.Effect<Attached, TokenRefused | StoreError>
  /** Records all sessions of the node at once and answers which of them are still valid. */
  readonly beat: (beat: Beat) => Effect.Effect<BeatAnswer, StoreError>
  /**
   * Records what the start-up scripts of an agent have come to, as the session of this epoch heard it; nothing when a newer
   * one attached, or the agent was revoked.
   */
  readonly report: (options: {
    readonly agentId: AgentId
    readonly epoch: number
    readonly lifecycle: Lifecycle
  }) => Effect.Effect<void, StoreError>
  /** Records that the session of this epoch ended; nothing when a newer one attached. */
  readonly detach: (options: { readonly agentId: AgentId; readonly epoch: number }) => Effect.Effect<void, StoreError>
}>()("chat-workspace/store/AgentPresence") {}

const makeMemory = Effect.gen(function*() {
  const store = yield* MemoryStore
  const hash = yield* SecretHash.make

  return AgentPresence.of({
    verify: Effect.fnUntraced(function*(token) {
      const row = store.agents.get(token.agentId)
      const matches = yield* hash.matches(token.secret, row?.secretHash)
      if (row === undefined || !matches) return yield* new TokenRefused({ reason: "unknown" })
      if (!store.isValid(row.agent)) return yield* new TokenRefused({ reason: "revoked" })
      return row.agent.agentId
    }),
    attach: ({ agentId, incarnation, nodeId }) =>
      Effect.flatMap(DateTime.now, (now) => {
        const row = store.agents.get(agentId)
        if (row === undefined || !store.isValid(row.agent)) return new TokenRefused({ reason: "revoked" })
        const epoch = row.epoch + 1
        store.agents.set(agentId, {
          ...row,
          agent: new Agent({
            ...row.agent,
            firstConnectedAt: row.agent.firstConnectedAt ?? now,
            lastConnectedAt: now,
            disconnectedAt: null
          }),
          epoch,
          nodeId,
          incarnation,
          heardAt: DateTime.toEpochMillis(now)
        })
        return Effect.succeed({ epoch, previous: row.incarnation })
      }),
    beat: ({ nodeId, sessions, waiting }) =>
      Effect.map(DateTime.now, (now) => {
        const verdicts = new Map<AgentId, Verdict>()
        for (const { age, agentId, epoch } of sessions) {
          const row = store.agents.get(agentId)
          const verdict = row === undefined || !store.isValid(row.agent)
            ? "revoked"
            : row.epoch === epoch
            ? "valid"
            : "replaced"
          verdicts.set(agentId, verdict)
          if (row === undefined || verdict !== "valid" || row.agent.disconnectedAt !== null) continue
          const heard = DateTime.subtractDuration(now, age)
          const { lastConnectedAt } = row.agent
          store.agents.set(agentId, {
            ...row,
            agent: new Agent({
              ...row.agent,
              lastConnectedAt: lastConnectedAt === null ? heard : DateTime.max(lastConnectedAt, heard)
            }),
            heardAt: DateTime.toEpochMillis(now)
          })
        }
        store.coverage = Coverage.beat(store.coverage, now)
        const elsewhere = waiting.filter(({ age, agentId }) => {
          const row = store.agents.get(agentId)
          return row !== undefined && row.nodeId !== null && row.nodeId !== nodeId &&
            row.agent.disconnectedAt === null &&
            row.heardAt > DateTime.toEpochMillis(now) - Duration.toMillis(age)
        })
        return { verdicts, elsewhere: elsewhere.map(({ agentId }) => agentId) }
      }),
    report: ({ agentId, epoch, lifecycle }) =>
      Effect.sync(() => {
        const row = store.agents.get(agentId)
        if (row === undefined || row.epoch !== epoch || !store.isValid(row.agent)) return
        store.agents.set(agentId, { ...row, agent: new Agent({ ...row.agent, lifecycle }) })
      }),
    detach: ({ agentId, epoch }) =>
      Effect.map(DateTime.now, (now) => {
        const row = store.agents.get(agentId)
        if (row === undefined || row.epoch !== epoch || row.agent.disconnectedAt !== null) return
        store.agents.set(agentId, { ...row, agent: new Agent({ ...row.agent, disconnectedAt: now }) })
      })
  })
})

/**
 * Records sessions in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<AgentPresence, never, MemoryStore> = Layer.effect(AgentPresence, makeMemory)
  .pipe(Layer.provide(Digest.layerWebCrypto))
