import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Option, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as LazyDial from "../../src/dial/LazyDial.ts"
import * as RawDials from "./support/RawDials.ts"
import type { Script } from "./support/RawDials.ts"
import { randomOf, VirtualRuntime } from "./support/VirtualRuntime.ts"

const delay = 1000
const succeedAfter = (after: number): Script => ({ after, ends: "succeed" })
const failAfter = (after: number): Script => ({ after, ends: "fail" })
const hang: Script = { after: Infinity, ends: "succeed" }

type Answer = Result.Result<string, "none">
const same: Effect.Effect<Answer> = Effect.succeed(Result.succeed("a"))
const other: Effect.Effect<Answer> = Effect.succeed(Result.succeed("b"))
const none: Effect.Effect<Answer> = Effect.succeed(Result.fail("none"))
const broken: Effect.Effect<Answer, "broken"> = Effect.fail("broken")

/** A call under way: the first dial by `original`, a second one by `second`. */
const call = Effect.fnUntraced(function*<EV>(options: {
  readonly original: Script
  readonly second?: Script
  readonly validate: Effect.Effect<Answer, EV>
  readonly validationDelay?: number
}) {
  const { dial, world } = RawDials.make((_, number) => number === 1 ? options.original : options.second ?? hang)
  const validations = { started: 0, interrupted: 0 }
  const scope = yield* Scope.make()
  const fiber = yield* LazyDial.dialWithLazyValidation({
    id: "a",
    dial,
    validate: Effect.suspend(() => {
      validations.started++
      return Effect.onInterrupt(options.validate, () => Effect.sync(() => validations.interrupted++))
    }),
    validationDelay: options.validationDelay ?? delay
  }).pipe(Scope.provide(scope), Effect.forkChild({ startImmediately: true }))
  return { fiber, scope, world, validations, result: () => fiber.pollUnsafe() }
})

const after = (millis: number, answer: Effect.Effect<Answer>) => Effect.delay(answer, millis)

const connected = (path: LazyDial.Path, dial: number): Exit.Exit<LazyDial.Dialed<string, RawDials.Connection>> => {
  const id = path === "switched" ? "b" : "a"
  return Exit.succeed({ connection: { dial, id }, id, switched: path === "switched", path })
}

