/**
 * What all parts share: contestants measured in turns, figures with their spread, and tables.
 *
 * Times are reported, never judged: they differ from machine to machine and from minute to minute. What can be compared
 * are ratios of contestants of one run, which take turns, each round beginning with another. Counts are judged: one over
 * its limit makes the run fail.
 */
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"

/** How long a part measures: whether a short form will do. */
export interface Options {
  readonly quick: boolean
}

/** The rows of a part, the first of them its head, and the counts that are over their limits. */
export interface Report {
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
  readonly notes: ReadonlyArray<string>
  readonly failures: ReadonlyArray<string>
}

/** Calls per second, how long one of them took in milliseconds, and microseconds of this process's CPU for each. */
export interface Sample {
  readonly perSecond: number
  readonly cpu: number
  readonly p50: number
  readonly p99: number
}

export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

export const quantileOf = (values: ReadonlyArray<number>, share: number): number =>
  quantile(values.toSorted((left, right) => left - right), share)

export const median = (values: ReadonlyArray<number>): number => quantileOf(values, 0.5)

export const spread = (values: ReadonlyArray<number>): Spread => ({
  median: median(values),
  low: Math.min(...values),
  high: Math.max(...values)
})

/** Three digits that mean something. */
export const digits = (value: number): string =>
  !Number.isFinite(value)
    ? "-"
    : Math.abs(value) >= 100
    ? Math.round(value).toLocaleString("en")
    : value === 0
    ? "0"
    : String(Number(value.toPrecision(3)))

/** A median and, behind it, what the rounds came to. */
export const withSpread = ({ high, low, median }: Spread): string =>
  `${digits(median)} [${digits(low)}–${digits(high)}]`

/** The same call by so many callers, each as soon as its last one was answered, for so long. */
export const load = <E>(callers: number, millis: number, call: Effect.Effect<unknown, E>): Effect.Effect<Sample, E> =>
  Effect.suspend(() => {
    const taken: Array<number> = []
    const cpu = process.cpuUsage()
    const begin = performance.now()
    const caller = Effect.gen(function*() {
      for (let at = begin; at - begin < millis;) {
        yield* call
        const now = performance.now()
        taken.push(now - at)
        at = now
      }
    })
    return Effect.forEach(Array.from({ length: callers }), () => caller, {
      concurrency: "unbounded",
      discard: true
    }).pipe(Effect.map(() => sampleOf(taken, performance.now() - begin, process.cpuUsage(cpu))))
  })

/** The same without Effect. */
export const loadPlain = (
  callers: number,
  millis: number,
  call: () => Promise<unknown>
): Effect.Effect<Sample> =>
  Effect.promise(async () => {
    const taken: Array<number> = []
    const cpu = process.cpuUsage()
    const begin = performance.now()
    const caller = async (): Promise<void> => {
      for (let at = begin; at - begin < millis;) {
        await call()
        const now = performance.now()
        taken.push(now - at)
        at = now
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
    return sampleOf(taken, performance.now() - begin, process.cpuUsage(cpu))
  })

const sampleOf = (taken: Array<number>, millis: number, { system, user }: NodeJS.CpuUsage): Sample => {
  taken.sort((left, right) => left - right)
  return {
    perSecond: taken.length / millis * 1000,
    cpu: (system + user) / taken.length,
    p50: quantile(taken, 0.5),
    p99: quantile(taken, 0.99)
  }
}

/** Measures all in each round, the first one for nothing: what is cold is warmed by it. Each round begins with another. */
export const takeTurns = <Name extends string, A, E, R>(
  rounds: number,
  contestants: Record.ReadonlyRecord<Name, Effect.Effect<A, E, R>>
): Effect.Effect<Record.ReadonlyRecord<Name, ReadonlyArray<A>>, E, R> =>
  Effect.gen(function*() {
    const names = Record.keys(contestants)
    const samples = Record.map(contestants, (): Array<A> => [])
    for (let round = -1; round < rounds; round++) {
      for (let turn = 0; turn < names.length; turn++) {
        const name = names[(turn + round + names.length) % names.length]
        if (name === undefined) continue
        const sample = yield* contestants[name]
        if (round >= 0) samples[name].push(sample)
      }
    }
    return samples
  })

/** What one figure of each round is to that of the reference in the same round. */
export const ratios = <A>(
  samples: ReadonlyArray<A>,
  reference: ReadonlyArray<A>,
  of: (sample: A) => number
): Spread =>
  spread(samples.flatMap((sample, round) => {
    const base = reference[round]
    return base === undefined ? [] : [of(sample) / of(base)]
  }))

/** Bytes that live after what does not has been collected, those outside of the heap with them. */
export const liveBytes = async (): Promise<number> => {
  const { gc } = globalThis
  if (gc === undefined) throw new Error("Run with --expose-gc: live bytes cannot be measured without it.")
  for (let times = 0; times < 5; times++) {
    await gc({ type: "major", execution: "async" })
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

/** Waits for a state of the world that no event tells of. */
export const until = (what: string, condition: () => boolean, millis: number): Effect.Effect<void> => {
  const look: Effect.Effect<void> = Effect.suspend(() =>
    condition() ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), look)
  )
  return look.pipe(
    Effect.timeoutOrElse({ duration: millis, orElse: () => Effect.die(new Error(`waited in vain for ${what}`)) })
  )
}

/** Prints rows as columns; the first column is text, the others are figures. */
export const print = (title: string, { failures, notes, rows }: Report): void => {
  const widths = rows.reduce<ReadonlyArray<number>>(
    (widths, row) => row.map((cell, column) => Math.max(cell.length, widths[column] ?? 0)),
    []
  )
  console.log(`\n${title}`)
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
    )
    console.log(cells.join("   ").trimEnd())
  }
  for (const note of notes) console.log(`  ${note}`)
  for (const failure of failures) console.log(`OVER ITS LIMIT: ${failure}`)
}
