import { assert, layer } from "@effect/vitest"
import { Effect, Layer, String as Str } from "effect"
import { SqlClient } from "effect/sql"
import { Binding, BindResult, unbound } from "../../src/domain/Binding.ts"
import { BindingRefused } from "../../src/domain/Errors.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlAgentEnrollments from "../../src/store/SqlAgentEnrollments.ts"
import * as SqlChatBindings from "../../src/store/SqlChatBindings.ts"
import { ChatBindingsKit } from "../../src/testing/index.ts"
import { agentId, build, chat, owner, start, workspace } from "../../src/testing/StoreWords.ts"
import { emptyDatabase } from "../postgres.ts"

/** An application with its own chats, in its own schema and spelling, under uuids. */
const application = Layer.effectDiscard(Effect.gen(function*() {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  yield* sql`create schema app`
  yield* sql`create table app."userChats" (
    "chatKey" uuid primary key, "ownedBy" text not null, title text not null default 'untitled'
  )`
  yield* sql.unsafe(Migrations.columnsText({ table: "app.userChats" }).replace(";\n", ""))
}))

const bindings = SqlChatBindings.layerTable({ table: "app.userChats", key: "chatKey", owner: "ownedBy" })

const live = Layer.mergeAll(bindings, SqlAgentEnrollments.layer()).pipe(
  Layer.provideMerge(Layer.mergeAll(application, Migrations.layerMigrations())),
  Layer.provideMerge(emptyDatabase({ transformQueryNames: Str.camelToSnake, transformResultNames: Str.snakeToCamel }))
)

let chats = 0

const newChat = Effect.fnUntraced(function*(ownedBy: string) {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const id = `00000000-0000-4000-8000-${String(++chats).padStart(12, "0")}`
  yield* sql`insert into app."userChats" ("chatKey", "ownedBy", title) values (${id}, ${ownedBy}, 'mine')`
  return chat(id)
})

const rowOf = Effect.fnUntraced(function*(id: string) {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  return yield* sql`select * from app."userChats" where "chatKey" = ${id}`
})

let schemas = 0

/** Our tables in a schema of their own, beside the one table of the application. */
const store = Layer.unwrap(Effect.sync(() => {
  const schema = `beside_${++schemas}`
  return Layer.mergeAll(
    SqlChatBindings.layerTable({ table: "app.userChats", key: "chatKey", owner: "ownedBy", schema }),
    SqlAgentEnrollments.layer({ schema })
  ).pipe(Layer.provide(Migrations.layerMigrations({ schema })))
}))

const harness: ChatBindingsKit.Harness<SqlClient.SqlClient> = {
  store,
  chats: { make: (owner) => Effect.orDie(newChat(owner)), none: chat("00000000-0000-4000-8000-999999999999") }
}

layer(live, { excludeTestServices: true, timeout: "60 seconds" })(
  "ChatBindings in a table of the application",
  (it) => {
    for (const { name, run } of ChatBindingsKit.casesFor(harness)) it.effect(name, () => run, 20_000)

    it.effect("binding writes its four columns and nothing else", () =>
      Effect.gen(function*() {
        const bindings = yield* ChatBindings
        yield* start("w", "b1", "a1")
        const id = yield* newChat("ann")
        const row = yield* bindings.bindWorkspace({ chatId: id, owner: owner("ann"), workspaceId: workspace("w") })
        assert.deepStrictEqual(row, new Binding({ ...unbound(id), workspaceId: workspace("w"), generation: 1 }))
        const bound = yield* bindings.bindAgent(row, build("b1"), agentId("a1"))
        assert.isTrue(BindResult.$is("Bound")(bound))
        assert.deepStrictEqual(yield* bindings.get(id), bound.binding)
        assert.deepStrictEqual(yield* rowOf(id), [{
          chatKey: id,
          ownedBy: "ann",
          title: "mine",
          workspace_id: "w",
          build_id: "b1",
          agent_id: "a1",
          generation: 2
        }])
        const cleared = yield* bindings.bindWorkspace({ chatId: id, owner: owner("ann"), workspaceId: null })
        assert.deepStrictEqual(cleared, new Binding({ ...unbound(id), generation: 3 }))
      }))

    it.effect("a chat that is not there, or of another owner, is refused and not made", () =>
      Effect.gen(function*() {
        const bindings = yield* ChatBindings
        yield* start("w2", "b2", "a2")
        const id = yield* newChat("bob")
        const before = yield* rowOf(id)
        const gone = chat("00000000-0000-4000-8000-999999999999")
        for (const chatId of [id, gone]) {
          const error = yield* Effect.flip(
            bindings.bindWorkspace({ chatId, owner: owner("ann"), workspaceId: workspace("w2") })
          )
          assert.deepStrictEqual(error, new BindingRefused({ chatId, workspaceId: workspace("w2") }))
        }
        assert.deepStrictEqual(yield* rowOf(id), before)
        assert.deepStrictEqual(yield* rowOf(gone), [])
      }))

    it.effect("a generation that the application left null counts as 0", () =>
      Effect.gen(function*() {
        const sql = (yield* SqlClient.SqlClient).withoutTransforms()
        const bindings = yield* ChatBindings
        yield* start("w5", "b5", "a5")
        yield* sql`alter table app."userChats" alter generation drop not null, alter generation drop default`
        const id = yield* newChat("ann")
        const seen = yield* bindings.get(id)
        assert.deepStrictEqual(seen, unbound(id))
        const bound = yield* bindings.bindAgent(seen, build("b5"), agentId("a5"))
        assert.deepInclude(bound.binding, { generation: 1, agentId: agentId("a5") })
      }))
  }
)
