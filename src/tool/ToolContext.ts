/**
 * The chat in which a tool is called.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { ChatWorkspace } from "../dial/ChatWorkspaces.ts"
import type { WorkspaceError } from "../domain/Errors.ts"
import type { ChatId, OwnerId } from "../domain/Ids.ts"
import type { Audience } from "../domain/Recovery.ts"
import * as ToolFailure from "./ToolFailure.ts"

/**
 * One turn of a chat: whose it is, its workspace, and which tools it has. The child of another chat shares that one's
 * workspace and does not decide over it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolContext {
  readonly chatId: ChatId
  readonly owner: OwnerId
  readonly workspace: ChatWorkspace
  readonly audience: Audience
}

/**
 * Words every error for the model of this chat.
 *
 * @since 0.1.0
 * @category combinators
 */
export const explained =
  (context: ToolContext) =>
  <A, E extends WorkspaceError, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, ToolFailure.ToolFailure, R> =>
    Effect.mapError(self, (error) => ToolFailure.fromError(error, context.audience))
