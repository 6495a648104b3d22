/** `npm run fleet -- --agents 200 --seed 7`: one run, and its account. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import { parseArgs } from "node:util"
import * as NatsServer from "../cluster/support/server.ts"
import * as Figures from "./Figures.ts"
import * as Fleet from "./Fleet.ts"
import * as Stages from "./Stages.ts"

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "200" },
    own: { type: "string", default: "12" },
    pause: { type: "string", default: "8000" },
    stages: { type: "string", default: Object.keys(Stages.all).join(",") },
    seed: { type: "string" }
  }
})

const number = (name: "agents" | "own" | "pause" | "seed", text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} is a whole number from 1`)
  return value
}

const isStage = (name: string): name is keyof typeof Stages.all => name in Stages.all

const stages = values.stages.split(",").filter(isStage)
const seed = number("seed", values.seed ?? String(1 + Math.floor(Math.random() * 1_000_000)))
const agents = number("agents", values.agents)

if (!NatsServer.hasServer) {
  console.error("The fleet needs a nats-server: put one into PATH, or name it in NATS_SERVER.")
  process.exit(1)
}

console.log(`A fleet of ${agents} agents with seed ${seed} …`)

NodeRuntime.runMain(Effect.flatMap(
  Fleet.run({
    seed,
    agents,
    own: Math.min(agents, number("own", values.own)),
    pauseMillis: number("pause", values.pause),
    stages,
    bounds: {
      breath: 3000,
      noticed: 100,
      nextCall: 500,
      nats: 2000,
      freeze: 20_000,
      typed: 55_000,
      deploy: 30_000,
      gaps: 0
    },
    env: {
      // A turn whose node died is found when its lease is over; all else is as it comes.
      node: { TURN_LEASE: "5 seconds", TURN_RENEW: "1 second", TURN_SWEEP: "1 second" },
      agent: {}
    },
    onStage: (stage) => console.log(Figures.render(stage).join("\n"))
  }),
  (account) => {
    console.log(Fleet.render(account))
    return account.violations.length > 0 ? Effect.sync(() => process.exit(1)) : Effect.void
  }
))
