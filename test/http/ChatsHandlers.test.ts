import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { ChatId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as ChatsHandlers from "../../src/http/ChatsHandlers.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { Chats } from "../../src/store/Chats.ts"
import { MemoryStore } from "../../src/store/MemoryStore.ts"
import { TestWorkspaces } from "../../src/testing/index.ts"
import { assertProblem } from "./support/problems.ts"
import { ann, bob, serve } from "./support/requests.ts"
import type { Answer } from "./support/requests.ts"

const id = (name: string) => ChatId.make(name)
const c = id("c")

const routes = serve(ChatsHandlers.layerRoutes)

/** Small pages. */
const paged = serve(Layer.provide(ChatsHandlers.layerRoutes, HttpConfig.layer({ pageItems: 3 })))

/** Chats of ann's, one after another. */
const made = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const chats = yield* Chats
  yield* Effect.forEach(names, (name) => chats.create({ chatId: id(name), owner: ann }), { discard: true })
})

/** A workspace of another owner. */
const foreignWorkspace = Effect.map(MemoryStore, (store) => {
  store.workspaces.set(WorkspaceId.make("theirs"), { owner: bob, builds: [] })
})

const names = ({ body }: Answer): ReadonlyArray<string> =>
  body.chats.map(({ chatId }: { readonly chatId: string }) => chatId)

