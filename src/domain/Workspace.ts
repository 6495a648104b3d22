/**
 * A user's environment, as the store holds it.
 *
 * One that was enrolled has neither a name nor a template: it was made elsewhere.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { OwnerId, TemplateId, WorkspaceId } from "./Ids.ts"

/**
 * A name that a person or a model can use: letters and digits with single dashes inside, at most 32 characters.
 *
 * @since 0.1.0
 * @category models
 */
export const WorkspaceName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$/),
  Schema.isMaxLength(32)
).pipe(Schema.brand("chat-workspace/WorkspaceName"))

/**
 * @since 0.1.0
 * @category models
 */
export type WorkspaceName = typeof WorkspaceName.Type

/**
 * @since 0.1.0
 * @category models
 */
export class Workspace extends Schema.Class<Workspace>("chat-workspace/domain/Workspace")({
  workspaceId: WorkspaceId,
  owner: OwnerId,
  name: Schema.NullOr(WorkspaceName),
  templateId: Schema.NullOr(TemplateId),
  createdAt: Schema.DateTimeUtc
}) {}
