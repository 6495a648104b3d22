import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Logger, Metric, Option, Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import type { ChatWorkspace } from "../../src/dial/ChatWorkspaces.ts"
import * as DialMetrics from "../../src/dial/DialMetrics.ts"
import * as Errors from "../../src/domain/Errors.ts"
import { ChatId } from "../../src/domain/Ids.ts"
import { call, costs, errorOf, firstCall, running } from "./support/Calls.ts"
import type { Call } from "./support/Calls.ts"
import * as World from "./support/World.ts"

const { agentId, chat, numberOf, otherWorkspace } = World

describe("the turn's row", () => {
  it.effect("takes over the result of a flight and a newer selection, never an older one", () =>
    Effect.gen(function*() {
      const world = yield* running({ bound: false })
      const turn = yield* world.chats.open(chat)
      const opened = yield* turn.binding
      yield* call(turn)
      assert.deepInclude(yield* turn.binding, { agentId: agentId("a1"), generation: 2 })
      yield* turn.select(opened)
      assert.strictEqual((yield* turn.binding).generation, 2)
      yield* turn.select(world.bind({ workspaceId: otherWorkspace }))
      assert.deepInclude(yield* turn.binding, { workspaceId: otherWorkspace, generation: 3 })
    }))

  it.effect("a re-bound caller never waits for the dial of the old row", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { after: 900 })
      const turn = yield* world.chats.open(chat)
      const old = yield* call(turn)
      world.build({ number: 2, agents: ["a2"] })
      yield* turn.select(world.bind({ build: 2 }))
      const fresh = yield* call(turn)
      assert.strictEqual(numberOf(fresh.result()), 2)
      assert.isUndefined(old.result())
    }))

  it.effect("a call whose turn moved meanwhile takes one more flight, and lets go of the first", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { after: 900 })
      const turn = yield* world.chats.open(chat)
      const old = yield* call(turn)
      world.build({ number: 2, agents: ["a2"] })
      yield* turn.select(world.bind({ build: 2 }))
      yield* TestClock.adjust(900)
      assert.strictEqual(numberOf(old.result()), 2)
      assert.deepStrictEqual(world.state.acquired, ["a1#1", "a2#2"])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))

  it.effect("currentAgent asks for the latest build, once", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      const [agent, counts] = yield* world.counted(turn.currentAgent)
      assert.strictEqual(agent.agentId, agentId("a1"))
      assert.strictEqual(costs(counts), "latestBuild 1")
      world.build({ number: 2, transition: "stop" })
      assert.instanceOf(yield* Effect.flip(turn.currentAgent), Errors.NoWorkspaceAgent)
    }))
})

describe("many callers", () => {
  const crowd = (turn: ChatWorkspace, count: number): Effect.Effect<Array<Call>> =>
    Effect.forEach(Array.from({ length: count }), () => call(turn))

  it.effect("64 connects of a cold chat: one dial, at most one validation, one write", () =>
    Effect.gen(function*() {
      const world = yield* running({ bound: false })
      world.mode("a1", { after: 1500 })
      const calls = yield* crowd(yield* world.chats.open(chat), 64)
      yield* TestClock.adjust(1500)
      assert.deepStrictEqual(calls.map((one) => numberOf(one.result())), calls.map(() => 1))
      assert.strictEqual(costs(world.state.counts), "get 1, bindAgent 1, latestBuild 2, dials 1")
    }))

  it.effect("63 interrupted waiters do not disturb the last", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { after: 900 })
      const [last, ...others] = yield* crowd(yield* world.chats.open(chat), 64)
      yield* TestClock.adjust(500)
      for (const other of others) yield* other.end
      yield* TestClock.adjust(400)
      assert.strictEqual(numberOf(last?.result()), 1)
      assert.strictEqual(world.state.counts.dials, 1)
    }))

  it.effect("all interrupted: no dial, lease or waiter is left, at once", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "hang" })
      const calls = yield* crowd(yield* world.chats.open(chat), 64)
      yield* TestClock.adjust(500)
      assert.strictEqual(world.chats.describe(chat).waiters, 64)
      for (const one of calls) yield* one.end
      assert.strictEqual(world.state.running, 0)
      assert.strictEqual(world.chats.describe(chat).waiters, 0)
    }))

  it.effect("two chats on one agent: one dial, and the second outlives the interruption of the first", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const other = ChatId.make("other")
      world.bind({ chatId: other, agent: "a1", build: 1 })
      world.mode("a1", { after: 900 })
      const first = yield* call(yield* world.chats.open(chat))
      const second = yield* call(yield* world.chats.open(other))
      yield* first.end
      yield* TestClock.adjust(900)
      assert.strictEqual(numberOf(second.result()), 1)
      assert.strictEqual(world.state.counts.dials, 1)
    }))

  it.effect("failures are not cached: the next call dials", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "refuse" })
      const turn = yield* world.chats.open(chat)
      assert.instanceOf(errorOf((yield* call(turn)).result()), Errors.DialFailed)
      world.mode("a1", {})
      assert.strictEqual(numberOf((yield* call(turn)).result()), 3)
    }))

  it.effect("a dial that interrupts itself is DialFailed to its callers, not an interruption", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "interrupt" })
      const { first } = yield* firstCall(world)
      assert.instanceOf(errorOf(first.result()), Errors.DialFailed)
    }))

  it.effect("a lease holds the connection beyond the idle time, and its end starts it", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      const first = yield* call(turn)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(world.state.released, [])
      yield* first.end
      yield* TestClock.adjust(299_999)
      assert.deepStrictEqual(world.state.released, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))

  it.effect("use lends for the time of one call, and returns what it returns", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      assert.strictEqual(yield* turn.use((connection) => Effect.succeed(connection.agentId)), agentId("a1"))
      assert.strictEqual(yield* Effect.flip(turn.use(() => Effect.fail("own"))), "own")
    }))
})

