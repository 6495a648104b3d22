/** The callers' own ledger: what they asked for, what they were told, how long it took; and what contradicts it. */
import { Effect } from "effect"
import * as Bounds from "./Bounds.ts"
import type { Span } from "./Child.ts"
import { merged } from "./Outages.ts"
import type { Outcome } from "./Outcome.ts"
import type { Place } from "./Workspaces.ts"

export interface Operation {
  readonly id: string
  readonly method: string
  readonly workspace: Place
  /** The content of a file, where the operation writes one instead of a line of the ledger. */
  readonly content?: string | undefined
  told?: Outcome | undefined
  code?: string | undefined
}

interface OpenCall {
  readonly method: Bounds.Method
  readonly since: number
  readonly frozen: () => ReadonlyArray<Span>
  isLate: boolean
}

export class Book {
  readonly operations: Array<Operation> = []
  readonly violations: Array<string> = []
  readonly longest = new Map<Bounds.Method, number>()
  readonly counts = new Map<Bounds.Method, number>()
  /** What else came how often, by what it is of. */
  readonly tallies = new Map<string, Map<string, number>>()
  /** Times in which this process got no turn: nobody else may have got one either. */
  private readonly stalls: Array<Span> = []
  private readonly open = new Set<OpenCall>()
  private readonly reported = new Set<string>()
  private beganAt = performance.now()
  private count = 0

  /** From now on the time of what is wrong is counted. */
  starts(): void {
    this.beganAt = performance.now()
  }

  /** An operation that is about to be asked for. */
  begin(method: string, workspace: Place, content?: string): Operation {
    const operation: Operation = { id: `op-${++this.count}`, method, workspace, content }
    this.operations.push(operation)
    return operation
  }

  told(operation: Operation, outcome: Outcome, code: string): void {
    operation.told = outcome
    operation.code = code
    if (outcome === "wrong") this.violate(`${operation.id} (${operation.method}) was answered with ${code}`)
  }

  tally(of: string, what: string): void {
    const counts = this.tallies.get(of) ?? new Map<string, number>()
    this.tallies.set(of, counts.set(what, (counts.get(what) ?? 0) + 1))
  }

  /** Once each, with its time. */
  violate(text: string): void {
    if (this.reported.has(text)) return
    this.reported.add(text)
    this.violations.push(`after ${((performance.now() - this.beganAt) / 1000).toFixed(1)} s: ${text}`)
  }

  /** Holds a call to its bound. A frozen backend has no clock, so that time does not count. */
  timed<A, E, R>(
    method: Bounds.Method,
    frozen: () => ReadonlyArray<Span>,
    call: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const entry: OpenCall = { method, since: performance.now(), frozen, isLate: false }
      this.open.add(entry)
      return Effect.ensuring(
        call,
        Effect.sync(() => {
          this.open.delete(entry)
          this.counts.set(method, (this.counts.get(method) ?? 0) + 1)
          this.longest.set(method, Math.max(this.longest.get(method) ?? 0, this.look(entry)))
        })
      )
    })
  }

  /** What is under way now, and has been for longer than it may. */
  watch(): void {
    for (const entry of this.open) this.look(entry)
  }

  /** The machine gave us no turn from then to now. */
  stalled(from: number): void {
    this.stalls.push([from, performance.now()])
  }

  stalledFor(): number {
    return this.stalls.reduce((sum, [from, to]) => sum + to - from, 0)
  }

  /** Compares what callers were told with what the workspaces noted. In one step: both are of the same moment. */
  judge(workspaces: ReadonlyArray<Place>): void {
    for (const workspace of workspaces) {
      const begun = workspace.begun()
      const ended = workspace.ended()
      for (const operation of this.operations) {
        if (operation.workspace === workspace) this.judgeOne(operation, begun, ended)
      }
    }
  }

  private judgeOne(operation: Operation, begun: ReadonlyMap<string, number>, ended: ReadonlyMap<string, number>): void {
    const { code, content, id, method, told, workspace } = operation
    const what = `${id} (${method} in ${workspace.name}, told ${told ?? "nothing yet"}: ${code ?? ""})`
    const written = content === undefined ? undefined : workspace.written(id)
    const times = content === undefined ? begun.get(id) ?? 0 : written === undefined ? 0 : 1
    if (times > 1) this.violate(`${what} ran ${times} times`)
    if (told === "notRun" && times > 0) this.violate(`${what} ran although its caller was told that it did not`)
    if (told === "done" && times === 0) this.violate(`${what} was acknowledged and is lost`)
    if (told === "done" && content === undefined && ended.get(id) !== 1) {
      this.violate(`${what} was acknowledged before its end`)
    }
    if (written !== undefined && written !== content) this.violate(`${what} left another content`)
  }

  private look(entry: OpenCall): number {
    const now = performance.now()
    const excused = merged([...entry.frozen(), ...this.stalls]).reduce(
      (sum, [from, to]) => sum + Math.max(0, Math.min(to, now) - Math.max(from, entry.since)),
      0
    )
    const seconds = Math.max(0, now - entry.since - excused) / 1000
    const bound = Bounds.calls[entry.method]
    if (seconds > bound + Bounds.slack && !entry.isLate) {
      entry.isLate = true
      this.violate(`a call of ${entry.method} is not over after ${seconds.toFixed(1)} s; its bound is ${bound} s`)
    }
    return seconds
  }
}
