/**
 * You have chats, a database, an HTTP server and a way to make sandboxes: take our gateway, our agent and the connection.
 *
 * `AppLive` adds the route that agents call to your router. Where a sandbox has started, call `enroll` and hand it the
 * token; where a tool runs, open the chat's workspace and use it.
 */
import { AgentGateway } from "chat-workspace/agent"
import { ChatWorkspaces } from "chat-workspace/dial"
import type { Ids } from "chat-workspace/domain"
import { Enrollment } from "chat-workspace/provisioner"
import { SqlAgentEnrollments, SqlAgentPresence, SqlChatBindings, SqlWorkspaceAgents } from "chat-workspace/store"
import { Effect, Layer } from "effect"

const StoresLive = Layer.mergeAll(
  SqlChatBindings.layerTable({ table: "app_chats", key: "id", owner: "user_id" }), // your own table of chats
  SqlWorkspaceAgents.layer(),
  SqlAgentPresence.layer(),
  SqlAgentEnrollments.layer()
)

export const AppLive = Layer.merge(ChatWorkspaces.layer, Enrollment.layer).pipe(
  Layer.provide(AgentGateway.layer({ path: "/agent" })),
  Layer.provide(StoresLive)
)

export const runTool = Effect.fn(function*(chatId: Ids.ChatId, id: Ids.OperationId, command: string) {
  const chats = yield* ChatWorkspaces.ChatWorkspaces
  const workspace = yield* chats.open(chatId)
  return yield* workspace.use(({ processes }) => processes.run({ id, argv: ["sh", "-c", command] }))
})
