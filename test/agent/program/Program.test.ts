import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Stream } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { ProgramConfig } from "../../../src/agent/program/ProgramConfig.ts"
import { type AgentBusy, CloseCode } from "../../../src/agent/Protocol.ts"
import * as TestAgent from "./TestAgent.ts"
import * as TestGateway from "./TestGateway.ts"

const quick: Partial<ProgramConfig> = {
  backoffBase: Duration.millis(20),
  backoffCap: Duration.millis(100),
  killAfter: Duration.millis(300)
}

const make = Effect.fnUntraced(function*(config: Partial<ProgramConfig> = {}) {
  const gateway = yield* TestGateway.make
  const agent = yield* TestAgent.program(gateway.url, { ...quick, ...config })
  return { ...agent, gateway, session: yield* gateway.next }
})

const sh = (script: string, id = TestAgent.id()) => ({ id, argv: ["sh", "-c", script] as const, cwd: null, env: {} })

const busy = (limit: number): Partial<AgentBusy> => ({ _tag: "AgentBusy", limit: `${limit} calls in flight` })

const failure = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.map(
    Effect.flip(effect),
    (error): unknown =>
      typeof error === "object" && error !== null && "_tag" in error && "limit" in error
        ? { _tag: error._tag, limit: error.limit }
        : error
  )

