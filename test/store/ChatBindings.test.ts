import { assert, describe, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Binding, BindResult, unbound } from "../../src/domain/Binding.ts"
import { BindingRefused } from "../../src/domain/Errors.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { emptyDatabase } from "../postgres.ts"
import { agentId, build, chat, onMemory, onSql, owner, start, type Test, workspace } from "./support.ts"

const binding = (generation: number, fields: Partial<Binding> = {}) =>
  new Binding({ ...unbound(chat("c")), ...fields, generation })

const ann = { chatId: chat("c"), owner: owner("ann") }

export const chatBindingsContract = (test: Test): void => {
  test(
    "a chat that was never bound has generation 0 and nulls",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      assert.deepStrictEqual(yield* bindings.get(chat("c")), binding(0))
    })
  )

  test(
    "binding a workspace makes the row, counts up and clears the agent",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      const first = yield* bindings.bindWorkspace({ ...ann, workspaceId: workspace("w") })
      assert.deepStrictEqual(first, binding(1, { workspaceId: workspace("w") }))
      const bound = yield* bindings.bindAgent(first, build("b1"), agentId("a1"))
      const withAgent = { workspaceId: workspace("w"), buildId: build("b1"), agentId: agentId("a1") }
      assert.deepStrictEqual(bound, BindResult.Bound({ binding: binding(2, withAgent) }))
      assert.deepStrictEqual(yield* bindings.get(chat("c")), binding(2, withAgent))
      const again = yield* bindings.bindWorkspace({ ...ann, workspaceId: workspace("w"), buildId: build("b2") })
      assert.deepStrictEqual(again, binding(3, { workspaceId: workspace("w"), buildId: build("b2") }))
      const none = yield* bindings.bindWorkspace({ ...ann, workspaceId: null })
      assert.deepStrictEqual(none, binding(4))
      assert.deepStrictEqual(yield* bindings.get(chat("c")), binding(4))
    })
  )

  test(
    "a chat of another owner is refused and stays as it is",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      const row = yield* bindings.bindWorkspace({ ...ann, workspaceId: workspace("w") })
      const error = yield* Effect.flip(
        bindings.bindWorkspace({ chatId: chat("c"), owner: owner("bob"), workspaceId: null })
      )
      assert.deepStrictEqual(error, new BindingRefused({ chatId: chat("c"), workspaceId: null }))
      assert.deepStrictEqual(yield* bindings.get(chat("c")), row)
    })
  )

  test(
    "a workspace of another owner, or none of that name, is refused and makes no row",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      for (const [owns, workspaceId] of [["bob", workspace("w")], ["ann", workspace("nowhere")]] as const) {
        const refused = yield* Effect.flip(
          bindings.bindWorkspace({ chatId: chat("c"), owner: owner(owns), workspaceId })
        )
        assert.deepStrictEqual(refused, new BindingRefused({ chatId: chat("c"), workspaceId }))
      }
      assert.deepStrictEqual(yield* bindings.get(chat("c")), binding(0))
      // Nobody owns the chat yet, so whoever binds first does.
      yield* bindings.bindWorkspace({ ...ann, workspaceId: workspace("w") })
    })
  )

  test(
    "a late writer is superseded by the row that won, and changes nothing",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      const seen = yield* bindings.bindWorkspace({ ...ann, workspaceId: workspace("w") })
      yield* bindings.bindAgent(seen, build("b1"), agentId("a1"))
      const late = yield* bindings.bindAgent(seen, build("b0"), agentId("a0"))
      const won = binding(2, { workspaceId: workspace("w"), buildId: build("b1"), agentId: agentId("a1") })
      assert.deepStrictEqual(late, BindResult.Superseded({ binding: won }))
      assert.deepStrictEqual(yield* bindings.get(chat("c")), won)
    })
  )

  test(
    "binding an agent to a chat that is not there is superseded by the row never bound",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const result = yield* bindings.bindAgent(unbound(chat("c")), build("b1"), agentId("a1"))
      assert.deepStrictEqual(result, BindResult.Superseded({ binding: binding(0) }))
      assert.deepStrictEqual(yield* bindings.get(chat("c")), binding(0))
    })
  )

  test(
    "of many writers at once exactly one binds each generation, and all see its row",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      let seen = yield* bindings.bindWorkspace({ ...ann, workspaceId: workspace("w") })
      for (let round = 0; round < 5; round++) {
        const results = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, index) => agentId(`a${round}-${index}`)),
          (id) => bindings.bindAgent(seen, build("b1"), id),
          { concurrency: "unbounded" }
        )
        const winners = results.filter((result) => result._tag === "Bound")
        assert.strictEqual(winners.length, 1)
        for (const result of results) assert.deepStrictEqual(result.binding, winners[0]?.binding)
        seen = yield* bindings.get(chat("c"))
        assert.strictEqual(seen.generation, round + 2)
      }
    })
  )

  test(
    "what could break a statement is only a name",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const name = `'; drop table chats; -- " \\ \u{1F600} $1`
      yield* start(name, "b1", "a1")
      const row = yield* bindings.bindWorkspace({
        chatId: chat(name),
        owner: owner("ann"),
        workspaceId: workspace(name)
      })
      assert.deepStrictEqual(yield* bindings.get(chat(name)), row)
      assert.isTrue(Schema.is(Binding)(row))
    })
  )
}

describe("ChatBindings in memory", () => chatBindingsContract(onMemory))

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })(
  "ChatBindings in PostgreSQL",
  (it) => chatBindingsContract(onSql(it))
)
