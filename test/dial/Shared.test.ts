import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Detached from "../../src/dial/Detached.ts"
import * as Shared from "../../src/dial/Shared.ts"

const Tenant = Context.Reference<string>("test/Tenant", { defaultValue: () => "layer" })

const idle = 60_000
const drain = 2000

/** Milliseconds: one that does not listen to its interruption. */
type Handshake = Effect.Effect<unknown, string> | number

/** A shared map over acquisitions by key, each started one numbered, with what became of it. */
const makeHarness = Effect.fnUntraced(function*(options?: { readonly idle?: number | undefined }) {
  const layer = yield* Scope.make()
  const detached = yield* Scope.provide(Detached.make(drain), layer)
  const shared = Shared.make<string, string, string>({
    detached,
    idle: options !== undefined && "idle" in options ? options.idle : idle,
    release: 5000,
    onInterrupt: (key, closed) => `${key}: ${closed ? "closed" : "interrupted"}`
  })
  yield* Scope.addFinalizer(layer, Effect.sync(shared.close))
  const world = { started: 0, interrupted: 0, acquired: [] as Array<string>, released: [] as Array<string> }
  /** `before` stands for the handshake: it may fail, hang, or take its time and ignore its interruption. */
  const acquire = (key: string, before: Handshake) =>
    Effect.suspend(() => {
      const name = `${key}${++world.started}`
      if (typeof before === "number") return Effect.uninterruptible(connect(name, Effect.sleep(before)))
      return connect(name, before)
    })
  const connect = <E>(name: string, before: Effect.Effect<unknown, E>) =>
    Effect.andThen(
      Effect.onInterrupt(before, () => Effect.sync(() => world.interrupted++)),
      Effect.acquireRelease(
        Effect.sync(() => {
          world.acquired.push(name)
          return name
        }),
        () => Effect.sync(() => world.released.push(name))
      )
    )
  /** A user of a key under way, in a scope of its own. */
  const user = Effect.fnUntraced(function*(key: string, before: Handshake = Effect.void) {
    const scope = yield* Scope.make()
    const fiber = yield* Effect.forkChild(Scope.provide(shared.get(key, acquire(key, before)), scope), {
      startImmediately: true
    })
    const leave = Effect.suspend(() => {
      fiber.interruptUnsafe()
      return Scope.close(scope, Exit.void)
    })
    return { fiber, scope, leave, result: () => fiber.pollUnsafe() }
  })
  return { layer, detached, shared, world, user }
})

const hang = Effect.never

