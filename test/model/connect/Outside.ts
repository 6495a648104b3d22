/**
 * What is outside of the connections: workspaces with their builds and agents, the other writers of the bindings, the
 * database and the links. Schedules act on it, and it knows what is true.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { AgentTransport } from "../../../src/agent/AgentTransport.ts"
import { Agent } from "../../../src/domain/Agent.ts"
import { currentAgent } from "../../../src/domain/AgentSelection.ts"
import { Binding } from "../../../src/domain/Binding.ts"
import { Build, type BuildStatus, type Transition } from "../../../src/domain/Build.ts"
import type { NoCurrentAgent } from "../../../src/domain/Errors.ts"
import { AgentId, BuildId, ChatId, OwnerId, WorkspaceId } from "../../../src/domain/Ids.ts"
import type { ChatBindings } from "../../../src/store/ChatBindings.ts"
import { MemoryStore } from "../../../src/store/MemoryStore.ts"
import * as WorkspaceAgents from "../../../src/store/WorkspaceAgents.ts"
import { ScriptedStores } from "../../../src/testing/ScriptedStores.ts"
import { ScriptedTransport } from "../../../src/testing/ScriptedTransport.ts"
import { at } from "../Schedule.ts"
import type { Mode, Step } from "./Schedule.ts"

/** Since when agents are dead, in milliseconds of the clock; the others are alive. */
export type Deaths = Map<AgentId, number>

/** Rows that are written when they are read: the living were heard just now, and heartbeats were recorded all along. */
export const layerRows = (deaths: Deaths): Layer.Layer<WorkspaceAgents.WorkspaceAgents, never, MemoryStore> =>
  Layer.effect(
    WorkspaceAgents.WorkspaceAgents,
    Effect.gen(function*() {
      const store = yield* MemoryStore
      const agents = yield* WorkspaceAgents.WorkspaceAgents
      const write = (agentId: AgentId) =>
        Effect.map(DateTime.now, (now) => {
          store.coverage = { since: DateTime.makeUnsafe(-1_000_000_000), lastBeatAt: now }
          const row = store.agents.get(agentId)
          if (row === undefined) return
          const dead = deaths.get(agentId)
          const lastConnectedAt = dead === undefined ? now : DateTime.makeUnsafe(dead)
          const disconnectedAt = dead === undefined ? null : lastConnectedAt
          store.agents.set(agentId, { ...row, agent: new Agent({ ...row.agent, lastConnectedAt, disconnectedAt }) })
        })
      return WorkspaceAgents.WorkspaceAgents.of({
        agent: (agentId) => Effect.andThen(write(agentId), agents.agent(agentId)),
        latestBuild: (workspaceId) =>
          Effect.suspend(() => {
            const latest = store.latestBuild(workspaceId)
            const rows = latest === undefined ? [] : store.agentsOf(latest.buildId)
            return Effect.andThen(
              Effect.forEach(rows, ({ agentId }) => write(agentId), { discard: true }),
              agents.latestBuild(workspaceId)
            )
          })
      })
    })
  ).pipe(Layer.provide(WorkspaceAgents.layerMemory))

const owner = OwnerId.make("owner")

export class Outside {
  readonly workspaces = [WorkspaceId.make("w0"), WorkspaceId.make("w1")]
  readonly chats = [ChatId.make("c0"), ChatId.make("c1")]
  readonly agents: Array<AgentId> = []
  readonly deaths: Deaths
  readonly transport: ScriptedTransport["Service"]
  private readonly presence: AgentTransport["Service"]["presence"]
  readonly stores: ScriptedStores["Service"]
  /** The database answers everything at once. */
  healthy = true
  private readonly store: MemoryStore["Service"]
  private readonly writers: ChatBindings["Service"]
  private readonly modes = new Map<AgentId, Mode>()
  private readonly now: () => number

