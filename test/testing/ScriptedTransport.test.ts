import { assert, describe, it } from "@effect/vitest"
import { type Context, Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { AgentConnection, Command } from "../../src/agent/AgentConnection.ts"
import { AgentTransport } from "../../src/agent/AgentTransport.ts"
import { AgentBusy, CommandNotFound } from "../../src/domain/Errors.ts"
import { AgentId, OperationId } from "../../src/domain/Ids.ts"
import * as ScriptedMcp from "../../src/testing/ScriptedMcp.ts"
import * as ScriptedTransport from "../../src/testing/ScriptedTransport.ts"

const a = AgentId.make("a")
const b = AgentId.make("b")

const command = (id: string, ...args: ReadonlyArray<string>): Command => ({
  id: OperationId.make(id),
  argv: ["say", ...args]
})

type Services = ScriptedTransport.ScriptedTransport | AgentTransport | Scope.Scope

const test = (
  name: string,
  body: (
    script: ScriptedTransport.ScriptedTransport["Service"],
    transport: Context.Service.Shape<typeof AgentTransport>
  ) => Effect.Effect<void, unknown, Services>
) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      const script = yield* ScriptedTransport.ScriptedTransport
      const transport = yield* AgentTransport
      yield* body(script, transport)
    }).pipe(Effect.scoped, Effect.provide(ScriptedTransport.layer)))

/** A dial in a fiber and a scope of its own. */
const dialing = (agentId: AgentId) =>
  Effect.gen(function*() {
    const transport = yield* AgentTransport
    const scope = yield* Scope.make()
    const fiber = yield* Effect.forkChild(Scope.provide(transport.dial(agentId), scope), { startImmediately: true })
    return { fiber, scope }
  })

const connected = (agentId: AgentId) => Effect.flatMap(AgentTransport, (transport) => transport.dial(agentId))

const failure = Effect.flip

