import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Redacted, Stream } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { StoreError, TurnRunning } from "../../src/domain/Errors.ts"
import { ChatId, MessageId, TurnId } from "../../src/domain/Ids.ts"
import type { NumberedEvent } from "../../src/domain/Turn.ts"
import * as Client from "../../src/http/Client.ts"
import { MessageTooLarge, NotFound, Unauthenticated } from "../../src/http/HttpErrors.ts"
import { StreamLost } from "../../src/http/Resumption.ts"
import { ScriptedModel, TestWorkspaces } from "../../src/testing/index.ts"
import { Turns } from "../../src/turn/Turns.ts"
import { cutAfter, type Meddle, wire } from "./support/client.ts"
import { assertError } from "./support/problems.ts"
import { ann, type Routes } from "./support/requests.ts"
import * as World from "./support/world.ts"

const m1 = { chatId: World.c, messageId: MessageId.make("m1"), text: "Hello" }

const clientOf = (routes: Routes, options: Partial<Client.Options> = {}, meddle?: Meddle) => {
  const { client, requests } = wire(routes, meddle)
  return Effect.map(
    Client.make({ baseUrl: "http://api.test", token: Redacted.make(ann), ...options }).pipe(
      Effect.provideService(HttpClient.HttpClient, client)
    ),
    (client) => ({ ...client, requests })
  )
}

/** Runs while time passes, a second at a time. */
const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  for (let second = 0; second < 600 && fiber.pollUnsafe() === undefined; second++) {
    // What the wire carries is carried by promises.
    yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    yield* TestClock.adjust("1 second")
  }
  return yield* Fiber.join(fiber)
})

const told = (events: ReadonlyArray<NumberedEvent>) =>
  events.map(({ event, number }) => [number, event._tag === "Text" ? event.delta : event._tag])

const all = [[1, "How "], [2, "are "], [3, "you?"], [4, "End"]]

