/**
 * `chat-workspace enroll`: records a workspace that was started elsewhere and prints the token for its agent.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { WorkspaceId } from "../../domain/Ids.ts"
import * as Enrollment from "../../provisioner/Enrollment.ts"
import * as Database from "../Database.ts"
import * as Owner from "../Owner.ts"

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "enroll",
  {
    ...Database.flags,
    workspaceId: Argument.String("workspace").pipe(
      Argument.withDescription("Id of the workspace"),
      Argument.withSchema(WorkspaceId)
    ),
    owner: Owner.flag
  },
  Effect.fn(function*({ data, databaseUrl, owner, schema, workspaceId }) {
    const { url } = yield* Database.locate({ databaseUrl, data })
    const enrolled = yield* Effect.flatMap(
      Enrollment.Enrollment,
      (enrollment) => enrollment.enroll({ workspaceId, owner })
    ).pipe(Effect.provide(Enrollment.layer.pipe(Layer.provide(Database.layerStores(url, { schema })))))
    yield* Console.error(`Agent ${enrolled.agentId}. Its token is shown once, and tokens of earlier starts are void:`)
    yield* Console.log(Redacted.value(enrolled.token))
  }, Effect.scoped)
).pipe(
  Command.withDescription("Record a started workspace and print the token for its agent"),
  Command.withExamples([{
    command: "chat-workspace enroll workspace-1 --owner ann > agent.token",
    description: "The token alone goes to standard output"
  }])
)