describe("dials", () => {
  test("an agent that was never scripted is not there: its dial waits, and is interrupted at once", (script) =>
    Effect.gen(function*() {
      const { fiber } = yield* dialing(a)
      yield* TestClock.adjust("1 day")
      assert.isUndefined(fiber.pollUnsafe())
      assert.deepInclude(script.counts(a), { dials: 1, pending: 1, opened: 0 })
      yield* Fiber.interrupt(fiber)
      assert.deepInclude(script.counts(a), { dials: 1, pending: 0, opened: 0 })
    }))

  test("accept connects at once, and wakes the dials that wait", (script) =>
    Effect.gen(function*() {
      const waiting = yield* dialing(a)
      yield* script.accept(a)
      const connection = yield* Fiber.join(waiting.fiber)
      assert.strictEqual(connection.agentId, a)
      assert.strictEqual((yield* connected(a)).agentId, a)
      assert.deepStrictEqual(script.counts(a), { dials: 2, pending: 0, opened: 2, open: 2, releases: 0 })
      yield* Scope.close(waiting.scope, Exit.void)
      assert.deepStrictEqual(script.counts(a), { dials: 2, pending: 0, opened: 2, open: 1, releases: 1 })
    }))

  test("accept after a while connects then, not a millisecond before", (script) =>
    Effect.gen(function*() {
      yield* script.accept(a, { after: "2 seconds" })
      const { fiber } = yield* dialing(a)
      yield* TestClock.adjust(1_999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
    }))

  test(
    "refuse fails the dials to come and those that wait, with the reason",
    (script, transport) =>
      Effect.gen(function*() {
        const waiting = yield* dialing(a)
        yield* script.refuse(a, { reason: "overloaded" })
        assert.deepInclude(yield* failure(Fiber.join(waiting.fiber)), {
          _tag: "DialFailed",
          reason: "overloaded",
          agentId: a
        })
        yield* script.refuse(a, { after: "5 millis" })
        const { fiber } = yield* dialing(a)
        yield* TestClock.adjust(4)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* failure(Fiber.join(fiber))).reason, "refused")
        yield* script.refuse(a)
        assert.strictEqual((yield* failure(Effect.scoped(transport.dial(a)))).reason, "refused")
        assert.deepInclude(script.counts(a), { dials: 3, opened: 0, pending: 0 })
      })
  )

  test("stall holding opens something first and releases it after the interruption", (script) =>
    Effect.gen(function*() {
      yield* script.stall(a, { holding: true })
      const { fiber, scope } = yield* dialing(a)
      assert.deepInclude(script.counts(a), { pending: 1, open: 1 })
      yield* Fiber.interrupt(fiber)
      assert.deepInclude(script.counts(a), { pending: 0, open: 1 })
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(script.counts(a), { open: 0, releases: 1 })
    }))

  for (const outcome of ["succeed", "fail"] as const) {
    test(`a dial that ignores its cancellation ends when it likes: ${outcome}`, (script) =>
      Effect.gen(function*() {
        yield* script.ignoreCancellation(a, { after: "1 minute", outcome })
        const { fiber, scope } = yield* dialing(a)
        fiber.interruptUnsafe()
        yield* TestClock.adjust("59 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 second")
        const opened = outcome === "succeed" ? 1 : 0
        yield* Fiber.await(fiber)
        assert.deepStrictEqual(script.counts(a), { dials: 1, pending: 0, opened, open: opened, releases: 0 })
        yield* Scope.close(scope, Exit.void)
        assert.deepInclude(script.counts(a), { open: 0, releases: opened })
      }))
  }

  test("a dial whose acquire cannot be interrupted waits for the script that ends it", (script) =>
    Effect.gen(function*() {
      yield* script.acquireUninterruptibly(a)
      const { fiber, scope } = yield* dialing(a)
      fiber.interruptUnsafe()
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())
      yield* script.accept(a)
      yield* Fiber.await(fiber)
      assert.deepInclude(script.counts(a), { pending: 0, open: 1 })
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(script.counts(a), { open: 0, releases: 1 })
    }))

  test("agents do not disturb each other, and are counted together", (script) =>
    Effect.gen(function*() {
      yield* script.accept(a)
      yield* dialing(b)
      yield* connected(a)
      assert.deepStrictEqual(script.counts(), { dials: 2, pending: 1, opened: 1, open: 1, releases: 0 })
    }))

  test("one can wait for the next dial", (script) =>
    Effect.gen(function*() {
      const second = yield* Effect.forkChild(script.untilDialed(a, 2), { startImmediately: true })
      yield* dialing(a)
      assert.isUndefined(second.pollUnsafe())
      yield* dialing(a)
      yield* Fiber.join(second)
      yield* script.untilDialed(a, 1)
    }))

  test("presence is what is said, and unknown before", (script, transport) =>
    Effect.gen(function*() {
      assert.strictEqual(transport.presence(a), "unknown")
      yield* script.presence(a, "absent")
      assert.deepStrictEqual([transport.presence(a), transport.presence(b)], ["absent", "unknown"])
    }))
})

describe("sessions", () => {
  const closing = [
    ["drop", "lost"],
    ["replace", "replaced"]
  ] as const

  for (const [verb, reason] of closing) {
    test(`${verb} closes the open connections and leaves the agent to the next dial`, (script) =>
      Effect.gen(function*() {
        yield* script.accept(a)
        const connection = yield* connected(a)
        const closed = yield* Effect.forkChild(connection.closed, { startImmediately: true })
        assert.strictEqual(connection.liveness(), "live")
        yield* script[verb](a)
        assert.strictEqual(connection.liveness(), "closed")
        assert.strictEqual(yield* Fiber.join(closed), reason)
        assert.strictEqual(script.counts(a).open, 1)
        assert.strictEqual((yield* connected(a)).liveness(), "live")
      }))
  }

  test("liveness is what is said, until the connection closes", (script) =>
    Effect.gen(function*() {
      yield* script.accept(a)
      const connection = yield* connected(a)
      yield* script.liveness(a, "unknown")
      assert.strictEqual(connection.liveness(), "unknown")
      yield* script.drop(a)
      assert.strictEqual(connection.liveness(), "closed")
    }))

  test("a released connection is closed", (script) =>
    Effect.gen(function*() {
      yield* script.accept(a)
      const connection = yield* Effect.scoped(connected(a))
      assert.strictEqual(connection.liveness(), "closed")
      assert.strictEqual(yield* connection.closed, "shutdown")
    }))
})

