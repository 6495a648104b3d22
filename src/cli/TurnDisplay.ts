/**
 * Shows a turn: what the model says on one output, and beside it, on another, its calls, what came of them in a few lines,
 * and long waits.
 *
 * What models and workspaces say is printed as plain text, which a terminal does not obey.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { BuildProgress } from "../domain/BuildProgress.ts"
import * as PlainText from "../domain/PlainText.ts"
import type { TurnEvent } from "../domain/Turn.ts"
import * as WaitDisplay from "./WaitDisplay.ts"

/**
 * `text` takes what the model says, `aside` all else.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outputs {
  readonly text: (text: string) => void
  readonly aside: WaitDisplay.Output
}

/**
 * Standard output and standard error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard = (): Outputs => ({
  text: (text) => process.stdout.write(text),
  aside: WaitDisplay.standardError()
})

/**
 * Takes the events of one turn, in their order.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  { aside, text }: Outputs
): Effect.fn.Return<(event: TurnEvent) => Effect.Effect<void>, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const waits = new Map<string, { readonly show: WaitDisplay.Show; readonly scope: Scope.Closeable }>()
  let isInLine = false

  const say = (delta: string) => {
    if (delta === "") return
    text(delta)
    isInLine = !delta.endsWith("\n")
  }
  const note = (...lines: ReadonlyArray<string>) => {
    if (isInLine) say("\n")
    for (const line of lines) aside.write(`${line}\n`)
  }

  const waitOf = Effect.fnUntraced(function*(callId: string) {
    const known = waits.get(callId)
    if (known !== undefined) return known.show
    const own = yield* Scope.fork(scope)
    const show = yield* Scope.provide(WaitDisplay.make(aside), own)
    waits.set(callId, { show, scope: own })
    return show
  })

  const endWait = (callId: string) =>
    Effect.suspend(() => {
      const wait = waits.get(callId)
      waits.delete(callId)
      return wait === undefined ? Effect.void : Scope.close(wait.scope, Exit.void)
    })

  return (event) => {
    switch (event._tag) {
      case "Text":
        return Effect.sync(() => say(printable(event.delta)))
      case "Call":
        return Effect.sync(() => note(cut(`→ ${PlainText.line(event.name)} ${argumentsOf(event.params)}`)))
      case "Progress": {
        const wait = Option.getOrUndefined(decodeWait(event.progress))?.progress
        return wait === undefined ? Effect.void : Effect.flatMap(waitOf(event.callId), (show) => show(wait))
      }
      case "Result":
        return Effect.andThen(
          endWait(event.callId),
          Effect.sync(() => note(...resultOf(event.result).map((line) => `  ${event.isFailure ? "✗" : "│"} ${line}`)))
        )
      case "Notice":
        return Effect.sync(() => note(cut(`! ${PlainText.line(event.message)}`)))
      case "End":
        return Effect.andThen(
          Effect.forEach(Array.from(waits.keys()), endWait, { discard: true }),
          Effect.sync(() => note())
        )
    }
  }
})

const decodeWait = Schema.decodeUnknownOption(Schema.Struct({ progress: Schema.toCodecJson(BuildProgress) }))

const printable = (text: string): string => PlainText.lines(text).join("\n")

/** The one argument as it is, several as JSON. */
const argumentsOf = (params: unknown): string => {
  const values = Predicate.isReadonlyObject(params) ? Object.values(params) : []
  const [only] = values
  const text = values.length === 1 && typeof only === "string" ? only : JSON.stringify(params) ?? ""
  return printable(text).replaceAll("\n", " ⏎ ")
}

/** What a program printed or an error says, in a few lines; otherwise the whole in one. */
const resultOf = (result: unknown): ReadonlyArray<string> => {
  const said = textIn(result, "output") ?? textIn(result, "message") ?? JSON.stringify(result) ?? ""
  const text = printable(said).trimEnd()
  const lines = text === "" ? [] : text.split("\n").map(cut)
  const more = lines.length - shownLines
  const code = Predicate.hasProperty(result, "exit_code") ? result.exit_code : 0
  return [
    ...lines.slice(0, shownLines),
    ...(more > 0 ? [`… ${more} more ${more === 1 ? "line" : "lines"}`] : []),
    ...(typeof code === "number" && code !== 0 ? [`exit code ${code}`] : [])
  ]
}

const textIn = (result: unknown, name: string): string | undefined =>
  Predicate.hasProperty(result, name) && typeof result[name] === "string" ? result[name] : undefined

const shownLines = 8

const cut = (line: string): string => {
  const characters = Array.from(line)
  return characters.length <= width ? line : `${characters.slice(0, width - 1).join("")}…`
}

const width = 160
