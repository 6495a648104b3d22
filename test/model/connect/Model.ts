/**
 * Runs a schedule against the real `ChatWorkspaces` over stores in memory and the scripted transport, on a clock and a
 * scheduler of its own, and watches what must hold in every schedule:
 *
 * - a call ends within its bound, an interrupted one at once, and none sees a defect or an interruption not its own
 * - a connection is released once, after its dial has ended, and under no holder unless its session died
 * - an agent has one wanted dial at most, and none that nobody waits for
 * - the turn's row never goes back, and a connection is for the agent of that row
 * - a call alone in an undisturbed world tells the truth and costs what it may
 * - nothing is held after the idle time; after the layer has closed no fiber and no timer is left
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { AgentConnection } from "../../../src/agent/AgentConnection.ts"
import * as ChatWorkspaces from "../../../src/dial/ChatWorkspaces.ts"
import type { Binding } from "../../../src/domain/Binding.ts"
import type { ConnectError } from "../../../src/domain/Errors.ts"
import type { ChatId } from "../../../src/domain/Ids.ts"
import * as ChatBindings from "../../../src/store/ChatBindings.ts"
import * as MemoryStore from "../../../src/store/MemoryStore.ts"
import * as ScriptedStores from "../../../src/testing/ScriptedStores.ts"
import * as ScriptedTransport from "../../../src/testing/ScriptedTransport.ts"
import { randomOf, VirtualRuntime } from "../../dial/support/VirtualRuntime.ts"
import { at } from "../Schedule.ts"
import type { Action, Outcome, Schedule } from "../Schedule.ts"
import { told } from "../Told.ts"
import * as Costs from "./Costs.ts"
import type { Cost } from "./Costs.ts"
import { Links } from "./Links.ts"
import { type Deaths, layerRows, Outside } from "./Outside.ts"
import type { Step } from "./Schedule.ts"

/** The bounds, in milliseconds: of a connect, of one that is alone, of the layer's end, of an unused connection. */
const bounds = { connect: 40_000, alone: 33_500, drain: 2_000, idle: 300_000 }

/** Longer than any dial here ignores its interruption. */
const stubborn = 60_000

interface Turn {
  readonly chatId: ChatId
  readonly workspace: ChatWorkspaces.ChatWorkspace
  generation: number
  /** How often it was told of a row, and how many calls it has connected: what can move its row. */
  moves: number
}

interface Call {
  readonly turn: Turn
  readonly startedAt: number
  /** What there was when the call began. */
  readonly before: {
    readonly cost: Cost
    readonly row: Binding
    readonly actions: number
    readonly moves: number
    /** Another writer was here, and the turn was not told. */
    readonly stale: boolean
    /** Nobody else calls. */
    readonly alone: boolean
    /** Everything says that the agent of the row is not there. */
    readonly gone: boolean
    /** So many calls had begun. */
    readonly calls: number
    /** Open connections to the agent of the row: one may be forgotten, and held by a call of before. */
    readonly open: ReadonlyArray<AgentConnection>
    /** The one, where there are no others. */
    readonly hit: AgentConnection | undefined
    readonly ended: ReadonlySet<AgentConnection>
  }
  fiber: Fiber.Fiber<void, ConnectError> | undefined
  /** While it is held. */
  connection: AgentConnection | undefined
  interrupted: boolean
  /** It waits no longer, although its scope is open. */
  gaveUp: boolean
  exit: Exit.Exit<void, ConnectError> | undefined
}

class World {
  private readonly runtime: VirtualRuntime
  private readonly context: Context.Context<never>
  private readonly scope = Scope.makeUnsafe()
  private readonly links: Links
  private readonly outside: Outside
  private readonly chatWorkspaces: ChatWorkspaces.ChatWorkspaces["Service"]
  private readonly turns: Array<Turn> = []
  /** At the row of each turn, in one fiber. */
  private looks: Effect.Effect<void> = Effect.void
  readonly calls: Array<Call> = []
  connected = 0
  violation: string | undefined
  /** Actions so far but for the passing of time. */
  private actions = 0
  /** Turns that are being opened. */
  private opening = 0
  /** A turn was told of a row since a fiber last ran. */
  private justTold = false
  /** A call ended, or was told to, since a fiber last ran: what it leaves behind is not over. */
  private unsettled = false
  /** What calls were told, with how many had begun by then. Flights of several rows may fail with one dial. */
  private readonly failures = new Map<ConnectError, { readonly calls: number; readonly row: Binding }>()
  private closing: { readonly since: number; fiber: Fiber.Fiber<void> | undefined } | undefined

