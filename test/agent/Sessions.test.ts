import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { GatewayConfig, Protocol } from "../../src/agent/index.ts"
import * as SessionConnection from "../../src/agent/SessionConnection.ts"
import * as Sessions from "../../src/agent/Sessions.ts"
import { Incarnation } from "../../src/domain/Ids.ts"
import { agent, fakeSession } from "./support/sessions.ts"

const one = agent("agent-1")
const two = agent("agent-2")

const make = (options: GatewayConfig.Options = {}) =>
  Effect.provideService(Sessions.make(), GatewayConfig.GatewayConfig, GatewayConfig.make(options))

const parked = Effect.fnUntraced(function*(sessions: Sessions.Sessions, count: number, agentId = one) {
  const fibers = yield* Effect.forEach(
    Array.from({ length: count }),
    () => Effect.forkChild(sessions.next(agentId, "dial"), { startImmediately: true })
  )
  return fibers
})

describe("Sessions", () => {
  it.effect("tells a watcher what is lent, now and from now on, and of versions that are not served", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      const said: Array<string> = []
      sessions.add(fakeSession(one, { epoch: 1 }), 0)
      const stop = sessions.watch({
        lent: ({ agentId, epoch }) => {
          // In the step in which it can be had.
          assert.strictEqual(sessions.current(agentId)?.epoch, epoch)
          said.push(`${agentId} ${epoch}`)
        },
        incompatible: (agentId) => said.push(`${agentId} incompatible`)
      })
      sessions.add(fakeSession(two, { epoch: 3 }), 0)
      sessions.add(fakeSession(two, { epoch: 2 }), 0)
      sessions.add(fakeSession(one, { epoch: 2 }), 0)
      sessions.incompatible(two, 0)
      stop()
      sessions.add(fakeSession(one, { epoch: 3 }), 0)
      assert.deepStrictEqual(said, ["agent-1 1", "agent-2 3", "agent-1 2", "agent-2 incompatible"])
    }))

  it.effect("limits the dials that wait for one agent and on the node, and gives places back", () =>
    Effect.gen(function*() {
      const sessions = yield* make({ waitersPerAgent: 3, waiters: 5 })
      const first = yield* parked(sessions, 3)
      assert.strictEqual((yield* Effect.flip(sessions.next(one, "dial"))).reason, "overloaded")
      const others = yield* parked(sessions, 2, two)
      assert.strictEqual((yield* Effect.flip(sessions.next(agent("agent-3"), "dial"))).reason, "overloaded")
      assert.strictEqual(sessions.dialsWaiting(), 5)
      // A call in flight is no dial: it holds its place already.
      const call = yield* Effect.forkChild(sessions.next(one, "call"), { startImmediately: true })
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* Fiber.interruptAll([...first, ...others, call])
      assert.strictEqual(sessions.dialsWaiting(), 0)
      assert.deepStrictEqual(sessions.waiting(), [])
      yield* Fiber.interruptAll(yield* parked(sessions, 3))
    }))

  it.effect("the defaults hold 256 an agent and 10,000 on a node", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      yield* parked(sessions, 256)
      assert.strictEqual((yield* Effect.flip(sessions.next(one, "dial"))).reason, "overloaded")
      for (let index = 0; index < 39; index++) yield* parked(sessions, 249, agent(`many-${index}`))
      assert.strictEqual(sessions.dialsWaiting(), 9967)
      yield* parked(sessions, 33, two)
      assert.strictEqual((yield* Effect.flip(sessions.next(two, "dial"))).reason, "overloaded")
    }))

  it.effect("a session of a lower epoch is not lent, whichever came first", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      const newer = fakeSession(one, { epoch: 2 })
      const older = fakeSession(one, { epoch: 1 })
      assert.isTrue(sessions.add(newer, 0))
      assert.isFalse(sessions.add(older, 0))
      assert.strictEqual(sessions.current(one), newer)
      assert.deepStrictEqual(newer.ends, [])
      // The end of a session that was replaced takes nothing from its successor.
      sessions.remove(older)
      assert.strictEqual(sessions.current(one), newer)
    }))

  it.effect("a session of a lower epoch is not lent either when the newer one has ended", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      const newer = fakeSession(one, { epoch: 2 })
      sessions.add(newer, 0)
      sessions.remove(newer)
      // A dial that comes and goes, and a heartbeat, do not make it forget while an older handshake may be on its way.
      yield* Fiber.interruptAll(yield* parked(sessions, 1))
      sessions.expire(14_999)
      assert.isFalse(sessions.add(fakeSession(one, { epoch: 1 }), 14_999))
      assert.isTrue(sessions.add(fakeSession(one, { epoch: 3 }), 14_999))
      sessions.remove(fakeSession(one, { epoch: 3 }))
      assert.strictEqual(sessions.current(one)?.epoch, 3)
    }))

  it.effect("an agent that is gone is forgotten", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      const gone = fakeSession(one, { epoch: 2 })
      sessions.add(gone, 0)
      sessions.remove(gone)
      sessions.expire(15_000)
      // Nothing of it is left, so its epochs may begin anew, as in a database that was restored.
      assert.isTrue(sessions.add(fakeSession(one, { epoch: 1 }), 15_000))
    }))

  it.effect("the same incarnation is replaced, another displaced", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      const [first, second, third] = [
        fakeSession(one, { epoch: 1, incarnation: "a" }),
        fakeSession(one, { epoch: 2, incarnation: "a" }),
        fakeSession(one, { epoch: 3, incarnation: "b" })
      ] as const
      for (const session of [first, second, third]) sessions.add(session, 0)
      assert.deepStrictEqual(first.ends.map(({ code }) => code), [Protocol.CloseCode.replaced])
      assert.deepStrictEqual(second.ends.map(({ code }) => code), [Protocol.CloseCode.displaced])
    }))

  const conflicted = Effect.fnUntraced(function*(sessions: Sessions.Sessions) {
    for (const [index, incarnation] of ["a", "b", "c", "d"].entries()) {
      assert.isTrue(sessions.admits(one, Incarnation.make(incarnation), index))
      sessions.add(fakeSession(one, { epoch: index + 1, incarnation }), index)
    }
  })

  it.effect("three changes in five minutes are let through, the fourth is refused for five minutes", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      yield* conflicted(sessions)
      const minutes = 60_000
      assert.isFalse(sessions.admits(one, Incarnation.make("e"), 10))
      assert.isTrue(sessions.admits(one, Incarnation.make("d"), 10))
      assert.isFalse(sessions.admits(one, Incarnation.make("e"), 10 + 5 * minutes - 1))
      assert.isTrue(sessions.admits(one, Incarnation.make("e"), 10 + 5 * minutes))
    }))

  it.effect("a change counts for five minutes", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      yield* conflicted(sessions)
      // The first change was at 1 ms.
      assert.isFalse(sessions.admits(one, Incarnation.make("e"), 300_000))
      const fresh = yield* make()
      yield* conflicted(fresh)
      assert.isTrue(fresh.admits(one, Incarnation.make("e"), 300_001))
    }))

  it.effect("when the one that holds the agent is gone there is no conflict", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      yield* conflicted(sessions)
      const holder = sessions.current(one)
      if (holder === undefined) return assert.fail()
      assert.isFalse(sessions.admits(one, Incarnation.make("e"), 10))
      sessions.remove(holder)
      assert.isTrue(sessions.admits(one, Incarnation.make("e"), 10))
    }))

  it.effect("an incompatible agent fails dials for its time, and not a millisecond longer", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      const [waiting] = yield* parked(sessions, 1)
      sessions.incompatible(one, 0)
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting ?? assert.fail()))).reason, "incompatible")
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual((yield* Effect.flip(sessions.next(one, "dial"))).reason, "incompatible")
      yield* TestClock.adjust("1 millis")
      const [later] = yield* parked(sessions, 1)
      assert.strictEqual(later?.pollUnsafe(), undefined)
    }))

  it.effect("refuses only those who waited before", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      const [early] = yield* parked(sessions, 1)
      yield* TestClock.adjust("5 millis")
      const [late] = yield* parked(sessions, 1)
      assert.deepStrictEqual(sessions.waiting(), [{ agentId: one, since: 0 }])
      sessions.refuse(one, "sessionOnOtherNode", 4)
      assert.strictEqual((yield* Effect.flip(Fiber.join(early ?? assert.fail()))).reason, "sessionOnOtherNode")
      assert.strictEqual(late?.pollUnsafe(), undefined)
      assert.strictEqual(sessions.dialsWaiting(), 1)
    }))

  it.effect("after the shutdown dials fail, what is lent stays usable for calls", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      const session = fakeSession(one, { epoch: 1 })
      sessions.add(session, 0)
      const [waiting] = yield* parked(sessions, 1, two)
      sessions.shutdown()
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting ?? assert.fail()))).reason, "shutdown")
      assert.strictEqual((yield* Effect.flip(sessions.next(one, "dial"))).reason, "shutdown")
      assert.strictEqual(yield* sessions.next(one, "call"), session)
      assert.strictEqual((yield* Effect.flip(sessions.next(two, "call"))).reason, "shutdown")
      assert.isFalse(sessions.add(fakeSession(two, { epoch: 1 }), 0))
    }))

  it.effect("remembers the last refusal for ten minutes", () =>
    Effect.gen(function*() {
      const sessions = yield* make()
      sessions.noteRefusal(one, "revoked", 0)
      sessions.expire(599_999)
      assert.deepStrictEqual(sessions.inspect(one).lastRefusal, { reason: "revoked", at: 0 })
      sessions.expire(600_000)
      assert.strictEqual(sessions.inspect(one).lastRefusal, undefined)
    }))
})

describe("liveness", () => {
  const config = GatewayConfig.defaults
  const session = () => fakeSession(one, { epoch: 1 })

  it("is live up to two ping intervals after a frame", () => {
    const heard = session()
    heard.confirmedAt = 8000
    assert.strictEqual(SessionConnection.liveness(heard, config, 8000), "live")
    assert.strictEqual(SessionConnection.liveness(heard, config, 8001), "unknown")
    heard.heard = 8001
    assert.strictEqual(SessionConnection.liveness(heard, config, 8001), "live")
  })

  it("is live only while the store confirms the session", () => {
    const confirmed = session()
    confirmed.heard = 20_001
    assert.strictEqual(SessionConnection.liveness(confirmed, config, 20_000), "live")
    // A node that was frozen asks anew before it calls anything live.
    assert.strictEqual(SessionConnection.liveness(confirmed, config, 20_001), "unknown")
    confirmed.confirmedAt = undefined
    assert.strictEqual(SessionConnection.liveness(confirmed, config, 20_001), "unknown")
  })

  it("is closed whatever else holds", () => {
    const closed = session()
    closed.closeReason = "lost"
    assert.strictEqual(SessionConnection.liveness(closed, config, 0), "closed")
  })
})
