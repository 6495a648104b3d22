/**
 * `chat-workspace template list`: what workspaces can be made from.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isAllowed } from "../../domain/Template.ts"
import { Templates } from "../../store/Templates.ts"
import * as Bounds from "../Bounds.ts"
import * as Overview from "../Overview.ts"
import * as Owner from "../Owner.ts"
import * as Provisioning from "../Provisioning.ts"

const list = Command.make(
  "list",
  { ...Provisioning.flags, owner: Owner.flag },
  Effect.fn(function*({ owner, templates, workspaces }) {
    const all = yield* Effect.flatMap(Templates, ({ list }) => list).pipe(
      Effect.provide(Provisioning.layerTemplates({ templates, workspaces }).pipe(Layer.provide(Bounds.layer)))
    )
    yield* Console.log(Overview.templates(all.filter((template) => isAllowed(template, owner))))
  })
).pipe(Command.withDescription("List the templates, after checking all their files"))

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make("template").pipe(
  Command.withDescription("What workspaces are made from"),
  Command.withSubcommands([list])
)
