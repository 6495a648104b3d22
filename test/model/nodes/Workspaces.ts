/**
 * The workspaces and their builds: those recorded from elsewhere, and those of the queue with its runners, which may lose
 * a build and not know it.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { isFinished } from "../../../src/domain/Build.ts"
import { AgentId, BuildId, NodeId, OwnerId, TemplateId, WorkspaceId } from "../../../src/domain/Ids.ts"
import type { ChatId } from "../../../src/domain/Ids.ts"
import { WorkspaceName } from "../../../src/domain/Workspace.ts"
import * as AgentEnrollments from "../../../src/store/AgentEnrollments.ts"
import * as Builds from "../../../src/store/Builds.ts"
import type { TakenBuild } from "../../../src/store/Builds.ts"
import * as ChatBindings from "../../../src/store/ChatBindings.ts"
import { took } from "../Branches.ts"
import type { Database } from "./Database.ts"
import type { Step } from "./Schedule.ts"

export const owner = OwnerId.make("owner")

const lease = Duration.seconds(30)

export class Workspaces {
  private readonly database: Database
  private readonly random: () => number
  private readonly violate: (text: string) => void
  private readonly startProgram: (agentId: AgentId) => void
  private readonly endAgents: (workspaceId: WorkspaceId) => void
  private readonly taken = new Map<number, TakenBuild>()
  private made = 0

  constructor(options: {
    readonly database: Database
    readonly random: () => number
    readonly violate: (text: string) => void
    readonly startProgram: (agentId: AgentId) => void
    readonly endAgents: (workspaceId: WorkspaceId) => void
  }) {
    this.database = options.database
    this.random = options.random
    this.violate = options.violate
    this.startProgram = options.startProgram
    this.endAgents = options.endAgents
  }

  get bindings() {
    return Context.get(this.database.context, ChatBindings.ChatBindings)
  }

  /** A start that was made elsewhere. */
  enroll(workspaceId: WorkspaceId): void {
    const agent = this.newAgent()
    const buildId = BuildId.make(`b${++this.made}`)
    const made = this.database.now(this.enrollments.recordStart({ workspaceId, owner, buildId, agents: [agent] }))
    if (Exit.isSuccess(made)) this.startProgram(agent.agentId)
  }

  /** Asks for a build of the queue. */
  request(workspaceId: WorkspaceId, transition: "start" | "stop" | "delete"): void {
    const latest = this.database.store.latestBuild(workspaceId)
    const wish = this.builds.request({
      owner,
      workspaceId,
      transition,
      after: latest?.number ?? 0,
      build: { buildId: BuildId.make(`b${++this.made}`), parameters: {}, repeatable: this.random() < 0.8 },
      chat: null
    })
    const asked = this.database.now(wish)
    if (Exit.isSuccess(asked) && asked.value._tag === "Superseded") took("build: another came first")
    if (Exit.isSuccess(asked) && asked.value._tag === "Queued" && latest !== undefined && !isFinished(latest)) {
      this.violate("a workspace has two unfinished builds")
    }
  }

  /** Several ask, having looked at the row of the chat at the same time. */
  create(chatId: ChatId, callers: number): void {
    const seen = this.database.now(this.bindings.get(chatId))
    if (Exit.isFailure(seen)) return
    let created = 0
    for (let n = 0; n < callers; n++) {
      const id = ++this.made
      const result = this.database.now(this.builds.createWorkspace({
        owner,
        workspaceId: WorkspaceId.make(`w${id}`),
        templateId: TemplateId.make("template"),
        names: [WorkspaceName.make(`workspace-${id}`)],
        build: { buildId: BuildId.make(`b${id}`), parameters: {}, repeatable: true },
        chat: seen.value,
        limit: { count: 1000, within: Duration.hours(1) }
      }))
      if (Exit.isSuccess(result) && result.value._tag === "Created") created++
    }
    if (callers > 1) took("workspace: another came first")
    if (created > 1) this.violate("a chat that asked for a workspace several times got several")
  }

  /** A runner takes a build, or does something to the one that it took. */
  runner(runner: number, what: Extract<Step, { readonly do: "runner" }>["what"]): void {
    const taken = this.taken.get(runner)
    if (what === "take") {
      const found = this.database.now(this.builds.take({
        nodeId: NodeId.make(`runner-${runner}`),
        lease,
        limit: Duration.minutes(15),
        attempts: 3
      }))
      if (Exit.isFailure(found) || Option.isNone(found.value)) return
      took(found.value.value.attempt > 1 ? "runner: took over a build" : "runner: took a build")
      this.taken.set(runner, found.value.value)
      return
    }
    if (taken === undefined) return
    const fence = { buildId: taken.build.buildId, epoch: taken.epoch }
    const { transition, workspaceId } = taken.build
    // One that lost its build goes on until the store says so.
    const held = (): boolean =>
      this.database.store.buildRows.get(fence.buildId)?.epoch === fence.epoch &&
      this.database.store.workspaces.get(workspaceId)?.builds
          .find(({ buildId }) => buildId === fence.buildId)?.status === "running"
    const before = held()
    if (!before) took("runner: had lost its build")
    const fenced = (exit: Exit.Exit<unknown, unknown>): void => {
      if (Exit.isSuccess(exit) !== before) {
        this.violate("a runner that had lost its build wrote to it, or one that had it could not")
      }
    }
    switch (what) {
      case "renew":
        this.database.now(this.builds.renew({ ...fence, lease }))
        return
      case "prepare":
        if (transition !== "start") return
        return fenced(this.database.now(this.builds.prepareAgents({ ...fence, agents: [this.newAgent()] })))
      case "fail":
        return fenced(this.database.now(
          this.builds.finish({ ...fence, outcome: { _tag: "Failed", code: "provider_failed", message: "planted" } })
        ))
      case "release":
        this.database.now(this.builds.release(fence))
        return
      case "succeed": {
        const exit = this.database.now(this.builds.finish({ ...fence, outcome: { _tag: "Succeeded" } }))
        fenced(exit)
        if (Exit.isFailure(exit)) return
        if (transition === "start") {
          for (const { agentId } of this.database.store.agentsOf(fence.buildId)) this.startProgram(agentId)
        } else this.endAgents(workspaceId)
      }
    }
  }

  /** A stop or a delete that was made elsewhere. */
  retire(workspaceId: WorkspaceId, transition: "stop" | "delete"): void {
    const buildId = BuildId.make(`b${++this.made}`)
    this.database.now(this.enrollments.recordEnd({ workspaceId, owner, buildId, transition }))
    this.endAgents(workspaceId)
  }

  private get enrollments() {
    return Context.get(this.database.context, AgentEnrollments.AgentEnrollments)
  }

  private get builds() {
    return Context.get(this.database.context, Builds.Builds)
  }

  private newAgent() {
    return {
      agentId: AgentId.make(`a${++this.made}`),
      parentId: null,
      name: "main",
      displayOrder: 0,
      connectionTimeout: Duration.seconds(120),
      secretHash: new Uint8Array()
    }
  }
}