describe("commands", () => {
  const opened = (script: ScriptedTransport.ScriptedTransport["Service"]) =>
    Effect.andThen(script.accept(a), connected(a))

  const text = (pieces: ReadonlyArray<{ readonly _tag: string; readonly bytes?: Uint8Array }>) =>
    pieces.map(({ bytes }) => new TextDecoder().decode(bytes)).join("")

  test("come to what the handler says; nothing and code 0 before there is one", (script) =>
    Effect.gen(function*() {
      const { processes } = yield* opened(script)
      assert.deepInclude(yield* processes.run(command("1")), { code: 0, signal: null })
      yield* script.onExecute(({ argv }) => Effect.succeed({ stdout: argv.join(" "), stderr: "!", code: 3 }))
      const { code, output } = yield* processes.run(command("2", "x"))
      assert.strictEqual(code, 3)
      assert.deepStrictEqual(output.state, { _tag: "Exited", end: 6, code: 3, signal: null })
      assert.strictEqual(text(output.pieces), "say x!")
    }))

  test("an agent's own handler goes before that of all", (script) =>
    Effect.gen(function*() {
      const { processes } = yield* opened(script)
      yield* script.onExecute(() => Effect.succeed({ code: 1 }))
      assert.strictEqual((yield* processes.run(command("1"))).code, 1)
      yield* script.onExecute(() => Effect.succeed({ code: 2 }), a)
      assert.strictEqual((yield* processes.run(command("2"))).code, 2)
    }))

  test("run once by their id, whoever asks again", (script) =>
    Effect.gen(function*() {
      let runs = 0
      yield* script.onExecute(() => Effect.sync(() => ({ stdout: `${++runs}` })))
      const { processes } = yield* opened(script)
      yield* processes.run(command("1"))
      assert.strictEqual(text((yield* processes.run(command("1"))).output.pieces), "1")
      assert.deepInclude(yield* failure(processes.run(command("1", "else"))), {
        _tag: "OperationRefused",
        reason: "conflict"
      })
      assert.strictEqual(runs, 1)
    }))

  test("a timeout leaves the process running, to be asked by its id, on another connection too", (script) =>
    Effect.gen(function*() {
      yield* script.onExecute(() => Effect.delay(Effect.succeed({ stdout: "late" }), "1 minute"))
      const { processes } = yield* opened(script)
      const run = yield* Effect.forkChild(failure(processes.run(command("1"), { timeout: "5 seconds" })))
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* Fiber.join(run), {
        _tag: "CallTimedOut",
        sent: "mayHaveRun",
        operationId: OperationId.make("1")
      })
      assert.deepStrictEqual((yield* processes.output(OperationId.make("1"))).state, { _tag: "Running", end: 0 })
      yield* TestClock.adjust("55 seconds")
      const other = yield* connected(a)
      assert.strictEqual(text((yield* other.processes.output(OperationId.make("1"))).pieces), "late")
      assert.strictEqual((yield* other.processes.output(OperationId.make("1"), { from: 2 })).pieces.length, 1)
    }))

  test("interrupting a run ends the process", (script) =>
    Effect.gen(function*() {
      let interrupted = false
      yield* script.onExecute(() =>
        Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (interrupted = true)))
      )
      const { processes } = yield* opened(script)
      const run = yield* Effect.forkChild(processes.run(command("1")), { startImmediately: true })
      yield* Fiber.interrupt(run)
      assert.isTrue(interrupted)
      const [info] = yield* processes.list
      assert.deepInclude(info?.state, { _tag: "Exited", code: null, signal: "SIGTERM" })
    }))

  test("run in the background, are followed to their end, listed with their age, and signalled", (script) =>
    Effect.gen(function*() {
      yield* script.onExecute(() => Effect.delay(Effect.succeed({ stdout: "done" }), "10 seconds"))
      const { processes } = yield* opened(script)
      assert.deepStrictEqual(yield* processes.start(command("1", "x")), { _tag: "Running", end: 0 })
      const following = yield* Effect.forkChild(Stream.runCollect(processes.follow(OperationId.make("1"))))
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* processes.list, [
        { id: OperationId.make("1"), argv: ["say", "x"], state: { _tag: "Running", end: 0 }, ageMillis: 4_000 }
      ])
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual((yield* Fiber.join(following)).map(({ _tag }) => _tag), ["Data", "Exited"])

      yield* processes.start(command("2"))
      const state = yield* processes.signal(OperationId.make("2"), "SIGKILL")
      assert.deepStrictEqual(state, { _tag: "Exited", end: 0, code: null, signal: "SIGKILL" })
    }))

  test("a process that was killed stays so, whatever its handler still does", (script) =>
    Effect.gen(function*() {
      yield* script.onExecute(() =>
        Effect.uninterruptible(Effect.delay(Effect.succeed({ stdout: "late" }), "1 second"))
      )
      const { processes } = yield* opened(script)
      const run = yield* Effect.forkChild(processes.run(command("1")), { startImmediately: true })
      yield* processes.signal(OperationId.make("1"), "SIGKILL")
      assert.deepInclude(yield* Fiber.join(run), { code: null, signal: "SIGKILL" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* processes.output(OperationId.make("1"))).pieces.length, 0)
    }))

  test("a signal keeps an id that is not known from ever starting", (script) =>
    Effect.gen(function*() {
      const { processes } = yield* opened(script)
      const id = OperationId.make("1")
      assert.deepInclude(yield* failure(processes.signal(id, "SIGTERM")), {
        _tag: "OperationRefused",
        reason: "unknown"
      })
      assert.deepInclude(yield* failure(processes.start(command("1"))), { _tag: "OperationRefused", reason: "killed" })
    }))

  test("a handler may refuse the command, of a run and of a start", (script) =>
    Effect.gen(function*() {
      const error = new CommandNotFound({ command: "say", detail: "no such command" })
      yield* script.onExecute(() => Effect.fail(error))
      const { processes } = yield* opened(script)
      assert.strictEqual(yield* failure(processes.run(command("1"))), error)
      assert.strictEqual(yield* failure(processes.start(command("2"))), error)
    }))

  test("a call in flight is cut with its link and may have run; a call on a closed link was not sent", (script) =>
    Effect.gen(function*() {
      yield* script.onExecute(() => Effect.never)
      const { processes } = yield* opened(script)
      const run = yield* Effect.forkChild(failure(processes.run(command("1"))), { startImmediately: true })
      yield* script.drop(a)
      const cut = { _tag: "CallInterrupted", agentId: a, operationId: OperationId.make("1") } as const
      assert.deepInclude(yield* Fiber.join(run), { ...cut, sent: "mayHaveRun" })
      assert.deepInclude(yield* failure(processes.run(command("1"))), { ...cut, sent: "notSent" })
    }))

  test("the link can be lost during the next command, which goes on", (script) =>
    Effect.gen(function*() {
      let runs = 0
      yield* script.onExecute(() => Effect.sync(() => ({ stdout: `${++runs}` })))
      const first: AgentConnection = yield* opened(script)
      yield* script.dropDuringNextCommand(a)
      assert.deepInclude(yield* failure(first.processes.run(command("1"))), {
        _tag: "CallInterrupted",
        sent: "mayHaveRun"
      })
      const second = yield* connected(a)
      assert.strictEqual(text((yield* second.processes.run(command("1"))).output.pieces), "1")
      assert.strictEqual(runs, 1)
      // Only that one command.
      assert.strictEqual(text((yield* second.processes.run(command("2"))).output.pieces), "2")
    }))

  test("a frozen agent answers nothing until it is thawed; calls end at their deadlines", (script) =>
    Effect.gen(function*() {
      const { files, processes } = yield* opened(script)
      yield* script.freeze(a)
      const calls = yield* Effect.forkChild(Effect.all([
        failure(processes.run(command("1"), { timeout: "3 seconds" })),
        failure(processes.list),
        failure(files.stat("/"))
      ], { concurrency: "unbounded" }))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* Fiber.join(calls)).map(({ _tag }) => _tag), Array(3).fill("CallTimedOut"))
      const patient = yield* Effect.forkChild(processes.list, { startImmediately: true })
      yield* script.thaw(a)
      yield* Fiber.join(patient)
    }))
})

