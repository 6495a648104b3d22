/** The program as it is shipped, behind a gateway, under commands that take all they can get. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Logger, Redacted, type Scope } from "effect"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { bundle } from "../../scripts/bundle-agent.ts"
import type { AgentConnection } from "../../src/agent/index.ts"
import * as ProcessFamily from "../../src/testing/ProcessFamily.ts"
import * as TestAgent from "./program/TestAgent.ts"
import * as h from "./support/harness.ts"

const place = Fs.mkdtempSync(Path.join(tmpdir(), "cw-stress-"))
const file = Path.join(place, "agent.mjs")

beforeAll(() => bundle(file))

afterAll(() => Fs.rmSync(place, { recursive: true, force: true }))

const live = (name: string, body: Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(
    name,
    () => body.pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])),
    60_000 + Duration.toMillis(yesFor)
  )
}

/** How long `yes` runs: a minute when somebody wants the figures. */
const yesFor = Duration.seconds(Number(process.env["CW_TEST_YES_SECONDS"] ?? 5))

/** The shipped program, whose children all carry a mark in their environment. */
const make = Effect.gen(function*() {
  const { port, transport } = yield* h.start()
  const { agentId, token } = yield* h.enroll()
  const mark = h.fresh("CW_STRESS")
  const agent = yield* TestAgent.spawned({
    file,
    env: {
      CW_AGENT_URL: `ws://127.0.0.1:${port}/agent`,
      CW_AGENT_TOKEN: Redacted.value(token),
      CW_AGENT_DIR: yield* TestAgent.folder,
      CW_AGENT_STATE_DIR: yield* TestAgent.folder,
      MARK: mark
    }
  })
  const connection = yield* Effect.timeout(transport.dial(agentId), "15 seconds")
  const marked = (): ReadonlyArray<number> =>
    Fs.readdirSync("/proc").map(Number).filter((pid) => pid > 0 && pid !== agent.pid && isMarked(pid, mark))
  // A test that failed must not leave a thousand processes to the next one.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const pid of marked()) ProcessFamily.send(pid, "SIGKILL")
    })
  )
  /** Ends the program as a provider does, and looks for what it left. */
  const stopped = Effect.gen(function*() {
    agent.child.kill("SIGTERM")
    assert.strictEqual(yield* agent.exited, 0)
    yield* h.until(() => marked().length === 0, "5 seconds")
  })
  return { agent, connection, marked, stopped }
})

const isMarked = (pid: number, mark: string): boolean => {
  try {
    return Fs.readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`MARK=${mark}`)
  } catch {
    return false
  }
}

const resident = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

/** Asks for a stat ten times a second until it is interrupted; the slowest, and the most memory meanwhile. */
const watched = Effect.fnUntraced(function*(connection: AgentConnection.AgentConnection, pid: number) {
  const seen = { slowest: 0, memory: 0, stats: 0 }
  const fiber = yield* Effect.sleep("100 millis").pipe(
    Effect.andThen(Effect.timed(connection.files.stat("."))),
    Effect.tap(([taken]) =>
      Effect.sync(() => {
        seen.slowest = Math.max(seen.slowest, Duration.toMillis(taken))
        seen.memory = Math.max(seen.memory, resident(pid))
        seen.stats++
      })
    ),
    Effect.forever,
    Effect.forkScoped
  )
  const check = Effect.gen(function*() {
    // A stat that failed has ended the watch; one that hangs is seen here at the latest.
    const [last] = yield* Effect.timed(connection.files.stat("."))
    assert.isUndefined(fiber.pollUnsafe(), "a stat failed")
    yield* Fiber.interrupt(fiber)
    const slowest = Math.max(seen.slowest, Duration.toMillis(last))
    const memory = Math.max(seen.memory, resident(pid))
    console.log(`${seen.stats} stats, slowest ${slowest.toFixed(0)} ms, ${memory.toFixed(0)} MB at most`)
    assert.isBelow(slowest, 1000)
    assert.isBelow(memory, 200)
  })
  return { check }
})

const sh = (script: string) => ({ id: h.operation(), argv: ["sh", "-c", script] as const })

