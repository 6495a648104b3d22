import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import type { ChatWorkspace } from "../../src/dial/ChatWorkspaces.ts"
import { NoWorkspaceAgent } from "../../src/domain/Errors.ts"
import { Binding, Ids } from "../../src/domain/index.ts"
import { TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { ChatTools } from "../../src/tool/index.ts"
import { TurnNotices } from "../../src/turn/index.ts"
import * as t from "../tool/support/calls.ts"

const { chatId } = t

/** Runs with the workspaces of a test and the tools that need no builds. */
const inWorld = t.inWorld

/** A turn of the chat, opened with notices. */
const turn = Effect.fnUntraced(function*(options?: TurnNotices.Options) {
  const notices = yield* TurnNotices.make(options)
  const tools = yield* ChatTools.ChatTools
  const opened = yield* tools.open({ chatId, owner: TestWorkspaces.owner, wrap: notices.workspace })
  const toolkit = notices.toolkit(opened.toolkit)
  return {
    notices,
    workspace: opened.workspace,
    call: (name: string, args: unknown = {}) => t.call(toolkit, name, args),
    execute: t.call(toolkit, "execute", { command: "true" })
  }
})

/** How often the stores were asked and the agent dialed. */
const work = Effect.map(TestWorkspaces.TestWorkspaces, (world) => {
  const { dials, queries } = world.counts()
  return dials + queries.agent + queries.latestBuild + queries.bindAgent
})

/** Whether an effect asked or dialed anybody. */
const isFree = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const before = yield* work
  yield* effect
  return (yield* work) === before
})

const toldBefore = /^The workspace is in the state that another call of this step was told of/

describe("after the workspace was found without an agent", () => {
  it.effect("the other calls of the step get the same answer without a dial, and the long text is said once", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const { call, execute } = yield* turn()
      const first = yield* execute
      assert.deepInclude(first.result, { error: "no_workspace_agent", retry: "after-recovery" })
      assert.match(first.result.message, /^The workspace is stopped\. You cannot do this here: ask the user to start/)
      assert.isTrue(
        yield* isFree(Effect.gen(function*() {
          for (const again of [yield* execute, yield* call("read_file", { path: "a" })]) {
            assert.isTrue(again.isFailure)
            assert.deepInclude(again.result, { error: "no_workspace_agent", retry: "after-recovery" })
            assert.match(again.result.message, toldBefore)
          }
        }))
      )
    }).pipe(inWorld))

  it.effect("calls at once share the finding, and one of them says the long text", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const { execute } = yield* turn()
      const answers = yield* Effect.all(Array.from({ length: 5 }, () => execute), { concurrency: "unbounded" })
      const long = answers.filter(({ result }) => !toldBefore.test(result.message))
      assert.strictEqual(long.length, 1)
      assert.isTrue(answers.every(({ result }) => result.error === "no_workspace_agent"))
    }).pipe(inWorld))

  it.effect("the next step looks again, and says the whole again", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const { execute, notices } = yield* turn()
      const first = yield* execute
      yield* notices.step
      assert.isFalse(yield* isFree(Effect.map(execute, (again) => assert.deepStrictEqual(again, first))))
      yield* notices.step
      yield* world.running(chatId)
      assert.isFalse((yield* execute).isFailure)
    }).pipe(inWorld))

  it.effect("another row of the chat looks again in the same step", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const { execute, workspace } = yield* turn()
      yield* execute
      yield* world.running(chatId)
      assert.isTrue((yield* execute).isFailure)
      const row = yield* Effect.flatMap(ChatWorkspaces, (workspaces) =>
        Effect.flatMap(workspaces.open(chatId), ({ binding }) => binding))
      yield* workspace.select(row)
      assert.isFalse((yield* execute).isFailure)
    }).pipe(inWorld))

  it.effect("a result of a tool that the application names looks again in the same step", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const { call, execute } = yield* turn({ lifecycleTools: ["write_file"] })
      yield* execute
      assert.isTrue(yield* isFree(execute))
      yield* call("write_file", { path: "a", content: "" })
      assert.isFalse(yield* isFree(execute))
    }).pipe(inWorld))

  it.effect("a turn for itself knows nothing of it", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      yield* (yield* turn()).execute
      const { execute } = yield* turn()
      assert.isFalse(yield* isFree(execute))
    }).pipe(inWorld))

  it.effect("a chat without a workspace is no such finding: each call looks again, and says the whole", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      const { execute } = yield* turn()
      const first = yield* execute
      assert.deepInclude(first.result, { error: "no_workspace" })
      assert.deepStrictEqual(yield* execute, first)
      yield* world.running(chatId)
      assert.isFalse((yield* execute).isFailure)
    }).pipe(inWorld))
})

describe("after the agent was found dead", () => {
  it.effect("the other calls of the step do not dial, and those of the next do", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.agentDead(chatId)
      const { execute, notices } = yield* turn()
      const first = yield* Effect.forkChild(execute, { startImmediately: true })
      yield* TestClock.adjust("40 seconds")
      const { result } = yield* Fiber.join(first)
      assert.deepInclude(result, { error: "agent_disconnected" })
      const { dials } = world.counts()
      assert.match((yield* execute).result.message, toldBefore)
      assert.strictEqual(world.counts().dials, dials)
      yield* notices.step
      const next = yield* Effect.forkChild(execute, { startImmediately: true })
      yield* TestClock.adjust("40 seconds")
      assert.notMatch((yield* Fiber.join(next)).result.message, toldBefore)
      assert.isAbove(world.counts().dials, dials)
    }).pipe(inWorld))
})

