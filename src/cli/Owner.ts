/**
 * For whom a command acts.
 *
 * @since 0.1.0
 */
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import { OwnerId } from "../domain/Ids.ts"

/**
 * The owner of workspaces, in the words of the application.
 *
 * @since 0.1.0
 * @category flags
 */
export const flag = Flag.String("owner").pipe(
  Flag.withDescription("Who owns the workspaces; also OWNER"),
  Flag.withFallbackConfig(Config.NonEmptyString("OWNER")),
  Flag.withDefault("local"),
  Flag.withSchema(OwnerId)
)
