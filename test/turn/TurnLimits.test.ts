import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect } from "effect"
import { TurnLimits } from "../../src/turn/index.ts"

const read = (env: Readonly<Record<string, string>>) =>
  TurnLimits.config.pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))))

describe("the limits of a turn", () => {
  it.effect("have defaults", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read({}), TurnLimits.defaults)
      assert.deepStrictEqual(TurnLimits.make({}), TurnLimits.defaults)
    }))

  it.effect("are read from the environment", () =>
    Effect.gen(function*() {
      const limits = yield* read({ TURN_STEPS: "5", TURN_LEASE: "1 minute", TURN_KEEP_EVENTS: "1 hour" })
      assert.deepStrictEqual(
        limits,
        TurnLimits.make({ steps: 5, lease: Duration.minutes(1), keepEvents: Duration.hours(1) })
      )
    }))

  it("somebody who interrupts from another node is heard and obeyed within ten seconds", () => {
    const { callsEnd, renew } = TurnLimits.defaults
    assert.isBelow(Duration.toSeconds(Duration.sum(renew, callsEnd)), 10)
  })
})
