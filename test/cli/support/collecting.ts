/** What would be exported of a test: its spans, metrics and logs, as text, and what may not be in it. */
import { Cause, Effect, Exit, Logger, Metric, References, Tracer } from "effect"
import { inspect } from "node:util"
import { QuietTracer } from "../../../src/turn/index.ts"

/** A value that is planted in one place, and may be seen nowhere in what is exported. */
export const secret = (place: string): string => `PLANTED-${place}`

/** Everything that would be exported, as text. */
export const collecting = () => {
  const seen: Array<string> = []
  const spans: Array<Tracer.Span> = []
  const text = (value: unknown): string => inspect(value, { depth: 20, maxStringLength: null, maxArrayLength: null })
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const end = span.end.bind(span)
      spans.push(span)
      span.end = (endTime, exit) => {
        if (Exit.isFailure(exit)) seen.push(Cause.pretty(exit.cause))
        end(endTime, exit)
      }
      return span
    }
  })
  const logger = Logger.make((log) => {
    seen.push(text(log.message), Cause.pretty(log.cause), text(log.fiber.getRef(References.CurrentLogAnnotations)))
  })
  return {
    /** Runs with the tracer of an exporter, and its logger. */
    exported: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      effect.pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "All"),
        Effect.provideService(Metric.MetricRegistry, new Map()),
        Effect.withTracer(QuietTracer.make(tracer))
      ),
    names: () => new Set(spans.map(({ name }) => name)),
    all: Effect.map(Metric.snapshot, (metrics) => [
      ...seen,
      ...spans.flatMap((span) => [
        span.name,
        text(Array.from(span.attributes)),
        text("events" in span ? span.events : null),
        text(span.links.map(({ attributes }) => attributes))
      ]),
      text(metrics)
    ])
  }
}
