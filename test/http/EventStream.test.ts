import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Metric, Schema, Stream } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { TestClock } from "effect/testing"
import { Authorization } from "../../src/http/Authentication.ts"
import * as EventStream from "../../src/http/EventStream.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import { TooManyStreams } from "../../src/http/HttpErrors.ts"
import * as HttpMetrics from "../../src/http/HttpMetrics.ts"
import * as Mount from "../../src/http/Mount.ts"
import * as Problem from "../../src/http/Problem.ts"
import { Requests } from "../../src/http/Requests.ts"
import { eventually } from "../tool/program/support/Program.ts"
import { assertProblem } from "./support/problems.ts"
import { ann, bob, listening, serve } from "./support/requests.ts"
import { ask, listen } from "./support/streams.ts"

const Word = Schema.Struct({ word: Schema.String.check(Schema.isMaxLength(3)) })

const api = HttpApi.make("chat-workspace").add(
  HttpApiGroup.make("words").add(
    HttpApiEndpoint.get("words", "/words", { success: EventStream.schema(Word), error: Problem.of(TooManyStreams) })
  ).middleware(Authorization).middleware(Requests)
)

const routes = (events: Stream.Stream<EventStream.Told<typeof Word.Type>, unknown>, config: HttpConfig.Options = {}) =>
  HttpApiBuilder.layer(api).pipe(
    Layer.provide(HttpApiBuilder.group(
      api,
      "words",
      Effect.fnUntraced(function*(handlers) {
        const streams = yield* EventStream.EventStreams
        return handlers.handle("words", () => streams.respond({ data: Word, events }))
      })
    )),
    Layer.provide([Mount.guards, EventStream.layer]),
    Layer.provide(HttpConfig.layer(config))
  )

const told = (...words: ReadonlyArray<string>) => words.map((word, index) => ({ number: index + 1, data: { word } }))

describe("EventStream", () => {
  it.effect("ends with what it streams", () =>
    Effect.scoped(Effect.gen(function*() {
      const { fetch } = yield* serve(routes(Stream.fromIterable(told("a", "b\nc"))))
      const { rest } = yield* Effect.flatMap(fetch("GET /words"), listen)
      assert.deepStrictEqual(yield* rest, [
        { id: "1", data: { word: "a" } },
        { id: "2", data: { word: "b\nc" } }
      ])
    })))

  it.effect("what cannot be told, and a defect, end it without a word", () =>
    Effect.scoped(Effect.gen(function*() {
      const streams = [
        Stream.fromIterable(told("a", "long", "b")),
        Stream.concat(Stream.fromIterable(told("a")), Stream.die(new Error("the password is 1234")))
      ]
      for (const events of streams) {
        const { fetch } = yield* serve(routes(events))
        const { rest } = yield* Effect.flatMap(fetch("GET /words"), listen)
        assert.deepStrictEqual(yield* rest, [{ id: "1", data: { word: "a" } }])
      }
    })))

  it.effect("each owner has places of its own, and has them back", () =>
    Effect.scoped(Effect.gen(function*() {
      const { fetch, send } = yield* serve(routes(Stream.never, { streamsPerOwner: 1 }))
      for (const token of [ann, bob]) {
        const first = yield* Effect.flatMap(fetch("GET /words", { token }), listen)
        assertProblem(yield* send("GET /words", { token }), 429, "too_many_streams", { limit: 1 })
        yield* first.close
        yield* Effect.flatMap(fetch("GET /words", { token }), listen)
      }
    })))

  it.effect("the gauge shows those that are open, of all owners", () => {
    const open = Effect.map(Metric.value(HttpMetrics.streams), ({ value }) => value)
    return Effect.gen(function*() {
      const { fetch, send } = yield* serve(routes(Stream.never, { streamsPerOwner: 1 }))
      const before = yield* open
      const [first, second] = yield* Effect.forEach(
        [ann, bob],
        (token) => Effect.flatMap(fetch("GET /words", { token }), listen)
      )
      yield* send("GET /words", { token: ann })
      assert.strictEqual(yield* open, before + 2)
      for (const stream of [first, second]) yield* stream?.close ?? assert.fail()
      yield* TestClock.withLive(eventually("they are gone", open, (now) => now === before))
    }).pipe(Effect.scoped)
  })

  it.live(
    "over a socket: it begins before there is news, and a client that goes away gives its place back",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const left = yield* Deferred.make<void>()
        const quiet = Stream.ensuring(Stream.never, Deferred.succeed(left, undefined))
        const url = `${yield* listening(routes(quiet, { streamsPerOwner: 1 }))}/words`
        const { leave, response } = yield* ask(url)
        const { next } = yield* listen(response)
        assert.strictEqual(yield* next, ": keep-alive\n\n")
        assert.strictEqual((yield* ask(url)).response.status, 429)
        yield* leave
        yield* Deferred.await(left)
        // The place is given back a little after the stream has ended.
        yield* eventually("the place is free", ask(url), ({ response }) => response.status === 200)
      })),
    20_000
  )
})
