import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { TestClock } from "effect/testing"
import type { Command, Processes } from "../../src/agent/AgentConnection.ts"
import { AgentTransport } from "../../src/agent/index.ts"
import type { AgentConnection, Feature } from "../../src/agent/index.ts"
import type { OutputData, ProcessInfo, ProcessState } from "../../src/agent/Protocol.ts"
import { CallTimedOut, CommandNotFound, OperationRefused } from "../../src/domain/Errors.ts"
import { Ids } from "../../src/domain/index.ts"
import * as ExecutionHandlers from "../../src/tool/ExecutionHandlers.ts"
import { ExecutionTools } from "../../src/tool/ExecutionTools.ts"
import * as ToolCalls from "../../src/tool/ToolCalls.ts"
import * as t from "./support/calls.ts"

const agentId = Ids.AgentId.make("agent-1")

const die = Effect.die(new Error("not played"))

/** The tools over an agent that answers as a test says. */
const over = Effect.fnUntraced(
  function*(
    processes: Partial<Processes>,
    features: ReadonlyArray<Feature.Feature> = ["run", "processes"],
    liveness: AgentConnection.Liveness = "live"
  ) {
    const connection: AgentConnection.AgentConnection = {
      agentId,
      features: new Set(features),
      liveness: () => liveness,
      closed: Effect.never,
      processes: {
        run: () => die,
        start: () => die,
        output: () => die,
        follow: () => Stream.die("not played"),
        list: die,
        signal: () => die,
        ...processes
      },
      files: { read: () => die, write: () => die, edit: () => die, stat: () => die, list: () => die }
    }
    const handlers = yield* ExecutionHandlers.make
    const context = t.contextOf(connection, Object.keys(ExecutionTools.tools))
    const toolkit = yield* ToolCalls.make(
      Object.values(ExecutionTools.tools),
      yield* ExecutionTools.toHandlers(handlers(context))
    )
    return (name: string, args: unknown) => t.call(toolkit, name, args)
  },
  Effect.provide(SecureRandom.layerWebCrypto)
)

const data = (text: string | Uint8Array, offset = 0): OutputData => ({
  _tag: "Data",
  offset,
  stream: "stdout",
  bytes: typeof text === "string" ? new TextEncoder().encode(text) : text
})

const runningAt = (end: number): ProcessState => ({ _tag: "Running", end })

const exited = (code: number, end = 0): ProcessState => ({ _tag: "Exited", end, code, signal: null })

/** A command that does not end in time. */
const overdue: Processes["run"] = ({ id: operationId }, options) => {
  const after = Duration.fromInputUnsafe(options?.timeout ?? 0)
  return Effect.andThen(Effect.sleep(after), new CallTimedOut({ agentId, operationId, sent: "mayHaveRun", after }))
}

