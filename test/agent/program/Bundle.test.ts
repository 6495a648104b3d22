/**
 * The program as it is shipped: one file, in a folder without anything else, in a process of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Fiber, Redacted, Stream } from "effect"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { bundle, sizeLimit } from "../../../scripts/bundle-agent.ts"
import * as TestAgent from "./TestAgent.ts"
import * as TestGateway from "./TestGateway.ts"

const place = Fs.mkdtempSync(Path.join(tmpdir(), "cw-bundle-"))
const file = Path.join(place, "agent.mjs")
let size = 0

beforeAll(async () => {
  Fs.chmodSync(place, 0o755)
  size = await bundle(file)
})

afterAll(() => Fs.rmSync(place, { recursive: true, force: true }))

const secret = Redacted.value(TestGateway.token)

const make = Effect.fnUntraced(function*() {
  const gateway = yield* TestGateway.make
  const directory = yield* TestAgent.folder
  const stateDirectory = yield* TestAgent.folder
  const env = {
    CW_AGENT_URL: gateway.url,
    CW_AGENT_TOKEN: secret,
    CW_AGENT_DIR: directory,
    CW_AGENT_STATE_DIR: stateDirectory,
    CW_AGENT_BACKOFF_BASE: "20 millis",
    CW_AGENT_KILL_AFTER: "300 millis"
  }
  return { gateway, directory, stateDirectory, env }
})

const sh = (script: string, id = TestAgent.id()) => ({ id, argv: ["sh", "-c", script] as const, cwd: null, env: {} })

const memory = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

const numbers = Effect.fnUntraced(function*(path: string, count: number) {
  const read = () => Fs.existsSync(path) ? Fs.readFileSync(path, "utf8").trim().split("\n") : []
  yield* TestAgent.eventually(`${count} lines in ${path}`, () => read().length >= count)
  return read().map(Number)
})

describe("the bundled program", () => {
  it.live("is one small file, modest when idle, and says how soon it is ready", () =>
    Effect.gen(function*() {
      const { env, gateway } = yield* make()
      assert.isAtMost(size, sizeLimit)
      assert.deepStrictEqual(Fs.readdirSync(place), ["agent.mjs"])
      const begun = performance.now()
      const agent = yield* TestAgent.spawned({ file, env })
      const { client } = yield* gateway.next
      const ready = performance.now() - begun
      yield* client.Stat({ path: "." })
      const resident = memory(agent.pid)
      assert.isAtMost(resident, 80)
      // A time is a figure for whoever asks, and not a bound: the machine may be busy.
      console.log(
        `bundle ${Math.round(size / 1000)} kB, hello after ${Math.round(ready)} ms, ` +
          `${resident.toFixed(1)} MB resident, Node ${process.version}`
      )
    }))

  it.live("ends on SIGTERM: leaves the gateway, ends its processes, exits with 0", () =>
    Effect.gen(function*() {
      const { directory, env, gateway, stateDirectory } = yield* make()
      const agent = yield* TestAgent.spawned({ file, env })
      const session = yield* gateway.next
      yield* session.client.Start(sh("echo $$ >> pids; sleep 60"))
      yield* session.client.Start(sh("trap '' TERM; echo $$ >> pids; while :; do sleep 60; done"))
      const pids = yield* numbers(Path.join(directory, "pids"), 2)
      agent.child.kill("SIGTERM")
      assert.strictEqual(yield* agent.exited, 0)
      assert.strictEqual(yield* session.closed, 1_000)
      yield* TestAgent.eventually("they are gone", () => !pids.some(TestAgent.isAlive))
      assert.deepStrictEqual(Fs.readdirSync(stateDirectory), ["state.json"])
    }))

  it.live("killed during a silent command, its next incarnation ends what is left and answers for the id", () =>
    Effect.gen(function*() {
      const { directory, env, gateway } = yield* make()
      const first = yield* TestAgent.spawned({ file, env })
      const before = yield* gateway.next
      const silent = sh("echo $$ >> pids; (echo in >> pids2; exec sleep 60) & exec sleep 60")
      const left = sh("(exec sleep 60 >/dev/null 2>&1) & echo $! >> pids")
      yield* before.client.Start(silent)
      yield* before.client.Start(left)
      const pids = yield* numbers(Path.join(directory, "pids"), 2)
      yield* Stream.runDrain(before.client.Follow({ id: left.id, from: 0, wait: true }))
      const follower = yield* Effect.forkChild(
        Effect.exit(Stream.runDrain(before.client.Follow({ id: silent.id, from: 0, wait: true }))),
        { startImmediately: true }
      )
      first.child.kill("SIGKILL")
      yield* first.exited
      yield* Fiber.join(follower)
      assert.deepStrictEqual(pids.map(TestAgent.isAlive), [true, true])
      yield* TestAgent.spawned({ file, env })
      const after = yield* gateway.next
      assert.notStrictEqual(after.hello.incarnation, before.hello.incarnation)
      yield* TestAgent.eventually("they are gone", () => !pids.some(TestAgent.isAlive))
      assert.deepStrictEqual(yield* after.client.Outcome({ id: silent.id }), { _tag: "AgentRestarted" })
      const again = yield* Effect.flip(after.client.Start(silent))
      assert.strictEqual(again._tag === "OperationRefused" ? again.reason : again._tag, "agentRestarted")
    }))

  it.live("frozen for longer than the bound, it does not run what was sent meanwhile", () =>
    Effect.gen(function*() {
      const { directory, env, gateway } = yield* make()
      const agent = yield* TestAgent.spawned({ file, env: { ...env, CW_AGENT_STALE_FRAME: "1 seconds" } })
      const frozen = Effect.fnUntraced(function*(name: string, duration: Duration.Input) {
        const session = yield* gateway.next
        agent.child.kill("SIGSTOP")
        const call = yield* Effect.forkChild(Effect.exit(session.client.Start(sh(`echo ran > ${name}; exit`))), {
          startImmediately: true
        })
        // Time passes only outside of what is frozen.
        yield* Effect.sleep(duration)
        agent.child.kill("SIGCONT")
        return { session, call }
      })
      const long = yield* frozen("long", "1500 millis")
      assert.notStrictEqual(yield* long.session.closed, 0)
      assert.strictEqual((yield* Fiber.join(long.call))._tag, "Failure")
      const short = yield* frozen("short", "300 millis")
      assert.strictEqual((yield* Fiber.join(short.call))._tag, "Success")
      yield* TestAgent.eventually("the second ran", () => Fs.existsSync(Path.join(directory, "short")))
      assert.isFalse(Fs.existsSync(Path.join(directory, "long")))
      assert.strictEqual(gateway.attempts(), 2)
    }))

  it.live("keeps its token and variables from its children and from its log", () =>
    Effect.gen(function*() {
      const { env, gateway } = yield* make()
      const agent = yield* TestAgent.spawned({ file, env: { ...env, OTHER: "kept" } })
      const session = yield* gateway.next
      const start = sh("env; cat /proc/self/environ; printf '\\n%s\\n' \"of the agent:\"; cat /proc/$PPID/environ")
      yield* session.client.Start(start)
      const { stdout } = yield* TestAgent.collected(session.client.Follow({ id: start.id, from: 0, wait: true }))
      const [own, agents] = stdout.toString().split("of the agent:")
      assert.include(own, "OTHER=kept")
      assert.notInclude(own, "CW_AGENT")
      assert.include(agents, `CW_AGENT_URL=${gateway.url}`)
      assert.include(agents, "OTHER=kept")
      assert.notInclude(stdout.toString(), secret)
      assert.notInclude(stdout.toString(), secret.split(".")[2] ?? "")
      yield* session.cut
      yield* gateway.next
      agent.child.kill("SIGTERM")
      yield* agent.exited
      assert.include(agent.stderr(), "The link to the gateway ended")
      assert.notInclude(agent.stderr(), secret)
      assert.notInclude(agent.stderr(), secret.split(".")[2] ?? "")
    }))

  it.live("given its token by a file, shows the path of the file and nothing of the token", () =>
    Effect.gen(function*() {
      const { env: { CW_AGENT_TOKEN: content, ...env }, gateway, stateDirectory } = yield* make()
      const token = Path.join(stateDirectory, "token")
      Fs.writeFileSync(token, content, { mode: 0o600 })
      yield* TestAgent.spawned({ file, env: { ...env, CW_AGENT_TOKEN_FILE: token } })
      const { client } = yield* gateway.next
      const start = sh("env; cat /proc/$PPID/environ /proc/$PPID/cmdline")
      yield* client.Start(start)
      const { stdout } = yield* TestAgent.collected(client.Follow({ id: start.id, from: 0, wait: true }))
      assert.include(stdout.toString(), `CW_AGENT_TOKEN_FILE=${token}`)
      assert.notInclude(stdout.toString(), secret.split(".")[2] ?? "")
    }))

  it.live("runs as another user than root, in a folder that it cannot write to", () =>
    Effect.gen(function*() {
      const { env, gateway, stateDirectory } = yield* make()
      const uid = process.getuid?.() === 0 ? 65_534 : undefined
      if (uid !== undefined) Fs.chownSync(stateDirectory, uid, uid)
      yield* TestAgent.spawned({ file, uid, env: { ...env, CW_AGENT_DIR: "/", HOME: "/" } })
      const { client } = yield* gateway.next
      const start = sh("id -u")
      yield* client.Start(start)
      const { stdout } = yield* TestAgent.collected(client.Follow({ id: start.id, from: 0, wait: true }))
      assert.strictEqual(stdout.toString(), `${uid ?? process.getuid?.()}\n`)
    }))

  it.live("says in one line what is wrong, and exits with 2", () =>
    Effect.gen(function*() {
      const { env, gateway, stateDirectory } = yield* make()
      const token = Path.join(stateDirectory, "token")
      Fs.writeFileSync(token, secret, { mode: 0o644 })
      const refused = Effect.fnUntraced(function*(changed: Record<string, string>) {
        const agent = yield* TestAgent.spawned({ file, env: { ...env, ...changed } })
        assert.strictEqual(yield* agent.exited, 2)
        assert.strictEqual(agent.stderr().trimEnd().split("\n").length, 1)
        assert.notInclude(agent.stderr(), secret)
        return agent.stderr()
      })
      assert.match(yield* refused({ CW_AGENT_URL: "" }), /^chat-workspace agent: CW_AGENT_URL is missing/)
      assert.match(yield* refused({ CW_AGENT_TOKEN: "wrong" }), /CW_AGENT_TOKEN holds no agent token/)
      assert.match(yield* refused({ CW_AGENT_TOKEN_FILE: token }), /can be read by others \(mode 0644\)/)
      assert.match(yield* refused({ CW_AGENT_READ_SILENCE: "soon" }), /CW_AGENT_READ_SILENCE/)
      assert.match(yield* refused({ CW_AGENT_STATE_DIR: "/proc/no" }), /CW_AGENT_STATE_DIR cannot be used/)
      assert.strictEqual(gateway.attempts(), 0)
      yield* TestAgent.spawned({ file, env })
      yield* gateway.next
      assert.match(yield* refused({}), /CW_AGENT_STATE_DIR is in use by another agent/)
    }))

  it.live("runs from its sources too", () =>
    Effect.gen(function*() {
      const { env, gateway } = yield* make()
      const agent = yield* TestAgent.spawned({ file: TestAgent.source, env })
      const { client } = yield* gateway.next
      yield* client.Stat({ path: "." })
      agent.child.kill("SIGINT")
      assert.strictEqual(yield* agent.exited, 0)
    }))
})
