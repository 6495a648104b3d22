/** Nodes that are killed or frozen under a turn: real processes over one PostgreSQL, and the real agent program. */
import { assert, layer } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { writeFileSync } from "node:fs"
import * as Path from "node:path"
import type { TurnEvent } from "../../../../src/domain/Turn.ts"
import { eventually } from "../../../tool/program/support/Program.ts"
import * as t from "../../support/turns.ts"
import * as nodes from "./support/Nodes.ts"
import * as world from "./support/World.ts"

const { execute, script } = nodes

const crashed: TurnEvent = { _tag: "End", status: "crashed", reason: "lost" }
const done: TurnEvent = { _tag: "End", status: "done", reason: null }

/** Sends a message until the chat is free for it. */
const sendWhenFree = Effect.fnUntraced(function*(node: nodes.Node, chat: world.Chat, message: string, text: string) {
  const sent = yield* Effect.repeat(node.offer(chat, message, text), {
    until: (sent) => sent !== "turn_running",
    schedule: Schedule.spaced("250 millis")
  })
  return typeof sent === "string" ? assert.fail(sent) : sent
})

layer(world.layer, { excludeTestServices: true, timeout: "60 seconds" })("a node is lost under a turn", (it) => {
  it.effect(
    "killed: the chat works on the other within 60 s, its commands ran once, and the history is whole",
    () =>
      Effect.gen(function*() {
        // With the lease of production.
        const [one, two] = yield* nodes.two()
        const chat = yield* world.chat
        const agent = yield* world.agent(chat, one)
        const commands = ["echo first >> ledger; exec sleep 600", "echo second >> ledger; exec sleep 600"]
        const first = script(execute(...commands), { text: "Never." })
        const { turn } = yield* one.send(chat, "m1", first)
        yield* agent.untilNoted(2)

        const killedAt = Date.now()
        yield* one.kill
        yield* agent.moveTo(two)
        const second = script(execute("echo third >> ledger; echo works"), { text: "Well." })
        const sent = yield* sendWhenFree(two, chat, "m2", second)
        assert.deepStrictEqual(yield* sent.end, done)
        assert.isBelow(Date.now() - killedAt, 60_000)

        assert.deepStrictEqual([...agent.ledger()].sort(), ["first", "second", "third"])
        const history = yield* world.history(chat)
        t.assertAcceptable(history)
        assert.deepStrictEqual(t.outcomes(history).slice(0, 2), ["outcome_unknown", "outcome_unknown"])
        assert.deepInclude(t.outcomes(history)[2], { success: true, output: "works\n" })
        const roles = ["user", "assistant", "tool", "assistant"]
        assert.deepStrictEqual(history.map(({ role }) => role), [...roles, ...roles])

        const again = yield* two.send(chat, "m1", first)
        assert.deepStrictEqual([again.turn, again.attached], [turn, true])
        assert.deepStrictEqual(yield* again.end, crashed)
        const [row] = yield* world.stored(chat, 1)
        assert.deepInclude(row?.["row"] as object, { status: "crashed", reason: "lost", node_id: one.nodeId })
        assert.strictEqual(two.asked(first), 0)
      }),
    150_000
  )

  it.effect(
    "frozen, and thawed when the other has gone on: it makes no further call, writes nothing, and says how the turn ended",
    () =>
      Effect.gen(function*() {
        const [one, two] = yield* nodes.two({
          bounds: {
            TURN_LEASE: "9 seconds",
            TURN_RENEW: "1 second",
            // It is the next message that ends the turn.
            TURN_SWEEP: "1 hour",
            // The second call of a step waits for the first.
            TURN_CALLS: "1",
            TURN_SETUP_WAIT: "2 seconds",
            GATEWAY_PING_TIMEOUT: "5 minutes"
          }
        })
        // An agent that would carry out what the thawed node sends, however late.
        const patient = { CW_AGENT_READ_SILENCE: "5 minutes", CW_AGENT_STALE_FRAME: "5 minutes" }
        const text = script(
          execute(
            "echo first >> ledger; until [ -e gate ]; do sleep 0.1; done; echo ended >> ledger",
            "echo second >> ledger"
          ),
          execute("echo third >> ledger"),
          { text: "Never." }
        )
        const begun = Effect.gen(function*() {
          const chat = yield* world.chat
          const agent = yield* world.agent(chat, one, patient)
          const sent = yield* one.send(chat, "m1", text)
          yield* agent.untilNoted(1)
          return { chat, agent, sent }
        })
        // Its agent stays, so that the thawed node finds the answer to its call, and has nothing else to do.
        const staying = yield* begun
        yield* eventually("its events are stored", world.calls(staying.chat, 1), (count) => count === 2)
        // Its agent goes to the other node, and the thawed one has still to store what it told.
        const moving = yield* begun

        yield* one.signal("SIGSTOP")
        yield* moving.agent.moveTo(two)
        for (const { agent } of [staying, moving]) {
          writeFileSync(Path.join(agent.directory, "gate"), "")
          yield* agent.untilNoted(2)
        }
        const back = yield* sendWhenFree(two, staying.chat, "m2", script({ text: "Back." }))
        assert.deepStrictEqual(yield* back.end, done)
        const moved = yield* sendWhenFree(
          two,
          moving.chat,
          "m2",
          script(execute("echo there >> ledger"), { text: "Well." })
        )
        assert.deepStrictEqual(yield* moved.end, done)
        const before = yield* Effect.forEach([staying, moving], ({ chat }) => world.stored(chat, 2))

        yield* one.signal("SIGCONT")
        for (const { sent } of [staying, moving]) assert.deepStrictEqual(yield* sent.end, crashed)
        // What it holds is of use again.
        const here = yield* one.send(staying.chat, "m3", script(execute("echo here >> ledger"), { text: "Well." }))
        assert.deepStrictEqual(yield* here.end, done)
        const there = yield* two.send(moving.chat, "m3", script(execute("echo still >> ledger"), { text: "Well." }))
        assert.deepStrictEqual(yield* there.end, done)

        assert.deepStrictEqual(staying.agent.ledger(), ["first", "ended", "here"])
        assert.deepStrictEqual(moving.agent.ledger(), ["first", "ended", "there", "still"])
        assert.deepStrictEqual(
          yield* Effect.forEach([staying, moving], ({ chat }) => world.stored(chat, 2)),
          before
        )
        assert.strictEqual(one.asked(text), 2)
        for (const { chat } of [staying, moving]) {
          const history = yield* world.history(chat)
          t.assertAcceptable(history)
          assert.deepStrictEqual(t.outcomes(history).slice(0, 2), ["outcome_unknown", "outcome_unknown"])
        }
      }),
    150_000
  )
})
