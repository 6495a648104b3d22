/**
 * What the conformance kits have in common.
 *
 * A kit is a list of cases to run against a part of one's own: a name, and an Effect that fails with `KitFailure` when the
 * part breaks that promise. It knows no test framework.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { inspect } from "node:util"

/**
 * A case that is not kept.
 *
 * @since 0.1.0
 * @category errors
 */
export class KitFailure extends Data.TaggedError("KitFailure")<{
  readonly expectation: string
  readonly actual: unknown
}> {
  override get message(): string {
    return `${this.expectation}, but it was ${inspect(this.actual, { depth: 6, breakLength: Infinity })}`
  }
}

/**
 * One expectation, ready to run. What it needs is acquired into its scope.
 *
 * @since 0.1.0
 * @category models
 */
export interface Case<R = never> {
  readonly name: string
  readonly run: Effect.Effect<void, unknown, R | Scope.Scope>
}

/**
 * A case that is not run, and the verbs for it that the harness does not have.
 *
 * @since 0.1.0
 * @category models
 */
export interface Skipped {
  readonly name: string
  readonly missing: ReadonlyArray<string>
}

/**
 * A broken promise that was thrown is a failure of its case.
 *
 * @since 0.1.0
 * @category combinators
 */
export const caught = <A, E, R>(run: Effect.Effect<A, E, R>): Effect.Effect<A, E | KitFailure, R> =>
  Effect.catchDefect(run, (defect) => defect instanceof KitFailure ? Effect.fail(defect) : Effect.die(defect))