describe("execute", () => {
  it.effect("answers output and exit code; a command that fails is a result", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() =>
        Effect.delay(Effect.succeed({ stdout: "out\n", stderr: "err\n", code: 3 }), "1500 millis")
      )
      const calling = yield* Effect.forkChild(call("execute", { command: "make" }), { startImmediately: true })
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual(yield* Fiber.join(calling), {
        isFailure: false,
        result: { success: false, output: "out\nerr\n", exit_code: 3, duration_ms: 1500 }
      })
    }).pipe(t.inWorld))

  it.effect("runs a shell without a person: in the folder asked for, with pagers and editors switched off", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const commands: Array<Command> = []
      yield* world.onExecute((command) => {
        commands.push(command)
        return Effect.succeed({})
      })
      yield* call("execute", { command: "git log | head", workdir: "src" })
      yield* call("execute", { command: "git log | head" })
      const [first, second] = commands
      assert.deepStrictEqual(first?.argv, ["sh", "-c", "git log | head"])
      assert.strictEqual(first?.cwd, "src")
      assert.isUndefined(second?.cwd)
      assert.deepInclude(first?.env, {
        TERM: "dumb",
        PAGER: "cat",
        GIT_PAGER: "cat",
        EDITOR: "true",
        VISUAL: "true",
        GIT_EDITOR: "true",
        GIT_TERMINAL_PROMPT: "0",
        CHAT_WORKSPACE: "1"
      })
      assert.notStrictEqual(first?.id, second?.id)
    }).pipe(t.inWorld))

  it.effect("after 30 s the command runs on under its process_id, and its output can be read later", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() => Effect.delay(Effect.succeed({ stdout: "done\n" }), "1 minute"))
      const calling = yield* Effect.forkChild(call("execute", { command: "slow" }), { startImmediately: true })
      yield* TestClock.adjust(29_999)
      assert.isUndefined(calling.pollUnsafe())
      yield* TestClock.adjust(1)
      const { isFailure, result } = yield* Fiber.join(calling)
      assert.isFalse(isFailure)
      assert.deepInclude(result, { success: false, timed_out: true, exit_code: null, output: "", duration_ms: 30_000 })
      assert.include(result.note, "did not end within 30 s and runs on: wait for it with process_output")
      const waiting = yield* Effect.forkChild(call("process_output", { process_id: result.process_id, wait: 60 }), {
        startImmediately: true
      })
      yield* TestClock.adjust(29_999)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual((yield* Fiber.join(waiting)).result, {
        running: false,
        exit_code: 0,
        output: "done\n",
        next_offset: 5
      })
    }).pipe(t.inWorld))

  it.effect("waits as long as it was asked to, and at most 30 minutes, which it says", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() => Effect.never)
      for (const [timeout, after] of [[0.5, 500], [120, 120_000], [7200, 1_800_000]] as const) {
        const calling = yield* Effect.forkChild(call("execute", { command: "slow", timeout }), {
          startImmediately: true
        })
        yield* TestClock.adjust(after - 1)
        assert.isUndefined(calling.pollUnsafe())
        yield* TestClock.adjust(1)
        const { result } = yield* Fiber.join(calling)
        assert.isTrue(result.timed_out)
        assert.strictEqual(result.note.includes("at most 1800 s"), timeout === 7200)
      }
    }).pipe(t.inWorld))

  it.effect("the look at a late command's output is bounded, and without it nothing is claimed but the timeout", () =>
    Effect.gen(function*() {
      const call = yield* over({ run: overdue, output: () => Effect.never })
      const calling = yield* Effect.forkChild(call("execute", { command: "slow" }), { startImmediately: true })
      yield* TestClock.adjust(39_999)
      assert.isUndefined(calling.pollUnsafe())
      yield* TestClock.adjust(1)
      const { result } = yield* Fiber.join(calling)
      assert.deepInclude(result, { error: "call_timed_out", retry: "never" })
      assert.match(result.message, /may still be running. Do not repeat the call.* \(process_id [0-9a-f-]{36}\)/)
    }))

  it.effect("a late command whose connection has ended is not looked at", () =>
    Effect.gen(function*() {
      const call = yield* over({ run: overdue, output: () => Effect.die("asked") }, ["run", "processes"], "closed")
      const calling = yield* Effect.forkChild(call("execute", { command: "slow" }), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      const { result } = yield* Fiber.join(calling)
      assert.strictEqual(result.error, "call_timed_out")
    }))

  it.effect("tells the output so far of a command that runs on", () =>
    Effect.gen(function*() {
      const call = yield* over({
        run: overdue,
        output: () => Effect.succeed({ state: runningAt(5), pieces: [data("so fa")] })
      })
      const calling = yield* Effect.forkChild(call("execute", { command: "slow" }), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      assert.deepInclude((yield* Fiber.join(calling)).result, { timed_out: true, output: "so fa" })
    }))

  it.effect("a command that ended while it was looked at is an ordinary result", () =>
    Effect.gen(function*() {
      const call = yield* over({
        run: overdue,
        output: () => Effect.succeed({ state: exited(0, 2), pieces: [data("ok")] })
      })
      const calling = yield* Effect.forkChild(call("execute", { command: "slow" }), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual((yield* Fiber.join(calling)).result, {
        success: true,
        output: "ok",
        exit_code: 0,
        duration_ms: 30_000
      })
    }))

  it.effect("interrupting the call ends the command, also while its output is looked at", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const begun = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      yield* world.onExecute(() =>
        Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
        )
      )
      const calling = yield* Effect.forkChild(call("execute", { command: "server" }), { startImmediately: true })
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(calling)
      yield* Deferred.await(ended)

      const signals: Array<string> = []
      const looked = yield* Deferred.make<void>()
      const late = yield* over({
        run: overdue,
        output: () => Effect.andThen(Deferred.succeed(looked, undefined), Effect.never),
        signal: (_, signal) => {
          signals.push(signal)
          return Effect.succeed(runningAt(0))
        }
      })
      const second = yield* Effect.forkChild(late("execute", { command: "server" }), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      yield* Deferred.await(looked)
      yield* Fiber.interrupt(second)
      assert.deepStrictEqual(signals, ["SIGTERM"])
    }).pipe(t.inWorld))

  it.effect.each([
    { command: "npm start", background: true },
    { command: "npm start &" }
  ])("in the background it answers at once: %j", (args) =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const commands: Array<Command> = []
      yield* world.onExecute((command) => {
        commands.push(command)
        return Effect.never
      })
      const { result } = yield* call("execute", args)
      assert.deepInclude(result, { success: true, output: "", exit_code: null, process_id: commands[0]?.id })
      assert.include(result.note, "read its output with process_output")
      assert.strictEqual(commands[0]?.argv[2]?.trim(), "npm start")
      const { result: { processes } } = yield* call("process_list", {})
      assert.deepStrictEqual(processes, [
        { process_id: result.process_id, command: commands[0]?.argv[2], running: true, exit_code: null, age_seconds: 0 }
      ])
    }).pipe(t.inWorld))

  it.effect("shows of a long output the beginning and the end, at most 32 KiB, and says so", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() => Effect.succeed({ stdout: `begin ${"€".repeat(100_000)} end` }))
      const { result } = yield* call("execute", { command: "yes" })
      assert.isAtMost(new TextEncoder().encode(result.output).length, 32 * 1024)
      assert.match(result.output, /^begin €+\n\[… \d+ bytes left out …\]\n€+ end$/)
      assert.isTrue(result.truncated)
      assert.include(result.note, "too long for one answer")
    }).pipe(t.inWorld))

  it.effect("says that output is not text, and which signal ended the command", () =>
    Effect.gen(function*() {
      const call = yield* over({
        run: () =>
          Effect.succeed({
            code: null,
            signal: "SIGKILL",
            output: {
              state: { _tag: "Exited", end: 4, code: null, signal: "SIGKILL" },
              pieces: [data(new Uint8Array([0x41, 0, 1, 0xff]))]
            }
          })
      })
      const { result } = yield* call("execute", { command: "cat image" })
      assert.deepInclude(result, { success: false, output: "A\uFFFD", exit_code: null, signal: "SIGKILL" })
      assert.include(result.note, "not text")
    }))

  it.effect("what an agent says of a signal cannot fill the model's memory", () =>
    Effect.gen(function*() {
      const signal = "S".repeat(100_000)
      const call = yield* over({ signal: () => Effect.succeed({ _tag: "Exited", end: 0, code: null, signal }) })
      const { result } = yield* call("process_signal", { process_id: "p", signal: "SIGTERM" })
      assert.isAtMost(result.signal.length, 33)
    }))
})

