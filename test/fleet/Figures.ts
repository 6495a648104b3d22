/** Figures of a run, and the bounds that some of them are held to. */

export interface Figure {
  readonly what: string
  /** In milliseconds, sorted. */
  readonly values: ReadonlyArray<number>
  readonly bound?: Bound | undefined
}

export interface Bound {
  readonly of: "p50" | "max"
  readonly millis: number
}

/** What a stage came to; `counts` are no times. */
export interface Stage {
  readonly name: string
  readonly figures: ReadonlyArray<Figure>
  readonly counts: ReadonlyArray<readonly [what: string, count: number]>
}

export const figure = (what: string, values: Iterable<number>, bound?: Bound): Figure => ({
  what,
  values: Array.from(values).sort((one, other) => one - other),
  bound
})

export const at = ({ values }: Figure, quantile: number): number =>
  values[Math.min(values.length - 1, Math.ceil(values.length * quantile) - 1)] ?? Number.NaN

/** What is wrong with it: beyond its bound, or nothing measured at all. */
export const broken = (stage: Stage): ReadonlyArray<string> =>
  stage.figures.flatMap((figure) => {
    const { bound, values, what } = figure
    if (bound === undefined) return []
    if (values.length === 0) return [`${stage.name}: ${what}: nothing was measured`]
    const value = bound.of === "p50" ? at(figure, 0.5) : at(figure, 1)
    return value <= bound.millis
      ? []
      : [`${stage.name}: ${what}: ${bound.of} is ${Math.round(value)} ms, its bound ${bound.millis} ms`]
  })

export const render = ({ counts, figures, name }: Stage): ReadonlyArray<string> => [
  "",
  name,
  ...figures.map((figure) => {
    const { bound, values, what } = figure
    const numbers = [0.5, 0.99, 1].map((quantile) => String(Math.round(at(figure, quantile))).padStart(7)).join("")
    const held = bound === undefined ? "" : `   bound: ${bound.of} ≤ ${bound.millis}`
    return `  ${String(values.length).padStart(6)}${numbers}  ${what}${held}`
  }),
  ...counts.map(([what, count]) => `  ${String(count).padStart(6)}  ${what}`)
]