/** A call that runs into the bound of a dial. */
const timesOut = Effect.fnUntraced(
  function*<E, R>(call: Effect.Effect<Effect.Success<ReturnType<typeof t.call>>, E, R>) {
    const calling = yield* Effect.forkChild(call, { startImmediately: true })
    yield* TestClock.adjust("40 seconds")
    const answer = yield* Fiber.join(calling)
    assert.deepInclude(answer.result, { error: "dial_timeout" })
    return answer
  }
)

describe("after dials that were not answered", () => {
  const silent = Effect.gen(function*() {
    const world = yield* TestWorkspaces.TestWorkspaces
    yield* world.running(chatId)
    // It is frozen, and heard until just now: a dial has to find out.
    yield* world.agentFrozen(chatId)
    yield* world.heartbeatsLost
    return world
  })

  it.effect("two are all that a turn waits for, over its steps", () =>
    Effect.gen(function*() {
      const world = yield* silent
      const { execute, notices } = yield* turn()
      assert.deepInclude((yield* timesOut(execute)).result, { retry: "now-once" })
      yield* notices.step
      const second = yield* timesOut(execute)
      assert.deepInclude(second.result, { retry: "never" })
      assert.match(second.result.message, /tell the user that the workspace does not answer/)
      yield* notices.step
      assert.isTrue(
        yield* isFree(Effect.gen(function*() {
          assert.deepStrictEqual(yield* execute, second)
        }))
      )
      // The agent is back, but this turn does not find out.
      yield* world.running(chatId)
      assert.isTrue((yield* execute).isFailure)
      assert.isFalse((yield* (yield* turn()).execute).isFailure)
    }).pipe(inWorld))

  it.effect("calls that waited for the same dial are one", () =>
    Effect.gen(function*() {
      yield* silent
      const { execute, notices } = yield* turn()
      const calling = yield* Effect.forkChild(Effect.all([execute, execute, execute], { concurrency: "unbounded" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("40 seconds")
      for (const { result } of yield* Fiber.join(calling)) assert.deepInclude(result, { retry: "now-once" })
      yield* notices.step
      assert.isFalse(yield* isFree(timesOut(execute)))
    }).pipe(inWorld))

  it.effect("a result of a tool that starts or stops workspaces begins the count anew", () =>
    Effect.gen(function*() {
      yield* silent
      const { call, execute } = yield* turn({ lifecycleTools: ["process_list"] })
      yield* timesOut(execute)
      yield* timesOut(execute)
      assert.isTrue(yield* isFree(execute))
      yield* call("process_list")
      assert.deepInclude((yield* timesOut(execute)).result, { retry: "now-once" })
    }).pipe(inWorld))
})

describe("notices with our builds", () => {
  it.effect("a start in the same step is followed by a call that runs", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const { call, execute } = yield* turn()
      const first = yield* execute
      assert.include(first.result.message, "Call start_workspace")
      assert.match((yield* execute).result.message, toldBefore)
      const starting = yield* Effect.forkChild(call("start_workspace"), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude((yield* Fiber.join(starting)).result, { started: true })
      assert.isFalse((yield* execute).isFailure)
    }).pipe(TestWorkspaces.provideWith(TestBuilds.layer)))
})

describe("a notice", () => {
  const gone = new NoWorkspaceAgent({
    workspaceId: Ids.WorkspaceId.make("w"),
    buildId: null,
    reason: "stopped",
    logTail: null
  })

  /** A workspace whose connects wait for a test to end them. */
  const waiting = Effect.gen(function*() {
    const connects: Array<Deferred.Deferred<never, NoWorkspaceAgent>> = []
    const workspace: ChatWorkspace = {
      connect: Effect.suspend(() => {
        const connect = Deferred.makeUnsafe<never, NoWorkspaceAgent>()
        connects.push(connect)
        return Deferred.await(connect)
      }),
      use: () => Effect.never,
      binding: Effect.succeed(Binding.unbound(chatId)),
      currentAgent: Effect.never,
      select: () => Effect.void
    }
    const notices = yield* TurnNotices.make()
    const { connect, use } = notices.workspace(workspace)
    return {
      connects,
      notices,
      begin: Effect.forkScoped(connect, { startImmediately: true }),
      beginUse: Effect.forkScoped(use(() => Effect.void), { startImmediately: true })
    }
  })

  it.effect("is not made by a call that began before the step", () =>
    Effect.gen(function*() {
      const { begin, beginUse, connects, notices } = yield* waiting
      const late = yield* begin
      yield* notices.step
      yield* Deferred.fail(connects[0] ?? assert.fail(), gone)
      assert.strictEqual(yield* Effect.flip(Fiber.join(late)), gone)
      yield* beginUse
      assert.strictEqual(connects.length, 2)
      yield* Deferred.fail(connects[1] ?? assert.fail(), gone)
      assert.strictEqual(yield* Effect.flip(Fiber.join(yield* beginUse)), gone)
      assert.strictEqual(yield* Effect.flip(Fiber.join(yield* begin)), gone)
      assert.strictEqual(connects.length, 2)
    }))

  it.effect("is counted by its error", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const { execute } = yield* turn()
      yield* execute
      yield* execute
      const counted = (yield* Metric.snapshot).filter(({ id }) => id === "chat_workspace_turn_notices_total")
      assert.deepStrictEqual(counted.map(({ attributes }) => attributes), [{ code: "no_workspace_agent" }])
    }).pipe(inWorld, Effect.provideService(Metric.MetricRegistry, new Map())))
})
