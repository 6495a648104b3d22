import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TurnLost } from "../../src/domain/Errors.ts"
import { TurnId } from "../../src/domain/Ids.ts"
import type { TurnMessage } from "../../src/domain/Turn.ts"
import type { NumberedMessages } from "../../src/store/TurnStore.ts"
import * as TurnHistory from "../../src/turn/TurnHistory.ts"

const says = (text: string): TurnMessage => ({ role: "assistant", content: text })
const user: TurnMessage = { role: "user", content: "Hi!" }

describe("what is shown of a history", () => {
  const size = (messages: ReadonlyArray<TurnMessage>) =>
    messages.reduce((sum, message) => sum + new TextEncoder().encode(JSON.stringify(message)).length, 0)
  const first = [user, says("ü".repeat(100))]
  const second = [user, says("b"), says("c")]
  const all = [...first, ...second, user]

  it("is all of it where that fits, and not the first turn where a byte of it does not", () => {
    assert.deepStrictEqual(TurnHistory.recent(all, size(all)), all)
    assert.deepStrictEqual(TurnHistory.recent(all, size(all) - 1), [...second, user])
    assert.deepStrictEqual(TurnHistory.recent(all, size([...second, user]) - 1), [user])
  })

  it("is the last turn however large it is", () => {
    assert.deepStrictEqual(TurnHistory.recent(all, 0), [user])
    assert.deepStrictEqual(TurnHistory.recent([], 0), [])
  })
})

describe("the history of a running turn", () => {
  it.effect("writes each message once, behind the user's", () =>
    Effect.gen(function*() {
      const written: Array<NumberedMessages> = []
      const history = TurnHistory.make([user], (messages) => Effect.sync(() => written.push(messages)))
      history.add(says("a"))
      yield* history.save
      history.add(says("b"))
      history.add(says("c"))
      yield* history.save
      assert.deepStrictEqual(written, [
        { from: 2, messages: [says("a")] },
        { from: 3, messages: [says("b"), says("c")] }
      ])
      assert.deepStrictEqual(history.messages(), [user, says("a"), says("b"), says("c")])
      assert.deepStrictEqual(history.unsaved(says("d")), { from: 5, messages: [says("d")] })
    }))

  it.effect("what could not be written is among what is not known to be stored", () =>
    Effect.gen(function*() {
      const history = TurnHistory.make([user], () => Effect.fail(new TurnLost({ turnId: TurnId.make("t") })))
      history.add(says("a"))
      yield* Effect.flip(history.save)
      assert.deepStrictEqual(history.unsaved(says("b")), { from: 2, messages: [says("a"), says("b")] })
    }))
})
