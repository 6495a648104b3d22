import { assert, describe, it } from "@effect/vitest"
import type { TurnEndReason, TurnMessage } from "../../src/domain/Turn.ts"
import { TurnEndReason as Reasons } from "../../src/domain/Turn.ts"
import * as TurnClosing from "../../src/store/TurnClosing.ts"

const user: TurnMessage = { role: "user", content: [{ type: "text", text: "Hi!" }] }
const says: TurnMessage = { role: "assistant", content: "Hello." }
const calls: TurnMessage = {
  role: "assistant",
  content: [
    { type: "text", text: "Let me look." },
    { type: "tool-call", id: "a", name: "execute", params: {} },
    { type: "tool-call", id: "s", name: "search", params: {}, providerExecuted: true },
    { type: "tool-call", id: "b", name: "read_file", params: {} }
  ]
}

const texts = (message: TurnMessage | undefined): ReadonlyArray<string> =>
  message === undefined || typeof message.content === "string"
    ? []
    : message.content.flatMap((part) => part.type === "text" ? [part.text] : [])

describe("closing a turn", () => {
  it("the open calls are those of the last message that the model's provider did not make itself", () => {
    assert.deepStrictEqual(TurnClosing.openCalls([user, calls]).map(({ id, name }) => [id, name]), [
      ["a", "execute"],
      ["b", "read_file"]
    ])
    for (const messages of [[], [user], [user, says], [user, calls, { role: "tool", content: [] } as const]]) {
      assert.deepStrictEqual(TurnClosing.openCalls(messages), [])
    }
  })

  it("a crashed one answers its open calls in their order, and says what happened", () => {
    const [answers, word, ...others] = TurnClosing.crashed([user, calls])
    assert.deepStrictEqual(others, [])
    assert.strictEqual(answers?.role, "tool")
    assert.deepStrictEqual(
      answers?.role === "tool" ? answers.content.map((part) => part.type === "tool-result" && part.id) : [],
      ["a", "b"]
    )
    assert.deepStrictEqual(texts(word), ["[This turn was interrupted because the server that ran it was lost.]"])
    assert.deepStrictEqual(TurnClosing.crashed([user]).map(({ role }) => role), ["assistant"])
  })

  it("the last word keeps what the model had said, and is never empty", () => {
    assert.deepStrictEqual(texts(TurnClosing.lastWord({ status: "interrupted", reason: "user" }, "Well, ")), [
      "Well, ",
      "[The user interrupted this turn.]"
    ])
    assert.deepStrictEqual(texts(TurnClosing.lastWord({ status: "done", reason: null })), ["[No answer.]"])
  })

  it.each(Reasons.literals)("the reason %s has words of its own", (reason: TurnEndReason) => {
    const words = Reasons.literals.map((reason) => texts(TurnClosing.lastWord({ status: "failed", reason }))[0])
    assert.strictEqual(new Set(words).size, Reasons.literals.length)
    assert.match(texts(TurnClosing.lastWord({ status: "failed", reason }))[0] ?? "", /^\[.+\.\]$/)
  })
})
