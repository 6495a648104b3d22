/** The waits of the gateway with the values that it has unless told otherwise, 1 ms before each and at it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Protocol } from "../../src/agent/index.ts"
import * as h from "./support/harness.ts"
import * as virtual from "./support/virtual.ts"

const test = (name: string, body: Effect.Effect<void, unknown, virtual.Stores | Scope.Scope>): void => {
  it.effect(name, () => body.pipe(Effect.scoped, Effect.provide(virtual.layerStores)))
}

const node = Effect.flatMap(virtual.world, (world) => world.node())

describe("the bounds of the gateway", () => {
  test(
    "nobody is called absent in the first 5 s of a node",
    Effect.gen(function*() {
      const { transport } = yield* node
      const { agentId } = yield* h.enroll()
      yield* TestClock.adjust(4999)
      assert.strictEqual(transport.presence(agentId), "unknown")
      yield* TestClock.adjust(1)
      assert.strictEqual(transport.presence(agentId), "absent")
    })
  )

  test(
    "a hello that is not answered ends the link after 5 s",
    Effect.gen(function*() {
      const agent = yield* virtual.attached(yield* node, yield* h.enroll(), { silent: true })
      yield* TestClock.adjust(4999)
      assert.strictEqual(agent.closed, undefined)
      yield* TestClock.adjust(1)
      assert.strictEqual(agent.closed, Protocol.CloseCode.violation)
    })
  )

  test(
    "an agent that falls silent is in doubt after 8 s, and its link ends at the first ping after 12 s",
    Effect.gen(function*() {
      const on = yield* node
      const enrolled = yield* h.enroll()
      const agent = yield* virtual.attached(on, enrolled)
      const connection = yield* on.transport.dial(enrolled.agentId)
      yield* TestClock.adjust(4000)
      agent.frozen = true
      yield* TestClock.adjust(8000)
      assert.strictEqual(connection.liveness(), "live")
      yield* TestClock.adjust(1)
      assert.strictEqual(connection.liveness(), "unknown")
      assert.strictEqual(on.transport.presence(enrolled.agentId), "unknown")
      yield* TestClock.adjust(7998)
      assert.strictEqual(connection.liveness(), "unknown")
      yield* TestClock.adjust(1)
      assert.strictEqual(connection.liveness(), "closed")
      assert.strictEqual(yield* connection.closed, "lost")
      assert.strictEqual(on.transport.presence(enrolled.agentId), "absent")
    })
  )

  test(
    "a drain waits 5 s for agents to move, and 200 ms for the sockets that it closes then",
    Effect.gen(function*() {
      const on = yield* node
      const agent = yield* virtual.attached(on, yield* h.enroll())
      const drain = yield* Effect.forkChild(on.gateway.drain())
      yield* virtual.pass(4999)
      assert.strictEqual(agent.closed, undefined)
      yield* TestClock.adjust(1)
      assert.strictEqual(agent.closed, Protocol.CloseCode.restarting)
      yield* TestClock.adjust(199)
      assert.strictEqual(drain.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      yield* Fiber.join(drain)
    })
  )

  test(
    "a drain waits as long for the calls that others make over its sessions, and no longer than until they are over",
    Effect.gen(function*() {
      let inFlight = 1
      const watching = { lent: () => undefined, incompatible: () => undefined, callsInFlight: () => inFlight }
      const over = yield* node
      yield* over.gateway.watch(watching)
      const early = yield* Effect.forkChild(over.gateway.drain())
      yield* virtual.pass(1000)
      assert.isUndefined(early.pollUnsafe())
      inFlight = 0
      yield* virtual.pass(50)
      yield* Fiber.join(early)

      inFlight = 1
      const busy = yield* node
      yield* busy.gateway.watch(watching)
      const late = yield* Effect.forkChild(busy.gateway.drain())
      yield* virtual.pass(4999)
      assert.isUndefined(late.pollUnsafe())
      yield* virtual.pass(1)
      yield* Fiber.join(late)
    })
  )

  test(
    "a store that does not confirm a session leaves it in doubt, open, and asks again every 10 s",
    Effect.gen(function*() {
      const world = yield* virtual.world
      const on = yield* world.node()
      const enrolled = yield* h.enroll()
      const agent = yield* virtual.attached(on, enrolled)
      const connection = yield* on.transport.dial(enrolled.agentId)
      yield* virtual.pass("10 seconds")
      world.database.mode = "hangs"
      // The heartbeat at 20 s waits 5 s for its answer.
      yield* virtual.pass("14999 millis")
      assert.strictEqual(connection.liveness(), "live")
      yield* TestClock.adjust(1)
      assert.strictEqual(connection.liveness(), "unknown")
      world.database.mode = "works"
      yield* virtual.pass("4999 millis")
      assert.strictEqual(connection.liveness(), "unknown")
      yield* TestClock.adjust(1)
      assert.strictEqual(connection.liveness(), "live")
      assert.strictEqual(agent.closed, undefined)
    })
  )

  test(
    "a dial of an agent that came to another node fails within one heartbeat, and the node says so for three",
    Effect.gen(function*() {
      const world = yield* virtual.world
      const [here, there] = [yield* world.node(), yield* world.node()]
      const enrolled = yield* h.enroll()
      yield* virtual.pass("5 seconds")
      const dial = yield* Effect.forkScoped(here.transport.dial(enrolled.agentId), { startImmediately: true })
      yield* TestClock.adjust(1)
      yield* virtual.attached(there, enrolled)
      yield* TestClock.adjust(4998)
      assert.strictEqual(dial.pollUnsafe(), undefined)
      assert.deepStrictEqual(here.gateway.unready(), [])
      yield* TestClock.adjust(1)
      const exit = dial.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.isFailure(exit))
      assert.strictEqual((yield* Effect.flip(exit ?? Effect.die("no answer"))).reason, "sessionOnOtherNode")
      assert.strictEqual(here.gateway.unready().length, 1)
      yield* virtual.pass("30 seconds")
      assert.strictEqual(here.gateway.unready().length, 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(here.gateway.unready(), [])
      assert.deepStrictEqual(there.gateway.unready(), [])
    })
  )
})
