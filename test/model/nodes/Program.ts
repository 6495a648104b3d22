/**
 * An agent, as the protocol wants it: it dials a node, answers calls, runs each operation once while it lives, and comes
 * back when its link is lost. A new incarnation remembers nothing of the one before, so that whoever asks it again for
 * what the other ran has it run twice.
 */
import * as Protocol from "../../../src/agent/Protocol.ts"
import type { AgentId } from "../../../src/domain/Ids.ts"
import type { Ledger } from "./Ledger.ts"
import type { Machine, Machines } from "./Machines.ts"
import { Wire } from "./Wire.ts"

/** What agents dial. */
export interface Door {
  readonly machine: Machine
  readonly accept: (agentId: AgentId, wire: Wire) => void
}

interface Line {
  readonly wire: Wire
  readonly door: Door
  greeted: boolean
  heardAt: number
  readonly follows: Map<number, string>
  cancel: () => void
}

interface Process {
  code: number | null
  signal: string | null
  running: boolean
  cancel: () => void
}

interface Frame {
  readonly _tag: string
  readonly id: number
  readonly requestId: number
  readonly tag: string
  readonly payload: { readonly id: string; readonly argv: ReadonlyArray<string>; readonly withinMillis: number }
}

const bounds = { silence: 15_000, stale: 10_000, firstRetry: 200, lastRetry: 5_000, displaced: 2_000, kill: 2_000 }

export class Program {
  alive = false
  /** The gateway said that the token is good for nothing any more. */
  revoked = false
  /** It is of a version that no node serves, until it starts again. */
  foreign = false
  /** Another program had its identity for a while. */
  cloned = false
  /** What it read last may have waited: a frozen agent runs late what was sent in time. */
  thawedAt = -Infinity
  private incarnation = 0
  private processes = new Map<string, Process>()
  private readonly lines = new Set<Line>()
  private retry = bounds.firstRetry
  private cancelRetry: (() => void) | undefined
  readonly agentId: AgentId
  private readonly name: string
  readonly machine: Machine
  private readonly machines: Machines
  private readonly ledger: Ledger
  private readonly random: () => number
  private readonly doors: () => ReadonlyArray<Door>

  constructor(options: {
    readonly agentId: AgentId
    /** No other program has it, of this agent or another. */
    readonly name: string
    readonly machines: Machines
    readonly ledger: Ledger
    readonly random: () => number
    readonly doors: () => ReadonlyArray<Door>
  }) {
    this.agentId = options.agentId
    this.name = options.name
    this.machines = options.machines
    this.machine = options.machines.make()
    this.ledger = options.ledger
    this.random = options.random
    this.doors = options.doors
  }

  /** A link that both sides can use. */
  get linked(): Door | undefined {
    for (const { door, greeted, wire } of this.lines) {
      if (greeted && wire.open && !wire.silent && !wire.mute) return door
    }
    return undefined
  }

  get running(): ReadonlyArray<string> {
    return Array.from(this.processes).flatMap(([operation, { running }]) => running ? [operation] : [])
  }

  start(): void {
    if (this.alive) return
    this.alive = true
    this.foreign = false
    this.incarnation++
    this.processes = new Map()
    this.retry = bounds.firstRetry
    this.connect()
  }

  /** The process is gone, and its commands with it; the network tells of it, or it does not. */
  die(silently: boolean): void {
    this.alive = false
    for (const line of this.lines) {
      line.wire.silent ||= silently
      this.hangUp(line)
    }
    for (const { cancel } of this.processes.values()) cancel()
    this.processes = new Map()
    this.cancelRetry?.()
  }

  freeze(): void {
    this.machine.freeze()
  }

  thaw(): void {
    if (!this.machine.frozen) return
    this.machine.thaw()
    this.thawedAt = this.machines.now
  }

  /** The network drops the links, or loses everything on them. */
  lose(how: "cut" | "silent" | "mute"): void {
    for (const { wire } of this.lines) {
      if (how === "silent") wire.silent = true
      else if (how === "mute") wire.mute = true
      else wire.cut()
    }
  }

  /** Opens another link, and leaves the others when that one is greeted. */
  move(): void {
    if (this.alive) this.connect()
  }

  private connect(): void {
    this.cancelRetry?.()
    const doors = this.doors()
    const held = new Set(Array.from(this.lines, ({ door }) => door))
    const others = doors.filter((door) => !held.has(door))
    const choice = others.length > 0 ? others : doors
    const door = choice[Math.floor(this.random() * choice.length)]
    if (door === undefined) return this.again(this.retry)
    const line: Line = {
      door,
      wire: new Wire(this.machine, door.machine, {
        onFrame: (text) => this.hear(line, text),
        onClosed: (code) => this.lost(line, code)
      }),
      greeted: false,
      heardAt: this.machines.now,
      follows: new Map(),
      cancel: () => undefined
    }
    this.lines.add(line)
    this.watch(line)
    door.machine.post(() => door.accept(this.agentId, line.wire))
  }

