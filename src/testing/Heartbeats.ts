/**
 * The heartbeats of the living agents of a world in memory.
 *
 * They are written when somebody reads, so that no fiber has to beat and an agent is as alive after an hour of virtual
 * time as it was before.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Agent } from "../domain/Agent.ts"
import * as Coverage from "../domain/Coverage.ts"
import type { AgentId } from "../domain/Ids.ts"
import * as MemoryStore from "../store/MemoryStore.ts"
import * as WorkspaceAgents from "../store/WorkspaceAgents.ts"

/**
 * `alive` are the agents that beat. While they are paused, no heartbeat of anybody is recorded.
 *
 * @since 0.1.0
 * @category services
 */
export class Heartbeats extends Context.Service<Heartbeats, {
  readonly alive: Set<AgentId>
  readonly beat: Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}>()("chat-workspace/testing/Heartbeats") {}

/**
 * Over tables in which heartbeats were recorded for longer than any agent can have been dead.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Heartbeats, never, MemoryStore.MemoryStore> = Layer.effect(
  Heartbeats,
  Effect.gen(function*() {
    const store = yield* MemoryStore.MemoryStore
    const alive = new Set<AgentId>()
    let paused = false
    const since = DateTime.makeUnsafe((yield* Clock.currentTimeMillis) - Duration.toMillis("1000 days"))
    store.coverage = { since, lastBeatAt: since }

    const beat = Effect.map(DateTime.now, (now) => {
      if (paused) return
      store.coverage = { since: store.coverage?.since ?? now, lastBeatAt: now }
      for (const agentId of alive) {
        const row = store.agents.get(agentId)
        if (row !== undefined) {
          store.agents.set(agentId, { ...row, agent: new Agent({ ...row.agent, lastConnectedAt: now }) })
        }
      }
    })

    return Heartbeats.of({
      alive,
      beat,
      pause: Effect.map(beat, () => {
        paused = true
      }),
      resume: Effect.map(DateTime.now, (now) => {
        if (!paused) return
        paused = false
        store.coverage = Coverage.beat(store.coverage, now)
      })
    })
  })
)

/**
 * Reads that find the living alive.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAgents: Layer.Layer<WorkspaceAgents.WorkspaceAgents, never, Heartbeats | MemoryStore.MemoryStore> =
  Layer
    .effect(
      WorkspaceAgents.WorkspaceAgents,
      Effect.gen(function*() {
        const agents = yield* WorkspaceAgents.WorkspaceAgents
        const { beat } = yield* Heartbeats
        return WorkspaceAgents.WorkspaceAgents.of({
          agent: (agentId) => Effect.andThen(beat, agents.agent(agentId)),
          latestBuild: (workspaceId) => Effect.andThen(beat, agents.latestBuild(workspaceId))
        })
      })
    ).pipe(Layer.provide(WorkspaceAgents.layerMemory))
