/** Servers and nodes that die or stand still: real processes, real sockets, and the real agent program. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Redacted, Schedule, type Scope } from "effect"
import { spawn } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import type { AgentEnrollments, AgentPresence } from "../../src/store/index.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import * as h from "../agent/support/harness.ts"
import { cuttable } from "../agent/support/proxy.ts"
import { emptyDatabase, TestDatabase } from "../postgres.ts"
import * as nodes from "./support/nodes.ts"
import * as server from "./support/server.ts"

const schema = "cluster"

const stores = SqlStore.layer({ schema }).pipe(Layer.provideMerge(Migrations.layerMigrations({ schema })))

const program = new URL("./support/backend.ts", import.meta.url).pathname

/** A node in a process of its own. */
const backend = Effect.fnUntraced(function*(natsPort: number) {
  const { url } = yield* TestDatabase
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [program, Redacted.value(url), schema, String(natsPort)], {
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let errors = ""
  child.stderr.on("data", (data: Buffer) => (errors += String(data)))
  const port = yield* Effect.callback<number>((resume) => {
    child.stdout.on("data", (data: Buffer) => resume(Effect.succeed(Number(/ready (\d+)/.exec(String(data))?.[1]))))
    child.on("exit", () => resume(Effect.die(new Error(errors))))
  }).pipe(Effect.timeout("20 seconds"))
  return { port, signal: (name: NodeJS.Signals) => Effect.sync(() => child.kill(name)) }
})

const lineCount = (path: string): number => existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0

const within = "15 seconds"

const spaced = Schedule.spaced("50 millis")

describe.skipIf(!server.hasServer)("over a NATS server", () => {
  layer(Layer.merge(emptyDatabase(), Logger.layer([])), { excludeTestServices: true, timeout: "60 seconds" })((it) => {
    const test = (
      name: string,
      body: Effect.Effect<
        void,
        unknown,
        TestDatabase | AgentEnrollments.AgentEnrollments | AgentPresence.AgentPresence | Scope.Scope
      >
    ): void => it.effect(name, () => Effect.scoped(Effect.provide(body, stores)), 60_000)

    /** Calls are made from `here`; the agent can be led to either. */
    const scene = Effect.gen(function*() {
      const nats = yield* server.start()
      const here = yield* nodes.start(nats.port)
      const enrolled = yield* h.enroll()
      const dial = Effect.timeout(here.transport.dial(enrolled.agentId), within)
      const echo = Effect.gen(function*() {
        const { processes } = yield* dial
        const { output } = yield* processes.run({ id: h.operation(), argv: ["echo", "here"] })
        return h.decodeText(output.pieces)
      }).pipe(Effect.scoped)
      return { nats, here, ...enrolled, dial, echo }
    })

    for (const [name, down, up] of [["stopped", "stop", "restart"], ["frozen", "SIGSTOP", "SIGCONT"]] as const) {
      test(
        `${name} and back: agents of a node work on, dials of others fail typed, and all comes back by itself`,
        Effect.gen(function*() {
          const { dial, echo, here, nats, token } = yield* scene
          const there = yield* nodes.start(nats.port)
          yield* h.startProgram(there.port, token)
          const own = yield* h.enroll()
          yield* h.startProgram(here.port, own.token)
          const remote = yield* dial
          const local = yield* Effect.timeout(here.transport.dial(own.agentId), within)
          assert.strictEqual(yield* echo, "here\n")
          const act = (what: "stop" | "restart" | "SIGSTOP" | "SIGCONT") =>
            what === "stop" || what === "restart" ? nats[what] : nats.signal(what)
          yield* act(down)
          assert.strictEqual(yield* Effect.timeout(remote.closed, within), "lost")
          const error = yield* Effect.flip(Effect.scoped(dial))
          assert.strictEqual(error._tag === "DialFailed" ? error.reason : error._tag, "refused")
          assert.strictEqual((yield* local.files.stat(".")).type, "directory")
          yield* act(up)
          yield* Effect.retry(echo, { while: ({ _tag }) => _tag === "DialFailed", schedule: spaced }).pipe(
            Effect.timeout(within)
          )
        })
      )
    }

    test(
      "the node of an agent is killed during a command: the same call gets the outcome elsewhere, and it ran once",
      Effect.gen(function*() {
        const { dial, here, nats, token } = yield* scene
        const holder = yield* backend(nats.port)
        const proxy = yield* cuttable(holder.port)
        const agent = yield* h.startProgram(proxy.port, token)
        const connection = yield* dial
        const runs = Path.join(agent.directory, "runs")
        const script = `echo run >> ${runs}; sleep 1; echo done; exit 7`
        const call = yield* Effect.forkChild(
          connection.processes.run({ id: h.operation(), argv: ["sh", "-c", script] })
        )
        yield* h.until(() => lineCount(runs) === 1, within)
        yield* proxy.redirect(here.port)
        yield* holder.signal("SIGKILL")
        const { code, output } = yield* Effect.timeout(Fiber.join(call), within)
        assert.strictEqual(code, 7)
        assert.strictEqual(h.decodeText(output.pieces), "done\n")
        assert.strictEqual(lineCount(runs), 1)
        assert.strictEqual(connection.liveness(), "closed")
      })
    )

    test(
      "the node of an agent is drained during a command: the agent moves, the call goes on and ends, and it ran once",
      Effect.gen(function*() {
        const { dial, here, nats, token } = yield* scene
        const leaving = yield* nodes.start(nats.port)
        const proxy = yield* cuttable(leaving.port)
        const agent = yield* h.startProgram(proxy.port, token)
        const { processes } = yield* dial
        const runs = Path.join(agent.directory, "runs")
        const script = `echo run >> ${runs}; sleep 1; echo done; exit 7`
        const call = yield* Effect.forkChild(processes.run({ id: h.operation(), argv: ["sh", "-c", script] }))
        yield* h.until(() => lineCount(runs) === 1, within)
        yield* proxy.redirect(here.port)
        yield* leaving.gateway.drain("2 seconds")
        const { code } = yield* Effect.timeout(Fiber.join(call), within)
        assert.strictEqual(code, 7)
        assert.strictEqual(lineCount(runs), 1)
        assert.strictEqual(here.gateway.unready().length, 0)
      })
    )

    test(
      "the node of an agent stands still: what was given up meanwhile does not run when it goes on",
      Effect.gen(function*() {
        const { dial, echo, nats, token } = yield* scene
        const holder = yield* backend(nats.port)
        const agent = yield* h.startProgram(holder.port, token)
        const connection = yield* dial
        assert.strictEqual(yield* echo, "here\n")
        yield* holder.signal("SIGSTOP")
        const runs = Path.join(agent.directory, "runs")
        const error = yield* Effect.flip(
          connection.processes.run({ id: h.operation(), argv: ["sh", "-c", `echo run >> ${runs}`] }, {
            timeout: "4 seconds"
          })
        )
        assert.strictEqual(error._tag, "CallTimedOut")
        yield* holder.signal("SIGCONT")
        assert.strictEqual(yield* echo, "here\n")
        assert.strictEqual(lineCount(runs), 0)
      })
    )
  })
})
