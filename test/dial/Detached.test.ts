import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Detached from "../../src/dial/Detached.ts"

const Tenant = Context.Reference<string>("test/Tenant", { defaultValue: () => "none" })

const make = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const detached = yield* Scope.provide(Detached.make(2000), scope)
  const close = Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
  return { detached, close }
})

describe("Detached", () => {
  it.effect("starts at once, and forgets what has ended", () =>
    Effect.gen(function*() {
      const { detached } = yield* make
      assert.deepStrictEqual(detached.run(Effect.succeed(1)).pollUnsafe(), Exit.succeed(1))
      detached.run(Effect.sleep(10))
      assert.strictEqual(detached.size(), 1)
      yield* TestClock.adjust(10)
      assert.strictEqual(detached.size(), 0)
    }))

  it.effect("runs with the context in which it was made", () =>
    Effect.gen(function*() {
      const { detached } = yield* Effect.provideService(make, Tenant, "layer")
      const fiber = yield* Effect.sync(() => detached.run(Tenant)).pipe(Effect.provideService(Tenant, "caller"))
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed("layer"))
    }))

  it.effect("its end interrupts what runs, and takes no time when that listens", () =>
    Effect.gen(function*() {
      const { close, detached } = yield* make
      const fiber = detached.run(Effect.never)
      const closing = yield* close
      assert.isDefined(closing.pollUnsafe())
      const exit = fiber.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
    }))

  it.effect("its end waits for the drain time, and no longer; a release goes on after that", () =>
    Effect.gen(function*() {
      const { close, detached } = yield* make
      const release = detached.run(Effect.sleep(5000), { uninterruptible: true })
      const closing = yield* close
      yield* TestClock.adjust(1999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(closing.pollUnsafe())
      assert.isUndefined(release.pollUnsafe())
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual(release.pollUnsafe(), Exit.void)
    }))

  it.effect("its end waits for a release that begins during the drain", () =>
    Effect.gen(function*() {
      const { close, detached } = yield* make
      detached.run(
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            detached.run(Effect.sleep(1000), { uninterruptible: true })
          }))
      )
      const closing = yield* close
      yield* TestClock.adjust(999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(closing.pollUnsafe())
    }))
})
