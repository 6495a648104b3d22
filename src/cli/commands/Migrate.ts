/**
 * `chat-workspace migrate`: brings the tables up to date, or prints what would do so.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Migrations from "../../store/Migrations.ts"
import * as Database from "../Database.ts"

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "migrate",
  {
    ...Database.flags,
    print: Flag.Boolean("print").pipe(
      Flag.withDescription("Print the statements and change nothing"),
      Flag.withDefault(false)
    )
  },
  Effect.fn(function*({ data, databaseUrl, print, schema }) {
    if (print) return yield* Console.log(Migrations.text({ schema }))
    const { url } = yield* Database.locate({ databaseUrl, data })
    const ran = yield* Migrations.run({ schema }).pipe(
      Effect.provide(Database.layerClient(url, { name: "migrate", maxConnections: 1 }))
    )
    yield* Console.log(
      ran.length === 0
        ? `Schema ${schema} is up to date.`
        : `Schema ${schema}: ran ${ran.map(([, name]) => name).join(", ")}.`
    )
  }, Effect.scoped)
).pipe(
  Command.withDescription("Bring the tables of the database up to date"),
  Command.withExamples([{ command: "chat-workspace migrate --print", description: "Show the statements for a review" }])
)
