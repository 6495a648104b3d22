import { assert } from "@effect/vitest"
import type { Answer } from "./requests.ts"

/** Asserts that an answer is problem details of a kind. */
export const assertProblem = (answer: Answer, status: number, code: string, fields: object = {}): void => {
  assert.strictEqual(answer.status, status, JSON.stringify(answer.body))
  assert.strictEqual(answer.type, "application/problem+json")
  assert.deepInclude(answer.body, { status, code, type: `urn:chat-workspace:${code}`, ...fields })
}

/** Asserts on an error with all its fields: errors count as equal by their messages alone. */
export const assertError = (error: unknown, expected: Error): void => {
  assert.strictEqual(Object.getPrototypeOf(error), Object.getPrototypeOf(expected))
  assert.deepStrictEqual({ ...Object(error) }, { ...expected })
}
