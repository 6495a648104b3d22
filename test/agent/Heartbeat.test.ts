import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Calls from "../../src/agent/Calls.ts"
import * as Heartbeat from "../../src/agent/Heartbeat.ts"
import { GatewayConfig, Protocol } from "../../src/agent/index.ts"
import * as KillDebts from "../../src/agent/KillDebts.ts"
import * as Sessions from "../../src/agent/Sessions.ts"
import { StoreError } from "../../src/domain/Errors.ts"
import { NodeId } from "../../src/domain/Ids.ts"
import { AgentPresence } from "../../src/store/index.ts"
import { agent, fakeSession } from "./support/sessions.ts"

const nodeId = NodeId.make("node-1")
const [one, two, three] = [agent("agent-1"), agent("agent-2"), agent("agent-3")]

interface Store {
  readonly beats: Array<AgentPresence.Beat>
  answer: (beat: AgentPresence.Beat) => Effect.Effect<AgentPresence.BeatAnswer, StoreError>
}

const valid = (beat: AgentPresence.Beat): Effect.Effect<AgentPresence.BeatAnswer> =>
  Effect.succeed({
    verdicts: new Map(beat.sessions.map(({ agentId }) => [agentId, "valid" as const])),
    elsewhere: []
  })

const beating = Effect.gen(function*() {
  const store: Store = { beats: [], answer: valid }
  const sessions = yield* Sessions.make()
  const calls = yield* Calls.make(sessions)
  const debts = KillDebts.make(GatewayConfig.defaults)
  const run = Heartbeat.run({ nodeId, sessions, calls, debts }).pipe(
    Effect.provideService(AgentPresence.AgentPresence, {
      verify: () => Effect.die("not asked"),
      attach: () => Effect.die("not asked"),
      report: () => Effect.die("not asked"),
      detach: () => Effect.die("not asked"),
      beat: (beat) => {
        store.beats.push(beat)
        return store.answer(beat)
      }
    })
  )
  return { store, sessions, run }
})

describe("Heartbeat", () => {
  it.effect("beats at once, then every ten seconds, without sessions too", () =>
    Effect.gen(function*() {
      const { run, store } = yield* beating
      yield* Effect.forkChild(run, { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.strictEqual(store.beats.length, 1)
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(store.beats.length, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(store.beats.length, 2)
      assert.deepStrictEqual(store.beats[1], { nodeId, sessions: [], waiting: [] })
    }))

  it.effect("names all sessions in the order of their ids with the ages of their frames, and who waits", () =>
    Effect.gen(function*() {
      const { run, sessions, store } = yield* beating
      sessions.add(fakeSession(two, { epoch: 5 }), 0)
      sessions.add(fakeSession(one, { epoch: 7 }), 0)
      yield* Effect.forkChild(sessions.next(three, "dial"), { startImmediately: true })
      yield* TestClock.adjust("1500 millis")
      yield* Effect.forkChild(run, { startImmediately: true })
      const age = Duration.millis(1500)
      assert.deepStrictEqual(store.beats[0], {
        nodeId,
        sessions: [{ agentId: one, epoch: 7, age }, { agentId: two, epoch: 5, age }],
        waiting: [{ agentId: three, age }]
      })
    }))

  it.effect("carries out verdicts, and confirms the others as of the question", () =>
    Effect.gen(function*() {
      const { run, sessions, store } = yield* beating
      const all = [one, two, three].map((agentId) => fakeSession(agentId, { epoch: 1 }))
      for (const session of all) sessions.add(session, 0)
      store.answer = () =>
        Effect.delay(
          Effect.succeed({
            verdicts: new Map([[one, "valid"], [two, "replaced"], [three, "revoked"]] as const),
            elsewhere: []
          }),
          "1 second"
        )
      yield* TestClock.adjust("500 millis")
      yield* Effect.forkChild(run, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(all.map(({ ends }) => ends.map(({ code, reason }) => [reason, code])), [
        [],
        [["replaced", Protocol.CloseCode.replaced]],
        [["revoked", Protocol.CloseCode.revoked]]
      ])
      assert.strictEqual(all[0]?.confirmedAt, 500)
    }))

  it.effect("a store that fails, dies or hangs ends no session and not the heartbeat", () =>
    Effect.gen(function*() {
      const { run, sessions, store } = yield* beating
      const session = fakeSession(one, { epoch: 1 })
      sessions.add(session, 0)
      const fiber = yield* Effect.forkChild(run, { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.strictEqual(session.confirmedAt, 0)
      for (
        const answer of [
          () => Effect.fail(new StoreError({ operation: "beat" })),
          () => Effect.die("broken"),
          () => Effect.interrupt,
          () => Effect.never
        ]
      ) {
        store.answer = answer
        session.confirmedAt = 1
        yield* TestClock.adjust("10 seconds")
        yield* TestClock.adjust("5 seconds")
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(session.confirmedAt, undefined)
        assert.strictEqual(fiber.pollUnsafe(), undefined)
        assert.deepStrictEqual(session.ends, [])
      }
      store.answer = valid
      yield* TestClock.adjust("20 seconds")
      assert.isDefined(session.confirmedAt)
    }))

  it.effect("a dial whose agent is elsewhere fails, one that began after the question waits on", () =>
    Effect.gen(function*() {
      const { run, sessions, store } = yield* beating
      store.answer = () => Effect.delay(Effect.succeed({ verdicts: new Map(), elsewhere: [one] }), "1 second")
      const early = yield* Effect.forkChild(Effect.flip(sessions.next(one, "dial")), { startImmediately: true })
      yield* Effect.forkChild(run, { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      const late = yield* Effect.forkChild(sessions.next(one, "dial"), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* Fiber.join(early)).reason, "sessionOnOtherNode")
      assert.strictEqual(late.pollUnsafe(), undefined)
    }))
})