  private watch(line: Line): void {
    const left = line.heardAt + bounds.silence - this.machines.now
    if (left > 0) {
      line.cancel = this.machine.after(left, () => this.watch(line))
    } else {
      this.hangUp(line)
      this.again(this.retry)
    }
  }

  private hangUp(line: Line): void {
    line.cancel()
    this.lines.delete(line)
    line.wire.close()
  }

  private lost(line: Line, code: number | undefined): void {
    line.cancel()
    if (!this.lines.delete(line) || !this.alive) return
    if (code === Protocol.CloseCode.revoked || code === 401) this.revoked = true
    else this.again(code === Protocol.CloseCode.displaced ? bounds.displaced : this.retry)
  }

  private again(millis: number): void {
    if (this.lines.size > 0 || !this.alive || this.revoked) return
    this.cancelRetry?.()
    this.retry = Math.min(bounds.lastRetry, this.retry * 2)
    this.cancelRetry = this.machine.after(millis, () => this.connect())
  }

  private hear(line: Line, text: string): void {
    if (!this.lines.has(line)) return
    // A program that thaws does not start what its caller has given up.
    if (this.machines.now - line.heardAt > bounds.stale) {
      this.hangUp(line)
      return this.again(this.retry)
    }
    line.heardAt = this.machines.now
    const frame: Frame = JSON.parse(text)
    switch (frame._tag) {
      case "Ping":
        return line.wire.send({ _tag: "Pong" })
      case "Interrupt":
        if (line.follows.delete(frame.requestId)) {
          line.wire.send({
            _tag: "Exit",
            requestId: frame.requestId,
            exit: { _tag: "Failure", cause: [{ _tag: "Interrupt" }] }
          })
        }
        return
      case "Ack":
        return line.wire.send({ _tag: "Exit", requestId: frame.requestId, exit: { _tag: "Success", value: null } })
      case "Request":
        return this.answer(line, frame)
    }
  }

  private answer(line: Line, { id, payload, tag }: Frame): void {
    const succeed = (value: unknown) =>
      line.wire.send({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value } })
    const refuse = (reason: string) =>
      line.wire.send({
        _tag: "Exit",
        requestId: id,
        exit: {
          _tag: "Failure",
          cause: [{ _tag: "Fail", error: { _tag: "OperationRefused", operationId: payload.id, reason } }]
        }
      })
    switch (tag) {
      case "Hello":
        line.greeted = true
        this.retry = bounds.firstRetry
        succeed({
          protocol: Protocol.name,
          version: this.foreign ? Protocol.version + 1 : Protocol.version,
          incarnation: `${this.name}/${this.incarnation}`,
          features: ["run", "processes"],
          program: "model"
        })
        for (const other of this.lines) if (other !== line) this.hangUp(other)
        return
      case "Move":
        succeed(null)
        this.machine.after(Math.floor(this.random() * payload.withinMillis), () => this.move())
        return
      case "Start": {
        const known = this.processes.get(payload.id)
        if (known === undefined) this.run(payload.id, Number(payload.argv[1]))
        else if (!known.running && known.signal === "never") return refuse("killed")
        return succeed(this.stateOf(payload.id))
      }
      case "Follow":
        if (!this.processes.has(payload.id)) return refuse("unknown")
        line.follows.set(id, payload.id)
        return this.tell(payload.id)
      case "Kill": {
        const process = this.processes.get(payload.id)
        if (process === undefined) {
          this.processes.set(payload.id, { running: false, code: null, signal: "never", cancel: () => undefined })
          return succeed({ _tag: "Killed" })
        }
        if (process.running) {
          const cancel = this.machine.after(
            Math.floor(this.random() * bounds.kill),
            () => this.end(payload.id, null, "SIGTERM")
          )
          const before = process.cancel
          process.cancel = () => {
            before()
            cancel()
          }
        }
        return succeed({ _tag: "Process", state: this.stateOf(payload.id) })
      }
    }
  }

  private run(operation: string, millis: number): void {
    this.ledger.ran(operation)
    const cancel = this.machine.after(millis, () => this.end(operation, 0, null))
    this.processes.set(operation, { running: true, code: null, signal: null, cancel })
  }

  private end(operation: string, code: number | null, signal: string | null): void {
    const process = this.processes.get(operation)
    if (process?.running !== true) return
    process.cancel()
    this.processes.set(operation, { running: false, code, signal, cancel: () => undefined })
    this.tell(operation)
  }

  /** Tells those who follow that it has ended. */
  private tell(operation: string): void {
    const state = this.stateOf(operation)
    if (state._tag === "Running") return
    for (const line of this.lines) {
      for (const [requestId, followed] of line.follows) {
        if (followed !== operation) continue
        line.follows.delete(requestId)
        line.wire.send({ _tag: "Chunk", requestId, values: [state] })
      }
    }
  }

  private stateOf(operation: string) {
    const process = this.processes.get(operation)
    return process === undefined || process.running
      ? { _tag: "Running" as const, end: 0 }
      : { _tag: "Exited" as const, end: 0, code: process.code, signal: process.signal }
  }
}
