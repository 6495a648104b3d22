/** A NATS server for a run, which counts what goes through it. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn, spawnSync } from "node:child_process"

const binary = process.env["NATS_SERVER"] ?? "nats-server"

/** The version that would be run; none where there is no server. */
export const version = (): string | undefined => {
  const { status, stdout } = spawnSync(binary, ["--version"], { encoding: "utf8" })
  return status === 0 ? stdout.trim() : undefined
}

export interface Counts {
  readonly messages: number
  readonly bytes: number
  readonly subscriptions: number
}

export interface Server {
  readonly port: number
  /** What came in since it started, and the subscriptions that there are now. */
  readonly counts: Effect.Effect<Counts>
}

/** Ended with the scope. */
export const start: Effect.Effect<Server, never, Scope.Scope> = Effect.gen(function*() {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(binary, ["-a", "127.0.0.1", "-p", "-1", "-m", "-1"], { stdio: ["ignore", "ignore", "pipe"] })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const [port, monitor] = yield* Effect.callback<readonly [number, number]>((resume) => {
    let log = ""
    child.stderr.on("data", (data: Buffer) => {
      log += data.toString()
      const clients = /Listening for client connections on [^:]+:(\d+)/.exec(log)?.[1]
      const monitor = /http monitor on [^:]+:(\d+)/.exec(log)?.[1]
      if (clients !== undefined && monitor !== undefined) resume(Effect.succeed([Number(clients), Number(monitor)]))
    })
  })
  return {
    port,
    counts: Effect.promise(async () => {
      const answer = await fetch(`http://127.0.0.1:${monitor}/varz`)
      const { in_bytes, in_msgs, subscriptions }: {
        readonly in_bytes: number
        readonly in_msgs: number
        readonly subscriptions: number
      } = JSON.parse(await answer.text())
      return { messages: in_msgs, bytes: in_bytes, subscriptions }
    })
  }
})
