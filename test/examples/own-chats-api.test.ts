import { NodeHttpServer } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Migrations } from "chat-workspace/store"
import { ScriptedModel } from "chat-workspace/testing"
import { Effect, Layer } from "effect"
import { HttpBody, HttpClient, HttpRouter } from "effect/http"
import { SqlClient } from "effect/sql"
import { AssistantLive } from "../../examples/own-chats-api.ts"
import { eventsOf } from "../http/support/streams.ts"
import { freshDatabase } from "../postgres.ts"

/** The application's own tables, with the four columns added. */
const TablesLive = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`create table app_chats (id text primary key, user_id text not null, title text)`
  yield* sql.unsafe(Migrations.columnsText({ table: "app_chats" }))
  yield* sql`create table app_sessions (hash bytea primary key, user_id text not null)`
  yield* sql`insert into app_chats values ('chat-1', 'ann', 'first'), ('chat-2', 'bob', 'other')`
  yield* sql`insert into app_sessions values (sha256('token of ann'::bytea), 'ann')`
}))

const { call, say } = ScriptedModel

const StandLive = HttpRouter.serve(AssistantLive, { disableListenLog: true, disableLogger: true }).pipe(
  Layer.provide(ScriptedModel.layer([call("execute", { command: "ls" }), say("There is no workspace.")])),
  Layer.provideMerge(NodeHttpServer.layerTest),
  Layer.provideMerge(TablesLive),
  Layer.provideMerge(freshDatabase())
)

const send = Effect.fnUntraced(function*(chat: string, token: string) {
  const client = yield* HttpClient.HttpClient
  const response = yield* client.post(`/assistant/chats/${chat}/messages`, {
    headers: { authorization: `Bearer ${token}` },
    body: HttpBody.jsonUnsafe({ messageId: "m1", text: "What is here?" })
  })
  return { status: response.status, text: yield* response.text }
})

layer(StandLive, { timeout: 30_000, excludeTestServices: true })("an application that mounts turns", (it) => {
  it.effect("lets its users talk in their chats, which stay its own", () =>
    Effect.gen(function*() {
      const { status, text } = yield* send("chat-1", "token of ann")
      assert.strictEqual(status, 200)
      const events = eventsOf(text).map(({ data }) => data)
      assert.deepInclude(events, {
        _tag: "Call",
        callId: "call-1-1",
        name: "execute",
        params: { command: "ls" }
      })
      assert.include(text, "\"error\":\"no_workspace\"")
      assert.deepStrictEqual(events.at(-1), { _tag: "End", status: "done", reason: null })
      const sql = yield* SqlClient.SqlClient
      const rows = yield* sql`select user_id, title from app_chats where id = 'chat-1'`
      assert.deepStrictEqual(rows, [{ user_id: "ann", title: "first" }])
    }))

  it.effect("knows whose a chat is by its own tables", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* send("chat-2", "token of ann")).status, 404)
      assert.strictEqual((yield* send("none", "token of ann")).status, 404)
      assert.strictEqual((yield* send("chat-1", "another")).status, 401)
    }))
})
