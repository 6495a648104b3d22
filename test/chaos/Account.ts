/** What a run tells whoever started it. */
import type { Book } from "./Book.ts"
import * as Bounds from "./Bounds.ts"

export interface Account {
  readonly seed: number
  readonly seconds: number
  readonly nats: boolean
  readonly workspaces: number
  readonly violations: ReadonlyArray<string>
  /** Faults, with when they were over. */
  readonly timeline: ReadonlyArray<Entry>
  readonly operations: number
  readonly executions: number
  readonly outcomes: ReadonlyMap<string, number>
  readonly calls: ReadonlyMap<Bounds.Method, readonly [count: number, longest: number]>
  readonly turns: ReadonlyMap<string, number>
  readonly tallies: ReadonlyMap<string, ReadonlyMap<string, number>>
  /** Seconds until each chat worked after the last fault. */
  readonly recoveries: ReadonlyArray<number>
  readonly stalled: number
}

export interface Entry {
  readonly at: number
  readonly over: number | undefined
  readonly what: string
}

/** How often each operation came to each end, by the way in which it was asked for. */
export const outcomesOf = ({ operations }: Book): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { code, method, told } of operations) {
    const key = `${method}: ${told ?? "unknown"}${code === undefined || code === told ? "" : ` (${code})`}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return new Map([...counts].toSorted(([one], [other]) => one.localeCompare(other)))
}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

const table = (all: Iterable<readonly [string, string | number]>): ReadonlyArray<string> =>
  Array.from(all, ([name, value]) => `  ${String(value).padStart(7)}  ${name}`)

/** The line that runs the same faults again. */
export const replay = (
  { nats, seconds, seed, workspaces }: Pick<Account, "nats" | "seconds" | "seed" | "workspaces">
): string => `npm run chaos -- --seconds ${seconds} --seed ${seed} --workspaces ${workspaces}${nats ? " --nats" : ""}`

export const render = (account: Account): string => {
  const {
    calls,
    executions,
    nats,
    operations,
    outcomes,
    recoveries,
    stalled,
    tallies,
    timeline,
    turns,
    violations
  } = account
  return [
    `Chaos with seed ${account.seed}, ${account.seconds} s, ${nats ? "with" : "without"} NATS`,
    "",
    "Faults",
    ...timeline.map(({ at, over, what }) =>
      `  ${seconds(at).padStart(7)}  ${what}${over === undefined ? "" : `; whole again at ${seconds(over)}`}`
    ),
    "",
    `Operations: ${operations} asked for, ${executions} noted in the workspaces`,
    ...table(outcomes),
    "",
    "Turns",
    ...table(turns),
    "",
    ...Array.from(tallies).toSorted(([one], [other]) => one.localeCompare(other)).flatMap(([of, counts]) => [
      of,
      ...table(Array.from(counts).toSorted(([one], [other]) => one.localeCompare(other))),
      ""
    ]),
    "Calls: how many, the longest, its bound",
    ...Array.from(
      calls,
      ([method, [count, longest]]) =>
        `  ${String(count).padStart(7)}  ${method}, ${longest.toFixed(1)} s of ${Bounds.calls[method]} s`
    ),
    "",
    `Every chat worked ${
      recoveries.length === 0 ? "never" : `within ${Math.max(...recoveries).toFixed(1)} s`
    } after the last fault (${Bounds.recovery} s are allowed)`,
    ...(stalled > 500 ? [`This machine gave us no turn for ${seconds(stalled)} in all`] : []),
    "",
    ...(violations.length === 0
      ? ["Nothing ran twice, nothing that was acknowledged is lost, nothing ran that was said not to have run."]
      : [`${violations.length} violations`, ...violations.map((text) => `  ${text}`), "", `Again: ${replay(account)}`])
  ].join("\n")
}
