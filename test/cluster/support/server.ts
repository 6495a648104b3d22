/** A NATS server of the test's own, that can be stopped, frozen, and started again at its port. */
import type { NatsConnection } from "@nats-io/transport-node"
import { connect } from "@nats-io/transport-node"
import { Effect, type Scope } from "effect"
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"

export const binary = process.env["NATS_SERVER"] ?? "nats-server"

/** Whether there is a server to run; said plainly where there is none. */
export const hasServer = spawnSync(binary, ["--version"]).status === 0

if (!hasServer) console.warn(`No ${binary} was found: the tests between nodes over NATS are skipped.`)

const listening = /Listening for client connections on [^:]+:(\d+)/

export interface Options {
  readonly user: string
  readonly password: string
}

const launch = (
  port: number,
  options?: Options
): Effect.Effect<{ readonly child: ChildProcess; readonly port: number }> =>
  Effect.callback((resume) => {
    const credentials = options === undefined ? [] : ["--user", options.user, "--pass", options.password]
    const child = spawn(binary, ["-a", "127.0.0.1", "-p", String(port), ...credentials], {
      stdio: ["ignore", "ignore", "pipe"]
    })
    let log = ""
    child.stderr.on("data", (data: Buffer) => {
      log += String(data)
      const found = listening.exec(log)?.[1]
      if (found !== undefined) resume(Effect.succeed({ child, port: Number(found) }))
    })
    child.once("exit", () => resume(Effect.die(new Error(`nats-server ended: ${log}`))))
  })

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

/** Ended with the scope. */
export const start = Effect.fnUntraced(function*(options?: Options) {
  let { child, port } = yield* launch(-1, options)
  yield* Effect.addFinalizer(() => Effect.suspend(() => ended(child)))
  return {
    port,
    signal: (name: NodeJS.Signals) => Effect.sync(() => child.kill(name)),
    stop: Effect.suspend(() => ended(child)),
    restart: Effect.suspend(() => launch(port, options)).pipe(
      Effect.map((again) => {
        child = again.child
      })
    )
  }
})

/** A connection that comes back by itself, closed with the scope. */
export const link = (port: number): Effect.Effect<NatsConnection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() =>
      connect({
        servers: `127.0.0.1:${port}`,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 50,
        reconnectJitter: 20,
        pingInterval: 2000,
        maxPingOut: 2
      })
    ),
    (connection) => Effect.promise(() => connection.close())
  )
