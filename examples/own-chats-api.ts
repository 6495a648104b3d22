/**
 * You have chats and users: their chats stay in your table, and they sign in as they do. What is said in a chat is ours:
 * its messages and turns over HTTP, as a part of your router.
 *
 * `POST /assistant/chats/:chatId/messages` streams a turn; the other paths are in the OpenAPI document of `TurnsApi`.
 */
import { AgentGateway } from "chat-workspace/agent"
import { ChatWorkspaces } from "chat-workspace/dial"
import { Errors, Ids } from "chat-workspace/domain"
import { Authentication, EventStream, HttpErrors, Mount, Owned, TurnsHandlers } from "chat-workspace/http"
import * as Store from "chat-workspace/store"
import { ChatTools } from "chat-workspace/tool"
import { Turns } from "chat-workspace/turn"
import { Effect, Layer, Option, Redacted } from "effect"
import { SqlClient } from "effect/sql"

const chats = { table: "app_chats", key: "id", owner: "user_id" } // your own table of chats

const StoresLive = Layer.mergeAll(
  Store.SqlChatBindings.layerTable(chats),
  Store.SqlTurns.layer({ chats }),
  Store.SqlWorkspaceAgents.layer(),
  Store.SqlAgentPresence.layer(),
  Store.Signals.layer
)

/** Whose a chat is. */
const OwnedLive = Layer.effect(
  Owned.OwnedChats,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    find: ({ chatId, owner }) =>
      sql`select 1 from app_chats where id = ${chatId} and user_id = ${owner}`.pipe(
        Effect.mapError((cause) => new Errors.StoreError({ operation: "app_chats", cause })),
        Effect.map((rows) => rows.length === 0 ? Option.none() : Option.some({ chatId, parentId: null }))
      )
  }))
)

/** Who asks: of the tokens of your sessions you store the hashes. */
const AuthenticationLive = Layer.effect(
  Authentication.Authentication,
  Effect.map(SqlClient.SqlClient, (sql) => ({
    authenticate: Effect.fnUntraced(function*(token) {
      const rows = yield* Effect.orDie(
        sql<{ user: string }>`select user_id as "user" from app_sessions where hash = sha256(${
          Redacted.value(token)
        }::bytea)`
      )
      const [session] = rows
      if (session === undefined) return yield* new HttpErrors.Unauthenticated()
      return { owner: Ids.OwnerId.make(session.user), tenant: null }
    })
  }))
)

/** Your router gets these routes and the one that agents call; the model is any layer of yours. */
export const AssistantLive = TurnsHandlers.layerRoutes.pipe(
  Mount.prefixed("/assistant"),
  Layer.provide([OwnedLive, AuthenticationLive, EventStream.layer]),
  Layer.provide(Turns.layerWithoutSetup()),
  Layer.provide(ChatTools.layerWithoutBuilds),
  Layer.provide(ChatWorkspaces.layer),
  Layer.provide(AgentGateway.layer()),
  Layer.provide(StoresLive)
)