  /** `writers` are the bindings as others write them, which nothing slows or counts. */
  constructor(options: {
    readonly context: Context.Context<AgentTransport | ScriptedTransport | ScriptedStores | MemoryStore>
    readonly writers: ChatBindings["Service"]
    readonly deaths: Deaths
    readonly now: () => number
  }) {
    this.transport = Context.get(options.context, ScriptedTransport)
    this.presence = Context.get(options.context, AgentTransport).presence
    this.stores = Context.get(options.context, ScriptedStores)
    this.store = Context.get(options.context, MemoryStore)
    this.writers = options.writers
    this.deaths = options.deaths
    this.now = options.now
    // Two chats, each bound to the agent of its own running workspace.
    for (const workspaceId of this.workspaces) this.startBuild(workspaceId)
    this.chats.forEach((chatId, index) => {
      const workspaceId = this.workspaces[index] ?? null
      const agentId = this.agents[index] ?? null
      const binding = new Binding({ chatId, workspaceId, buildId: null, agentId, generation: 1 })
      this.store.chats.set(chatId, { owner, binding })
    })
  }

  generation(chatId: ChatId): number {
    return this.store.chats.get(chatId)?.binding.generation ?? 0
  }

  /** The agent that a workspace has now, or why there is none. */
  truth(workspaceId: WorkspaceId): Result.Result<Agent, NoCurrentAgent> {
    const build = this.store.latestBuild(workspaceId)
    const now = DateTime.makeUnsafe(this.now())
    return currentAgent(
      workspaceId,
      build === undefined
        ? Option.none()
        : Option.some({ build, agents: this.store.agentsOf(build.buildId), asOf: now, coveredSince: now })
    )
  }

  /** Whether the transport, or else the row, says that the agent is not there. */
  isSurelyGone(agentId: AgentId): boolean {
    const presence = this.presence(agentId)
    return presence === "absent" || presence === "unknown" && this.deaths.has(agentId)
  }

  /** Whether an agent lives, and takes a dial within ten seconds. */
  answers(agentId: AgentId): boolean {
    const mode = this.modes.get(agentId)
    return !this.deaths.has(agentId) && mode?.mode === "accept" && mode.after <= 10_000
  }

  /** The row that another writer wrote, where one did, and whether the turn is told of it. */
  perform(step: Step): { readonly binding: Binding; readonly told: boolean } | undefined {
    switch (step.do) {
      case "dials":
        this.onAgent(step.agent, (agentId) => this.script(agentId, step))
        return
      case "dead":
        this.onAgent(step.agent, (agentId) => {
          if (step.since === null) this.deaths.delete(agentId)
          else this.deaths.set(agentId, this.now() - step.since)
        })
        return
      case "lose":
        this.onAgent(step.agent, (agentId) => Effect.runSync(this.transport.drop(agentId, step.reason)))
        return
      case "presence":
        this.onAgent(step.agent, (agentId) => Effect.runSync(this.transport.presence(agentId, step.presence)))
        return
      case "liveness":
        this.onAgent(step.agent, (agentId) => Effect.runSync(this.transport.liveness(agentId, step.liveness)))
        return
      case "store":
        this.healthy = step.script === "heal" && step.queries.length > 1
        Effect.runSync(
          step.script === "heal"
            ? this.stores.heal(step.queries)
            : step.script === "fail"
            ? this.stores.fail(step.queries)
            : step.script === "hang"
            ? this.stores.hang(step.queries)
            : this.stores.delay(step.after, step.queries)
        )
        return
      case "forget":
        this.onAgent(step.agent, (agentId) => this.store.agents.delete(agentId))
        return
      case "rebuild": {
        const workspaceId = at(this.workspaces, step.workspace)
        return workspaceId === undefined ? undefined : this.rebuild(workspaceId, step.oldAgent)
      }
      case "build": {
        const workspaceId = at(this.workspaces, step.workspace)
        if (workspaceId !== undefined) this.append(workspaceId, step.transition, step.status)
        return
      }
      case "bindWorkspace": {
        const chatId = at(this.chats, step.chat)
        const workspaceId = step.workspace === null ? null : at(this.workspaces, step.workspace) ?? null
        if (chatId === undefined) return
        const write = this.writers.bindWorkspace({ chatId, owner, workspaceId })
        return { binding: Effect.runSync(Effect.orDie(write)), told: step.told }
      }
      case "bindAgent": {
        const chatId = at(this.chats, step.chat)
        const row = chatId === undefined ? undefined : this.store.chats.get(chatId)?.binding
        const current = row === undefined || row.workspaceId === null ? undefined : this.truth(row.workspaceId)
        if (row === undefined || current === undefined || Result.isFailure(current)) return
        const { agentId, buildId } = current.success
        const { binding } = Effect.runSync(Effect.orDie(this.writers.bindAgent(row, buildId, agentId)))
        return { binding, told: step.told }
      }
      default:
        return
    }
  }

