/** What a caller is told of an operation, as far as it may rely on it. */
import { Option, Schema } from "effect"

/**
 * `done`: it ran to its end. `ended`: it began and did not come to a good end. `notRun`: it did not and will not run.
 * `mayHaveRun`: nobody knows. `lost`: the backend died, and said nothing. `wrong`: an answer that no caller should get.
 */
export type Outcome = "done" | "ended" | "notRun" | "mayHaveRun" | "lost" | "wrong"

const Failure = Schema.Struct({
  error: Schema.String,
  retry: Schema.String,
  sent: Schema.optionalKey(Schema.NullOr(Schema.Literals(["notSent", "mayHaveRun"])))
})

const Output = Schema.Struct({ success: Schema.Boolean, output: Schema.String })

const asFailure = Schema.decodeUnknownOption(Failure)
const asOutput = Schema.decodeUnknownOption(Output)
const isWritten = Schema.is(Schema.Struct({ path: Schema.String, size_bytes: Schema.Finite }))
const isEdited = Schema.is(Schema.Struct({ files: Schema.Array(Schema.Unknown) }))

/** Refused before anything was sent. */
const before = new Set([
  "no_workspace",
  "no_workspace_agent",
  "agent_disconnected",
  "dial_timeout",
  "dial_failed",
  "workspace_changed",
  "store_error",
  "agent_busy",
  "not_made"
])

/** The outcome is unknown, and said to be. */
const unknown = new Set(["outcome_unknown", "interrupted", "timed_out"])

/** What the answer of a tool, or of a call, says of this operation; and its code, for the account. */
export const of = (operation: string, answer: unknown): { readonly outcome: Outcome; readonly code: string } => {
  const failure = Option.getOrUndefined(asFailure(answer))
  if (failure !== undefined) {
    const code = failure.error
    if (before.has(code)) return { outcome: "notRun", code }
    if (unknown.has(code)) return { outcome: "mayHaveRun", code }
    // A model reads the same from the advice: only what did not run may be run again at once.
    if (code === "call_interrupted" || code === "call_timed_out") {
      const sent = failure.sent ?? (failure.retry === "now-once" ? "notSent" : "mayHaveRun")
      return { outcome: sent === "notSent" ? "notRun" : "mayHaveRun", code: `${code} ${sent}` }
    }
    if (code === "operation_refused") {
      return { outcome: failure.retry === "now-once" ? "notRun" : "mayHaveRun", code: `${code} ${failure.retry}` }
    }
    return { outcome: "wrong", code }
  }
  const output = Option.getOrUndefined(asOutput(answer))
  if (output !== undefined) {
    if (!output.success) return { outcome: "ended", code: "no good end" }
    return output.output === `${operation}\n`
      ? { outcome: "done", code: "done" }
      : { outcome: "wrong", code: "the output of something else" }
  }
  return isWritten(answer) || isEdited(answer)
    ? { outcome: "done", code: "done" }
    : { outcome: "wrong", code: "an answer of no known shape" }
}