describe("LazyDial", () => {
  describe("a dial that succeeds before the answer wins", () => {
    it.effect("at once: fast, and nobody is asked", () =>
      Effect.gen(function*() {
        const { result, validations, world } = yield* call({ original: succeedAfter(0), validate: other })
        assert.deepStrictEqual(result(), connected("fast", 1))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(validations.started, 0)
        assert.deepStrictEqual(world.released, [])
      }))

    it.effect("1 ms before the delay: fast, and nobody is asked", () =>
      Effect.gen(function*() {
        const { result, validations } = yield* call({ original: succeedAfter(delay - 1), validate: other })
        yield* TestClock.adjust(delay - 1)
        assert.deepStrictEqual(result(), connected("fast", 1))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(validations.started, 0)
      }))

    it.effect("after the question and before the answer: fast, and the question is interrupted", () =>
      Effect.gen(function*() {
        const { result, validations } = yield* call({ original: succeedAfter(1500), validate: after(600, other) })
        yield* TestClock.adjust(1499)
        assert.strictEqual(result(), undefined)
        assert.deepStrictEqual(validations, { started: 1, interrupted: 0 })
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(result(), connected("fast", 1))
        assert.deepStrictEqual(validations, { started: 1, interrupted: 1 })
      }))

    it.effect("a question that ignores its interruption is not waited for", () =>
      Effect.gen(function*() {
        const validate = Effect.uninterruptible(after(60_000, other))
        const { result } = yield* call({ original: succeedAfter(1500), validate })
        yield* TestClock.adjust(1500)
        assert.deepStrictEqual(result(), connected("fast", 1))
      }))
  })

  describe("when validation starts", () => {
    it.effect("at the delay, not 1 ms before", () =>
      Effect.gen(function*() {
        const { validations } = yield* call({ original: hang, validate: Effect.never })
        yield* TestClock.adjust(delay - 1)
        assert.strictEqual(validations.started, 0)
        yield* TestClock.adjust(1)
        assert.strictEqual(validations.started, 1)
      }))

    it.effect("at the dial's failure, when that is first", () =>
      Effect.gen(function*() {
        const { validations } = yield* call({ original: failAfter(400), validate: Effect.never })
        yield* TestClock.adjust(399)
        assert.strictEqual(validations.started, 0)
        yield* TestClock.adjust(1)
        assert.strictEqual(validations.started, 1)
      }))

    it.effect("runs once, though the delay ends and the dial fails later", () =>
      Effect.gen(function*() {
        const { result, validations } = yield* call({
          original: failAfter(1500),
          second: succeedAfter(0),
          validate: after(1000, same)
        })
        yield* TestClock.adjust(2000)
        assert.deepStrictEqual(result(), connected("redialed", 2))
        assert.strictEqual(validations.started, 1)
      }))

    it.effect("with a delay of zero the dial still starts first, and a success wins", () =>
      Effect.gen(function*() {
        const quick = yield* call({ original: succeedAfter(0), validate: other, validationDelay: 0 })
        assert.deepStrictEqual(quick.result(), connected("fast", 1))
        assert.strictEqual(quick.validations.started, 0)
        const slow = yield* call({ original: hang, second: succeedAfter(0), validate: other, validationDelay: 0 })
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(slow.result(), connected("switched", 2))
        assert.deepStrictEqual(slow.world.dials, ["a", "b"])
      }))
  })

  describe("the answer: same id", () => {
    it.effect("the dial has failed: dialed once more, redialed", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({ original: failAfter(10), second: succeedAfter(20), validate: same })
        yield* TestClock.adjust(29)
        assert.strictEqual(result(), undefined)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(result(), connected("redialed", 2))
        assert.deepStrictEqual(world.dials, ["a", "a"])
      }))

    it.effect("the outcome of the second dial is final", () =>
      Effect.gen(function*() {
        const { result, validations, world } = yield* call({
          original: failAfter(10),
          second: failAfter(20),
          validate: same
        })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(result(), Exit.fail("refused 2"))
        assert.deepStrictEqual(world.dials, ["a", "a"])
        assert.strictEqual(validations.started, 1)
      }))

    it.effect("the dial is pending: it is waited for, confirmed", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({ original: succeedAfter(20_000), validate: same })
        yield* TestClock.adjust(19_999)
        assert.strictEqual(result(), undefined)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(result(), connected("confirmed", 1))
        assert.deepStrictEqual(world.dials, ["a"])
      }))

    it.effect("a failure after that is final", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({ original: failAfter(2000), validate: same })
        yield* TestClock.adjust(2000)
        assert.deepStrictEqual(result(), Exit.fail("refused 1"))
        assert.deepStrictEqual(world.dials, ["a"])
      }))

    it.effect("ids compare by value", () =>
      Effect.gen(function*() {
        const fiber = yield* LazyDial.dialWithLazyValidation({
          id: Option.some("a"),
          dial: () => Effect.as(Effect.sleep(2000), "connection"),
          validate: Effect.succeed(Result.succeed(Option.some("a"))),
          validationDelay: delay
        }).pipe(Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust(2000)
        assert.strictEqual((yield* Fiber.join(fiber)).path, "confirmed")
      }))
  })

  describe("the answer: another id", () => {
    it.effect("the dial has failed: the other is dialed, switched", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({ original: failAfter(10), second: succeedAfter(20), validate: other })
        yield* TestClock.adjust(30)
        assert.deepStrictEqual(result(), connected("switched", 2))
        assert.deepStrictEqual(world.dials, ["a", "b"])
      }))

    it.effect("the dial is pending: it is interrupted, and the other is dialed at once", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({ original: hang, second: succeedAfter(20), validate: other })
        yield* TestClock.adjust(delay + 19)
        assert.strictEqual(result(), undefined)
        assert.deepStrictEqual(world.interrupted, [1])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(result(), connected("switched", 2))
      }))

    it.effect("the failure of the other is final", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({ original: hang, second: failAfter(20), validate: other })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(result(), Exit.fail("refused 2"))
        assert.deepStrictEqual(world.dials, ["a", "b"])
      }))

    it.effect("a stale dial that ignores its interruption for a minute delays nobody, and is released once", () =>
      Effect.gen(function*() {
        const { result, scope, world } = yield* call({
          original: { after: 61_000, ends: "succeed", stubborn: true },
          second: succeedAfter(0),
          validate: other
        })
        yield* TestClock.adjust(delay)
        assert.deepStrictEqual(result(), connected("switched", 2))
        yield* TestClock.adjust(59_999)
        assert.deepStrictEqual([...world.running], [1])
        assert.deepStrictEqual(world.acquired, ["connection 2"])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(world.acquired, ["connection 2", "connection 1"])
        assert.deepStrictEqual(world.released, ["connection 1"])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(world.released, ["connection 1", "connection 2"])
      }))

    it.effect("what a stale dial acquired on its way is released only when its fiber has ended", () =>
      Effect.gen(function*() {
        const { world } = yield* call({
          original: { after: 5000, ends: "fail", stubborn: true, partial: true },
          second: succeedAfter(0),
          validate: other
        })
        yield* TestClock.adjust(4999)
        assert.deepStrictEqual(world.released, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(world.released, ["part 1"])
      }))
  })

  describe("the answer: there is none", () => {
    it.effect("the dial has failed: fails with it, unwrapped", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({ original: failAfter(10), validate: none })
        yield* TestClock.adjust(10)
        assert.deepStrictEqual(result(), Exit.fail("none"))
        assert.deepStrictEqual(world.dials, ["a"])
      }))

    it.effect("the dial is pending: abandoned, fails with it at once, though the dial does not listen", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({
          original: { after: 60_000, ends: "succeed", stubborn: true },
          validate: none
        })
        yield* TestClock.adjust(delay - 1)
        assert.strictEqual(result(), undefined)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(result(), Exit.fail("none"))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(world.released, ["connection 1"])
      }))
  })

  describe("validation failed", () => {
    it.effect("the dial has failed: ValidationFailed with both causes", () =>
      Effect.gen(function*() {
        const { fiber, world } = yield* call({ original: failAfter(10), validate: broken })
        yield* TestClock.adjust(10)
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.instanceOf(error, LazyDial.ValidationFailed)
        assert.deepStrictEqual(error.dial, Cause.fail("refused 1"))
        assert.deepStrictEqual(error.validation, Cause.fail("broken"))
        assert.deepStrictEqual(world.dials, ["a"])
      }))

    it.effect("the dial is pending: it is waited for, and its success is fast", () =>
      Effect.gen(function*() {
        const { result, validations } = yield* call({ original: succeedAfter(20_000), validate: broken })
        yield* TestClock.adjust(19_999)
        assert.strictEqual(result(), undefined)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(result(), connected("fast", 1))
        assert.strictEqual(validations.started, 1)
      }))

    it.effect("a later failure of the dial is ValidationFailed too", () =>
      Effect.gen(function*() {
        const { fiber } = yield* call({ original: failAfter(20_000), validate: broken })
        yield* TestClock.adjust(20_000)
        assert.instanceOf(yield* Effect.flip(Fiber.join(fiber)), LazyDial.ValidationFailed)
      }))
  })

  describe("a defect is not an answer: it ends the call as it is", () => {
    it.effect("of the dial, at once", () =>
      Effect.gen(function*() {
        const { result, validations } = yield* call({ original: { after: 0, ends: "die" }, validate: same })
        assert.deepStrictEqual(result(), Exit.die("defect 1"))
        assert.strictEqual(validations.started, 0)
      }))

    it.effect("of the dial, while the question is open", () =>
      Effect.gen(function*() {
        const { result, validations } = yield* call({ original: { after: 1500, ends: "die" }, validate: Effect.never })
        yield* TestClock.adjust(1500)
        assert.deepStrictEqual(result(), Exit.die("defect 1"))
        assert.deepStrictEqual(validations, { started: 1, interrupted: 1 })
      }))

    it.effect("of the dial, after the question could not be answered", () =>
      Effect.gen(function*() {
        const { result } = yield* call({ original: { after: 1500, ends: "die" }, validate: broken })
        yield* TestClock.adjust(1500)
        assert.deepStrictEqual(result(), Exit.die("defect 1"))
      }))

    it.effect("of the validation, though the dial is pending; the dial is abandoned", () =>
      Effect.gen(function*() {
        const { result, world } = yield* call({ original: hang, validate: Effect.die("defect") })
        yield* TestClock.adjust(delay)
        assert.deepStrictEqual(result(), Exit.die("defect"))
        assert.deepStrictEqual(world.interrupted, [1])
      }))

    it.effect("of the validation, after the dial has failed: not wrapped", () =>
      Effect.gen(function*() {
        const { result } = yield* call({ original: failAfter(10), validate: Effect.die("defect") })
        yield* TestClock.adjust(10)
        assert.deepStrictEqual(result(), Exit.die("defect"))
      }))

    it.effect("beside a failure, in one cause: nothing is asked", () =>
      Effect.gen(function*() {
        let asked = false
        const exit = yield* LazyDial.dialWithLazyValidation({
          id: "a",
          dial: () => Effect.failCause(Cause.combine(Cause.fail("refused"), Cause.die("defect"))),
          validate: Effect.sync(() => {
            asked = true
            return Result.succeed("a")
          }),
          validationDelay: delay
        }).pipe(Effect.scoped, Effect.exit)
        assert.isTrue(Exit.hasDies(exit))
        assert.isFalse(asked)
      }))

    it.effect("of a dial that throws before it is an effect", () =>
      Effect.gen(function*() {
        const exit = yield* LazyDial.dialWithLazyValidation({
          id: "a",
          dial: (): Effect.Effect<never> => {
            throw new Error("defect")
          },
          validate: same,
          validationDelay: delay
        }).pipe(Effect.scoped, Effect.exit)
        assert.isTrue(Exit.hasDies(exit))
      }))

    it.effect("an interruption of its own, of a dial, is passed on", () =>
      Effect.gen(function*() {
        const { result, validations } = yield* call({ original: { after: 10, ends: "interrupt" }, validate: same })
        yield* TestClock.adjust(10)
        const exit = result()
        assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
        assert.strictEqual(validations.started, 0)
      }))
  })

  describe("the end of the call", () => {
    it.effect("interrupted by its caller: ends at once, though the dial does not listen; released once, later", () =>
      Effect.gen(function*() {
        const { fiber, scope, world } = yield* call({
          original: { after: 60_000, ends: "succeed", stubborn: true },
          validate: same
        })
        yield* TestClock.adjust(2000)
        fiber.interruptUnsafe()
        const exit = fiber.pollUnsafe()
        assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(world.released, [])
        yield* TestClock.adjust(58_000)
        assert.deepStrictEqual(world.released, ["connection 1"])
        assert.strictEqual(world.running.size, 0)
      }))

    it.effect("interrupted before the scope closes: the dial is given up at once, not with the scope", () =>
      Effect.gen(function*() {
        const { fiber, world } = yield* call({ original: hang, validate: same })
        fiber.interruptUnsafe()
        assert.deepStrictEqual(world.interrupted, [1])
      }))

    it.effect("interrupted during the second dial, which does not listen", () =>
      Effect.gen(function*() {
        const { fiber, world } = yield* call({
          original: failAfter(10),
          second: { after: 60_000, ends: "succeed", stubborn: true },
          validate: same
        })
        yield* TestClock.adjust(1000)
        fiber.interruptUnsafe()
        assert.isDefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(world.released, ["connection 2"])
      }))

    it.effect("timed out by its caller: that error, not an interruption", () =>
      Effect.gen(function*() {
        const { dial, world } = RawDials.make(() => ({ after: 60_000, ends: "succeed", stubborn: true }))
        const fiber = yield* LazyDial.dialWithLazyValidation({ id: "a", dial, validate: same, validationDelay: delay })
          .pipe(
            Effect.timeoutOrElse({ duration: 30_000, orElse: () => Effect.fail("slow") }),
            Effect.scoped,
            Effect.forkChild({ startImmediately: true })
          )
        yield* TestClock.adjust(29_999)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(fiber.pollUnsafe(), Exit.fail("slow"))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(world.released, ["connection 1"])
      }))

    it.effect("the connection outlives its dial and belongs to the caller's scope", () =>
      Effect.gen(function*() {
        const { result, scope, world } = yield* call({ original: succeedAfter(10), validate: same })
        yield* TestClock.adjust(10)
        assert.isDefined(result())
        assert.strictEqual(world.running.size, 0)
        assert.deepStrictEqual(world.released, [])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(world.released, ["connection 1"])
      }))

    it.effect("in an uninterruptible region of its caller the dial can still be abandoned", () =>
      Effect.gen(function*() {
        const { dial, world } = RawDials.make((id) => id === "a" ? hang : succeedAfter(0))
        const fiber = yield* LazyDial.dialWithLazyValidation({ id: "a", dial, validate: other, validationDelay: delay })
          .pipe(Effect.scoped, Effect.uninterruptible, Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust(delay)
        assert.strictEqual((yield* Fiber.join(fiber)).path, "switched")
        assert.deepStrictEqual(world.interrupted, [1])
      }))

    it.effect("a release that dies harms nobody", () =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        const fiber = yield* LazyDial.dialWithLazyValidation({
          id: "a",
          dial: (id) =>
            id === "a"
              ? Effect.andThen(
                Effect.acquireRelease(Deferred.succeed(started, undefined), () => Effect.die("release")),
                Effect.never
              )
              : Effect.succeed("connection"),
          validate: other,
          validationDelay: delay
        }).pipe(Effect.scoped, Effect.forkChild({ startImmediately: true }))
        yield* Deferred.await(started)
        yield* TestClock.adjust(delay)
        assert.strictEqual((yield* Fiber.join(fiber)).connection, "connection")
      }))
  })
})

