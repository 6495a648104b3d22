/** A short run with a fixed seed; `npm run chaos` makes longer ones, and others. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { render } from "./Account.ts"
import * as Chaos from "./Chaos.ts"

describe("chaos on real parts", () => {
  it.live(
    "while parts are killed, frozen, started again and cut off, callers are told the truth in time, and all works afterwards",
    () =>
      Effect.gen(function*() {
        const account = yield* Chaos.run({ seed: 200, seconds: 10, workspaces: 2, nats: false })
        assert.deepStrictEqual(account.violations, [], render(account))
        // That something was asked for, hurt and done at all.
        assert.isAtLeast(account.timeline.length, 6, render(account))
        assert.isAtLeast(account.executions, 20, render(account))
      }),
    300_000
  )
})