describe("execute over a transport that only runs commands", () => {
  const exec = (execute: (command: Command) => Effect.Effect<string>) =>
    AgentTransport.layerExec(() =>
      Effect.succeed({
        exec: (command) =>
          Effect.map(execute(command), (text) => ({
            code: 0,
            stdout: new TextEncoder().encode(text),
            stderr: new Uint8Array()
          })),
        readFile: () => die,
        writeFile: () => die
      })
    )

  const connection = (execute: (command: Command) => Effect.Effect<string>) =>
    Effect.scoped(
      Effect.flatMap(AgentTransport.AgentTransport, (transport) => transport.dial(agentId))
    ).pipe(Effect.provide(exec(execute)))

  it.effect("works", () =>
    Effect.gen(function*() {
      const { processes } = yield* connection(() => Effect.succeed("hello"))
      const call = yield* over(processes, ["run"])
      assert.deepInclude((yield* call("execute", { command: "echo hello" })).result, { success: true, output: "hello" })
    }))

  it.effect("a timeout says that the output is lost, and gives no process_id", () =>
    Effect.gen(function*() {
      const { processes } = yield* connection(() => Effect.never)
      const call = yield* over(processes, ["run"])
      const calling = yield* Effect.forkChild(call("execute", { command: "slow", timeout: 5 }), {
        startImmediately: true
      })
      yield* TestClock.adjust("5 seconds")
      const { result } = yield* Fiber.join(calling)
      assert.deepInclude(result, { success: false, timed_out: true, exit_code: null })
      assert.notProperty(result, "process_id")
      assert.include(result.note, "was given up")
    }))

  it.effect("refuses the background, and says what is refused", () =>
    Effect.gen(function*() {
      const { processes } = yield* connection(() => Effect.never)
      const call = yield* over(processes, ["run"])
      assert.deepStrictEqual(yield* call("execute", { command: "server &" }), {
        isFailure: true,
        result: {
          error: "unsupported",
          message: "The workspace's agent does not support commands in the background. Correct the call.",
          retry: "never"
        }
      })
    }))
})

