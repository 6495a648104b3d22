/**
 * Answers `ChatsApi`.
 *
 * A chat is shown with one read of the latest build of its workspace; a page with one for each workspace that is in it.
 *
 * @since 0.1.0
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { DialConfig } from "../dial/DialConfig.ts"
import { currentAgent } from "../domain/AgentSelection.ts"
import { Chat } from "../domain/Chat.ts"
import type { StoreError } from "../domain/Errors.ts"
import { ChatId } from "../domain/Ids.ts"
import type { WorkspaceId } from "../domain/Ids.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { Chats } from "../store/Chats.ts"
import type { NewChat } from "../store/Chats.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { CurrentPrincipal } from "./Authentication.ts"
import type { Authentication, Authorization } from "./Authentication.ts"
import type { Bodies } from "./Bodies.ts"
import { ChatsApi } from "./ChatsApi.ts"
import type { ChatView } from "./ChatsApi.ts"
import { HttpConfig } from "./HttpConfig.ts"
import { NotFound } from "./HttpErrors.ts"
import * as Mount from "./Mount.ts"
import * as Owned from "./Owned.ts"
import type { Requests } from "./Requests.ts"

const api = HttpApi.make("chat-workspace").add(ChatsApi)

/** What a chat is shown with instead of what it remembers. */
type Now = Pick<ChatView, "buildId" | "agentId">

const nothing: Now = { buildId: null, agentId: null }

const viewOf = ({ binding, chatId, createdAt, parentId }: Chat, now: Now): ChatView => ({
  chatId,
  parentId,
  createdAt,
  workspaceId: binding.workspaceId,
  ...now,
  generation: binding.generation
})

/** What a workspace has now, as connecting would choose it. */
const nowOf = Effect.gen(function*() {
  const { latestBuild } = yield* WorkspaceAgents
  const { preferredSuffix } = yield* DialConfig
  return (workspaceId: WorkspaceId): Effect.Effect<Now, StoreError> =>
    Effect.map(latestBuild(workspaceId), (latest) => ({
      buildId: Option.getOrNull(Option.map(latest, ({ build }) => build.buildId)),
      agentId: Result.match(currentAgent(workspaceId, latest, { preferredSuffix }), {
        onFailure: () => null,
        onSuccess: ({ agentId }) => agentId
      })
    }))
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"chat-workspace", "chats">,
  never,
  Chats | ChatBindings | WorkspaceAgents | Authorization | Requests | Bodies
> = HttpApiBuilder.group(
  api,
  "chats",
  Effect.fnUntraced(function*(handlers) {
    const chats = yield* Chats
    const bindings = yield* ChatBindings
    const random = yield* SecureRandom.SecureRandom
    const { pageItems } = yield* HttpConfig
    const chatOf = yield* Owned.moduleChats
    const now = yield* nowOf

    const shown = (chat: Chat): Effect.Effect<ChatView, StoreError> =>
      chat.binding.workspaceId === null
        ? Effect.succeed(viewOf(chat, nothing))
        : Effect.map(now(chat.binding.workspaceId), (now) => viewOf(chat, now))

    const create = Effect.fnUntraced(function*(options: Partial<Omit<NewChat, "owner">>) {
      const { owner } = yield* CurrentPrincipal
      const chatId = options.chatId ?? ChatId.make(yield* random.uuidV4())
      const chat = yield* Effect.catchTag(
        chats.create({ ...options, owner, chatId }),
        "BindingRefused",
        ({ workspaceId }) => Effect.fail(refused(chatId, workspaceId))
      )
      return yield* shown(chat)
    })

    const page = Effect.fnUntraced(function*(
      { after, limit = pageItems }: { readonly after?: ChatId; readonly limit?: number },
      parent?: ChatId
    ) {
      const { owner } = yield* CurrentPrincipal
      const size = Math.min(limit, pageItems)
      // One more tells whether a page follows.
      const found = yield* chats.list({ owner, parent, after, limit: size + 1 })
      const items = found.slice(0, size)
      const workspaces = new Set(items.flatMap(({ binding }) => binding.workspaceId ?? []))
      const latest = new Map(
        yield* Effect.forEach(workspaces, (id) => Effect.map(now(id), (now) => [id, now] as const), { concurrency: 8 })
      )
      return {
        chats: items.map((chat) =>
          viewOf(chat, chat.binding.workspaceId === null ? nothing : latest.get(chat.binding.workspaceId) ?? nothing)
        ),
        next: found.length > size ? items.at(-1)?.chatId ?? null : null
      }
    })

    return handlers.handleAll({
      create: ({ payload }) => create(payload),
      list: ({ query }) => page(query),
      get: ({ params }) => Effect.flatMap(chatOf(params.chatId), shown),
      bind: Effect.fnUntraced(function*({ params, payload: { workspaceId } }) {
        // Binding would make a chat that is not there.
        const chat = yield* chatOf(params.chatId)
        const binding = yield* Effect.catchTag(
          bindings.bindWorkspace({ chatId: chat.chatId, owner: chat.owner, workspaceId }),
          "BindingRefused",
          () => Effect.fail(refused(chat.chatId, workspaceId))
        )
        return yield* shown(new Chat({ ...chat, binding }))
      }),
      createChild: Effect.fnUntraced(function*({ params, payload }) {
        const { chatId: parent } = yield* chatOf(params.chatId)
        return yield* create({ ...payload, parent })
      }),
      children: Effect.fnUntraced(function*({ params, query }) {
        const { chatId: parent } = yield* chatOf(params.chatId)
        return yield* page(query, parent)
      })
    })
  })
).pipe(Layer.provide(SecureRandom.layerWebCrypto))

/** Which of the two is not there, or somebody else's. */
const refused = (chatId: ChatId, workspaceId: WorkspaceId | null): NotFound =>
  workspaceId === null
    ? new NotFound({ kind: "chat", id: chatId })
    : new NotFound({ kind: "workspace", id: workspaceId })

/**
 * The routes of this group alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRoutes: Layer.Layer<
  never,
  never,
  Chats | ChatBindings | WorkspaceAgents | Authentication | Mount.Server
> = HttpApiBuilder.layer(api).pipe(Layer.provide(layer), Layer.provide(Mount.guards))
