/**
 * The two models as one simulation. A seed says which of them it is for: most are for the connecting of chats on one node
 * over a transport that does its worst, which is fast; one of five is for whole nodes with agents and turns.
 */
import * as Connect from "./connect/Model.ts"
import * as ConnectSchedule from "./connect/Schedule.ts"
import * as Nodes from "./nodes/Model.ts"
import * as NodesSchedule from "./nodes/Schedule.ts"
import { kindOf, shrink } from "./Schedule.ts"
import type { Outcome, Schedule } from "./Schedule.ts"

/** Actions in a schedule. */
const length = 40

/** The schedules of one model, by their seeds. */
export interface Model {
  readonly name: string
  readonly run: (seed: number) => Outcome
  /** What to look at when a schedule went wrong: the shortest that goes wrong in the same way, and how to see it again. */
  readonly report: (seed: number) => string
}

const model = <Step>(options: {
  readonly name: string
  readonly draw: (seed: number, length: number) => Schedule<Step>
  readonly run: (schedule: Schedule<Step>) => Outcome
}): Model => ({
  name: options.name,
  run: (seed) => options.run(options.draw(seed, length)),
  report: (seed) => report(options.draw(seed, length), options.run)
})

export const report = <Step>(schedule: Schedule<Step>, run: (schedule: Schedule<Step>) => Outcome): string => {
  const kind = kindOf(run(schedule).violation)
  const shortest = shrink(schedule, (candidate) => kindOf(run(candidate).violation) === kind)
  return [
    `${run(shortest).violation}`,
    `Replay with: npm run simulate -- --schedules 1 --seed ${schedule.seed}`,
    "The shortest schedule that goes wrong so:",
    `{ seed: ${shortest.seed}, actions: [`,
    ...shortest.actions.map((action) => `  ${JSON.stringify(action)},`),
    "] }"
  ].join("\n")
}

export const connect = model({ name: "connect", draw: ConnectSchedule.draw, run: Connect.run })

export const nodes = model({ name: "nodes", draw: NodesSchedule.draw, run: Nodes.run })

export const modelOf = (seed: number): Model => seed % 5 === 0 ? nodes : connect

/** Seeds from `from` on, until one goes wrong. */
export const runAll = (from: number, count: number): Summary => {
  const summary = { schedules: 0, calls: 0, connected: 0, failed: undefined as number | undefined }
  for (let seed = from; seed < from + count && summary.failed === undefined; seed++) {
    const outcome = modelOf(seed).run(seed)
    summary.schedules++
    summary.calls += outcome.calls
    summary.connected += outcome.connected
    if (outcome.violation !== undefined) summary.failed = seed
  }
  return summary
}

export interface Summary {
  readonly schedules: number
  readonly calls: number
  /** Calls that came to a connection. */
  readonly connected: number
  /** The seed that went wrong. */
  readonly failed: number | undefined
}
