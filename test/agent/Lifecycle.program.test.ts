/** The scripts of a workspace, run by the real program and recorded by a real gateway. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Logger, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Protocol } from "../../src/agent/index.ts"
import type { AgentConnection } from "../../src/agent/index.ts"
import type { AgentId, OperationId } from "../../src/domain/Ids.ts"
import { AgentPresence, MemoryStore } from "../../src/store/index.ts"
import * as h from "./support/harness.ts"

const live = (name: string, test: () => Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(name, () => test().pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])), 40_000)
}

/** What the store holds of an agent, and a wait for it. */
const recorded = Effect.fnUntraced(function*(agentId: AgentId) {
  const store = yield* MemoryStore.MemoryStore
  const present = () => store.agents.get(agentId)?.agent.lifecycle
  return { present, becomes: (lifecycle: string) => h.until(() => present() === lifecycle, "15 seconds") }
})

/** A gateway, and the program with these scripts. */
const make = Effect.fnUntraced(function*(scripts: { readonly startup?: string; readonly shutdown?: string }, env = {}) {
  const server = yield* h.start()
  const enrolled = yield* h.enroll()
  const lifecycle = yield* recorded(enrolled.agentId)
  const program = yield* h.startProgram(server.port, enrolled.token, {
    ...(scripts.startup === undefined ? {} : { CW_AGENT_STARTUP_SCRIPT: scripts.startup }),
    ...(scripts.shutdown === undefined ? {} : { CW_AGENT_SHUTDOWN_SCRIPT: scripts.shutdown }),
    ...env
  })
  const dial = Effect.timeout(server.transport.dial(enrolled.agentId), "15 seconds")
  return { ...server, ...enrolled, program, lifecycle, dial, at: (name: string) => Path.join(program.directory, name) }
})

const sh = (script: string) => ({ id: h.operation(), argv: ["sh", "-c", script] as const })

const text = ({ processes }: AgentConnection.AgentConnection, id: OperationId) =>
  Effect.map(processes.output(id), ({ pieces }) => h.decodeText(pieces))

const gated = "echo begun; until [ -e go ]; do sleep 0.05; done; echo done"

describe("a start-up script", () => {
  live(
    "is told from its start to its end, while calls are served and its output can be read",
    () =>
      Effect.gen(function*() {
        const { at, dial, lifecycle, program } = yield* make({ startup: `${gated}; pwd; env` })
        const connection = yield* dial
        yield* lifecycle.becomes("starting")
        assert.strictEqual((yield* connection.processes.run(sh("true"))).code, 0)
        const conflict = yield* Effect.flip(
          connection.processes.start({ id: Protocol.scriptIds.startup, argv: ["true"] })
        )
        assert.strictEqual(conflict._tag === "OperationRefused" ? conflict.reason : conflict._tag, "conflict")
        assert.strictEqual((yield* connection.processes.list)[0]?.id, Protocol.scriptIds.startup)
        Fs.writeFileSync(at("go"), "")
        yield* lifecycle.becomes("ready")
        const output = yield* text(connection, Protocol.scriptIds.startup)
        assert.isTrue(output.startsWith(`begun\ndone\n${Fs.realpathSync(program.directory)}\n`), output)
        assert.include(output, "PATH=")
        assert.notInclude(output, "CW_AGENT")
      })
  )

  live("that fails, or is ended by a call, is an error; the agent serves on", () =>
    Effect.gen(function*() {
      const failed = yield* make({ startup: "echo why; exit 3" })
      yield* failed.lifecycle.becomes("start_error")
      const connection = yield* failed.dial
      assert.strictEqual(yield* text(connection, Protocol.scriptIds.startup), "why\n")
      assert.strictEqual((yield* connection.processes.run(sh("true"))).code, 0)

      const ended = yield* make({ startup: "sleep 60" })
      const { processes } = yield* ended.dial
      yield* ended.lifecycle.becomes("starting")
      yield* processes.signal(Protocol.scriptIds.startup, "SIGKILL")
      yield* ended.lifecycle.becomes("start_error")
    }))

  live("over its limit runs on", () =>
    Effect.gen(function*() {
      const { at, dial, lifecycle } = yield* make({ startup: gated }, { CW_AGENT_STARTUP_TIMEOUT: "300 millis" })
      const connection = yield* dial
      yield* lifecycle.becomes("start_timeout")
      Fs.writeFileSync(at("go"), "")
      const { startup } = Protocol.scriptIds
      assert.strictEqual((yield* connection.processes.run({ id: startup, argv: ["sh", "-c", gated] })).code, 0)
      assert.strictEqual(lifecycle.present(), "start_timeout")
    }))

  live(
    "runs again in the next incarnation, also where the one before was killed during it",
    () =>
      Effect.gen(function*() {
        const { at, dial, lifecycle, program } = yield* make({ startup: `echo run >> runs; ${gated}` })
        yield* dial
        yield* lifecycle.becomes("starting")
        yield* h.until(() => Fs.existsSync(at("runs")))
        yield* program.kill("SIGKILL")
        yield* program.exited
        assert.strictEqual(lifecycle.present(), "starting")
        Fs.writeFileSync(at("go"), "")
        yield* program.restart
        yield* lifecycle.becomes("ready")
        assert.strictEqual(Fs.readFileSync(at("runs"), "utf8"), "run\nrun\n")
        assert.strictEqual(yield* text(yield* dial, Protocol.scriptIds.startup), "begun\ndone\n")
      })
  )
})

