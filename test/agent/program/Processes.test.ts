import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Operations } from "../../../src/agent/program/Operations.ts"
import { Processes, type Start } from "../../../src/agent/program/Processes.ts"
import * as ProcessGroups from "../../../src/agent/program/ProcessGroups.ts"
import type { ProgramConfig } from "../../../src/agent/program/ProgramConfig.ts"
import {
  AgentBusy,
  chunkLimit,
  CommandNotFound,
  type OperationId,
  OperationRefused
} from "../../../src/agent/Protocol.ts"
import * as TestAgent from "./TestAgent.ts"

const quick: Partial<ProgramConfig> = { killAfter: Duration.millis(300) }

const make = Effect.fnUntraced(function*(config: Partial<ProgramConfig> = {}) {
  const { context, directory, stateDirectory } = yield* TestAgent.workplace({ ...quick, ...config })
  return { ...within(context), directory, stateDirectory }
})

const within = (context: Context.Context<Processes | Operations>) => {
  const processes = Context.get(context, Processes)
  const operations = Context.get(context, Operations)
  const follow = (id: OperationId, from = 0, wait = true) => TestAgent.collected(processes.follow({ id, from, wait }))
  return {
    ...processes,
    outcome: operations.outcome,
    follow,
    stream: processes.follow,
    sh: (script: string, id = TestAgent.id(), rest: Partial<Start> = {}) =>
      Effect.as(processes.start({ id, argv: ["sh", "-c", script], cwd: null, env: {}, ...rest }), id),
    run: Effect.fnUntraced(function*(argv: Start["argv"], rest: Partial<Start> = {}) {
      const id = TestAgent.id()
      yield* processes.start({ id, argv, cwd: null, env: {}, ...rest })
      return yield* follow(id)
    }),
    ended: (id: OperationId) => Effect.map(follow(id), ({ last }) => last)
  }
}

const refused = (operationId: OperationId, reason: OperationRefused["reason"]) =>
  new OperationRefused({ operationId, reason })

const lines = (path: string): ReadonlyArray<string> =>
  Fs.existsSync(path) ? Fs.readFileSync(path, "utf8").trim().split("\n") : []

/** Waits for the numbers that a script wrote. */
const pids = Effect.fnUntraced(function*(path: string, count: number) {
  yield* TestAgent.eventually(`${count} lines in ${path}`, () => lines(path).length >= count)
  return lines(path).map(Number)
})

const gone = (pids: ReadonlyArray<number>) =>
  TestAgent.eventually(`${pids.join()} are gone`, () => !pids.some(TestAgent.isAlive))