describe("files", () => {
  const opened = (script: ScriptedTransport.ScriptedTransport["Service"]) =>
    Effect.map(Effect.andThen(script.accept(a), connected(a)), ({ files }) => files)

  const bytes = (text: string) => new TextEncoder().encode(text)

  const id = OperationId.make

  test("what a test puts there is read, in parts, and what is written can be looked at", (script) =>
    Effect.gen(function*() {
      const files = yield* opened(script)
      script.files(a).set("/w/a.txt", "hello")
      assert.deepInclude(yield* files.read("/w/a.txt", { offset: 1, limit: 3 }), {
        bytes: bytes("ell"),
        offset: 1,
        size: 5
      })
      yield* files.write({ id: id("1"), path: "/w/b.txt", bytes: bytes("new") })
      assert.strictEqual(script.files(a).get("/w/b.txt"), "new")
      assert.deepInclude(yield* failure(files.read("/nothing")), { _tag: "FileError", reason: "notFound" })
    }))

  test("a write that expects another content changes nothing", (script) =>
    Effect.gen(function*() {
      const files = yield* opened(script)
      const write = (operation: string, text: string, expect?: Parameters<typeof files.write>[0]["expect"]) =>
        files.write({ id: id(operation), path: "/f", bytes: bytes(text), expect })
      const first = yield* write("1", "one", "absent")
      yield* write("2", "two", first)
      assert.strictEqual((yield* failure(write("3", "three", first)))._tag, "FileChanged")
      assert.strictEqual((yield* failure(write("4", "four", "absent")))._tag, "FileChanged")
      assert.strictEqual(script.files(a).get("/f"), "two")
    }))

  test("writes and edits happen once by their id", (script) =>
    Effect.gen(function*() {
      const files = yield* opened(script)
      script.files(a).set("/f", "a")
      const edit = files.edit({ id: id("1"), files: [{ path: "/f", edits: [{ find: "a", replace: "aa" }] }] })
      const versions = yield* edit
      assert.deepStrictEqual(yield* edit, versions)
      assert.strictEqual(script.files(a).get("/f"), "aa")
    }))

  test("an edit of several files changes none when one does not fit", (script) =>
    Effect.gen(function*() {
      const files = yield* opened(script)
      script.files(a).set("/one", "x").set("/two", "x x")
      const edit = (operation: string, find: string, all?: boolean) =>
        files.edit({
          id: id(operation),
          files: ["/one", "/two"].map((path) => ({
            path,
            edits: [{ find, replace: "y", ...(all === undefined ? {} : { all }) }]
          }))
        })
      assert.deepInclude(yield* failure(edit("1", "x")), { reason: "manyMatches", path: "/two" })
      assert.deepInclude(yield* failure(edit("2", "z")), { reason: "noMatch", path: "/one" })
      assert.strictEqual(script.files(a).get("/one"), "x")
      yield* edit("3", "x", true)
      assert.deepStrictEqual([script.files(a).get("/one"), script.files(a).get("/two")], ["y", "y y"])
    }))

  test("directories are what the paths say", (script) =>
    Effect.gen(function*() {
      const files = yield* opened(script)
      script.files(a).set("/w/src/a.ts", "12").set("/w/b.ts", "")
      const { entries, truncated } = yield* files.list("/w")
      assert.deepStrictEqual(entries.map(({ name, size, type }) => [name, type, size]), [["b.ts", "file", 0], [
        "src",
        "directory",
        0
      ]])
      assert.isFalse(truncated)
      assert.deepInclude(yield* files.stat("/w/src/a.ts"), { name: "a.ts", type: "file", size: 2 })
      assert.deepInclude(yield* failure(files.list("/w/b.ts")), { reason: "notDirectory" })
      assert.deepInclude(yield* failure(files.stat("/x")), { reason: "notFound" })
      assert.isTrue(Option.isNone(Option.fromUndefinedOr(script.files(b).get("/w/b.ts"))))
    }))
})

