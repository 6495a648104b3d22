import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Errors from "../../src/domain/Errors.ts"
import { call, costs, errorOf, firstCall, running } from "./support/Calls.ts"
import * as World from "./support/World.ts"

const { agentId, chat, numberOf } = World

describe("what a turn costs", () => {
  it.effect("a call whose agent has a live session here: no query, no dial", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      const first = yield* call(turn)
      const [second, counts] = yield* world.counted(call(turn))
      assert.strictEqual(costs(counts), "")
      assert.strictEqual(numberOf(second.result()), numberOf(first.result()))
    }))

  it.effect("liveness unknown: one read of the agent", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      yield* call(turn)
      world.state.liveness.set(1, "unknown")
      const [second, counts] = yield* world.counted(call(turn))
      assert.strictEqual(numberOf(second.result()), 1)
      assert.strictEqual(costs(counts), "agent 1")
    }))

  it.effect("liveness unknown and unreachable, same agent: agent, latestBuild, no dial", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      yield* call(turn)
      world.state.liveness.set(1, "unknown")
      yield* world.silentFor("a1", 60_000)
      const [second, counts] = yield* world.counted(call(turn))
      assert.instanceOf(errorOf(second.result()), Errors.AgentDisconnected)
      assert.strictEqual(costs(counts), "agent 1, latestBuild 1")
    }))

  it.effect("liveness unknown and unreachable, other agent: + bindAgent, one dial", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      yield* call(turn)
      world.state.liveness.set(1, "unknown")
      yield* world.silentFor("a1", 60_000)
      world.build({ number: 2, agents: ["a2"] })
      const [second, counts] = yield* world.counted(call(turn))
      assert.strictEqual(numberOf(second.result()), 2)
      assert.strictEqual(costs(counts), "bindAgent 1, agent 1, latestBuild 1, dials 1")
      assert.strictEqual(world.row()?.agentId, agentId("a2"))
    }))

  it.effect("first call of a turn, connection kept from an earlier one: binding", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const earlier = yield* call(yield* world.chats.open(chat))
      yield* earlier.end
      yield* TestClock.adjust("4 minutes")
      const { cost, first } = yield* firstCall(world)
      assert.strictEqual(numberOf(first.result()), 1)
      assert.strictEqual(cost, "get 1")
    }))

  it.effect("good binding, no connection, dial within the delay: binding, agent, one dial", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { after: 999 })
      const { cost, first } = yield* firstCall(world, 999)
      assert.strictEqual(numberOf(first.result()), 1)
      assert.strictEqual(cost, "get 1, agent 1, dials 1")
    }))

  it.effect("dial slow, same agent: + latestBuild, one dial", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { after: 5000 })
      const { cost, first } = yield* firstCall(world, 5000)
      assert.strictEqual(numberOf(first.result()), 1)
      assert.strictEqual(cost, "get 1, agent 1, latestBuild 1, dials 1")
    }))

  it.effect("dial failed, same agent: + latestBuild, two dials", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.nextModes("a1", { ends: "refuse" })
      const { cost, first } = yield* firstCall(world)
      assert.strictEqual(numberOf(first.result()), 2)
      assert.strictEqual(cost, "get 1, agent 1, latestBuild 1, dials 2")
    }))

  it.effect("chat without workspace: binding twice", () =>
    Effect.gen(function*() {
      const world = yield* World.make
      const { cost, first } = yield* firstCall(world)
      assert.instanceOf(errorOf(first.result()), Errors.NoWorkspace)
      assert.strictEqual(cost, "get 2")
    }))

  it.effect("chat without agent: binding, latestBuild, bindAgent, one dial; slow or failed: + latestBuild", () =>
    Effect.gen(function*() {
      for (
        const [mode, wait, cost] of [
          [{}, 0, "get 1, bindAgent 1, latestBuild 1, dials 1"],
          [{ after: 3000 }, 3000, "get 1, bindAgent 1, latestBuild 2, dials 1"],
          [{ ends: "refuse" }, 0, "get 1, bindAgent 1, latestBuild 2, dials 2"]
        ] satisfies Array<[World.Mode, number, string]>
      ) {
        const world = yield* running({ bound: false })
        world.nextModes("a1", mode)
        const result = yield* firstCall(world, wait)
        assert.isDefined(numberOf(result.first.result()))
        assert.strictEqual(result.cost, cost)
        assert.strictEqual(world.row()?.agentId, agentId("a1"))
      }
    }))

  it.effect("rebuilt workspace, old agent gone: binding, agent, latestBuild, bindAgent, two dials", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.build({ number: 2, agents: ["a2"] })
      world.mode("a1", { ends: "hang" })
      yield* world.silentFor("a1", 60_000, true)
      const { cost, first } = yield* firstCall(world)
      assert.strictEqual(numberOf(first.result()), 2)
      assert.strictEqual(cost, "get 1, bindAgent 1, agent 1, latestBuild 1, dials 2")
      assert.deepInclude(world.row(), { agentId: agentId("a2"), generation: 2 })
    }))

  it.effect("stopped workspace, remembered agent: binding, agent, latestBuild, and the dial abandoned", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.build({ number: 2, transition: "stop" })
      world.mode("a1", { ends: "hang" })
      world.presence("a1", "absent")
      const { cost, first } = yield* firstCall(world)
      assert.deepInclude(errorOf(first.result()), { _tag: "NoWorkspaceAgent", reason: "stopped" })
      assert.strictEqual(cost, "get 1, agent 1, latestBuild 1, dials 1")
      assert.strictEqual(world.state.running, 0)
    }))

  it.effect("new chat on a stopped workspace: binding, latestBuild, no dial", () =>
    Effect.gen(function*() {
      const world = yield* running({ bound: false })
      world.build({ number: 2, transition: "stop" })
      const { cost, first } = yield* firstCall(world)
      assert.deepInclude(errorOf(first.result()), { _tag: "NoWorkspaceAgent", reason: "stopped" })
      assert.strictEqual(cost, "get 1, latestBuild 1")
    }))

  it.effect("timeout: binding, agent, latestBuild twice, one dial; without a bound agent latestBuild thrice, bindAgent", () =>
    Effect.gen(function*() {
      for (
        const [bound, cost] of [
          [true, "get 1, agent 1, latestBuild 2, dials 1"],
          [false, "get 1, bindAgent 1, latestBuild 3, dials 1"]
        ] as const
      ) {
        const world = yield* running({ bound })
        world.mode("a1", { ends: "hang" })
        const result = yield* firstCall(world, 30_000)
        assert.instanceOf(errorOf(result.first.result()), Errors.DialTimeout)
        assert.strictEqual(result.cost, cost)
      }
    }))
})
