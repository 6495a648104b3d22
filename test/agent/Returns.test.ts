/** How often one agent may come: by the rule alone, at the gateway on the virtual clock, and beside a call that works. */
import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  Random,
  Redacted,
  Scope
} from "effect"
import type { Socket } from "effect/socket"
import { SocketServer } from "effect/socket"
import { TestClock } from "effect/testing"
import * as GatewayMetrics from "../../src/agent/GatewayMetrics.ts"
import { AgentTransport, GatewayConfig } from "../../src/agent/index.ts"
import * as Link from "../../src/agent/program/Link.ts"
import { OutboundSocket } from "../../src/agent/program/OutboundSocket.ts"
import * as Returns from "../../src/agent/Returns.ts"
import { AgentToken } from "../../src/domain/index.ts"
import { AgentPresence } from "../../src/store/index.ts"
import * as raw from "../security/support/raw.ts"
import * as TestAgent from "./program/TestAgent.ts"
import * as h from "./support/harness.ts"
import { agent } from "./support/sessions.ts"
import * as virtual from "./support/virtual.ts"

const one = agent("one")

describe("an agent", () => {
  it("may come so many times at once, and then once in each interval, not a millisecond before", () => {
    const returns = Returns.make(GatewayConfig.defaults)
    for (let time = 0; time < 30; time++) assert.strictEqual(returns.count(one, 0), 0)
    assert.deepStrictEqual([returns.count(one, 0), returns.wait(one, 0)], [1000, 1000])
    assert.strictEqual(returns.count(one, 999), 1)
    assert.strictEqual(returns.wait(one, 1000), 0)
    assert.deepStrictEqual([returns.count(one, 1000), returns.count(one, 1000)], [0, 1000])
    // What it does not use comes back, and no more than all of it.
    const rested = Array.from({ length: 31 }, () => returns.count(one, 3_600_000))
    assert.deepStrictEqual(rested, [...Array.from({ length: 30 }, () => 0), 1000])
  })

  it("is counted apart from all others", () => {
    const returns = Returns.make(GatewayConfig.make({ connectsPerAgent: 1 }))
    assert.deepStrictEqual([returns.count(one, 0), returns.count(one, 0), returns.count(agent("two"), 0)], [0, 1000, 0])
  })

  it("is forgotten when it may come as often as ever, also behind one that comes again and again", () => {
    const returns = Returns.make(GatewayConfig.defaults)
    for (let time = 0; time < 40; time++) returns.count(one, 0)
    for (let index = 0; index < 10_000; index++) returns.count(agent(`agent-${index}`), 1)
    assert.strictEqual(returns.size(), 10_001)
    returns.count(agent("two"), 29_999)
    assert.strictEqual(returns.size(), 10_002)
    returns.count(agent("three"), 30_000)
    assert.strictEqual(returns.size(), 2)
  })
})

/** The attempts of the real program, each of which opens and is broken off, in milliseconds. */
const attempts = Effect.fnUntraced(function*(seed: number, hours: number) {
  const clock = yield* Clock.Clock
  const at: Array<number> = []
  const scope = yield* Scope.make()
  const server = yield* Layer.build(
    Link.layer.pipe(Layer.provide([
      TestAgent.settings({ directory: "/", stateDirectory: "/" }),
      Layer.succeed(OutboundSocket, () => {
        at.push(clock.currentTimeMillisUnsafe())
        return brokenOff()
      })
    ]))
  )
  const { run } = yield* Effect.provide(SocketServer.SocketServer, server)
  yield* run((socket) => Effect.scoped(Effect.andThen(socket.reader, ({ pull }) => pull))).pipe(
    Random.withSeed(seed),
    Effect.forkIn(scope)
  )
  yield* virtual.pass(Duration.hours(hours), "10 seconds")
  yield* Scope.close(scope, Exit.void)
  return at
})

/** Is cut off as soon as it is open. */
const brokenOff = (): Socket.WebSocketLike => {
  const cut = (type: string, listener: (event: Socket.WebSocketEvent) => void): void => {
    if (type === "close") queueMicrotask(() => listener({ code: 1006 }))
  }
  return { readyState: 1, addEventListener: cut, removeEventListener: () => {}, close: () => {}, send: () => {} }
}

describe("an honest agent", () => {
  it.effect(
    "on a network that breaks off each of its links at once never comes too often",
    () =>
      Effect.gen(function*() {
        const returns = Returns.make(GatewayConfig.defaults)
        const at = yield* attempts(1, 1)
        assert.isAbove(at.length, 1000)
        assert.deepStrictEqual(at.filter((now) => returns.count(one, now) > 0), [])
      }).pipe(Effect.provide(Logger.layer([]))),
    60_000
  )

  it.effect("that moves through three restarts of its node's neighbours in a row does not either", () =>
    Effect.gen(function*() {
      const { node } = yield* virtual.world
      const there = yield* node()
      const enrolled = yield* h.enroll()
      // The others are restarted one after the other, and each restart sends it here and away again.
      for (let restart = 0; restart < 3; restart++) {
        for (let move = 0; move < 4; move++) {
          const before = there.transport.describe?.(enrolled.agentId).session?.epoch ?? 0
          yield* virtual.attached(there, enrolled)
          assert.isAbove(there.transport.describe?.(enrolled.agentId).session?.epoch ?? 0, before)
        }
        yield* virtual.pass("5 seconds")
      }
      assert.isNull(there.transport.describe?.(enrolled.agentId).lastRefusal)
    }).pipe(Effect.scoped, Effect.provide([virtual.layerStores, Logger.layer([])])))
})