describe("the end of the program", () => {
  live(
    "on SIGTERM: the shutdown script runs while calls are served, the last word is recorded, then the link is left",
    () =>
      Effect.gen(function*() {
        const { at, dial, lifecycle, program } = yield* make({ shutdown: gated })
        const connection = yield* dial
        yield* lifecycle.becomes("ready")
        yield* program.kill("SIGTERM")
        yield* lifecycle.becomes("shutting_down")
        assert.strictEqual((yield* connection.processes.run(sh("true"))).code, 0)
        Fs.writeFileSync(at("go"), "")
        assert.strictEqual(yield* program.exited, 0)
        yield* lifecycle.becomes("off")
      })
  )

  live("a shutdown script that fails or takes too long is an error", () =>
    Effect.gen(function*() {
      for (const shutdown of ["exit 1", "trap '' TERM; echo $$ > pid; while :; do sleep 60; done"]) {
        const { at, dial, lifecycle, program } = yield* make({ shutdown }, {
          CW_AGENT_SHUTDOWN_TIMEOUT: "500 millis",
          CW_AGENT_KILL_AFTER: "200 millis"
        })
        yield* dial
        yield* lifecycle.becomes("ready")
        yield* program.kill("SIGTERM")
        assert.strictEqual(yield* program.exited, 0)
        yield* lifecycle.becomes("shutdown_error")
        if (Fs.existsSync(at("pid"))) {
          const pid = Number(Fs.readFileSync(at("pid"), "utf8"))
          yield* h.until(() => !Fs.existsSync(`/proc/${pid}`))
        }
      }
    }))

  live("without a gateway that listens takes no longer", () =>
    Effect.gen(function*() {
      const { gateway, lifecycle, program } = yield* make({})
      yield* lifecycle.becomes("ready")
      yield* gateway.drain("50 millis")
      const [taken] = yield* Effect.timed(Effect.andThen(program.kill("SIGTERM"), program.exited))
      assert.isBelow(Duration.toMillis(taken), 5000)
      assert.strictEqual(lifecycle.present(), "ready")
    }))
})

/** The store of the test, whose records of lifecycles take so long. */
const slowed = Effect.fnUntraced(function*(state: { asked: number; delay: Duration.Duration }) {
  const inner = yield* AgentPresence.AgentPresence
  return AgentPresence.AgentPresence.of({
    ...inner,
    report: (options) =>
      Effect.suspend(() => {
        state.asked++
        return Effect.delay(inner.report(options), state.delay)
      })
  })
})

describe("a store that cannot record lifecycles", () => {
  live("in time is told the last word after the end of the session", () =>
    Effect.gen(function*() {
      const presence = yield* slowed({ asked: 0, delay: Duration.millis(300) })
      const { port } = yield* h.start().pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
      const { agentId, token } = yield* h.enroll()
      const lifecycle = yield* recorded(agentId)
      const program = yield* h.startProgram(port, token, { CW_AGENT_STARTUP_SCRIPT: "exit 1" })
      yield* lifecycle.becomes("start_error")
      yield* program.kill("SIGTERM")
      assert.strictEqual(yield* program.exited, 0)
      yield* lifecycle.becomes("off")
    }))

  live(
    "holds up neither the session nor its calls, and hears the last word when it is back",
    () =>
      Effect.gen(function*() {
        const state = { asked: 0, delay: Duration.infinity }
        const presence = yield* slowed(state)
        const { port, transport } = yield* h.start({ lifecycleRetry: "100 millis" }).pipe(
          Effect.provideService(AgentPresence.AgentPresence, presence)
        )
        const { agentId, token } = yield* h.enroll()
        const lifecycle = yield* recorded(agentId)
        const program = yield* h.startProgram(port, token, { CW_AGENT_STARTUP_SCRIPT: gated })
        const connection = yield* Effect.timeout(transport.dial(agentId), "15 seconds")
        yield* h.until(() => state.asked > 0)
        assert.strictEqual((yield* connection.processes.run(sh("true"))).code, 0)
        Fs.writeFileSync(Path.join(program.directory, "go"), "")
        // The attempt that hangs ends by its bound, and another follows.
        const asked = state.asked
        yield* h.until(() => state.asked > asked, "10 seconds")
        assert.strictEqual(connection.liveness(), "live")
        state.delay = Duration.zero
        yield* lifecycle.becomes("ready")
        assert.strictEqual(transport.describe?.(agentId).session?.epoch, 1)
      })
  )
})

describe("an agent of before", () => {
  live("is recorded as ready, in every session, and is asked nothing", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { port } = yield* h.start().pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
      const { agentId, token } = yield* h.enroll()
      const first = yield* h.connect(port, token)
      yield* h.until(() => control.reported.length === 1)
      const second = yield* h.connect(port, token)
      yield* first.agent.closed
      yield* h.until(() => control.reported.length === 2)
      assert.deepStrictEqual(control.reported, [1, 2].map((epoch) => ({ agentId, epoch, lifecycle: "ready" })))
      assert.deepStrictEqual(second.agent.requests.map(({ tag }) => tag), ["Hello"])
    }))
})
