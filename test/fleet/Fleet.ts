/**
 * A fleet of real parts on loopback: three NATS servers that are a cluster, one PostgreSQL, three nodes composed as `serve`
 * composes them, and many agents behind a balancer, whose chats work all the time from every node. One thing after the
 * other is done to it and measured, and at the end what callers were told is held against what the workspaces noted.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, type Redacted } from "effect"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import * as Path from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { ChatBindings, Migrations, SqlStore } from "../../src/store/index.ts"
import * as PostgresServer from "../../src/testing/PostgresServer.ts"
import * as h from "../agent/support/harness.ts"
import * as Leftovers from "../chaos/Leftovers.ts"
import * as Chance from "../security/fuzz/Chance.ts"
import * as Agents from "./Agents.ts"
import * as Figures from "./Figures.ts"
import { Ledger } from "./Ledger.ts"
import * as Load from "./Load.ts"
import * as NatsCluster from "./NatsCluster.ts"
import * as Nodes from "./Nodes.ts"
import * as Stages from "./Stages.ts"
import * as World from "./World.ts"

export interface Options {
  readonly seed: number
  readonly agents: number
  /** So many of them in processes of their own. */
  readonly own: number
  readonly pauseMillis: number
  readonly stages: ReadonlyArray<keyof typeof Stages.all>
  readonly bounds: World.Bounds
  /** Bounds of the parts, where they are not the defaults. */
  readonly env: { readonly node: Readonly<Record<string, string>>; readonly agent: Readonly<Record<string, string>> }
  /** Hears of each stage when it is over. */
  readonly onStage?: ((stage: Figures.Stage) => void) | undefined
}

export interface Account {
  readonly stages: ReadonlyArray<Figures.Stage>
  readonly violations: ReadonlyArray<string>
  readonly counts: ReadonlyArray<readonly [what: string, count: number | string]>
}

export const schema = "fleet"

const nodeCount = 3

/** Of these chats, each has a model beside it. */
const talkingShare = 0.1

/** One run, from an empty machine to an empty machine. */
export const run = Effect.fnUntraced(function*(options: Options) {
  const ledger = new Ledger()
  const pids: Array<number> = []
  const folders: Array<string> = []
  const found = yield* Effect.scoped(Effect.gen(function*() {
    const root = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(Path.join(tmpdir(), "cw-fleet-"))),
      (root) => Effect.sync(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }))
    )
    const { directory, url } = yield* PostgresServer.make()
    folders.push(root, directory)
    return yield* Effect.provide(inside({ options, ledger, pids, root, url }), stores(url))
  }))
  for (const left of Leftovers.find({ pids, folders, sockets: [] })) ledger.violate(left)
  return { ...found, violations: ledger.violations } satisfies Account
})

const stores = (url: Redacted.Redacted<string>) =>
  SqlStore.layer({ schema }).pipe(
    Layer.provideMerge(Migrations.layerMigrations({ schema })),
    Layer.provideMerge(PgClient.layer({ url, maxConnections: 4 }))
  )

