/**
 * The log of the command line: as Effect's own, and nobody's words can pass for a record or act on a terminal.
 *
 * Ids, names and errors that are logged hold what users, models and workspaces wrote. What is not plain in them is taken
 * out or marked, and each line of a record but the first is set in.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { format } from "node:util"
import * as PlainText from "../domain/PlainText.ts"

const logger = Logger.make<unknown, void>(({ cause, date, fiber, logLevel, message }) => {
  const annotations = Context.get(fiber.context, References.CurrentLogAnnotations)
  const spans = Context.get(fiber.context, References.CurrentLogSpans).map(
    ([label, since]) => ` ${label}=${date.getTime() - since}ms`
  )
  const time = `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`
  const words = [
    ...(Array.isArray(message) ? message : [message]),
    ...(cause.reasons.length > 0 ? [Cause.pretty(cause)] : []),
    ...(Object.keys(annotations).length > 0 ? [annotations] : [])
  ]
  // Not as the first argument of `format`, which would read it as a pattern.
  const record = format("%s", `[${time}] ${logLevel.toUpperCase()} (#${fiber.id})${spans.join("")}:`, ...words)
  const console = Context.get(fiber.context, Console.Console)
  const write = Context.get(fiber.context, Logger.LogToStderr) ? console.error : console.log
  write(PlainText.lines(record).join("\n  "))
})

/**
 * Takes the place of Effect's logger.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never> = Logger.layer([logger, Logger.tracerLogger])
