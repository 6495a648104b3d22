/**
 * Which agents a workspace has now: what connecting asks when a remembered agent is slow, silent or gone.
 *
 * Each answer is one snapshot of one clock. A caller never keeps one to decide liveness later.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { AgentSnapshot, BuildSnapshot } from "../domain/Agent.ts"
import * as Coverage from "../domain/Coverage.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import { MemoryStore } from "./MemoryStore.ts"

/**
 * @since 0.1.0
 * @category services
 */
export class WorkspaceAgents extends Context.Service<WorkspaceAgents, {
  /** One agent by its id; none when there is no such row. Concurrent reads may share one statement. */
  readonly agent: (agentId: AgentId) => Effect.Effect<Option.Option<AgentSnapshot>, StoreError>
  /** The build with the highest number and its agents; none when the workspace was never built. */
  readonly latestBuild: (workspaceId: WorkspaceId) => Effect.Effect<Option.Option<BuildSnapshot>, StoreError>
}>()("chat-workspace/store/WorkspaceAgents") {}

const makeMemory = Effect.gen(function*() {
  const store = yield* MemoryStore
  return WorkspaceAgents.of({
    agent: (agentId) =>
      Effect.map(DateTime.now, (asOf) =>
        Option.map(Option.fromUndefinedOr(store.agents.get(agentId)), ({ agent }) => ({
          agent,
          asOf,
          coveredSince: Coverage.coveredSince(store.coverage, asOf)
        }))),
    latestBuild: (workspaceId) =>
      Effect.map(
        DateTime.now,
        (asOf) =>
          Option.map(Option.fromUndefinedOr(store.latestBuild(workspaceId)), (build) => ({
            build,
            agents: store.agentsOf(build.buildId),
            asOf,
            coveredSince: Coverage.coveredSince(store.coverage, asOf)
          }))
      )
  })
})

/**
 * Reads what is in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<WorkspaceAgents, never, MemoryStore> = Layer.effect(WorkspaceAgents, makeMemory)
