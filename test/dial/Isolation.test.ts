import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as World from "./support/World.ts"

const { agentId, chat } = World

const running = Effect.gen(function*() {
  const world = yield* World.make
  world.build({ number: 1, agents: ["a1"] })
  world.bind({ agent: "a1", build: 1 })
  return world
})

/** A clock that stands still, and never wakes anybody. */
const frozen: Clock.Clock = {
  currentTimeMillisUnsafe: () => 0,
  currentTimeMillis: Effect.succeed(0),
  currentTimeNanosUnsafe: () => 0n,
  currentTimeNanos: Effect.succeed(0n),
  monotonicTimeNanosUnsafe: () => 0n,
  monotonicTimeNanos: Effect.succeed(0n),
  sleep: () => Effect.never
}

describe("a caller's context", () => {
  it.effect("reaches no port and no dial: repairs never join its transaction", () =>
    Effect.gen(function*() {
      const world = yield* running
      world.build({ number: 2, agents: ["a2"] })
      world.mode("a1", { ends: "refuse" })
      const turn = yield* world.chats.open(chat).pipe(Effect.provideService(World.Carried, "transaction"))
      yield* turn.connect.pipe(
        Effect.andThen(Effect.andThen(turn.currentAgent, Effect.fail("rolled back"))),
        Effect.scoped,
        Effect.flip,
        Effect.provideService(World.Carried, "transaction")
      )
      assert.deepStrictEqual([...world.state.carried], ["layer"])
      assert.deepInclude(world.row(), { agentId: agentId("a2"), generation: 2 })
    }))

  it.effect("its clock changes nothing for the others: the flight it started validates and ends in time", () =>
    Effect.gen(function*() {
      const world = yield* running
      world.mode("a1", { ends: "hang" })
      const turn = yield* world.chats.open(chat)
      const start = <A, E>(connect: Effect.Effect<A, E, Scope.Scope>) =>
        Effect.forkChild(Effect.exit(Effect.scoped(connect)), { startImmediately: true })
      const first = yield* start(Effect.provideService(turn.connect, Clock.Clock, frozen))
      const second = yield* start(turn.connect)
      yield* TestClock.adjust(1000)
      assert.strictEqual(world.state.counts.latestBuild, 1)
      yield* TestClock.adjust(28_999)
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(second.pollUnsafe())
      assert.isDefined(first.pollUnsafe())
      assert.strictEqual(world.state.counts.dials, 1)
    }))

  it.effect("a connection that it caused to be opened serves the next one, after it is gone", () =>
    Effect.gen(function*() {
      const world = yield* running
      const turn = yield* world.chats.open(chat)
      yield* Effect.scoped(turn.connect).pipe(Effect.provideService(Clock.Clock, frozen))
      yield* TestClock.adjust(Duration.minutes(4))
      yield* Effect.scoped(turn.connect)
      assert.strictEqual(world.state.counts.dials, 1)
      yield* TestClock.adjust(Duration.minutes(5))
      assert.deepStrictEqual(world.state.released, ["a1#1"])
    }))
})
