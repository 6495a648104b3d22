/**
 * How a tool call that failed reads to a model: one shape for all tools.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Recovery from "../domain/Recovery.ts"

/**
 * `error` is the stable code, `message` what is wrong and what to do next, in the words of this chat's tools. `retry` says
 * whether the same call again is of use.
 *
 * @since 0.1.0
 * @category models
 */
export const ToolFailure = Schema.Struct({
  error: Schema.String,
  message: Schema.String,
  retry: Schema.Literals(["never", "now-once", "later", "after-recovery"])
})

/**
 * @since 0.1.0
 * @category models
 */
export type ToolFailure = typeof ToolFailure.Type

/**
 * @since 0.1.0
 * @category constructors
 */
export const fromError = (
  error: Recovery.Explainable & { readonly code: string },
  audience: Recovery.Audience
): ToolFailure => ({
  error: error.code,
  message: Recovery.explain(error, audience),
  retry: error.recovery.retry
})
