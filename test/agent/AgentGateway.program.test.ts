import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, Logger, Stream } from "effect"
import type { Scope } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { AgentTransport } from "../../src/agent/index.ts"
import type { AgentConnection } from "../../src/agent/index.ts"
import type { FilesError } from "../../src/domain/Errors.ts"
import * as h from "./support/harness.ts"
import { cuttable } from "./support/proxy.ts"

type Connection = AgentConnection.AgentConnection

const live = (name: string, test: () => Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(
    name,
    () => test().pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])),
    40_000
  )
}

/** A gateway, the program behind a proxy that can cut its link, and a connection. */
const connected = Effect.gen(function*() {
  const server = yield* h.start()
  const proxy = yield* cuttable(server.port)
  const enrolled = yield* h.enroll()
  const program = yield* h.startProgram(proxy.port, enrolled.token)
  const connection = yield* server.transport.dial(enrolled.agentId).pipe(Effect.timeout("15 seconds"))
  return { ...server, ...enrolled, proxy, program, connection }
})

const sh = (script: string) => ({ id: h.operation(), argv: ["sh", "-c", script] as const })

const output = (connection: Connection, command: ReturnType<typeof sh>) =>
  Effect.map(connection.processes.output(command.id), ({ pieces }) => h.decodeText(pieces))

const lineCount = (path: string): number => existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0

/** Counts its runs in a file, prints slowly, exits 7. */
const slow = (runs: string) => sh(`echo run >> ${runs}; for i in 1 2 3 4 5 6; do echo line $i; sleep 0.1; done; exit 7`)

const slowOutput = [1, 2, 3, 4, 5, 6].map((line) => `line ${line}\n`).join("")