  constructor(seed: number) {
    const random = randomOf(seed ^ 0x5f356495)
    const p = [0, 0.03, 0.3][Math.floor(random() * 3)] ?? 0
    this.runtime = new VirtualRuntime({
      random,
      shouldYield: p === 0 ? undefined : () => random() < p,
      together: () => random() < 0.5
    })
    this.context = Context.add(this.runtime.context, References.TracerEnabled, false)
    this.links = new Links({
      violate: (text) => this.violate(text),
      onRelease: (connection) => this.onRelease(connection)
    })
    const deaths: Deaths = new Map()
    const context = this.built(
      ChatWorkspaces.layer.pipe(
        Layer.provide(this.links.layer),
        Layer.provideMerge(ScriptedTransport.layer),
        Layer.provideMerge(ScriptedStores.layer.pipe(Layer.provide([ChatBindings.layerMemory, layerRows(deaths)]))),
        Layer.provideMerge(MemoryStore.layer)
      )
    )
    const tables = Layer.succeed(MemoryStore.MemoryStore, Context.get(context, MemoryStore.MemoryStore))
    const writers = this.built(ChatBindings.layerMemory.pipe(Layer.provide(tables)))
    this.chatWorkspaces = Context.get(context, ChatWorkspaces.ChatWorkspaces)
    this.outside = new Outside({
      context,
      writers: Context.get(writers, ChatBindings.ChatBindings),
      deaths,
      now: () => this.runtime.now
    })
  }

  private cost(): Cost {
    return { ...this.outside.stores.counts(), dials: this.outside.transport.counts().dials }
  }

  perform(action: Action<Step>): void {
    if (action.do !== "advance") this.actions++
    switch (action.do) {
      case "open":
        return this.open(at(this.outside.chats, action.chat))
      case "connect": {
        const turn = at(this.turns, action.turn)
        if (turn === undefined) return
        for (let call = 0; call < action.calls; call++) this.connect(turn, action)
        return
      }
      case "interrupt":
        return this.interrupt(at(this.calls.filter(({ exit }) => exit === undefined), action.call))
      case "advance":
        return this.advance(action.millis)
      case "shutdown":
        return this.shutdown()
      default: {
        const written = this.outside.perform(action)
        if (written?.told === true) this.tell(written.binding)
      }
    }
  }

  settle(): void {
    this.runtime.drain()
    this.justTold = false
    this.unsettled = false
    this.check()
  }

  finish(seed: number): void {
    this.settle()
    if (this.closing === undefined && seed % 2 === 0) this.quiesce()
    this.shutdown()
    this.settle()
    const left = (this.closing?.since ?? 0) + bounds.drain - this.runtime.now
    if (left > 0) this.advance(left)
    if (this.closing?.fiber?.pollUnsafe() === undefined) this.violate("the layer did not close within the drain")
    this.interruptAll()
    this.outside.heal()
    this.advance(stubborn)
    const { open, opened, pending, releases } = this.outside.transport.counts()
    if (open > 0 || opened !== releases) this.violate(`${open} of ${opened} connections were never released`)
    if (pending > 0) this.violate(`${pending} dials never ended`)
    if (this.runtime.fibers > 0) this.violate(`${this.runtime.fibers} fibers are left`)
    if (this.runtime.pendingTimers > 0) this.violate(`${this.runtime.pendingTimers} timers are left`)
  }

  /** Nobody calls any more: all that was abandoned ends, and after the idle time nothing is open. */
  private quiesce(): void {
    this.interruptAll()
    this.outside.heal()
    this.advance(stubborn)
    this.advance(bounds.idle)
    const { open, pending } = this.outside.transport.counts()
    if (open > 0) this.violate(`${open} connections are open after the idle time`)
    if (pending > 0) this.violate(`${pending} dials run although nobody waits`)
  }

  private open(chatId: ChatId | undefined): void {
    if (chatId === undefined) return
    this.opening++
    this.fork(this.chatWorkspaces.open(chatId)).addObserver((exit) => {
      this.opening--
      if (Exit.isSuccess(exit)) this.opened({ chatId, workspace: exit.value, generation: 0, moves: 0 })
      else if (!Cause.hasFails(exit.cause)) this.violate(`open ended with ${Cause.pretty(exit.cause)}`)
    })
  }

  private opened(turn: Turn): void {
    this.turns.push(turn)
    this.looks = Effect.forEach(
      this.turns,
      (turn) => Effect.map(turn.workspace.binding, (row) => this.seen(turn, row)),
      { discard: true }
    )
  }

  private tell(binding: Binding): void {
    const turn = this.turns.findLast(({ chatId }) => chatId === binding.chatId)
    if (turn === undefined) return
    this.justTold = true
    turn.moves++
    Effect.runSync(turn.workspace.select(binding))
  }

