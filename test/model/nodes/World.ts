/**
 * Two nodes, the agents of a few workspaces, one database, and what schedules do to them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ChatId, MessageId, WorkspaceId } from "../../../src/domain/Ids.ts"
import type { AgentId } from "../../../src/domain/Ids.ts"
import * as Turns from "../../../src/turn/Turns.ts"
import { randomOf } from "../../dial/support/VirtualRuntime.ts"
import { took } from "../Branches.ts"
import { at } from "../Schedule.ts"
import { Callers } from "./Callers.ts"
import { Database } from "./Database.ts"
import { Ledger, wishOf } from "./Ledger.ts"
import { Machines } from "./Machines.ts"
import { Node } from "./Node.ts"
import { Program } from "./Program.ts"
import { Rows } from "./Rows.ts"
import type { Step } from "./Schedule.ts"
import { owner, Workspaces } from "./Workspaces.ts"

export class World {
  readonly machines: Machines
  readonly database: Database
  readonly nodes: Array<Node> = []
  readonly programs = new Map<AgentId, Program>()
  private readonly clones: Array<Program> = []
  readonly chats = ["c0", "c1", "c2"].map((id) => ChatId.make(id))
  readonly callers: Callers
  readonly rows: Rows
  private readonly workspaces: Workspaces
  violation: string | undefined
  private readonly ledger: Ledger
  private readonly random: () => number
  private made = 0

  constructor(seed: number) {
    const random = randomOf(seed ^ 0x2545f491)
    this.random = random
    this.machines = new Machines({ random, yields: [0, 0.03, 0.3][Math.floor(random() * 3)] ?? 0 })
    const violate = (text: string) => this.violate(text)
    this.database = new Database(this.machines.make(), random, violate)
    this.ledger = new Ledger(violate, (operation) => this.rows.onRun(wishOf(operation), this.now, this.thawedAt()))
    this.callers = new Callers(this.ledger, violate)
    this.workspaces = new Workspaces({
      database: this.database,
      random,
      violate,
      startProgram: (agentId) => this.startProgram(agentId),
      endAgents: (workspaceId) => this.endAgents(workspaceId)
    })
    this.rows = new Rows(this.database.store, violate)
    for (const index of [0, 1]) this.nodes[index] = this.startNode(index)
    for (const index of [0, 1]) this.workspaces.enroll(WorkspaceId.make(`w${index}`))
    // The last two chats work in one workspace, as a chat and its child.
    this.chats.forEach((chatId, index) => {
      const workspaceId = WorkspaceId.make(`w${Math.min(index, 1)}`)
      this.database.now(this.workspaces.bindings.bindWorkspace({ chatId, owner, workspaceId }))
    })
    this.settle()
  }

  get now(): number {
    return this.machines.now
  }

  violate(text: string): void {
    this.violation ??= `${text} [at ${this.now} ms]`
  }

  perform(step: Step): void {
    switch (step.do) {
      case "call": {
        const node = at(this.nodes, step.node)
        const chatId = at(this.chats, step.chat)
        if (node === undefined || chatId === undefined) return
        for (let n = 0; n < step.calls; n++) this.callers.call(node, chatId, step)
        return
      }
      case "leave":
        return this.callers.leave(step.call)
      case "advance":
        return this.advance(step.millis)
      case "send":
        return this.send(step)
      case "interruptTurn":
        return this.withTurns(step.node, (turns, node) => {
          const chatId = at(this.chats, step.chat)
          if (chatId !== undefined) node.machine.fork(Effect.ignore(turns.interrupt({ chatId, owner })))
        })
      case "link":
        return this.onAgent(step.agent, (program) => step.how === "move" ? program.move() : program.lose(step.how))
      case "agent":
        return this.onAgent(step.agent, (program) => {
          if (step.what !== "clone") agentDoes(program, step.what)
          else if (program.alive) {
            program.cloned = true
            this.clones.push(this.newProgram(program.agentId))
          }
        })
      case "node":
        return this.nodeDoes(step.node % 2, step.what)
      case "enroll": {
        const workspaceId = this.workspace(step.workspace)
        if (step.oldAgent === "dead") this.endAgents(workspaceId)
        return this.workspaces.enroll(workspaceId)
      }
      case "retire":
        return this.workspaces.retire(this.workspace(step.workspace), step.transition)
      case "request":
        return this.workspaces.request(this.workspace(step.workspace), step.transition)
      case "runner":
        return this.workspaces.runner(step.runner, step.what)
      case "create": {
        const chatId = at(this.chats, step.chat)
        if (chatId === undefined) return
        this.rows.moved.add(chatId)
        this.workspaces.create(chatId, step.callers)
        return
      }
      case "bind": {
        const chatId = at(this.chats, step.chat)
        if (chatId === undefined) return
        this.rows.moved.add(chatId)
        const workspaceId = step.workspace === null ? null : this.workspace(step.workspace)
        const bound = this.database.now(this.workspaces.bindings.bindWorkspace({ chatId, owner, workspaceId }))
        if (step.told && Exit.isSuccess(bound)) this.callers.tell(bound.value)
        return
      }
      case "database":
        for (const [index, { connection }] of this.nodes.entries()) {
          if (step.node === null || step.node === index) connection.set(step.way)
        }
    }
  }

  settle(): void {
    this.machines.drain()
    // What thaws is late with its timers.
    while (this.machines.next() <= this.now && !this.machines.stuck) this.machines.wake(this.now)
    this.check()
  }

  private check(): void {
    if (this.machines.stuck) this.violate("something goes round in circles, and no time passes")
    this.rows.check()
    for (const node of this.nodes) this.rows.checkOwned(node)
    this.callers.check(this.now)
  }

  /** Time passes from instant to instant, and everything is looked at in between. */
  advance(millis: number): void {
    this.advanceUntil(millis, () => false)
  }

  /** Passes no more time than it takes. */
  advanceUntil(millis: number, done: () => boolean): void {
    const end = this.now + millis
    this.settle()
    while (this.violation === undefined) {
      if (done()) return
      const next = this.machines.next()
      if (next > end) break
      this.machines.wake(next)
      this.check()
    }
    this.machines.now = end
  }

  /** All that was broken works again; who died stays dead, but a node takes the place of each that is gone. */
  heal(): void {
    for (const [index, node] of this.nodes.entries()) {
      this.nodeDoes(index, "thaw")
      node.connection.set({ way: "works" })
      if (!node.isUp) this.nodeDoes(index, "start")
    }
    for (const program of this.programs.values()) {
      program.thaw()
      program.foreign = false
    }
    for (const clone of this.clones) clone.die(false)
  }

  startNode(index: number): Node {
    return new Node({
      name: `n${index}-${++this.made}`,
      machines: this.machines,
      database: this.database,
      violate: (text) => this.violate(text),
      began: (wish, machine) => this.rows.onBegun(wish, this.now, machine)
    })
  }

  private workspace(index: number): WorkspaceId {
    return at(Array.from(this.database.store.workspaces.keys()), index) ?? WorkspaceId.make("w0")
  }

  private onAgent(index: number, f: (program: Program) => void): void {
    const program = at(Array.from(this.programs.values()), index)
    if (program !== undefined) f(program)
  }

  /** Until when a frame that was sent in time may have waited at an agent. */
  private thawedAt(): number {
    let latest = -Infinity
    for (const { thawedAt } of this.programs.values()) latest = Math.max(latest, thawedAt)
    return latest
  }

  private nodeDoes(index: number, what: Extract<Step, { readonly do: "node" }>["what"]): void {
    const node = this.nodes[index]
    if (node === undefined) return
    switch (what) {
      case "freeze":
        return node.machine.freeze()
      case "thaw":
        return node.machine.thaw()
      case "end":
        return node.close(this.now)
      case "kill":
      case "vanish":
        return node.kill(what === "vanish")
      case "start":
        if (node.isUp) return
        // Whatever is left of the one before goes with its host.
        if (!node.machine.gone) node.kill(false)
        this.nodes[index] = this.startNode(index)
    }
  }

  private endAgents(workspaceId: WorkspaceId): void {
    for (const { agent } of this.database.store.agents.values()) {
      if (agent.workspaceId === workspaceId) this.programs.get(agent.agentId)?.die(false)
    }
  }

  private startProgram(agentId: AgentId): void {
    const known = this.programs.get(agentId)
    if (known === undefined) this.programs.set(agentId, this.newProgram(agentId))
    else known.start()
  }

  private newProgram(agentId: AgentId): Program {
    const program = new Program({
      agentId,
      name: `${agentId}/${++this.made}`,
      machines: this.machines,
      ledger: this.ledger,
      random: this.random,
      doors: () => this.nodes.filter((node) => node.isUp)
    })
    program.start()
    return program
  }

  private withTurns(index: number, f: (turns: Turns.Turns["Service"], node: Node) => void): void {
    const node = at(this.nodes, index)
    node?.machine.post(() => {
      if (node.services !== undefined) f(Context.get(node.services, Turns.Turns), node)
    })
  }

  private send({ chat, message, node: index, rounds }: Extract<Step, { readonly do: "send" }>): void {
    const chatId = at(this.chats, chat)
    if (chatId === undefined) return
    const name = `${chatId}/m${message}`
    const text = JSON.stringify({ message: name, rounds })
    this.withTurns(index, (turns, node) => {
      node.machine.fork(turns.send({ chatId, owner, messageId: MessageId.make(name), text })).addObserver((exit) => {
        if (Exit.isFailure(exit)) this.rows.onRefused(exit.cause, node.isUp)
        else if (exit.value.attached) took("message: came before")
      })
    })
  }
}

type AgentAction = Extract<Step, { readonly do: "agent" }>["what"]

const agentDoes = (program: Program, what: Exclude<AgentAction, "clone">): void => {
  switch (what) {
    case "freeze":
      return program.freeze()
    case "thaw":
      return program.thaw()
    case "die":
    case "vanish":
      return program.die(what === "vanish")
    case "start":
      return program.start()
    case "restart":
    case "upgrade":
      program.die(false)
      program.start()
      program.foreign = what === "upgrade"
  }
}
