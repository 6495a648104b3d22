import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Layer, Option, String as Str } from "effect"
import { SqlClient } from "effect/sql"
import { BindingRefused } from "../../src/domain/Errors.ts"
import { MessageId, TurnId } from "../../src/domain/Ids.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlTurns from "../../src/store/SqlTurns.ts"
import { TurnStore } from "../../src/store/TurnStore.ts"
import { chat, node, owner } from "../../src/testing/StoreWords.ts"
import { emptyDatabase } from "../postgres.ts"

/** An application with its own chats, in its own schema and spelling, under uuids, without a column of ours. */
const application = Layer.effectDiscard(Effect.gen(function*() {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  yield* sql`create schema app`
  yield* sql`create table app."userChats" ("chatKey" uuid primary key, "ownedBy" text not null)`
  yield* sql.unsafe(Migrations.columnsText({ table: "app.userChats" }).replace(";\n", ""))
}))

const live = SqlTurns.layer({ chats: { table: "app.userChats", key: "chatKey", owner: "ownedBy" } }).pipe(
  Layer.provideMerge(Layer.mergeAll(application, Migrations.layerMigrations())),
  Layer.provideMerge(emptyDatabase({ transformQueryNames: Str.camelToSnake, transformResultNames: Str.snakeToCamel }))
)

const ann = owner("ann")
const mine = chat("00000000-0000-4000-8000-000000000001")
const gone = chat("00000000-0000-4000-8000-000000000002")

const begin = (turnId: string, chatId: typeof mine, as = ann) =>
  Effect.flatMap(TurnStore, (store) =>
    store.begin({
      turnId: TurnId.make(turnId),
      chatId,
      owner: as,
      messageId: MessageId.make(`message of ${turnId}`),
      message: { role: "user", content: [{ type: "text", text: "Hi!" }] },
      nodeId: node("n"),
      lease: Duration.seconds(30)
    }))

layer(live, { excludeTestServices: true, timeout: "60 seconds" })(
  "TurnStore over the chats of an application",
  (it) => {
    it.effect("a chat that is there has turns; one that is not, or is another owner's, is refused and not made", () =>
      Effect.gen(function*() {
        const sql = (yield* SqlClient.SqlClient).withoutTransforms()
        yield* sql`insert into app."userChats" ("chatKey", "ownedBy") values (${mine}, 'ann')`
        const store = yield* TurnStore
        const { turn } = yield* begin("t1", mine)
        yield* store.append({
          turnId: turn.turnId,
          epoch: 1,
          from: 2,
          messages: [{ role: "assistant", content: "Hello." }]
        })
        assert.strictEqual((yield* store.history({ chatId: mine, owner: ann })).length, 2)
        assert.deepStrictEqual(yield* store.get({ turnId: turn.turnId, owner: ann }), Option.some(turn))

        for (const refused of [begin("t2", gone), begin("t3", mine, owner("bob"))]) {
          assert.strictEqual((yield* Effect.flip(refused))._tag, "BindingRefused")
        }
        assert.deepStrictEqual(
          yield* Effect.flip(begin("t2", gone)),
          new BindingRefused({ chatId: gone, workspaceId: null })
        )
        assert.strictEqual((yield* sql`select 1 from app."userChats"`).length, 1)
      }))
  }
)
