/**
 * A clock and a scheduler of one's own, without promises: a whole schedule runs in one JavaScript turn, and a seed
 * decides everything, so that a replay is exact.
 *
 * Tasks that are ready run in random order; of timers that are due at one instant a random one fires first; and any
 * fiber may be made to yield between any two of its operations.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"

/** Mulberry32: small, and good enough to draw schedules. */
export const randomOf = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Yields as often as a fiber can and still gets on: a fiber that has just resumed needs two operations for that. */
export const always = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.currentOpCount > 2

interface Timer {
  readonly at: number
  readonly fire: () => void
}

export interface Options {
  /** Draws the order of ready tasks and of timers that are due together. */
  readonly random: () => number
  /** Whether a fiber yields before its next operation. */
  readonly shouldYield?: ((fiber: Fiber.Fiber<unknown, unknown>) => boolean) | undefined
  /** Whether another timer of the same instant fires before any fiber runs. */
  readonly together?: (() => boolean) | undefined
}

export class VirtualRuntime {
  now = 0
  /** Fibers that have not ended, exact also for detached ones. */
  fibers = 0
  fibersStarted = 0
  timersArmed = 0
  private timers: Array<Timer> = []
  private tasks: Array<() => void> = []
  readonly context: Context.Context<never>
  private readonly random: () => number
  private readonly together: () => boolean

  constructor(options: Options) {
    this.random = options.random
    this.together = options.together ?? (() => false)
    const millis = () => this.now
    const nanos = () => BigInt(this.now) * 1_000_000n
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) =>
        Effect.callback<void>((resume) => {
          const timer: Timer = { at: this.now + Duration.toMillis(duration), fire: () => resume(Effect.void) }
          this.timers.push(timer)
          this.timersArmed++
          return Effect.sync(() => {
            this.timers = this.timers.filter((other) => other !== timer)
          })
        })
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: options.shouldYield ?? (() => false),
      makeDispatcher: () => ({
        scheduleTask: (task) => {
          this.tasks.push(task)
        },
        flush: () => this.drain()
      })
    }
    this.context = Context.empty().pipe(
      Context.add(Clock.Clock, clock),
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(References.MinimumLogLevel, "None"),
      Context.add(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => {
          this.fibers++
          this.fibersStarted++
        },
        recordFiberEnd: () => {
          this.fibers--
        }
      })
    )
  }

  /** When the next timer is due, if there is one. */
  get nextTimer(): number | undefined {
    return this.timers.length === 0 ? undefined : Math.min(...this.timers.map((timer) => timer.at))
  }

  get pendingTimers(): number {
    return this.timers.length
  }

  run<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context)(effect)
  }

  /** Runs what is ready, and what that makes ready; no time passes. */
  drain(): void {
    while (this.step());
  }

  /** Runs one ready task; false when there is none. */
  step(): boolean {
    const task = this.tasks.splice(Math.floor(this.random() * this.tasks.length), 1)[0]
    task?.()
    return task !== undefined
  }

  /** Lets time pass, instant by instant. */
  advance(millis: number): void {
    const end = this.now + millis
    this.drain()
    for (;;) {
      const next = Math.min(...this.timers.map((timer) => timer.at))
      if (next > end) break
      this.now = next
      do this.takeTimer(next)?.fire()
      while (this.timers.some((timer) => timer.at === next) && this.together())
      this.drain()
    }
    this.now = end
  }

  /** Fires one timer of the next instant, and runs nothing. */
  wake(): void {
    const next = Math.min(...this.timers.map((timer) => timer.at))
    if (next === Infinity) return
    this.now = next
    this.takeTimer(next)?.fire()
  }

  private takeTimer(at: number): Timer | undefined {
    const due = this.timers.flatMap((timer, index) => timer.at === at ? [index] : [])
    const index = due[Math.floor(this.random() * due.length)]
    return index === undefined ? undefined : this.timers.splice(index, 1)[0]
  }
}
