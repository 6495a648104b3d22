/** Connecting while the store is slow, silent or ahead of us: each bound 1 ms before and at it, and what it costs. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Errors from "../../src/domain/Errors.ts"
import { call, costs, errorOf, firstCall, running } from "./support/Calls.ts"
import * as World from "./support/World.ts"

const { agentId, chat, numberOf, otherWorkspace } = World

describe("a store that does not answer, and does not listen", () => {
  it.effect("when the bound agent is read: it is dialed after 3 s all the same", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.state.faults.set("agent", { after: 600_000, stubborn: true })
      const { first } = yield* firstCall(world, 2999)
      assert.isUndefined(first.result())
      assert.strictEqual(world.state.counts.dials, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(numberOf(first.result()), 1)
    }))

  it.effect("when an agent is chosen: StoreError after 3 s, no dial", () =>
    Effect.gen(function*() {
      const world = yield* running({ bound: false })
      world.state.faults.set("latestBuild", { after: 600_000, stubborn: true })
      const { cost, first } = yield* firstCall(world, 2999)
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      assert.deepInclude(errorOf(first.result()), { _tag: "StoreError", operation: "WorkspaceAgents.latestBuild" })
      assert.strictEqual(cost, "get 1, latestBuild 1")
    }))

  it.effect("when the repair is written: StoreError after 3 s, and the connection stays idle", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.build({ number: 2, agents: ["a2"] })
      world.mode("a1", { ends: "refuse" })
      world.state.faults.set("bindAgent", { after: 600_000, stubborn: true })
      const { first } = yield* firstCall(world, 2999)
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      assert.deepInclude(errorOf(first.result()), { _tag: "StoreError", operation: "ChatBindings.bindAgent" })
      assert.deepStrictEqual(world.state.released, [])
    }))

  it.effect("when the failed dial is validated: DialFailed after 3 s, with that beside it", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "refuse" })
      world.state.faults.set("latestBuild", { after: 600_000, stubborn: true })
      const { first } = yield* firstCall(world, 2999)
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      const error = errorOf(first.result())
      assert.instanceOf(error, Errors.DialFailed)
      assert.instanceOf(error.validation, Errors.StoreError)
    }))
})

describe("a store that fails when the bound agent is read", () => {
  it.effect("leaves the normal delay: the question comes at 1 s, not 1 ms before", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.build({ number: 2, transition: "stop" })
      yield* world.silentFor("a1", 3_600_000, true)
      world.mode("a1", { ends: "hang" })
      world.state.faults.set("agent", { fail: true })
      const { first } = yield* firstCall(world, 999)
      assert.isUndefined(first.result())
      assert.strictEqual(world.state.counts.latestBuild, 0)
      yield* TestClock.adjust(1)
      assert.deepInclude(errorOf(first.result()), { _tag: "NoWorkspaceAgent", reason: "stopped" })
    }))
})

describe("a switch", () => {
  it.effect("followed by a timeout costs one look more", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.build({ number: 2, agents: ["a2"] })
      world.mode("a1", { ends: "refuse" })
      world.mode("a2", { ends: "hang" })
      const [first, counts] = yield* world.counted(Effect.gen(function*() {
        const first = yield* call(yield* world.chats.open(chat))
        yield* TestClock.adjust(29_999)
        assert.isUndefined(first.result())
        yield* TestClock.adjust(1)
        return first
      }))
      assert.instanceOf(errorOf(first.result()), Errors.DialTimeout)
      // A switch that was not made is not written.
      assert.strictEqual(costs(counts), "get 1, agent 1, latestBuild 2, dials 2")
      assert.strictEqual(world.row()?.agentId, agentId("a1"))
    }))
})

describe("two attempts", () => {
  it.effect("share one deadline: 30 s from the start of the flight", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.build({ number: 2, agents: ["a2"] })
      world.build({ workspaceId: otherWorkspace, number: 1, agents: ["b1"] })
      world.mode("a1", { ends: "refuse" })
      world.mode("a2", { after: 20_000 })
      world.mode("b1", { ends: "hang" })
      world.state.beforeBindAgent = () => world.bind({ workspaceId: otherWorkspace, agent: "b1", build: 1 })
      const { first } = yield* firstCall(world, 29_999)
      assert.deepStrictEqual(world.state.calls.filter((call) => call.startsWith("dial")), [
        "dial a1",
        "dial a2",
        "dial b1"
      ])
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      assert.deepInclude(errorOf(first.result()), { _tag: "DialTimeout", after: Duration.seconds(30) })
      assert.strictEqual(world.state.running, 0)
    }))
})

describe("a repair on a hit", () => {
  const silent = Effect.fnUntraced(function*() {
    const world = yield* running()
    const turn = yield* world.chats.open(chat)
    yield* (yield* call(turn)).end
    world.state.liveness.set(1, "unknown")
    yield* world.silentFor("a1", 60_000)
    world.build({ number: 2, agents: ["a2"] })
    return { world, turn }
  })

  it.effect("superseded by the same agent: done", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* silent()
      world.state.beforeBindAgent = () => world.bind({ agent: "a2", build: 2 })
      const [second, counts] = yield* world.counted(call(turn))
      assert.strictEqual(numberOf(second.result()), 2)
      assert.strictEqual(costs(counts), "bindAgent 1, agent 1, latestBuild 1, dials 1")
      assert.strictEqual(world.row()?.generation, 2)
    }))

  it.effect("superseded by the same workspace, ours still right: + latestBuild, bindAgent", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* silent()
      world.state.beforeBindAgent = () => world.bind({ agent: "a1", build: 1 })
      const [second, counts] = yield* world.counted(call(turn))
      assert.strictEqual(numberOf(second.result()), 2)
      assert.strictEqual(costs(counts), "bindAgent 2, agent 1, latestBuild 2, dials 1")
      assert.deepInclude(world.row(), { agentId: agentId("a2"), generation: 3 })
    }))

  it.effect("superseded by another workspace: one more miss, from the winner's row", () =>
    Effect.gen(function*() {
      const { turn, world } = yield* silent()
      world.build({ workspaceId: otherWorkspace, number: 1, agents: ["b1"] })
      world.state.beforeBindAgent = () => world.bind({ workspaceId: otherWorkspace, agent: "b1", build: 1 })
      const [second, counts] = yield* world.counted(call(turn))
      assert.strictEqual(numberOf(second.result()), 2)
      assert.strictEqual(costs(counts), "bindAgent 1, agent 2, latestBuild 1, dials 1")
      assert.deepInclude(yield* turn.binding, { workspaceId: otherWorkspace, agentId: agentId("b1") })
      // The connection of the silent agent had no user, and was let go of when it was forgotten.
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))
})