describe("calls to the real program", () => {
  live("processes: run, start, output, follow, list, signal", () =>
    Effect.gen(function*() {
      const { connection } = yield* connected
      const { processes } = connection
      const result = yield* processes.run(sh("echo out; echo err >&2; exit 3"))
      assert.strictEqual(result.code, 3)
      assert.isTrue(["out\nerr\n", "err\nout\n"].includes(h.decodeText(result.output.pieces)))
      const again = sh("echo once")
      assert.deepStrictEqual(yield* processes.run(again), yield* processes.run(again))
      const missing = yield* Effect.flip(processes.run({ id: h.operation(), argv: ["no-such-binary"] }))
      assert.strictEqual(missing._tag, "CommandNotFound")
      const conflict = yield* Effect.flip(processes.start({ id: again.id, argv: ["true"] }))
      assert.strictEqual(conflict._tag === "OperationRefused" ? conflict.reason : conflict._tag, "conflict")
      const unknown = yield* Effect.flip(processes.output(h.operation()))
      assert.strictEqual(unknown._tag === "OperationRefused" ? unknown.reason : unknown._tag, "unknown")

      const background = sh("echo begun; sleep 30")
      assert.strictEqual((yield* processes.start(background))._tag, "Running")
      yield* h.until(() => true)
      const listed = yield* processes.list
      assert.isTrue(listed.some(({ id, state }) => id === background.id && state._tag === "Running"))
      const events = yield* processes.follow(background.id).pipe(
        Stream.tap((event) =>
          event._tag === "Data" ? Effect.ignore(processes.signal(background.id, "SIGKILL")) : Effect.void
        ),
        Stream.runCollect
      )
      const last = events.at(-1)
      assert.strictEqual(last?._tag === "Exited" ? last.signal : last?._tag, "SIGKILL")
      assert.strictEqual(h.decodeText(events), "begun\n")
    }))

  live("files: read, write, edit, stat, list, and what is refused", () =>
    Effect.gen(function*() {
      const { connection, program } = yield* connected
      const { files } = connection
      const bytes = new Uint8Array(3 * 1024 * 1024 + 17).map((_, index) => index * 31 % 251)
      const version = yield* files.write({ id: h.operation(), path: "big.bin", bytes, expect: "absent" })
      assert.isTrue(Buffer.from(bytes).equals(readFileSync(Path.join(program.directory, "big.bin"))))
      const part = yield* files.read("big.bin", { offset: 1000, limit: 2_000_000 })
      assert.strictEqual(part.size, bytes.length)
      assert.strictEqual(part.version, version)
      assert.isTrue(Buffer.from(part.bytes).equals(Buffer.from(bytes.subarray(1000, 1000 + 1024 * 1024))))
      const refusals = yield* Effect.forEach(
        [
          files.read("missing"),
          files.read("."),
          files.write({ id: h.operation(), path: "big.bin", bytes, expect: "absent" }),
          files.write({ id: h.operation(), path: "huge", bytes: new Uint8Array(10 * 1024 * 1024 + 1) }),
          files.edit({
            id: h.operation(),
            files: [{ path: "big.bin", edits: [{ find: "x".repeat(2 ** 20), replace: "" }] }]
          }),
          files.list("missing"),
          files.stat("x".repeat(2 ** 21))
        ].map((call: Effect.Effect<unknown, FilesError>) => call),
        (call) =>
          Effect.map(Effect.flip(call), (error) =>
            error._tag === "FileError" ? `${error._tag} ${error.reason}` : error._tag)
      )
      assert.deepStrictEqual(refusals, [
        "FileError notFound",
        "FileError notRegular",
        "FileChanged",
        "FileError tooLarge",
        "FileError tooLarge",
        "FileError notFound",
        "FileError invalid"
      ])
      assert.strictEqual(connection.liveness(), "live")
      yield* files.write({ id: h.operation(), path: "empty", bytes: new Uint8Array(0) })
      assert.strictEqual((yield* files.read("empty")).bytes.length, 0)
      writeFileSync(Path.join(program.directory, "text"), "one two")
      const [edited] = yield* files.edit({
        id: h.operation(),
        files: [{ path: "text", edits: [{ find: "two", replace: "three" }] }]
      })
      assert.strictEqual((yield* files.read("text")).version, edited)
      assert.strictEqual((yield* files.stat("text")).size, 9)
      assert.include(
        (yield* files.list(".")).entries.map(({ name }) =>
          name
        ),
        "text"
      )
    }))

  live("output without end is kept within bounds while it is followed", () =>
    Effect.gen(function*() {
      const { connection } = yield* connected
      const command = sh("yes | head -c 8000000")
      const { output, code } = yield* connection.processes.run(command)
      assert.strictEqual(code, 0)
      const kept = output.pieces.reduce((sum, piece) => sum + (piece._tag === "Data" ? piece.bytes.length : 0), 0)
      assert.isAtMost(kept, 1024 * 1024)
      assert.isAtLeast(kept, 768 * 1024)
      let next = 0
      for (const piece of output.pieces) {
        assert.strictEqual(piece._tag === "Gap" ? piece.from : piece.offset, next)
        next = piece._tag === "Gap" ? piece.to : piece.offset + piece.bytes.length
      }
      assert.strictEqual(next, 8_000_000)
    }))
})

