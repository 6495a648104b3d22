import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Logger, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as VirtualTime from "../../src/testing/VirtualTime.ts"
import * as SharedWork from "../../src/turn/SharedWork.ts"

const second = Duration.seconds(1)
const minute = Duration.minutes(1)

const make = SharedWork.make({ name: "test", limit: minute, otherwise: "nothing" })

/** The work of a scope that a test ends without hanging on its clock. */
const inScope = <A, E>(test: (work: SharedWork.SharedWork<string>) => Effect.Effect<A, E, Scope.Scope>) =>
  Effect.acquireUseRelease(
    Scope.make(),
    (scope) => Effect.scoped(Effect.flatMap(Scope.provide(make, scope), test)),
    (scope) => VirtualTime.close(scope)
  )

describe("work that is shared", () => {
  it.effect("is done once for all who wait, and anew for who comes later", () =>
    inScope(Effect.fnUntraced(function*(work) {
      let done = 0
      const counting = Effect.delay(Effect.sync(() => `${++done}`), second)
      const waiting = yield* Effect.forkChild(
        Effect.all([
          work.join("a", counting, minute),
          work.join("a", counting, minute),
          work.join("b", counting, minute)
        ], {
          concurrency: "unbounded"
        }),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(waiting), [Option.some("1"), Option.some("1"), Option.some("2")])
      assert.deepStrictEqual(yield* work.join("a", Effect.succeed("later"), minute), Option.some("later"))
    })))

  it.effect("goes on when who waited is interrupted, or waits no longer", () =>
    inScope(Effect.fnUntraced(function*(work) {
      const ended = yield* Deferred.make<void>()
      const slow = Effect.as(Deferred.await(ended), "done")
      const left = yield* Effect.forkChild(work.join("a", slow, minute), { startImmediately: true })
      yield* Fiber.interrupt(left)
      const patient = yield* Effect.forkChild(work.join("a", Effect.die("not begun again"), second), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(patient), Option.none())
      const last = yield* Effect.forkChild(work.join("a", Effect.die("not begun again"), second), {
        startImmediately: true
      })
      yield* Deferred.succeed(ended, undefined)
      assert.deepStrictEqual(yield* Fiber.join(last), Option.some("done"))
    })))

  it.effect("comes to nothing at its limit, at a defect and at the end of the layer, and the first two are logged", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => {
        logged.push(String(Array.isArray(message) ? message[0] : message))
      })])
      const scope = yield* Scope.make()
      const work = yield* Scope.provide(make, scope).pipe(Effect.provide(logger))
      const nothing = Option.some("nothing")
      assert.deepStrictEqual(yield* work.join("a", Effect.die("a defect"), minute), nothing)
      const endless = yield* Effect.forkChild(work.join("b", Effect.never, Duration.hours(1)), {
        startImmediately: true
      })
      yield* TestClock.adjust("59999 millis")
      assert.isUndefined(endless.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(endless), nothing)
      const last = yield* Effect.forkChild(work.join("c", Effect.never, minute), { startImmediately: true })
      yield* VirtualTime.close(scope)
      assert.deepStrictEqual(yield* Fiber.join(last), nothing)
      assert.deepStrictEqual(logged, ["Work for a turn failed", "Work for a turn did not end in time"])
    }))
})
