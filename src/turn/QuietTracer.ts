/**
 * A tracer that says of an error only its name.
 *
 * What exports spans exports the messages of the errors that end them too, and these may hold paths, commands and names
 * that a model wrote. Whose spans leave the machine puts this over the tracer that exports.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"

/**
 * The same tracer, for `Layer.effect(Tracer.Tracer, Effect.map(Tracer.Tracer, QuietTracer.make))` over an exporter.
 *
 * @since 0.1.0
 * @category combinators
 */
export const make = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    ...(tracer.context === undefined ? {} : { context: tracer.context }),
    span: (options) => {
      const span = tracer.span(options)
      const end = span.end.bind(span)
      span.end = (endTime, exit) => end(endTime, named(exit))
      return span
    }
  })

const named = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  if (Exit.isSuccess(exit)) return exit
  return Exit.failCause(Cause.fromReasons(exit.cause.reasons.map((reason) => {
    if (Cause.isInterruptReason(reason)) return reason
    return Cause.isFailReason(reason)
      ? Cause.makeFailReason(nameAlone(reason.error))
      : Cause.makeDieReason(nameAlone(reason.defect))
  })))
}

/** An error that says its name. Its stack is this place: that of the other begins with the message. */
const nameAlone = (error: unknown): unknown => {
  const alone = new Error(nameOf(error))
  alone.name = alone.message
  return alone
}

const nameOf = (error: unknown): string => {
  if (Predicate.hasProperty(error, "_tag") && typeof error._tag === "string") return error._tag
  return error instanceof Error ? error.name : "Error"
}
