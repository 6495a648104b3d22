import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { StoreError } from "../../src/domain/Errors.ts"
import { MessageId } from "../../src/domain/Ids.ts"
import * as ExplanationsHandlers from "../../src/http/ExplanationsHandlers.ts"
import * as Owned from "../../src/http/Owned.ts"
import { ScriptedModel, TestWorkspaces } from "../../src/testing/index.ts"
import * as Explanation from "../../src/turn/Explanation.ts"
import { Turns } from "../../src/turn/Turns.ts"
import { assertProblem } from "./support/problems.ts"
import { ann, bob, serve } from "./support/requests.ts"
import * as World from "./support/world.ts"

const routes = serve(Layer.provide(ExplanationsHandlers.layerRoutes, Owned.layer))

const text = { headers: { accept: "text/plain" } }

describe("ExplanationsHandlers", () => {
  it.effect("names the cause first, as data or as a page of text", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      yield* (yield* TestWorkspaces.TestWorkspaces).stopped(World.c)
      const { body, status } = yield* send("GET /chats/c/explanation")
      assert.strictEqual(status, 200)
      assert.strictEqual(body.chatId, "c")
      assert.include(body.finding.message, "stopped")
      const page = yield* send("GET /chats/c/explanation", text)
      assert.strictEqual(page.status, 200)
      assert.include(page.type, "text/plain")
      assert.include(page.body, `finding    ${body.finding.message}`)
    }).pipe(World.provide([])))

  it.effect("tells the turn that runs here", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      const { turn } = yield* (yield* Turns).send({
        chatId: World.c,
        owner: ann,
        messageId: MessageId.make("m"),
        text: "x"
      })
      const { body } = yield* send("GET /chats/c/explanation")
      assert.deepInclude(body.turn, { turnId: turn.turnId, status: "running", nodeId: "n" })
      assert.deepInclude(body.turns.running, { turnId: turn.turnId })
    }).pipe(World.provide([ScriptedModel.hang])))

  it.effect("a chat that is another's, or nobody's, is not found", () =>
    Effect.gen(function*() {
      const { send } = yield* routes
      assertProblem(yield* send("GET /chats/c/explanation", { token: bob }), 404, "not_found", {
        kind: "chat",
        id: "c"
      })
      assertProblem(yield* send("GET /chats/none/explanation"), 404, "not_found", { kind: "chat", id: "none" })
      assertProblem(yield* send("GET /chats/c/explanation", { token: null }), 401, "unauthenticated")
      assertProblem(yield* send("GET /chats/a%00b/explanation"), 400, "bad_request")
    }).pipe(World.provide([])))

  it.effect("a database that does not answer is the finding, without what it said", () =>
    Effect.gen(function*() {
      const { explain } = yield* Explanation.Explanations
      const down = new StoreError({ operation: "ChatBindings.get", cause: new Error("the password is 1234") })
      const { send } = yield* serve(Layer.provide(ExplanationsHandlers.layerRoutes, [
        Owned.layer,
        Layer.succeed(Explanation.Explanations, {
          explain: (chatId) =>
            Effect.map(explain(chatId), (explanation) => ({
              ...explanation,
              connection: { ...explanation.connection, stored: Result.fail(down) }
            }))
        })
      ]))
      const { body, status } = yield* send("GET /chats/c/explanation")
      assert.strictEqual(status, 200)
      assert.include(body.finding.message, "database")
      const page = yield* send("GET /chats/c/explanation", text)
      assert.include(page.body, "The database could not answer")
      for (const answer of [body, page.body]) assert.notInclude(JSON.stringify(answer), "password")
    }).pipe(World.provide([])))

  it.effect("whose the chat is has to be known", () =>
    Effect.gen(function*() {
      const { send } = yield* serve(Layer.provide(
        ExplanationsHandlers.layerRoutes,
        Layer.succeed(Owned.OwnedChats, { find: () => new StoreError({ operation: "Chats.get" }) })
      ))
      assertProblem(yield* send("GET /chats/c/explanation"), 503, "store_error")
    }).pipe(World.provide([])))
})