describe("an agent with", () => {
  live(
    "`yes`, which nobody reads and somebody follows: bounded memory, and it answers at once",
    Effect.gen(function*() {
      const { agent, connection, stopped } = yield* make
      const { processes } = connection
      const unread = sh("yes")
      yield* processes.start(unread)
      const { check } = yield* watched(connection, agent.pid)
      const followed = yield* Effect.forkScoped(processes.run(sh("yes fast"), { timeout: "1 hour" }))
      yield* Effect.sleep(yesFor)
      yield* check
      const { pieces, state } = yield* processes.output(unread.id)
      assert.strictEqual(state._tag, "Running")
      assert.isAbove(state.end, 10_000_000)
      assert.isTrue(pieces.some(({ _tag }) => _tag === "Gap"))
      yield* Fiber.interrupt(followed)
      yield* stopped
    })
  )

  live(
    "1,000 sleeps in the background of one command: it answers at once, and none is left after it",
    Effect.gen(function*() {
      const { agent, connection, marked, stopped } = yield* make
      const { check } = yield* watched(connection, agent.pid)
      const result = yield* connection.processes.run(
        sh("i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done; echo started")
      )
      assert.strictEqual(h.decodeText(result.output.pieces), "started\n")
      yield* h.until(() => marked().length === 1000, "10 seconds")
      yield* check
      yield* stopped
    })
  )

  live(
    "1,000 starts at once: as many run as may, the others are refused as busy, none is left after it",
    Effect.gen(function*() {
      const { agent, connection, marked, stopped } = yield* make
      const { check } = yield* watched(connection, agent.pid)
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 1000 }),
        () =>
          Effect.match(connection.processes.start(sh("exec sleep 600")), {
            onFailure: ({ _tag }) => _tag,
            onSuccess: ({ _tag }) => _tag
          }),
        { concurrency: 16 }
      )
      const count = (tag: string) => outcomes.filter((outcome) => outcome === tag).length
      assert.deepStrictEqual([count("Running"), count("AgentBusy")], [64, 936])
      yield* h.until(() => marked().length === 64, "10 seconds")
      yield* check
      yield* stopped
    })
  )

  live(
    "a tree of 300 nested children: ended with its group, by a call and by the end of the agent",
    Effect.gen(function*() {
      const { agent, connection, marked, stopped } = yield* make
      const { check } = yield* watched(connection, agent.pid)
      const nested = sh("d=${DEPTH:-0}; [ $d -ge 299 ] && exec sleep 600; DEPTH=$((d+1)) sh -c \"$SELF\"; exit 0")
      const tree = () => {
        const { argv, id } = { ...nested, id: h.operation() }
        return { id, argv, env: { SELF: argv[2] } }
      }
      const first = tree()
      yield* connection.processes.start(first)
      yield* h.until(() => marked().length === 300, "15 seconds")
      yield* connection.processes.signal(first.id, "SIGKILL")
      yield* h.until(() => marked().length === 0, "5 seconds")
      yield* connection.processes.start(tree())
      yield* h.until(() => marked().length === 300, "15 seconds")
      yield* check
      yield* stopped
    })
  )
})

describe("a command", () => {
  live(
    "whose output splits a character over two chunks arrives with every byte",
    Effect.gen(function*() {
      const { connection } = yield* make
      const script = "printf 'a\\342\\202'; sleep 0.3; printf '\\254b'; sleep 0.3; printf '\\377\\000\\360\\237'"
      const command = sh(script)
      const pieces: Array<Uint8Array> = []
      const { output } = yield* connection.processes.run(command)
      for (const piece of output.pieces) if (piece._tag === "Data") pieces.push(piece.bytes)
      const expected = Buffer.from([0x61, 0xe2, 0x82, 0xac, 0x62, 0xff, 0x00, 0xf0, 0x9f])
      assert.deepStrictEqual(Buffer.concat(pieces), expected)
      assert.isAbove(pieces.length, 1)
      const kept = yield* connection.processes.output(command.id)
      const bytes = kept.pieces.flatMap((piece) => piece._tag === "Data" ? [piece.bytes] : [])
      assert.deepStrictEqual(Buffer.concat(bytes), expected)
    })
  )

  live(
    "that reads its input finds the end of it, and does not hang",
    Effect.gen(function*() {
      const { connection } = yield* make
      const run = (script: string) => Effect.timeout(connection.processes.run(sh(script)), "10 seconds")
      assert.strictEqual((yield* run("cat; wc -c")).code, 0)
      assert.strictEqual((yield* run("read answer")).code, 1)
      assert.strictEqual(h.decodeText((yield* run("sh; sort; echo end")).output.pieces), "end\n")
    })
  )
})