  /** Every agent answers, and so does the database. */
  heal(): void {
    for (const agentId of this.agents) this.script(agentId, { mode: "accept", after: 0 })
    Effect.runSync(this.stores.heal())
  }

  private rebuild(workspaceId: WorkspaceId, oldAgent: "gone" | "alive"): undefined {
    const old = this.truth(workspaceId)
    this.startBuild(workspaceId)
    if (oldAgent === "alive" || Result.isFailure(old)) return
    const { agentId } = old.success
    this.deaths.set(agentId, this.now())
    this.script(agentId, { mode: "stall", holding: false })
    Effect.runSync(this.transport.drop(agentId, "revoked"))
  }

  private onAgent(index: number, f: (agentId: AgentId) => void): void {
    const agentId = at(this.agents, index)
    if (agentId !== undefined) f(agentId)
  }

  private script(agentId: AgentId, how: Mode): void {
    this.modes.set(agentId, how)
    Effect.runSync(this.scriptOf(agentId, how))
  }

  private scriptOf(agentId: AgentId, how: Mode): Effect.Effect<void> {
    switch (how.mode) {
      case "accept":
        return this.transport.accept(agentId, { after: how.after })
      case "refuse":
        return this.transport.refuse(agentId, { after: how.after })
      case "stall":
        return this.transport.stall(agentId, { holding: how.holding })
      case "stubborn":
        return this.transport.ignoreCancellation(agentId, how)
      case "uninterruptible":
        return this.transport.acquireUninterruptibly(agentId)
    }
  }

  private append(workspaceId: WorkspaceId, transition: Transition, status: BuildStatus): Build {
    const builds = this.store.workspaces.get(workspaceId)?.builds ?? []
    const number = builds.length + 1
    const buildId = BuildId.make(`${workspaceId}/${number}`)
    const build = new Build({ buildId, workspaceId, number, transition, status, logTail: null })
    this.store.workspaces.set(workspaceId, { owner, builds: [...builds, build] })
    return build
  }

  private startBuild(workspaceId: WorkspaceId): void {
    const { buildId } = this.append(workspaceId, "start", "succeeded")
    const agentId = AgentId.make(`a${this.agents.length}`)
    this.agents.push(agentId)
    const now = DateTime.makeUnsafe(this.now())
    const agent = new Agent({
      agentId,
      workspaceId,
      buildId,
      parentId: null,
      name: "main",
      displayOrder: 0,
      connectionTimeout: Duration.seconds(120),
      lifecycle: "ready",
      startedAt: now,
      firstConnectedAt: now,
      lastConnectedAt: now,
      disconnectedAt: null
    })
    const secretHash = new Uint8Array()
    this.store.agents.set(agentId, { agent, secretHash, epoch: 0, nodeId: null, incarnation: null, heardAt: 0 })
    this.script(agentId, { mode: "accept", after: 0 })
  }
}
