import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Binding, unbound } from "../../src/domain/Binding.ts"
import { BindingRefused } from "../../src/domain/Errors.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { Chats } from "../../src/store/Chats.ts"
import { emptyDatabase } from "../postgres.ts"
import { agentId, build, chat, onMemory, onSql, owner, start, type Test, workspace } from "./support.ts"

const ann = owner("ann")
const bob = owner("bob")

/** A chat of ann's, bound to an agent. */
const boundChat = Effect.fnUntraced(function*(name: string) {
  const bindings = yield* ChatBindings
  yield* start("w", "b1", "a1")
  const row = yield* bindings.bindWorkspace({ chatId: chat(name), owner: ann, workspaceId: workspace("w") })
  const { binding } = yield* bindings.bindAgent(row, build("b1"), agentId("a1"))
  return binding
})

const chatsContract = (test: Test): void => {
  test(
    "a new chat has generation 1 and no workspace",
    Effect.gen(function*() {
      const chats = yield* Chats
      const bindings = yield* ChatBindings
      const created = yield* chats.create({ chatId: chat("c"), owner: ann })
      assert.deepStrictEqual(created, new Binding({ ...unbound(chat("c")), generation: 1 }))
      assert.deepStrictEqual(yield* bindings.get(chat("c")), created)
    })
  )

  test(
    "a repeat by its owner answers the row as it is now and changes nothing",
    Effect.gen(function*() {
      const chats = yield* Chats
      yield* chats.create({ chatId: chat("c"), owner: ann })
      const bound = yield* boundChat("c")
      assert.deepStrictEqual(yield* chats.create({ chatId: chat("c"), owner: ann }), bound)
      // Also where the repeat names a parent that is gone.
      assert.deepStrictEqual(yield* chats.create({ chatId: chat("c"), owner: ann, parent: chat("gone") }), bound)
      assert.deepStrictEqual(yield* (yield* ChatBindings).get(chat("c")), bound)
    })
  )

  test(
    "a chat of another owner is refused",
    Effect.gen(function*() {
      const chats = yield* Chats
      const created = yield* chats.create({ chatId: chat("c"), owner: ann })
      const error = yield* Effect.flip(chats.create({ chatId: chat("c"), owner: bob }))
      assert.deepStrictEqual(error, new BindingRefused({ chatId: chat("c"), workspaceId: null }))
      assert.deepStrictEqual(yield* chats.create({ chatId: chat("c"), owner: ann }), created)
    })
  )

  test(
    "a child copies its parent's row as it is now, and goes its own way from there",
    Effect.gen(function*() {
      const chats = yield* Chats
      const bindings = yield* ChatBindings
      const parent = yield* boundChat("parent")
      const child = yield* chats.create({ chatId: chat("child"), owner: ann, parent: chat("parent") })
      assert.deepStrictEqual(child, new Binding({ ...parent, chatId: chat("child"), generation: 1 }))

      yield* bindings.bindWorkspace({ chatId: chat("parent"), owner: ann, workspaceId: null })
      assert.deepStrictEqual(yield* bindings.get(chat("child")), child)
      const late = yield* chats.create({ chatId: chat("late"), owner: ann, parent: chat("parent") })
      assert.deepStrictEqual(late, new Binding({ ...unbound(chat("late")), generation: 1 }))
    })
  )

  test(
    "a parent of another owner, or none of that name, is refused and makes no row",
    Effect.gen(function*() {
      const chats = yield* Chats
      const bindings = yield* ChatBindings
      yield* boundChat("parent")
      for (const [owner, parent] of [[bob, chat("parent")], [ann, chat("nobody")]] as const) {
        const error = yield* Effect.flip(chats.create({ chatId: chat("child"), owner, parent }))
        assert.deepStrictEqual(error, new BindingRefused({ chatId: chat("child"), workspaceId: null }))
      }
      assert.deepStrictEqual(yield* bindings.get(chat("child")), unbound(chat("child")))
    })
  )

  test(
    "of many creations at once all answer the same row",
    Effect.gen(function*() {
      const chats = yield* Chats
      const rows = yield* Effect.all(
        Array.from({ length: 20 }, () => chats.create({ chatId: chat("c"), owner: ann })),
        { concurrency: "unbounded" }
      )
      for (const row of rows) {
        assert.deepStrictEqual(row, new Binding({ ...unbound(chat("c")), generation: 1 }))
      }
    })
  )
}

describe("Chats in memory", () => chatsContract(onMemory))

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })(
  "Chats in PostgreSQL",
  (it) => chatsContract(onSql(it))
)
