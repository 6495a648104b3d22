import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { StoreError } from "../../src/domain/Errors.ts"
import * as Lease from "../../src/provisioner/Lease.ts"

type Answer = "held" | "interrupting" | "lost"

/** A lease that began now, renewed by answers that the test gives. */
const lease = Effect.fnUntraced(function*(answer: () => Effect.Effect<Answer, StoreError>) {
  let asked = 0
  const leaseOf = yield* Lease.make
  const held = leaseOf({
    of: "turn",
    renew: Effect.suspend(() => {
      asked++
      return answer()
    }),
    since: 0,
    lease: Duration.seconds(30),
    every: Duration.seconds(5),
    poll: Duration.seconds(1)
  })
  const fiber = yield* Effect.forkChild(held.keep, { startImmediately: true })
  return { ...held, fiber, asked: () => asked }
})

const fails = new StoreError({ operation: "planted" })

describe("Lease", () => {
  it.effect("is held as long as the store confirms it", () =>
    Effect.gen(function*() {
      const { asked, fiber, isHeld, left } = yield* lease(() => Effect.succeed("held"))
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(asked(), 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(asked(), 1)
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(isHeld())
      assert.strictEqual(Duration.toMillis(left()), 30_000)
      assert.isUndefined(fiber.pollUnsafe())
    }))

  it.effect("ends one renewal before the store's does when it cannot be renewed, and nothing begins from then", () =>
    Effect.gen(function*() {
      const { fiber, isHeld, left } = yield* lease(() => fails)
      yield* TestClock.adjust("24999 millis")
      assert.isTrue(isHeld())
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isFalse(isHeld())
      assert.strictEqual(yield* Fiber.join(fiber), "lost")
      assert.strictEqual(Duration.toMillis(left()), 5000)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(Duration.toMillis(left()), 0)
    }))

  it.effect("nothing begins though the fiber that renews hangs", () =>
    Effect.gen(function*() {
      const { fiber, isHeld } = yield* lease(() => Effect.uninterruptible(Effect.never))
      yield* Fiber.interrupt(fiber).pipe(Effect.forkChild)
      yield* TestClock.adjust("24999 millis")
      assert.isTrue(isHeld())
      yield* TestClock.adjust("1 millis")
      assert.isFalse(isHeld())
    }))

  it.effect("a store that fails for a while is asked every second, and then it is held again", () =>
    Effect.gen(function*() {
      let failing = true
      const { asked, fiber, isHeld } = yield* lease(() => failing ? fails : Effect.succeed("held"))
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(asked(), 4)
      failing = false
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(isHeld())
      assert.isUndefined(fiber.pollUnsafe())
    }))

  it.effect.each(["interrupting", "lost"] as const)("tells what it hears: %s", (verdict) =>
    Effect.gen(function*() {
      const { fiber } = yield* lease(() => Effect.succeed(verdict))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), verdict)
    }))
})
