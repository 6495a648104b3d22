import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result, Scope } from "effect"
import { dialWithLazyValidation } from "../../src/dial/LazyDial.ts"
import * as RawDials from "./support/RawDials.ts"
import type { Script } from "./support/RawDials.ts"
import { VirtualRuntime } from "./support/VirtualRuntime.ts"
import * as World from "./support/World.ts"

/**
 * What a dial and a hit are made of, besides their caller. These are the numbers behind the speed, and unlike the speed
 * they are the same on every machine.
 */
const still = () => new VirtualRuntime({ random: () => 0 })

interface Counts {
  readonly fibersStarted: number
  readonly fibersNow: number
  readonly timersArmed: number
  readonly timersNow: number
}

const counts = (runtime: VirtualRuntime, before: { readonly fibers: number; readonly timers: number }): Counts => ({
  fibersStarted: runtime.fibersStarted - before.fibers,
  fibersNow: runtime.fibers,
  timersArmed: runtime.timersArmed - before.timers,
  timersNow: runtime.pendingTimers
})

const dial = (original: Script, answer: string, second: Script = { after: 0, ends: "succeed" }) => {
  const runtime = still()
  const { dial } = RawDials.make((_, number) => number === 1 ? original : second)
  const scope = Scope.makeUnsafe()
  const fiber = runtime.run(Scope.provide(
    dialWithLazyValidation({
      id: "a",
      dial,
      validate: Effect.succeed(Result.succeed(answer)),
      validationDelay: 1000
    }),
    scope
  ))
  return { runtime, fiber, counts: () => counts(runtime, { fibers: 1, timers: 0 }) }
}

describe("fibers and timers of a lazy dial, besides its caller", () => {
  it("a dial that succeeds at once: its own fiber, no timer", () => {
    const { counts } = dial({ after: 0, ends: "succeed" }, "a")
    assert.deepStrictEqual(counts(), { fibersStarted: 1, fibersNow: 0, timersArmed: 0, timersNow: 0 })
  })

  it("a dial in flight: its fiber and one for the delay", () => {
    const { counts, fiber } = dial({ after: Infinity, ends: "succeed" }, "a")
    assert.isUndefined(fiber.pollUnsafe())
    // One of the three is the caller.
    assert.deepStrictEqual(counts(), { fibersStarted: 2, fibersNow: 3, timersArmed: 1, timersNow: 1 })
  })

  it("a dial that succeeds after a while: nothing more, and the timer is gone", () => {
    const { counts, runtime } = dial({ after: 10, ends: "succeed" }, "a")
    runtime.advance(10)
    // Two timers: the dial's own wait and the delay.
    assert.deepStrictEqual(counts(), { fibersStarted: 2, fibersNow: 0, timersArmed: 2, timersNow: 0 })
  })

  it("a dial that fails at once: dial, validation, two waits, second dial; no timer", () => {
    for (const answer of ["a", "b"]) {
      const { counts } = dial({ after: 0, ends: "fail" }, answer)
      assert.deepStrictEqual(counts(), { fibersStarted: 5, fibersNow: 0, timersArmed: 0, timersNow: 0 })
    }
  })

  it("cancelled in flight: nothing is left", () => {
    const { counts, fiber } = dial({ after: Infinity, ends: "succeed" }, "a")
    fiber.interruptUnsafe()
    assert.deepStrictEqual(counts(), { fibersStarted: 2, fibersNow: 0, timersArmed: 1, timersNow: 0 })
  })
})

describe("a dial in flight that ignores its interruption", () => {
  it("cancelled: only the dial itself goes on", () => {
    const { counts, fiber } = dial({ after: 60_000, ends: "succeed", stubborn: true }, "a")
    fiber.interruptUnsafe()
    assert.isDefined(fiber.pollUnsafe())
    assert.deepInclude(counts(), { fibersNow: 1, timersNow: 1 })
  })
})

describe("fibers, timers and queries of a connect, besides its caller", () => {
  const makeWorld = () => {
    const runtime = still()
    const settle = <A, E>(effect: Effect.Effect<A, E>): A => {
      const fiber = runtime.run(effect)
      runtime.drain()
      const exit = fiber.pollUnsafe()
      if (exit?._tag !== "Success") throw new Error("not settled")
      return exit.value
    }
    const world = settle(World.makeIn(Scope.makeUnsafe()))
    world.build({ number: 1, agents: ["a1"] })
    world.bind({ agent: "a1", build: 1 })
    return { runtime, settle, world, turn: settle(world.chats.open(World.chat)) }
  }

  it("a hit on a live connection in use: nothing at all", () => {
    const { runtime, settle, turn, world } = makeWorld()
    settle(Scope.provide(turn.connect, Scope.makeUnsafe()))
    const before = { fibers: runtime.fibersStarted + 1, timers: runtime.timersArmed }
    const calls = world.state.calls.length
    settle(Effect.scoped(turn.connect))
    assert.deepInclude(counts(runtime, before), { fibersStarted: 0, timersArmed: 0 })
    assert.strictEqual(world.state.calls.length, calls)
  })

  it("a hundred hits at once: nothing, and one idle timer after the last", () => {
    const { runtime, settle, turn, world } = makeWorld()
    settle(Effect.scoped(turn.connect))
    const before = { fibers: runtime.fibersStarted, timers: runtime.timersArmed }
    const calls = world.state.calls.length
    const gate = Scope.makeUnsafe()
    const fibers = Array.from({ length: 100 }, () => runtime.run(Scope.provide(turn.connect, gate)))
    assert.isTrue(fibers.every((fiber) => fiber.pollUnsafe()?._tag === "Success"))
    assert.deepInclude(counts(runtime, before), { fibersStarted: 100, timersArmed: 0 })
    assert.strictEqual(world.state.calls.length, calls)
  })

  it("64 callers of a cold chat: one dial, and no timer of the others but their own bound", () => {
    const { runtime, turn, world } = makeWorld()
    world.mode("a1", { after: 100 })
    const fibers = Array.from({ length: 64 }, () => runtime.run(Effect.scoped(turn.connect)))
    // 40 s of each caller; the flight's deadline, the validation delay, and the dial's own wait.
    assert.strictEqual(runtime.pendingTimers, 64 + 3)
    runtime.advance(100)
    assert.isTrue(fibers.every((fiber) => fiber.pollUnsafe()?._tag === "Success"))
    assert.strictEqual(world.state.counts.dials, 1)
    // The idle time of the connection.
    assert.strictEqual(runtime.pendingTimers, 1)
    assert.strictEqual(runtime.fibers, 1)
  })
})

describe("Fiber accounting", () => {
  it("counts what it says: a fork is one fiber, its end takes it away", () => {
    const runtime = still()
    const fiber = runtime.run(Effect.flatMap(Effect.forkDetach(Effect.never), Fiber.interrupt))
    runtime.drain()
    assert.isDefined(fiber.pollUnsafe())
    assert.deepStrictEqual([runtime.fibersStarted, runtime.fibers], [2, 0])
  })
})