  private connect(turn: Turn, action: Extract<Step, { readonly do: "connect" }>): void {
    const { again = false, calls, hold, patience } = action
    const row = this.rowOf(turn)
    const open = this.links.open(row.agentId).filter((connection) => connection.liveness() !== "closed")
    const call: Call = {
      turn,
      startedAt: this.runtime.now,
      before: {
        cost: this.cost(),
        row,
        actions: this.actions,
        moves: turn.moves,
        gone: row.agentId === null || this.outside.isSurelyGone(row.agentId),
        calls: this.calls.length,
        stale: row.generation !== this.outside.generation(turn.chatId),
        alone: calls === 1 && !this.unsettled && this.closing === undefined && this.opening === 0 &&
          this.calls.every(({ exit }) => exit !== undefined),
        open,
        hit: open.length === 1 ? open[0] : undefined,
        ended: this.links.ended()
      },
      fiber: undefined,
      connection: undefined,
      interrupted: false,
      gaveUp: false,
      exit: undefined
    }
    this.calls.push(call)
    const held = (connection: AgentConnection) =>
      Effect.suspend(() => {
        this.onConnected(call, connection)
        return hold === 0 ? Effect.void : Effect.sleep(hold)
      }).pipe(
        // The hold ends in the step in which it is interrupted, before the lease is given back.
        Effect.ensuring(Effect.sync(() => {
          call.connection = undefined
        }))
      )
    call.fiber = this.fork(
      patience === undefined
        ? turn.workspace.use(held)
        : Effect.scoped(Effect.flatMap(Effect.timeoutOption(turn.workspace.connect, patience), (connected) => {
          call.gaveUp = Option.isNone(connected)
          return Option.isSome(connected) ? held(connected.value) : Effect.sleep(hold)
        }))
    )
    call.fiber.addObserver((exit) => {
      call.exit = exit
      this.onEnded(call, exit)
      this.unsettled = true
      if (again && Exit.isFailure(exit) && !call.interrupted) this.connect(turn, { ...action, calls: 1, again: false })
    })
  }

  private interrupt(call: Call | undefined): void {
    if (call?.fiber === undefined) return
    this.unsettled = true
    call.interrupted = true
    call.fiber.interruptUnsafe()
  }

  private interruptAll(): void {
    for (const call of this.calls) if (call.exit === undefined) this.interrupt(call)
    this.settle()
  }

  private shutdown(): void {
    if (this.closing !== undefined) return
    const closing: World["closing"] = { since: this.runtime.now, fiber: undefined }
    this.closing = closing
    closing.fiber = this.fork(Scope.close(this.scope, Exit.void))
  }

  /** Time passes from instant to instant, and everything is looked at in between. */
  private advance(millis: number): void {
    const end = this.runtime.now + millis
    this.settle()
    while (this.runtime.now < end && this.violation === undefined) {
      this.runtime.advance(Math.min(end, this.runtime.nextTimer ?? end) - this.runtime.now)
      this.unsettled = false
      this.check()
    }
  }

