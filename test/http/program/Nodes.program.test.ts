/** A client that is cut off goes on at another node: two backends as processes of their own, over one PostgreSQL. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import { ChatId, MessageId, TurnId } from "../../../src/domain/Ids.ts"
import type { NumberedEvent } from "../../../src/domain/Turn.ts"
import * as Client from "../../../src/http/Client.ts"
import * as Migrations from "../../../src/store/Migrations.ts"
import { cuttable } from "../../agent/support/proxy.ts"
import { emptyDatabase, TestDatabase } from "../../postgres.ts"
import * as Program from "../../tool/program/support/Program.ts"
import { Event, schema, token } from "./backend.ts"

const file = new URL("./backend.ts", import.meta.url).pathname

/** Starts one; it is killed with the scope. */
const start = Effect.fnUntraced(function*(bounds: Readonly<Record<string, string>> = {}) {
  const { url } = yield* TestDatabase
  const events: Array<typeof Event.Type> = []
  const program = yield* Program.start({
    file,
    args: [],
    env: { STORE_CALL_TIMEOUT: "20 seconds", ...bounds, DATABASE_URL: Redacted.value(url) },
    request: Schema.Never,
    event: Event,
    on: (event) => events.push(event)
  })
  const port = yield* program.said(
    "the node is ready",
    () => events.flatMap((event) => event._tag === "Ready" ? [event.port] : []).at(0)
  )
  return {
    port,
    kill: program.kill,
    /** How often its model was asked. */
    asked: () => events.filter(({ _tag }) => _tag === "Asked").length
  }
})

const two = (bounds?: Readonly<Record<string, string>>) =>
  Effect.all([start(bounds), start(bounds)], { concurrency: 2 })

const clientOf = ({ port }: { readonly port: number }) =>
  Client.make({ baseUrl: `http://127.0.0.1:${port}`, token: Redacted.make(token) })

const words = (count: number) => Array.from({ length: count }, (_, index) => `word-${index + 1} `)

const textOf = (events: ReadonlyArray<NumberedEvent>) =>
  events.map(({ event }) => event._tag === "Text" ? event.delta : "").join("")

/** Each event once, in its order, to the end. */
const assertWhole = (events: ReadonlyArray<NumberedEvent>, text: string) => {
  assert.deepStrictEqual(events.map(({ number }) => number), events.map((_, index) => index + 1))
  assert.strictEqual(textOf(events), text)
  assert.deepStrictEqual(events.at(-1)?.event, { _tag: "End", status: "done", reason: null })
}

const world = Layer.merge(
  Migrations.layerMigrations({ schema }).pipe(Layer.provideMerge(emptyDatabase())),
  NodeHttpClient.layerUndici
)

layer(world, { excludeTestServices: true, timeout: "60 seconds" })("two nodes and a client that is cut off", (it) => {
  it.effect(
    "it goes on at either, again and again; nothing is missed or told twice, and the model is asked once",
    () =>
      Effect.gen(function*() {
        const [one, other] = yield* two()
        const proxy = yield* cuttable(one.port)
        const client = yield* clientOf(proxy)
        const chatId = ChatId.make("c")
        yield* client.api.chats.create({ payload: { chatId } })
        const text = words(200).join("")
        const heard: Array<NumberedEvent> = []
        let cuts = 0
        yield* Stream.runForEach(
          client.send({ chatId, messageId: MessageId.make("m1"), text }),
          Effect.fnUntraced(function*(event) {
            heard.push(event)
            if (event.number % 25 !== 0) return
            cuts++
            yield* proxy.redirect(cuts % 2 === 1 ? other.port : one.port)
            yield* proxy.cut(cuts % 4 < 2)
          })
        )
        assertWhole(heard, text)
        assert.strictEqual(cuts, 8)
        assert.deepStrictEqual([one.asked(), other.asked()], [1, 0])
      }),
    120_000
  )

  it.effect("both tell all of a turn, while it runs and when it is over, from any event", () =>
    Effect.gen(function*() {
      const [one, other] = yield* two()
      const [here, there] = yield* Effect.all([clientOf(one), clientOf(other)])
      const chatId = ChatId.make("d")
      yield* here.api.chats.create({ payload: { chatId } })
      const text = words(100).join("")
      const message = { chatId, messageId: MessageId.make("m1"), text }
      // The first has begun it when the second asks.
      const all = yield* Effect.all([Stream.runCollect(here.send(message)), Stream.runCollect(there.send(message))], {
        concurrency: 2
      })
      for (const events of all) assertWhole(events, text)
      const latest = yield* there.api.turns.latest({ params: { chatId } })
      const turnId = latest?.turnId ?? TurnId.make("none")
      for (const client of [here, there]) {
        for (const after of [0, 1, 50, 100]) {
          const events = yield* Stream.runCollect(client.follow({ turnId, after }))
          assert.deepStrictEqual(events, all[0].slice(after))
        }
      }
      assert.strictEqual(one.asked() + other.asked(), 1)
    }), 120_000)

  it.effect(
    "its node is killed: it hears at the other that the turn has crashed, and the chat goes on there",
    () =>
      Effect.gen(function*() {
        const [one, other] = yield* two({ TURN_LEASE: "9 seconds", TURN_RENEW: "1 second", TURN_SWEEP: "1 second" })
        const proxy = yield* cuttable(one.port)
        const client = yield* clientOf(proxy)
        const chatId = ChatId.make("e")
        yield* client.api.chats.create({ payload: { chatId } })
        const heard: Array<NumberedEvent> = []
        yield* Stream.runForEach(
          client.send({ chatId, messageId: MessageId.make("m1"), text: words(10_000).join("") }),
          Effect.fnUntraced(function*(event) {
            heard.push(event)
            if (event.number !== 50) return
            yield* proxy.redirect(other.port)
            yield* one.kill
          })
        )
        assert.deepStrictEqual(heard.map(({ number }) => number), heard.map((_, index) => index + 1))
        assert.deepStrictEqual(heard.at(-1)?.event, { _tag: "End", status: "crashed", reason: "lost" })
        const again = yield* Stream.runCollect(client.send({ chatId, messageId: MessageId.make("m2"), text: "Well. " }))
        assertWhole(again, "Well. ")
      }),
    120_000
  )
})
