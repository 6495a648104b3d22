import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Binding } from "../../src/domain/Binding.ts"
import type { Transition } from "../../src/domain/Build.ts"
import { BuildRefused } from "../../src/domain/Errors.ts"
import { WorkspaceId } from "../../src/domain/Ids.ts"
import { BuildPolicy } from "../../src/provisioner/BuildPolicy.ts"
import { Workspaces } from "../../src/provisioner/Workspaces.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { MemoryStore } from "../../src/store/MemoryStore.ts"
import { ScriptedStores } from "../../src/testing/ScriptedStores.ts"
import { ScriptedTransport } from "../../src/testing/ScriptedTransport.ts"
import * as TestWorkspaces from "../../src/testing/TestWorkspaces.ts"
import * as ToolConfig from "../../src/tool/ToolConfig.ts"
import { after, chat, crowd, meddler, now, same, tags, test, told } from "./LifecycleWorld.ts"
import type { Hands, Json, Services } from "./LifecycleWorld.ts"

const create = { template_id: "template" }

const row = Effect.flatMap(ChatBindings, ({ get }) => get(chat))

const workspaces = Effect.map(MemoryStore, (store) => store.workspaces.size)

const failed = (transition: Transition) => ({ transition, status: "failed" }) as const

const reused = "This chat has this workspace already; go on with it."

const rebuild =
  "Call start_workspace to build the same workspace again, with other parameters if these were the reason."

