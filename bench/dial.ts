/**
 * What the lazy dial costs, as ratios to the same decision by hand in the same process. Judged are counts (fibers,
 * timers, queries) and the live bytes of a dial in flight.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import { cases, hanging, queries } from "./cases.ts"
import type { Case } from "./cases.ts"
import { liveBytes, median } from "./harness.ts"
import type { Options, Report } from "./harness.ts"

const maxBytesRatio = 1.2

const immediate = () => new Promise<void>((resolve) => setImmediate(resolve))
const millis = () => performance.now()

const times = (effect: Effect.Effect<unknown>, count: number) =>
  Effect.gen(function*() {
    for (let index = 0; index < count; index++) yield* effect
  })

const runLazy = (one: Case, count: number): Promise<unknown> =>
  Effect.runPromise(
    one.atOnce === 1
      ? times(one.lazy, count)
      : Effect.forEach(Array.from({ length: count }), () => one.lazy, { concurrency: "unbounded", discard: true })
  )

const runPlain = async (one: Case, count: number): Promise<void> => {
  if (one.atOnce > 1) {
    await Promise.all(Array.from({ length: count }, one.plain))
    return
  }
  for (let index = 0; index < count; index++) await one.plain()
}

/** Microseconds of one operation, the last release included. */
const measure = async (one: Case, run: (one: Case, count: number) => Promise<unknown>): Promise<number> => {
  const count = one.atOnce === 1 ? 2000 : one.atOnce
  await immediate()
  const start = millis()
  await run(one, count)
  await one.settled?.()
  return (millis() - start) / count * 1000
}

interface Row {
  readonly name: string
  readonly lazy: string
  readonly plain: string
  readonly ratio: string
  readonly counts: string
  readonly failed: boolean
}

/** Fibers and timers of one operation besides its caller, and what it asked of the store. */
const count = async (one: Case) => {
  const counts = { fibers: 0, timers: 0 }
  const { clock } = await Effect.runPromise(Effect.map(Clock.Clock, (clock) => ({ clock })))
  const context = Context.empty().pipe(
    Context.add(Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => {
        counts.fibers++
      },
      recordFiberEnd: () => {}
    }),
    Context.add(Clock.Clock, {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => {
        counts.timers++
        return clock.sleep(duration)
      }
    })
  )
  const before = queries.count
  await Effect.runPromiseWith(context)(one.lazy)
  await one.settled?.()
  return { fibers: counts.fibers - 1, timers: counts.timers, queries: queries.count - before }
}

const timed = async (one: Case, rounds: number): Promise<Row> => {
  const lazy: Array<number> = []
  const plain: Array<number> = []
  const ratios: Array<number> = []
  for (let warmUp = 0; warmUp < 3; warmUp++) {
    await measure(one, runLazy)
    await measure(one, runPlain)
  }
  for (let round = 0; round < rounds; round++) {
    // Neither always goes first.
    const lazyFirst = round % 2 === 0
    const first = await measure(one, lazyFirst ? runLazy : runPlain)
    const second = await measure(one, lazyFirst ? runPlain : runLazy)
    lazy.push(lazyFirst ? first : second)
    plain.push(lazyFirst ? second : first)
    ratios.push(lazyFirst ? first / second : second / first)
  }
  const { fibers, queries, timers } = await count(one)
  return {
    name: one.name,
    lazy: `${median(lazy).toFixed(2)} µs`,
    plain: `${median(plain).toFixed(2)} µs`,
    ratio: median(ratios).toFixed(2),
    counts: `${fibers} of ${one.limit.fibers} fibers, ${timers} of ${one.limit.timers} timers, ${queries} queries`,
    failed: fibers > one.limit.fibers || timers > one.limit.timers || queries > 0
  }
}

/** Live bytes of each dial in flight, and how long it takes to cancel them all. */
const many = async <A>(
  inFlight: number,
  start: () => A,
  cancel: (started: Array<A>) => Promise<unknown>
): Promise<{ readonly bytes: number; readonly cancel: number }> => {
  const before = await liveBytes()
  const started = Array.from({ length: inFlight }, start)
  const bytes = (await liveBytes() - before) / inFlight
  const at = millis()
  await cancel(started)
  return { bytes, cancel: millis() - at }
}

const flights = async (inFlight: number): Promise<ReadonlyArray<Row>> => {
  const lazy: Array<{ bytes: number; cancel: number }> = []
  const plain: Array<{ bytes: number; cancel: number }> = []
  for (let round = 0; round < 3; round++) {
    lazy.push(
      await many(
        inFlight,
        () => Effect.runFork(hanging.lazy),
        (fibers) => Effect.runPromise(Fiber.interruptAll(fibers))
      )
    )
    plain.push(
      await many(inFlight, () => {
        const controller = new AbortController()
        return { controller, ended: hanging.plain(controller.signal).catch(() => {}) }
      }, (started) => {
        for (const { controller } of started) controller.abort()
        return Promise.all(started.map(({ ended }) => ended))
      })
    )
  }
  const row = (name: string, unit: string, of: (one: { bytes: number; cancel: number }) => number, max: number) => {
    const ratio = median(lazy.map(of)) / median(plain.map(of))
    return {
      name: `${name}, ${inFlight.toLocaleString("en")} dials`,
      lazy: `${median(lazy.map(of)).toFixed(0)} ${unit}`,
      plain: `${median(plain.map(of)).toFixed(0)} ${unit}`,
      ratio: ratio.toFixed(2),
      counts: max === Infinity ? "" : `at most ${max} × plain`,
      failed: ratio > max
    }
  }
  return [
    row("bytes in flight", "B", ({ bytes }) => bytes, maxBytesRatio),
    row("cancel all", "ms", ({ cancel }) => cancel, Infinity)
  ]
}

const head = ["case", "lazy dial", "plain", "ratio", "gate"]

export const run = ({ quick }: Options): Effect.Effect<Report, unknown> =>
  Effect.scoped(Effect.flatMap(cases, (all) =>
    Effect.promise(async () => {
      // Bytes first: the heap is still small, and its shape is the same in every run.
      const many = await flights(quick ? 10_000 : 100_000)
      const rows: Array<Row> = []
      for (const one of all) rows.push(await timed(one, quick ? 5 : 15))
      rows.push(...many)
      return {
        rows: [head, ...rows.map(({ counts, lazy, name, plain, ratio }) => [name, lazy, plain, ratio, counts])],
        notes: [],
        failures: rows.filter(({ failed }) => failed).map(({ counts, name }) => `${name}: ${counts}`)
      }
    })))
