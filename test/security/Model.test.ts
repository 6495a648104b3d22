/** A model that calls with arguments that nobody could write down, as a file of a stranger may have told it to. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Nesting from "../../src/domain/Nesting.ts"
import { ScriptedModel } from "../../src/testing/index.ts"
import { listen } from "../http/support/streams.ts"
import * as world from "../http/support/world.ts"

/** Arguments of this many levels, with the list at the innermost. */
const args = (levels: number) => ({
  command: "x",
  more: JSON.parse(`${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}`)
})

describe("a call whose arguments nest", () => {
  const turn = Effect.fnUntraced(function*(messageId: string) {
    const api = yield* world.api()
    const asked = api.fetch("POST /chats/c/messages", { body: { messageId, text: "Hello" } })
    const { rest } = yield* Effect.flatMap(asked, listen)
    return (yield* rest).map(({ data }) => JSON.stringify(data))
  })

  for (const levels of [Nesting.limit + 1, 5000, 100_000]) {
    it.effect(`${levels} levels deep is refused with one result, and the chat goes on`, () =>
      Effect.gen(function*() {
        const first = yield* turn("1")
        assert.include(first[0], "(arguments that nest deeper than 64 levels)")
        assert.deepStrictEqual(first.map((event) => JSON.parse(event)._tag), ["Call", "Result", "Text", "End"])
        assert.include(first[1], "invalid_arguments")
        assert.include(first[3], "done")
        const second = yield* turn("2")
        assert.include(second.at(-1) ?? "", "done")
      }).pipe(world.provide([
        ScriptedModel.call("execute", args(levels)),
        ScriptedModel.say("Sorry"),
        ScriptedModel.say("Yes")
      ])))
  }

  it.effect("as deep as it may is made", () =>
    Effect.gen(function*() {
      const told = yield* turn("1")
      assert.include(told[0], JSON.stringify(args(Nesting.limit)))
      assert.notInclude(told[1], "invalid_arguments")
    }).pipe(world.provide([ScriptedModel.call("execute", args(Nesting.limit)), ScriptedModel.say("Yes")])))
})
