/**
 * The rows that the verbs of a world in memory write: workspaces with their builds and agents, and what chats remember.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Agent } from "../domain/Agent.ts"
import { Binding } from "../domain/Binding.ts"
import { Build, isFinished } from "../domain/Build.ts"
import type { BuildStatus, Transition } from "../domain/Build.ts"
import { AgentId, BuildId, OwnerId, TemplateId } from "../domain/Ids.ts"
import type { ChatId, WorkspaceId } from "../domain/Ids.ts"
import { WorkspaceName } from "../domain/Workspace.ts"
import * as MemoryStore from "../store/MemoryStore.ts"

/**
 * The workspace of a chat, with its latest build and the agent that it has, had, or will have.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  readonly workspaceId: WorkspaceId
  readonly buildId: BuildId
  readonly agentId: AgentId
}

/**
 * What the chat remembers: the agent (as after a call), or only the workspace (as after a start).
 *
 * @since 0.1.0
 * @category models
 */
export type Remembers = "agent" | "workspace"

/**
 * The owner of all chats and workspaces here.
 *
 * @since 0.1.0
 * @category constants
 */
export const owner: OwnerId = OwnerId.make("owner")

/**
 * The template from which all workspaces here were made.
 *
 * @since 0.1.0
 * @category constants
 */
export const templateId: TemplateId = TemplateId.make("template")

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function*() {
  const store = yield* MemoryStore.MemoryStore

  /** The next build of a workspace, which is made with the first. */
  const append = Effect.fnUntraced(function*(
    workspaceId: WorkspaceId,
    transition: Transition,
    status: BuildStatus,
    logTail: string | null = null
  ) {
    const now = yield* DateTime.now
    const builds = store.workspaces.get(workspaceId)?.builds ?? []
    const number = builds.length + 1
    const buildId = BuildId.make(`${workspaceId}/build-${number}`)
    const build = new Build({ buildId, workspaceId, number, transition, status, logTail })
    if (!store.workspaces.has(workspaceId)) {
      const name = WorkspaceName.make(`workspace-${store.workspaces.size + 1}`)
      store.workspaceRows.set(workspaceId, MemoryStore.workspaceRow(now, { name, templateId }))
    }
    store.workspaces.set(workspaceId, { owner, builds: [...builds, build] })
    recordBuild(build, now)
    return build
  })

  /** No runner takes it: what is not finished is held by one that this world does not have. */
  const recordBuild = (build: Build, now: DateTime.Utc): void => {
    const ended = isFinished(build)
    const { createdAt } = store.buildRows.get(build.buildId) ?? { createdAt: now }
    store.buildRows.set(
      build.buildId,
      MemoryStore.buildRow(createdAt, {
        templateId,
        failure: build.status === "failed" ? { code: "provider_failed", message: "It was told to fail." } : null,
        startedAt: createdAt,
        finishedAt: ended ? now : null,
        leaseUntil: ended ? null : DateTime.add(now, { days: 1000 })
      })
    )
    if (build.transition !== "delete" || build.status !== "succeeded") return
    const row = store.workspaceRows.get(build.workspaceId) ?? MemoryStore.workspaceRow(now)
    store.workspaceRows.set(build.workspaceId, { ...row, deletedAt: now })
  }

  /** A build that was running has succeeded. */
  const finish = ({ agentId, buildId, workspaceId }: Place, now: DateTime.Utc): void => {
    const builds = (store.workspaces.get(workspaceId)?.builds ?? []).map((build) => {
      if (build.buildId !== buildId) return build
      const succeeded = new Build({ ...build, status: "succeeded" })
      recordBuild(succeeded, now)
      return succeeded
    })
    store.workspaces.set(workspaceId, { owner, builds })
    setAgent(agentId, { startedAt: now })
  }

  const setAgent = (agentId: AgentId, fields: Partial<Omit<Agent, "agentId">>): void => {
    const row = store.agents.get(agentId)
    if (row !== undefined) store.agents.set(agentId, { ...row, agent: new Agent({ ...row.agent, ...fields }) })
  }

  /** A start build with one agent. */
  const startBuild = Effect.fnUntraced(
    function*(workspaceId: WorkspaceId, status: BuildStatus, startedAt: DateTime.Utc | null) {
      const { buildId } = yield* append(workspaceId, "start", status)
      return addAgent({ workspaceId, buildId, agentId: AgentId.make(`${buildId}/agent`) }, "main", startedAt)
    }
  )

  /** An agent of which nothing was heard yet. */
  const addAgent = (place: Place, name: string, startedAt: DateTime.Utc | null): Place => {
    const { agentId, buildId, workspaceId } = place
    const agent = new Agent({
      agentId,
      workspaceId,
      buildId,
      parentId: null,
      name,
      displayOrder: 0,
      connectionTimeout: Duration.seconds(120),
      lifecycle: "ready",
      startedAt,
      firstConnectedAt: null,
      lastConnectedAt: null,
      disconnectedAt: null
    })
    store.agents.set(agentId, {
      agent,
      secretHash: new Uint8Array(),
      epoch: 0,
      nodeId: null,
      incarnation: null,
      heardAt: 0
    })
    return place
  }

  const bind = (chatId: ChatId, { agentId, buildId, workspaceId }: Place, remembers: Remembers): void => {
    const before = store.chats.get(chatId)?.binding
    const binding = new Binding({
      chatId,
      workspaceId,
      buildId,
      agentId: remembers === "agent" ? agentId : null,
      generation: (before?.generation ?? 0) + 1
    })
    store.chats.set(chatId, { owner, binding })
  }

  /** The workspace of the chat, and the agent of its latest start. */
  const placeOf = (chatId: ChatId): Place | undefined => {
    const workspaceId = store.chats.get(chatId)?.binding.workspaceId
    if (workspaceId === undefined || workspaceId === null) return undefined
    const build = store.workspaces.get(workspaceId)?.builds.findLast(({ transition }) => transition === "start")
    const agent = build === undefined ? undefined : store.agentsOf(build.buildId)[0]
    return agent === undefined ? undefined : { workspaceId, buildId: agent.buildId, agentId: agent.agentId }
  }

  const isRunning = ({ buildId, workspaceId }: Place): boolean => {
    const latest = store.latestBuild(workspaceId)
    return latest?.buildId === buildId && latest.status === "succeeded"
  }

  return { append, finish, addAgent, setAgent, startBuild, bind, placeOf, isRunning }
})