describe("ChatsHandlers", () => {
  it.effect("makes a chat under the id that is given, or under one that is made up", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      const given = yield* send("POST /chats", { body: { chatId: "c" } })
      assert.strictEqual(given.status, 201)
      assert.deepStrictEqual(given.body, {
        chatId: "c",
        parentId: null,
        createdAt: "1970-01-01T00:00:00.000Z",
        workspaceId: null,
        buildId: null,
        agentId: null,
        generation: 1
      })
      const other = yield* send("POST /chats", { body: {} })
      assert.strictEqual(other.status, 201)
      const found = yield* (yield* Chats).get({ chatId: id(other.body.chatId), owner: ann })
      assert.isTrue(Option.isSome(found))
    }))))

  it.effect("a repeat is answered with the chat as it is now", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      yield* send("POST /chats", { body: { chatId: "c" } })
      const { workspaceId } = yield* (yield* TestWorkspaces.TestWorkspaces).running(c)
      const { body, status } = yield* send("POST /chats", { body: { chatId: "c" } })
      assert.strictEqual(status, 201)
      assert.strictEqual(body.workspaceId, workspaceId)
    }))))

  it.effect("makes a chat with a workspace, and shows the agent that this has", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      const { agentId, buildId, workspaceId } = yield* (yield* TestWorkspaces.TestWorkspaces).running(c)
      const { body } = yield* send("POST /chats", { body: { chatId: "d", workspaceId } })
      assert.deepInclude(body, { workspaceId, buildId, agentId, generation: 1 })
      const { agentId: remembered } = yield* (yield* ChatBindings).get(id("d"))
      assert.isNull(remembered)
    }))))

  it.effect("a workspace of another owner, or none, is not found, and no chat is made", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      yield* foreignWorkspace
      for (const workspaceId of ["theirs", "none"]) {
        const answer = yield* send("POST /chats", { body: { chatId: "d", workspaceId } })
        assertProblem(answer, 404, "not_found", { kind: "workspace", id: workspaceId })
        assertProblem(yield* send("GET /chats/d"), 404, "not_found", { kind: "chat" })
      }
    }))))

  it.effect("a chat of another owner is not made again", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      yield* made("c")
      const answer = yield* send("POST /chats", { token: bob, body: { chatId: "c" } })
      assertProblem(answer, 404, "not_found", { kind: "chat", id: "c" })
    }))))

  it.effect("shows the latest build and agent where the chat remembers others, and writes nothing", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const tests = yield* TestWorkspaces.TestWorkspaces
      const { send } = yield* routes
      const old = yield* tests.running(c)
      const { agentId, buildId } = yield* tests.rebuilt(c)
      const before = yield* (yield* ChatBindings).get(c)
      assert.strictEqual(before.agentId, old.agentId)
      const [{ body }, { queries }] = yield* tests.counted(send("GET /chats/c"))
      assert.deepInclude(body, { workspaceId: old.workspaceId, buildId, agentId, generation: before.generation })
      assert.deepStrictEqual(queries, { binding: 0, agent: 0, latestBuild: 1, bindAgent: 0, bindWorkspace: 0 })
      assert.deepStrictEqual(yield* (yield* ChatBindings).get(c), before)
    }))))

  it.effect("shows no agent while the workspace gives none", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      const { workspaceId } = yield* (yield* TestWorkspaces.TestWorkspaces).stopped(c)
      const { body, status } = yield* send("GET /chats/c")
      assert.strictEqual(status, 200)
      assert.deepInclude(body, { workspaceId, buildId: `${workspaceId}/build-2`, agentId: null })
    }))))

  it.effect("lists chats a page at a time, the newest first, with one look at each workspace", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const tests = yield* TestWorkspaces.TestWorkspaces
      const { send } = yield* paged
      const place = yield* tests.running(id("a"))
      yield* Effect.forEach(
        ["b", "d"],
        (name) => Effect.flatMap(Chats, (chats) => chats.create({ chatId: id(name), owner: ann, parent: id("a") }))
      )
      yield* made("e", "f")
      const first = yield* send("GET /chats")
      assert.deepStrictEqual(names(first), ["f", "e", "d"])
      assert.strictEqual(first.body.next, "d")
      const [second, { queries }] = yield* tests.counted(send("GET /chats?after=d&limit=1000"))
      assert.deepStrictEqual(names(second), ["b", "a"])
      assert.isNull(second.body.next)
      assert.strictEqual(queries.latestBuild, 1)
      assert.deepInclude(second.body.chats[0], { parentId: "a", agentId: place.agentId })
      assert.deepStrictEqual(names(yield* send("GET /chats?limit=1000")), ["f", "e", "d"])
      const small = yield* send("GET /chats?limit=1")
      assert.deepStrictEqual(names(small), ["f"])
      assert.strictEqual(small.body.next, "f")
      assert.deepStrictEqual(names(yield* send("GET /chats", { token: bob })), [])
    }))))

  it.effect("binds another workspace, or none, and the next look shows it", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const tests = yield* TestWorkspaces.TestWorkspaces
      const { send } = yield* routes
      const { agentId, buildId, workspaceId } = yield* tests.running(id("other"))
      yield* made("c")
      const bound = yield* send("PATCH /chats/c", { body: { workspaceId } })
      assert.strictEqual(bound.status, 200)
      assert.deepInclude(bound.body, { workspaceId, buildId, agentId, generation: 2 })
      assert.deepStrictEqual((yield* send("GET /chats/c")).body, bound.body)
      const detached = yield* send("PATCH /chats/c", { body: { workspaceId: null } })
      assert.deepInclude(detached.body, { workspaceId: null, buildId: null, agentId: null, generation: 3 })
    }))))

  it.effect("a workspace of another owner, or none, is not bound", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      yield* foreignWorkspace
      yield* made("c")
      for (const workspaceId of ["theirs", "none"]) {
        const answer = yield* send("PATCH /chats/c", { body: { workspaceId } })
        assertProblem(answer, 404, "not_found", { kind: "workspace", id: workspaceId })
      }
      assert.strictEqual((yield* (yield* ChatBindings).get(c)).generation, 1)
    }))))

  it.effect("a chat that is not there is not made by binding it", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      assertProblem(yield* send("PATCH /chats/none", { body: { workspaceId: null } }), 404, "not_found", { id: "none" })
      assert.strictEqual((yield* (yield* ChatBindings).get(id("none"))).generation, 0)
    }))))

  it.effect("a child works in the workspace of its parent, and is listed with it", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* paged
      const { agentId, workspaceId } = yield* (yield* TestWorkspaces.TestWorkspaces).running(c)
      const child = yield* send("POST /chats/c/children", { body: { chatId: "child" } })
      assert.strictEqual(child.status, 201)
      assert.deepInclude(child.body, { chatId: "child", parentId: "c", workspaceId, agentId, generation: 1 })
      yield* made("stranger")
      for (const _ of [1, 2, 3]) yield* send("POST /chats/c/children", { body: {} })
      const page = yield* send("GET /chats/c/children")
      assert.strictEqual(page.status, 200)
      assert.strictEqual(names(page).length, 3)
      assert.deepStrictEqual(names(yield* send(`GET /chats/c/children?after=${page.body.next}`)), ["child"])
      assert.deepStrictEqual(names(yield* send("GET /chats/child/children")), [])
    }))))

  it.effect("a workspace that cannot be looked at is not shown as one without an agent", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const tests = yield* TestWorkspaces.TestWorkspaces
      const { send } = yield* routes
      yield* tests.running(c)
      yield* tests.databaseDown()
      for (const request of ["GET /chats/c", "GET /chats"]) {
        assertProblem(yield* send(request), 503, "store_error")
      }
      assertProblem(yield* send("PATCH /chats/c", { body: { workspaceId: null } }), 503, "store_error")
    }))))

  it.effect("what a request gets wrong is named by its field", () =>
    TestWorkspaces.provide(Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes
      const wrong: ReadonlyArray<readonly [request: string, body: unknown, place: string, field: string]> = [
        ["POST /chats", { chatId: "" }, "body", "chatId"],
        ["POST /chats", { workspaceId: 1 }, "body", "workspaceId"],
        ["POST /chats", { chatId: "a\0b" }, "body", "chatId"],
        ["POST /chats", "{", "body", ""],
        ["PATCH /chats/c", {}, "body", "workspaceId"],
        ["GET /chats?limit=0", undefined, "query", "limit"],
        ["GET /chats?limit=many", undefined, "query", "limit"],
        [`GET /chats?after=${"a".repeat(129)}`, undefined, "query", "after"],
        ["GET /chats/a%00b", undefined, "path", "chatId"],
        [`GET /chats/${"a".repeat(129)}`, undefined, "path", "chatId"]
      ]
      for (const [request, body, place, field] of wrong) {
        const answer = yield* send(request, { body })
        assertProblem(answer, 400, "bad_request")
        assert.deepInclude(answer.body.problems[0], { in: place, field }, request)
      }
    }))))
})
