/**
 * The few assertions that the kits of the stores are written with. They throw `KitFailure`, and need no test framework.
 *
 * @since 0.1.0
 */
import { inspect, isDeepStrictEqual } from "node:util"
import { KitFailure } from "./Kit.ts"

/** Said with `message` where there is one. */
interface Assertions {
  (condition: unknown, message?: string): asserts condition
  readonly strictEqual: <A>(actual: A, expected: A, message?: string) => void
  readonly notStrictEqual: <A>(actual: A, expected: A, message?: string) => void
  readonly deepStrictEqual: <A>(actual: A, expected: A, message?: string) => void
  /** Of the fields that are expected each is there and equal. */
  readonly deepInclude: (actual: object | null | undefined, expected: object, message?: string) => void
  readonly isAtLeast: (actual: number, least: number, message?: string) => void
  readonly isAtMost: (actual: number, most: number, message?: string) => void
}

const check = (holds: boolean, expectation: string, actual: unknown, message: string | undefined): void => {
  if (holds) return
  throw new KitFailure({ expectation: message === undefined ? expectation : `${message}: ${expectation}`, actual })
}

const expected = (value: unknown): string => `expected ${inspect(value, { depth: 6, breakLength: Infinity })}`

/** Throws where a promise is broken. */
export const assert: Assertions = Object.assign(
  (condition: unknown, message?: string): asserts condition => {
    check(Boolean(condition), "expected to hold", condition, message)
  },
  {
    strictEqual: <A>(actual: A, value: A, message?: string) =>
      check(Object.is(actual, value), expected(value), actual, message),
    notStrictEqual: <A>(actual: A, value: A, message?: string) =>
      check(!Object.is(actual, value), `expected another than ${inspect(value)}`, actual, message),
    deepStrictEqual: <A>(actual: A, value: A, message?: string) =>
      check(isDeepStrictEqual(actual, value), expected(value), actual, message),
    deepInclude: (actual: object | null | undefined, value: object, message?: string) => {
      const fields = new Map<string, unknown>(Object.entries(actual ?? {}))
      const holds = actual !== undefined && actual !== null &&
        Object.entries(value).every(([name, field]) => isDeepStrictEqual(fields.get(name), field))
      check(holds, expected(value), actual, message)
    },
    isAtLeast: (actual: number, least: number, message?: string) =>
      check(actual >= least, `expected at least ${least}`, actual, message),
    isAtMost: (actual: number, most: number, message?: string) =>
      check(actual <= most, `expected at most ${most}`, actual, message)
  }
)
