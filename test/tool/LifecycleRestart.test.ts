import { assert, describe } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Binding } from "../../src/domain/Binding.ts"
import type { Transition } from "../../src/domain/Build.ts"
import { Workspaces } from "../../src/provisioner/Workspaces.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { MemoryStore } from "../../src/store/MemoryStore.ts"
import { ScriptedProvider } from "../../src/testing/ScriptedProvider.ts"
import * as TestWorkspaces from "../../src/testing/TestWorkspaces.ts"
import { after, chat, crowd, meddler, now, same, tags, test, told } from "./LifecycleWorld.ts"
import type { Hands, Json, Services } from "./LifecycleWorld.ts"

const failed = (transition: Transition) => ({ transition, status: "failed" }) as const

const row = Effect.flatMap(ChatBindings, ({ get }) => get(chat))

interface State {
  readonly name: string
  readonly arrange: (hands: Hands) => Effect.Effect<unknown, never, Services>
}

const place = { workspace_name: "workspace-1", workspace_id: "workspace of chat" }

describe("start_workspace", () => {
  const builds: ReadonlyArray<State> = [
    { name: "that is stopped", arrange: ({ world }) => world.stopped(chat) },
    { name: "whose last start failed", arrange: ({ world }) => world.lastBuild(chat, failed("start")) },
    {
      name: "whose last start was canceled",
      arrange: ({ world }) => world.lastBuild(chat, { transition: "start", status: "canceled" })
    },
    { name: "whose last stop failed", arrange: ({ world }) => world.lastBuild(chat, failed("stop")) }
  ]

  for (const { arrange, name } of builds) {
    test(`of a workspace ${name}: builds the same one, and the chat finds its new agent`, (hands) =>
      Effect.gen(function*() {
        yield* arrange(hands)
        const { call, workspace } = yield* hands.turn()
        const { isFailure, result } = yield* call("start_workspace")
        assert.isFalse(isFailure)
        const { agentId, buildId, workspaceId } = yield* row
        assert.deepStrictEqual(result, { started: true, ...place, build_id: buildId })
        assert.deepStrictEqual([workspaceId, agentId, hands.builds.built()], [place.workspace_id, null, 1])
        assert.deepStrictEqual(yield* workspace.binding, yield* row)
        const connected = yield* workspace.use((connection) => Effect.succeed(connection.agentId))
        const store = yield* MemoryStore
        assert.strictEqual(store.agents.get(connected)?.agent.buildId, buildId)
      }))
  }

  const refusals: ReadonlyArray<State & { readonly error: string; readonly params?: Json }> = [
    { name: "in a chat without workspace", arrange: () => Effect.void, error: "no_workspace" },
    {
      name: "of one that was deleted",
      arrange: ({ world }) => world.lastBuild(chat, { transition: "delete", status: "succeeded" }),
      error: "no_workspace"
    },
    {
      name: "with parameters that do not fit",
      arrange: ({ world }) => world.stopped(chat),
      error: "parameters_refused",
      params: { parameters: { size: 100 } }
    },
    {
      name: "of one that was made elsewhere",
      arrange: ({ world }) =>
        Effect.andThen(world.stopped(chat), Effect.map(MemoryStore, ({ workspaceRows }) => workspaceRows.clear())),
      error: "template_not_found"
    },
    {
      name: "while the database is down",
      arrange: ({ world }) => Effect.andThen(world.stopped(chat), world.databaseDown()),
      error: "store_error"
    }
  ]

  for (const { arrange, error, name, params } of refusals) {
    test(`${name}: is refused, and nothing is built`, (hands) =>
      Effect.gen(function*() {
        const { call } = yield* hands.turn()
        yield* arrange(hands)
        const { isFailure, result } = yield* call("start_workspace", params)
        assert.deepStrictEqual([isFailure, result["error"], hands.builds.built()], [true, error, 0])
      }))
  }

  test("in a chat without workspace: says which tool makes one", ({ turn }) =>
    Effect.gen(function*() {
      const { result } = yield* (yield* turn()).call("start_workspace")
      assert.strictEqual(result["message"], "This chat has no workspace. Call create_workspace. Then repeat the call.")
    }))

  test("of a running one: builds nothing", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      const before = yield* row
      assert.deepStrictEqual((yield* (yield* turn()).call("start_workspace")).result, {
        started: true,
        ...place,
        no_build: true
      })
      assert.deepStrictEqual([yield* row, builds.built()], [before, 0])
    }))

  test("of a running one: reports nothing of the build that made it so", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ prints: ["one"] })
      const { call } = yield* turn()
      yield* call("create_workspace", { template_id: "template" })
      assert.notInclude(tags((yield* call("start_workspace")).progress), "Building")
    }))

  test("of a running one, with parameters: says that they are as they were", ({ turn, world }) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      const { result } = yield* (yield* turn()).call("start_workspace", { parameters: { size: 2 } })
      assert.deepInclude(result, { started: true, no_build: true })
      assert.include(result["message"], "its parameters are as they were")
    }))

  test("of a running one whose agent is lost: says that this alone does not help", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat)
      // As long as an agent is waited for after its build.
      yield* TestClock.adjust("2 minutes")
      const { result } = yield* after(yield* (yield* turn()).fork("start_workspace"), 5_000)
      assert.deepInclude(result, { started: true, no_build: true, agent_status: "not_ready" })
      assert.include(
        result["message"],
        "Call stop_workspace, then start_workspace; start_workspace alone does not help."
      )
      assert.strictEqual(builds.built(), 0)
    }))

  test("changes the parameters given, and keeps those of the build before", ({ turn }) =>
    Effect.gen(function*() {
      const provider = yield* ScriptedProvider
      const { call } = yield* turn()
      yield* call("create_workspace", { template_id: "strict", parameters: { region: "eu", memory: 4 } })
      yield* call("stop_workspace")
      yield* call("start_workspace", { parameters: { memory: 8 } })
      assert.deepStrictEqual(provider.requests().at(-1)?.parameters, { region: "eu", memory: "8" })
    }))

  test("waits for a start that is under way, and reports how far it is", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ takes: "1 minute" })
      yield* builds.onAgent({ comesAfter: "10 seconds" })
      const { fork } = yield* turn()
      yield* fork("create_workspace", { template_id: "template" })
      const call = yield* fork("start_workspace")
      const { progress, result } = yield* after(call, 69_999)
      assert.deepStrictEqual(told(result), { started: true })
      assert.deepStrictEqual(tags(progress), ["Building", "AwaitingAgent"])
      for (const each of progress) assert.deepInclude(each, { started: false, build_id: result["build_id"] })
      assert.strictEqual(builds.built(), 1)
    }))

  test("waits for a stop that is under way, and then starts", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* builds.onBuild({ takes: "10 seconds" })
      const { fork } = yield* turn()
      const stopping = yield* fork("stop_workspace")
      const starting = yield* fork("start_workspace")
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told((yield* now(stopping)).result), { stopped: true })
      const { progress, result } = yield* now(starting)
      assert.deepStrictEqual(told(result), { started: true })
      assert.notStrictEqual(progress[0]?.["build_id"], result["build_id"])
      assert.deepStrictEqual([builds.built("stop"), builds.built("start")], [1, 1])
    }))

  test("waits for a stop that fails, and starts all the same", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* builds.onBuild({ takes: "10 seconds", fails: "busy" }, "stop")
      const { fork } = yield* turn()
      const stopping = yield* fork("stop_workspace")
      const starting = yield* fork("start_workspace")
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude((yield* now(stopping)).result, { stopped: false, error: "The stop build failed: busy" })
      assert.deepInclude((yield* now(starting)).result, { started: true })
    }))

  test("of one that is being stopped without end: says so at the limit of a build", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.lastBuild(chat, { transition: "stop", status: "running" })
      const { isFailure, result } = yield* after(yield* (yield* turn()).fork("start_workspace"), 15 * 60_000 - 1)
      assert.isFalse(isFailure)
      assert.deepStrictEqual(told(result), {
        started: false,
        error: "The stop build failed: The build did not end within 15m.",
        message: "The build has not ended; a later call waits for it."
      })
      assert.strictEqual(builds.built(), 0)
    }))

  test("tells why the build failed, with the end of its log", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.stopped(chat)
      yield* builds.onBuild({ prints: ["no space left"], fails: "The image could not be pulled." })
      const { isFailure, result } = yield* (yield* turn()).call("start_workspace")
      assert.isFalse(isFailure)
      assert.deepStrictEqual(result, {
        started: false,
        ...place,
        build_id: (yield* row).buildId,
        error: "The start build failed: The image could not be pulled.",
        message:
          "Call start_workspace to build the same workspace again, with other parameters if these were the reason.",
        log_tail: "no space left"
      })
    }))

  test("tells that the agent did not come, after two minutes", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.stopped(chat)
      yield* builds.onAgent({ comesAfter: "never" })
      const { result } = yield* after(yield* (yield* turn()).fork("start_workspace"), 120_000)
      assert.deepInclude(result, { started: true, agent_status: "not_ready" })
    }))

  test("tells that the start-up scripts failed", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.stopped(chat)
      yield* builds.onAgent({ scripts: "start_error" })
      assert.deepStrictEqual(told((yield* (yield* turn()).call("start_workspace")).result), {
        started: true,
        startup_scripts: "startup_scripts_failed",
        lifecycle_state: "start_error"
      })
    }))

  test("builds once for 64 callers, and gives them one answer", (hands) =>
    Effect.gen(function*() {
      yield* hands.world.stopped(chat)
      yield* hands.builds.onBuild({ takes: "1 minute" })
      const calls = yield* crowd(hands, "start_workspace")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told(yield* same(calls)), { started: true })
      assert.strictEqual(hands.builds.built(), 1)
    }))

  test("builds once for 64 callers, also when that fails", (hands) =>
    Effect.gen(function*() {
      yield* hands.world.stopped(chat)
      yield* hands.builds.onBuild({ takes: "1 minute", fails: "no space left" })
      const calls = yield* crowd(hands, "start_workspace")
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* same(calls), { started: false })
      assert.strictEqual(hands.builds.built(), 1)
    }))

  test("interrupted, leaves the build running; the next call waits for the same", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.stopped(chat)
      yield* builds.onBuild({ takes: "1 minute" })
      const { fork } = yield* turn()
      const first = yield* fork("start_workspace")
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.interrupt(first)
      const { result } = yield* after(yield* fork("start_workspace"), 29_999)
      assert.deepStrictEqual(told(result), { started: true })
      assert.strictEqual(builds.built(), 1)
    }))

  const other = meddler()

  test("says so when the chat leaves its workspace meanwhile", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.stopped(chat)
      const store = yield* MemoryStore
      const { call } = yield* turn()
      yield* other.does(Effect.sync(() => {
        const binding = new Binding({ chatId: chat, workspaceId: null, buildId: null, agentId: null, generation: 99 })
        store.chats.set(chat, { owner: TestWorkspaces.owner, binding })
      }))
      const { isFailure, result } = yield* call("start_workspace")
      assert.deepStrictEqual([isFailure, result["error"], builds.built()], [true, "workspace_changed", 0])
    }), other.layer)
})

