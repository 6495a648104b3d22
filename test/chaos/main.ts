/** `npm run chaos -- --seconds 60 --seed 7 --nats`: one run, and its account. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import { parseArgs } from "node:util"
import * as NatsServer from "../cluster/support/server.ts"
import { render, replay } from "./Account.ts"
import * as Chaos from "./Chaos.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string" },
    workspaces: { type: "string", default: "3" },
    nats: { type: "boolean", default: false }
  }
})

const number = (name: "seconds" | "seed" | "workspaces", text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} is a whole number from 1`)
  return value
}

const options: Chaos.Options = {
  seconds: number("seconds", values.seconds),
  seed: number("seed", values.seed ?? String(1 + Math.floor(Math.random() * 1_000_000))),
  workspaces: number("workspaces", values.workspaces),
  nats: values.nats
}

if (options.nats && !NatsServer.hasServer) {
  throw new Error("--nats needs a nats-server: put one into PATH, or name it in NATS_SERVER")
}

console.log(`Chaos with seed ${options.seed} for ${options.seconds} s …`)

NodeRuntime.runMain(
  Chaos.run(options).pipe(
    // One that did not come to its end is to be run again too.
    Effect.tapCause(() => Effect.sync(() => console.log(`Again: ${replay(options)}`))),
    Effect.flatMap((account) => {
      console.log(render(account))
      return account.violations.length > 0 ? Effect.sync(() => process.exit(1)) : Effect.void
    })
  )
)
