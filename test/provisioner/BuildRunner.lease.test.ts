import { assert, describe, it } from "@effect/vitest"
import { AgentToken } from "chat-workspace/domain"
import { Clock, Duration, Effect, Exit, Fiber, Metric, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as BuildMetrics from "../../src/provisioner/BuildMetrics.ts"
import * as Runners from "./support/runners.ts"

/** A clock that jumps as one does for a process that was frozen: nothing of what it waits for is due earlier. */
const jumping = Effect.map(Clock.Clock, (clock) => {
  let offset = 0
  return {
    jump: (duration: Duration.Input) => {
      offset += Duration.toMillis(Duration.fromInputUnsafe(duration))
    },
    clock: {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + offset,
      currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + offset),
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration: Duration.Duration) => clock.sleep(duration)
    }
  }
})

describe("the lease", () => {
  it.effect("is renewed for as long as the build runs, and nobody else takes it", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.takes("14 minutes")
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* world.runner("b")
      yield* TestClock.adjust("14 minutes")
      assert.strictEqual(yield* world.status(buildId), "succeeded")
      assert.deepInclude(world.script.counts(), { calls: 1, finished: 1 })
      assert.strictEqual((yield* world.record(buildId)).attempt, 1)
    }))

  it.effect("that another runner has is found with the next renewal; nothing is written after it", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("5 seconds")
      yield* world.steal(buildId)
      const before = yield* world.record(buildId)
      yield* TestClock.adjust("4999 millis")
      assert.deepInclude(world.script.counts(), { running: 1 })
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
      assert.deepStrictEqual({ ...(yield* world.record(buildId)), asOf: 0 }, { ...before, asOf: 0 })
      assert.strictEqual(world.faults.count("finish"), 0)
      assert.strictEqual(world.faults.count("release"), 0)
      assert.deepStrictEqual(world.warnings(), ["A build is not this node's any more"])
    }))

  it.effect("an end that comes after it was lost changes nothing", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.takes("5 seconds")
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("1 second")
      yield* world.steal(buildId)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* world.status(buildId), "running")
      assert.deepStrictEqual(world.warnings(), ["A build is not this node's any more"])
    }))

  for (const fault of ["fail", "hang", "stubborn"] as const) {
    it.effect(`that cannot be renewed for two renewals ends the work, well before it is over: ${fault}`, () =>
      Effect.gen(function*() {
        const world = yield* Runners.make()
        yield* world.script.hang()
        world.faults.set("renew", fault)
        const { buildId } = yield* world.create()
        yield* world.runner("a", { config: { concurrency: 1 } })
        yield* TestClock.adjust("19999 millis")
        assert.deepInclude(world.script.counts(), { running: 1 })
        yield* TestClock.adjust("1 millis")
        assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
        // Its runner says nothing about a build that it could not ask about.
        assert.strictEqual(world.faults.count("finish"), 0)
        assert.strictEqual(yield* world.status(buildId), "running")
        yield* world.script.succeed()
        yield* TestClock.adjust("9999 millis")
        assert.strictEqual(yield* world.status(buildId), "running")
        yield* TestClock.adjust("2001 millis")
        assert.strictEqual(yield* world.status(buildId), "succeeded")
        assert.strictEqual((yield* world.record(buildId)).attempt, 2)
        world.faults.heal("renew")
      }))
  }

  it.effect("lives through a store that fails for a while, which is said once", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.takes("5 minutes")
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      world.faults.set("renew", "fail")
      yield* TestClock.adjust("17 seconds")
      world.faults.heal("renew")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* world.status(buildId), "succeeded")
      assert.strictEqual(world.script.counts().calls, 1)
      assert.deepStrictEqual(world.warnings(), ["The lease on a build cannot be renewed"])
    }))

  it.effect("is over for a runner that was frozen: it interrupts before it asks anything", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { clock, jump } = yield* jumping
      const { buildId } = yield* world.create()
      yield* world.runner("a", { clock, config: { concurrency: 1 } })
      yield* TestClock.adjust("9999 millis")
      world.faults.set("take", "fail")
      jump("1 minute")
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
      assert.strictEqual(world.faults.count("renew"), 0)
      assert.strictEqual(yield* world.status(buildId), "running")
    }))

  it.effect("counts from before it was asked for, however long the answer took", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      world.faults.set("renew", "fail")
      world.faults.set("take", "hang")
      yield* world.create()
      yield* world.runner("a", { config: { concurrency: 1 } })
      yield* TestClock.adjust("5 seconds")
      world.faults.heal("take")
      yield* TestClock.adjust("14999 millis")
      assert.deepInclude(world.script.counts(), { running: 1 })
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(world.script.counts(), { running: 0 })
    }))

  it.effect("shorter than its renewals is renewed more often", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make({ config: { lease: "6 seconds" } })
      yield* world.script.takes("1 minute")
      const { buildId } = yield* world.create()
      yield* world.runner("a")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* world.status(buildId), "succeeded")
      assert.strictEqual((yield* world.record(buildId)).attempt, 1)
    }))
})

