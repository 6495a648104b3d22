/** Three NATS servers that are one cluster on loopback; each can be killed, and started again at its ports. */
import { Effect, Schema, type Scope } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"

/** As for the tests of the cluster. */
const binary = process.env["NATS_SERVER"] ?? "nats-server"

interface Ports {
  readonly client: number
  readonly cluster: number
  readonly monitor: number
}

export interface Server {
  readonly name: string
  readonly port: number
  readonly kill: Effect.Effect<void>
  readonly start: Effect.Effect<void>
  /** How many clients it has, and how many routes to others. */
  readonly counts: Effect.Effect<{ readonly connections: number; readonly routes: number }>
}

const said = {
  monitor: /Starting http monitor on [^:]+:(\d+)/,
  client: /Listening for client connections on [^:]+:(\d+)/,
  cluster: /Listening for route connections on [^:]+:(\d+)/
} as const

const ready = /Server is ready/

const anyFree: Ports = { client: -1, cluster: -1, monitor: -1 }

const launch = (
  name: string,
  at: Ports,
  seed: number | undefined
): Effect.Effect<{ readonly child: ChildProcess; readonly ports: Ports }> =>
  Effect.callback((resume) => {
    const client = ["-a", "127.0.0.1", "-p", String(at.client), "-m", String(at.monitor), "-n", name]
    const cluster = ["--cluster_name", "fleet", "--cluster", `nats://127.0.0.1:${at.cluster}`, "--no_advertise"]
    const routes = seed === undefined ? [] : ["--routes", `nats://127.0.0.1:${seed}`]
    const child = spawn(binary, [...client, ...cluster, ...routes], { stdio: ["ignore", "ignore", "pipe"] })
    let log = ""
    const port = (what: keyof typeof said): number => Number(said[what].exec(log)?.[1])
    child.stderr.on("data", (data: Buffer) => {
      log = `${log}${String(data)}`.slice(-20_000)
      if (!ready.test(log) || !said.cluster.test(log)) return
      resume(
        Effect.succeed({ child, ports: { client: port("client"), cluster: port("cluster"), monitor: port("monitor") } })
      )
    })
    child.once("exit", () => resume(Effect.die(new Error(`nats-server ended: ${log}`))))
  })

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

const make = Effect.fnUntraced(function*(name: string, seed: number | undefined) {
  let { child, ports } = yield* launch(name, anyFree, seed)
  yield* Effect.addFinalizer(() => Effect.suspend(() => ended(child)))
  const server: Server = {
    name,
    port: ports.client,
    kill: Effect.suspend(() => ended(child)),
    start: Effect.suspend(() => launch(name, ports, seed)).pipe(
      Effect.map((again) => {
        child = again.child
      })
    ),
    counts: Effect.promise(() =>
      fetch(`http://127.0.0.1:${ports.monitor}/varz`).then((answer) => answer.json()).catch(() => undefined)
    ).pipe(Effect.map((answer) => isCounts(answer) ? answer : { connections: 0, routes: 0 }))
  }
  return { server, ports }
})

const isCounts = Schema.is(Schema.Struct({ connections: Schema.Int, routes: Schema.Int }))

/** All three know each other; ended with the scope. */
export const start: Effect.Effect<ReadonlyArray<Server>, never, Scope.Scope> = Effect.gen(function*() {
  const first = yield* make("nats 1", undefined)
  const others = yield* Effect.forEach(["nats 2", "nats 3"], (name) => make(name, first.ports.cluster))
  const servers = [first.server, ...others.map(({ server }) => server)]
  yield* whole(servers)
  return servers
})

/** Waits until each has a route to each other one. */
export const whole = (servers: ReadonlyArray<Server>): Effect.Effect<void> =>
  Effect.forEach(servers, ({ counts }) => counts).pipe(
    Effect.flatMap((all) =>
      all.every(({ routes }) => routes >= servers.length - 1) ? Effect.void : Effect.delay(whole(servers), "100 millis")
    )
  )