describe("an agent that comes and goes without a pause", () => {
  const refusals = Effect.map(Metric.value(GatewayMetrics.refused("tooOften")), ({ count }) => count)

  it.effect("is turned away until it has waited, and costs no query meanwhile", () =>
    Effect.gen(function*() {
      const { database, node } = yield* virtual.world
      const there = yield* node()
      const enrolled = yield* h.enroll()
      const epoch = () => there.transport.describe?.(enrolled.agentId).session?.epoch
      const refusal = () => there.transport.describe?.(enrolled.agentId).lastRefusal?.reason
      for (let time = 0; time < 30; time++) yield* virtual.attached(there, enrolled)
      assert.deepStrictEqual([epoch(), refusal()], [30, undefined])
      const before = { calls: database.calls, refusals: yield* refusals }
      yield* virtual.attached(there, enrolled)
      yield* TestClock.adjust("999 millis")
      yield* virtual.attached(there, enrolled)
      assert.deepStrictEqual([epoch(), refusal(), database.calls], [30, "tooOften", before.calls])
      assert.strictEqual((yield* refusals) - before.refusals, 2)
      // Another one is not asked to wait for it.
      const other = yield* h.enroll()
      yield* virtual.attached(there, other)
      assert.isDefined(there.transport.describe?.(other.agentId).session?.epoch)
      yield* TestClock.adjust("1 millis")
      yield* virtual.attached(there, enrolled)
      assert.strictEqual(epoch(), 31)
    }).pipe(Effect.scoped, Effect.provide([virtual.layerStores, Logger.layer([])])))

  it.effect("is not one of whom others know but the id: their attempts are refused and do not count", () =>
    Effect.gen(function*() {
      const { node } = yield* virtual.world
      const there = yield* node()
      const enrolled = yield* h.enroll()
      const foreign = AgentToken.format({ agentId: enrolled.agentId, secret: Redacted.make(new Uint8Array(32)) })
      for (let time = 0; time < 40; time++) yield* virtual.attached(there, { ...enrolled, token: foreign })
      assert.strictEqual(there.transport.describe?.(enrolled.agentId).lastRefusal?.reason, "unknown")
      yield* virtual.attached(there, enrolled)
      assert.strictEqual(there.transport.describe?.(enrolled.agentId).session?.epoch, 1)
    }).pipe(Effect.scoped, Effect.provide([virtual.layerStores, Logger.layer([])])))

  it.live("is told when to come again, and one that works beside it does not notice", () =>
    Effect.gen(function*() {
      const { control, presence } = yield* h.switchable
      const { context } = yield* h.start({ connectsPerAgent: 5, connectInterval: "1 hour", pingTimeout: "30 seconds" })
        .pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
      const port = yield* raw.serve(context)
      const transport = Context.get(context, AgentTransport.AgentTransport)
      const [working, restless] = [yield* h.enroll(), yield* h.enroll()]
      const started = yield* Deferred.make<number>()
      const { agent } = yield* h.connect(port, working.token, {
        on: ({ id, tag }, agent) => {
          if (tag === "Start") agent.answer(id, { _tag: "Running", end: 0 })
          if (tag === "Follow") Deferred.doneUnsafe(started, Effect.succeed(id))
        }
      })
      const connection = yield* transport.dial(working.agentId)
      const call = yield* Effect.forkChild(connection.processes.run({ id: h.operation(), argv: ["x"] }))
      const follow = yield* Deferred.await(started)
      const verified = control.verified
      const answers = yield* Effect.forEach(
        Array.from({ length: 200 }),
        () =>
          Effect.scoped(Effect.gen(function*() {
            const opened = yield* raw.open(port, raw.upgrade(raw.tokenOf(restless)))
            yield* h.until(() => opened.text().includes("\r\n\r\n"), "20 seconds")
            return opened.text()
          })),
        { concurrency: 4 }
      )
      const open = answers.filter((text) => text.startsWith("HTTP/1.1 101"))
      const told = answers.filter((text) => text.startsWith("HTTP/1.1 429"))
      assert.deepStrictEqual([open.length, told.length], [5, 195])
      for (const text of told) {
        const seconds = Number(/^retry-after: (\d+)\r$/im.exec(text)?.[1])
        assert.isAtLeast(seconds, 1)
        assert.isAtMost(seconds, 3600)
      }
      // Four may be asked about at the same time.
      assert.isAtMost(control.verified - verified, 8)
      agent.send({ _tag: "Chunk", requestId: follow, values: [{ _tag: "Exited", end: 0, code: 0, signal: null }] })
      agent.answer(follow, null)
      assert.strictEqual((yield* Fiber.join(call)).code, 0)
    }).pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])), 60_000)
})