describe("create_workspace, in a chat without workspace", () => {
  test("makes one, waits until it can be used, and binds the chat to it", ({ builds, turn }) =>
    Effect.gen(function*() {
      const { call, workspace } = yield* turn()
      const { isFailure, result } = yield* call("create_workspace", { ...create, name: "mine" })
      assert.isFalse(isFailure)
      assert.deepStrictEqual(Object.keys(result), ["created", "workspace_name", "workspace_id", "build_id"])
      assert.deepInclude(result, { created: true, workspace_name: "mine" })
      const { agentId, buildId, workspaceId } = yield* row
      assert.deepStrictEqual([workspaceId, buildId, agentId], [result["workspace_id"], result["build_id"], null])
      // The turn knows the row that was written: it connects without reading it again.
      assert.deepStrictEqual(yield* workspace.binding, yield* row)
      yield* workspace.use(() => Effect.void)
      assert.strictEqual(builds.built(), 1)
    }))

  test("reports how far it is: the build with its log, the agent, its scripts", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ prints: ["one", "two"], takes: "5 seconds" })
      yield* builds.onAgent({ comesAfter: "4 seconds", scriptsTake: "4 seconds" })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      yield* TestClock.adjust("30 seconds")
      const { progress, result } = yield* now(call)
      assert.deepStrictEqual(told(result), { created: true })
      assert.deepStrictEqual(tags(progress), ["Building", "AwaitingAgent", "AwaitingScripts"])
      for (const each of progress) assert.deepInclude(each, { created: true, build_id: result["build_id"] })
      const json = JSON.stringify(progress)
      assert.isTrue(json.includes("\"text\":\"one\"") && json.includes("\"text\":\"two\""))
      assert.deepStrictEqual(JSON.parse(json), progress)
    }))

  test("makes up a name where the one given cannot be one", ({ turn }) =>
    Effect.gen(function*() {
      const { result } = yield* (yield* turn()).call("create_workspace", { ...create, name: "../My Työ!" })
      assert.match(String(result["workspace_name"]), /^[a-z0-9-]+-[0-9a-f]{4}$/)
    }))

  const refusals: ReadonlyArray<readonly [name: string, params: Json, error: string, says: string]> = [
    ["an unknown template", { template_id: "none" }, "template_not_found", "none"],
    ["a template of others", { template_id: "of-others" }, "template_not_found", "of-others"],
    ["no template", { template_id: " " }, "template_not_found", ""],
    ["a parameter that there is not", { ...create, parameters: { sise: 1 } }, "parameters_refused", "sise is not"],
    ["a parameter of another type", { ...create, parameters: { size: "big" } }, "parameters_refused", "be a number"],
    ["a parameter beyond its limits", { ...create, parameters: { size: 9 } }, "parameters_refused", "at most 8"],
    [
      "a parameter outside its options",
      { template_id: "strict", parameters: { region: "mars" } },
      "parameters_refused",
      "one of: eu, us"
    ],
    ["a required parameter missing", { template_id: "strict" }, "parameters_refused", "region is required"]
  ]

  for (const [name, params, error, says] of refusals) {
    test(`refuses ${name}, before it reads anything of the chat`, ({ builds, turn, world }) =>
      Effect.gen(function*() {
        const { call } = yield* turn()
        const [{ isFailure, result }, { queries }] = yield* world.counted(call("create_workspace", params))
        assert.isTrue(isFailure)
        assert.deepInclude(result, { error, retry: "never" })
        assert.include(result["message"], says)
        assert.deepStrictEqual([queries.binding, queries.latestBuild, builds.built()], [0, 0, 0])
        assert.strictEqual(yield* workspaces, 0)
      }))
  }

  test("says why the application refused it, and has made nothing", ({ builds, turn }) =>
    Effect.gen(function*() {
      const { isFailure, result } = yield* (yield* turn()).call("create_workspace", create)
      assert.isTrue(isFailure)
      assert.deepStrictEqual(result, {
        error: "build_refused",
        message: "Not on Sundays. Tell the user.",
        retry: "never"
      })
      assert.deepStrictEqual([builds.built(), (yield* row).generation], [0, 0])
    }), Layer.succeed(BuildPolicy, { check: () => new BuildRefused({ detail: "Not on Sundays." }) }))

  test("refuses arguments of another shape", ({ builds, turn }) =>
    Effect.gen(function*() {
      assert.isTrue((yield* (yield* turn()).call("create_workspace", { template_id: 7 })).isFailure)
      assert.strictEqual(builds.built(), 0)
    }))

  test("gives 64 callers at once one workspace and one answer", (hands) =>
    Effect.gen(function*() {
      yield* hands.builds.onBuild({ takes: "1 minute" })
      const calls = yield* crowd(hands, "create_workspace", create)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told(yield* same(calls)), { created: true })
      assert.deepStrictEqual([hands.builds.built(), yield* workspaces], [1, 1])
    }))

  test("gives 64 callers of one turn the same answer, also of a build that fails", (hands) =>
    Effect.gen(function*() {
      yield* hands.builds.onBuild({ takes: "1 minute", fails: "no space left" })
      const turn = yield* hands.turn()
      const calls = yield* crowd({ ...hands, turn: () => Effect.succeed(turn) }, "create_workspace", create)
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* same(calls), { created: true, status: "failed" })
      assert.strictEqual(hands.builds.built(), 1)
    }))

  test("tells a turn that came too late the row of who was faster", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ takes: "1 minute" })
      const [first, second] = [yield* turn(), yield* turn()]
      yield* first.fork("create_workspace", create)
      yield* second.fork("create_workspace", create)
      assert.deepStrictEqual(yield* second.workspace.binding, yield* row)
    }))

  test("interrupted, leaves the build running; the next call waits for the same", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ takes: "1 minute" })
      const { fork } = yield* turn()
      const first = yield* fork("create_workspace", create)
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.interrupt(first)
      const next = yield* fork("create_workspace", create)
      assert.deepInclude((yield* after(next, 29_999)).result, { created: true })
      assert.strictEqual(builds.built(), 1)
    }))

  test("makes nothing while the database is down", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      const { call } = yield* turn()
      yield* world.databaseDown()
      const { isFailure, result } = yield* call("create_workspace", create)
      assert.deepStrictEqual([isFailure, result["error"], result["retry"]], [true, "store_error", "later"])
      yield* world.databaseUp
      assert.deepStrictEqual([builds.built(), yield* workspaces], [0, 0])
    }))

  test("ends after three seconds when the database does not answer", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      const { fork } = yield* turn()
      yield* world.databaseDown({ hangs: true })
      const { isFailure, result } = yield* after(yield* fork("create_workspace", create), 3_000)
      assert.deepStrictEqual([isFailure, result["error"], builds.built()], [true, "store_error", 0])
    }))

  const other = meddler()

  test("gives up when others change the chat each time", ({ turn }) =>
    Effect.gen(function*() {
      const store = yield* MemoryStore
      const { call } = yield* turn()
      let times = 0
      yield* other.does(Effect.sync(() => {
        times++
        const binding = store.chats.get(chat)?.binding
        const generation = (binding?.generation ?? 0) + 1
        const next = new Binding({ chatId: chat, workspaceId: null, buildId: null, agentId: null, generation })
        store.chats.set(chat, { owner: TestWorkspaces.owner, binding: next })
      }))
      const { isFailure, result } = yield* call("create_workspace", create)
      assert.deepStrictEqual([isFailure, result["error"], result["retry"]], [true, "workspace_changed", "now-once"])
      assert.deepStrictEqual([times, store.workspaces.size], [8, 0])
    }), other.layer)

  test("lets the chat make three new ones an hour", ({ builds, turn }) =>
    Effect.gen(function*() {
      const { call } = yield* turn()
      const again = { ...create, replace: true }
      for (let made = 0; made < 3; made++) {
        assert.deepInclude((yield* call("create_workspace", again)).result, { created: true })
      }
      yield* TestClock.adjust(3_599_999)
      const { isFailure, result } = yield* call("create_workspace", again)
      assert.deepStrictEqual([isFailure, result["error"]], [true, "too_many_workspaces"])
      yield* TestClock.adjust(1)
      assert.deepInclude((yield* call("create_workspace", again)).result, { created: true })
      assert.strictEqual(builds.built(), 4)
    }))
})