describe("a link that is lost during a call", () => {
  live("a running command goes on, its output is whole, it ran once", () =>
    Effect.gen(function*() {
      const { connection, program, proxy } = yield* connected
      const runs = Path.join(program.directory, "runs")
      const call = yield* Effect.forkChild(connection.processes.run(slow(runs)))
      for (let cut = 0; cut < 3; cut++) {
        yield* Effect.sleep("150 millis")
        yield* proxy.cut(cut % 2 === 0)
      }
      const result = yield* Fiber.join(call)
      assert.strictEqual(result.code, 7)
      assert.strictEqual(h.decodeText(result.output.pieces), slowOutput)
      assert.strictEqual(lineCount(runs), 1)
      assert.strictEqual(yield* connection.closed, "lost")
    }))

  live("a follower goes on where it was", () =>
    Effect.gen(function*() {
      const { connection, program, proxy } = yield* connected
      const command = slow(Path.join(program.directory, "runs"))
      yield* connection.processes.start(command)
      const call = yield* connection.processes.follow(command.id).pipe(Stream.runCollect, Effect.forkChild)
      yield* Effect.sleep("200 millis")
      yield* proxy.cut(true)
      const events = yield* Fiber.join(call)
      assert.strictEqual(h.decodeText(events), slowOutput)
    }))

  live("cut before the answer of the start: one execution, and its output by id", () =>
    Effect.gen(function*() {
      const { connection, program, proxy } = yield* connected
      const runs = Path.join(program.directory, "runs")
      const command = slow(runs)
      // The answer is lost: the proxy swallows what the agent says, then the link goes.
      yield* proxy.mute(true)
      const call = yield* Effect.forkChild(connection.processes.run(command))
      yield* h.until(() => lineCount(runs) === 1)
      yield* proxy.cut(true)
      const result = yield* Fiber.join(call)
      assert.strictEqual(result.code, 7)
      assert.strictEqual(h.decodeText(result.output.pieces), slowOutput)
      assert.strictEqual(lineCount(runs), 1)
      assert.strictEqual(yield* output(connection, command), slowOutput)
    }))

  live("an upload that is cut is written once", () =>
    Effect.gen(function*() {
      const { connection, program, proxy } = yield* connected
      const bytes = new Uint8Array(4 * 1024 * 1024).map((_, index) => index * 7 % 253)
      for (let round = 0; round < 3; round++) {
        const path = `upload-${round}`
        const call = yield* Effect.forkChild(
          connection.files.write({ id: h.operation(), path, bytes, expect: "absent" })
        )
        yield* Effect.sleep(Duration.millis(5 + round * 15))
        yield* proxy.cut(true)
        yield* Fiber.join(call)
        assert.isTrue(Buffer.from(bytes).equals(readFileSync(Path.join(program.directory, path))))
      }
    }))

  live("the server is closed and opened again under a running command", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(h.layerGateway())
      const first = yield* h.inScope(h.listen(context))
      const { agentId, token } = yield* h.enroll()
      const program = yield* h.startProgram(first.value, token)
      const transport = Context.get(context, AgentTransport.AgentTransport)
      const connection = yield* transport.dial(agentId).pipe(Effect.timeout("15 seconds"))
      const runs = Path.join(program.directory, "runs")
      const call = yield* Effect.forkChild(connection.processes.run(slow(runs)))
      yield* h.until(() => lineCount(runs) === 1)
      const [closing] = yield* Effect.timed(first.close)
      assert.isBelow(Duration.toMillis(closing), 1000)
      assert.strictEqual(yield* connection.closed, "lost")
      yield* h.listen(context, first.value)
      const result = yield* Fiber.join(call)
      assert.strictEqual(result.code, 7)
      assert.strictEqual(h.decodeText(result.output.pieces), slowOutput)
      assert.strictEqual(lineCount(runs), 1)
    }))

  live("the backend is started again: the same operation id gets the outcome", () =>
    Effect.gen(function*() {
      const first = yield* h.inScope(h.start())
      const { agentId, token } = yield* h.enroll()
      const program = yield* h.startProgram(first.value.port, token)
      const connection = yield* first.value.transport.dial(agentId).pipe(Effect.timeout("15 seconds"))
      const runs = Path.join(program.directory, "runs")
      const command = slow(runs)
      const call = yield* Effect.forkChild(Effect.flip(connection.processes.run(command)))
      yield* h.until(() => lineCount(runs) === 1)
      yield* first.close
      const error = yield* Fiber.join(call)
      assert.strictEqual(error._tag === "CallInterrupted" ? error.sent : error._tag, "mayHaveRun")
      const context = yield* Layer.build(h.layerGateway())
      yield* h.listen(context, first.value.port)
      const again = yield* Context.get(context, AgentTransport.AgentTransport).dial(agentId)
      const result = yield* again.processes.run(command)
      assert.strictEqual(result.code, 7)
      assert.strictEqual(h.decodeText(result.output.pieces), slowOutput)
      assert.strictEqual(lineCount(runs), 1)
    }))
})

