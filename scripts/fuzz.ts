/**
 * Fuzzes what strangers can send: frames of agents and gateways, bodies of requests, and what else is decoded.
 *
 *     npm run fuzz -- --seconds 60 --seed 1
 *     npm run fuzz -- --seed 1 --target gateway-frames --execution 4711
 *
 * The time is for all targets together. The same seed plays the same executions; what one finds is printed with the
 * command that plays it again, and the exit code is 1.
 */
import { Cause, Duration, Effect, Exit } from "effect"
import { writeSync } from "node:fs"
import { parseArgs } from "node:util"
import { isMainThread, Worker, workerData } from "node:worker_threads"
import * as Fuzz from "../test/security/fuzz/Fuzz.ts"
import { targets } from "../test/security/fuzz/Targets.ts"

const again = (seed: number, target: string, execution: number): string =>
  `npm run fuzz -- --seed ${seed} --target ${target} --execution ${execution}`

/** What is under way, for the thread that watches: the number of the target, of the execution, and a count of all. */
type Shared = Int32Array<SharedArrayBuffer>

/** An execution that never gives back its thread can only be seen from another. */
const watch = ({ seed, shared }: { readonly seed: number; readonly shared: Shared }): void => {
  let last = -1
  setInterval(() => {
    const now = Atomics.load(shared, 2)
    if (now === last) {
      const target = targets[Atomics.load(shared, 0)]?.name ?? ""
      // Neither a console nor an exit of this thread does without the one that hangs.
      writeSync(2, `Found: it hangs.\nAgain: ${again(seed, target, Atomics.load(shared, 1))}\n`)
      process.kill(process.pid, "SIGKILL")
    }
    last = now
  }, 30_000)
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      target: { type: "string" },
      execution: { type: "string" }
    }
  })
  const seed = Number(values.seed)
  const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target)
  if (chosen.length === 0) throw new Error(`The targets are: ${targets.map(({ name }) => name).join(", ")}`)
  const last = Number(values.execution)
  const behind = last % Fuzz.renewal
  const one = values.execution === undefined ? {} : { from: last - behind, count: behind + 1 }
  const shared: Shared = new Int32Array(new SharedArrayBuffer(12))
  const watcher = new Worker(new URL(import.meta.url), { workerData: { seed, shared } })
  watcher.unref()
  console.log(`Seed ${seed}`)
  const found = (target: string, execution: number, what: string): void => {
    console.error(`Found by ${target}, execution ${execution}:\n${what}\nAgain: ${again(seed, target, execution)}`)
    process.exit(1)
  }
  for (const target of chosen) {
    const number = targets.indexOf(target)
    const onExecution = (_: string, execution: number): void => {
      Atomics.store(shared, 0, number)
      Atomics.store(shared, 1, execution)
      Atomics.add(shared, 2, 1)
    }
    // What nobody waits for and nobody catches is found too.
    const uncaught = (error: unknown): void => found(target.name, Atomics.load(shared, 1), String(error))
    process.on("uncaughtException", uncaught).on("unhandledRejection", uncaught)
    const duration = Duration.seconds(Number(values.seconds) / chosen.length)
    const exit = await Effect.runPromiseExit(Fuzz.run(target, { seed, duration, onExecution, ...one }))
    process.off("uncaughtException", uncaught).off("unhandledRejection", uncaught)
    if (Exit.isSuccess(exit)) {
      const { executions, perSecond } = exit.value
      console.log(`${target.name.padEnd(16)} ${String(executions).padStart(8)} executions, ${perSecond} a second`)
      continue
    }
    const failure = Cause.findErrorOption(exit.cause)
    if (failure._tag === "None") throw Cause.squash(exit.cause)
    found(failure.value.target, failure.value.execution, Cause.pretty(failure.value.cause))
  }
}

if (isMainThread) await main()
else watch(workerData)