describe("process_output", () => {
  it.effect("without wait answers at once; from an offset on only what is new", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() => Effect.delay(Effect.succeed({ stdout: "one\ntwo\n" }), "10 seconds"))
      const { result: { process_id } } = yield* call("execute", { command: "a &" })
      assert.deepStrictEqual((yield* call("process_output", { process_id })).result, {
        running: true,
        exit_code: null,
        output: "",
        next_offset: 0
      })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* call("process_output", { process_id, offset: 4 })).result, {
        running: false,
        exit_code: 0,
        output: "two\n",
        next_offset: 8
      })
    }).pipe(t.inWorld))

  it.effect("waits as long as it was asked to, then tells what there is", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() => Effect.never)
      const { result: { process_id } } = yield* call("execute", { command: "server &" })
      for (const [wait, after] of [[10, 10_000], [100_000, 1_800_000]] as const) {
        const calling = yield* Effect.forkChild(call("process_output", { process_id, wait }), {
          startImmediately: true
        })
        yield* TestClock.adjust(after - 1)
        assert.isUndefined(calling.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepInclude((yield* Fiber.join(calling)).result, { running: true })
      }
    }).pipe(t.inWorld))

  it.effect("waiting takes none of the output with it, however much a process prints", () =>
    Effect.gen(function*() {
      const offsets: Array<number | undefined> = []
      const call = yield* over({
        follow: (_, options) => {
          offsets.push(options?.from)
          return Stream.make(exited(0, 3))
        },
        output: (_, options) => {
          offsets.push(options?.from)
          return Effect.succeed({ state: exited(0, 3), pieces: [data("abc")] })
        }
      })
      yield* call("process_output", { process_id: "p", wait: 5 })
      assert.deepStrictEqual(offsets, [Number.MAX_SAFE_INTEGER, 0])
    }))

  it.effect("leaves a character that is still being written to the next look", () =>
    Effect.gen(function*() {
      const bytes = new TextEncoder().encode("a€")
      const call = yield* over({
        output: (_, options) =>
          Effect.succeed(
            options?.from === 1
              ? { state: exited(0, 4), pieces: [data(bytes.subarray(1), 1)] }
              : { state: runningAt(3), pieces: [data(bytes.subarray(0, 3))] }
          )
      })
      const { result } = yield* call("process_output", { process_id: "p" })
      assert.deepStrictEqual(result, { running: true, exit_code: null, output: "a", next_offset: 1 })
      const next = yield* call("process_output", { process_id: "p", offset: result.next_offset })
      assert.deepInclude(next.result, { output: "€", next_offset: 4 })
    }))

  it.effect("of a process that is not known says why there is nothing", () =>
    Effect.gen(function*() {
      const { call } = yield* t.running
      const { isFailure, result } = yield* call("process_output", { process_id: "lost" })
      assert.isTrue(isFailure)
      assert.deepInclude(result, { error: "operation_refused", retry: "never" })
      assert.include(result.message, "Operation lost is not known")
      const restarted = yield* over({
        output: (operationId) => new OperationRefused({ operationId, reason: "agentRestarted" })
      })
      const second = yield* restarted("process_output", { process_id: "p" })
      assert.include(second.result.message, "ended when the workspace's agent restarted; its output is lost")
    }).pipe(t.inWorld))
})

describe("process_list and process_signal", () => {
  it.effect("a signal ends a command, and the list knows how", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() => Effect.never)
      const { result: { process_id } } = yield* call("execute", { command: "server &" })
      assert.deepStrictEqual((yield* call("process_signal", { process_id, signal: "SIGINT" })).result, {
        process_id,
        running: false,
        exit_code: null,
        signal: "SIGINT"
      })
      yield* TestClock.adjust("90 seconds")
      assert.deepInclude((yield* call("process_list", {})).result.processes[0], {
        running: false,
        signal: "SIGINT",
        age_seconds: 90
      })
    }).pipe(t.inWorld))

  it.effect("lists what runs first, the youngest first, and no more than fits", () =>
    Effect.gen(function*() {
      const info = (id: string, state: ProcessState, ageMillis: number, argv = ["sh", "-c", "x"]): ProcessInfo => ({
        id: Ids.OperationId.make(id),
        argv,
        state,
        ageMillis
      })
      const few = yield* over({
        list: Effect.succeed([
          info("old", runningAt(0), 9000),
          info("ended", exited(1), 10),
          info("young", runningAt(0), 1000, ["npm", "test"])
        ])
      })
      const { processes } = (yield* few("process_list", {})).result
      assert.deepStrictEqual(processes, [
        { process_id: "young", command: "npm test", running: true, exit_code: null, age_seconds: 1 },
        { process_id: "old", command: "x", running: true, exit_code: null, age_seconds: 9 },
        { process_id: "ended", command: "x", running: false, exit_code: 1, age_seconds: 0 }
      ])
      const many = yield* over({
        list: Effect.succeed(
          Array.from({ length: 1000 }, (_, index) =>
            info(`p${index}`, runningAt(0), index, ["sh", "-c", "é".repeat(9999)]))
        )
      })
      const { result } = yield* many("process_list", {})
      assert.isAtMost(JSON.stringify(result).length, 33 * 1024)
      assert.strictEqual(result.processes.length + result.left_out, 1000)
    }))
})

