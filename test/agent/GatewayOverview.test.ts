import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as h from "./support/harness.ts"

describe("what a gateway knows of all its agents", () => {
  it.live("counts sessions, dials and calls, and names who is waited for first, for longest", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const overview = (limit = 10) => transport.overview?.(limit)
      assert.deepStrictEqual(overview(), { sessions: 0, waiters: 0, calls: 0, agents: [] })

      const idle = yield* h.enroll()
      const busy = yield* h.enroll()
      const absent = yield* h.enroll()
      yield* h.connect(port, idle.token)
      yield* h.connect(port, busy.token)
      yield* transport.dial(idle.agentId)
      const connection = yield* transport.dial(busy.agentId)
      yield* Effect.forkScoped(Effect.exit(transport.dial(absent.agentId)))
      yield* h.until(() => overview()?.waiters === 1)
      yield* Effect.forkScoped(Effect.exit(connection.processes.run({ id: h.operation(), argv: ["x"] })))
      yield* h.until(() => overview()?.calls === 1)

      assert.deepStrictEqual(overview(), {
        sessions: 2,
        waiters: 1,
        calls: 1,
        agents: [absent.agentId, busy.agentId, idle.agentId]
      })
      assert.deepStrictEqual(overview(2)?.agents, [absent.agentId, busy.agentId])
    }).pipe(Effect.scoped, Effect.provide(h.layerStores)))
})
