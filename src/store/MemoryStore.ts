/**
 * The tables behind the memory layers of all ports.
 *
 * A turn of JavaScript is atomic, so each port reads and writes them without a lock; the clock is Effect's.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Agent } from "../domain/Agent.ts"
import type { Binding } from "../domain/Binding.ts"
import type { Build, BuildRecord, LogLine } from "../domain/Build.ts"
import type { Coverage } from "../domain/Coverage.ts"
import type {
  AgentId,
  BuildId,
  ChatId,
  Incarnation,
  NodeId,
  OwnerId,
  TemplateId,
  TurnId,
  WorkspaceId
} from "../domain/Ids.ts"
import type { Turn, TurnEvent, TurnMessage } from "../domain/Turn.ts"
import type { WorkspaceName } from "../domain/Workspace.ts"

/**
 * A row of an agent: what readers see, and what only presence and enrollment use.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentRow {
  readonly agent: Agent
  readonly secretHash: Uint8Array
  readonly epoch: number
  readonly nodeId: NodeId | null
  readonly incarnation: Incarnation | null
  /** When a node last attached or beat for it, in milliseconds of the clock. */
  readonly heardAt: number
}

/**
 * What a workspace has beside its owner and its builds. One that has no such row was made when somebody first looked.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkspaceRow {
  readonly name: WorkspaceName | null
  readonly templateId: TemplateId | null
  /** The chat that made it. */
  readonly chatId: ChatId | null
  readonly createdAt: DateTime.Utc
  readonly deletedAt: DateTime.Utc | null
}

/**
 * What the queue knows of a build. One that has no such row was made when somebody first looked.
 *
 * @since 0.1.0
 * @category models
 */
export interface BuildRow extends Omit<BuildRecord, "build" | "ahead" | "asOf"> {
  readonly repeatable: boolean
  readonly epoch: number
  /** Who took it last. */
  readonly nodeId: NodeId | null
  readonly leaseUntil: DateTime.Utc | null
  readonly cancelRequested: boolean
}

/**
 * A turn, with what it has said and told under their numbers.
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnRow {
  turn: Turn
  leaseUntil: DateTime.Utc
  interrupting: boolean
  readonly messages: Map<number, TurnMessage>
  readonly events: Map<number, TurnEvent>
}

/**
 * A workspace that was made, and not more said of it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const workspaceRow = (createdAt: DateTime.Utc, fields?: Partial<WorkspaceRow>): WorkspaceRow => ({
  name: null,
  templateId: null,
  chatId: null,
  createdAt,
  deletedAt: null,
  ...fields
})

/**
 * A build that waits for a runner.
 *
 * @since 0.1.0
 * @category constructors
 */
export const buildRow = (createdAt: DateTime.Utc, fields?: Partial<BuildRow>): BuildRow => ({
  templateId: null,
  parameters: {},
  repeatable: false,
  failure: null,
  attempt: 0,
  epoch: 0,
  nodeId: null,
  leaseUntil: null,
  cancelRequested: false,
  createdAt,
  startedAt: null,
  finishedAt: null,
  ...fields
})

/**
 * @since 0.1.0
 * @category services
 */
export class MemoryStore extends Context.Service<MemoryStore, {
  readonly chats: Map<ChatId, { readonly owner: OwnerId; readonly binding: Binding }>
  /** What a chat has beside its owner and its binding. One that has no such row was made when somebody first looked. */
  readonly chatRows: Map<ChatId, { readonly parentId: ChatId | null; readonly createdAt: DateTime.Utc }>
  readonly workspaces: Map<WorkspaceId, { readonly owner: OwnerId; readonly builds: ReadonlyArray<Build> }>
  readonly agents: Map<AgentId, AgentRow>
  readonly workspaceRows: Map<WorkspaceId, WorkspaceRow>
  readonly buildRows: Map<BuildId, BuildRow>
  /** The lines of each log, in order of their numbers. */
  readonly logs: Map<BuildId, ReadonlyArray<LogLine>>
  /** In the order in which they began. */
  readonly turns: Map<TurnId, TurnRow>
  coverage: Coverage | undefined
  /** The build with the highest number. */
  readonly latestBuild: (workspaceId: WorkspaceId) => Build | undefined
  /** The agents of one build, in the order in which they were made. */
  readonly agentsOf: (buildId: BuildId) => ReadonlyArray<Agent>
  /** Whether the agent is of the latest start build, and no later stop or delete has succeeded. */
  readonly isValid: (agent: Agent) => boolean
}>()("chat-workspace/store/MemoryStore") {}

const make = Effect.sync(() => {
  const workspaces: MemoryStore["Service"]["workspaces"] = new Map()
  const agents: MemoryStore["Service"]["agents"] = new Map()
  const builds = (workspaceId: WorkspaceId): ReadonlyArray<Build> => workspaces.get(workspaceId)?.builds ?? []
  return MemoryStore.of({
    chats: new Map(),
    chatRows: new Map(),
    workspaces,
    agents,
    workspaceRows: new Map(),
    buildRows: new Map(),
    logs: new Map(),
    turns: new Map(),
    coverage: undefined,
    latestBuild: (workspaceId) => builds(workspaceId).at(-1),
    agentsOf: (buildId) => Array.from(agents.values(), (row) => row.agent).filter((agent) => agent.buildId === buildId),
    isValid: (agent) => {
      const all = builds(agent.workspaceId)
      const start = all.findLast((build) => build.transition === "start")
      return start !== undefined && start.buildId === agent.buildId &&
        !all.some((build) =>
          build.number > start.number && build.transition !== "start" && build.status === "succeeded"
        )
    }
  })
})

/**
 * Empty tables.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<MemoryStore> = Layer.effect(MemoryStore, make)