/**
 * Random scripts against the table written a second time, as arithmetic. The instants are drawn apart, so the table
 * has one answer; fibers yield anywhere, so an interruption lands anywhere.
 */
describe("LazyDial in random schedules", () => {
  type News = "same" | "other" | "none" | "broken" | "die" | "never"
  interface Case {
    readonly delay: number
    readonly original: Script
    readonly second: Script
    readonly answerAfter: number
    readonly answer: News
    readonly interruptAt: number
  }

  const draw = (random: () => number): Case => {
    const used = new Set<number>()
    const pick = <A>(values: ReadonlyArray<A>, fallback: A): A =>
      values[Math.floor(random() * values.length)] ?? fallback
    // Each kind of span has a residue of its own modulo 16, and so has each sum that matters: nothing ties.
    const span = (unit: number) => {
      for (;;) {
        const value = 1 + Math.floor(random() * 2000)
        if (!used.has(value)) {
          used.add(value)
          return value * 16 + unit
        }
      }
    }
    const script = (unit: number): Script => {
      const stubborn = random() < 0.3
      return {
        after: random() < 0.15 && !stubborn ? Infinity : random() < 0.1 ? 0 : span(unit),
        ends: pick(["succeed", "succeed", "fail", "fail", "die"], "succeed"),
        stubborn,
        partial: random() < 0.3
      }
    }
    return {
      delay: random() < 0.1 ? 0 : span(0),
      original: script(1),
      second: script(2),
      answerAfter: random() < 0.2 ? 0 : span(4),
      answer: pick(["same", "same", "other", "other", "none", "broken", "die", "never"], "same"),
      interruptAt: random() < 0.3 ? span(8) : Infinity
    }
  }

  /** The table. */
  const expected = (c: Case): { readonly at: number; readonly end: string; readonly dials: number } => {
    const settledAt = c.original.after
    const askedAt = settledAt === 0 && c.original.ends === "fail"
      ? 0
      : Math.min(c.delay, c.original.ends === "fail" ? settledAt : Infinity)
    const answeredAt = c.answer === "never" ? Infinity : askedAt + c.answerAfter
    const first = (at: number, end: string, dials = 1) => ({ at, end, dials })
    const second = (from: number, path: string) => ({
      at: from + c.second.after,
      end: c.second.ends === "succeed" ? path : c.second.ends === "fail" ? "refused 2" : "defect 2",
      dials: 2
    })
    const whole = () => {
      const early = settledAt < answeredAt || settledAt <= askedAt
      if (early && c.original.ends === "succeed") return first(settledAt, "fast")
      if (early && c.original.ends === "die") return first(settledAt, "defect 1")
      switch (c.answer) {
        case "never":
          return first(Infinity, "never")
        case "die":
          return first(answeredAt, "defect")
        case "none":
          return first(answeredAt, "none")
        case "other":
          return second(answeredAt, "switched")
        case "broken":
          return c.original.ends === "fail"
            ? first(Math.max(settledAt, answeredAt), "ValidationFailed")
            : first(settledAt, c.original.ends === "succeed" ? "fast" : "defect 1")
        case "same":
          return c.original.ends === "fail" && early
            ? second(answeredAt, "redialed")
            : first(
              settledAt,
              c.original.ends === "succeed" ? "confirmed" : c.original.ends === "fail" ? "refused 1" : "defect 1"
            )
      }
    }
    const outcome = whole()
    const result = outcome.at === Infinity ? { ...outcome, end: "never" } : outcome
    if (c.interruptAt === Infinity || result.at < c.interruptAt) return result
    return { at: c.interruptAt, end: "interrupted", dials: result.dials === 2 && answeredAt < c.interruptAt ? 2 : 1 }
  }

  const endOf = (exit: Exit.Exit<LazyDial.Dialed<string, RawDials.Connection>, unknown>): string => {
    if (Exit.isSuccess(exit)) return exit.value.path
    if (Exit.hasInterrupts(exit)) return "interrupted"
    const error = Cause.squash(exit.cause)
    return error instanceof LazyDial.ValidationFailed ? "ValidationFailed" : String(error)
  }

  const play = (seed: number) => {
    const random = randomOf(seed)
    const c = draw(random)
    const yields = [0, 0.05, 0.3][seed % 3] ?? 0
    const runtime = new VirtualRuntime({ random, shouldYield: () => random() < yields })
    const { dial, world } = RawDials.make((_, number) => number === 1 ? c.original : c.second)
    let validations = 0
    const answers: Record<News, Effect.Effect<Answer, "broken">> = {
      same,
      other,
      none,
      broken,
      die: Effect.die("defect"),
      never: Effect.never
    }
    const answer = answers[c.answer]
    const scope = Scope.makeUnsafe()
    let end: { readonly at: number; readonly end: string; readonly dials: number } | undefined
    const fiber = runtime.run(Scope.provide(
      LazyDial.dialWithLazyValidation({
        id: "a",
        dial,
        validate: Effect.suspend(() => {
          validations++
          return c.answerAfter === 0 ? answer : Effect.delay(answer, c.answerAfter)
        }),
        validationDelay: c.delay
      }),
      scope
    ))
    fiber.addObserver((exit) => {
      end = { at: runtime.now, end: endOf(exit), dials: world.dials.length }
    })
    runtime.drain()
    if (c.interruptAt !== Infinity) {
      runtime.advance(c.interruptAt)
      fiber.interruptUnsafe()
      runtime.drain()
    }
    runtime.advance(1_000_000)
    const context = `seed ${seed}: ${JSON.stringify(c)}`
    const wanted = expected(c)
    assert.deepStrictEqual(end ?? { at: Infinity, end: "never", dials: world.dials.length }, wanted, context)
    assert.isAtMost(validations, 1, context)
    const held = world.acquired.filter((name) => !world.released.includes(name))
    const alive = end !== undefined && ["fast", "confirmed", "redialed", "switched"].includes(end.end)
    const owned = alive ? [`connection ${world.dials.length}`, `part ${world.dials.length}`] : []
    if (end === undefined) return
    assert.deepStrictEqual(held.filter((name) => !owned.includes(name)), [], context)
    runtime.run(Scope.close(scope, Exit.void))
    runtime.drain()
    assert.deepStrictEqual([...world.released].sort(), [...world.acquired].sort(), context)
    assert.strictEqual(runtime.fibers, 0, context)
    assert.strictEqual(runtime.pendingTimers, 0, context)
  }

  it("follow the table, release exactly once and leave nothing", () => {
    for (let seed = 1; seed <= 3000; seed++) play(seed)
  })
})