describe("errors, in the words of the chat", () => {
  it.effect("a lost connection tells under which process_id the command may have gone on", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* call("process_list", {})
      yield* world.linkLostDuring(t.chatId)
      const ids: Array<string> = []
      yield* world.onExecute(({ id }) => {
        ids.push(id)
        return Effect.succeed({ stdout: "went on" })
      })
      const { isFailure, result } = yield* call("execute", { command: "deploy" })
      assert.isTrue(isFailure)
      assert.deepInclude(result, { error: "call_interrupted", retry: "never" })
      assert.include(result.message, `look at its outcome with process_output (process_id ${ids[0]})`)
      assert.deepInclude((yield* call("process_output", { process_id: ids[0] })).result, { output: "went on" })
    }).pipe(t.inWorld))

  it.effect("a stopped workspace, without a tool to start it, is the user's to start", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.stopped(t.chatId)
      for (
        const [tool, args] of [
          ["execute", { command: "ls" }],
          ["process_output", { process_id: "p" }],
          ["process_list", {}],
          ["process_signal", { process_id: "p", signal: "SIGTERM" }]
        ] as const
      ) {
        const { isFailure, result } = yield* call(tool, args)
        assert.isTrue(isFailure)
        assert.deepStrictEqual(result, {
          error: "no_workspace_agent",
          message:
            "The workspace is stopped. You cannot do this here: ask the user to start the workspace. Then repeat the call.",
          retry: "after-recovery"
        })
      }
    }).pipe(t.inWorld))

  it.effect("a folder that is not there is the call's fault", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() =>
        new CommandNotFound({ command: "sh", detail: "the working directory /nowhere does not exist" })
      )
      const { result } = yield* call("execute", { command: "ls", workdir: "/nowhere" })
      assert.deepStrictEqual(result, {
        error: "command_not_found",
        message: "sh: the working directory /nowhere does not exist. Correct the call.",
        retry: "never"
      })
    }).pipe(t.inWorld))

  it.effect("a command that was never sent did not run", () =>
    Effect.gen(function*() {
      const after = Duration.seconds(30)
      const call = yield* over({
        run: ({ id: operationId }) => new CallTimedOut({ agentId, operationId, sent: "notSent", after })
      })
      const { isFailure, result } = yield* call("execute", { command: "ls" })
      assert.isTrue(isFailure)
      assert.include(result.message, "the call did not run")
      assert.strictEqual(result.retry, "now-once")
    }))

  it.effect.each(
    [
      ["execute", { command: "" }],
      ["execute", { command: "ls", timeout: 0 }],
      ["execute", { command: "ls", timeout: "30" }],
      ["process_output", { process_id: "" }],
      ["process_output", { process_id: "p", offset: -1 }],
      ["process_signal", { process_id: "p", signal: "TERM" }]
    ] as const
  )("wrong arguments reach no workspace: %s %j", ([tool, args]) =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const [{ isFailure, result }, { dials }] = yield* world.counted(call(tool, args))
      assert.isTrue(isFailure)
      assert.deepInclude(result, { error: "invalid_arguments", retry: "never" })
      assert.strictEqual(dials, 0)
    }).pipe(t.inWorld))
})

describe("the bounds", () => {
  it.effect("are those of the configuration", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      yield* world.onExecute(() => Effect.never)
      const calling = yield* Effect.forkChild(call("execute", { command: "x" }), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.isTrue((yield* Fiber.join(calling)).result.timed_out)
      yield* world.onExecute(() => Effect.succeed({ stdout: "x".repeat(1000) }))
      assert.isAtMost((yield* call("execute", { command: "x" })).result.output.length, 200)
    }).pipe(t.inWorldWith({ executeTimeout: "2 seconds", outputBytes: 200 })))
})