describe("create_workspace, in a chat that has one", () => {
  /** The state of the workspace, and the answer. Nothing is built, and so often is dialed. */
  const there: ReadonlyArray<{
    readonly name: string
    readonly arrange: (hands: Hands) => Effect.Effect<unknown, never, Services>
    readonly result: Json
    readonly dials?: number
  }> = [
    {
      name: "that runs and is connected: reuses it without a dial",
      arrange: ({ world }) => world.running(chat),
      result: { status: "already_exists", message: reused }
    },
    {
      name: "that is stopped: says so",
      arrange: ({ world }) => world.stopped(chat),
      result: { status: "stopped", message: "The workspace is stopped. Call start_workspace to use it again." }
    },
    {
      name: "whose last start failed: says so, with the end of its log",
      arrange: ({ world }) => world.lastBuild(chat, { ...failed("start"), log: "no space left" }),
      result: {
        status: "failed",
        build_id: "workspace of chat/build-2",
        message: `The last start of the workspace failed. ${rebuild}`,
        log_tail: "no space left"
      }
    },
    {
      name: "whose last start was canceled: says so",
      arrange: ({ world }) => world.lastBuild(chat, { transition: "start", status: "canceled" }),
      result: {
        status: "failed",
        build_id: "workspace of chat/build-2",
        message: `The last start of the workspace failed. ${rebuild}`
      }
    },
    {
      name: "whose last stop failed: says so",
      arrange: ({ world }) => world.lastBuild(chat, { ...failed("stop"), log: "busy" }),
      result: {
        status: "failed",
        build_id: "workspace of chat/build-2",
        message: "The last stop of the workspace failed. " +
          "Call stop_workspace to try again, or start_workspace to use the workspace.",
        log_tail: "busy"
      }
    },
    {
      name: "whose deletion failed: leaves that to the user",
      arrange: ({ world }) => world.lastBuild(chat, failed("delete")),
      result: {
        status: "failed",
        build_id: "workspace of chat/build-2",
        message: "The last delete of the workspace failed. Tell the user."
      }
    },
    {
      name: "that has no agent: says so",
      arrange: ({ world }) => world.lastBuild(chat, { transition: "start", status: "succeeded" }),
      result: {
        status: "already_exists",
        message: "The workspace runs, but its template defines no agent. Tell the user.",
        agent_status: "no_agent"
      }
    },
    {
      name: "that has several agents for chats: names them",
      arrange: ({ world }) =>
        world.lastBuild(chat, { transition: "start", status: "succeeded", agents: ["a-chat", "B-CHAT"] }),
      result: {
        status: "already_exists",
        agent_status: "selection_error",
        agent_error: "The workspace's template names several agents for chats: a-chat, B-CHAT."
      }
    },
    {
      name: "whose start-up scripts failed: says so",
      arrange: ({ world }) =>
        Effect.flatMap(world.running(chat), ({ agentId }) => world.agentComes(agentId, { lifecycle: "start_error" })),
      result: {
        status: "already_exists",
        message: reused,
        startup_scripts: "startup_scripts_failed",
        lifecycle_state: "start_error"
      }
    },
    {
      name: "whose agent seems dead and answers: reuses it after one dial",
      arrange: ({ world }) =>
        Effect.flatMap(
          world.agentDead(chat),
          ({ agentId }) => Effect.flatMap(ScriptedTransport, ({ accept }) => accept(agentId))
        ),
      result: { status: "already_exists", message: reused },
      dials: 1
    },
    {
      name: "whose agent refuses the dial: says how long it has been gone, at once",
      arrange: ({ world }) =>
        Effect.flatMap(
          world.agentDead(chat),
          ({ agentId }) => Effect.flatMap(ScriptedTransport, ({ refuse }) => refuse(agentId))
        ),
      result: {
        status: "unreachable",
        message: "The workspace runs, but its agent disconnected 120 s ago. " +
          "Call stop_workspace, then start_workspace; start_workspace alone does not help. Then repeat the call."
      },
      dials: 1
    }
  ]

  for (const { arrange, dials, name, result } of there) {
    test(name, (hands) =>
      Effect.gen(function*() {
        yield* arrange(hands)
        const { call } = yield* hands.turn()
        const before = yield* row
        const [answer, counts] = yield* hands.world.counted(call("create_workspace", create))
        assert.isFalse(answer.isFailure)
        assert.deepStrictEqual(answer.result, {
          created: false,
          workspace_name: "workspace-1",
          workspace_id: "workspace of chat",
          ...result
        })
        assert.deepStrictEqual([counts.dials, counts.open, hands.builds.built()], [dials ?? 0, 0, 0])
        // Nothing is written either: what the chat remembers may be better than what this call knows.
        assert.deepStrictEqual(yield* row, before)
      }))
  }

  test("that was deleted: makes another", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.lastBuild(chat, { transition: "delete", status: "succeeded" })
      const { result } = yield* (yield* turn()).call("create_workspace", create)
      assert.deepStrictEqual(told(result), { created: true })
      assert.notStrictEqual(result["workspace_id"], "workspace of chat")
      assert.strictEqual(builds.built(), 1)
    }))

  test("that was never built: makes another", ({ builds, turn }) =>
    Effect.gen(function*() {
      const store = yield* MemoryStore
      const workspaceId = WorkspaceId.make("never built")
      store.workspaces.set(workspaceId, { owner: TestWorkspaces.owner, builds: [] })
      const { bindWorkspace } = yield* ChatBindings
      yield* bindWorkspace({ chatId: chat, owner: TestWorkspaces.owner, workspaceId })
      assert.deepStrictEqual(told((yield* (yield* turn()).call("create_workspace", create)).result), { created: true })
      assert.strictEqual(builds.built(), 1)
    }))

  test("that cannot be read: builds nothing", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat)
      const { call } = yield* turn()
      yield* (yield* ScriptedStores).fail(["latestBuild"])
      const { isFailure, result } = yield* call("create_workspace", create)
      assert.deepStrictEqual([isFailure, result["error"], builds.built()], [true, "store_error", 0])
    }))

  test("that cannot be read in three seconds: builds nothing", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat)
      const { fork } = yield* turn()
      yield* (yield* ScriptedStores).hang(["latestBuild"])
      const { isFailure, result } = yield* after(yield* fork("create_workspace", create), 3_000)
      assert.deepStrictEqual([isFailure, result["error"], builds.built()], [true, "store_error", 0])
    }))

  test("that is being started: waits for that, and it is not new", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.slowStart(chat, { takes: "1 minute" })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      yield* TestClock.adjust("59 seconds")
      assert.isTrue(call.pollUnsafe() === undefined)
      // Somebody else runs this build: its end is seen at the next poll.
      yield* TestClock.adjust("3 seconds")
      const { progress, result } = yield* now(call)
      assert.deepStrictEqual(told(result), { created: false, status: "already_exists", message: reused })
      assert.deepStrictEqual(tags(progress), ["Building", "AwaitingAgent"])
      assert.strictEqual(builds.built(), 0)
    }))

  test("that is being stopped: waits for that, and says that it is stopped", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* builds.onBuild({ takes: "10 seconds" })
      const { fork } = yield* turn()
      yield* fork("stop_workspace")
      const { result } = yield* after(yield* fork("create_workspace", create), 9_999)
      assert.deepInclude(result, { created: false, status: "stopped" })
      assert.deepStrictEqual([builds.built("stop"), builds.built("start")], [1, 0])
    }))

  test("that is being stopped, which fails: says so", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* builds.onBuild({ takes: "10 seconds", fails: "busy", prints: ["it is busy"] })
      const { fork } = yield* turn()
      yield* fork("stop_workspace")
      const { result } = yield* after(yield* fork("create_workspace", create), 9_999)
      assert.deepStrictEqual(told(result), {
        created: false,
        status: "failed",
        message: "The last stop of the workspace failed. " +
          "Call stop_workspace to try again, or start_workspace to use the workspace.",
        log_tail: "it is busy"
      })
    }))

  test("that is being deleted: waits for that, and makes another", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      const { workspaceId } = yield* world.running(chat)
      yield* builds.onBuild({ takes: "10 seconds" }, "delete")
      const { request } = yield* Workspaces
      yield* request({ owner: TestWorkspaces.owner, workspaceId, transition: "delete", chat: null })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      const { progress, result } = yield* after(call, 9_999)
      assert.deepStrictEqual(told(result), { created: true })
      assert.deepInclude(progress[0], { created: false, workspace_id: workspaceId })
      assert.deepStrictEqual([builds.built("delete"), builds.built("start")], [1, 1])
    }))

  test("that is being stopped without end: says so at the limit of a build", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.lastBuild(chat, { transition: "stop", status: "running" })
      const { result } = yield* after(yield* (yield* turn()).fork("create_workspace", create), 15 * 60_000 - 1)
      assert.deepInclude(result, {
        created: false,
        status: "failed",
        build_id: "workspace of chat/build-2",
        error: "The stop build failed: The build did not end within 15m.",
        message: "The build has not ended; a later call waits for it."
      })
      assert.strictEqual(builds.built(), 0)
    }))

  test("whose agent has still time to come: waits for it", ({ turn, world }) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.neverConnects(chat, { for: 0 })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      yield* TestClock.adjust(118_999)
      assert.isTrue(call.pollUnsafe() === undefined)
      yield* world.agentComes(agentId)
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(told((yield* now(call)).result), {
        created: false,
        status: "already_exists",
        message: reused
      })
    }))
})