describe("an agent that dies or freezes", () => {
  live(
    "SIGKILL ends the connection well under a second, and the call when the next incarnation comes",
    () =>
      Effect.gen(function*() {
        const { agentId, connection, program, transport } = yield* connected
        const call = yield* Effect.forkChild(Effect.flip(connection.processes.run(sh("sleep 20"))))
        const read = yield* Effect.forkChild(connection.processes.list)
        yield* Fiber.join(read)
        yield* Effect.sleep("100 millis")
        yield* program.kill("SIGKILL")
        const [noticed, reason] = yield* Effect.timed(connection.closed)
        assert.strictEqual(reason, "lost")
        assert.isBelow(Duration.toMillis(noticed), 500)
        assert.strictEqual(call.pollUnsafe(), undefined)
        yield* program.restart
        const error = yield* Fiber.join(call)
        assert.strictEqual(error._tag === "CallInterrupted" ? error.sent : error._tag, "mayHaveRun")
        const next = yield* transport.dial(agentId)
        assert.strictEqual((yield* next.processes.run(sh("true"))).code, 0)
      })
  )

  live("SIGKILL without a successor: the call ends at its deadline", () =>
    Effect.gen(function*() {
      const { connection, program } = yield* connected
      const call = yield* Effect.forkChild(
        Effect.flip(connection.processes.run(sh("sleep 20"), { timeout: "800 millis" }))
      )
      yield* Effect.sleep("200 millis")
      yield* program.kill("SIGKILL")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error._tag === "CallTimedOut" ? error.sent : error._tag, "mayHaveRun")
      const never = yield* Effect.flip(connection.processes.run(sh("true"), { timeout: "100 millis" }))
      assert.strictEqual(never._tag === "CallTimedOut" ? never.sent : never._tag, "notSent")
    }))

  live("SIGTERM: the agent's interruption is not the caller's", () =>
    Effect.gen(function*() {
      const { connection, program } = yield* connected
      const call = yield* Effect.forkChild(
        connection.processes.run(sh("sleep 20"), { timeout: "1 second" }).pipe(Effect.exit)
      )
      yield* Effect.sleep("200 millis")
      yield* program.kill("SIGTERM")
      const exit = yield* Fiber.join(call)
      assert.isTrue(Exit.isFailure(exit) && !Cause.hasInterrupts(exit.cause))
    }))

  live("SIGSTOP is noticed within the bounds of the pings; a thawed agent serves again", () =>
    Effect.gen(function*() {
      const { agentId, connection, program, transport } = yield* connected
      assert.strictEqual(connection.liveness(), "live")
      yield* program.kill("SIGSTOP")
      const [noticed, reason] = yield* Effect.timed(connection.closed)
      assert.strictEqual(reason, "lost")
      // Timeout (1 s) and interval (250 ms), and what a busy machine adds.
      assert.isBelow(Duration.toMillis(noticed), 2500)
      assert.isAtLeast(Duration.toMillis(noticed), 700)
      yield* program.kill("SIGCONT")
      const next = yield* transport.dial(agentId).pipe(Effect.timeout("5 seconds"))
      assert.strictEqual((yield* next.processes.run(sh("true"))).code, 0)
    }))
})

describe("a frame that is stale", () => {
  live("sent to a frozen agent and given up: the command has not run when it thaws", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start({ pingTimeout: "5 seconds", storeTimeout: "5 seconds" })
      const { agentId, token } = yield* h.enroll()
      const program = yield* h.startProgram(port, token, { CW_AGENT_STALE_FRAME: "600 millis" })
      const connection = yield* transport.dial(agentId).pipe(Effect.timeout("15 seconds"))
      const runs = Path.join(program.directory, "runs")
      yield* program.kill("SIGSTOP")
      const command = slow(runs)
      const error = yield* Effect.flip(connection.processes.run(command, { timeout: "300 millis" }))
      assert.strictEqual(error._tag === "CallTimedOut" ? error.sent : error._tag, "mayHaveRun")
      yield* Effect.sleep("1 second")
      yield* program.kill("SIGCONT")
      yield* connection.closed
      const next = yield* transport.dial(agentId).pipe(Effect.timeout("5 seconds"))
      const unknown = yield* Effect.flip(next.processes.output(command.id))
      assert.strictEqual(unknown._tag === "OperationRefused" ? unknown.reason : unknown._tag, "unknown")
      assert.strictEqual(lineCount(runs), 0)
    }))
})