describe("stop_workspace", () => {
  const builds: ReadonlyArray<State> = [
    { name: "that runs", arrange: ({ world }) => world.running(chat) },
    { name: "whose agent is lost", arrange: ({ world }) => world.agentDead(chat) },
    { name: "whose last start failed", arrange: ({ world }) => world.lastBuild(chat, failed("start")) },
    { name: "whose last stop failed", arrange: ({ world }) => world.lastBuild(chat, failed("stop")) }
  ]

  for (const { arrange, name } of builds) {
    test(`of a workspace ${name}: stops it`, (hands) =>
      Effect.gen(function*() {
        yield* arrange(hands)
        const { call, workspace } = yield* hands.turn()
        const { isFailure, result } = yield* call("stop_workspace")
        assert.isFalse(isFailure)
        const { agentId, buildId } = yield* row
        assert.deepStrictEqual(result, { stopped: true, ...place, build_id: buildId })
        assert.deepStrictEqual([agentId, hands.builds.built("stop")], [null, 1])
        const error = yield* Effect.flip(workspace.use(() => Effect.void))
        assert.deepInclude(error, { _tag: "NoWorkspaceAgent", reason: "stopped" })
      }))
  }

  const refusals: ReadonlyArray<State & { readonly error: string }> = [
    { name: "in a chat without workspace", arrange: () => Effect.void, error: "no_workspace" },
    {
      name: "of one that was deleted",
      arrange: ({ world }) => world.lastBuild(chat, { transition: "delete", status: "succeeded" }),
      error: "no_workspace"
    },
    {
      name: "while the database is down",
      arrange: ({ world }) => Effect.andThen(world.running(chat), world.databaseDown()),
      error: "store_error"
    }
  ]

  for (const { arrange, error, name } of refusals) {
    test(`${name}: is refused`, (hands) =>
      Effect.gen(function*() {
        const { call } = yield* hands.turn()
        yield* arrange(hands)
        const { isFailure, result } = yield* call("stop_workspace")
        assert.deepStrictEqual([isFailure, result["error"], hands.builds.built()], [true, error, 0])
      }))
  }

  test("of a stopped one: builds nothing", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.stopped(chat)
      assert.deepStrictEqual((yield* (yield* turn()).call("stop_workspace")).result, {
        stopped: true,
        ...place,
        no_build: true
      })
      assert.strictEqual(builds.built(), 0)
    }))

  test("waits for a start, not for its agent; who waits for that hears of the stop", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ takes: "30 seconds" }, "start")
      yield* builds.onAgent({ comesAfter: "never" })
      const { fork } = yield* turn()
      const creating = yield* fork("create_workspace", { template_id: "template" })
      const stopping = yield* fork("stop_workspace")
      const { progress, result } = yield* after(stopping, 29_999)
      assert.deepStrictEqual(told(result), { stopped: true })
      assert.deepStrictEqual(tags(progress).slice(0, 1), ["Building"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(told((yield* now(creating)).result), {
        created: true,
        agent_status: "not_ready",
        agent_error: "The workspace is stopped."
      })
      assert.deepStrictEqual([builds.built("start"), builds.built("stop")], [1, 1])
    }))

  test("waits for a start that fails, and stops all the same", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ takes: "30 seconds", fails: "no space left" }, "start")
      const { fork } = yield* turn()
      const creating = yield* fork("create_workspace", { template_id: "template" })
      const stopping = yield* fork("stop_workspace")
      assert.deepStrictEqual(told((yield* after(stopping, 29_999)).result), { stopped: true })
      assert.deepInclude((yield* now(creating)).result, { created: true, status: "failed" })
    }))

  test("waits for a deletion that is under way, and finds no workspace then", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      const { workspaceId } = yield* world.running(chat)
      yield* builds.onBuild({ takes: "10 seconds" }, "delete")
      const { request } = yield* Workspaces
      yield* request({ owner: TestWorkspaces.owner, workspaceId, transition: "delete", chat: null })
      const { isFailure, result } = yield* after(yield* (yield* turn()).fork("stop_workspace"), 9_999)
      assert.deepStrictEqual([isFailure, result["error"]], [true, "no_workspace"])
    }))

  test("of one that is being started without end: says so at the limit of a build", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.slowStart(chat, { takes: "1 hour" })
      const { result } = yield* after(yield* (yield* turn()).fork("stop_workspace"), 15 * 60_000 - 1)
      assert.deepInclude(result, {
        stopped: false,
        error: "The start build failed: The build did not end within 15m.",
        message: "The build has not ended; a later call waits for it."
      })
      assert.strictEqual(builds.built(), 0)
    }))

  test("tells why the stop failed; another call tries again", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* builds.onBuild({ prints: ["it is busy"], fails: "busy" }, "stop")
      const { call } = yield* turn()
      const { isFailure, result } = yield* call("stop_workspace")
      assert.isFalse(isFailure)
      assert.deepStrictEqual(told(result), {
        stopped: false,
        error: "The stop build failed: busy",
        message: "Call stop_workspace to try again, or start_workspace to use the workspace.",
        log_tail: "it is busy"
      })
      yield* builds.onBuild({})
      assert.deepStrictEqual(told((yield* call("stop_workspace")).result), { stopped: true })
      assert.strictEqual(builds.built("stop"), 2)
    }))

  test("builds once for 64 callers, and gives them one answer", (hands) =>
    Effect.gen(function*() {
      yield* hands.world.running(chat)
      yield* hands.builds.onBuild({ takes: "1 minute" })
      const calls = yield* crowd(hands, "stop_workspace")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told(yield* same(calls)), { stopped: true })
      assert.strictEqual(hands.builds.built(), 1)
    }))

  test("then start_workspace: the same chat works with the new agent of the same workspace", ({ turn, world }) =>
    Effect.gen(function*() {
      const before = yield* world.agentDead(chat)
      const { call, workspace } = yield* turn()
      yield* call("stop_workspace")
      yield* call("start_workspace")
      const agentId = yield* workspace.use((connection) => Effect.succeed(connection.agentId))
      assert.notStrictEqual(agentId, before.agentId)
      assert.deepInclude(yield* row, { workspaceId: before.workspaceId, agentId })
    }))
})
