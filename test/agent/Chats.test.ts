/** Chats over the gateway, on the virtual clock: what a stop and a rebuild mean to their calls. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Protocol } from "../../src/agent/index.ts"
import { NoWorkspaceAgent } from "../../src/domain/Errors.ts"
import { BuildId, ChatId } from "../../src/domain/Ids.ts"
import { AgentEnrollments, ChatBindings } from "../../src/store/index.ts"
import * as h from "./support/harness.ts"
import * as virtual from "./support/virtual.ts"

const chatId = ChatId.make("chat")

const test = (name: string, body: Effect.Effect<void, unknown, virtual.Stores | Scope.Scope>): void => {
  it.effect(name, () => body.pipe(Effect.scoped, Effect.provide(virtual.layerStores)))
}

/** A chat that has called the agent of its running workspace, a minute after the start of its node. */
const running = Effect.gen(function*() {
  const bindings = yield* ChatBindings.ChatBindings
  const world = yield* virtual.world
  const node = yield* world.node()
  const enrolled = yield* h.enroll()
  yield* bindings.bindWorkspace({ chatId, owner: h.owner, workspaceId: enrolled.workspaceId })
  const agent = yield* virtual.attached(node, enrolled)
  const turn = yield* node.chats.open(chatId)
  yield* Effect.scoped(turn.connect)
  yield* virtual.pass("1 minute")
  return { ...world, another: world.node, node, enrolled, agent, turn }
})

const stop = Effect.fnUntraced(function*({ workspaceId }: h.Enrolled) {
  const enrollments = yield* AgentEnrollments.AgentEnrollments
  yield* enrollments.recordEnd({
    workspaceId,
    owner: h.owner,
    buildId: BuildId.make(h.fresh("build")),
    transition: "stop"
  })
})

describe("a stopped workspace behind the gateway", () => {
  test(
    "is its typed error after the queries alone, without any time",
    Effect.gen(function*() {
      const { agent, database, enrolled, node } = yield* running
      yield* stop(enrolled)
      yield* virtual.pass("10 seconds")
      assert.strictEqual(agent.closed, Protocol.CloseCode.revoked)
      yield* TestClock.adjust("1 minute")
      const calls = database.calls
      const began = yield* Clock.currentTimeMillis
      const turn = yield* node.chats.open(chatId)
      const error = yield* Effect.flip(Effect.scoped(turn.connect))
      assert.deepInclude(error, { _tag: "NoWorkspaceAgent", reason: "stopped" })
      // The binding, its agent, and the latest build.
      assert.strictEqual(database.calls - calls, 3)
      assert.strictEqual(yield* Clock.currentTimeMillis, began)
      assert.strictEqual(node.transport.describe?.(enrolled.agentId).waiters.length, 0)
    })
  )

  test(
    "is so right after a start of the node, when nobody knows yet who will come: the row says it",
    Effect.gen(function*() {
      const { another, enrolled, node } = yield* running
      yield* stop(enrolled)
      yield* virtual.pass("10 seconds")
      yield* node.close
      const next = yield* another()
      assert.strictEqual(next.transport.presence(enrolled.agentId), "unknown")
      const turn = yield* next.chats.open(chatId)
      const error = yield* Effect.flip(Effect.scoped(turn.connect))
      assert.deepInclude(error, { _tag: "NoWorkspaceAgent", reason: "stopped" })
    })
  )

  test(
    "with a row that still looks alive and no presence: at the validation delay, not 1 ms before",
    Effect.gen(function*() {
      const { agent, another, database, enrolled, node } = yield* running
      // Its node is killed in the second in which the workspace stops: nothing is written of the session.
      database.mode = "fails"
      yield* node.close
      database.mode = "works"
      assert.isDefined(agent.closed)
      yield* stop(enrolled)
      const next = yield* another()
      const turn = yield* next.chats.open(chatId)
      const call = yield* Effect.forkScoped(Effect.scoped(turn.connect), { startImmediately: true })
      yield* TestClock.adjust(999)
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      const exit = call.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.isFailure(exit))
      assert.instanceOf(yield* Effect.flip(exit ?? Effect.die("no answer")), NoWorkspaceAgent)
    })
  )
})

describe("a rebuilt workspace whose old agent is left alive", () => {
  test(
    "within one heartbeat no call reaches the old agent, and the new one serves",
    Effect.gen(function*() {
      const { agent, enrolled, node, turn } = yield* running
      const held = yield* turn.connect
      const rebuilt = yield* h.enroll(enrolled.workspaceId)
      const beat = yield* Clock.currentTimeMillis
      // Up to the heartbeat the old one is all there is.
      while (agent.closed === undefined) {
        yield* TestClock.adjust(1)
        assert.isAtMost((yield* Clock.currentTimeMillis) - beat, 10_000)
      }
      assert.strictEqual(agent.closed, Protocol.CloseCode.revoked)
      assert.strictEqual(held.liveness(), "closed")
      assert.strictEqual(yield* held.closed, "revoked")
      // A lease of before is no way around that: nothing is sent, and it is said at once.
      const late = yield* Effect.flip(held.processes.start({ id: h.operation(), argv: ["true"] }))
      assert.strictEqual(late._tag === "CallInterrupted" ? late.sent : late._tag, "notSent")
      // Nor is coming back.
      const again = yield* virtual.attached(node, enrolled)
      assert.strictEqual(again.closed, undefined)
      assert.strictEqual(node.transport.presence(enrolled.agentId), "absent")
      yield* virtual.attached(node, rebuilt)
      const call = yield* Effect.forkScoped(turn.connect, { startImmediately: true })
      yield* TestClock.adjust(0)
      const exit = call.pollUnsafe()
      assert.strictEqual(exit !== undefined && Exit.isSuccess(exit) ? exit.value.agentId : exit, rebuilt.agentId)
      assert.strictEqual((yield* turn.binding).agentId, rebuilt.agentId)
    })
  )
})
