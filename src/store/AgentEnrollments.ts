/**
 * The builds and agents that were made elsewhere and are recorded here.
 *
 * A start that is recorded revokes the agents of earlier builds in the same step; a stop revokes them all. Sessions of
 * revoked agents end at the next heartbeat of their node. A build of the queue that is not finished is canceled by either:
 * what was made elsewhere takes its place.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Agent } from "../domain/Agent.ts"
import { Build, isFinished } from "../domain/Build.ts"
import type { Transition } from "../domain/Build.ts"
import { WorkspaceRefused } from "../domain/Errors.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { AgentId, BuildId, OwnerId, WorkspaceId } from "../domain/Ids.ts"
import { buildRow, MemoryStore, workspaceRow } from "./MemoryStore.ts"

/**
 * An agent of a recorded start.
 *
 * @since 0.1.0
 * @category models
 */
export interface EnrolledAgent {
  readonly agentId: AgentId
  readonly parentId: AgentId | null
  readonly name: string
  readonly displayOrder: number
  readonly connectionTimeout: Duration.Duration
  readonly secretHash: Uint8Array
}

/**
 * @since 0.1.0
 * @category services
 */
export class AgentEnrollments extends Context.Service<AgentEnrollments, {
  /** Records a start that succeeded, making the workspace if there is none. Fails when it is of another owner. */
  readonly recordStart: (options: {
    readonly workspaceId: WorkspaceId
    readonly owner: OwnerId
    readonly buildId: BuildId
    readonly agents: ReadonlyArray<EnrolledAgent>
  }) => Effect.Effect<Build, WorkspaceRefused | StoreError>
  /** Records a stop or a delete that succeeded. Fails when there is no such workspace of this owner. */
  readonly recordEnd: (options: {
    readonly workspaceId: WorkspaceId
    readonly owner: OwnerId
    readonly buildId: BuildId
    readonly transition: Exclude<Transition, "start">
  }) => Effect.Effect<Build, WorkspaceRefused | StoreError>
  /** Replaces the secret of an agent and ends its session. Fails when the workspace is not of this owner. */
  readonly replaceSecret: (options: {
    readonly workspaceId: WorkspaceId
    readonly owner: OwnerId
    readonly agentId: AgentId
    readonly secretHash: Uint8Array
  }) => Effect.Effect<void, WorkspaceRefused | StoreError>
}>()("chat-workspace/store/AgentEnrollments") {}

const makeMemory = Effect.gen(function*() {
  const store = yield* MemoryStore

  const append = (
    options: { readonly workspaceId: WorkspaceId; readonly owner: OwnerId; readonly buildId: BuildId },
    transition: Transition,
    now: DateTime.Utc
  ): Build => {
    const { buildId, owner, workspaceId } = options
    const builds = (store.workspaces.get(workspaceId)?.builds ?? []).map((build) => {
      if (isFinished(build)) return build
      const row = store.buildRows.get(build.buildId) ?? buildRow(now)
      store.buildRows.set(build.buildId, { ...row, finishedAt: now })
      return new Build({ ...build, status: "canceled" })
    })
    const number = (builds.at(-1)?.number ?? 0) + 1
    const build = new Build({ buildId, workspaceId, number, transition, status: "succeeded", logTail: null })
    store.workspaces.set(workspaceId, { owner, builds: [...builds, build] })
    store.buildRows.set(buildId, buildRow(now, { finishedAt: now }))
    const row = store.workspaceRows.get(workspaceId) ?? workspaceRow(now)
    store.workspaceRows.set(workspaceId, {
      ...row,
      // It was free for others since this one was deleted.
      name: transition === "start" && row.deletedAt !== null ? null : row.name,
      deletedAt: transition === "start" ? null : transition === "delete" ? now : row.deletedAt
    })
    return build
  }

  return AgentEnrollments.of({
    recordStart: (options) =>
      Effect.flatMap(DateTime.now, (now) => {
        const { agents, buildId, owner, workspaceId } = options
        const workspace = store.workspaces.get(workspaceId)
        if (workspace !== undefined && workspace.owner !== owner) return new WorkspaceRefused({ workspaceId, owner })
        for (const { secretHash, ...agent } of agents) {
          store.agents.set(agent.agentId, {
            agent: new Agent({
              ...agent,
              workspaceId,
              buildId,
              lifecycle: "ready",
              startedAt: now,
              firstConnectedAt: null,
              lastConnectedAt: null,
              disconnectedAt: null
            }),
            secretHash,
            epoch: 0,
            nodeId: null,
            incarnation: null,
            heardAt: 0
          })
        }
        return Effect.succeed(append(options, "start", now))
      }),
    recordEnd: (options) =>
      Effect.flatMap(DateTime.now, (now) => {
        const { owner, transition, workspaceId } = options
        return store.workspaces.get(workspaceId)?.owner === owner
          ? Effect.succeed(append(options, transition, now))
          : new WorkspaceRefused({ workspaceId, owner })
      }),
    replaceSecret: ({ agentId, owner, secretHash, workspaceId }) =>
      Effect.suspend(() => {
        const row = store.agents.get(agentId)
        const owned = store.workspaces.get(workspaceId)?.owner === owner && row?.agent.workspaceId === workspaceId
        if (row === undefined || !owned) return new WorkspaceRefused({ workspaceId, owner })
        store.agents.set(agentId, { ...row, secretHash, epoch: row.epoch + 1 })
        return Effect.void
      })
  })
})

/**
 * Records in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<AgentEnrollments, never, MemoryStore> = Layer.effect(
  AgentEnrollments,
  makeMemory
)