describe("a build whose runner is gone", () => {
  /** A runner whose process is killed: it writes nothing more. */
  const killed = Effect.fnUntraced(function*(world: Effect.Success<ReturnType<typeof Runners.make>>) {
    for (const call of ["renew", "finish", "release", "appendLog"] as const) world.faults.set(call, "fail")
    const { close } = yield* world.runner("a", { config: { concurrency: 1 } })
    yield* world.script.untilCalled(1)
    yield* close
    for (const call of ["renew", "finish", "release", "appendLog"] as const) world.faults.heal(call)
  })

  it.effect("is taken by another when its lease is over, with new tokens for the same agents", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId } = yield* world.create()
      yield* killed(world)
      yield* world.script.succeed()
      yield* world.runner("b")
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual(world.script.counts().calls, 1)
      yield* TestClock.adjust("2001 millis")
      assert.strictEqual(yield* world.status(buildId), "succeeded")
      assert.strictEqual((yield* world.record(buildId)).attempt, 2)
      const [first, second] = world.script.requests().map(({ agents }) => agents[0])
      assert(first !== undefined && second !== undefined)
      assert.strictEqual(first.agentId, second.agentId)
      const verify = (token: typeof first.token) =>
        Effect.exit(world.presence.verify(Option.getOrThrow(AgentToken.parse(token))))
      assert.strictEqual((yield* verify(first.token))._tag, "Failure")
      assert.strictEqual((yield* verify(second.token))._tag, "Success")
    }))

  it.effect("has a log that goes on behind what was written", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      yield* world.script.print(["first", "second"])
      const { buildId } = yield* world.create()
      world.faults.set("finish", "fail")
      world.faults.set("release", "fail")
      const { close } = yield* world.runner("a")
      yield* TestClock.adjust("1 second")
      yield* close
      world.faults.heal("finish")
      world.faults.heal("release")
      yield* world.script.print(["again"])
      yield* world.script.succeed()
      yield* world.runner("b")
      yield* TestClock.adjust("32 seconds")
      const lines = yield* world.builds.log({ buildId, after: 0 })
      assert.deepStrictEqual(lines.map(({ number, text }) => [number, text]), [
        [1, "first"],
        [2, "second"],
        [3, "again"]
      ])
    }))

  it.effect("has failed when it may not be run again, and its provider was called once", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId } = yield* world.create({ repeatable: false })
      yield* killed(world)
      yield* world.runner("b")
      yield* TestClock.adjust("32 seconds")
      assert.strictEqual((yield* world.record(buildId)).failure?.code, "runner_lost")
      assert.strictEqual(world.script.counts().calls, 1)
    }))
})

