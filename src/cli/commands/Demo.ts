/**
 * `chat-workspace demo`: plays every scenario on a real database and real agents, and holds it against what is promised.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Backend from "../demo/Backend.ts"
import * as Model from "../demo/Model.ts"
import * as Report from "../demo/Report.ts"
import * as Scenarios from "../demo/Scenarios.ts"
import * as World from "../demo/World.ts"

/**
 * At least one scenario did not go as promised; it was printed already.
 *
 * @since 0.1.0
 * @category errors
 */
export class DemoFailed extends Schema.TaggedError<DemoFailed>()("DemoFailed", { scenarios: Schema.Natural }) {
  override get message(): string {
    return `${this.scenarios} scenarios did not go as expected`
  }
}

const names = Scenarios.all.map(({ name }) => name)

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "demo",
  {
    only: Flag.Literals("only", names).pipe(
      Flag.withDescription("Play this scenario only; may be repeated"),
      Flag.between(0, names.length)
    ),
    explain: Flag.Literals("explain", names).pipe(
      Flag.withDescription("Play one scenario and show what happened, moment by moment"),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print JSON"), Flag.withDefault(false))
  },
  Effect.fn(function*({ explain, json, only }) {
    const chosen = Scenarios.all.filter(({ name }) =>
      explain._tag === "Some" ? explain.value === name : only.length === 0 || only.includes(name)
    )
    const style = { colour: process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined }
    const progress = process.stderr.isTTY === true && !json
    const shown = yield* Effect.forEach(chosen, (scenario) =>
      Effect.andThen(
        progress ? Effect.sync(() => process.stderr.write(`\r\u001b[K… ${scenario.title}`)) : Effect.void,
        Scenarios.show(scenario)
      )).pipe(
        Effect.provide(Layer.merge(World.layer, Model.layer).pipe(Layer.provideMerge(Backend.layer))),
        Effect.ensuring(Effect.sync(() => progress ? process.stderr.write("\r\u001b[K") : undefined)),
        // What breaks on purpose would be logged as broken.
        Effect.updateService(References.MinimumLogLevel, (level) => level === "Info" ? "None" : level)
      )
    yield* Console.log(
      json
        ? Report.json(shown)
        : explain._tag === "Some"
        ? shown.map((one) => Report.timeline(one, style)).join("\n")
        : Report.table(shown, style)
    )
    const failed = shown.filter(({ failures }) => failures.length > 0).length
    if (failed > 0) return yield* new DemoFailed({ scenarios: failed })
  })
).pipe(
  Command.withDescription("See every promise kept: real database, real agents, about a minute"),
  Command.withExamples([
    { command: "chat-workspace demo", description: "All scenarios as a table" },
    { command: "chat-workspace demo --explain rebuilt", description: "One scenario, moment by moment" }
  ])
)
