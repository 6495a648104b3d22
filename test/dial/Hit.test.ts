import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Errors from "../../src/domain/Errors.ts"
import { ChatId } from "../../src/domain/Ids.ts"
import { call, errorOf, running } from "./support/Calls.ts"
import * as World from "./support/World.ts"

const { agentId, chat, numberOf } = World

describe("a hit", () => {
  const opened = Effect.fnUntraced(function*() {
    const world = yield* running()
    const turn = yield* world.chats.open(chat)
    yield* (yield* call(turn)).end
    world.state.liveness.set(1, "unknown")
    return { world, turn }
  })

  it.effect("is lent to whichever chat is on the agent, whoever dialed it", () =>
    Effect.gen(function*() {
      const { world } = yield* opened()
      world.state.liveness.delete(1)
      const other = ChatId.make("other")
      world.bind({ chatId: other, agent: "a1", build: 1 })
      const second = yield* call(yield* world.chats.open(other))
      assert.strictEqual(numberOf(second.result()), 1)
    }))

  it.effect("on a closed connection is a miss", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      world.state.liveness.set(1, "closed")
      assert.strictEqual(numberOf((yield* call(turn)).result()), 2)
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))

  it.effect("unknown, silent for exactly the inactive time: the same connection; 1 ms more: disconnected", () =>
    Effect.gen(function*() {
      for (const [silent, connected] of [[30_000, true], [30_001, false]] as const) {
        const { turn, world } = yield* opened()
        yield* world.silentFor("a1", silent)
        const second = (yield* call(turn)).result()
        assert.strictEqual(numberOf(second), connected ? 1 : undefined)
        if (!connected) assert.instanceOf(errorOf(second), Errors.AgentDisconnected)
      }
    }))

  it.effect("unreachable for 89,999 ms: retry once; for 90 s: the advice to restart", () =>
    Effect.gen(function*() {
      for (const [silent, action] of [[89_999, "retry"], [90_000, "stop-then-start"]] as const) {
        const { turn, world } = yield* opened()
        yield* world.silentFor("a1", silent)
        const error = errorOf((yield* call(turn)).result())
        assert.instanceOf(error, Errors.AgentDisconnected)
        assert.strictEqual(error.recovery.action, action)
      }
    }))

  it.effect("unknown, unreachable for no longer than our own outage: the same connection", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      yield* world.silentFor("a1", 600_000)
      world.state.coveredSince = -30_000
      assert.strictEqual(numberOf((yield* call(turn)).result()), 1)
      world.state.coveredSince = -30_001
      assert.instanceOf(errorOf((yield* call(turn)).result()), Errors.AgentDisconnected)
    }))

  it.effect("unknown, never connected but connected here: still connecting keeps the connection", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      yield* world.neverConnected("a1", 120_000, 120_000)
      assert.strictEqual(numberOf((yield* call(turn)).result()), 1)
    }))

  it.effect("unknown, and the read fails: the same connection", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      world.state.faults.set("agent", { fail: true })
      assert.strictEqual(numberOf((yield* call(turn)).result()), 1)
    }))

  it.effect("unknown, and the read does not answer: the same connection after 500 ms, though it does not listen", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      world.state.faults.set("agent", { after: 10_000, stubborn: true })
      const second = yield* call(turn)
      yield* TestClock.adjust(499)
      assert.isUndefined(second.result())
      yield* TestClock.adjust(1)
      assert.strictEqual(numberOf(second.result()), 1)
    }))

  it.effect("unknown, and the row is gone: a miss", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      world.build({ number: 2, agents: ["a2"] })
      world.store.agents.delete(agentId("a1"))
      assert.strictEqual(numberOf((yield* call(turn)).result()), 2)
      assert.strictEqual(world.row()?.agentId, agentId("a2"))
    }))

  it.effect("unreachable, and the validation fails: disconnected, no dial", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      yield* world.silentFor("a1", 60_000)
      world.state.faults.set("latestBuild", { fail: true })
      const [second, counts] = yield* world.counted(call(turn))
      assert.instanceOf(errorOf(second.result()), Errors.AgentDisconnected)
      assert.strictEqual(counts.dials, 0)
    }))

  it.effect("unreachable, and there is no agent: its error, no dial", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      yield* world.silentFor("a1", 60_000)
      world.build({ number: 2, transition: "stop" })
      const [second, counts] = yield* world.counted(call(turn))
      assert.deepInclude(errorOf(second.result()), { _tag: "NoWorkspaceAgent", reason: "stopped" })
      assert.strictEqual(counts.dials, 0)
    }))

  it.effect("unreachable: a crowd takes one look and forgets the connection once", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      yield* world.silentFor("a1", 60_000)
      world.state.faults.set("latestBuild", { after: 100 })
      const crowd = yield* Effect.forEach(Array.from({ length: 16 }), () => call(turn))
      yield* TestClock.adjust(100)
      for (const one of crowd) assert.instanceOf(errorOf(one.result()), Errors.AgentDisconnected)
      assert.strictEqual(world.state.counts.latestBuild, 1)
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))

  it.effect("unreachable: a connection in use is forgotten, and closed with its last lease", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      const user = yield* call(turn)
      yield* TestClock.adjust(0)
      yield* world.silentFor("a1", 60_000)
      yield* call(turn)
      assert.deepStrictEqual(world.state.released, [])
      yield* user.end
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))

  it.effect("late news about an old connection does not fail a call that the new one can serve", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      yield* world.silentFor("a1", 60_000)
      world.state.faults.set("agent", { after: 200 })
      const late = yield* call(turn)
      yield* TestClock.adjust(100)
      world.state.faults.delete("agent")
      const first = yield* call(turn)
      assert.instanceOf(errorOf(first.result()), Errors.AgentDisconnected)
      const second = yield* call(turn)
      assert.strictEqual(numberOf(second.result()), 2)
      yield* TestClock.adjust(100)
      assert.strictEqual(numberOf(late.result()), 2)
    }))

  it.effect("what was forgotten during the read is not lent and not dialed outside a flight", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* opened()
      world.state.faults.set("agent", { after: 200 })
      const late = yield* call(turn)
      yield* TestClock.adjust(100)
      world.state.liveness.set(1, "closed")
      world.build({ number: 2, transition: "stop" })
      world.mode("a1", { after: 29_999, stubborn: true })
      world.presence("a1", "absent")
      yield* TestClock.adjust(100)
      yield* TestClock.adjust(200)
      assert.deepInclude(errorOf(late.result()), { _tag: "NoWorkspaceAgent", reason: "stopped" })
    }))
})
