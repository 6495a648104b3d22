/**
 * How an application tests its own code against workspaces in every state: no database, no socket, no process, and time
 * is virtual. `runTests` stands for a tool of the application.
 */
import { assert, describe, it } from "@effect/vitest"
import { ChatWorkspaces } from "chat-workspace/dial"
import { Ids, Recovery } from "chat-workspace/domain"
import { TestBuilds, TestWorkspaces } from "chat-workspace/testing"
import { ChatTools } from "chat-workspace/tool"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

const chat = Ids.ChatId.make("chat-1")

const toolNames = ["create_workspace", "start_workspace", "stop_workspace", "process_output"]

/** The tool: runs the tests of the chat's project, and tells the model what came of it. */
const runTests = Effect.fn("runTests")(function*(chatId: Ids.ChatId) {
  const workspace = yield* (yield* ChatWorkspaces.ChatWorkspaces).open(chatId)
  const id = Ids.OperationId.make("call-1")
  const { code } = yield* workspace.use(({ processes }) => processes.run({ id, argv: ["npm", "test"] }))
  return code === 0 ? "All tests pass." : `The tests fail with code ${code}.`
}, Effect.catch((error) => Effect.succeed(Recovery.explain(error, { toolNames }))))

/** The tool with as much time as it likes. */
const patiently = Effect.gen(function*() {
  const call = yield* Effect.forkChild(runTests(chat), { startImmediately: true })
  yield* TestClock.adjust("40 seconds")
  return yield* Fiber.join(call)
})

describe("runTests", () => {
  it.effect("running: says what the tests came to, without a query once it is connected", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chat)
      yield* world.onExecute(({ argv }) => Effect.succeed({ code: argv.includes("test") ? 1 : 0 }))
      assert.strictEqual(yield* runTests(chat), "The tests fail with code 1.")
      assert.deepInclude(world.counts(), { dials: 1, open: 1 })
    }).pipe(TestWorkspaces.provide))

  it.effect("stopped: asks to start the workspace, at once", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chat)
      assert.include(yield* runTests(chat), "The workspace is stopped. Call start_workspace")
    }).pipe(TestWorkspaces.provide))

  it.effect("rebuilt: works with the new agent, and remembers it", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.rebuilt(chat)
      assert.strictEqual(yield* runTests(chat), "All tests pass.")
      const [, { dials, queries }] = yield* world.counted(runTests(chat))
      assert.deepInclude({ ...queries, dials }, { binding: 1, latestBuild: 0, dials: 0 })
    }).pipe(TestWorkspaces.provide))

  it.effect("agentDead: asks to stop and start, after five more seconds of hope", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.agentDead(chat)
      assert.include(yield* patiently, "its agent disconnected 125 s ago. Call stop_workspace, then start_workspace")
    }).pipe(TestWorkspaces.provide))

  it.effect("agentFrozen: the command may still be running", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chat)
      yield* runTests(chat)
      yield* world.agentFrozen(chat)
      assert.include(yield* patiently, "it may still be running. Do not repeat the call")
    }).pipe(TestWorkspaces.provide))

  it.effect("neverConnects: asks to stop and start", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.neverConnects(chat)
      assert.include(yield* patiently, "its agent has not connected once in 305 s. Call stop_workspace")
    }).pipe(TestWorkspaces.provide))

  it.effect("linkLostDuring: says under which id the command went on", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.linkLostDuring(chat)
      assert.include(yield* runTests(chat), "look at its outcome with process_output (process_id call-1)")
    }).pipe(TestWorkspaces.provide))

  it.effect("databaseDown: says nothing about the workspace", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.databaseDown()
      assert.include(yield* runTests(chat), "The database could not answer")
    }).pipe(TestWorkspaces.provide))

  it.effect("slowStart: asks to start, which waits; and runs when the workspace does", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.slowStart(chat, { takes: "20 seconds" })
      assert.include(yield* runTests(chat), "is starting and has no agent yet. Call start_workspace, which waits")
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* runTests(chat), "All tests pass.")
    }).pipe(TestWorkspaces.provide))
})

/** A tool of the model, as the application's loop calls it. */
const callTool = Effect.fn("callTool")(function*(name: string, args: object = {}) {
  const { plain } = yield* (yield* ChatTools.ChatTools).open({ chatId: chat, owner: TestWorkspaces.owner })
  const tool = plain.find((tool) => tool.name === name)
  return yield* Effect.promise((signal) => tool?.execute(args, { signal }) ?? Promise.reject(new Error(name)))
})

const create = callTool("create_workspace", { template_id: "template" })

describe("the tools of the model", () => {
  it.effect("onBuild: the model is told why a build failed, and builds the same workspace again", () =>
    Effect.gen(function*() {
      const builds = yield* TestBuilds.TestBuilds
      yield* builds.onBuild({ fails: "no space left" })
      assert.include(yield* create, { status: "failed", error: "The start build failed: no space left" })
      yield* builds.onBuild({})
      assert.include(yield* callTool("start_workspace"), { started: true })
      assert.strictEqual(yield* runTests(chat), "All tests pass.")
    }).pipe(TestBuilds.provide))

  it.effect("onAgent: the model is told that the start-up scripts failed", () =>
    Effect.gen(function*() {
      const builds = yield* TestBuilds.TestBuilds
      yield* builds.onAgent({ scripts: "start_error" })
      assert.include(yield* create, { created: true, startup_scripts: "startup_scripts_failed" })
    }).pipe(TestBuilds.provide))
})
