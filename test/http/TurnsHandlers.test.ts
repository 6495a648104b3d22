import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Option, Scope, Stream } from "effect"
import type { LanguageModel } from "effect/ai"
import { TestClock } from "effect/testing"
import { BindingRefused, StoreError, TurnRefused } from "../../src/domain/Errors.ts"
import { ChatId, MessageId, NodeId, TurnId } from "../../src/domain/Ids.ts"
import * as EventStream from "../../src/http/EventStream.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import * as Owned from "../../src/http/Owned.ts"
import * as TurnsHandlers from "../../src/http/TurnsHandlers.ts"
import { Chats } from "../../src/store/Chats.ts"
import { TurnStore } from "../../src/store/TurnStore.ts"
import { ScriptedModel, TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import * as Turns from "../../src/turn/Turns.ts"
import { assertProblem } from "./support/problems.ts"
import { ann, serve } from "./support/requests.ts"
import type { Sending } from "./support/requests.ts"
import { listen } from "./support/streams.ts"

const c = ChatId.make("c")

const layer = (script: ReadonlyArray<ScriptedModel.Step>, config: HttpConfig.Options = {}) =>
  Layer.mergeAll(Turns.layerWithoutSetup({ nodeId: NodeId.make("n") }), EventStream.layer, Owned.layer).pipe(
    Layer.provide(HttpConfig.layer(config)),
    Layer.provideMerge(ScriptedModel.layer(script)),
    Layer.provideMerge(TestBuilds.layer)
  )

type Services =
  | TestBuilds.Services
  | Turns.Turns
  | EventStream.EventStreams
  | Owned.OwnedChats
  | LanguageModel.LanguageModel
  | ScriptedModel.ScriptedModel

/** A test in a world with a model that plays these steps, and with the chat `c`. */
const world = (
  name: string,
  script: ReadonlyArray<ScriptedModel.Step>,
  body: () => Effect.Effect<void, unknown, Services | Scope.Scope>,
  config?: HttpConfig.Options
) =>
  it.effect(name, () =>
    Effect.andThen(
      Effect.flatMap(Chats, (chats) => chats.create({ chatId: c, owner: ann })),
      Effect.scoped(body())
    ).pipe(TestWorkspaces.provideWith(layer(script, config), { drain: "10 seconds" })))

const say = (id: string, text = "Hello"): Sending => ({ body: { messageId: id, text } })

const turnOf = (id: string) => ({ chatId: c, owner: ann, messageId: MessageId.make(id), text: "Hello" })

const text = (delta: string) => ({ _tag: "Text", delta })
const done = { _tag: "End", status: "done", reason: null }

describe("TurnsHandlers", () => {
  world("streams what a turn tells from its first event to its end, each under its number", [
    ScriptedModel.say("How are you?")
  ], () =>
    Effect.gen(function*() {
      const { fetch } = yield* serve(TurnsHandlers.layerRoutes)
      const response = yield* fetch("POST /chats/c/messages", say("m1"))
      const { rest } = yield* listen(response)
      assert.deepStrictEqual(yield* rest, [
        { id: "1", data: text("How ") },
        { id: "2", data: text("are ") },
        { id: "3", data: text("you?") },
        { id: "4", data: done }
      ])
      assert.strictEqual(response.headers.get("cache-control"), "no-store")
      assert.strictEqual(response.headers.get("x-accel-buffering"), "no")
      const latest = Option.getOrThrow(yield* (yield* TurnStore).latest({ chatId: c, owner: ann }))
      assert.strictEqual(response.headers.get("chat-workspace-turn"), latest.turnId)
      assert.strictEqual(latest.messageId, "m1")
    }))

  world("the same message again attaches to its turn, from the first event or behind the last that one has", [
    ScriptedModel.say("How are you?")
  ], () =>
    Effect.gen(function*() {
      const { fetch } = yield* serve(TurnsHandlers.layerRoutes)
      const heard = (request: string, headers: Record<string, string> = {}) =>
        fetch(request, { ...say("m1"), headers }).pipe(
          Effect.flatMap(listen),
          Effect.flatMap(({ rest }) => rest),
          Effect.map((events) => events.map(({ id }) => id))
        )
      assert.deepStrictEqual(yield* heard("POST /chats/c/messages"), ["1", "2", "3", "4"])
      assert.deepStrictEqual(yield* heard("POST /chats/c/messages"), ["1", "2", "3", "4"])
      assert.deepStrictEqual(yield* heard("POST /chats/c/messages", { "last-event-id": "2" }), ["3", "4"])
      assert.deepStrictEqual(yield* heard("POST /chats/c/messages?after=3"), ["4"])
      assert.deepStrictEqual(yield* heard("POST /chats/c/messages?after=1", { "last-event-id": "3" }), ["4"])
      assert.strictEqual((yield* ScriptedModel.ScriptedModel).requests().length, 1)
    }))

  world(
    "another message during a turn is refused, with the turn that runs",
    [ScriptedModel.hang],
    () =>
      Effect.gen(function*() {
        const { fetch, send } = yield* serve(TurnsHandlers.layerRoutes)
        const first = yield* fetch("POST /chats/c/messages", say("m1"))
        const answer = yield* send("POST /chats/c/messages", say("m2"))
        assertProblem(answer, 409, "turn_running", { chatId: "c", turnId: first.headers.get("chat-workspace-turn") })
        yield* listen(first)
      })
  )

  world("a client that goes away ends its stream, and not the turn", [
    ScriptedModel.slowly(ScriptedModel.say("one two three"), "1 second")
  ], () =>
    Effect.gen(function*() {
      const turns = yield* Turns.Turns
      const { fetch } = yield* serve(TurnsHandlers.layerRoutes)
      const leaving = yield* Effect.flatMap(fetch("POST /chats/c/messages", say("m1")), listen)
      const staying = yield* Effect.flatMap(fetch("POST /chats/c/messages", say("m1")), listen)
      const rest = yield* Effect.forkChild(staying.rest, { startImmediately: true })
      yield* leaving.next
      yield* leaving.close
      for (const _ of [1, 2, 3, 4, 5]) yield* TestClock.adjust("1 second")
      const events = yield* Fiber.join(rest)
      assert.deepStrictEqual(events.at(-1)?.data, done)
      assert.deepStrictEqual(turns.running(), [])
    }))

  world(
    "a stream without news says so at once, and after every 15 seconds",
    [ScriptedModel.hang],
    () =>
      Effect.gen(function*() {
        const { fetch } = yield* serve(TurnsHandlers.layerRoutes)
        const { next } = yield* Effect.flatMap(fetch("POST /chats/c/messages", say("m1")), listen)
        assert.strictEqual(yield* next, ": keep-alive\n\n")
        const second = yield* Effect.forkChild(next, { startImmediately: true })
        yield* TestClock.adjust("14999 millis")
        assert.isUndefined(second.pollUnsafe())
        yield* TestClock.adjust("1 milli")
        assert.strictEqual(yield* Fiber.join(second), ": keep-alive\n\n")
      })
  )

  world("with as many streams as one may have nothing begins, and one that was closed makes room", [
    ScriptedModel.hang,
    ScriptedModel.say("Yes")
  ], () =>
    Effect.gen(function*() {
      const { fetch, send } = yield* serve(TurnsHandlers.layerRoutes)
      yield* (yield* Chats).create({ chatId: ChatId.make("d"), owner: ann })
      const first = yield* Effect.flatMap(fetch("POST /chats/c/messages", say("m1")), listen)
      yield* Effect.flatMap(fetch("POST /chats/c/messages", say("m1")), listen)
      assertProblem(yield* send("POST /chats/d/messages", say("m2")), 429, "too_many_streams", { limit: 2 })
      assert.deepStrictEqual(yield* (yield* TurnStore).latest({ chatId: ChatId.make("d"), owner: ann }), Option.none())
      const turn = Option.getOrThrow(yield* (yield* TurnStore).latest({ chatId: c, owner: ann }))
      assertProblem(yield* send(`GET /turns/${turn.turnId}/events`), 429, "too_many_streams")
      yield* first.close
      const second = yield* Effect.flatMap(fetch("POST /chats/d/messages", say("m2")), listen)
      assert.deepStrictEqual((yield* second.rest).at(-1)?.data, done)
    }), { streamsPerOwner: 2 })

  world(
    "a request that is refused holds no place",
    [ScriptedModel.hang, ScriptedModel.hang],
    () =>
      Effect.gen(function*() {
        const { fetch, send } = yield* serve(TurnsHandlers.layerRoutes)
        yield* (yield* Turns.Turns).send(turnOf("m1"))
        for (const _ of [1, 2, 3]) assertProblem(yield* send("POST /chats/c/messages", say("m2")), 409, "turn_running")
        yield* Effect.flatMap(fetch("POST /chats/c/messages", say("m1")), listen)
      }),
    { streamsPerOwner: 1 }
  )

  world(
    "the model of a child has no tools on workspaces",
    [ScriptedModel.say("Yes"), ScriptedModel.say("Yes")],
    () =>
      Effect.gen(function*() {
        const { fetch } = yield* serve(TurnsHandlers.layerRoutes)
        yield* (yield* Chats).create({ chatId: ChatId.make("child"), owner: ann, parent: c })
        for (const chat of ["c", "child"]) {
          const { rest } = yield* Effect.flatMap(fetch(`POST /chats/${chat}/messages`, say(chat)), listen)
          yield* rest
        }
        const tools = (yield* ScriptedModel.ScriptedModel).requests().map(({ tools }) => tools.map(({ name }) => name))
        assert.deepStrictEqual(tools.map((names) => names.includes("create_workspace")), [true, false])
        assert.deepStrictEqual(tools.map((names) => names.includes("execute")), [true, true])
      })
  )

  world(
    "a text beyond its limit is refused, at its limit it is taken",
    [ScriptedModel.say("Yes")],
    () =>
      Effect.gen(function*() {
        const { fetch, send } = yield* serve(Layer.provide(
          TurnsHandlers.layerRoutes,
          HttpConfig.layer({ messageBytes: 4 })
        ))
        // Two bytes each.
        assertProblem(yield* send("POST /chats/c/messages", say("m1", "ééé")), 413, "message_too_large", { limit: 4 })
        const { rest } = yield* Effect.flatMap(fetch("POST /chats/c/messages", say("m1", "éé")), listen)
        yield* rest
      })
  )

  world(
    "the history is read a page at a time",
    [ScriptedModel.say("How are you?"), ScriptedModel.say("Well")],
    () =>
      Effect.gen(function*() {
        const { fetch, send } = yield* serve(TurnsHandlers.layerRoutes)
        const empty = yield* send("GET /chats/c/messages")
        assert.deepStrictEqual(empty.body, { messages: [], next: null })
        for (const id of ["m1", "m2"]) {
          const { rest } = yield* Effect.flatMap(fetch("POST /chats/c/messages", say(id, id)), listen)
          yield* rest
        }
        const { body } = yield* send("GET /chats/c/messages")
        assert.deepStrictEqual(
          body.messages.map(({ epoch, message, number }: typeof body) => [epoch, number, message.role]),
          [[1, 1, "user"], [1, 2, "assistant"], [2, 1, "user"], [2, 2, "assistant"]]
        )
        assert.strictEqual(body.next, "2.2")
        const behind = yield* send("GET /chats/c/messages?after=1.2")
        assert.deepStrictEqual(behind.body.messages, body.messages.slice(2))
        assert.deepStrictEqual((yield* send("GET /chats/c/messages?after=2.2")).body, { messages: [], next: null })
      })
  )

  world(
    "the latest turn is null before the first, and tells how far it is",
    [ScriptedModel.hang],
    () =>
      Effect.gen(function*() {
        const { send } = yield* serve(TurnsHandlers.layerRoutes)
        assert.deepStrictEqual(yield* send("GET /chats/c/turn"), { status: 200, type: "application/json", body: null })
        const { turn } = yield* (yield* Turns.Turns).send(turnOf("m1"))
        const { body } = yield* send("GET /chats/c/turn")
        assert.deepInclude(body, { turnId: turn.turnId, messageId: "m1", status: "running", reason: null, nodeId: "n" })
        assert.deepStrictEqual((yield* send(`GET /turns/${turn.turnId}`)).body, body)
      })
  )

  world(
    "an interrupt ends the turn that runs, and is no error where none does",
    [ScriptedModel.hang],
    () =>
      Effect.gen(function*() {
        const { fetch, send } = yield* serve(TurnsHandlers.layerRoutes)
        const none = yield* send("POST /chats/c/interrupt")
        assert.deepStrictEqual([none.status, none.body], [202, null])
        const { rest } = yield* Effect.flatMap(fetch("POST /chats/c/messages", say("m1")), listen)
        const answer = yield* send("POST /chats/c/interrupt")
        assert.strictEqual(answer.status, 202)
        assert.deepInclude(answer.body, { messageId: "m1" })
        assert.deepStrictEqual((yield* rest).at(-1)?.data, { _tag: "End", status: "interrupted", reason: "user" })
      })
  )

  world("a turn is followed from its first event or behind one, also after its end", [
    ScriptedModel.say("How are you?")
  ], () =>
    Effect.gen(function*() {
      const { fetch } = yield* serve(TurnsHandlers.layerRoutes)
      const { events, turn } = yield* (yield* Turns.Turns).send(turnOf("m1"))
      yield* Stream.runDrain(events)
      yield* TestClock.adjust("1 second")
      const heard = (request: string, headers: Record<string, string> = {}) =>
        fetch(`GET /turns/${turn.turnId}/events${request}`, { headers }).pipe(
          Effect.flatMap(listen),
          Effect.flatMap(({ rest }) => rest)
        )
      const all = yield* heard("")
      assert.deepStrictEqual(all.map(({ id }) => id), ["1", "2", "3", "4"])
      assert.deepStrictEqual(yield* heard("", { "last-event-id": "2" }), all.slice(2))
      assert.deepStrictEqual(yield* heard("?after=3"), all.slice(3))
    }))

  world("a turn that another node runs is followed here, and taken up here, to its end", [
    ScriptedModel.slowly(ScriptedModel.say("How are you?"), "1 second")
  ], () =>
    Effect.gen(function*() {
      const { fetch } = yield* serve(TurnsHandlers.layerRoutes)
      const other = yield* Layer.buildWithMemoMap(
        Turns.layerWithoutSetup({ nodeId: NodeId.make("other") }),
        Layer.makeMemoMapUnsafe(),
        yield* Scope.fork(yield* Effect.scope)
      )
      const { turn } = yield* Context.get(other, Turns.Turns).send(turnOf("m1"))
      assert.strictEqual(turn.nodeId, "other")
      const following = yield* Effect.flatMap(fetch(`GET /turns/${turn.turnId}/events`), listen)
      const repeated = yield* Effect.flatMap(
        fetch("POST /chats/c/messages", { ...say("m1"), headers: { "last-event-id": "2" } }),
        listen
      )
      const rest = yield* Effect.forkChild(Effect.all([following.rest, repeated.rest], { concurrency: 2 }), {
        startImmediately: true
      })
      for (let second = 0; second < 20 && rest.pollUnsafe() === undefined; second++) {
        yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("1 second")
      }
      const [all, behind] = yield* Fiber.join(rest)
      assert.deepStrictEqual(all.map(({ id }) => id), ["1", "2", "3", "4"])
      assert.deepStrictEqual(behind, all.slice(2))
      assert.strictEqual((yield* ScriptedModel.ScriptedModel).requests().length, 1)
    }))

  world(
    "a stream whose store fails ends before its last event, and says nothing of it",
    [],
    () =>
      Effect.gen(function*() {
        const turns = yield* Turns.Turns
        const failing = new StoreError({ operation: "TurnStore.events", cause: new Error("the password is 1234") })
        const { fetch } = yield* serve(Layer.provide(
          TurnsHandlers.layerRoutes,
          Layer.succeed(Turns.Turns, {
            ...turns,
            follow: () =>
              Stream.concat(
                Stream.succeed({ number: 1, event: { _tag: "Text", delta: "x" } as const }),
                Stream.fail(failing)
              )
          })
        ))
        const turnId = TurnId.make("t")
        yield* (yield* TurnStore).begin({
          ...turnOf("m1"),
          turnId,
          message: { role: "user", content: [] },
          nodeId: NodeId.make("other"),
          lease: Duration.seconds(30)
        })
        const { rest } = yield* Effect.flatMap(fetch("GET /turns/t/events"), listen)
        assert.deepStrictEqual(yield* rest, [{ id: "1", data: text("x") }])
      })
  )

  world(
    "a node that is about to end refuses a message, and a chat that is gone is not found",
    [],
    () =>
      Effect.gen(function*() {
        const turns = yield* Turns.Turns
        const cases = [
          [new TurnRefused({ chatId: c }), 503, "turn_refused"],
          [new BindingRefused({ chatId: c, workspaceId: null }), 404, "not_found"],
          [new StoreError({ operation: "TurnStore.begin" }), 503, "store_error"]
        ] as const
        for (const [error, status, code] of cases) {
          const { send } = yield* serve(Layer.provide(
            TurnsHandlers.layerRoutes,
            Layer.succeed(Turns.Turns, { ...turns, send: () => Effect.fail(error) })
          ))
          assertProblem(yield* send("POST /chats/c/messages", say("m1")), status, code)
        }
      })
  )

  world("what a request gets wrong is named by its field", [], () =>
    Effect.gen(function*() {
      const { send } = yield* serve(TurnsHandlers.layerRoutes)
      const wrong: ReadonlyArray<readonly [request: string, sending: Sending, place: string, field: string]> = [
        ["POST /chats/c/messages", { body: { text: "x" } }, "body", "messageId"],
        ["POST /chats/c/messages", { body: { messageId: "m" } }, "body", "text"],
        ["POST /chats/c/messages", say("m1", ""), "body", "text"],
        ["POST /chats/c/messages", { ...say("m1"), headers: { "last-event-id": "x" } }, "headers", "last-event-id"],
        ["POST /chats/c/messages?after=-1", say("m1"), "query", "after"],
        ["GET /turns/t/events?after=2147483648", {}, "query", "after"],
        ["GET /chats/c/messages?after=1", {}, "query", "after"],
        ["GET /chats/c/messages?after=1.2147483648", {}, "query", "after"],
        ["GET /turns/a%00b", {}, "path", "turnId"]
      ]
      for (const [request, sending, place, field] of wrong) {
        const answer = yield* send(request, sending)
        assertProblem(answer, 400, "bad_request")
        assert.strictEqual(answer.body.problems[0].in, place, request)
        assert.isTrue(String(answer.body.problems[0].field).startsWith(field), `${request}: ${answer.body.detail}`)
      }
    }))
})