describe("create_workspace, with an agent that cannot be reached", () => {
  const unreachable = (result: Json) => [result["status"], String(result["message"]).split(". ")[1]]

  test("dials for five seconds", ({ turn, world }) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat)
      const call = yield* (yield* turn()).fork("create_workspace", create)
      assert.strictEqual((yield* after(call, 5_000)).result["status"], "unreachable")
      assert.deepInclude(world.counts(), { dials: 1, pending: 0, open: 0 })
    }))

  test("reuses it when the dial succeeds a millisecond before", ({ turn, world }) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.agentDead(chat)
      yield* (yield* ScriptedTransport).accept(agentId, { after: 4_999 })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      assert.strictEqual((yield* after(call, 4_999)).result["status"], "already_exists")
    }))

  test("waits no longer for a dial that ignores its interruption", ({ turn, world }) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.agentDead(chat)
      const transport = yield* ScriptedTransport
      yield* transport.ignoreCancellation(agentId, { after: "1 minute", outcome: "succeed" })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      assert.strictEqual((yield* after(call, 5_000)).result["status"], "unreachable")
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(transport.counts(), { opened: 1, releases: 1, open: 0, pending: 0 })
    }))

  test("advises to try again when it has been gone for 89.999 seconds", ({ turn, world }) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat, { for: 84_998 })
      const { result } = yield* after(yield* (yield* turn()).fork("create_workspace", create), 5_000)
      assert.deepStrictEqual(unreachable(result), ["unreachable", "Repeat the call once."])
    }))

  test("advises to stop and start when it has been gone for 90", ({ turn, world }) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat, { for: 84_999 })
      const { result } = yield* after(yield* (yield* turn()).fork("create_workspace", create), 5_000)
      assert.deepStrictEqual(unreachable(result), [
        "unreachable",
        "Call stop_workspace, then start_workspace; start_workspace alone does not help"
      ])
    }))

  test("says so of one that never came", ({ turn, world }) =>
    Effect.gen(function*() {
      yield* world.neverConnects(chat)
      const { result } = yield* after(yield* (yield* turn()).fork("create_workspace", create), 5_000)
      assert.strictEqual(result["status"], "unreachable")
      assert.include(result["message"], "has not connected once in 305 s")
    }))

  test("says what became of it when it was stopped during the dial", ({ turn, world }) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat)
      const call = yield* (yield* turn()).fork("create_workspace", create)
      yield* world.lastBuild(chat, { transition: "stop", status: "succeeded" })
      assert.strictEqual((yield* after(call, 5_000)).result["status"], "stopped")
    }))

  test("dials once for 64 callers, and gives them one answer", (hands) =>
    Effect.gen(function*() {
      yield* hands.world.agentDead(chat)
      const calls = yield* crowd(hands, "create_workspace", create)
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* same(calls), { created: false, status: "unreachable" })
      assert.deepStrictEqual([hands.world.counts().dials, hands.builds.built()], [1, 0])
    }))

  /** Ten minutes in which no heartbeat is recorded, then 64 calls. */
  const afterOutage = Effect.fnUntraced(function*(hands: Hands) {
    yield* hands.world.heartbeatsLost
    yield* TestClock.adjust("10 minutes")
    const calls = yield* crowd(hands, "create_workspace", create)
    yield* TestClock.adjust("5 seconds")
    return yield* same(calls)
  })

  test("makes no other when heartbeats were lost for ten minutes", (hands) =>
    Effect.gen(function*() {
      yield* hands.world.running(chat)
      assert.deepInclude(yield* afterOutage(hands), { created: false, status: "already_exists" })
      assert.deepStrictEqual([hands.builds.built(), yield* workspaces], [0, 1])
    }))

  const creating = ToolConfig.layer({ onUnreachable: "create" })

  test("told to create, makes no other when the silence is our own", (hands) =>
    Effect.gen(function*() {
      const { agentId } = yield* hands.world.running(chat)
      yield* (yield* ScriptedTransport).stall(agentId)
      assert.deepInclude(yield* afterOutage(hands), { created: false, status: "unreachable" })
      assert.deepStrictEqual([hands.builds.built(), yield* workspaces], [0, 1])
    }), creating)

  test(
    "told to create, makes one other for 64 callers and keeps the old one",
    (hands) =>
      Effect.gen(function*() {
        const { builds, world } = hands
        const { workspaceId } = yield* world.agentDead(chat)
        yield* builds.onBuild({ takes: "1 minute" })
        const calls = yield* crowd(hands, "create_workspace", create)
        yield* TestClock.adjust("65 seconds")
        assert.deepStrictEqual(told(yield* same(calls)), { created: true })
        const store = yield* MemoryStore
        assert.deepStrictEqual([builds.built("start"), builds.built("stop"), store.workspaces.size], [1, 0, 2])
        assert.strictEqual(store.latestBuild(workspaceId)?.status, "succeeded")
      }),
    creating
  )

  test("told to create, still dials first", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.agentDead(chat)
      yield* (yield* ScriptedTransport).accept(agentId)
      assert.strictEqual((yield* (yield* turn()).call("create_workspace", create)).result["status"], "already_exists")
      assert.strictEqual(builds.built(), 0)
    }), creating)
})