describe("what is seen", () => {
  it.effect("describe tells the last connects with path and cause, newest first, hits in a row as one", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.nextModes("a1", { ends: "refuse" }, { ends: "refuse" }, { after: 200 })
      const turn = yield* world.chats.open(chat)
      yield* call(turn)
      const second = yield* call(turn)
      yield* TestClock.adjust(200)
      yield* second.end
      yield* (yield* call(turn)).end
      yield* (yield* call(turn)).end
      const { recent } = world.chats.describe(chat)
      assert.deepStrictEqual(
        recent.map((
          { calls, cause, outcome, path, took }
        ) => [path, outcome, cause?._tag, calls, Duration.toMillis(took)]),
        [["hit", "connected", undefined, 2, 0], ["fast", "connected", undefined, 1, 200], [
          null,
          "dial_failed",
          "DialFailed",
          1,
          0
        ]]
      )
    }))

  it.effect("the last 20 are kept", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.mode("a1", { ends: "refuse" })
      const turn = yield* world.chats.open(chat)
      for (let index = 0; index < 25; index++) yield* call(turn)
      assert.strictEqual(world.chats.describe(chat).recent.length, 20)
    }))
})

describe("what is counted, traced and logged", () => {
  const rebuilt = Effect.gen(function*() {
    const world = yield* running()
    world.build({ number: 2, agents: ["a2"] })
    world.mode("a1", { ends: "refuse" })
    return world
  })

  it.effect("dials by path and outcome, repairs, hits and waiters", () =>
    Effect.gen(function*() {
      const count = (metric: Metric.Metric<number, { readonly count: number | bigint }>) =>
        Effect.map(Metric.value(metric), ({ count }) => Number(count))
      const world = yield* rebuilt
      const turn = yield* world.chats.open(chat)
      yield* (yield* call(turn)).end
      yield* call(turn)
      assert.strictEqual(yield* count(DialMetrics.dial("switched", "connected")), 1)
      assert.strictEqual(yield* count(DialMetrics.repair("switched")), 1)
      assert.strictEqual(yield* count(DialMetrics.repair("selected")), 0)
      assert.strictEqual(yield* count(DialMetrics.hitLive), 1)
      assert.strictEqual((yield* Metric.value(DialMetrics.duration("switched", "connected"))).count, 1)
      world.build({ number: 3, agents: ["a3"] })
      world.mode("a3", { ends: "hang" })
      yield* turn.select(world.bind({ agent: "a3", build: 3 }))
      const waiting = yield* call(turn)
      assert.strictEqual((yield* Metric.value(DialMetrics.waiters)).value, 1)
      yield* waiting.end
      assert.strictEqual((yield* Metric.value(DialMetrics.waiters)).value, 0)
      assert.strictEqual(yield* count(DialMetrics.dial("none", "interrupted")), 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("a flight's span is a root of its own, linked to the call that started it, and names the path", () => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.gen(function*() {
      const world = yield* rebuilt
      const turn = yield* world.chats.open(chat)
      yield* Effect.scoped(turn.connect).pipe(Effect.withSpan("request"))
      const hits = spans.length
      yield* Effect.scoped(turn.connect)
      assert.strictEqual(spans.length, hits, "a hit has no span")
      const named = (name: string) => spans.find((span) => span.name === name)
      const flight = named("ConnectFlight")
      assert.isDefined(flight)
      assert.isTrue(Option.isNone(flight.parent))
      assert.deepStrictEqual(flight.links.map(({ span }) => span.spanId), [named("ChatWorkspace.connect")?.spanId])
      assert.strictEqual(flight.attributes.get("dial.path"), "switched")
      assert.isDefined(named("ChatWorkspaces.open"))
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("the first agent of a chat is no repair", () =>
    Effect.gen(function*() {
      const world = yield* running({ bound: false })
      yield* call(yield* world.chats.open(chat))
      assert.strictEqual(world.row()?.agentId, agentId("a1"))
      assert.strictEqual(Number((yield* Metric.value(DialMetrics.repair("selected"))).count), 0)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("one line for a repair, one for a timeout, none else", () => {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ message }) => lines.push(Array.isArray(message) ? message[0] : message))
    return Effect.gen(function*() {
      const world = yield* rebuilt
      const turn = yield* world.chats.open(chat)
      yield* (yield* call(turn)).end
      yield* (yield* call(turn)).end
      assert.deepStrictEqual(lines, ["The binding of a chat was repaired"])
      world.build({ number: 3, agents: ["a3"] })
      world.mode("a3", { ends: "hang" })
      yield* turn.select(world.bind({ agent: "a3", build: 3 }))
      yield* call(turn)
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(lines.slice(1), ["A dial was not answered in time"])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})

describe("the end of the layer", () => {
  const close = (world: World.World) =>
    Effect.forkChild(Scope.close(world.layerScope, Exit.void), { startImmediately: true })

  it.effect("every call under way fails shutdown, at once; so does every later one", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      world.mode("a1", { after: 60_000, stubborn: true })
      const waiting = yield* call(turn)
      const closing = yield* close(world)
      assert.deepInclude(errorOf(waiting.result()), { _tag: "DialFailed", reason: "shutdown" })
      assert.deepInclude(errorOf((yield* call(turn)).result()), { _tag: "DialFailed", reason: "shutdown" })
      yield* TestClock.adjust(1999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))

  it.effect("an open connection is not lent any more", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      yield* (yield* call(turn)).end
      yield* Fiber.join(yield* close(world))
      assert.deepInclude(errorOf((yield* call(turn)).result()), { _tag: "DialFailed", reason: "shutdown" })
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))

  it.effect("a validation that answers during the drain starts no dial that nobody ends", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.build({ number: 2, agents: ["a2"] })
      world.mode("a1", { ends: "hang" })
      world.state.faults.set("latestBuild", { after: 500, stubborn: true })
      const waiting = yield* call(yield* world.chats.open(chat))
      yield* TestClock.adjust(1000)
      const closing = yield* close(world)
      yield* TestClock.adjust(500)
      assert.deepInclude(errorOf(waiting.result()), { _tag: "DialFailed", reason: "shutdown" })
      assert.isDefined(closing.pollUnsafe())
      assert.strictEqual(world.state.counts.dials, 1)
    }))

  it.effect("a call that reads liveness ends with its read", () =>
    Effect.gen(function*() {
      const world = yield* running()
      const turn = yield* world.chats.open(chat)
      yield* call(turn)
      world.state.liveness.set(1, "unknown")
      world.state.faults.set("agent", { after: 60_000, stubborn: true })
      const reading = yield* call(turn)
      yield* close(world)
      yield* TestClock.adjust(500)
      assert.deepInclude(errorOf(reading.result()), { _tag: "DialFailed", reason: "shutdown" })
    }))

  it.effect("an open under way is a StoreError, not an interruption", () =>
    Effect.gen(function*() {
      const world = yield* running()
      world.state.faults.set("get", { after: Infinity })
      const opening = yield* Effect.forkChild(Effect.flip(world.chats.open(chat)), { startImmediately: true })
      yield* Fiber.join(yield* close(world))
      assert.instanceOf(yield* Fiber.join(opening), Errors.StoreError)
    }))
})
