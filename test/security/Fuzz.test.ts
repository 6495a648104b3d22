/** A short fuzz run of each target, with a seed that is fixed and one that is new; `npm run fuzz` is the long form. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit } from "effect"
import * as Chance from "./fuzz/Chance.ts"
import * as Fuzz from "./fuzz/Fuzz.ts"
import * as Mutation from "./fuzz/Mutation.ts"
import { targets } from "./fuzz/Targets.ts"

const fresh = Math.floor(Math.random() * 2 ** 31)

describe("fuzzing", () => {
  for (const target of targets) {
    for (const [kind, seed] of [["the same as ever", 1], ["new ones", fresh]] as const) {
      it.live(`${target.name}, ${kind}: no crash, no hang, and a typed end`, () =>
        Effect.gen(function*() {
          const options = { seed, duration: Duration.millis(600), count: 2000 }
          const exit = yield* Effect.exit(Fuzz.run(target, options))
          if (Exit.isSuccess(exit)) return assert.isAbove(exit.value.executions, 0)
          const found = Cause.squash(exit.cause) as Fuzz.Found
          assert.fail(
            `npm run fuzz -- --seed ${seed} --target ${found.target} --execution ${found.execution}\n${
              Cause.pretty(found.cause)
            }`
          )
        }), 60_000)
    }
  }
})

describe("a fuzz run", () => {
  const faulty = (isFound: (execution: number) => Effect.Effect<void, unknown>) => {
    const played: Array<number> = []
    const target = Fuzz.scoped(
      "faulty",
      Effect.sync(() => {
        let at = 0
        return (chance) =>
          Effect.suspend(() => {
            played.push(chance.below(1000))
            return isFound(at++)
          })
      })
    )
    return { played, target }
  }
  const found = (options: Partial<Fuzz.Options>, target: Fuzz.Target) =>
    Effect.flip(Fuzz.run(target, { seed: 5, duration: Duration.seconds(30), count: 10, ...options }))

  it.live("names the execution that found something, and plays it again alone", () =>
    Effect.gen(function*() {
      const whole = faulty((at) => at === 3 ? Effect.die(new Error("found")) : Effect.void)
      const { cause, execution, target } = yield* found({}, whole.target)
      assert.deepStrictEqual([target, execution], ["faulty", 3])
      assert.include(Cause.pretty(cause), "found")
      const alone = faulty(() => Effect.fail("found"))
      assert.strictEqual((yield* found({ from: 3, count: 1 }, alone.target)).execution, 3)
      assert.strictEqual(alone.played[0], whole.played[3])
    }))

  it.live("plays the same for the same seed, and something else for another", () =>
    Effect.gen(function*() {
      const [one, same, other] = [faulty(() => Effect.void), faulty(() => Effect.void), faulty(() => Effect.void)]
      const options = { duration: Duration.seconds(30), count: 50 }
      yield* Fuzz.run(one.target, { seed: 1, ...options })
      yield* Fuzz.run(same.target, { seed: 1, ...options })
      yield* Fuzz.run(other.target, { seed: 2, ...options })
      assert.deepStrictEqual(one.played, same.played)
      assert.notDeepEqual(one.played, other.played)
      assert.isAbove(new Set(one.played).size, 30)
    }))

  it("makes frames that are right, nearly right, and not at all", () => {
    const frame = { _tag: "Exit", requestId: 1, exit: { _tag: "Success", value: { a: [1, 2] } } }
    const kinds = { right: 0, parsed: 0, not: 0 }
    for (let execution = 0; execution < 1000; execution++) {
      const text = new TextDecoder().decode(Mutation.frame(Chance.make("kinds", execution), frame))
      if (text === `${JSON.stringify(frame)}\n`) kinds.right++
      else if (parses(text)) kinds.parsed++
      else kinds.not++
    }
    for (const [kind, count] of Object.entries(kinds)) assert.isAbove(count, 50, kind)
  })

  const parses = (text: string): boolean => {
    try {
      JSON.parse(text)
      return true
    } catch {
      return false
    }
  }
})
