import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { StoreError } from "../../src/domain/Errors.ts"
import { BuildId } from "../../src/domain/Ids.ts"
import * as Lease from "../../src/provisioner/Lease.ts"
import * as Signals from "../../src/store/Signals.ts"

type Answer = "held" | "interrupting" | "lost"

/** A lease that began now, renewed by answers that the test gives. */
const lease = Effect.fnUntraced(function*(
  answer: () => Effect.Effect<Answer, StoreError>,
  pause: (within: Duration.Input) => Effect.Effect<void> = Effect.sleep
) {
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
    poll: Duration.seconds(1),
    pause
  })
  const fiber = yield* Effect.forkChild(held.keep, { startImmediately: true })
  return { ...held, fiber, asked: () => asked }
})

const topic = Signals.cancel(BuildId.make("b"))

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

  it.effect("is asked about at once when there is a reason, and lasts from then", () =>
    Effect.gen(function*() {
      const { notify, subscribe } = yield* Signals.Signals
      const wanted = yield* subscribe(topic)
      let failing = false
      const { asked, fiber, left } = yield* lease(() => failing ? fails : Effect.succeed("held"), wanted.changed)
      yield* TestClock.adjust("2 seconds")
      yield* notify(topic)
      yield* TestClock.adjust(0)
      assert.strictEqual(asked(), 1)
      assert.strictEqual(Duration.toMillis(left()), 30_000)
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(asked(), 1)
      // What the store does not confirm lengthens nothing.
      failing = true
      for (let times = 0; times < 3; times++) {
        yield* notify(topic)
        yield* TestClock.adjust(0)
      }
      assert.strictEqual(asked(), 4)
      assert.strictEqual(Duration.toMillis(left()), 25_001)
      yield* TestClock.adjust("20 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "lost")
    }).pipe(Effect.provide(Signals.layer)))

  it.effect.each(["interrupting", "lost"] as const)("tells what it hears: %s", (verdict) =>
    Effect.gen(function*() {
      const { fiber } = yield* lease(() => Effect.succeed(verdict))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), verdict)
    }))
})
