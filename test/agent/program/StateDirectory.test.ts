import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as Path from "node:path"
import * as ProcessGroups from "../../../src/agent/program/ProcessGroups.ts"
import * as StateDirectory from "../../../src/agent/program/StateDirectory.ts"
import { OperationId } from "../../../src/agent/Protocol.ts"
import * as TestAgent from "./TestAgent.ts"

const open = Effect.fnUntraced(function*(stateDirectory: string) {
  const context = yield* Layer.build(
    StateDirectory.layer.pipe(Layer.provide(TestAgent.settings({ directory: "/", stateDirectory })))
  )
  return Context.get(context, StateDirectory.StateDirectory)
})

const problem = (directory: string) => Effect.map(Effect.flip(open(directory)), ({ message }) => message)

const group = (id: string, pid = 1) => ({ id: OperationId.make(id), pid, start: 2 })

describe("StateDirectory", () => {
  it.effect("is made for its owner alone and hands groups on to the next incarnation", () =>
    Effect.gen(function*() {
      const directory = Path.join(yield* TestAgent.folder, "a", "state")
      const first = yield* Scope.make()
      const state = yield* Scope.provide(open(directory), first)
      assert.deepStrictEqual(state.earlier, { groups: [], operations: [] })
      assert.strictEqual(Fs.statSync(directory).mode & 0o777, 0o700)
      yield* state.save(() => [group("x"), group("y")])
      assert.strictEqual(Fs.statSync(Path.join(directory, "state.json")).mode & 0o777, 0o600)
      yield* Scope.close(first, Exit.void)
      assert.deepStrictEqual(Fs.readdirSync(directory), ["state.json"])
      const second = yield* Scope.make()
      const next = yield* Scope.provide(open(directory), second)
      assert.deepStrictEqual(next.earlier.groups, [group("x"), group("y")])
      yield* next.save(() => [group("z")])
      yield* Scope.close(second, Exit.void)
      const last = yield* open(directory)
      assert.deepStrictEqual(last.earlier, {
        groups: [group("z")],
        operations: ["x", "y", "z"].map((id) => OperationId.make(id))
      })
    }))

  it.effect("keeps the groups of servers beside those of commands; they are no operations", () =>
    Effect.gen(function*() {
      const directory = yield* TestAgent.folder
      const scope = yield* Scope.make()
      const state = yield* Scope.provide(open(directory), scope)
      const server = group(StateDirectory.serverGroupId, 7)
      yield* state.save(() => [group("x")])
      yield* state.save(() => [server], "servers")
      yield* state.save(() => [group("y")])
      yield* Scope.close(scope, Exit.void)
      const { earlier } = yield* open(directory)
      assert.deepStrictEqual(new Set(earlier.groups), new Set([group("y"), server]))
      assert.deepStrictEqual(earlier.operations, [OperationId.make("y")])
    }))

  it.effect("is used by one program at a time", () =>
    Effect.gen(function*() {
      const directory = yield* TestAgent.folder
      const scope = yield* Scope.make()
      yield* Scope.provide(open(directory), scope)
      assert.strictEqual(
        yield* problem(directory),
        `CW_AGENT_STATE_DIR is in use by another agent (process ${process.pid}): ${directory}`
      )
      yield* Scope.close(scope, Exit.void)
      yield* open(directory)
    }))

  it.effect("is taken over from a program that is gone, by number, time of start, boot or namespace", () =>
    Effect.gen(function*() {
      const machine = ProcessGroups.machine()
      const start = ProcessGroups.startTime(process.pid)
      const child = spawn("true")
      yield* Effect.callback<void>((resume) => void child.once("exit", () => resume(Effect.void)))
      const stale = [
        JSON.stringify({ machine, pid: child.pid, start }),
        JSON.stringify({ machine, pid: process.pid, start: (start ?? 0) - 1 }),
        JSON.stringify({ machine: "another", pid: process.pid, start }),
        "",
        "no lock"
      ]
      for (const holder of stale) {
        const directory = yield* TestAgent.folder
        Fs.writeFileSync(Path.join(directory, "lock"), holder)
        yield* open(directory)
        const { pid } = JSON.parse(Fs.readFileSync(Path.join(directory, "lock"), "utf8"))
        assert.strictEqual(pid, process.pid)
        assert.deepStrictEqual(Fs.readdirSync(directory), ["lock"])
      }
    }))

  it.effect("is refused when others can write to it, or it is none", () =>
    Effect.gen(function*() {
      const directory = yield* TestAgent.folder
      Fs.chmodSync(directory, 0o777)
      assert.match(yield* problem(directory), /others may write to it/)
      Fs.chmodSync(directory, 0o755)
      const file = Path.join(directory, "file")
      Fs.writeFileSync(file, "")
      assert.match(yield* problem(file), /^CW_AGENT_STATE_DIR is not a folder/)
      const other = yield* TestAgent.folder
      Fs.symlinkSync(other, Path.join(directory, "link"))
      assert.match(yield* problem(Path.join(directory, "link")), /^CW_AGENT_STATE_DIR is not a folder/)
    }))

  it.effect("starts anew from a file that it cannot read", () =>
    Effect.gen(function*() {
      for (const content of ["", "{", "{\"groups\":1}"]) {
        const directory = yield* TestAgent.folder
        Fs.writeFileSync(Path.join(directory, "state.json"), content)
        const { earlier } = yield* open(directory)
        assert.deepStrictEqual(earlier, { groups: [], operations: [] })
      }
    }))

  it.live("lets saves that wait share one write, and ends each with a file that holds it", () =>
    Effect.gen(function*() {
      const directory = yield* TestAgent.folder
      const state = yield* open(directory)
      const { rename } = Fs.promises
      const first = Promise.withResolvers<void>()
      let writes = 0
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          Fs.promises.rename = (from, to) => {
            writes++
            return writes > 1 ? rename(from, to) : first.promise.then(() => rename(from, to))
          }
          syncBuiltinESMExports()
        }),
        () =>
          Effect.sync(() => {
            Fs.promises.rename = rename
            syncBuiltinESMExports()
          })
      )
      const groups: Array<ReturnType<typeof group>> = []
      const saved = () => JSON.parse(Fs.readFileSync(Path.join(directory, "state.json"), "utf8")).groups.length
      const seen: Array<readonly [number, number]> = []
      const save = (index: number) =>
        Effect.gen(function*() {
          groups.push(group(`${index}`))
          yield* state.save(() => [...groups])
          seen.push([index, saved()])
        })
      const all = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 20 }, (_, index) => index), save, { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* TestAgent.eventually("the first write waits", () => writes === 1)
      first.resolve()
      yield* Fiber.join(all)
      assert.strictEqual(writes, 2)
      for (const [index, count] of seen) assert.isAbove(count, index)
    }))

  it.effect("does not stop a command when the disk is full", () =>
    Effect.gen(function*() {
      const directory = yield* TestAgent.folder
      const state = yield* open(directory)
      Fs.mkdirSync(Path.join(directory, "state.json"))
      yield* state.save(() => [group("x")])
      Fs.rmdirSync(Path.join(directory, "state.json"))
      yield* state.save(() => [group("x")])
      assert.isTrue(Fs.existsSync(Path.join(directory, "state.json")))
    }))
})