const inside = Effect.fnUntraced(function*({ ledger, options, pids, root, url }: {
  readonly options: Options
  readonly ledger: Ledger
  readonly pids: Array<number>
  readonly root: string
  readonly url: Redacted.Redacted<string>
}) {
  const nats = yield* NatsCluster.start
  const templates = Path.join(root, "templates")
  mkdirSync(templates)
  const nodes = yield* Nodes.make({
    count: nodeCount,
    url,
    env: { ...options.env.node, NATS_URL: nats.map(({ port }) => `127.0.0.1:${port}`).join(",") },
    program: { schema, owner: h.owner, templates, workspaces: Path.join(root, "unused") }
  })
  const { agents: count, own } = options
  const { children, hosts, workspaces } = yield* Agents.make({
    count,
    own,
    port: nodes.port,
    root,
    env: options.env.agent
  })
  const chance = Chance.make(options.seed, "fleet")
  const load = Load.make({
    nodes,
    workspaces,
    talking: Math.ceil(count * talkingShare),
    ledger,
    chance,
    pauseMillis: options.pauseMillis
  })
  const world: World.World = { nodes, nats, workspaces, load, ledger, chance, bounds: options.bounds }
  yield* bind(workspaces)
  yield* World.whole(world)
  const beganAt = Date.now()
  const idle = idleShare()
  const delays = monitorEventLoopDelay()
  delays.enable()
  yield* load.start

  const stages: Array<Figures.Stage> = []
  for (const name of options.stages) {
    const stage = yield* Stages.all[name](world)
    stages.push(stage)
    options.onStage?.(stage)
    for (const problem of Figures.broken(stage)) ledger.violate(problem)
  }

  yield* load.stop
  const millis = Date.now() - beganAt
  delays.disable()
  yield* atRest(world)
  ledger.judge(workspaces)
  for (const { child } of nodes.all) {
    if (!(yield* child.stop(options.bounds.deploy))) ledger.violate(`${child.name} did not end when it was asked to`)
  }
  for (const child of children) {
    if (!(yield* child.stop(options.bounds.deploy))) ledger.violate(`${child.name} did not end when it was asked to`)
  }
  const executions = ledger.judge(workspaces)
  for (const child of [...children, ...nodes.all.map(({ child }) => child)]) pids.push(...child.pids)
  return {
    stages,
    counts: [
      ["agents in processes of their own", own],
      [`agents in ${hosts} processes that are shared`, count - own],
      ["operations asked for", ledger.operations.length],
      ["executions noted in the workspaces", executions],
      ["calls a second", (load.samples.length / millis * 1000).toFixed(1)],
      ["% of the machine that was idle", idle()],
      ["ms, p99: how late this process was itself", Math.round(delays.percentile(99) / 1e6)],
      ...Array.from(load.turns, ([what, count]) => [`turns: ${what}`, count] as const)
    ] satisfies Account["counts"]
  }
})

/** How much of the machine's time nobody took, in percent, from now until it is asked. */
const idleShare = (): () => number => {
  const sum = () =>
    cpus().reduce(({ all, idle }, { times }) => ({
      idle: idle + times.idle,
      all: all + times.user + times.nice + times.sys + times.irq + times.idle
    }), { idle: 0, all: 0 })
  const before = sum()
  return () => {
    const after = sum()
    return Math.round((after.idle - before.idle) / (after.all - before.all) * 100)
  }
}

/** Each workspace has a chat that calls, and some have one that talks. */
const bind = Effect.fnUntraced(function*(workspaces: ReadonlyArray<Agents.Workspace>) {
  const { bindWorkspace } = yield* ChatBindings.ChatBindings
  yield* Effect.forEach(
    workspaces.flatMap((workspace) =>
      [Load.chatOf, Load.talkOf].map((chatOf) => ({ workspace, chatId: chatOf(workspace) }))
    ),
    ({ chatId, workspace }) => bindWorkspace({ chatId, owner: h.owner, workspaceId: workspace.workspaceId }),
    { concurrency: 8, discard: true }
  )
})

/** Nobody calls any more: nothing may be under way on any node. */
const atRest = ({ ledger, nodes }: World.World): Effect.Effect<void> => {
  let last = ""
  const look: Effect.Effect<void> = Effect.forEach(nodes.all, ({ ask }) => ask((id) => ({ _tag: "Rest", id }))).pipe(
    Effect.flatMap((answers) => {
      const all = answers.map((answer) => answer._tag === "Died" ? "dead" : JSON.stringify(answer.result))
      last = all.join(" and ")
      return all.every((one) => one === still) ? Effect.void : Effect.delay(look, "200 millis")
    })
  )
  return Effect.timeoutOrElse(look, {
    duration: "20 seconds",
    orElse: () => Effect.sync(() => ledger.violate(`nobody calls, and there is still ${last}`))
  })
}

const still = JSON.stringify({ turns: 0, calls: 0, waiters: 0 })

export const render = ({ counts, stages, violations }: Account): string =>
  [
    "      n    p50    p99    max  milliseconds",
    ...stages.flatMap(Figures.render),
    "",
    "In all",
    ...counts.map(([what, count]) => `  ${String(count).padStart(6)}  ${what}`),
    "",
    violations.length === 0
      ? "Nothing ran twice, nothing acknowledged was lost, nothing ran that was refused, and no bound was broken."
      : `${violations.length} found:`,
    ...violations.map((violation) => `  ${violation}`)
  ].join("\n")
