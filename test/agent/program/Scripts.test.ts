import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Processes } from "../../../src/agent/program/Processes.ts"
import * as ProgramConfig from "../../../src/agent/program/ProgramConfig.ts"
import * as Scripts from "../../../src/agent/program/Scripts.ts"
import { CommandNotFound, type ProcessState, scriptIds } from "../../../src/agent/Protocol.ts"
import * as TestAgent from "./TestAgent.ts"

type End = { readonly code: number | null; readonly signal: string | null }

/** Scripts whose end the test gives; what they said of the lifecycle so far. */
const make = Effect.fnUntraced(function*(scripts: {
  readonly startupScript?: string
  readonly shutdownScript?: string
  readonly missing?: boolean
}) {
  const calls: Array<string> = []
  const ends = {
    startup: Deferred.makeUnsafe<End>(),
    shutdown: Deferred.makeUnsafe<End>()
  }
  const running: ProcessState = { _tag: "Running", end: 0 }
  const processes = Processes.of({
    start: ({ argv, cwd, env, id }) =>
      Effect.suspend(() => {
        calls.push(`start ${id} ${argv.join(" ")} ${cwd} ${Object.keys(env).length}`)
        return scripts.missing === true
          ? Effect.fail(new CommandNotFound({ command: "sh", detail: "is not here" }))
          : Effect.succeed(running)
      }),
    follow: ({ id }) =>
      Stream.fromEffect(Effect.map(
        Deferred.await(id === scriptIds.startup ? ends.startup : ends.shutdown),
        (exit) => ({ _tag: "Exited" as const, end: 0, ...exit })
      )),
    kill: (id) =>
      Effect.sync(() => {
        calls.push(`kill ${id}`)
        return { _tag: "Killed" as const }
      }),
    list: Effect.die("not asked"),
    signal: () => Effect.die("not asked")
  })
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    Scripts.layerShutdown.pipe(
      Layer.provideMerge(Scripts.layer),
      Layer.provide([
        Layer.succeed(Processes, processes),
        TestAgent.settings({ directory: "/", stateDirectory: "/", ...scripts }),
        ProgramConfig.layer({})
      ])
    ),
    scope
  )
  const { lifecycle } = yield* Effect.provide(Scripts.Scripts, context)
  /** Hears everything from now on; its fiber ends when there is no more to hear. */
  const follow = Effect.gen(function*() {
    const heard: Array<string> = []
    const fiber = yield* lifecycle.pipe(
      Stream.runForEach(({ lifecycle }) => Effect.sync(() => heard.push(lifecycle))),
      Effect.forkChild({ startImmediately: true })
    )
    return { heard, fiber }
  })
  const end = (script: "startup" | "shutdown", exit: Partial<End>) =>
    Effect.andThen(
      Deferred.succeed(ends[script], { code: null, signal: null, ...exit }),
      TestClock.adjust(0)
    )
  const closing = Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true }).pipe(
    Effect.tap(TestClock.adjust(0))
  )
  yield* TestClock.adjust(0)
  return { calls, lifecycle, follow, end, closing }
})

