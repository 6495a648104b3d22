import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { AgentTransport } from "../../src/agent/AgentTransport.ts"
import * as AgentConnections from "../../src/dial/AgentConnections.ts"
import * as Detached from "../../src/dial/Detached.ts"
import { agentId, connection, makeState } from "./support/World.ts"

const a1 = agentId("a1")

const makeWith = Effect.fnUntraced(function*(closing: Effect.Effect<void> = Effect.void) {
  const state = makeState()
  const detached = yield* Detached.make(2000)
  const connections = yield* AgentConnections.make(detached).pipe(Effect.provideService(
    AgentTransport,
    AgentTransport.of({
      features: new Set(),
      presence: () => "unknown",
      dial: (agentId) =>
        Effect.andThen(
          Effect.addFinalizer(() => closing),
          Effect.sync(() => connection(state, agentId, ++state.counts.dials))
        )
    })
  ))
  yield* Effect.addFinalizer(() => Effect.sync(connections.close))
  return { connections, state }
})

const make = makeWith()

describe("AgentConnections", () => {
  it.effect("a connection is lent to all who ask for its agent, and nothing else is dialed", () =>
    Effect.gen(function*() {
      const { connections, state } = yield* make
      const dialed = yield* connections.dial(a1)
      assert.strictEqual(yield* connections.lend(a1), dialed)
      assert.strictEqual(yield* connections.dial(a1), dialed)
      assert.isUndefined(yield* connections.lend(agentId("a2")))
      assert.strictEqual(state.counts.dials, 1)
    }))

  it.effect("one that has closed is not lent any more; a dial then opens another", () =>
    Effect.gen(function*() {
      const { connections, state } = yield* make
      const first = yield* connections.dial(a1)
      state.liveness.set(1, "closed")
      assert.isUndefined(connections.open(a1))
      assert.isUndefined(yield* connections.lend(a1))
      assert.notStrictEqual(yield* connections.dial(a1), first)
    }))

  it.effect("forgetting an old connection leaves its successor alone", () =>
    Effect.gen(function*() {
      const { connections } = yield* make
      const old = yield* connections.dial(a1)
      connections.forget(old)
      const successor = yield* connections.dial(a1)
      connections.forget(old)
      assert.strictEqual(connections.open(a1), successor)
    }))

  it.effect("one in doubt is still lent", () =>
    Effect.gen(function*() {
      const { connections, state } = yield* make
      const dialed = yield* Effect.scoped(connections.dial(a1))
      state.liveness.set(1, "unknown")
      const scope = yield* Scope.make()
      assert.strictEqual(yield* Scope.provide(connections.lend(a1), scope), dialed)
    }))

  it.effect("a connection idle for 5 min is released; that this takes more than 5 s is logged", () => {
    const lines: Array<unknown> = []
    return Effect.gen(function*() {
      let closing = false
      const { connections } = yield* makeWith(
        Effect.andThen(Effect.sync(() => closing = true), Effect.sleep("1 minute"))
      )
      yield* Effect.scoped(connections.dial(a1))
      yield* TestClock.adjust(299_999)
      assert.isFalse(closing)
      yield* TestClock.adjust(1)
      assert.isTrue(closing)
      yield* TestClock.adjust(4999)
      assert.lengthOf(lines, 0)
      yield* TestClock.adjust(1)
      assert.lengthOf(lines, 1)
      yield* TestClock.adjust("1 minute")
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(message))])))
  })
})
