/** One turn and two nodes that are well: whichever of them is asked, it is the same turn. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { TurnEvent } from "../../../../src/domain/Turn.ts"
import { isRunning } from "../../../../src/testing/ProcessFamily.ts"
import { until } from "../../../tool/program/support/Program.ts"
import * as t from "../../support/turns.ts"
import * as nodes from "./support/Nodes.ts"
import * as world from "./support/World.ts"

const { execute, script } = nodes

layer(world.layer, { excludeTestServices: true, timeout: "60 seconds" })(
  "a turn that two nodes are asked for",
  (it) => {
    it.effect(
      "the same message sent to both at the same time, and again: one turn, one run of the model, and all hear the same",
      () =>
        Effect.gen(function*() {
          const both = yield* nodes.two()
          const chat = yield* world.chat
          const text = script({ text: "Look.", ...execute("echo ran >> ledger; echo works") }, { text: "It does." })
          const sendToBoth = Effect.forEach(both, (node) => node.send(chat, "m1", text), { concurrency: 2 })
          const sent = yield* sendToBoth
          assert.deepStrictEqual(sent.map(({ attached }) => attached).sort(), [false, true])
          // The agent comes to the one that has the turn.
          const owner = both.find(({ nodeId }) => nodeId === sent[0]?.nodeId) ?? assert.fail()
          const agent = yield* world.agent(chat, owner)
          const [events] = yield* Effect.forEach(sent, ({ events }) => events)
          assert.deepStrictEqual(events?.at(-1)?.event, { _tag: "End", status: "done", reason: null })

          const late = yield* sendToBoth
          assert.deepStrictEqual(late.map(({ attached }) => attached), [true, true])
          for (const each of [...sent, ...late]) {
            assert.strictEqual(each.turn, sent[0]?.turn)
            assert.deepStrictEqual(yield* each.events, events)
          }
          assert.strictEqual(both[0].asked(text) + both[1].asked(text), 2)
          assert.deepStrictEqual(agent.ledger(), ["ran"])
          const history = yield* world.history(chat)
          t.assertAcceptable(history)
          assert.strictEqual(history.length, 4)

          // In a crowd whoever comes first has the turn.
          const crowd = yield* Effect.forEach(
            Array.from({ length: 8 }, (_, index) => script({ text: `Chat ${index}.` })),
            (text) => Effect.map(world.chat, (chat) => ({ chat, text }))
          )
          const answers = yield* Effect.forEach(
            crowd,
            ({ chat, text }) =>
              Effect.forEach([...both, ...both], (node) => node.send(chat, "m1", text), { concurrency: 4 }),
            { concurrency: 8 }
          )
          for (const four of answers) {
            assert.strictEqual(four.filter(({ attached }) => !attached).length, 1)
            const told = yield* Effect.forEach(four, ({ events }) => events)
            for (const each of told) assert.deepStrictEqual(each, told[0])
          }
          for (const { text } of crowd) assert.strictEqual(both[0].asked(text) + both[1].asked(text), 1)
        }),
      120_000
    )

    // Who is told does not wait for its next look, which may be far away; who is not finds it then.
    for (
      const { bounds, hints, seconds, title } of [
        { hints: true, bounds: { TURN_LEASE: "15 minutes", TURN_RENEW: "5 minutes" }, seconds: 3, title: "at once" },
        { hints: false, bounds: {}, seconds: 10, title: "within 10 s without a word between the nodes" }
      ]
    ) {
      it.effect(
        `one interrupts the turn of the other: its commands are ended ${title}, and both hear that it was interrupted`,
        () =>
          Effect.gen(function*() {
            const [one, two] = yield* nodes.two({ hints, bounds })
            const chat = yield* world.chat
            const agent = yield* world.agent(chat, one)
            const command = "echo $$ >> ledger; exec sleep 600"
            const text = script(execute(command, command), { text: "Never." })
            const sent = yield* one.send(chat, "m1", text)
            yield* agent.untilNoted(2)
            const commands = agent.ledger().map(Number)
            assert.isTrue(commands.every(isRunning))

            const askedAt = Date.now()
            yield* two.interrupt(chat)
            yield* until("the commands are gone", () => !commands.some(isRunning))
            assert.isBelow(Date.now() - askedAt, seconds * 1000)
            const interrupted: TurnEvent = { _tag: "End", status: "interrupted", reason: "user" }
            const events = yield* sent.events
            assert.deepStrictEqual(events.at(-1)?.event, interrupted)
            assert.deepStrictEqual(yield* (yield* two.send(chat, "m1", text)).events, events)

            const after = yield* one.send(chat, "m2", script(execute("echo works"), { text: "Well." }))
            assert.deepInclude(yield* after.end, { status: "done" })
            const history = yield* world.history(chat)
            t.assertAcceptable(history)
            assert.deepStrictEqual(t.outcomes(history).slice(0, 2), ["interrupted", "interrupted"])
            assert.strictEqual(agent.ledger().length, 2)
            assert.strictEqual(one.asked(text) + two.asked(text), 1)
          }),
        120_000
      )
    }
  }
)