describe("giving up", () => {
  const alive = (path: string): boolean => {
    const pid = Number(readFileSync(path, "utf8"))
    try {
      process.kill(pid, 0)
      return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.startsWith("Z") === false
    } catch {
      return false
    }
  }

  live("interrupting a run ends its whole process group", () =>
    Effect.gen(function*() {
      const { connection, program } = yield* connected
      const pid = Path.join(program.directory, "pid")
      const call = yield* Effect.forkChild(
        connection.processes.run(sh(`sleep 60 & echo $! > ${pid}.new; mv ${pid}.new ${pid}; wait`))
      )
      yield* h.until(() => existsSync(pid))
      assert.isTrue(alive(pid))
      const [back] = yield* Effect.timed(Fiber.interrupt(call))
      assert.isBelow(Duration.toMillis(back), 300)
      yield* h.until(() => !alive(pid))
    }))

  live("a deadline leaves the process running, and its output is there by id", () =>
    Effect.gen(function*() {
      const { connection, program } = yield* connected
      const pid = Path.join(program.directory, "pid")
      const command = sh(`echo $$ > ${pid}; echo begun; sleep 1; echo done`)
      const error = yield* Effect.flip(connection.processes.run(command, { timeout: "300 millis" }))
      assert.strictEqual(error._tag === "CallTimedOut" ? error.sent : error._tag, "mayHaveRun")
      assert.isTrue(alive(pid))
      assert.strictEqual(yield* output(connection, command), "begun\n")
      const result = yield* connection.processes.run(command)
      assert.strictEqual(h.decodeText(result.output.pieces), "begun\ndone\n")
    }))

  live(
    "what was given up while the link was down is killed before the next session is lent",
    () =>
      Effect.gen(function*() {
        const { agentId, connection, program, proxy, transport } = yield* connected
        const pid = Path.join(program.directory, "pid")
        const command = sh(`echo $$ > ${pid}; exec sleep 60`)
        const call = yield* Effect.forkChild(connection.processes.run(command))
        yield* h.until(() => existsSync(pid) && readFileSync(pid, "utf8") !== "")
        yield* proxy.block(true)
        yield* proxy.cut(true)
        yield* connection.closed
        const [back] = yield* Effect.timed(Fiber.interrupt(call))
        assert.isBelow(Duration.toMillis(back), 300)
        assert.isTrue(alive(pid))
        yield* proxy.block(false)
        const next = yield* transport.dial(agentId).pipe(Effect.timeout("5 seconds"))
        const again = yield* next.processes.run(command, { timeout: "3 seconds" })
        assert.strictEqual(again.signal, "SIGTERM")
        yield* h.until(() => !alive(pid))
      })
  )

  live("an interrupted call that was never sent kills nothing and starts nothing", () =>
    Effect.gen(function*() {
      const { agentId, connection, program, proxy, transport } = yield* connected
      const runs = Path.join(program.directory, "runs")
      yield* proxy.block(true)
      yield* proxy.cut(true)
      yield* connection.closed
      const command = slow(runs)
      const call = yield* Effect.forkChild(connection.processes.run(command))
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(call)
      yield* proxy.block(false)
      const next = yield* transport.dial(agentId).pipe(Effect.timeout("5 seconds"))
      const unknown = yield* Effect.flip(next.processes.output(command.id))
      assert.strictEqual(unknown._tag === "OperationRefused" ? unknown.reason : unknown._tag, "unknown")
      assert.strictEqual(lineCount(runs), 0)
    }))
})

describe("moving", () => {
  live("a drain lets the agent go where the next gateway listens", () =>
    Effect.gen(function*() {
      const old = yield* h.start()
      const proxy = yield* cuttable(old.port)
      const { agentId, token } = yield* h.enroll()
      yield* h.startProgram(proxy.port, token)
      const connection = yield* old.transport.dial(agentId).pipe(Effect.timeout("15 seconds"))
      const next = yield* h.start()
      yield* proxy.redirect(next.port)
      const draining = yield* Effect.forkChild(old.gateway.drain("2 seconds"))
      yield* h.until(() => next.transport.presence(agentId) === "live")
      const moved = yield* next.transport.dial(agentId)
      assert.strictEqual((yield* moved.processes.run(sh("echo moved"))).code, 0)
      yield* Fiber.join(draining)
      assert.isTrue(["lost", "replaced", "shutdown"].includes(yield* connection.closed))
      assert.strictEqual(moved.liveness(), "live")
    }))
})
