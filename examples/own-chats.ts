/**
 * You have chats, a database, an HTTP server and a way to make sandboxes: take our gateway, our agent and the connection.
 *
 * `AppLive` adds the route that agents call to your router. `started` is for your provisioner: it hands the token to the
 * agent in the sandbox. `execute` is a tool of your chats.
 */
import { AgentGateway } from "chat-workspace/agent"
import { ChatWorkspaces } from "chat-workspace/dial"
import type { Ids } from "chat-workspace/domain"
import { Enrollment } from "chat-workspace/provisioner"
import * as Store from "chat-workspace/store"
import { Effect, Layer } from "effect"

const StoresLive = Layer.mergeAll(
  Store.SqlChatBindings.layerTable({ table: "app_chats", key: "id", owner: "user_id" }), // your own table of chats
  Store.SqlWorkspaceAgents.layer(),
  Store.SqlAgentPresence.layer(),
  Store.SqlAgentEnrollments.layer()
)

export const AppLive = Layer.merge(ChatWorkspaces.layer, Enrollment.layer).pipe(
  Layer.provide(AgentGateway.layer({ path: "/agent" })),
  Layer.provideMerge(StoresLive)
)

export const started = Effect.fn(function*(chatId: Ids.ChatId, workspaceId: Ids.WorkspaceId, owner: Ids.OwnerId) {
  const { buildId, token } = yield* (yield* Enrollment.Enrollment).enroll({ workspaceId, owner })
  yield* (yield* Store.ChatBindings.ChatBindings).bindWorkspace({ chatId, owner, workspaceId, buildId })
  return token
})

export const execute = Effect.fn(function*(chatId: Ids.ChatId, id: Ids.OperationId, command: string) {
  const workspace = yield* (yield* ChatWorkspaces.ChatWorkspaces).open(chatId)
  return yield* workspace.use(({ processes }) => processes.run({ id, argv: ["sh", "-c", command] }))
})
