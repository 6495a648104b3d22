import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import { AgentTransport } from "../../src/agent/AgentTransport.ts"
import { ChatWorkspaces } from "../../src/dial/ChatWorkspaces.ts"
import * as DialConfig from "../../src/dial/DialConfig.ts"
import type { ConnectError } from "../../src/domain/Errors.ts"
import { AgentId, ChatId, OperationId } from "../../src/domain/Ids.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { Chats } from "../../src/store/Chats.ts"
import { ScriptedStores } from "../../src/testing/ScriptedStores.ts"
import { ScriptedTransport } from "../../src/testing/ScriptedTransport.ts"
import * as TestWorkspaces from "../../src/testing/TestWorkspaces.ts"
import * as VirtualTime from "../../src/testing/VirtualTime.ts"

const chat = ChatId.make("chat")

const test = (
  name: string,
  body: (world: TestWorkspaces.TestWorkspaces["Service"]) => Effect.Effect<void, unknown, TestWorkspaces.Services>
) => it.effect(name, () => Effect.flatMap(TestWorkspaces.TestWorkspaces, body).pipe(TestWorkspaces.provide))

const open = Effect.flatMap(ChatWorkspaces, (workspaces) => workspaces.open(chat))

/** The agent that a call of a new turn gets. */
const connect = Effect.flatMap(open, (workspace) => workspace.use((connection) => Effect.succeed(connection.agentId)))

/** What a call comes to, and after how many milliseconds, a millisecond before which it has come to nothing. */
const after = (millis: number) =>
  Effect.gen(function*() {
    const call = yield* Effect.forkChild(Effect.result(connect), { startImmediately: true })
    if (millis > 0) {
      yield* TestClock.adjust(millis - 1)
      assert.isUndefined(call.pollUnsafe(), "came to something too early")
    }
    yield* TestClock.adjust(1)
    assert.isDefined(call.pollUnsafe(), "came to nothing in time")
    return yield* Fiber.join(call)
  })

const errorOf = (result: Result.Result<AgentId, ConnectError>) => Result.getOrThrow(Result.flip(result))

