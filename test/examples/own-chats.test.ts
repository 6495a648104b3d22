import { assert, layer } from "@effect/vitest"
import { Ids } from "chat-workspace/domain"
import { Enrollment } from "chat-workspace/provisioner"
import { ChatBindings, Migrations } from "chat-workspace/store"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { SqlClient } from "effect/sql"
import { AppLive, execute, started } from "../../examples/own-chats.ts"
import { freshDatabase } from "../postgres.ts"

const owner = Ids.OwnerId.make("ann")
const workspaceId = Ids.WorkspaceId.make("w1")
const operation = Ids.OperationId.make("op-1")

/** The application's own table, as it was before and with the four columns added. */
const TablesLive = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`create table app_chats (id text primary key, user_id text not null, title text)`
  yield* sql.unsafe(Migrations.columnsText({ table: "app_chats" }))
  yield* sql`insert into app_chats values ('chat-1', 'ann', 'first'), ('chat-2', 'bob', 'other')`
}))

const StandLive = AppLive.pipe(
  Layer.provideMerge(TablesLive),
  Layer.provideMerge(freshDatabase()),
  Layer.provide(HttpRouter.layer)
)

layer(StandLive, { timeout: 30_000, excludeTestServices: true })("an application with chats of its own", (it) => {
  it.effect("gets the typed error of a chat without a workspace", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(execute(Ids.ChatId.make("chat-1"), operation, "true"))
      assert.strictEqual(error._tag, "NoWorkspace")
    }))

  it.effect("binds its chats to what it enrolled, and only those of the same owner", () =>
    Effect.gen(function*() {
      yield* started(Ids.ChatId.make("chat-1"), workspaceId, owner)
      const bindings = yield* ChatBindings.ChatBindings
      const refused = yield* Effect.flip(
        bindings.bindWorkspace({ chatId: Ids.ChatId.make("chat-2"), owner, workspaceId })
      )
      assert.strictEqual(refused._tag, "BindingRefused")
      const waiting = yield* Effect.exit(
        Effect.timeout(execute(Ids.ChatId.make("chat-1"), operation, "true"), "2 seconds")
      )
      assert.isTrue(waiting._tag === "Failure", "no agent has come yet")
      const sql = yield* SqlClient.SqlClient
      const rows = yield* sql`select title, workspace_id, agent_id is null as idle from app_chats where id = 'chat-1'`
      assert.deepStrictEqual(rows, [{ title: "first", workspace_id: workspaceId, idle: false }])
    }))

  it.effect("is told that a workspace it retired is stopped", () =>
    Effect.gen(function*() {
      yield* (yield* Enrollment.Enrollment).retire({ workspaceId, owner })
      const error = yield* Effect.flip(execute(Ids.ChatId.make("chat-1"), operation, "true"))
      assert.deepInclude(error, { _tag: "NoWorkspaceAgent", reason: "stopped" })
    }))
})
