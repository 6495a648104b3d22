/**
 * Machines that share one time and nothing else: the nodes, the agents, the database. Each has a clock, a scheduler and
 * timers of its own, so that one can freeze, or be gone in the middle of a step, while the others go on.
 *
 * Nothing happens on a machine but what was posted to it, so a frozen one does nothing and hears nothing. When it thaws,
 * its ready tasks run, and those of its timers that are overdue: as a process that was stopped by a signal.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"

interface Timer {
  readonly at: number
  readonly fire: () => void
}

export interface Chance {
  readonly random: () => number
  /** How often a fiber yields before its next operation. */
  readonly yields: number
}

interface Time {
  readonly now: number
}

export class Machine {
  gone = false
  /** How long it was frozen, in all. */
  frozenFor = 0
  /** When it last thawed that was frozen in the middle of something. */
  thawedBusyAt = -Infinity
  private frozenSince: number | undefined
  private frozenBusy = false
  /** So many tasks come before those behind. */
  private first = 0
  private readonly behind: Array<() => void> = []
  /** Fibers that have not ended. */
  fibers = 0
  readonly tasks: Array<() => void> = []
  timers: Array<Timer> = []
  readonly context: Context.Context<never>
  private readonly machines: Time

  constructor(machines: Time, { random, yields }: Chance) {
    this.machines = machines
    const millis = () => machines.now
    const nanos = () => BigInt(machines.now) * 1_000_000n
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) =>
        Effect.callback<void>((resume) => {
          const timer = { at: machines.now + Duration.toMillis(duration), fire: () => resume(Effect.void) }
          if (timer.at !== Infinity) this.timers.push(timer)
          return Effect.sync(() => this.cancel(timer))
        })
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: yields === 0 ? () => false : (fiber) => fiber.currentOpCount > atOnce && random() < yields,
      makeDispatcher: () => ({
        scheduleTask: (task) => this.post(task),
        flush: () => undefined
      })
    }
    this.context = Context.empty().pipe(
      Context.add(Clock.Clock, clock),
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(Random.Random, {
        nextDoubleUnsafe: random,
        nextIntUnsafe: () => Math.floor((random() - 0.5) * Number.MAX_SAFE_INTEGER)
      }),
      Context.add(References.MinimumLogLevel, "None"),
      Context.add(References.TracerEnabled, false),
      Context.add(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => {
          this.fibers++
        },
        recordFiberEnd: () => {
          this.fibers--
        }
      })
    )
  }

  get now(): number {
    return this.machines.now
  }

  get frozen(): boolean {
    return this.frozenSince !== undefined
  }

  get runs(): boolean {
    return this.frozenSince === undefined && !this.gone
  }

  freeze(): void {
    if (this.frozenSince !== undefined) return
    this.frozenSince = this.machines.now
    this.frozenBusy = this.tasks.length > 0
  }

  /** What was ready and what is overdue comes before anything that follows from it, as in one turn of an event loop. */
  thaw(): void {
    if (this.frozenSince === undefined) return
    const { now } = this.machines
    if (this.frozenBusy) this.thawedBusyAt = now
    for (const timer of this.timers.filter(({ at }) => at <= now)) {
      this.tasks.push(() => {
        if (!this.timers.includes(timer)) return
        this.cancel(timer)
        timer.fire()
      })
    }
    this.first = this.tasks.length
    this.frozenFor += this.machines.now - this.frozenSince
    this.frozenSince = undefined
  }

  post(task: () => void): void {
    if (this.gone) return
    if (this.first > 0) this.behind.push(task)
    else this.tasks.push(task)
  }

  /** Runs one of the ready tasks. */
  run(index: number): void {
    this.turn(taken(this.tasks, index))
    if (this.first === 0 || --this.first > 0) return
    this.tasks.push(...this.behind)
    this.behind.length = 0
  }

  /** One turn of its event loop: what is left to the end of the turn comes before everything else. */
  turn<A>(run: () => A): A {
    const microtasks: Array<() => void> = []
    const { queueMicrotask } = globalThis
    globalThis.queueMicrotask = (task) => void microtasks.push(task)
    try {
      const result = run()
      for (const task of microtasks) task()
      return result
    } finally {
      globalThis.queueMicrotask = queueMicrotask
    }
  }

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return this.turn(() => Effect.runForkWith(this.context)(effect))
  }

  /** Calls back unless it is canceled first. */
  after(millis: number, fire: () => void): () => void {
    const timer = { at: this.machines.now + millis, fire }
    if (!this.gone) this.timers.push(timer)
    return () => this.cancel(timer)
  }

  /** As by SIGKILL. */
  kill(): void {
    this.gone = true
    this.tasks.length = 0
    this.behind.length = 0
    this.first = 0
    this.timers.length = 0
  }

  private cancel(timer: Timer): void {
    const index = this.timers.indexOf(timer)
    if (index !== -1) this.timers.splice(index, 1)
  }
}

export class Machines {
  now = 0
  /** So much happened in one instant that it will not end. */
  stuck = false
  private steps = 0
  private all: Array<Machine> = []
  private readonly chance: Chance

  constructor(chance: Chance) {
    this.chance = chance
  }

  make(): Machine {
    const machine = new Machine(this, this.chance)
    this.all = [...this.all.filter(({ gone }) => !gone), machine]
    return machine
  }

  /** Runs what is ready, and what that makes ready, in random order; no time passes. */
  drain(): void {
    for (;;) {
      let ready = 0
      for (const machine of this.all) if (machine.runs) ready += machine.tasks.length
      if (ready === 0 || this.stuck) return
      this.stuck = ++this.steps > mostSteps
      let index = Math.floor(this.chance.random() * ready)
      for (const machine of this.all) {
        if (!machine.runs) continue
        if (index < machine.tasks.length) {
          machine.run(index)
          break
        }
        index -= machine.tasks.length
      }
    }
  }

  /** When the next timer of a machine that runs is due. */
  next(): number {
    let next = Infinity
    for (const { runs, timers } of this.all) {
      if (!runs) continue
      for (const { at } of timers) if (at < next) next = at
    }
    return next
  }

  /** Time passes to an instant at which at least one timer is due; of those a random one fires first. */
  wake(at: number): void {
    if (at > this.now) this.steps = 0
    this.now = Math.max(this.now, at)
    for (;;) {
      const due = this.all.flatMap((machine) =>
        machine.runs ? machine.timers.filter((timer) => timer.at <= this.now).map((timer) => ({ machine, timer })) : []
      )
      const chosen = due[Math.floor(this.chance.random() * due.length)]
      if (chosen === undefined) break
      const { timers } = chosen.machine
      timers.splice(timers.indexOf(chosen.timer), 1)
      chosen.machine.turn(chosen.timer.fire)
      // Half of the time those of one instant fire before any fiber runs.
      if (due.length === 1 || this.chance.random() < 0.5) break
    }
    this.drain()
  }
}

/**
 * So many operations a fiber does that begins or goes on, before it may yield. Schedulers let it do thousands, and `effect`
 * relies on a few: a fiber that yielded before its first one would begin although it was interrupted before, and a
 * `forEach` that yielded between its interruption and what follows from it would go on with the next item.
 */
const atOnce = 8

/** Of all machines in one instant. A busy one takes hundreds. */
const mostSteps = 100_000

const taken = (tasks: Array<() => void>, index: number): () => void => {
  const task = tasks[index]
  const last = tasks.pop()
  if (task === undefined || last === undefined) throw new Error("no such task")
  if (index < tasks.length) tasks[index] = last
  return task
}
