/** Backends that are killed or frozen: real processes over one PostgreSQL, and the real agent program. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Redacted, Schema, type Scope } from "effect"
import { spawn } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { statusAt } from "../../src/domain/AgentStatus.ts"
import type { AgentId, OperationId } from "../../src/domain/Ids.ts"
import { type AgentEnrollments, WorkspaceAgents } from "../../src/store/index.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import { emptyDatabase, TestDatabase } from "../postgres.ts"
import { RunAnswer } from "./support/backend.ts"
import * as h from "./support/harness.ts"
import { cuttable } from "./support/proxy.ts"

const program = new URL("./support/backend.ts", import.meta.url).pathname

const decodeAnswer = Schema.decodeUnknownSync(RunAnswer)

/** Starts a backend, on a port of one that is gone where it is given. */
const backend = Effect.fnUntraced(function*(port = 0) {
  const { url } = yield* TestDatabase
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [program, Redacted.value(url), schema, String(port)], {
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let errors = ""
  child.stderr.on("data", (data: Buffer) => (errors += String(data)))
  const listening = yield* Effect.callback<number>((resume) => {
    child.stdout.on("data", (data: Buffer) => resume(Effect.succeed(Number(/ready (\d+)/.exec(String(data))?.[1]))))
    child.on("exit", () => resume(Effect.die(new Error(errors))))
  }).pipe(Effect.timeout("20 seconds"))
  const at = `http://127.0.0.1:${listening}`
  return {
    port: listening,
    signal: (name: NodeJS.Signals) => Effect.sync(() => child.kill(name)),
    exited: Effect.callback<void>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.on("exit", () => resume(Effect.void))
    }),
    presence: (agentId: AgentId) => Effect.promise(() => fetch(`${at}/presence/${agentId}`).then((_) => _.text())),
    run: (agentId: AgentId, id: OperationId, script: string, timeout: Duration.Input = "15 seconds") =>
      Effect.tryPromise(() =>
        fetch(`${at}/run`, {
          method: "POST",
          body: JSON.stringify({ agentId, id, script, timeoutMillis: Duration.toMillis(timeout) })
        }).then((response) => response.json()).then(decodeAnswer)
      )
  }
})

const schema = "backends"

const stores = SqlStore.layer({ schema }).pipe(Layer.provideMerge(Migrations.layerMigrations({ schema })))

const lineCount = (path: string): number => existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })("a backend that dies or freezes", (it) => {
  const test = (
    name: string,
    body: Effect.Effect<
      void,
      unknown,
      TestDatabase | AgentEnrollments.AgentEnrollments | WorkspaceAgents.WorkspaceAgents | Scope.Scope
    >
  ): void => it.effect(name, () => Effect.provide(body, stores), 60_000)

  test(
    "killed during a command and started again: the same operation id gets the outcome, and it ran once",
    Effect.gen(function*() {
      const first = yield* backend()
      const { agentId, token } = yield* h.enroll()
      const agent = yield* h.startProgram(first.port, token)
      const runs = Path.join(agent.directory, "runs")
      const id = h.operation()
      const script = `echo run >> ${runs}; echo begun; sleep 1; echo done; exit 7`
      const call = yield* Effect.forkChild(Effect.exit(first.run(agentId, id, script)))
      yield* h.until(() => lineCount(runs) === 1, "15 seconds")
      yield* first.signal("SIGKILL")
      yield* first.exited
      assert.strictEqual((yield* Fiber.join(call))._tag, "Failure")
      const second = yield* backend(first.port)
      const answer = yield* second.run(agentId, id, script)
      assert.deepStrictEqual(answer, { _tag: "Ran", code: 7, text: "begun\ndone\n" })
      // Long after its end too.
      assert.deepStrictEqual(yield* second.run(agentId, id, script), answer)
      assert.strictEqual(lineCount(runs), 1)
    })
  )

  test(
    "frozen while its agent moved to another node: thawed, it changes nothing, and the agent's row stays connected",
    Effect.gen(function*() {
      const agents = yield* WorkspaceAgents.WorkspaceAgents
      const [frozen, other] = yield* Effect.all([backend(), backend()], { concurrency: 2 })
      const { agentId, token } = yield* h.enroll()
      const proxy = yield* cuttable(frozen.port)
      yield* h.startProgram(proxy.port, token)
      assert.strictEqual((yield* frozen.run(agentId, h.operation(), "echo here"))._tag, "Ran")
      const status = Effect.map(agents.agent(agentId), (row) => {
        const { agent, asOf } = Option.getOrThrow(row)
        return { ...statusAt(agent, asOf, Duration.seconds(30)), disconnectedAt: agent.disconnectedAt }
      })
      yield* frozen.signal("SIGSTOP")
      yield* proxy.redirect(other.port)
      yield* proxy.cut(true)
      assert.strictEqual((yield* other.run(agentId, h.operation(), "echo there"))._tag, "Ran")
      yield* Effect.sleep("1 second")
      yield* frozen.signal("SIGCONT")
      // It finds its link gone, would record that, and beats several times.
      for (let step = 0; step < 15; step++) {
        yield* Effect.sleep("100 millis")
        const { disconnectedAt, status: now } = yield* status
        assert.strictEqual(now, "connected")
        assert.strictEqual(disconnectedAt, null)
      }
      assert.notStrictEqual(yield* frozen.presence(agentId), "live")
      assert.strictEqual(yield* other.presence(agentId), "live")
      assert.deepStrictEqual(yield* other.run(agentId, h.operation(), "echo still"), {
        _tag: "Ran",
        code: 0,
        text: "still\n"
      })
    })
  )
})