describe("create_workspace, told to replace", () => {
  const replace = { ...create, replace: true }

  test("makes another and keeps the old one", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      const { workspaceId } = yield* world.running(chat)
      const { result } = yield* (yield* turn()).call("create_workspace", replace)
      assert.deepStrictEqual(told(result), { created: true })
      assert.notStrictEqual(result["workspace_id"], workspaceId)
      assert.strictEqual((yield* row).workspaceId, result["workspace_id"])
      assert.deepStrictEqual([builds.built("start"), builds.built("stop")], [1, 0])
      assert.isTrue((yield* MemoryStore).workspaces.has(workspaceId))
    }))

  test("makes one for 64 callers at once", (hands) =>
    Effect.gen(function*() {
      yield* hands.world.stopped(chat)
      yield* hands.builds.onBuild({ takes: "1 minute" })
      const calls = yield* crowd(hands, "create_workspace", replace)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told(yield* same(calls)), { created: true })
      assert.strictEqual(hands.builds.built(), 1)
    }))

  test("takes the workspace that another turn has put in its place meanwhile", ({ builds, turn, world }) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      const [mine, others] = [yield* turn(), yield* turn()]
      const { result: theirs } = yield* others.call("create_workspace", replace)
      const { result } = yield* mine.call("create_workspace", replace)
      assert.deepInclude(result, { created: false, status: "already_exists", workspace_id: theirs["workspace_id"] })
      assert.strictEqual(builds.built(), 1)
    }))
})