describe("Shared", () => {
  it.effect("one acquisition serves all who want a key at the same time", () =>
    Effect.gen(function*() {
      const { shared, user, world } = yield* makeHarness()
      const users = yield* Effect.forEach(Array.from({ length: 64 }), () => user("a", Effect.sleep(10)))
      assert.strictEqual(shared.users("a"), 64)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(users.map((user) => user.result()), users.map(() => Exit.succeed("a1")))
      assert.strictEqual(world.started, 1)
    }))

  it.effect("other keys are other acquisitions", () =>
    Effect.gen(function*() {
      const { user, world } = yield* makeHarness()
      yield* user("a")
      yield* user("b")
      assert.deepStrictEqual(world.acquired, ["a1", "b2"])
    }))

  it.effect("some waiters interrupted change nothing for the rest", () =>
    Effect.gen(function*() {
      const { user, world } = yield* makeHarness()
      const [last, ...others] = yield* Effect.forEach(Array.from({ length: 64 }), () => user("a", Effect.sleep(10)))
      for (const other of others) yield* other.leave
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(last?.result(), Exit.succeed("a1"))
      assert.deepStrictEqual(world, { started: 1, interrupted: 0, acquired: ["a1"], released: [] })
    }))

  it.effect("an interrupted waiter leaves at once, before its scope closes", () =>
    Effect.gen(function*() {
      const { shared, user, world } = yield* makeHarness()
      const only = yield* user("a", hang)
      only.fiber.interruptUnsafe()
      assert.strictEqual(shared.users("a"), 0)
      assert.strictEqual(world.interrupted, 1)
    }))

  it.effect("the last waiter takes the key out of the map and interrupts in one step: the next one starts anew", () =>
    Effect.gen(function*() {
      const { detached, user, world } = yield* makeHarness()
      const first = yield* user("a", 60_000)
      yield* first.leave
      assert.isDefined(first.result())
      const second = yield* user("a")
      assert.deepStrictEqual(second.result(), Exit.succeed("a2"))
      yield* TestClock.adjust(59_999)
      assert.deepStrictEqual(world.acquired, ["a2"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(world.released, ["a1"])
      assert.strictEqual(detached.size(), 0)
    }))

  it.effect("failures are never kept, and reach all who waited", () =>
    Effect.gen(function*() {
      const { user, world } = yield* makeHarness()
      const first = yield* user("a", Effect.delay(Effect.fail("refused"), 10))
      const second = yield* user("a")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual([first.result(), second.result()], [Exit.fail("refused"), Exit.fail("refused")])
      assert.deepStrictEqual((yield* user("a")).result(), Exit.succeed("a2"))
      assert.strictEqual(world.started, 2)
    }))

  it.effect("who tries again in the step in which it hears of a failure starts anew", () =>
    Effect.gen(function*() {
      const { shared } = yield* makeHarness()
      let started = 0
      const acquire = Effect.suspend(() =>
        ++started === 1 ? Effect.delay(Effect.fail("refused"), 10) : Effect.succeed("value")
      )
      const get = Effect.scoped(shared.get("a", acquire))
      const retrying = yield* Effect.forkChild(Effect.catch(get, () => get), { startImmediately: true })
      const other = yield* Effect.forkChild(Effect.exit(get), { startImmediately: true })
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(retrying.pollUnsafe(), Exit.succeed("value"))
      assert.deepStrictEqual(other.pollUnsafe(), Exit.succeed(Exit.fail("refused")))
    }))

  it.effect("a defect reaches all who waited, as it is", () =>
    Effect.gen(function*() {
      const { user } = yield* makeHarness()
      const first = yield* user("a", Effect.delay(Effect.die("defect"), 10))
      const second = yield* user("a")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual([first.result(), second.result()], [Exit.die("defect"), Exit.die("defect")])
    }))

  it.effect("an acquisition that interrupts itself is an error to those who wait, not an interruption", () =>
    Effect.gen(function*() {
      const { user } = yield* makeHarness()
      const only = yield* user("a", Effect.andThen(Effect.sleep(10), Effect.interrupt))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(only.result(), Exit.fail("a: interrupted"))
    }))

  it.effect("what a failed acquisition acquired on its way is released, and delays none of its waiters", () =>
    Effect.gen(function*() {
      const { shared } = yield* makeHarness()
      let released = false
      const fiber = yield* shared.get(
        "a",
        Effect.andThen(
          Effect.addFinalizer(() => Effect.andThen(Effect.sleep(1000), Effect.sync(() => released = true))),
          Effect.fail("refused")
        )
      ).pipe(Effect.exit, Effect.scoped, Effect.forkChild({ startImmediately: true }))
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(Exit.fail("refused")))
      yield* TestClock.adjust(1000)
      assert.isTrue(released)
    }))

  it.effect("an acquired value is kept for the idle time after its last user, to the millisecond", () =>
    Effect.gen(function*() {
      const { detached, shared, user, world } = yield* makeHarness()
      const first = yield* user("a")
      yield* TestClock.adjust(idle * 2)
      yield* first.leave
      yield* TestClock.adjust(idle - 1)
      assert.strictEqual(shared.peek("a"), "a1")
      yield* TestClock.adjust(1)
      assert.strictEqual(shared.peek("a"), undefined)
      assert.deepStrictEqual(world.released, ["a1"])
      assert.strictEqual(detached.size(), 0)
    }))

  it.effect("a user who comes in the idle time ends it", () =>
    Effect.gen(function*() {
      const { user, world } = yield* makeHarness()
      yield* (yield* user("a")).leave
      yield* TestClock.adjust(idle - 1)
      const second = yield* user("a")
      yield* TestClock.adjust(idle * 2)
      assert.deepStrictEqual(second.result(), Exit.succeed("a1"))
      assert.deepStrictEqual(world.released, [])
    }))

  it.effect("without an idle time the value goes with its last user, and nobody joins what has landed", () =>
    Effect.gen(function*() {
      const { user, world } = yield* makeHarness({ idle: undefined })
      const first = yield* user("a", Effect.sleep(10))
      const second = yield* user("a")
      yield* TestClock.adjust(10)
      const third = yield* user("a")
      assert.deepStrictEqual(third.result(), Exit.succeed("a2"))
      yield* first.leave
      assert.deepStrictEqual(world.released, [])
      yield* second.leave
      assert.deepStrictEqual(world.released, ["a1"])
    }))

  it.effect("what is forgotten is not lent again and goes with its last user", () =>
    Effect.gen(function*() {
      const { shared, user, world } = yield* makeHarness()
      const first = yield* user("a")
      shared.forget("a")
      assert.strictEqual(shared.peek("a"), undefined)
      assert.strictEqual(yield* Effect.scoped(shared.lend("a")), undefined)
      assert.deepStrictEqual((yield* user("a")).result(), Exit.succeed("a2"))
      assert.deepStrictEqual(world.released, [])
      yield* first.leave
      assert.deepStrictEqual(world.released, ["a1"])
    }))

  it.effect("forgotten while idle, it is released at once", () =>
    Effect.gen(function*() {
      const { detached, shared, user, world } = yield* makeHarness()
      yield* (yield* user("a")).leave
      shared.forget("a")
      assert.deepStrictEqual(world.released, ["a1"])
      assert.strictEqual(detached.size(), 0)
    }))

  it.effect("a pending acquisition cannot be forgotten", () =>
    Effect.gen(function*() {
      const { shared, user } = yield* makeHarness()
      const first = yield* user("a", Effect.sleep(10))
      shared.forget("a")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(first.result(), Exit.succeed("a1"))
    }))

  it.effect("lend holds what is acquired and never acquires, nor waits for who does", () =>
    Effect.gen(function*() {
      const { shared, user, world } = yield* makeHarness()
      assert.strictEqual(yield* Effect.scoped(shared.lend("a")), undefined)
      const first = yield* user("a", Effect.sleep(10))
      assert.strictEqual(yield* Effect.scoped(shared.lend("a")), undefined)
      yield* TestClock.adjust(10)
      const scope = yield* Scope.make()
      assert.strictEqual(yield* Scope.provide(shared.lend("a"), scope), "a1")
      yield* first.leave
      yield* TestClock.adjust(idle * 2)
      assert.deepStrictEqual(world.released, [])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(idle)
      assert.deepStrictEqual(world.released, ["a1"])
      assert.strictEqual(world.started, 1)
    }))

  it.effect("an acquisition runs with the layer's context, not with that of its first user", () =>
    Effect.gen(function*() {
      const { shared } = yield* makeHarness()
      const tenant = yield* Effect.scoped(shared.get("a", Tenant)).pipe(Effect.provideService(Tenant, "caller"))
      assert.strictEqual(tenant, "layer")
    }))

  it.effect("an acquisition that resumes another user of its key before it first waits serves that user too", () =>
    Effect.gen(function*() {
      const { shared, world } = yield* makeHarness()
      const dialing = yield* Deferred.make<void>()
      const second = yield* Effect.forkChild(
        Effect.scoped(Effect.andThen(Deferred.await(dialing), shared.get("a", Effect.die("a second acquisition")))),
        { startImmediately: true }
      )
      const first = yield* Effect.scoped(shared.get("a", Effect.as(Deferred.succeed(dialing, undefined), "value")))
      assert.strictEqual(first, "value")
      assert.strictEqual(yield* Fiber.join(second), "value")
      assert.strictEqual(world.started, 0)
    }))

  it.effect("a slow release is waited for by nobody, and logged at its bound", () => {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ message }) => lines.push(message))
    return Effect.gen(function*() {
      const { detached, shared } = yield* makeHarness({ idle: undefined })
      const slow = Effect.addFinalizer(() => Effect.sleep(60_000))
      yield* Effect.scoped(shared.get("a", Effect.as(slow, "value")))
      assert.isAbove(detached.size(), 0)
      yield* TestClock.adjust(4999)
      assert.deepStrictEqual(lines, [])
      yield* TestClock.adjust(1)
      assert.strictEqual(lines.length, 1)
      yield* TestClock.adjust(60_000)
      assert.strictEqual(lines.length, 1)
      assert.strictEqual(detached.size(), 0)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})

describe("the end of the layer", () => {
  const close = (layer: Scope.Closeable) => Effect.forkChild(Scope.close(layer, Exit.void), { startImmediately: true })

  it.effect("who waits gets the error of the end, at once, though the acquisition does not listen", () =>
    Effect.gen(function*() {
      const { layer, user, world } = yield* makeHarness()
      const waiter = yield* user("a", 60_000)
      const closing = yield* close(layer)
      assert.deepStrictEqual(waiter.result(), Exit.fail("a: closed"))
      assert.deepStrictEqual((yield* user("a")).result(), Exit.fail("a: closed"))
      yield* TestClock.adjust(drain - 1)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(closing.pollUnsafe())
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual(world, { started: 1, interrupted: 0, acquired: ["a1"], released: ["a1"] })
    }))

  it.effect("the drain does not interrupt the release of what a stale acquisition still brings home", () =>
    Effect.gen(function*() {
      const { layer, user, world } = yield* makeHarness()
      yield* (yield* user("idle")).leave
      const waiter = yield* user("a", 1000)
      yield* waiter.leave
      const closing = yield* close(layer)
      yield* TestClock.adjust(999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(closing.pollUnsafe())
      assert.deepStrictEqual(world.released, ["idle1", "a2"])
    }))

  it.effect("an idle value is released and its timer ended", () =>
    Effect.gen(function*() {
      const { detached, layer, user, world } = yield* makeHarness()
      yield* (yield* user("a")).leave
      yield* Scope.close(layer, Exit.void)
      assert.deepStrictEqual(world.released, ["a1"])
      assert.strictEqual(detached.size(), 0)
    }))

  it.effect("that comes in the first step of an acquisition still releases it", () =>
    Effect.gen(function*() {
      const { layer, shared } = yield* makeHarness()
      const dialing = yield* Deferred.make<void>()
      let released = 0
      const closing = yield* Effect.forkChild(Effect.andThen(Deferred.await(dialing), Scope.close(layer, Exit.void)), {
        startImmediately: true
      })
      const acquire = Effect.andThen(
        Effect.acquireRelease(Deferred.succeed(dialing, undefined), () => Effect.sync(() => released++)),
        Effect.succeed("value")
      )
      const exit = yield* Effect.exit(Effect.scoped(shared.get("a", acquire)))
      assert.deepStrictEqual(exit, Exit.fail("a: closed"))
      yield* Fiber.join(closing)
      assert.strictEqual(released, 1)
    }))
})
