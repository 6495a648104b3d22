/**
 * The chats of the module, for applications that have no table of their own for them.
 *
 * A child chat copies its parent's row as it is when the child is created, so that both work in one workspace.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Binding } from "../domain/Binding.ts"
import { BindingRefused } from "../domain/Errors.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { ChatId, OwnerId } from "../domain/Ids.ts"
import { MemoryStore } from "./MemoryStore.ts"

/**
 * @since 0.1.0
 * @category services
 */
export class Chats extends Context.Service<Chats, {
  /**
   * Creates a chat, once: a repeat by the same owner answers the row as it is now. Fails with `BindingRefused` when the
   * chat is of another owner, or the parent is not there or of another owner.
   */
  readonly create: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
    readonly parent?: ChatId | undefined
  }) => Effect.Effect<Binding, BindingRefused | StoreError>
}>()("chat-workspace/store/Chats") {}

const makeMemory = Effect.gen(function*() {
  const store = yield* MemoryStore
  return Chats.of({
    create: ({ chatId, owner, parent }) =>
      Effect.suspend(() => {
        const chat = store.chats.get(chatId)
        const from = parent === undefined ? undefined : store.chats.get(parent)
        const foreign = chat !== undefined && chat.owner !== owner ||
          parent !== undefined && chat === undefined && from?.owner !== owner
        if (foreign) return new BindingRefused({ chatId, workspaceId: null })
        if (chat !== undefined) return Effect.succeed(chat.binding)
        const binding = new Binding({
          chatId,
          workspaceId: from?.binding.workspaceId ?? null,
          buildId: from?.binding.buildId ?? null,
          agentId: from?.binding.agentId ?? null,
          generation: 1
        })
        store.chats.set(chatId, { owner, binding })
        return Effect.succeed(binding)
      })
  })
})

/**
 * Keeps the chats in memory, in the rows that `ChatBindings.layerMemory` reads.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Chats, never, MemoryStore> = Layer.effect(Chats, makeMemory)
