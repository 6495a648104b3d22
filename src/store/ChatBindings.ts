/**
 * What each chat remembers of its workspace.
 *
 * The port is small enough to stand over a chats table that an application already has. Every write increments the
 * generation of the row, and a repair compares nothing else, so a late writer on any node can never undo one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Binding, BindResult, unbound } from "../domain/Binding.ts"
import { BindingRefused } from "../domain/Errors.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { AgentId, BuildId, ChatId, OwnerId, WorkspaceId } from "../domain/Ids.ts"
import { MemoryStore } from "./MemoryStore.ts"

/**
 * @since 0.1.0
 * @category services
 */
export class ChatBindings extends Context.Service<ChatBindings, {
  /** The row of a chat; of one that was never bound, generation 0 and nulls. */
  readonly get: (chatId: ChatId) => Effect.Effect<Binding, StoreError>
  /**
   * Binds a workspace (or none) and clears the agent, making the row if there is none. Fails with `BindingRefused`
   * unless the chat, where it is there, and the workspace are of that owner.
   */
  readonly bindWorkspace: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
    readonly workspaceId: WorkspaceId | null
    readonly buildId?: BuildId | undefined
  }) => Effect.Effect<Binding, BindingRefused | StoreError>
  /** Binds an agent if the row is still the one that was seen; otherwise answers the row of who was faster. */
  readonly bindAgent: (
    seen: Binding,
    buildId: BuildId,
    agentId: AgentId
  ) => Effect.Effect<BindResult, StoreError>
}>()("chat-workspace/store/ChatBindings") {}

const makeMemory = Effect.gen(function*() {
  const store = yield* MemoryStore
  return ChatBindings.of({
    get: (chatId) => Effect.sync(() => store.chats.get(chatId)?.binding ?? unbound(chatId)),
    bindWorkspace: ({ buildId, chatId, owner, workspaceId }) =>
      Effect.suspend(() => {
        const chat = store.chats.get(chatId)
        const foreign = chat !== undefined && chat.owner !== owner ||
          workspaceId !== null && store.workspaces.get(workspaceId)?.owner !== owner
        if (foreign) return new BindingRefused({ chatId, workspaceId })
        const generation = (chat?.binding.generation ?? 0) + 1
        const binding = new Binding({ chatId, workspaceId, buildId: buildId ?? null, agentId: null, generation })
        store.chats.set(chatId, { owner, binding })
        return Effect.succeed(binding)
      }),
    bindAgent: (seen, buildId, agentId) =>
      Effect.sync(() => {
        const chat = store.chats.get(seen.chatId)
        const now = chat?.binding ?? unbound(seen.chatId)
        if (chat === undefined || now.generation !== seen.generation) return BindResult.Superseded({ binding: now })
        const binding = new Binding({ ...now, buildId, agentId, generation: now.generation + 1 })
        store.chats.set(seen.chatId, { ...chat, binding })
        return BindResult.Bound({ binding })
      })
  })
})

/**
 * Keeps the rows in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<ChatBindings, never, MemoryStore> = Layer.effect(ChatBindings, makeMemory)
