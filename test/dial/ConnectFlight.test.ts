import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Errors from "../../src/domain/Errors.ts"
import { call, errorOf, firstCall, running } from "./support/Calls.ts"
import * as World from "./support/World.ts"

const { agentId, chat, numberOf, otherWorkspace, workspace } = World

describe("a miss", () => {
  it.effect("reads the binding again when the turn knows of no workspace", () =>
    Effect.gen(function*() {
      const world = yield* World.make
      const turn = yield* world.chats.open(chat)
      world.build({ number: 1, agents: ["a1"] })
      world.bind({ agent: "a1", build: 1 })
      assert.strictEqual(numberOf((yield* call(turn)).result()), 1)
      assert.deepInclude(yield* turn.binding, { agentId: agentId("a1"), generation: 1 })
    }))

  it.effect("a bound agent that is missing, or of another workspace, is replaced before any dial", () =>
    Effect.gen(function*() {
      for (const elsewhere of [false, true]) {
        const world = yield* World.make
        world.build({ number: 1, agents: ["a1"] })
        if (elsewhere) world.build({ workspaceId: otherWorkspace, number: 1, agents: ["foreign"] })
        world.bind({ agent: "foreign", build: 1 })
        const { cost, first } = yield* firstCall(world)
        assert.isDefined(numberOf(first.result()))
        assert.strictEqual(cost, "get 1, bindAgent 1, agent 1, latestBuild 1, dials 1")
        assert.notInclude(world.state.calls, "dial foreign")
      }
    }))

  it.effect("with the database down the bound agent is dialed all the same", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      for (const port of ["get", "agent", "latestBuild", "bindAgent"] as const) {
        world.state.faults.set(port, { fail: true })
      }
      assert.strictEqual(numberOf((yield* call(turn)).result()), 1)
    }))

  it.effect("when neither dial nor database answers, the dial's failure with the validation's cause beside it", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      world.mode("a1", { ends: "refuse" })
      for (const port of ["agent", "latestBuild"] as const) world.state.faults.set(port, { fail: true })
      const error = errorOf((yield* call(turn)).result())
      assert.instanceOf(error, Errors.DialFailed)
      assert.strictEqual(error.reason, "refused")
      assert.instanceOf(error.validation, Errors.StoreError)
    }))

  it.effect("each reason why the latest build gives no agent is its error", () =>
    Effect.gen(function*() {
      for (
        const [transition, status, reason] of [
          ["start", "pending", "starting"],
          ["start", "running", "starting"],
          ["start", "failed", "failed"],
          ["start", "canceled", "failed"],
          ["start", "succeeded", "noAgents"],
          ["stop", "running", "stopping"],
          ["stop", "succeeded", "stopped"],
          ["stop", "failed", "stopFailed"],
          ["delete", "running", "deleting"],
          ["delete", "failed", "deleteFailed"]
        ] as const
      ) {
        const world = yield* running()
        world.build({ number: 2, transition, status })
        world.mode("a1", { ends: "refuse" })
        const { first } = yield* firstCall(world)
        assert.deepInclude(errorOf(first.result()), { _tag: "NoWorkspaceAgent", reason })
      }
      const world = yield* running()
      world.build({ number: 2, transition: "delete" })
      world.mode("a1", { ends: "refuse" })
      const { first } = yield* firstCall(world)
      assert.deepInclude(errorOf(first.result()), { _tag: "NoWorkspace", workspaceId: workspace })
    }))

  it.effect("an ambiguous choice of agents is AgentSelectionFailed, with the names", () =>
    Effect.gen(function*() {
      const world = yield* World.make
      world.build({ number: 1, agents: ["one-chat", "two-chat"] })
      world.bind({})
      const { first } = yield* firstCall(world)
      assert.deepInclude(errorOf(first.result()), { _tag: "AgentSelectionFailed", names: ["one-chat", "two-chat"] })
    }))

  describe("the delay", () => {
    const stopped = Effect.fnUntraced(function*() {
      const world = yield* running()
      world.build({ number: 2, transition: "stop" })
      world.mode("a1", { ends: "hang" })
      return world
    })

    it.effect("presence absent: zero", () =>
      Effect.gen(function*() {
        const world = yield* stopped()
        world.presence("a1", "absent")
        assert.isDefined((yield* firstCall(world)).first.result())
      }))

    it.effect("presence unknown, and the row read is unreachable: zero", () =>
      Effect.gen(function*() {
        const world = yield* stopped()
        yield* world.silentFor("a1", 30_001)
        assert.isDefined((yield* firstCall(world)).first.result())
      }))

    it.effect("presence unknown, and the row still looks alive: at the validation delay, never at the timeout", () =>
      Effect.gen(function*() {
        const world = yield* stopped()
        yield* world.silentFor("a1", 30_000)
        const { first } = yield* firstCall(world, 999)
        assert.isUndefined(first.result())
        yield* TestClock.adjust(1)
        assert.deepInclude(errorOf(first.result()), { _tag: "NoWorkspaceAgent", reason: "stopped" })
      }))

    it.effect("presence live: the normal delay, though the row is unreachable", () =>
      Effect.gen(function*() {
        const world = yield* stopped()
        yield* world.silentFor("a1", 600_000)
        world.presence("a1", "live")
        const { first } = yield* firstCall(world, 999)
        assert.isUndefined(first.result())
        yield* TestClock.adjust(1)
        assert.isDefined(first.result())
      }))

    it.effect("zero, and the dial succeeds: an old row never blocks recovery", () =>
      Effect.gen(function*() {
        const world = yield* running()
        yield* world.silentFor("a1", 600_000)
        const { cost, first } = yield* firstCall(world)
        assert.strictEqual(numberOf(first.result()), 1)
        assert.strictEqual(cost, "get 1, agent 1, dials 1")
      }))
  })

  it.effect("a stale dial that ignores its interruption for a minute delays nobody; released once", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.build({ number: 2, agents: ["a2"] })
      world.mode("a1", { after: 60_000, stubborn: true })
      const { first } = yield* firstCall(world, 1000)
      assert.strictEqual(numberOf(first.result()), 2)
      yield* TestClock.adjust(59_000)
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))
})