describe("Client", () => {
  it.effect("asks all endpoints by their groups, and reads typed errors", () =>
    Effect.gen(function*() {
      const { api } = yield* Effect.flatMap(World.api(), (routes) => clientOf(routes))
      const made = yield* api.chats.create({ payload: { chatId: ChatId.make("d") } })
      assert.strictEqual(made.chatId, "d")
      const page = yield* api.chats.list({ query: { limit: 1 } })
      assert.deepStrictEqual(page.next, "d")
      const missing = yield* Effect.flip(api.chats.get({ params: { chatId: ChatId.make("none") } }))
      assertError(missing, new NotFound({ kind: "chat", id: "none" }))
      yield* (yield* TestWorkspaces.TestWorkspaces).running(ChatId.make("d"))
      yield* (yield* TestWorkspaces.TestWorkspaces).databaseDown()
      const down = yield* Effect.flip(api.chats.get({ params: { chatId: ChatId.make("d") } }))
      assert.instanceOf(down, StoreError)
      const templates = yield* api.templates.list({ query: {} })
      assert.strictEqual(templates.templates.length, 1)
    }).pipe(World.provide([])))

  it.effect("a wrong token is refused, and is not in the error", () =>
    Effect.gen(function*() {
      const routes = yield* World.api()
      const { api, send } = yield* clientOf(routes, { token: Redacted.make("a-wrong-one") })
      assertError(yield* Effect.flip(api.chats.list({ query: {} })), new Unauthenticated())
      assertError(yield* Effect.flip(Stream.runDrain(send(m1))), new Unauthenticated())
    }).pipe(World.provide([])))

  it.effect("sends a message and gives what its turn tells", () =>
    Effect.gen(function*() {
      const { requests, send } = yield* Effect.flatMap(World.api(), (routes) => clientOf(routes))
      assert.deepStrictEqual(told(yield* Stream.runCollect(send(m1))), all)
      assert.strictEqual(requests.length, 1)
    }).pipe(World.provide([ScriptedModel.say("How are you?")])))

  for (const how of ["ends", "breaks"] as const) {
    it.effect(`an answer that ${how} early is taken up behind its last event, and the turn is one`, () =>
      Effect.gen(function*() {
        const routes = yield* World.api()
        const { requests, send } = yield* clientOf(routes, {}, (response, asked) =>
          // The first piece says that it lives.
          asked < 3 ? cutAfter(response, 2, how) : response)
        assert.deepStrictEqual(told(yield* passing(Stream.runCollect(send(m1)))), all)
        assert.isAbove(requests.length, 1)
        assert.strictEqual((yield* ScriptedModel.ScriptedModel).requests().length, 1)
      }).pipe(World.provide([ScriptedModel.slowly(ScriptedModel.say("How are you?"), "2 seconds")])))
  }

  it.effect("while the server is away it is tried again, and what was told meanwhile is not missed", () =>
    Effect.gen(function*() {
      const routes = yield* World.api()
      const { requests, send } = yield* clientOf(
        routes,
        {},
        (response, asked) => asked === 0 ? cutAfter(response, 2, "breaks") : asked < 8 ? undefined : response
      )
      assert.deepStrictEqual(told(yield* passing(Stream.runCollect(send(m1)))), all)
      assert.strictEqual(requests.length, 9)
      assert.strictEqual(requests.at(-1)?.headers["last-event-id"], "1")
    }).pipe(World.provide([ScriptedModel.slowly(ScriptedModel.say("How are you?"), "2 seconds")])))

  it.effect("a link that says nothing any more is cut off after 45 seconds", () =>
    Effect.gen(function*() {
      const routes = yield* World.api()
      const { requests, send } = yield* clientOf(routes, {}, (response, asked) =>
        asked === 0
          ? new Response(new ReadableStream(), { headers: response.headers })
          : response)
      const seconds = Effect.map(Clock.currentTimeMillis, (millis) => millis / 1000)
      const began = yield* seconds
      assert.deepStrictEqual(told(yield* passing(Stream.runCollect(send(m1)))), all)
      assert.strictEqual(requests.length, 2)
      assert.isAtLeast((yield* seconds) - began, 45)
    }).pipe(World.provide([ScriptedModel.say("How are you?")])))

  it.effect("a server that does not come back is given up, with the last event that there was", () =>
    Effect.gen(function*() {
      const routes = yield* World.api()
      const { send } = yield* clientOf(
        routes,
        {},
        (response, asked) => asked === 0 ? cutAfter(response, 2, "ends") : undefined
      )
      const lost = yield* Effect.flip(passing(Stream.runDrain(send(m1))))
      assert.instanceOf(lost, StreamLost)
      assert.deepInclude(lost, { after: 1 })
    }).pipe(World.provide([ScriptedModel.slowly(ScriptedModel.say("How are you?"), "2 seconds")])))

  it.effect("what an answer says first is the caller's, and is not tried again", () =>
    Effect.gen(function*() {
      const routes = yield* World.api({ messageBytes: 10 })
      const { requests, send } = yield* clientOf(routes)
      const { turn } = yield* (yield* Turns).send({ ...m1, owner: ann })
      const running = yield* Effect.flip(Stream.runDrain(send({ ...m1, messageId: MessageId.make("m2") })))
      assertError(running, new TurnRunning({ chatId: World.c, turnId: turn.turnId }))
      const none = yield* Effect.flip(Stream.runDrain(send({ ...m1, chatId: ChatId.make("none") })))
      assertError(none, new NotFound({ kind: "chat", id: "none" }))
      const large = yield* Effect.flip(Stream.runDrain(send({ ...m1, text: "x".repeat(11) })))
      assertError(large, new MessageTooLarge({ limit: 10 }))
      assert.strictEqual(requests.length, 3)
    }).pipe(World.provide([ScriptedModel.hang])))

  it.effect("a server that is not there is told at once", () =>
    Effect.gen(function*() {
      const routes = yield* World.api()
      const { requests, send } = yield* clientOf(routes, {}, () => undefined)
      assert.deepInclude(yield* Effect.flip(Stream.runDrain(send(m1))), { _tag: "HttpClientError" })
      assert.strictEqual(requests.length, 1)
    }).pipe(World.provide([ScriptedModel.say("Yes")])))

  it.effect("a server that does not answer at all is given up after 45 seconds", () =>
    Effect.gen(function*() {
      const { send } = yield* Client.make({ baseUrl: "http://api.test", token: Redacted.make(ann) }).pipe(
        Effect.provideService(HttpClient.HttpClient, HttpClient.make(() => Effect.never))
      )
      const fiber = yield* Effect.forkChild(Effect.flip(Stream.runDrain(send(m1))), { startImmediately: true })
      yield* TestClock.adjust("44999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.deepInclude(yield* Fiber.join(fiber), { _tag: "StreamLost", after: 0 })
    }))

  it.effect("follows a turn behind an event", () =>
    Effect.gen(function*() {
      const routes = yield* World.api()
      const { follow } = yield* clientOf(routes, {}, (response, asked) =>
        asked === 0 ? cutAfter(response, 2, "breaks") : response)
      const { turn } = yield* (yield* Turns).send({ ...m1, owner: ann })
      const events = yield* passing(Stream.runCollect(follow({ turnId: turn.turnId, after: 1 })))
      assert.deepStrictEqual(told(events), all.slice(1))
      const none = yield* Effect.flip(Stream.runDrain(follow({ turnId: TurnId.make("none") })))
      assertError(none, new NotFound({ kind: "turn", id: "none" }))
    }).pipe(World.provide([ScriptedModel.slowly(ScriptedModel.say("How are you?"), "2 seconds")])))
})
