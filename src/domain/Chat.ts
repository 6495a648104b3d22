/**
 * A chat of the module itself, for applications that have no table of their own for them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Binding } from "./Binding.ts"
import { ChatId, OwnerId } from "./Ids.ts"

/**
 * A chat as the store holds it, with what it remembers of its workspace. A child has a parent.
 *
 * @since 0.1.0
 * @category models
 */
export class Chat extends Schema.Class<Chat>("chat-workspace/domain/Chat")({
  chatId: ChatId,
  owner: OwnerId,
  parentId: Schema.NullOr(ChatId),
  createdAt: Schema.DateTimeUtc,
  binding: Binding
}) {}