describe("tools of the workspace's own servers", () => {
  const failures = Effect.fnUntraced(function*({ mcp }: AgentConnection) {
    if (mcp === undefined) return assert.fail("no servers")
    const call = (server: string, tool: string) => failure(mcp.call({ server, tool, arguments: {} }))
    return { mcp, call }
  })

  test(
    "there are none, until they are served, in any state and with any answer",
    (script, transport) =>
      Effect.gen(function*() {
        yield* script.accept(a)
        const { call, mcp } = yield* failures(yield* transport.dial(a))
        assert.deepStrictEqual(yield* mcp.tools(), { servers: [], reason: null })
        assert.deepInclude(yield* call("git", "log"), { _tag: "McpRefused", reason: "noServer" })
        const git = ScriptedMcp.server("git", ["log", { name: "show", readOnly: true }])
        const down = { ...ScriptedMcp.server("down", []), state: "failed", reason: "it exited with code 1" } as const
        yield* script.serveTools(a, [down, git])
        assert.deepStrictEqual((yield* mcp.tools()).servers, [down, git])
        assert.deepStrictEqual(
          yield* mcp.call({ server: "git", tool: "log", arguments: {} }),
          ScriptedMcp.text("log")
        )
        assert.deepInclude(yield* call("git", "push"), { _tag: "McpRefused", reason: "noTool" })
        assert.deepInclude(yield* call("down", "x"), { reason: "notRunning", detail: "it exited with code 1" })
        yield* script.serveTools(
          a,
          [git],
          ({ arguments: given, tool }) =>
            Effect.succeed(ScriptedMcp.text(`${tool} ${JSON.stringify(given)}`, { isError: true }))
        )
        assert.deepStrictEqual(
          yield* mcp.call({ server: "git", tool: "show", arguments: { id: 1 } }),
          ScriptedMcp.text("show {\"id\":1}", { isError: true })
        )
        assert.deepStrictEqual(script.toolCounts(a), { lists: 2, calls: 5 })
        assert.deepStrictEqual(script.toolCounts(b), { lists: 0, calls: 0 })
      })
  )

  test(
    "they fail, or hang until the deadline, for lists and calls alike",
    (script, transport) =>
      Effect.gen(function*() {
        yield* script.accept(a)
        const { call, mcp } = yield* failures(yield* transport.dial(a))
        const busy = new AgentBusy({ limit: "64 calls in flight" })
        yield* script.failTools(a, busy)
        assert.strictEqual(yield* failure(mcp.tools()), busy)
        assert.strictEqual(yield* call("git", "log"), busy)
        yield* script.hangTools(a)
        const list = yield* Effect.forkChild(failure(mcp.tools()), { startImmediately: true })
        const one = yield* Effect.forkChild(
          failure(mcp.call({ server: "git", tool: "log", arguments: {}, timeout: "5 seconds" })),
          { startImmediately: true }
        )
        yield* TestClock.adjust(4999)
        assert.isUndefined(one.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(one))._tag, "CallTimedOut")
        yield* TestClock.adjust(54_999)
        assert.isUndefined(list.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(list))._tag, "CallTimedOut")
      })
  )
})
