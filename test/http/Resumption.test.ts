import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Resumption from "../../src/http/Resumption.ts"
import { assertError } from "./support/problems.ts"

interface Told {
  readonly number: number
}

class Passing {
  readonly _tag = "Passing"
}

class Final {
  readonly _tag = "Final"
}

type Opened = Effect.Effect<Stream.Stream<Told, Passing | Final>, Passing | Final>

const numbers = (...all: ReadonlyArray<number>): Opened =>
  Effect.succeed(Stream.fromIterable(all.map((number) => ({ number }))))

/** Gives what is opened, one after another, and remembers behind what. After the last it does not open. */
const source = (...opens: ReadonlyArray<Opened>) => {
  const asked: Array<number> = []
  return {
    asked,
    events: (after = 0) =>
      Resumption.make<Told, Passing | Final>({
        after,
        giveUp: Duration.minutes(2),
        isLast: ({ number }) => number === 9,
        isPassing: ({ _tag }) => _tag === "Passing",
        open: (after) => Effect.suspend(() => opens[asked.push(after) - 1] ?? Effect.fail(new Passing()))
      })
  }
}

/** Runs to the end, however long it takes. */
const told = <E>(events: Stream.Stream<Told, E>) =>
  Effect.gen(function*() {
    const all: Array<number> = []
    const fiber = yield* Effect.forkChild(
      Effect.exit(Stream.runForEach(events, ({ number }) => Effect.sync(() => all.push(number)))),
      { startImmediately: true }
    )
    let seconds = 0
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust("1 second")
      seconds++
      assert.isBelow(seconds, 1000)
    }
    return { all, seconds, exit: yield* Fiber.join(fiber) }
  })

const failureOf = (events: Stream.Stream<Told, unknown>) =>
  Effect.map(
    told(Stream.catch(events, (error) => Stream.die(error))),
    ({ exit }) =>
      exit._tag === "Failure"
        ? exit.cause.reasons.flatMap((reason) => reason._tag === "Die" ? [reason.defect] : [])
        : []
  )

describe("Resumption", () => {
  it.effect("one whole stream is just that", () =>
    Effect.gen(function*() {
      const { asked, events } = source(numbers(1, 2, 9))
      const { all, seconds } = yield* told(events())
      assert.deepStrictEqual([all, asked, seconds], [[1, 2, 9], [0], 0])
    }))

  it.effect("what was cut off goes on behind the last event, and tells nothing twice", () =>
    Effect.gen(function*() {
      const { asked, events } = source(numbers(4, 5), numbers(), numbers(5, 6), Effect.fail(new Passing()), numbers(9))
      const { all } = yield* told(events(3))
      assert.deepStrictEqual([all, asked], [[4, 5, 6, 9], [3, 5, 5, 6, 6]])
    }))

  it.effect("it ends with the last event, also where the stream does not", () =>
    Effect.gen(function*() {
      const open = Effect.succeed(Stream.concat(Stream.make({ number: 1 }, { number: 9 }), Stream.never))
      const { all } = yield* told(source(open).events())
      assert.deepStrictEqual(all, [1, 9])
    }))

  it.effect("how the first stream cannot be had is told at once", () =>
    Effect.gen(function*() {
      const { asked, events } = source(Effect.fail(new Passing()), numbers(9))
      assert.deepStrictEqual(yield* failureOf(events()), [new Passing()])
      assert.deepStrictEqual(asked, [0])
    }))

  it.effect("what is final ends it, from a stream or from the next that is opened", () =>
    Effect.gen(function*() {
      const broken = Effect.succeed(Stream.concat(Stream.make({ number: 1 }), Stream.fail(new Final())))
      assert.deepStrictEqual(yield* failureOf(source(broken, numbers(9)).events()), [new Final()])
      const second = source(numbers(1), Effect.fail(new Final()), numbers(9))
      assert.deepStrictEqual(yield* failureOf(second.events()), [new Final()])
      assert.deepStrictEqual(second.asked, [0, 1])
    }))

  it.effect("a source that is gone is asked at growing distances, and given up after two minutes", () =>
    Effect.gen(function*() {
      const { asked, events } = source(numbers(1))
      const [lost] = yield* failureOf(events())
      assertError(lost, new Resumption.StreamLost({ after: 1, cause: new Passing() }))
      assert.instanceOf(lost, Resumption.StreamLost)
      assert.instanceOf(lost.cause, Passing)
      // 5 s apart at most, 2.5 s at least, and quickly at first.
      assert.isAtLeast(asked.length, 24)
      assert.isAtMost(asked.length, 60)
    }))

  it.effect("one that opens and ends at once is given up too", () =>
    Effect.gen(function*() {
      const { events } = source(numbers(1), ...Array.from({ length: 100 }, () => numbers()))
      const [lost] = yield* failureOf(events())
      assertError(lost, new Resumption.StreamLost({ after: 1 }))
    }))

  it.effect("one that lives without news is taken up again however often", () =>
    Effect.gen(function*() {
      const quiet = Effect.succeed(Stream.fromEffectDrain(Effect.sleep("3 minutes")))
      const { asked, events } = source(numbers(1), quiet, quiet, quiet, numbers(9))
      const { all, seconds } = yield* told(events())
      assert.deepStrictEqual([all, asked], [[1, 9], [0, 1, 1, 1, 1]])
      assert.isAtLeast(seconds, 540)
    }))

  it.effect("each run of the stream begins anew", () =>
    Effect.gen(function*() {
      const { asked, events } = source(numbers(1, 9), numbers(1, 9))
      const all = events()
      assert.deepStrictEqual([(yield* told(all)).all, (yield* told(all)).all, asked], [[1, 9], [1, 9], [0, 0]])
    }))
})
