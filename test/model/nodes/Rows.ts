/**
 * What must hold of the rows of the database after every step, whoever wrote them: generations and epochs only grow, a
 * repair changes no workspace, what has ended stays as it is, and a turn leaves a history that every provider accepts.
 */
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Binding } from "../../../src/domain/Binding.ts"
import type { BuildStatus } from "../../../src/domain/Build.ts"
import { isFinished } from "../../../src/domain/Build.ts"
import type { BindingRefused, StoreError, TurnRefused, TurnRunning } from "../../../src/domain/Errors.ts"
import type { AgentId, BuildId, ChatId, TurnId } from "../../../src/domain/Ids.ts"
import type { Turn, TurnMessage } from "../../../src/domain/Turn.ts"
import type { MemoryStore, TurnRow } from "../../../src/store/MemoryStore.ts"
import { took } from "../Branches.ts"
import type { Machine } from "./Machines.ts"
import type { Node } from "./Node.ts"

/** In milliseconds: a node may be told late of the end that it wrote itself, but not after its lease. */
const bounds = { owned: 45_000 }

export class Rows {
  private readonly bindings = new Map<ChatId, Binding>()
  /** Chats that somebody gave another workspace. */
  readonly moved = new Set<ChatId>()
  private readonly epochs = new Map<AgentId, number>()
  private readonly finished = new Map<BuildId, BuildStatus>()
  /** The turns that have ended, with how many messages and events they had then. */
  private readonly ended = new Map<
    TurnId,
    { readonly turn: Turn; readonly messages: number; readonly events: number }
  >()
  /** How long a node had been frozen when a turn that it works on was found to have ended elsewhere, and when that was. */
  private readonly overdue = new Map<string, { readonly since: number; readonly frozenFor: number }>()
  /** Turns by the message that they answer. */
  private readonly answers = new Map<string, TurnId>()
  private readonly store: MemoryStore["Service"]
  private readonly violate: (text: string) => void

  constructor(store: MemoryStore["Service"], violate: (text: string) => void) {
    this.store = store
    this.violate = violate
  }

  check(): void {
    for (const [chatId, { binding }] of this.store.chats) {
      const before = this.bindings.get(chatId)
      if (before === binding) continue
      if (before !== undefined && binding.generation <= before.generation) this.violate("a binding went back")
      if (before !== undefined && binding.workspaceId !== before.workspaceId && !this.moved.delete(chatId)) {
        this.violate("a chat was given another workspace, and nobody asked for it")
      }
      this.bindings.set(chatId, binding)
    }
    for (const [agentId, { epoch }] of this.store.agents) {
      if (epoch < (this.epochs.get(agentId) ?? 0)) this.violate("the epoch of an agent went back")
      this.epochs.set(agentId, epoch)
    }
    for (const { builds } of this.store.workspaces.values()) {
      let unfinished = 0
      for (const build of builds) {
        if (!isFinished(build)) {
          unfinished++
          if (this.finished.has(build.buildId)) this.violate("a build that had ended goes on")
          continue
        }
        const before = this.finished.get(build.buildId)
        if (before !== undefined && before !== build.status) this.violate("a build ended twice")
        this.finished.set(build.buildId, build.status)
      }
      if (unfinished > 1) this.violate("a workspace has two unfinished builds")
    }
    this.checkTurns()
  }

  /** What a turn wanted done begins before the end of the turn, or not at all. */
  onRun(wish: string, now: number, thawedAt: number): void {
    const turn = this.turnOf(wish)
    if (turn === undefined || turn.endedAt === null) return
    const endedAt = DateTime.toEpochMillis(turn.endedAt)
    // A frame that was sent in time may have waited at an agent that was frozen.
    if (now > endedAt && thawedAt <= endedAt) this.violate("a command of a turn began after the end of the turn")
  }

  /** What a machine was about to do when it was frozen, it does when it thaws, before it can know. */
  onBegun(wish: string, now: number, machine: Machine): void {
    const turn = this.turnOf(wish)
    if (turn === undefined) return
    if (!this.asked(turn.turnId).has(wish)) this.violate("a call was made before it was written")
    if (turn.endedAt === null || machine.thawedBusyAt === now) return
    if (now > DateTime.toEpochMillis(turn.endedAt)) this.violate("a call of a turn began after the end of the turn")
  }

