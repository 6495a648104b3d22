/** Streams of events behind real sockets: whoever leaves or does not read is no matter to the others, nor to the turn. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema, Stream } from "effect"
import { HttpRouter } from "effect/http"
import { MessageId } from "../../src/domain/Ids.ts"
import * as ApiRoutes from "../../src/http/ApiRoutes.ts"
import { CurrentPrincipal } from "../../src/http/Authentication.ts"
import * as EventStream from "../../src/http/EventStream.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import { ScriptedModel } from "../../src/testing/index.ts"
import { Turns } from "../../src/turn/Turns.ts"
import { eventually } from "../tool/program/support/Program.ts"
import { assertProblem } from "./support/problems.ts"
import { ann, bob, listening } from "./support/requests.ts"
import { open } from "./support/sockets.ts"
import { ask, listen } from "./support/streams.ts"
import * as World from "./support/world.ts"

const say = (messageId: string) => ({ messageId, text: "Hello" })

const sent = (base: string, messageId: string, headers = {}) =>
  ask(`${base}/chats/c/messages`, { method: "POST", body: JSON.stringify(say(messageId)), headers })

const done = { _tag: "End", status: "done", reason: null }

describe("a stream over a socket", () => {
  it.live(
    "whose client goes away ends, and its place is free; the turn goes on, and nothing of it is missed or told twice",
    () => {
      const gate = Deferred.makeUnsafe<void>()
      return Effect.gen(function*() {
        const base = yield* listening(Layer.provide(ApiRoutes.layer(), HttpConfig.layer({ streamsPerOwner: 1 })))
        const first = yield* sent(base, "m1")
        const turn = first.response.headers.get("chat-workspace-turn")
        const heard = yield* listen(first.response)
        let text = ""
        while (!text.includes("\"are \"")) text += yield* heard.next
        assert.strictEqual((yield* ask(`${base}/turns/${turn}/events`)).response.status, 429)
        yield* first.leave
        const { response } = yield* eventually(
          "the place is free",
          ask(`${base}/turns/${turn}/events`, { headers: { "last-event-id": "2" } }),
          ({ response }) => response.status === 200
        )
        assert.strictEqual((yield* Turns).running().length, 1)
        yield* Deferred.succeed(gate, undefined)
        const rest = yield* Effect.flatMap(listen(response), ({ rest }) => rest)
        assert.deepStrictEqual(rest.map(({ id }) => id), ["3", "4", "5", "6", "7"])
        assert.deepStrictEqual(rest.slice(-2), [{ id: "6", data: { _tag: "Text", delta: "today?" } }, {
          id: "7",
          data: done
        }])
        assert.strictEqual((yield* ScriptedModel.ScriptedModel).requests().length, 2)
      }).pipe(
        Effect.scoped,
        World.provide([
          ScriptedModel.reply({ text: "How are ", calls: [{ name: "unknown", args: {} }] }),
          () => Effect.as(Deferred.await(gate), { text: "you today?" })
        ])
      )
    },
    60_000
  )

  it.live(
    "of one owner is the 33rd too many, and of another the first",
    () =>
      Effect.gen(function*() {
        const base = yield* listening(ApiRoutes.layer())
        const { turn } = yield* (yield* Turns).send({
          chatId: World.c,
          owner: ann,
          messageId: MessageId.make("m1"),
          text: "Hello"
        })
        const streams = yield* Effect.forEach(
          Array.from({ length: 32 }),
          () => ask(`${base}/turns/${turn.turnId}/events`),
          { concurrency: 8 }
        )
        assert.deepStrictEqual(new Set(streams.map(({ response }) => response.status)), new Set([200]))
        const { response } = yield* ask(`${base}/turns/${turn.turnId}/events`)
        const body = yield* Effect.promise(() => response.json())
        const type = response.headers.get("content-type") ?? ""
        assertProblem({ status: response.status, type, body }, 429, "too_many_streams", { limit: 32 })
        const other = { authorization: `Bearer ${bob}` }
        // Not his, and not too many.
        assert.strictEqual((yield* ask(`${base}/turns/${turn.turnId}/events`, { headers: other })).response.status, 404)
        yield* ask(`${base}/chats`, { method: "POST", body: "{\"chatId\":\"d\"}", headers: other })
        const message = { method: "POST", body: JSON.stringify(say("m1")), headers: other }
        assert.strictEqual((yield* ask(`${base}/chats/d/messages`, message)).response.status, 200)
      }).pipe(Effect.scoped, World.provide([ScriptedModel.hang, ScriptedModel.hang])),
    60_000
  )

  it.live(
    "that nobody reads takes no more of its events than sockets hold, and holds up no other",
    () =>
      Effect.gen(function*() {
        const size = 64 * 1024
        const data = "x".repeat(size)
        const taken = { slow: 0, fast: 0 }
        const over = Deferred.makeUnsafe<void>()
        const events = (who: "slow" | "fast", count: number) =>
          Stream.range(1, count).pipe(
            Stream.tap(() => Effect.sync(() => taken[who]++)),
            Stream.map((number) => ({ number, data })),
            Stream.ensuring(who === "slow" ? Deferred.succeed(over, undefined) : Effect.void)
          )
        const route = (who: "slow" | "fast", count: number) =>
          HttpRouter.add(
            "GET",
            `/${who}`,
            Effect.flatMap(
              EventStream.EventStreams,
              ({ respond }) => respond({ data: Schema.String, events: events(who, count) })
            ).pipe(
              Effect.orDie,
              Effect.provideService(CurrentPrincipal, { owner: ann, tenant: null })
            )
          )
        const base = yield* listening(
          Layer.merge(route("slow", 1_000_000), route("fast", 1000)).pipe(HttpRouter.provideRequest(EventStream.layer))
        )
        const slow = yield* open(base, { reads: false })
        yield* slow.write("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        yield* eventually("it has begun", Effect.sync(() => taken.slow), (count) => count > 0)
        const { response } = yield* ask(`${base}/fast`)
        assert.isAbove((yield* Effect.promise(() => response.text())).length, 1000 * size)
        assert.strictEqual(taken.fast, 1000)
        // Two sockets and what is under way between them.
        assert.isBelow(taken.slow, 400)
        yield* slow.leave
        yield* Deferred.await(over)
      }).pipe(Effect.scoped),
    60_000
  )
})
