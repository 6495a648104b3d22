import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as TurnEvents from "../../src/turn/TurnEvents.ts"
import * as TurnLimits from "../../src/turn/TurnLimits.ts"
import * as TurnProgress from "../../src/turn/TurnProgress.ts"

const seconds = (count: number) => Duration.seconds(count)

const calls = (callId: string) => ({ _tag: "Call", callId, name: `tool ${callId}`, params: {} }) as const

const result = (callId: string) => ({ _tag: "Result", callId, name: "", isFailure: false, result: null }) as const

describe("what a turn waits for", () => {
  it.effect("is its calls without a result, oldest first, each with its age; none is the model", () =>
    Effect.gen(function*() {
      const { events, progress } = TurnProgress.observe(
        TurnEvents.make(() => Effect.void, TurnLimits.defaults),
        yield* Clock.Clock
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(progress(), { calls: [], quietFor: seconds(1) })
      events.tell(calls("a"))
      yield* TestClock.adjust("2 seconds")
      events.tell(calls("b"))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(progress(), {
        calls: [{ name: "tool a", runningFor: seconds(5) }, { name: "tool b", runningFor: seconds(3) }],
        quietFor: seconds(3)
      })
      events.tell(result("a"))
      assert.deepStrictEqual(progress(), { calls: [{ name: "tool b", runningFor: seconds(3) }], quietFor: seconds(0) })
      events.tell(result("b"))
      events.tell({ _tag: "Text", delta: "So" })
      assert.deepStrictEqual(progress(), { calls: [], quietFor: seconds(0) })
    }))
})
