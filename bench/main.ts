/**
 * Load and cost, part by part: `npm run bench [-- gateway cluster store idle faults dial] [--quick]`, all of them unless
 * some are named. Exits 1 when a count is over its limit.
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { spawnSync } from "node:child_process"
import { arch, cpus, loadavg, release, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import * as cluster from "./cluster.ts"
import * as dial from "./dial.ts"
import * as faults from "./faults.ts"
import * as gateway from "./gateway.ts"
import { print } from "./harness.ts"
import type { Options, Report } from "./harness.ts"
import * as idle from "./idle.ts"
import * as store from "./store.ts"

interface Part {
  readonly title: string
  readonly run: (options: Options) => Effect.Effect<Report, unknown>
}

const parts: Readonly<Record<string, Part>> = {
  dial: { title: "The lazy dial, against the same decision by hand", run: dial.run },
  idle: { title: "Idle agents on one gateway", run: idle.run },
  gateway: { title: "Calls and streams through the gateway, against a raw WebSocket", run: gateway.run },
  cluster: { title: "Agents of another node, over NATS", run: cluster.run },
  store: { title: "PostgreSQL", run: store.run },
  faults: { title: "From a fault to its error", run: faults.run }
}

const args = process.argv.slice(2)
const quick = args.includes("--quick")
const named = args.filter((arg) => arg !== "--quick")
const unknown = named.filter((name) => parts[name] === undefined)
if (unknown.length > 0 || globalThis.gc === undefined) {
  console.error(`npm run bench [-- ${Object.keys(parts).join(" ")}] [--quick]`)
  process.exit(2)
}

const asked = Object.keys(parts).filter((name) => named.length === 0 || named.includes(name))
const [first] = asked
const part = first === undefined || asked.length > 1 ? undefined : parts[first]

if (part !== undefined) {
  const [cpu] = cpus()
  const machine = `${cpus().length} × ${cpu?.model ?? arch()}, ${
    Math.round(totalmem() / 2 ** 30)
  } GiB, Linux ${release()}`
  const load = loadavg()[0] ?? 0
  console.log(
    `\n${new Date().toISOString().slice(0, 16)}Z, Node ${process.versions.node}, ${machine}, load ${load.toFixed(1)}`
      + (quick ? ", the short form" : "")
  )
  const report = await Effect.runPromise(Effect.provide(part.run({ quick }), Logger.layer([])))
  print(`${first}: ${part.title}`, report)
  if (report.failures.length > 0) process.exitCode = 1
} else {
  // Each in a process of its own: none measures what another has left behind.
  for (const name of asked) {
    const program = [...process.execArgv, fileURLToPath(import.meta.url), name, ...(quick ? ["--quick"] : [])]
    const { status } = spawnSync(process.execPath, program, { stdio: "inherit" })
    if (status !== 0) process.exitCode = 1
  }
}