describe("Processes", () => {
  describe("start", () => {
    it.live("runs a command once, however often and at once it is sent", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = TestAgent.id()
        const start = agent.sh("echo run >> runs; sleep 0.1; exit 7", id)
        yield* Effect.all(Array.from({ length: 10 }, () => start), { concurrency: "unbounded" })
        assert.deepStrictEqual(yield* agent.ended(id), { _tag: "Exited", end: 0, code: 7, signal: null })
        assert.strictEqual(
          (yield* agent.start({ id, argv: ["sh", "-c", "echo run >> runs; sleep 0.1; exit 7"], cwd: null, env: {} }))
            ._tag,
          "Exited"
        )
        assert.deepStrictEqual(lines(Path.join(agent.directory, "runs")), ["run"])
      }))

    it.live("refuses an id that was used for another command, folder or environment", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = TestAgent.id()
        yield* agent.sh("true", id, { env: { A: "1", B: "2" } })
        assert.deepStrictEqual(yield* Effect.flip(agent.sh("false", id)), refused(id, "conflict"))
        assert.deepStrictEqual(yield* Effect.flip(agent.sh("true", id)), refused(id, "conflict"))
        assert.deepStrictEqual(
          yield* Effect.flip(agent.sh("true", id, { env: { A: "1", B: "2" }, cwd: "/" })),
          refused(id, "conflict")
        )
        yield* agent.sh("true", id, { env: { B: "2", A: "1" } })
      }))

    it.live("goes on when its caller leaves", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = TestAgent.id()
        const call = yield* Effect.forkChild(agent.sh("sleep 0.1; echo done > done", id), { startImmediately: true })
        yield* Fiber.interrupt(call)
        const follower = yield* Effect.forkChild(agent.ended(id), { startImmediately: true })
        yield* Fiber.interrupt(follower)
        assert.deepStrictEqual(yield* agent.ended(id), { _tag: "Exited", end: 0, code: 0, signal: null })
        assert.deepStrictEqual(lines(Path.join(agent.directory, "done")), ["done"])
      }))

    it.live("says that there is no such command, and lets the id be used again", () =>
      Effect.gen(function*() {
        const agent = yield* make({ runningProcesses: 1 })
        const id = TestAgent.id()
        const start = (argv: Start["argv"], cwd: string | null = null, env = {}) =>
          Effect.flip(agent.start({ id, argv, cwd, env }))
        Fs.writeFileSync(Path.join(agent.directory, "text"), "no program")
        assert.deepStrictEqual(
          yield* start(["no-such-command"]),
          new CommandNotFound({ command: "no-such-command", detail: "not found in PATH" })
        )
        assert.deepStrictEqual(
          yield* start(["./nothing"]),
          new CommandNotFound({ command: "./nothing", detail: "there is no such file" })
        )
        assert.deepStrictEqual(
          yield* start(["./text"]),
          new CommandNotFound({ command: "./text", detail: "is not an executable file" })
        )
        assert.deepStrictEqual(
          yield* start(["true"], "nowhere"),
          new CommandNotFound({
            command: "true",
            detail: `the working directory ${agent.directory}/nowhere does not exist`
          })
        )
        assert.strictEqual((yield* start(["true"], null, { PATH: "/nowhere" }))._tag, "CommandNotFound")
        assert.strictEqual((yield* start(["sh", "-c", "x".repeat(200_000)]))._tag, "CommandNotFound")
        assert.strictEqual((yield* start(["sh", "-c", "null\0byte"]))._tag, "CommandNotFound")
        assert.deepStrictEqual(yield* agent.outcome(id), { _tag: "Unknown" })
        yield* agent.sh("exit 0", id)
        assert.strictEqual((yield* agent.ended(id))?._tag, "Exited")
      }))

    it.live("runs so many at once and no more", () =>
      Effect.gen(function*() {
        const agent = yield* make({ runningProcesses: 2 })
        const first = yield* agent.sh("sleep 60")
        yield* agent.sh("sleep 60")
        const third = TestAgent.id()
        assert.deepStrictEqual(
          yield* Effect.flip(agent.sh("true", third)),
          new AgentBusy({ limit: "2 running processes" })
        )
        assert.deepStrictEqual(yield* agent.outcome(third), { _tag: "Unknown" })
        yield* agent.kill(first)
        yield* agent.ended(first)
        yield* agent.sh("true", third)
      }))

    it.live("gives the command its folder, environment, no input and not what is the agent's", () =>
      Effect.gen(function*() {
        const directory = yield* TestAgent.folder
        const stateDirectory = yield* TestAgent.folder
        const before = { ...process.env }
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            Object.assign(process.env, { CW_AGENT_TOKEN: "secret", CW_AGENT_URL: "x", CW_OTHER: "kept" })
          ),
          () =>
            Effect.sync(() => {
              process.env = before
            })
        )
        const agent = within(yield* Layer.build(TestAgent.services({ directory, stateDirectory })))
        Fs.mkdirSync(Path.join(directory, "sub"))
        const output = yield* agent.run(["sh", "-c", "pwd; echo $A $CW_OTHER; env | grep -c CW_AGENT; cat | wc -c"], {
          cwd: "sub",
          env: { A: "a" }
        })
        assert.deepStrictEqual(output.stdout.toString().trim().split(/\s+/), [
          `${directory}/sub`,
          "a",
          "kept",
          "0",
          "0"
        ])
      }))

    it.live("lets the system end the command rather than the agent when memory runs out", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const scores = yield* Effect.forEach(
          Array.from({ length: 5 }),
          () => Effect.map(agent.run(["cat", "/proc/self/oom_score_adj"]), ({ stdout }) => stdout.toString().trim())
        )
        assert.deepStrictEqual(scores, ["500", "500", "500", "500", "500"])
      }))

    it.live("is in the state file, which only its owner reads, before it is answered, until its group is empty", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const file = Path.join(agent.stateDirectory, "state.json")
        const groups = (): ReadonlyArray<{ readonly id: string; readonly pid: number }> =>
          JSON.parse(Fs.readFileSync(file, "utf8")).groups
        const id = yield* agent.sh("echo $$ > pids; (sleep 60 & echo $! >> pids; wait) > /dev/null & sleep 0.1")
        assert.deepStrictEqual(groups().map((group) => group.id), [id])
        assert.strictEqual(Fs.statSync(file).mode & 0o777, 0o600)
        const [leader] = yield* pids(Path.join(agent.directory, "pids"), 2)
        assert.strictEqual(groups()[0]?.pid, leader)
        assert.strictEqual((yield* agent.ended(id))?._tag, "Exited")
        yield* agent.run(["true"])
        yield* agent.sh("true")
        assert.include(groups().map((group) => group.id), id)
        yield* agent.kill(id)
        yield* TestAgent.eventually("the group is forgotten", () => groups().length === 0)
      }))
  })

  describe("end", () => {
    it.live("comes with the exit, not with the end of the output that a background child holds", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const output = yield* agent.run(["sh", "-c", "sleep 60 & echo $! > pids; echo said"])
        assert.strictEqual(output.stdout.toString(), "said\n")
        assert.deepStrictEqual(output.last, { _tag: "Exited", end: 5, code: 0, signal: null })
        const [child] = yield* pids(Path.join(agent.directory, "pids"), 1)
        assert.isTrue(TestAgent.isAlive(child ?? 0))
      }).pipe(Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => Effect.die("held by the child") })))

    it.live("still has what was written just before the exit", () =>
      Effect.gen(function*() {
        const agent = yield* make({ drainRate: 100_000 })
        const output = yield* agent.run(["sh", "-c", "head -c 120000 /dev/zero; echo end; sleep 0.1"])
        assert.strictEqual(output.stdout.length, 120_004)
        assert.strictEqual(output.stdout.subarray(-4).toString(), "end\n")
      }))

    it.live("still has what came in time while the agent itself was held up", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = yield* agent.sh("(sleep 0.15; echo late) & echo now")
        yield* Stream.runHead(agent.stream({ id, from: 0, wait: true }))
        yield* Effect.sleep("60 millis")
        const until = performance.now() + 400
        while (performance.now() < until);
        assert.strictEqual((yield* agent.follow(id)).stdout.toString(), "now\nlate\n")
      }))

    it.live("names the signal", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const output = yield* agent.run(["sh", "-c", "kill -9 $$"])
        assert.deepStrictEqual(output.last, { _tag: "Exited", end: 0, code: null, signal: "SIGKILL" })
      }))
  })

  describe("kill", () => {
    it.live("ends the whole group, at once and answered at once", () =>
      Effect.gen(function*() {
        const agent = yield* make({ killAfter: Duration.seconds(60) })
        const id = yield* agent.sh("echo $$ > pids; (sleep 60 & echo $! >> pids; wait) & echo $! >> pids; wait")
        const group = yield* pids(Path.join(agent.directory, "pids"), 3)
        const outcome = yield* agent.kill(id)
        assert.strictEqual(outcome._tag, "Process")
        assert.deepStrictEqual(yield* agent.ended(id), { _tag: "Exited", end: 0, code: null, signal: "SIGTERM" })
        yield* gone(group)
        assert.deepStrictEqual(yield* agent.outcome(id), {
          _tag: "Process",
          state: { _tag: "Exited", end: 0, code: null, signal: "SIGTERM" }
        })
      }))

    it.live("kills those that do not listen, also when their leader has gone before", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const stubborn = "trap '' TERM; echo $$ >> pids; while :; do sleep 60; done"
        const id = yield* agent.sh(`sh -c "$STUBBORN" & echo $$ >> pids; exec sleep 60`, TestAgent.id(), {
          env: { STUBBORN: stubborn }
        })
        const group = yield* pids(Path.join(agent.directory, "pids"), 2)
        yield* agent.kill(id)
        yield* agent.ended(id)
        yield* gone(group)
        const alone = yield* agent.sh("trap '' TERM; echo up; while :; do sleep 60; done")
        yield* Stream.runHead(agent.stream({ id: alone, from: 0, wait: true }))
        yield* agent.kill(alone)
        assert.deepStrictEqual(yield* agent.ended(alone), { _tag: "Exited", end: 3, code: null, signal: "SIGKILL" })
      }))

    it.live("of an id that is not known keeps it from ever starting", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = TestAgent.id()
        assert.deepStrictEqual(yield* agent.kill(id), { _tag: "Killed" })
        assert.deepStrictEqual(yield* Effect.flip(agent.sh("echo run > runs", id)), refused(id, "killed"))
        assert.deepStrictEqual(yield* agent.kill(id), { _tag: "Killed" })
        assert.deepStrictEqual(lines(Path.join(agent.directory, "runs")), [])
        const signalled = TestAgent.id()
        assert.deepStrictEqual(yield* Effect.flip(agent.signal(signalled, "SIGTERM")), refused(signalled, "unknown"))
        assert.deepStrictEqual(yield* Effect.flip(agent.sh("echo run > runs", signalled)), refused(signalled, "killed"))
      }))

    it.live("of one that is just being started: it never runs, or it is ended", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        let neverRan = 0
        for (let round = 0; round < 30; round++) {
          const id = TestAgent.id()
          const starting = yield* Effect.forkChild(Effect.result(agent.sh(`echo ${id} >> runs; sleep 60`, id)), {
            startImmediately: true
          })
          for (let turn = 0; turn < round % 6; turn++) yield* Effect.promise(() => new Promise(setImmediate))
          const outcome = yield* agent.kill(id)
          const started = yield* Fiber.join(starting)
          if (outcome._tag === "Killed") {
            neverRan++
            assert.deepStrictEqual(yield* agent.outcome(id), { _tag: "Killed" })
            assert.strictEqual(started._tag, "Failure")
            assert.notInclude(lines(Path.join(agent.directory, "runs")), id)
          } else {
            assert.strictEqual((yield* agent.ended(id))?._tag, "Exited")
          }
        }
        assert.isAbove(neverRan, 0)
      }))
  })

  describe("signal", () => {
    it.live("reaches the whole group and answers the state", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = yield* agent.sh("trap 'echo got; exit 4' USR1; echo up; while :; do sleep 0.02; done")
        yield* Stream.runHead(agent.stream({ id, from: 0, wait: true }))
        assert.deepStrictEqual(yield* agent.signal(id, "SIGUSR1"), { _tag: "Running", end: 3 })
        const output = yield* agent.follow(id)
        assert.strictEqual(output.stdout.toString(), "up\ngot\n")
        assert.strictEqual((yield* agent.signal(id, "SIGUSR1"))._tag, "Exited")
      }))
  })

  describe("follow", () => {
    it.live("gives every byte as it was, also those that are no text or are split within a character", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
        Fs.writeFileSync(Path.join(agent.directory, "all"), all)
        const output = yield* agent.run([
          "sh",
          "-c",
          "cat all; printf '\\303'; sleep 0.1; printf '\\274'; printf err >&2"
        ])
        assert.isTrue(output.stdout.equals(Buffer.concat([all, Buffer.from("ü")])))
        assert.strictEqual(output.stderr.toString(), "err")
        let next = 0
        for (const event of output.events) {
          if (event._tag !== "Data") continue
          assert.strictEqual(event.offset, next)
          next += event.bytes.length
        }
        assert.strictEqual(next, 261)
      }))

    it.live("serves any number of followers, each from its own offset", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = yield* agent.sh("for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.02; done")
        const outputs = yield* Effect.forEach([0, 7, 10, 56, 99], (from) => agent.follow(id, from), {
          concurrency: "unbounded"
        })
        const text = [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `line ${i}\n`).join("")
        assert.deepStrictEqual(
          outputs.map(({ stdout }) => stdout.toString()),
          [text, text.slice(7), text.slice(10), "", ""]
        )
        for (const { last } of outputs) assert.deepStrictEqual(last, { _tag: "Exited", end: 56, code: 0, signal: null })
        assert.strictEqual((yield* agent.follow(id, 49)).stdout.toString(), "line 8\n")
      }))

    it.live("without waiting gives what there is, closed by the state", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = yield* agent.sh("echo said; sleep 60")
        yield* Stream.runHead(agent.stream({ id, from: 0, wait: true }))
        const output = yield* agent.follow(id, 0, false)
        assert.strictEqual(output.stdout.toString(), "said\n")
        assert.deepStrictEqual(output.last, { _tag: "Running", end: 5 })
        const unknown = TestAgent.id()
        assert.deepStrictEqual(yield* Effect.flip(agent.follow(unknown)), refused(unknown, "unknown"))
      }))

    it.live("sends a burst of small writes together", () =>
      Effect.gen(function*() {
        const agent = yield* make({ coalesce: Duration.seconds(1) })
        const id = yield* agent.sh("while [ ! -e go ]; do sleep 0.01; done; echo a; sleep 0.02; echo b; sleep 60")
        const follower = yield* Effect.forkChild(Stream.runHead(agent.stream({ id, from: 0, wait: true })), {
          startImmediately: true
        })
        Fs.writeFileSync(Path.join(agent.directory, "go"), "")
        const first = yield* Fiber.join(follower)
        assert.strictEqual(first._tag === "Some" && first.value._tag === "Data" ? first.value.bytes.length : 0, 4)
      }))

    it.live("keeps beginning and end of an output without end in bounded memory, and tells a slow reader of gaps", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const id = yield* agent.sh("exec yes 0123456")
        let slow = 0
        let gaps = 0
        let next = 0
        let afterGap = false
        yield* agent.stream({ id, from: 0, wait: true }).pipe(
          Stream.tap((event) =>
            Effect.gen(function*() {
              if (event._tag === "Gap") {
                assert.strictEqual(event.from, next)
                gaps++
                next = event.to
                afterGap = true
              }
              if (event._tag === "Data") {
                assert.strictEqual(event.offset, next)
                assert.isAtMost(event.bytes.length, chunkLimit)
                assert.strictEqual(String.fromCharCode(event.bytes[0] ?? 0), "0123456\n"[event.offset % 8])
                // Who fell behind twice goes on near the end, or it would be overrun at once.
                if (afterGap && gaps > 1) assert.isAtMost(event.bytes.length, 192 * 1024)
                afterGap = false
                next += event.bytes.length
                slow += event.bytes.length
              }
              // A reader that is slower than the command, on purpose.
              yield* Effect.sleep("20 millis")
            })
          ),
          Stream.takeUntil(() => next > 40_000_000),
          Stream.runDrain
        )
        yield* agent.kill(id)
        assert.strictEqual((yield* agent.ended(id))?._tag, "Exited")
        const output = yield* agent.follow(id, 0, false)
        const [gap] = output.gaps
        assert.strictEqual(output.gaps.length, 1)
        assert.strictEqual(gap?.from, 256 * 1024)
        assert.strictEqual(output.stdout.length, 1024 * 1024)
        assert.isAbove(gaps, 1)
        assert.isBelow(slow, 40_000_000)
      }))

    it.live("reads the output of all together no faster than agreed", () =>
      Effect.gen(function*() {
        const agent = yield* make({ drainRate: 2_000_000 })
        const ids = yield* Effect.all([agent.sh("exec yes"), agent.sh("exec yes"), agent.sh("exec yes")])
        const begun = performance.now()
        yield* Effect.sleep("500 millis")
        const states = yield* Effect.forEach(ids, (id) => agent.signal(id, "SIGKILL"))
        const elapsed = (performance.now() - begun) / 1_000
        const total = states.reduce((sum, { end }) => sum + end, 0)
        // Each stream may bring one piece of 64 KiB before it is paused for the first time.
        assert.isBelow(total, 2_000_000 * elapsed + 3 * 2 * 65_536 + 200_000)
        assert.isAbove(total, 500_000)
      }))
  })

  describe("memory", () => {
    const kept = (agent: Effect.Success<ReturnType<typeof make>>, id: OperationId) =>
      Effect.map(agent.follow(id, 0, false), ({ stdout }) => stdout.length)

    it.live("holds the output of so many finished processes, the oldest dropped first", () =>
      Effect.gen(function*() {
        const agent = yield* make({ finishedOutputs: 2 })
        const ids: Array<OperationId> = []
        for (const text of ["one", "two", "three"]) {
          const id = yield* agent.sh(`echo ${text}`)
          yield* agent.ended(id)
          ids.push(id)
        }
        const [first, second, third] = ids
        if (first === undefined || second === undefined || third === undefined) return assert.fail("three ids")
        assert.deepStrictEqual([yield* kept(agent, first), yield* kept(agent, second), yield* kept(agent, third)], [
          0,
          4,
          6
        ])
        const dropped = yield* agent.follow(first)
        assert.deepStrictEqual(dropped.events, [
          { _tag: "Gap", from: 0, to: 4 },
          { _tag: "Exited", end: 4, code: 0, signal: null }
        ])
        assert.deepStrictEqual((yield* agent.list).map(({ id }) => id), [second, third])
        assert.strictEqual((yield* agent.outcome(first))._tag, "Process")
      }))

    it.live("holds so many bytes of output, and those of running processes before those of finished ones", () =>
      Effect.gen(function*() {
        const agent = yield* make({ outputBytes: 250_000 })
        const bytes = (count: number, then = "") => agent.sh(`head -c ${count} /dev/zero; ${then}`)
        const first = yield* bytes(90_000)
        yield* agent.ended(first)
        const second = yield* bytes(90_000)
        yield* agent.ended(second)
        assert.deepStrictEqual([yield* kept(agent, first), yield* kept(agent, second)], [90_000, 90_000])
        const running = yield* bytes(90_000, "echo x; sleep 60")
        yield* agent.stream({ id: running, from: 90_000, wait: true }).pipe(
          Stream.takeUntil((event) => event._tag === "Data" && event.offset + event.bytes.length === 90_002),
          Stream.runDrain
        )
        assert.strictEqual(yield* kept(agent, first), 0)
        assert.strictEqual(yield* kept(agent, running), 90_002)
      }))

    it.live("lists what runs and what is kept, with arguments cut short", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const done = yield* agent.sh("true")
        yield* agent.ended(done)
        const running = yield* agent.sh(`sleep 60; : ${"x".repeat(5_000)}`)
        const list = yield* agent.list
        assert.deepStrictEqual(list.map(({ id, state }) => [id, state._tag]), [[done, "Exited"], [running, "Running"]])
        assert.isAtMost(list[1]?.argv.join("").length ?? 0, 1_030)
        assert.isAtLeast(list[0]?.ageMillis ?? -1, 0)
      }))
  })

  describe("incarnations", () => {
    it.live("an agent that ends takes its processes with it, those that do not listen too", () =>
      Effect.gen(function*() {
        const directory = yield* TestAgent.folder
        const stateDirectory = yield* TestAgent.folder
        const scope = yield* Scope.make()
        const agent = within(
          yield* Layer.buildWithScope(TestAgent.services({ directory, stateDirectory }, quick), scope)
        )
        yield* agent.sh("trap 'echo bye > bye; exit' TERM; echo $$ >> pids; while :; do sleep 0.02; done")
        yield* agent.sh("trap '' TERM; echo $$ >> pids; while :; do sleep 60; done")
        const all = yield* pids(Path.join(directory, "pids"), 2)
        yield* Scope.close(scope, Exit.void)
        yield* gone(all)
        assert.deepStrictEqual(lines(Path.join(directory, "bye")), ["bye"])
        assert.isFalse(Fs.existsSync(Path.join(stateDirectory, "lock")))
      }))

    it.live("the next one kills what the last one left behind, and no stranger, and answers for its ids", () =>
      Effect.gen(function*() {
        const directory = yield* TestAgent.folder
        const stateDirectory = yield* TestAgent.folder
        const sleeper = (script = "exec sleep 60") =>
          Effect.acquireRelease(
            Effect.sync(() => spawn("sh", ["-c", script], { detached: true, stdio: "ignore", cwd: directory })),
            (child) => Effect.sync(() => child.kill("SIGKILL"))
          )
        const exited = (child: ReturnType<typeof spawn>) =>
          Effect.callback<void>((resume) => void child.once("exit", () => resume(Effect.void)))
        const [ours, stranger, leader] = [
          yield* sleeper(),
          yield* sleeper(),
          yield* sleeper("sleep 60 & echo $! > pids")
        ]
        yield* exited(leader)
        const [background] = yield* pids(Path.join(directory, "pids"), 1)
        const group = (id: string, child: { readonly pid?: number | undefined }, later = 0) => ({
          id,
          pid: child.pid ?? 0,
          start: (ProcessGroups.startTime(child.pid ?? 0) ?? 0) + later
        })
        const state = {
          machine: ProcessGroups.machine(),
          groups: [group("silent", ours), group("left", leader), group("reused", stranger, -1)],
          ended: [{ id: "long-ago", atMillis: 0 }, { id: "of-late", atMillis: Date.now() - 1_000 }]
        }
        Fs.writeFileSync(Path.join(stateDirectory, "state.json"), JSON.stringify(state))
        const dead = yield* Effect.forkChild(exited(ours), { startImmediately: true })
        const agent = within(yield* Layer.build(TestAgent.services({ directory, stateDirectory }, quick)))
        yield* Fiber.join(dead)
        yield* gone([background ?? 0])
        assert.isTrue(TestAgent.isAlive(stranger.pid ?? 0))
        const ids = ["silent", "left", "reused", "of-late", "long-ago"].map((id) => id as OperationId)
        assert.deepStrictEqual(
          (yield* Effect.forEach(ids, agent.outcome)).map(({ _tag }) => _tag),
          ["AgentRestarted", "AgentRestarted", "AgentRestarted", "AgentRestarted", "Unknown"]
        )
        const [silent] = ids
        if (silent === undefined) return assert.fail("an id")
        assert.deepStrictEqual(yield* Effect.flip(agent.sh("true", silent)), refused(silent, "agentRestarted"))
        assert.deepStrictEqual(yield* agent.kill(silent), { _tag: "AgentRestarted" })
        assert.deepStrictEqual(yield* Effect.flip(agent.follow(silent)), refused(silent, "agentRestarted"))
      }))

    it.live("kills nothing that was started in another boot or namespace", () =>
      Effect.gen(function*() {
        const directory = yield* TestAgent.folder
        const stateDirectory = yield* TestAgent.folder
        const child = yield* Effect.acquireRelease(
          Effect.sync(() => spawn("sleep", ["60"], { detached: true, stdio: "ignore" })),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        const pid = child.pid ?? 0
        const state = {
          machine: "another",
          groups: [{ id: "a", pid, start: ProcessGroups.startTime(pid) }],
          ended: []
        }
        Fs.writeFileSync(Path.join(stateDirectory, "state.json"), JSON.stringify(state))
        const agent = within(yield* Layer.build(TestAgent.services({ directory, stateDirectory }, quick)))
        assert.deepStrictEqual(yield* agent.outcome("a" as OperationId), { _tag: "AgentRestarted" })
        assert.isTrue(TestAgent.isAlive(pid))
      }))
  })
})