describe("the end of the node", () => {
  it.effect("gives back what runs: another takes a repeatable build at once", () =>
    Effect.gen(function*() {
      const released = Effect.map(
        Metric.value(BuildMetrics.builds("start", "released")),
        ({ count }) => Number(count)
      )
      const before = yield* released
      const world = yield* Runners.make()
      yield* world.script.hang()
      yield* world.script.print(["half"])
      const { buildId } = yield* world.create()
      const { close } = yield* world.runner("a")
      yield* world.script.untilCalled(1)
      const closedAt = yield* Clock.currentTimeMillis
      yield* close
      assert.strictEqual(yield* Clock.currentTimeMillis, closedAt)
      assert.deepInclude(world.script.counts(), { running: 0, interrupted: 1 })
      assert.strictEqual(world.fibers(), 0)
      assert.strictEqual(yield* released, before + 1)
      assert.deepStrictEqual(yield* world.log(buildId), ["half"])
      yield* world.script.print([])
      yield* world.script.succeed()
      yield* world.runner("b")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* world.status(buildId), "succeeded")
      assert.deepStrictEqual(world.warnings(), [])
    }))

  it.effect("one that may not be run again has failed", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const { buildId } = yield* world.create({ repeatable: false })
      const { close } = yield* world.runner("a")
      yield* world.script.untilCalled(1)
      yield* close
      assert.strictEqual((yield* world.record(buildId)).failure?.code, "runner_lost")
    }))

  it.effect("what is pending stays so", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      const first = yield* world.create()
      const second = yield* world.create()
      const { close } = yield* world.runner("a", { config: { concurrency: 1 } })
      yield* world.script.untilCalled(1)
      yield* close
      assert.strictEqual((yield* world.record(second.buildId)).attempt, 0)
      assert.strictEqual((yield* world.record(first.buildId)).attempt, 1)
      assert.strictEqual(world.script.counts().calls, 1)
    }))

  it.effect("waits for a provider that ends slowly, and gives the build back after it", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.onStart(() => Effect.onInterrupt(Effect.never, () => Effect.sleep("1500 millis")))
      const { buildId } = yield* world.create()
      const { scope } = yield* world.runner("a")
      yield* world.script.untilCalled(1)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1499 millis")
      assert.strictEqual(world.faults.count("release"), 0)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(world.faults.count("release"), 1)
      assert.strictEqual((yield* world.record(buildId)).attempt, 1)
      assert.deepStrictEqual(world.warnings(), [])
    }))

  it.effect("but not longer than the drain: what ignores it is left, and that is said", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.hang()
      yield* world.script.ignoreInterruption(true)
      const { buildId } = yield* world.create()
      const { scope } = yield* world.runner("a")
      yield* world.script.untilCalled(1)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(world.warnings(), ["Builds did not end with their node in time and were left"])
      // Nobody takes it while what it began may still run.
      assert.strictEqual(world.faults.count("release"), 0)
      assert.strictEqual(yield* world.status(buildId), "running")
      // The provider itself is all that is left.
      assert.strictEqual(world.fibers(), 1)
      yield* world.script.succeed()
      yield* TestClock.adjust(0)
      assert.strictEqual(world.fibers(), 0)
    }))

  for (const fault of ["fail", "hang", "stubborn"] as const) {
    it.effect(`a store that cannot take it back holds nobody longer than the drain: ${fault}`, () =>
      Effect.gen(function*() {
        const world = yield* Runners.make()
        yield* world.script.hang()
        world.faults.set("release", fault)
        yield* world.create()
        const { scope } = yield* world.runner("a")
        yield* world.script.untilCalled(1)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(closing)
        world.faults.heal("release")
        yield* TestClock.adjust(0)
        assert.strictEqual(world.fibers(), 0)
      }))
  }

  it.effect("an end that is being written is written", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      yield* world.script.takes("1 second")
      world.faults.set("finish", "hang")
      const { buildId } = yield* world.create()
      const { scope } = yield* world.runner("a")
      yield* TestClock.adjust("1 second")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      world.faults.heal("finish")
      yield* TestClock.adjust(0)
      yield* Fiber.join(closing)
      assert.strictEqual(yield* world.status(buildId), "succeeded")
    }))

  it.effect("a build that was being taken is given back, and never begins", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      world.faults.set("take", "hang")
      const { buildId } = yield* world.create()
      const { scope } = yield* world.runner("a")
      yield* TestClock.adjust(0)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      world.faults.heal("take")
      yield* TestClock.adjust(0)
      yield* Fiber.join(closing)
      assert.strictEqual(world.script.counts().calls, 0)
      yield* world.runner("b")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* world.status(buildId), "succeeded")
      assert.strictEqual((yield* world.record(buildId)).attempt, 2)
    }))

  it.effect("a runner without builds ends at once, also while it waits for the queue", () =>
    Effect.gen(function*() {
      const world = yield* Runners.make()
      const { close } = yield* world.runner("a")
      yield* TestClock.adjust("1 minute")
      const before = yield* Clock.currentTimeMillis
      yield* close
      assert.strictEqual(yield* Clock.currentTimeMillis, before)
      assert.strictEqual(world.fibers(), 0)
    }))
})