  /** A node gives up a turn that it has lost. */
  checkOwned({ machine, name, turns }: Node): void {
    if (!machine.runs) return
    for (const turnId of turns) {
      const turn = this.store.turns.get(turnId)?.turn
      if (turn === undefined || turn.endedAt === null) continue
      const key = `${name} ${turnId}`
      const known = this.overdue.get(key)
      if (known === undefined) {
        this.overdue.set(key, { since: machine.now, frozenFor: machine.frozenFor })
      } else if (machine.now - known.since - (machine.frozenFor - known.frozenFor) > bounds.owned) {
        this.violate("a node works on a turn that has ended")
      }
    }
  }

  onRefused(cause: Cause.Cause<TurnRunning | TurnRefused | BindingRefused | StoreError>, isUp: boolean): void {
    if (Cause.hasDies(cause)) this.violate(`a message ended with a defect: ${Cause.pretty(cause)}`)
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (error?._tag === "TurnRunning") took("message: a turn runs")
    if (error?._tag === "TurnRefused") took("message: refused by a node that ends")
    if (isUp && error === undefined) this.violate("a message saw an interruption not its own")
  }

  running(): ReadonlyArray<TurnId> {
    return Array.from(this.store.turns).flatMap(([turnId, { turn }]) => turn.status === "running" ? [turnId] : [])
  }

  /** The calls in the history of a turn. */
  private asked(turnId: TurnId): ReadonlySet<string> {
    const messages = Array.from(this.store.turns.get(turnId)?.messages.values() ?? [])
    return new Set(messages.flatMap(wishes))
  }

  private turnOf(wish: string) {
    const messageId = wish.split("/").slice(0, 2).join("/")
    for (const { turn } of this.store.turns.values()) if (turn.messageId === messageId) return turn
    return undefined
  }

  private checkTurns(): void {
    const running = new Set<ChatId>()
    for (const [turnId, row] of this.store.turns) {
      const { chatId, messageId, status } = row.turn
      const known = this.answers.get(messageId)
      if (known === undefined) this.answers.set(messageId, turnId)
      else if (known !== turnId) this.violate("a message that came twice got two turns")
      if (status === "running") {
        if (running.has(chatId)) this.violate("a chat has two running turns")
        running.add(chatId)
        if (this.ended.has(turnId)) this.violate("a turn that had ended goes on")
        continue
      }
      const before = this.ended.get(turnId)
      if (before !== undefined) {
        if (before.turn !== row.turn) this.violate("a turn ended twice")
        // Events are not kept as long as messages.
        if (before.messages !== row.messages.size || before.events < row.events.size) {
          this.violate("something was written to a turn that had ended")
        }
        continue
      }
      took(`turn ended: ${row.turn.reason ?? "answered"}`)
      this.ended.set(turnId, { turn: row.turn, messages: row.messages.size, events: row.events.size })
      this.checkHistory(row)
    }
  }

  /** Each call has one result in the next message, in the order of the calls, and the last word is the assistant's. */
  private checkHistory({ messages }: TurnRow): void {
    const all = Array.from(messages).sort(([left], [right]) => left - right).map(([, message]) => message)
    all.forEach((message, index) => {
      const next = all[index + 1]
      const wanted = parts(message, "assistant", "tool-call")
      const given = next === undefined ? [] : parts(next, "tool", "tool-result")
      for (const code of codes(message)) took(`tool: ${code.replaceAll("_", " ")}`)
      if (wanted.join() !== given.join()) this.violate("a call has no result, or not in its place")
      if (message.role === "user" && next?.role !== "assistant") this.violate("a message has no answer")
    })
    if (all.at(-1)?.role !== "assistant") this.violate("the last word of a turn is not the assistant's")
  }
}

const parts = (message: TurnMessage, role: string, type: string): ReadonlyArray<string> =>
  message.role !== role || typeof message.content === "string"
    ? []
    : message.content.flatMap((part) => part.type === type && "id" in part ? [part.id] : [])

const wishes = (message: TurnMessage): ReadonlyArray<string> =>
  message.role !== "assistant" || typeof message.content === "string" ?
    [] :
    message.content.flatMap((part) => part.type === "tool-call" && isAsked(part.params) ? [part.params.wish] : [])

const isAsked = Schema.is(Schema.Struct({ wish: Schema.String }))

/** Of the calls that failed. */
const codes = (message: TurnMessage): ReadonlyArray<string> =>
  message.role !== "tool" ?
    [] :
    message.content.flatMap((part) => part.type === "tool-result" && isFailure(part.result) ? [part.result.error] : [])

const isFailure = Schema.is(Schema.Struct({ error: Schema.String }))