describe("TestWorkspaces", () => {
  test("running: connects at once, and costs nothing the second time", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.running(chat)
      const workspace = yield* open
      const [got, first] = yield* world.counted(workspace.use((connection) => Effect.succeed(connection.agentId)))
      assert.strictEqual(got, agentId)
      assert.deepInclude(first, { dials: 1, queries: { ...none, agent: 1 } })
      const [, second] = yield* world.counted(workspace.use(() => Effect.void))
      assert.deepInclude(second, { dials: 0, queries: none })
    }))

  test("running: the agent is as alive after an hour as it was before", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.running(chat)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* connect, agentId)
      const transport = yield* ScriptedTransport
      yield* transport.liveness(agentId, "unknown")
      const [got, { dials, queries }] = yield* world.counted(connect)
      assert.deepStrictEqual([got, dials, queries.agent], [agentId, 0, 1])
    }))

  test("running, remembering only the workspace: the first call binds the agent", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.running(chat, { remembers: "workspace" })
      const [, { queries }] = yield* world.counted(connect)
      assert.deepStrictEqual(queries, { ...none, binding: 1, latestBuild: 1, bindAgent: 1 })
      assert.strictEqual((yield* Effect.flatMap(ChatBindings, ({ get }) => get(chat))).agentId, agentId)
    }))

  test("a chat without any verb has no workspace", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(connect))._tag, "NoWorkspace")
    }))

  test("stopped: says so after the queries alone", (world) =>
    Effect.gen(function*() {
      yield* world.stopped(chat)
      const [error, { open, queries }] = yield* world.counted(Effect.flip(connect))
      assert.deepInclude(error, { _tag: "NoWorkspaceAgent", reason: "stopped" })
      assert.deepStrictEqual([queries, open], [{ ...none, binding: 1, agent: 1, latestBuild: 1 }, 0])
      const { agentId } = yield* world.running(chat)
      assert.strictEqual(yield* connect, agentId)
    }))

  test("stopped, in a chat that never called: no dial at all", (world) =>
    Effect.gen(function*() {
      yield* world.stopped(chat, { remembers: "workspace" })
      const [, { dials, queries }] = yield* world.counted(Effect.flip(connect))
      assert.deepStrictEqual([queries, dials], [{ ...none, binding: 1, latestBuild: 1 }, 0])
    }))

  test("rebuilt: goes to the new agent and remembers it", (world) =>
    Effect.gen(function*() {
      const before = yield* world.running(chat)
      const { agentId } = yield* world.rebuilt(chat)
      assert.notStrictEqual(agentId, before.agentId)
      const [got, { dials, queries }] = yield* world.counted(connect)
      assert.strictEqual(got, agentId)
      assert.deepStrictEqual([queries, dials], [{
        binding: 1,
        agent: 1,
        latestBuild: 1,
        bindAgent: 1,
        bindWorkspace: 0
      }, 2])
      assert.strictEqual((yield* Effect.flatMap(ChatBindings, ({ get }) => get(chat))).agentId, agentId)
    }))

  test("rebuilt with the old agent alive: its session still answers, until the transport revokes it", (world) =>
    Effect.gen(function*() {
      const before = yield* world.running(chat)
      const { agentId } = yield* world.rebuilt(chat, { oldAgent: "alive" })
      assert.strictEqual(yield* connect, before.agentId)
      const transport = yield* ScriptedTransport
      yield* transport.drop(before.agentId, "revoked")
      yield* transport.refuse(before.agentId)
      assert.strictEqual(yield* connect, agentId)
    }))

  test("agentDead: five more seconds, then the advice to stop and start", (world) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat)
      const error = errorOf(yield* after(5_000))
      assert.deepInclude(error, { _tag: "AgentDisconnected", evidence: "disconnected", restart: true })
      assert.strictEqual(error._tag === "AgentDisconnected" && Duration.toSeconds(error.unreachableFor), 125)
    }))

  test("agentDead: for less than a restart is worth, the dial gets all its time", (world) =>
    Effect.gen(function*() {
      yield* world.agentDead(chat, { for: "10 seconds" })
      assert.strictEqual(errorOf(yield* after(30_000))._tag, "DialTimeout")
    }))

  test("agentDead: the open connection is lost", (world) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* (yield* open).connect
        yield* world.agentDead(chat)
        assert.strictEqual(yield* connection.closed, "lost")
      }))
    }))

  test("agentFrozen: the open connection is lent, and the command ends at its deadline", (world) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* connect
      yield* world.agentFrozen(chat)
      const run = (yield* open).use(({ processes }) => processes.run({ id: OperationId.make("1"), argv: ["true"] }))
      const call = yield* Effect.forkChild(Effect.flip(run), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      assert.deepInclude(yield* Fiber.join(call), { _tag: "CallTimedOut", sent: "mayHaveRun" })
      const [error] = yield* world.counted(Effect.result(Effect.andThen(TestClock.adjust(1), connect)))
      assert.deepInclude(errorOf(error), { _tag: "AgentDisconnected", evidence: "silent", restart: false })
    }))

  test("agentFrozen, and thawed by running", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.running(chat)
      yield* connect
      yield* world.agentFrozen(chat, { for: "2 minutes" })
      assert.deepInclude(yield* Effect.flip(connect), { _tag: "AgentDisconnected", restart: true })
      yield* world.running(chat)
      assert.strictEqual(yield* connect, agentId)
      const run = (yield* open).use(({ processes }) => processes.run({ id: OperationId.make("1"), argv: ["true"] }))
      assert.strictEqual((yield* run).code, 0)
    }))

  test("neverConnects: five more seconds, then the advice to stop and start", (world) =>
    Effect.gen(function*() {
      yield* world.neverConnects(chat)
      assert.deepInclude(errorOf(yield* after(5_000)), { _tag: "AgentDisconnected", evidence: "neverConnected" })
    }))

  test("neverConnects, but it is early yet: the agent may come, and does", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.neverConnects(chat, { for: 0 })
      const call = yield* Effect.forkChild(connect, { startImmediately: true })
      yield* TestClock.adjust("20 seconds")
      yield* world.running(chat)
      assert.strictEqual(yield* Fiber.join(call), agentId)
    }))

  test("linkLostDuring: the command goes on, and its outcome is there by its id", (world) =>
    Effect.gen(function*() {
      let runs = 0
      yield* world.onExecute(() => Effect.sync(() => ({ code: ++runs })))
      yield* world.linkLostDuring(chat)
      const workspace = yield* open
      const run = workspace.use(({ processes }) => processes.run({ id: OperationId.make("1"), argv: ["deploy"] }))
      assert.deepInclude(yield* Effect.flip(run), { _tag: "CallInterrupted", sent: "mayHaveRun" })
      assert.strictEqual((yield* run).code, 1)
      assert.deepInclude(world.counts(), { dials: 2, open: 1 })
    }))

  test("databaseDown: an open connection goes on, a new chat does not", (world) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      const workspace = yield* open
      yield* workspace.use(() => Effect.void)
      yield* world.databaseDown()
      yield* workspace.use(() => Effect.void)
      assert.strictEqual((yield* Effect.flip(connect))._tag, "StoreError")
      yield* world.databaseUp
      yield* connect
    }))

  test("databaseDown, hanging: a call ends after three seconds", (world) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* world.databaseDown({ hangs: true })
      assert.strictEqual(errorOf(yield* after(3_000))._tag, "StoreError")
    }))

  test("databaseDown for five minutes: nobody advises a restart before 90 seconds of heartbeats", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.running(chat)
      yield* world.agentDead(chat, { for: 0 })
      yield* world.databaseDown()
      yield* TestClock.adjust("5 minutes")
      yield* world.databaseUp
      yield* TestClock.adjust(59_999)
      // The dial ends 30 seconds later, and looks then.
      assert.strictEqual(errorOf(yield* after(30_000))._tag, "DialTimeout")
      const transport = yield* ScriptedTransport
      assert.strictEqual(transport.counts(agentId).pending, 0)
      yield* TestClock.adjust(1)
      assert.deepInclude(errorOf(yield* after(5_000)), { _tag: "AgentDisconnected", restart: true })
    }))

  test("slowStart: starting, a millisecond before it runs", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.slowStart(chat)
      yield* TestClock.adjust(59_999)
      assert.deepInclude(yield* Effect.flip(connect), { _tag: "NoWorkspaceAgent", reason: "starting" })
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* connect, agentId)
    }))

  test("lastBuild: one that failed, with what it had printed", (world) =>
    Effect.gen(function*() {
      yield* world.lastBuild(chat, { transition: "start", status: "failed", log: "no space left" })
      const error = yield* Effect.flip(connect)
      assert.deepInclude(error, { _tag: "NoWorkspaceAgent", reason: "failed", logTail: "no space left" })
      yield* world.running(chat)
      yield* connect
    }))

  test("lastBuild: a start with the agents named, which have not come", (world) =>
    Effect.gen(function*() {
      yield* world.lastBuild(chat, { transition: "start", status: "succeeded" })
      assert.deepInclude(yield* Effect.flip(connect), { _tag: "NoWorkspaceAgent", reason: "noAgents" })
      yield* world.lastBuild(chat, { transition: "start", status: "succeeded", agents: ["a-chat", "b-chat"] })
      assert.deepInclude(yield* Effect.flip(connect), { _tag: "AgentSelectionFailed", names: ["a-chat", "b-chat"] })
      const { agentId } = yield* world.lastBuild(chat, { transition: "start", status: "succeeded", agents: ["a"] })
      const call = yield* Effect.forkChild(connect, { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* world.agentComes(agentId)
      assert.strictEqual(yield* Fiber.join(call), agentId)
    }))

  test("lastBuild: a deletion, after which the chat has no workspace", (world) =>
    Effect.gen(function*() {
      yield* world.lastBuild(chat, { transition: "delete", status: "succeeded" })
      assert.strictEqual((yield* Effect.flip(connect))._tag, "NoWorkspace")
    }))

  test("agentGoes: its connection is revoked", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.running(chat)
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* (yield* open).connect
        yield* world.agentGoes(agentId)
        assert.strictEqual(yield* connection.closed, "revoked")
      }))
    }))

  test("heartbeatsLost: for as long as that lasts, silence is nobody's death", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.running(chat)
      const transport = yield* ScriptedTransport
      yield* world.heartbeatsLost
      yield* TestClock.adjust("10 minutes")
      yield* transport.stall(agentId)
      assert.strictEqual(errorOf(yield* after(30_000))._tag, "DialTimeout")
      yield* world.heartbeatsBack
      yield* transport.accept(agentId)
      assert.strictEqual(yield* connect, agentId)
    }))

  test("files of the agent are seen by calls", (world) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      const files = yield* world.files(chat)
      files.set("/w/README.md", "hello")
      const read = yield* (yield* open).use((connection) => connection.files.read("/w/README.md"))
      assert.strictEqual(new TextDecoder().decode(read.bytes), "hello")
    }))

  test("a child chat works in its parent's workspace", (world) =>
    Effect.gen(function*() {
      const { agentId } = yield* world.running(chat)
      const child = ChatId.make("child")
      const chats = yield* Chats
      yield* chats.create({ chatId: child, owner: TestWorkspaces.owner, parent: chat })
      const workspace = yield* Effect.flatMap(ChatWorkspaces, (workspaces) => workspaces.open(child))
      assert.strictEqual(yield* workspace.use((connection) => Effect.succeed(connection.agentId)), agentId)
    }))

  test("chats do not disturb each other", (world) =>
    Effect.gen(function*() {
      const other = ChatId.make("other")
      yield* world.stopped(other)
      const { agentId } = yield* world.running(chat)
      assert.strictEqual(yield* connect, agentId)
    }))

  test("the counts are those of the parts", (world) =>
    Effect.gen(function*() {
      yield* world.running(chat)
      yield* connect
      const stores = yield* ScriptedStores
      const transport = yield* ScriptedTransport
      assert.deepStrictEqual(world.counts(), { ...transport.counts(), queries: stores.counts() })
    }))
})

