/** A small fleet, a short run; `npm run fleet` makes larger ones, and does more to them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as NatsServer from "../cluster/support/server.ts"
import * as Fleet from "./Fleet.ts"

/** Generous, for a machine that does much else: the figures are those of `npm run fleet`. What callers are told is strict. */
const bounds = {
  breath: 500,
  noticed: 30_000,
  nextCall: 30_000,
  nats: 30_000,
  freeze: 5000,
  typed: 60_000,
  deploy: 30_000,
  gaps: Number.POSITIVE_INFINITY
}

describe.skipIf(!NatsServer.hasServer)("a fleet over three NATS servers", () => {
  it.live(
    "a node dies, a server dies, all nodes are deployed, and chats work: every call is settled, and nothing runs twice",
    () =>
      Effect.gen(function*() {
        const account = yield* Fleet.run({
          seed: 449,
          agents: 12,
          own: 2,
          pauseMillis: 3000,
          stages: ["killNode", "killNats", "deploy"],
          bounds,
          env: {
            node: {
              GATEWAY_MOVE_WITHIN: "4 seconds",
              TURN_LEASE: "5 seconds",
              TURN_RENEW: "1 second",
              TURN_SWEEP: "1 second"
            },
            agent: {}
          }
        })
        assert.deepStrictEqual(account.violations, [], Fleet.render(account))
        // That calls were lost and asked again, and agents moved at all.
        const counts = (index: number) => new Map(account.stages[index]?.counts)
        assert.isAbove(counts(0).get("asked again: done") ?? 0, 0, Fleet.render(account))
        assert.isAbove(counts(2).get("agents that were greeted at another node before they left") ?? 0, 0)
      }),
    240_000
  )
})