describe("a start-up script", () => {
  it.effect("runs once in a shell, in the folder and environment of the agent, under its own id", () =>
    Effect.gen(function*() {
      const { calls, end, follow } = yield* make({ startupScript: "npm ci" })
      const { heard } = yield* follow
      assert.deepStrictEqual(calls, ["start startup sh -c npm ci null 0"])
      assert.deepStrictEqual(heard, ["starting"])
      yield* end("startup", { code: 0 })
      assert.deepStrictEqual(heard, ["starting", "ready"])
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(calls.length, 1)
    }))

  it.effect("that is not there leaves the agent ready at once", () =>
    Effect.gen(function*() {
      const { calls, follow } = yield* make({})
      assert.deepStrictEqual((yield* follow).heard, ["ready"])
      assert.deepStrictEqual(calls, [])
    }))

  for (const exit of [{ code: 1 }, { signal: "SIGKILL" }]) {
    it.effect(`that ends with ${JSON.stringify(exit)} is an error`, () =>
      Effect.gen(function*() {
        const { end, follow } = yield* make({ startupScript: "false" })
        const { heard } = yield* follow
        yield* end("startup", exit)
        assert.deepStrictEqual(heard, ["starting", "start_error"])
      }))
  }

  it.effect("that cannot be started is an error", () =>
    Effect.gen(function*() {
      const { follow } = yield* make({ startupScript: "true", missing: true })
      assert.deepStrictEqual((yield* follow).heard, ["start_error"])
    }))

  it.effect("over its limit is left running, and what it comes to then changes nothing", () =>
    Effect.gen(function*() {
      const { calls, end, follow } = yield* make({ startupScript: "sleep 700" })
      const { heard } = yield* follow
      yield* TestClock.adjust("599999 millis")
      assert.deepStrictEqual(heard, ["starting"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(heard, ["starting", "start_timeout"])
      assert.notInclude(calls, "kill startup")
      yield* end("startup", { code: 0 })
      assert.deepStrictEqual(heard, ["starting", "start_timeout"])
    }))
})

describe("the end of the agent", () => {
  it.effect("is off at once without a script", () =>
    Effect.gen(function*() {
      const { closing, follow } = yield* make({})
      const { fiber, heard } = yield* follow
      const closed = yield* closing
      assert.isDefined(closed.pollUnsafe())
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual(heard, ["ready", "shutting_down", "off"])
    }))

  it.effect("is not confused by a start-up script that ends only then", () =>
    Effect.gen(function*() {
      const { closing, end, follow } = yield* make({ startupScript: "sleep 5", shutdownScript: "sleep 6" })
      const { heard } = yield* follow
      yield* closing
      yield* end("startup", { code: 0 })
      assert.deepStrictEqual(heard, ["starting", "shutting_down"])
      yield* end("shutdown", { code: 0 })
      assert.deepStrictEqual(heard, ["starting", "shutting_down", "off"])
    }))

  it.effect("waits for the shutdown script, and who comes in late hears the present", () =>
    Effect.gen(function*() {
      const { calls, closing, end, follow } = yield* make({ shutdownScript: "git stash" })
      const early = yield* follow
      const closed = yield* closing
      assert.deepStrictEqual(calls, ["start shutdown sh -c git stash null 0"])
      const late = yield* follow
      assert.isUndefined(closed.pollUnsafe())
      yield* end("shutdown", { code: 0 })
      assert.deepStrictEqual([early.heard, late.heard], [["ready", "shutting_down", "off"], ["shutting_down", "off"]])
      assert.isDefined(closed.pollUnsafe())
    }))

  it.effect("is an error where the shutdown script fails", () =>
    Effect.gen(function*() {
      const { closing, end, follow } = yield* make({ shutdownScript: "false" })
      const { heard } = yield* follow
      yield* closing
      yield* end("shutdown", { code: 3 })
      assert.deepStrictEqual(heard, ["ready", "shutting_down", "shutdown_error"])
    }))

  it.effect("kills a shutdown script over its limit", () =>
    Effect.gen(function*() {
      const { calls, closing, follow } = yield* make({ shutdownScript: "sleep 60" })
      const { heard } = yield* follow
      const closed = yield* closing
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(heard, ["ready", "shutting_down"])
      assert.notInclude(calls, "kill shutdown")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(heard, ["ready", "shutting_down", "shutdown_error"])
      assert.include(calls, "kill shutdown")
      assert.isDefined(closed.pollUnsafe())
    }))

  it.effect("waits a second for who does not take the last word, and no more", () =>
    Effect.gen(function*() {
      const { closing, lifecycle } = yield* make({})
      const stuck = yield* Effect.forkChild(Stream.runForEach(lifecycle, () => Effect.never), {
        startImmediately: true
      })
      const closed = yield* closing
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(closed.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(closed.pollUnsafe())
      assert.isUndefined(stuck.pollUnsafe())
    }))

  it.effect("waits for nobody who has left", () =>
    Effect.gen(function*() {
      const { closing, lifecycle } = yield* make({})
      yield* Effect.forkChild(Stream.runForEach(Stream.take(lifecycle, 1), () => Effect.void), {
        startImmediately: true
      })
      assert.isDefined((yield* closing).pollUnsafe())
    }))
})
