/**
 * Many schedules, on all cores: `node test/model/simulate.ts [--schedules N] [--seed S] [--workers N]`. Without a seed a
 * fresh one is drawn and printed. Prints how many schedules ran in a second and how often each branch was taken; exits 1
 * with the shortest schedule that goes wrong, or when a branch was never taken in a run that is long enough for all.
 */
// oxlint-disable-next-line import/no-unassigned-import -- it has to come before `effect`
import "./Quiet.ts"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import * as Branches from "./Branches.ts"
import { modelOf, runAll } from "./Simulation.ts"
import type { Summary } from "./Simulation.ts"

/** In so many schedules every branch is taken. */
const enough = 20_000
const chunk = 100

/** A worker asks for seeds until there are none. */
interface Answer {
  readonly summary: Summary
  readonly branches: Readonly<Record<string, number>>
}

const serve = (): void => {
  parentPort?.on("message", ({ from, count }: { readonly from: number; readonly count: number }) => {
    const answer: Answer = { summary: runAll(from, count), branches: Branches.counts() }
    parentPort?.postMessage(answer, [])
  })
}

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "2000" },
    seed: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) }
  }
})

const wholeNumber = (name: string, text: string): number => {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new Error(`--${name} has to be a whole number`)
}

const simulate = async (): Promise<void> => {
  const schedules = wholeNumber("schedules", values.schedules)
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : wholeNumber("seed", values.seed)
  const started = performance.now()
  let next = seed
  let failed: number | undefined
  const total = { schedules: 0, calls: 0, connected: 0 }
  const branches = new Map<string, number>()

  const work = async (): Promise<void> => {
    const worker = new Worker(new URL(import.meta.url), { workerData: "worker" })
    let counted: Answer["branches"] = {}
    while (next < seed + schedules && failed === undefined) {
      const from = next
      const count = Math.min(chunk, seed + schedules - from)
      next += count
      const answer = await new Promise<Answer>((resolve, reject) => {
        worker.once("message", resolve).once("error", reject)
        worker.postMessage({ from, count }, [])
      })
      worker.removeAllListeners("error")
      counted = answer.branches
      total.schedules += answer.summary.schedules
      total.calls += answer.summary.calls
      total.connected += answer.summary.connected
      failed ??= answer.summary.failed
    }
    for (const [branch, count] of Object.entries(counted)) branches.set(branch, (branches.get(branch) ?? 0) + count)
    await worker.terminate()
  }

  console.log(`Schedules ${seed} to ${seed + schedules - 1}`)
  await Promise.all(Array.from({ length: Math.max(1, wholeNumber("workers", values.workers)) }, work))
  const seconds = (performance.now() - started) / 1000

  for (const [branch, count] of branches) console.log(`${String(count).padStart(10)}  ${branch}`)
  console.log(
    `${total.schedules} schedules in ${seconds.toFixed(1)} s, ${(total.schedules / seconds).toFixed(0)} a second; ` +
      `${total.calls} calls, of which ${total.connected} came to a connection`
  )
  if (failed !== undefined) {
    console.error(`\nSchedule ${failed} (${modelOf(failed).name}) went wrong: ${modelOf(failed).report(failed)}`)
    process.exitCode = 1
    return
  }
  const never = Array.from(branches).filter(([, count]) => count === 0).map(([branch]) => branch)
  if (never.length > 0) console.log(`Never taken: ${never.join("; ")}`)
  if (never.length > 0 && schedules >= enough) process.exitCode = 1
}

if (isMainThread) await simulate()
else if (workerData === "worker") serve()
