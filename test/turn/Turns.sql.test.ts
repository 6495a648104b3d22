import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Schedule, type Scope, Stream } from "effect"
import type { SqlClient } from "effect/sql"
import { StoreError } from "../../src/domain/Errors.ts"
import type { TurnEvent } from "../../src/domain/Turn.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as Signals from "../../src/store/Signals.ts"
import * as SqlTurns from "../../src/store/SqlTurns.ts"
import type { TurnStore } from "../../src/store/TurnStore.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import type * as TurnLimits from "../../src/turn/TurnLimits.ts"
import { emptyDatabase, type TestDatabase } from "../postgres.ts"
import * as signals from "../store/signals.ts"
import * as t from "./support/turns.ts"

const { call, calls, say } = ScriptedModel

let schemas = 0

const store: Layer.Layer<TurnStore, unknown, SqlClient.SqlClient> = Layer.unwrap(Effect.sync(() => {
  const schema = `turns_${++schemas}`
  return Layer.provide(SqlTurns.layer({ schema }), Migrations.layerMigrations({ schema }))
}))

// Short, since they pass in real time; nothing here ends because of how long it took.
const limits: TurnLimits.Options = {
  lease: "6 seconds",
  renew: "300 millis",
  poll: "100 millis",
  flush: "50 millis",
  sweep: "300 millis"
}

const until = (condition: () => boolean) =>
  Effect.repeat(Effect.sync(condition), { until: (held) => held, schedule: Schedule.spaced("50 millis") })

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })("Turns on two nodes", (it) => {
  const test = (name: string, body: Effect.Effect<void, unknown, TurnStore | TestDatabase | Scope.Scope>) =>
    it.effect(name, () => Effect.provide(Effect.scoped(body), store), 60_000)

  test(
    "the same message sent to both runs one turn, whose events both hear",
    Effect.gen(function*() {
      const script = [call("hold"), say("All done.")]
      const nodes = [yield* t.node("one", script, { limits }), yield* t.node("two", script, { limits })]
      const sent = yield* Effect.forEach(nodes, (node) => node.send("m1"), { concurrency: 2 })
      assert.deepStrictEqual(sent.map(({ attached }) => attached).sort(), [false, true])
      yield* Effect.raceAll(nodes.map(({ hands }) => hands.untilRan(1)))
      yield* Effect.forEach(nodes, ({ hands }) => hands.open)
      const [first, second] = yield* Effect.forEach(sent, ({ events }) => Stream.runCollect(events), { concurrency: 2 })
      assert.deepStrictEqual(first, second)
      assert.deepStrictEqual(nodes.flatMap(({ hands }) => hands.ran), ["hold"])
      assert.strictEqual(first?.at(-1)?.event._tag, "End")
      t.assertAcceptable(yield* t.history)
    })
  )

  test(
    "a turn of a node that is lost is ended by the other, its calls are not made again, and the chat goes on there",
    Effect.gen(function*() {
      let dead = false
      const one = yield* t.node("one", [calls(["echo", {}], ["hold", {}]), say("Never.")], {
        limits,
        meddle: t.silenced(() => dead, Effect.fail(new StoreError({ operation: "planted" })))
      })
      const two = yield* t.node("two", [say("Again.")], { limits })
      yield* one.send("m1")
      yield* one.hands.untilRan(2)
      dead = true
      const told = yield* t.told(two.send("m1"))
      assert.deepStrictEqual(told.at(-1), { _tag: "End", status: "crashed", reason: "lost" } satisfies TurnEvent)
      const history = yield* t.history
      t.assertAcceptable(history)
      assert.deepStrictEqual(t.outcomes(history), ["outcome_unknown", "outcome_unknown"])
      assert.strictEqual((yield* t.told(two.send("m2"))).at(-1)?._tag, "End")
      t.assertAcceptable(yield* t.history)

      // The lost node gives up by itself, and does nothing more when it comes back.
      yield* until(() => one.hands.interrupted.length === 1)
      dead = false
      yield* until(() => one.turns.running().length === 0)
      assert.deepStrictEqual(one.hands.ran, ["echo", "hold"])
      assert.strictEqual(one.model.requests().length, 1)
      assert.strictEqual((yield* t.history).length, 6)
    })
  )

  test(
    "one interrupts the turn of the other",
    Effect.gen(function*() {
      const one = yield* t.node("one", [call("hold")], { limits })
      const two = yield* t.node("two", [say("Again.")], { limits })
      const here = yield* t.listen((yield* one.send("m1")).events)
      yield* one.hands.untilRan(1)
      yield* two.interrupt
      assert.deepStrictEqual(yield* here.end, { _tag: "End", status: "interrupted", reason: "user" })
      const there = yield* t.told(two.send("m1"))
      assert.deepStrictEqual(there, here.heard())
      assert.deepStrictEqual(one.hands.interrupted, ["hold"])
      yield* t.told(two.send("m2"))
      t.assertAcceptable(yield* t.history)
    })
  )

  test(
    "one hears at once what the other is asked and tells: nothing is polled here for an hour",
    Effect.gen(function*() {
      const there = yield* signals.sqlNode("turns")
      const here = yield* signals.sqlNode("turns")
      yield* signals.connected({ here, there })
      yield* signals.connected({ here: there, there: here })
      const slow: TurnLimits.Options = {
        lease: "4 hours",
        renew: "1 hour",
        poll: "1 hour",
        sweep: "1 hour",
        flush: "50 millis"
      }
      const script = [ScriptedModel.reply({ text: "I look.", calls: [{ name: "hold", args: {} }] })]
      const one = yield* t.node("one", script, { limits: slow, signals: Layer.succeed(Signals.Signals, there) })
      const two = yield* t.node("two", [], { limits: slow, signals: Layer.succeed(Signals.Signals, here) })
      yield* one.send("m1")
      const listener = yield* t.listen((yield* two.send("m1")).events)
      yield* until(() => listener.heard().some(({ _tag }) => _tag === "Call"))
      yield* one.hands.untilRan(1)
      yield* two.interrupt
      assert.deepStrictEqual(yield* listener.end, { _tag: "End", status: "interrupted", reason: "user" })
      assert.deepStrictEqual(one.hands.interrupted, ["hold"])
    })
  )
})
