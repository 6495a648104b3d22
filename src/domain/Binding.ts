/**
 * What a chat remembers of its workspace: an optimistic memory, never a fact.
 *
 * Every write increments `generation`, and every decision between writers compares the generation alone.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"
import { AgentId, BuildId, ChatId, WorkspaceId } from "./Ids.ts"

/**
 * One row of memory. A chat that was never bound has generation 0 and nulls.
 *
 * @since 0.1.0
 * @category models
 */
export class Binding extends Schema.Class<Binding>("chat-workspace/domain/Binding")({
  chatId: ChatId,
  workspaceId: Schema.NullOr(WorkspaceId),
  buildId: Schema.NullOr(BuildId),
  agentId: Schema.NullOr(AgentId),
  generation: Schema.Natural
}) {}

/**
 * The row of a chat that was never bound.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unbound = (chatId: ChatId): Binding =>
  new Binding({ chatId, workspaceId: null, buildId: null, agentId: null, generation: 0 })

/**
 * What became of a repair: `Bound` with the new row, or `Superseded` with the row of the writer that was faster.
 *
 * @since 0.1.0
 * @category models
 */
export type BindResult = Data.TaggedEnum<{
  readonly Bound: { readonly binding: Binding }
  readonly Superseded: { readonly binding: Binding }
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const BindResult = Data.taggedEnum<BindResult>()
