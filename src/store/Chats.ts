/**
 * The chats of the module, for applications that have no table of their own for them.
 *
 * A child chat copies its parent's row as it is when the child is created, so that both work in one workspace.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Binding } from "../domain/Binding.ts"
import { Chat } from "../domain/Chat.ts"
import { BindingRefused } from "../domain/Errors.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { ChatId, OwnerId, WorkspaceId } from "../domain/Ids.ts"
import { MemoryStore } from "./MemoryStore.ts"

/**
 * A chat to be made: with a workspace, or with that of its parent, or with none.
 *
 * @since 0.1.0
 * @category models
 */
export interface NewChat {
  readonly chatId: ChatId
  readonly owner: OwnerId
  readonly parent?: ChatId | undefined
  readonly workspaceId?: WorkspaceId | undefined
}

/**
 * @since 0.1.0
 * @category services
 */
export class Chats extends Context.Service<Chats, {
  /**
   * Creates a chat, once: a repeat by the same owner answers the chat as it is now. Fails with `BindingRefused` when the
   * chat is of another owner, or the parent or the workspace, which it then names, is not there or of another owner.
   */
  readonly create: (options: NewChat) => Effect.Effect<Chat, BindingRefused | StoreError>
  /** One chat of this owner. */
  readonly get: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
  }) => Effect.Effect<Option.Option<Chat>, StoreError>
  /**
   * The chats of an owner, or of these the children of one: the newest first, at most `limit` of them, those behind the
   * chat `after`.
   */
  readonly list: (options: {
    readonly owner: OwnerId
    readonly parent?: ChatId | undefined
    readonly after?: ChatId | undefined
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Chat>, StoreError>
}>()("chat-workspace/store/Chats") {}

const makeMemory = Effect.gen(function*() {
  const store = yield* MemoryStore

  /** One that has no row of its own was made by a binding or a turn, and counts from when somebody first looks. */
  const chatOf = (
    chatId: ChatId,
    { binding, owner }: { readonly binding: Binding; readonly owner: OwnerId },
    now: DateTime.Utc
  ): Chat => {
    const row = store.chatRows.get(chatId) ?? { parentId: null, createdAt: now }
    store.chatRows.set(chatId, row)
    return new Chat({ chatId, owner, binding, ...row })
  }

  const find = (chatId: ChatId, owner: OwnerId, now: DateTime.Utc): Chat | undefined => {
    const row = store.chats.get(chatId)
    return row?.owner === owner ? chatOf(chatId, row, now) : undefined
  }

  return Chats.of({
    create: ({ chatId, owner, parent, workspaceId }) =>
      Effect.flatMap(DateTime.now, (now) => {
        const known = store.chats.get(chatId)
        if (known !== undefined) {
          return known.owner === owner
            ? Effect.succeed(chatOf(chatId, known, now))
            : new BindingRefused({ chatId, workspaceId: null })
        }
        const from = parent === undefined ? undefined : store.chats.get(parent)
        const foreign = parent !== undefined && from?.owner !== owner ||
          workspaceId !== undefined && store.workspaces.get(workspaceId)?.owner !== owner
        if (foreign) return new BindingRefused({ chatId, workspaceId: workspaceId ?? null })
        const binding = new Binding({
          chatId,
          workspaceId: workspaceId ?? from?.binding.workspaceId ?? null,
          buildId: workspaceId === undefined ? from?.binding.buildId ?? null : null,
          agentId: workspaceId === undefined ? from?.binding.agentId ?? null : null,
          generation: 1
        })
        store.chats.set(chatId, { owner, binding })
        store.chatRows.set(chatId, { parentId: parent ?? null, createdAt: now })
        return Effect.succeed(chatOf(chatId, { owner, binding }, now))
      }),
    get: ({ chatId, owner }) => Effect.map(DateTime.now, (now) => Option.fromUndefinedOr(find(chatId, owner, now))),
    list: ({ after, limit, owner, parent }) =>
      Effect.map(DateTime.now, (now) => {
        const all = Array.from(store.chats.keys()).flatMap((chatId) => find(chatId, owner, now) ?? []).reverse()
        const behind = after === undefined ? 0 : all.findIndex(({ chatId }) => chatId === after) + 1
        if (after !== undefined && behind === 0) return []
        return all.slice(behind).filter(({ parentId }) => parent === undefined || parentId === parent).slice(0, limit)
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