describe("create_workspace, when the build or its agent fails", () => {
  test("tells why the build failed, with the end of its log", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ prints: ["pulling", "no space left"], fails: "The image could not be pulled." })
      const { call } = yield* turn()
      const { isFailure, result } = yield* call("create_workspace", create)
      assert.isFalse(isFailure)
      assert.deepStrictEqual(told(result), {
        created: true,
        status: "failed",
        error: "The start build failed: The image could not be pulled.",
        message: rebuild,
        log_tail: "pulling\nno space left"
      })
      assert.strictEqual((yield* row).buildId, result["build_id"])
      // The workspace is there now: it is started, and no other is made.
      assert.deepInclude((yield* call("create_workspace", create)).result, { created: false, status: "failed" })
      assert.strictEqual(builds.built(), 1)
    }))

  test("tells that the build took too long, after 15 minutes", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ hangs: true })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      const { result } = yield* after(call, 15 * 60_000)
      assert.deepInclude(result, { created: true, status: "failed" })
      assert.include(result["error"], "15m")
    }))

  test("tells that somebody canceled the build", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onBuild({ hangs: true })
      const { call, fork } = yield* turn()
      const waiting = yield* fork("create_workspace", create)
      const { workspaceId } = yield* row
      const { cancel } = yield* Workspaces
      yield* cancel({ owner: TestWorkspaces.owner, workspaceId: workspaceId ?? WorkspaceId.make("none") })
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude((yield* now(waiting)).result, {
        created: true,
        status: "failed",
        error: "The start build failed: The build was canceled."
      })
      assert.deepInclude((yield* call("create_workspace", create)).result, { created: false, status: "failed" })
    }))

  test("tells that the agent did not come, after two minutes", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onAgent({ comesAfter: "never" })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      const { result } = yield* after(call, 120_000)
      assert.deepInclude(told(result), { created: true, agent_status: "not_ready" })
      assert.include(result["agent_error"], "No answer from the workspace's agent")
    }))

  test("reaches an agent that comes a second before", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onAgent({ comesAfter: "119 seconds" })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      assert.deepStrictEqual(told((yield* after(call, 119_000)).result), { created: true })
    }))

  test("tells that the template has no agent", ({ turn }) =>
    Effect.gen(function*() {
      const { result } = yield* (yield* turn()).call("create_workspace", { template_id: "no-agent" })
      assert.deepStrictEqual(told(result), { created: true, agent_status: "no_agent" })
    }))

  test("tells that the template has several agents for chats", ({ turn }) =>
    Effect.gen(function*() {
      const { result } = yield* (yield* turn()).call("create_workspace", { template_id: "two-agents" })
      assert.deepStrictEqual(told(result), {
        created: true,
        agent_status: "selection_error",
        agent_error: "The workspace's template names several agents for chats: a-chat, b-chat."
      })
    }))

  test("tells that the start-up scripts failed", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onAgent({ scripts: "start_error" })
      assert.deepStrictEqual(told((yield* (yield* turn()).call("create_workspace", create)).result), {
        created: true,
        startup_scripts: "startup_scripts_failed",
        lifecycle_state: "start_error"
      })
    }))

  test("tells that the start-up scripts take too long, after ten minutes", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onAgent({ scriptsTake: 600_001 })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      assert.deepStrictEqual(told((yield* after(call, 600_000)).result), {
        created: true,
        startup_scripts: "startup_scripts_timeout",
        lifecycle_state: "starting"
      })
    }))

  test("waits for start-up scripts that end a millisecond before", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onAgent({ scriptsTake: 599_999 })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      assert.deepStrictEqual(told((yield* after(call, 600_000)).result), { created: true })
    }))

  test("tells that it could not be asked what the start-up scripts came to", ({ builds, turn }) =>
    Effect.gen(function*() {
      yield* builds.onAgent({ comesAfter: "1 second" })
      const call = yield* (yield* turn()).fork("create_workspace", create)
      yield* (yield* ScriptedStores).fail(["latestBuild"])
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(told((yield* now(call)).result), {
        created: true,
        startup_scripts: "startup_scripts_unknown"
      })
    }))
})
