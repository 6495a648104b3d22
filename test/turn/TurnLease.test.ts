import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { StoreError } from "../../src/domain/Errors.ts"
import { ChatId, MessageId, NodeId, OwnerId, TurnId } from "../../src/domain/Ids.ts"
import { Turn } from "../../src/domain/Turn.ts"
import { TurnStore } from "../../src/store/TurnStore.ts"
import type { TurnRenewal } from "../../src/store/TurnStore.ts"
import * as TurnLease from "../../src/turn/TurnLease.ts"

const turn = new Turn({
  turnId: TurnId.make("t"),
  chatId: ChatId.make("c"),
  owner: OwnerId.make("ann"),
  messageId: MessageId.make("m"),
  epoch: 1,
  nodeId: NodeId.make("n"),
  status: "running",
  reason: null,
  startedAt: DateTime.makeUnsafe(0),
  endedAt: null
})

/** A lease that began now, renewed by answers that the test gives. */
const lease = Effect.fnUntraced(function*(answer: () => Effect.Effect<TurnRenewal, StoreError>) {
  let asked = 0
  const store = Layer.mock(TurnStore, {
    renew: () => {
      asked++
      return Effect.suspend(answer)
    }
  })
  const leaseOf = yield* Effect.provide(TurnLease.make, store)
  const held = leaseOf(turn, 0)
  const fiber = yield* Effect.forkChild(held.keep, { startImmediately: true })
  return { ...held, fiber, asked: () => asked }
})

const fails = new StoreError({ operation: "planted" })

describe("the lease of a turn", () => {
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
