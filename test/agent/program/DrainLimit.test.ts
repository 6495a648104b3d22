import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Readable } from "node:stream"
import * as DrainLimit from "../../../src/agent/program/DrainLimit.ts"

const make = DrainLimit.make({ rate: 1_000, window: Duration.millis(100) })
const stream = (): Readable => new Readable({ read: () => undefined }).resume()

describe("DrainLimit", () => {
  it.effect("pauses who used up the window, to its end", () =>
    Effect.gen(function*() {
      const limit = yield* make
      const noisy = stream()
      limit.took(99, noisy)
      assert.isFalse(noisy.isPaused())
      limit.took(1, noisy)
      assert.isTrue(noisy.isPaused())
      yield* TestClock.adjust("99 millis")
      assert.isTrue(noisy.isPaused())
      yield* TestClock.adjust("1 millis")
      assert.isFalse(noisy.isPaused())
    }))

  it.effect("counts all streams together and never pauses one that is silent", () =>
    Effect.gen(function*() {
      const limit = yield* make
      const [noisy, other, silent] = [stream(), stream(), stream()]
      limit.took(100, noisy)
      limit.took(1, other)
      assert.deepStrictEqual([noisy, other, silent].map((s) => s.isPaused()), [true, true, false])
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual([noisy, other, silent].map((s) => s.isPaused()), [false, false, false])
    }))

  it.effect("takes what was read too much from the windows to come", () =>
    Effect.gen(function*() {
      const limit = yield* make
      const noisy = stream()
      limit.took(350, noisy)
      yield* TestClock.adjust("299 millis")
      assert.isTrue(noisy.isPaused())
      yield* TestClock.adjust("1 millis")
      assert.isFalse(noisy.isPaused())
    }))

  it.effect("starts a new window when nothing is paused and the old one is over", () =>
    Effect.gen(function*() {
      const limit = yield* make
      const noisy = stream()
      limit.took(60, noisy)
      yield* TestClock.adjust("100 millis")
      limit.took(60, noisy)
      assert.isFalse(noisy.isPaused())
    }))

  it.effect("lets a released stream run on", () =>
    Effect.gen(function*() {
      const limit = yield* make
      const noisy = stream()
      limit.took(1_000, noisy)
      limit.release(noisy)
      assert.isFalse(noisy.isPaused())
    }))
})