describe("Program", () => {
  it.live("says hello, runs a command and gives its output", () =>
    Effect.gen(function*() {
      const { session: { client, headers, hello, protocol } } = yield* make()
      assert.strictEqual(protocol, "chat-workspace.v1")
      assert.match(headers.authorization ?? "", /^Bearer cwa1\./)
      assert.deepStrictEqual([hello.protocol, hello.version], ["chat-workspace", 1])
      assert.deepStrictEqual(hello.features, ["run", "processes", "files", "directories", "mcp", "lifecycle"])
      assert.match(hello.program, /^chat-workspace-agent\/\d+\.\d+\.\d+ node\/\d+/)
      const start = sh("echo out; echo err >&2; exit 3")
      yield* client.Start(start)
      const output = yield* TestAgent.collected(client.Follow({ id: start.id, from: 0, wait: true }))
      assert.strictEqual(output.stdout.toString(), "out\n")
      assert.strictEqual(output.stderr.toString(), "err\n")
      assert.deepStrictEqual(output.last, { _tag: "Exited", end: 8, code: 3, signal: null })
      assert.deepStrictEqual((yield* client.Processes()).map(({ id }) => id), [start.id])
    }))

  it.live("serves files over the link", () =>
    Effect.gen(function*() {
      const { directory, session: { client } } = yield* make()
      const id = TestAgent.id()
      const content = Buffer.alloc(600_000, "0123456789abcdef\n")
      for (let offset = 0; offset < content.length; offset += 200_000) {
        yield* client.Put({ id, offset, bytes: content.subarray(offset, offset + 200_000) })
      }
      const version = yield* client.Write({ id, path: "file", size: content.length, expect: "absent" })
      const parts = yield* Stream.runCollect(client.Read({ path: "file", offset: 0, limit: 10_000_000 }))
      assert.deepStrictEqual(parts[0], { _tag: "Head", size: content.length, version })
      assert.isTrue(Buffer.concat(parts.flatMap((part) => part._tag === "Part" ? [part.bytes] : [])).equals(content))
      yield* client.Edit({
        id: TestAgent.id(),
        files: [{ path: "file", expect: version, edits: [{ find: "0123", replace: "", all: true }] }]
      })
      const stat = yield* client.Stat({ path: "file" })
      assert.strictEqual(stat.size, Fs.statSync(Path.join(directory, "file")).size)
      assert.deepStrictEqual((yield* client.List({ path: "." })).entries, [stat])
      const missing = yield* Effect.flip(client.Stat({ path: "missing" }))
      assert.strictEqual(missing._tag === "FileError" ? missing.reason : missing._tag, "notFound")
    }))

  it.live("keeps every frame within its limit, whatever the output looks like", () =>
    Effect.gen(function*() {
      const { gateway, session: { client } } = yield* make()
      // Bytes that alternate between the streams: as many pieces as there can be.
      const script = "for (let i = 0; i < 3000; i++) { process.stdout.write('\\0'); process.stderr.write('\\0') }" +
        "process.stdout.write(Buffer.alloc(900000))"
      const id = TestAgent.id()
      yield* client.Start({ id, argv: [process.execPath, "-e", script], cwd: null, env: {} })
      const output = yield* TestAgent.collected(client.Follow({ id, from: 0, wait: true }))
      assert.strictEqual(output.stdout.length + output.stderr.length, 906_000)
      assert.strictEqual(gateway.attempts(), 1)
    }))

  it.live("has so many calls in flight, and still says what is there and ends it", () =>
    Effect.gen(function*() {
      const { session: { client } } = yield* make({ callsInFlight: 3 })
      const start = sh("sleep 60")
      yield* client.Start(start)
      const follow = Stream.runDrain(client.Follow({ id: start.id, from: 0, wait: true }))
      const followers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(follow, { startImmediately: true }))
      assert.deepStrictEqual(yield* failure(client.Stat({ path: "." })), busy(3))
      assert.deepStrictEqual(yield* failure(client.Start(sh("true"))), busy(3))
      assert.deepStrictEqual(yield* failure(follow), busy(3))
      assert.strictEqual((yield* client.Outcome({ id: start.id }))._tag, "Process")
      assert.strictEqual((yield* client.Processes()).length, 1)
      assert.strictEqual((yield* client.Signal({ id: start.id, signal: "SIGUSR1" }))._tag, "Running")
      yield* client.Kill({ id: start.id })
      for (const follower of followers) yield* Fiber.join(follower)
      yield* client.Stat({ path: "." })
    }))

  it.live("counts a call no more when its caller left, and does not end what it did", () =>
    Effect.gen(function*() {
      const { directory, session: { client } } = yield* make({ callsInFlight: 1 })
      const start = sh("sleep 0.2; echo done > done")
      yield* client.Start(start)
      const follow = Stream.runDrain(client.Follow({ id: start.id, from: 0, wait: true }))
      const follower = yield* Effect.forkChild(follow, { startImmediately: true })
      assert.deepStrictEqual(yield* failure(client.Stat({ path: "." })), busy(1))
      yield* Fiber.interrupt(follower)
      yield* follow
      assert.strictEqual(Fs.readFileSync(Path.join(directory, "done"), "utf8"), "done\n")
    }))

  it.live("fails one call for a defect, and goes on", () =>
    Effect.gen(function*() {
      const { gateway, session: { client, send } } = yield* make()
      yield* send("{\"_tag\":\"Request\",\"id\":\"900\",\"tag\":\"NoSuchCall\",\"payload\":{},\"headers\":[]}\n")
      yield* send("{\"_tag\":\"Request\",\"id\":\"901\",\"tag\":\"Stat\",\"payload\":{\"path\":7},\"headers\":[]}\n")
      yield* client.Stat({ path: "." })
      assert.strictEqual(gateway.attempts(), 1)
    }))

  it.live("survives garbage and frames that are too large", () =>
    Effect.gen(function*() {
      const { gateway, session } = yield* make()
      yield* session.send("garbage\n")
      yield* session.send("x".repeat(1024 * 1024 + 1))
      const next = yield* gateway.next
      yield* next.client.Stat({ path: "." })
      assert.strictEqual(next.hello.incarnation, session.hello.incarnation)
    }))

  it.live("comes back after a lost link as the same incarnation; commands run on and are taken up where they were", () =>
    Effect.gen(function*() {
      const { directory, gateway, session } = yield* make()
      const start = sh("echo run >> runs; for i in 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.05; done; exit 7")
      yield* session.client.Start(start)
      let bytes = Buffer.alloc(0)
      const events: Array<string> = []
      let current = session
      while (!events.includes("Exited")) {
        const follow = current.client.Follow({ id: start.id, from: bytes.length, wait: true }).pipe(
          Stream.tap((event) =>
            Effect.sync(() => {
              events.push(event._tag)
              if (event._tag === "Data") bytes = Buffer.concat([bytes, event.bytes])
            })
          ),
          Stream.takeUntil(() => events.length % 2 === 0),
          Stream.runDrain
        )
        yield* Effect.exit(follow)
        if (events.includes("Exited")) break
        yield* current.cut
        current = yield* gateway.next
        assert.strictEqual(current.hello.incarnation, session.hello.incarnation)
        yield* current.client.Start(start)
      }
      assert.isAbove(gateway.attempts(), 2)
      assert.strictEqual(bytes.toString(), [1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => `line ${i}\n`).join(""))
      assert.strictEqual(Fs.readFileSync(Path.join(directory, "runs"), "utf8"), "run\n")
      assert.deepStrictEqual(yield* current.client.Outcome({ id: start.id }), {
        _tag: "Process",
        state: { _tag: "Exited", end: 63, code: 7, signal: null }
      })
    }))

  it.live("finishes a write whose link was lost, and answers it again", () =>
    Effect.gen(function*() {
      const { directory, gateway, session } = yield* make()
      const id = TestAgent.id()
      yield* session.client.Put({ id, offset: 0, bytes: Buffer.from("content") })
      const write = { id, path: "a", size: 7, expect: null }
      const call = yield* Effect.forkChild(Effect.exit(session.client.Write(write)), { startImmediately: true })
      yield* session.cut
      yield* Fiber.join(call)
      const next = yield* gateway.next
      const outcome = yield* next.client.Outcome({ id })
      // The frame may have been lost with the link; then it is sent again, with its content.
      if (outcome._tag === "Unknown") yield* next.client.Put({ id, offset: 0, bytes: Buffer.from("content") })
      const version = yield* next.client.Write(write)
      assert.strictEqual(Fs.readFileSync(Path.join(directory, "a"), "utf8"), "content")
      assert.deepStrictEqual(yield* next.client.Outcome({ id }), { _tag: "Files", versions: [version] })
    }))

  it.live("stays away after it was displaced", () =>
    Effect.gen(function*() {
      const { gateway, session } = yield* make({ displacedPause: Duration.millis(500) })
      yield* session.close(CloseCode.displaced)
      yield* session.closed
      const begun = performance.now()
      yield* gateway.next
      assert.isAtLeast(performance.now() - begun, 490)
      assert.strictEqual(gateway.attempts(), 2)
    }))

  it.live("keeps asking a gateway that does not let it in, at its slowest pace", () =>
    Effect.gen(function*() {
      const gateway = yield* TestGateway.make
      gateway.refuse({ status: 401 })
      yield* TestAgent.program(gateway.url, { ...quick, backoffCap: Duration.millis(200) })
      const begun = performance.now()
      yield* TestAgent.eventually("three attempts", () => gateway.attempts() >= 3)
      assert.isAtLeast(performance.now() - begun, 390)
      gateway.refuse(undefined)
      yield* gateway.next
    }))

  it.live("leaves a gateway that takes it and then says nothing", () =>
    Effect.gen(function*() {
      const gateway = yield* TestGateway.make
      gateway.greet = false
      // Its pings come every 300 ms, so it is quiet for longer than that is silent.
      yield* TestAgent.program(gateway.url, { ...quick, readSilence: Duration.millis(150) })
      yield* TestAgent.eventually("another attempt", () => gateway.attempts() >= 2)
    }))

  it.live("moves without a lost call: both links are served until the old one is idle", () =>
    Effect.gen(function*() {
      const { gateway, session } = yield* make()
      const start = sh("for i in 1 2 3 4 5 6; do echo line $i; sleep 0.1; done")
      yield* session.client.Start(start)
      const follower = yield* Effect.forkChild(
        TestAgent.collected(session.client.Follow({ id: start.id, from: 0, wait: true })),
        { startImmediately: true }
      )
      yield* session.client.Move({ withinMillis: 50 })
      const next = yield* gateway.next
      assert.strictEqual(next.hello.incarnation, session.hello.incarnation)
      // The old link still takes calls, beside the new one.
      yield* Effect.all(
        Array.from({ length: 50 }, (_, index) => (index % 2 === 0 ? session : next).client.Stat({ path: "." })),
        { concurrency: 10 }
      )
      const output = yield* Fiber.join(follower)
      assert.strictEqual(output.stdout.length, 42)
      assert.strictEqual(output.last?._tag, "Exited")
      assert.strictEqual(yield* session.closed, 1_000)
      yield* next.client.Stat({ path: "." })
      assert.strictEqual(gateway.attempts(), 2)
    }))

  it.live("moves at once where only its lifecycle is followed, which goes on over the next link", () =>
    Effect.gen(function*() {
      const { gateway, session } = yield* make({ moveDrain: Duration.minutes(1) })
      const follow = ({ client }: TestGateway.Session) =>
        Stream.runForEach(client.Lifecycle(), ({ lifecycle }) => Effect.sync(() => heard.push(lifecycle))).pipe(
          Effect.exit,
          Effect.forkChild({ startImmediately: true })
        )
      const heard: Array<string> = []
      yield* follow(session)
      yield* TestAgent.eventually("it is heard", () => heard.length === 1)
      yield* session.client.Move({ withinMillis: 50 })
      const next = yield* gateway.next
      yield* follow(next)
      assert.strictEqual(yield* Effect.timeout(session.closed, "15 seconds"), 1_000)
      yield* TestAgent.eventually("it is heard again", () => heard.length === 2)
      assert.deepStrictEqual(heard, ["ready", "ready"])
    }))

  it.live("a call given up by its caller is told apart from one that failed", () =>
    Effect.gen(function*() {
      const { session: { client } } = yield* make()
      const start = sh("sleep 60")
      yield* client.Start(start)
      const exit = yield* Effect.exit(
        Effect.timeout(Stream.runDrain(client.Follow({ id: start.id, from: 0, wait: true })), "50 millis")
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.hasFails(exit.cause))
      assert.strictEqual((yield* client.Outcome({ id: start.id }))._tag, "Process")
    }))
})