  private fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context)(effect)
  }

  private built<A>(layer: Layer.Layer<A>): Context.Context<A> {
    const fiber = this.fork(Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), this.scope))
    this.runtime.drain()
    const exit = fiber.pollUnsafe()
    if (exit === undefined || Exit.isFailure(exit)) throw new Error("the world could not be made")
    return exit.value
  }

  // What must hold ----------------------------------------------------------------------------------------------------

  private violate(text: string): void {
    this.violation ??= `${text} [at ${this.runtime.now} ms]`
  }

  private rowOf(turn: Turn): Binding {
    const row = Effect.runSync(turn.workspace.binding)
    this.seen(turn, row)
    return row
  }

  private seen(turn: Turn, { generation }: Binding): void {
    if (generation < turn.generation) this.violate("the turn's row went back")
    turn.generation = generation
  }

  private onRelease(connection: AgentConnection): void {
    if (this.closing !== undefined || connection.liveness() === "closed") return
    if (this.calls.some((call) => call.connection === connection && call.exit === undefined)) {
      this.violate("a connection was released under a call that holds it")
    }
  }

  private onConnected(call: Call, connection: AgentConnection): void {
    const { before, turn } = call
    this.connected++
    call.connection = connection
    // A call looks again once: its row must have moved twice, or once behind the end of the session that it found first.
    const lost = this.links.ended().size - before.ended.size
    const moved = turn.moves - before.moves + Math.min(1, lost) >= 2 || this.justTold
    // A hit is judged by the row that the call began with, also where another connection has taken that one's place.
    const hit = before.open.length > 0 && connection.agentId === before.row.agentId
    turn.moves++
    if (this.rowOf(turn).agentId !== connection.agentId && !hit && !moved) {
      this.violate("the connection is not for the agent of the turn's row")
    }
    if (before.ended.has(connection)) this.violate("a connection that had ended was lent")
    if (this.closing === undefined && this.links.isReleased(connection)) this.violate("a released connection was lent")
    this.checkAlone(call, connection)
  }

  private onEnded(call: Call, exit: Exit.Exit<void, ConnectError>): void {
    if (Exit.isSuccess(exit)) return
    const { cause } = exit
    if (Cause.hasDies(cause)) return this.violate(`a call ended with a defect: ${Cause.pretty(cause)}`)
    if (Cause.hasInterrupts(cause) && !call.interrupted) return this.violate("a call saw an interruption not its own")
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (error === undefined) return
    told(error)
    // Who hears of a failure and tries again at once must not be answered with it.
    const { before: { calls, row } } = call
    const known = this.failures.get(error)
    if (known === undefined) this.failures.set(error, { calls: this.calls.length, row })
    else if (known.calls <= calls && known.row.generation === row.generation && known.row.chatId === row.chatId) {
      this.violate("a failure was kept")
    }
    if (error._tag === "DialFailed" && error.reason === "shutdown" && this.closing === undefined) {
      this.violate("a call was told of a shutdown that never was")
    }
    this.checkAlone(call, error)
  }

  /** What a call may cost and say when nothing else happened since it began. */
  private checkAlone(call: Call, ended: AgentConnection | ConnectError): void {
    const { before, startedAt, turn } = call
    if (!before.alone || call.interrupted || this.closing !== undefined || this.actions !== before.actions) return
    const cost = Costs.difference(this.cost(), before.cost)
    if (Costs.queriesOf(cost) > 12 || cost.dials > 4) this.violate(`a call alone cost ${JSON.stringify(cost)}`)
    const most = Costs.mostOf({ row: before.row, open: before.hit, ended })
    if (!before.stale && Costs.exceeds(cost, most)) {
      this.violate(`a call alone cost ${JSON.stringify(cost)}, and ${JSON.stringify(most)} at most is right`)
    }
    const error = "_tag" in ended ? ended : undefined
    if (before.hit?.liveness() === "live" && error !== undefined) this.violate("a live connection was not lent")
    if (this.runtime.now - startedAt > bounds.alone) this.violate("a call alone took longer than read, flight and look")
    const none = error?._tag === "NoWorkspaceAgent" || error?._tag === "NoWorkspace"
    // Of an older row: it may have come to another that is not gone, or not surely.
    const known = before.gone && !before.stale && before.open.length === 0
    if (none && known && this.outside.healthy && this.runtime.now > startedAt) {
      this.violate("a call alone waited for an agent that is surely gone")
    }
    const { workspaceId } = this.rowOf(turn)
    if (error !== undefined && workspaceId !== null && !before.stale && this.outside.healthy) {
      this.checkTruth(error, this.outside.truth(workspaceId))
    }
  }

  private checkTruth(error: ConnectError, truth: ReturnType<Outside["truth"]>): void {
    const { _tag } = error
    if (_tag === "WorkspaceChanged" || _tag === "StoreError") return this.violate(`a call alone was told ${_tag}`)
    if (Result.isFailure(truth)) {
      if (_tag === "AgentDisconnected") this.violate("an agent that is none was called dead")
      return
    }
    const { agentId } = truth.success
    if (_tag === "NoWorkspaceAgent" || _tag === "NoWorkspace") this.violate(`a call was told ${_tag}, which is not so`)
    if (_tag === "AgentDisconnected" && !this.outside.deaths.has(agentId)) {
      this.violate("a living agent was called dead")
    }
    if (this.outside.answers(agentId)) this.violate("a call failed although its agent answers")
  }

  private check(): void {
    let waiting = 0
    Effect.runSync(this.looks)
    for (const { connection, exit, gaveUp, interrupted, startedAt } of this.calls) {
      if (exit !== undefined) continue
      if (interrupted) this.violate("an interrupted call did not end at once")
      if (connection !== undefined || gaveUp) continue
      waiting++
      if (this.runtime.now - startedAt > bounds.connect) this.violate("a call took longer than its bound")
      if (this.closing !== undefined) this.violate("a call waits although the layer is closing")
    }
    if (waiting === 0 && this.links.someWanted()) this.violate("a dial is wanted that nobody waits for")
  }
}

export const run = (schedule: Schedule<Step>): Outcome => {
  const world = new World(schedule.seed)
  for (const action of schedule.actions) {
    world.perform(action)
    if (action.settle) world.settle()
    if (world.violation !== undefined) break
  }
  if (world.violation === undefined) world.finish(schedule.seed)
  return {
    violation: world.violation,
    calls: world.calls.length,
    connected: world.connected
  }
}