const none = { binding: 0, agent: 0, latestBuild: 0, bindAgent: 0, bindWorkspace: 0 }

describe("a world", () => {
  it.effect("ends without hanging on the virtual clock, with dials in flight that ignore it", () =>
    Effect.gen(function*() {
      const transport = yield* ScriptedTransport
      const world = yield* TestWorkspaces.TestWorkspaces
      const { agentId } = yield* world.running(chat)
      yield* transport.ignoreCancellation(agentId, { after: "1 minute", outcome: "succeed" })
      const call = yield* Effect.forkChild(Effect.flip(connect), { startImmediately: true })
      return [transport, call] as const
    }).pipe(
      TestWorkspaces.provide,
      Effect.flatMap(([transport, call]) =>
        Effect.gen(function*() {
          assert.deepInclude(yield* Fiber.join(call), { _tag: "DialFailed", reason: "shutdown" })
          assert.deepInclude(transport.counts(), { pending: 1, open: 0 })
          // The late connection is released all the same.
          yield* TestClock.adjust("1 minute")
          assert.deepInclude(transport.counts(), { pending: 0, opened: 1, open: 0, releases: 1 })
        })
      )
    ))

  it.effect("says so when a connection was not released", () =>
    Effect.gen(function*() {
      const leak = Effect.gen(function*() {
        const world = yield* TestWorkspaces.TestWorkspaces
        const transport = yield* ScriptedTransport
        yield* transport.accept((yield* world.running(chat)).agentId)
        const { dial } = yield* AgentTransport
        // A scope that nobody closes.
        yield* Scope.provide(dial(AgentId.make("workspace of chat/build-1/agent")), yield* Scope.make())
      })
      const exit = yield* Effect.exit(leak.pipe(TestWorkspaces.provide))
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("1 connections were not released"))
    }))

  it.effect("takes other bounds", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.agentDead(chat)
      assert.strictEqual(errorOf(yield* after(1_000))._tag, "AgentDisconnected")
    }).pipe(
      VirtualTime.provide(TestWorkspaces.layer.pipe(Layer.provide(DialConfig.layer({ confirmedDead: "1 second" }))))
    ))

  it.live("is made in less than 50 milliseconds", () =>
    Effect.gen(function*() {
      const make = Effect.void.pipe(TestWorkspaces.provide)
      yield* make
      const [took] = yield* Effect.timed(Effect.replicateEffect(make, 10))
      assert.isBelow(Duration.toMillis(took) / 10, 50)
    }))
})