describe("a repair", () => {
  const rebuilt = Effect.fnUntraced(function*() {
    const world = yield* running()
    world.build({ number: 2, agents: ["a2"] })
    world.mode("a1", { ends: "refuse" })
    return world
  })

  it.effect("superseded by the same agent: done", () =>
    Effect.gen(function*() {
      const world = yield* rebuilt()
      world.state.beforeBindAgent = () => world.bind({ agent: "a2", build: 2 })
      const { cost, first } = yield* firstCall(world)
      assert.strictEqual(numberOf(first.result()), 2)
      assert.strictEqual(cost, "get 1, bindAgent 1, agent 1, latestBuild 1, dials 2")
      assert.strictEqual(world.row()?.generation, 2)
    }))

  it.effect("superseded by the same workspace, ours still right: + latestBuild, bindAgent", () =>
    Effect.gen(function*() {
      const world = yield* rebuilt()
      world.state.beforeBindAgent = () => world.bind({ agent: "a1", build: 1 })
      const { cost, first } = yield* firstCall(world)
      assert.strictEqual(numberOf(first.result()), 2)
      assert.strictEqual(cost, "get 1, bindAgent 2, agent 1, latestBuild 2, dials 2")
      assert.deepInclude(world.row(), { agentId: agentId("a2"), generation: 3 })
    }))

  it.effect("superseded by the same workspace, another agent right: a second attempt from the winner's row", () =>
    Effect.gen(function*() {
      const world = yield* rebuilt()
      world.state.beforeBindAgent = () => {
        world.build({ number: 3, agents: ["a3"] })
        world.bind({ agent: "a3", build: 3 })
      }
      const { first } = yield* firstCall(world)
      assert.strictEqual(numberOf(first.result()), 3)
      assert.deepStrictEqual(world.state.calls.filter((call) => call.startsWith("dial")), [
        "dial a1",
        "dial a2",
        "dial a3"
      ])
      assert.deepInclude(world.row(), { agentId: agentId("a3"), generation: 2 })
    }))

  it.effect("superseded again while ours is still right: a second attempt, in the same flight", () =>
    Effect.gen(function*() {
      const world = yield* rebuilt()
      world.build({ workspaceId: otherWorkspace, number: 1, agents: ["b1"] })
      world.state.beforeBindAgent = () => {
        world.bind({ agent: "a1", build: 1 })
        world.state.beforeBindAgent = () => world.bind({ workspaceId: otherWorkspace, agent: "b1", build: 1 })
      }
      const { cost, first } = yield* firstCall(world)
      assert.strictEqual(numberOf(first.result()), 3)
      assert.strictEqual(cost, "get 1, bindAgent 2, agent 2, latestBuild 2, dials 3")
      assert.strictEqual(world.chats.describe(chat).recent.length, 1)
    }))

  it.effect("superseded by another workspace: a second attempt there, after the first lease has ended", () =>
    Effect.gen(function*() {
      const world = yield* rebuilt()
      world.build({ workspaceId: otherWorkspace, number: 1, agents: ["b1"] })
      world.state.beforeBindAgent = () => world.bind({ workspaceId: otherWorkspace, agent: "b1", build: 1 })
      world.mode("b1", { after: 100 })
      const { first } = yield* firstCall(world, 100)
      assert.strictEqual(numberOf(first.result()), 3)
      // The connection of the first attempt has no user, so its idle time runs from the second attempt's start.
      yield* TestClock.adjust(300_000 - 101)
      assert.deepStrictEqual(world.state.released, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(world.state.released, ["a2#2"])
    }))

  it.effect("superseded by an unbound chat: NoWorkspace", () =>
    Effect.gen(function*() {
      const world = yield* rebuilt()
      world.state.beforeBindAgent = () => world.bind({ workspaceId: null })
      const { first } = yield* firstCall(world)
      assert.instanceOf(errorOf(first.result()), Errors.NoWorkspace)
    }))

  it.effect("moved twice: WorkspaceChanged, at most four dials", () =>
    Effect.gen(function*() {
      const world = yield* rebuilt()
      world.build({ workspaceId: otherWorkspace, number: 1, agents: ["b1"] })
      world.build({ workspaceId: otherWorkspace, number: 2, agents: ["b2"] })
      world.mode("b1", { ends: "refuse" })
      world.state.beforeBindAgent = () => {
        world.bind({ workspaceId: otherWorkspace, agent: "b1", build: 1 })
        world.state.beforeBindAgent = () => world.bind({ agent: "a1", build: 1 })
      }
      const { first } = yield* firstCall(world)
      assert.instanceOf(errorOf(first.result()), Errors.WorkspaceChanged)
      assert.strictEqual(world.state.counts.dials, 4)
    }))

  it.effect("superseded while selecting: the same rule, before any dial of the loser", () =>
    Effect.gen(function*() {
      const world = yield* running({ bound: false })
      world.build({ workspaceId: otherWorkspace, number: 1, agents: ["b1"] })
      world.state.beforeBindAgent = () => world.bind({ workspaceId: otherWorkspace, agent: "b1", build: 1 })
      const { first } = yield* firstCall(world)
      assert.strictEqual(numberOf(first.result()), 1)
      assert.deepStrictEqual(world.state.calls.filter((call) => call.startsWith("dial")), ["dial b1"])
    }))

  it.effect("that cannot be written fails the call, keeps the turn's row, and leaves the connection idle", () =>
    Effect.gen(function*() {
      const world = yield* rebuilt()
      world.state.faults.set("bindAgent", { fail: true })
      const turn = yield* world.chats.open(chat)
      assert.instanceOf(errorOf((yield* call(turn)).result()), Errors.StoreError)
      assert.strictEqual((yield* turn.binding).agentId, agentId("a1"))
      assert.deepStrictEqual(world.state.released, [])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(world.state.released, ["a2#2"])
    }))
})

describe("bounds", () => {
  it.effect("a dial that is never answered: 30 s, then one look; alive: DialTimeout", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "hang" })
      const { first } = yield* firstCall(world, 29_999)
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      assert.deepInclude(errorOf(first.result()), { _tag: "DialTimeout", after: Duration.seconds(30) })
      assert.strictEqual(world.state.running, 0)
    }))

  it.effect("… a transport whose acquire cannot be interrupted: the same bound", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { after: 600_000, stubborn: true })
      const { first } = yield* firstCall(world, 30_000)
      assert.instanceOf(errorOf(first.result()), Errors.DialTimeout)
    }))

  it.effect("… and there is no agent any more: its error", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "hang" })
      const { first } = yield* firstCall(world, 10_000)
      world.build({ number: 2, transition: "stop" })
      yield* TestClock.adjust(20_000)
      assert.deepInclude(errorOf(first.result()), { _tag: "NoWorkspaceAgent", reason: "stopped" })
    }))

  it.effect("… and the look fails: DialTimeout", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "hang" })
      const { first } = yield* firstCall(world, 10_000)
      world.state.faults.set("latestBuild", { fail: true })
      yield* TestClock.adjust(20_000)
      assert.instanceOf(errorOf(first.result()), Errors.DialTimeout)
    }))

  it.effect("… and the look is not answered: DialTimeout 3 s later", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "hang" })
      const { first } = yield* firstCall(world, 10_000)
      world.state.faults.set("latestBuild", { after: 600_000, stubborn: true })
      yield* TestClock.adjust(22_999)
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      assert.instanceOf(errorOf(first.result()), Errors.DialTimeout)
    }))

  it.effect("unreachable for 89,999 ms at the look: DialTimeout; for 90 s: AgentDisconnected with the advice", () =>
    Effect.gen(function*() {
      for (const [silent, restart] of [[89_999, false], [90_000, true]] as const) {
        const world = yield* running()
        world.presence("a1", "live")
        world.mode("a1", { ends: "hang" })
        // Alive while it is validated, so that the dial gets its whole time.
        const { first } = yield* firstCall(world, 29_999)
        yield* world.silentFor("a1", silent - 1)
        yield* TestClock.adjust(1)
        const error = errorOf(first.result())
        if (restart) assert.deepInclude(error, { _tag: "AgentDisconnected", restart: true, evidence: "silent" })
        else assert.instanceOf(error, Errors.DialTimeout)
      }
    }))

  it.effect("confirmed to be right and dead for 90 s: the dial gets 5 s more, not the rest", () =>
    Effect.gen(function*() {
      const world = yield* running()
      yield* world.silentFor("a1", 90_000, true)
      world.mode("a1", { ends: "hang" })
      const { first } = yield* firstCall(world, 4999)
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      assert.deepInclude(errorOf(first.result()), {
        _tag: "AgentDisconnected",
        restart: true,
        evidence: "disconnected"
      })
    }))

  it.effect("… dead for less: the whole time", () =>
    Effect.gen(function*() {
      const world = yield* running()
      yield* world.silentFor("a1", 89_999, true)
      world.mode("a1", { ends: "hang" })
      const { first } = yield* firstCall(world, 29_999)
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      assert.instanceOf(errorOf(first.result()), Errors.AgentDisconnected)
    }))

  it.effect("… and a dial that comes within the 5 s wins; nothing of the timer is left", () =>
    Effect.gen(function*() {
      const world = yield* running()
      yield* world.silentFor("a1", 90_000, true)
      world.mode("a1", { after: 4999 })
      const { first } = yield* firstCall(world, 4999)
      assert.strictEqual(numberOf(first.result()), 1)
    }))

  it.effect("an agent that never came is evidence of its own", () =>
    Effect.gen(function*() {
      const world = yield* running()
      yield* world.neverConnected("a1", 300_000, 120_000)
      world.mode("a1", { ends: "hang" })
      const { first } = yield* firstCall(world, 5000)
      assert.deepInclude(errorOf(first.result()), { _tag: "AgentDisconnected", evidence: "neverConnected" })
    }))

  it.effect("no advice to restart before 90 s of renewed cover, however long the agent has been silent", () =>
    Effect.gen(function*() {
      for (const [cover, restart] of [[59_999, false], [60_000, true]] as const) {
        const world = yield* running()
        yield* world.silentFor("a1", 3_600_000)
        world.state.coveredSince = -cover
        world.mode("a1", { ends: "hang" })
        const { first } = yield* firstCall(world, 30_000)
        const error = errorOf(first.result())
        assert.strictEqual(error instanceof Errors.AgentDisconnected && error.restart, restart)
      }
    }))

  it.effect("open: a store that does not answer, and does not listen, is a StoreError after 3 s", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.state.faults.set("get", { after: 600_000, stubborn: true })
      const fiber = yield* Effect.forkChild(world.chats.open(chat), { startImmediately: true })
      yield* TestClock.adjust(2999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.instanceOf(yield* Effect.flip(Fiber.join(fiber)), Errors.StoreError)
    }))

  it.effect("connect as a whole: 40 s from the call, also when it starts over", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { after: 25_000 })
      const turn = yield* world.chats.open(chat)
      const first = yield* call(turn)
      world.build({ number: 2, agents: ["a2"] })
      world.mode("a2", { ends: "hang" })
      // The store still calls the old agent the latest while it is validated.
      world.state.faults.set("latestBuild", { fail: true })
      yield* TestClock.adjust(20_000)
      yield* turn.select(world.bind({ agent: "a2", build: 2 }))
      yield* TestClock.adjust(19_999)
      assert.isUndefined(first.result())
      yield* TestClock.adjust(1)
      assert.deepInclude(errorOf(first.result()), { _tag: "DialTimeout", after: Duration.seconds(40) })
    }))

  it.effect("a caller's shorter bound ends only its own wait", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { after: 900 })
      const turn = yield* world.chats.open(chat)
      const short = yield* turn.connect.pipe(
        Effect.timeoutOrElse({ duration: 100, orElse: () => Effect.fail("short") }),
        Effect.scoped,
        Effect.forkChild({ startImmediately: true })
      )
      const long = yield* call(turn)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(short.pollUnsafe(), Exit.fail("short"))
      yield* TestClock.adjust(800)
      assert.strictEqual(numberOf(long.result()), 1)
      assert.strictEqual(world.state.counts.dials, 1)
    }))
})
