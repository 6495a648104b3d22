import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { HttpApi, HttpApiTest } from "effect/http-api"
import { Binding, unbound } from "../../src/domain/Binding.ts"
import { BuildRefused } from "../../src/domain/Errors.ts"
import { BuildId, ChatId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import { BuildUnfinished, WorkspacesApi } from "../../src/http/WorkspacesApi.ts"
import * as WorkspacesHandlers from "../../src/http/WorkspacesHandlers.ts"
import { BuildPolicy } from "../../src/provisioner/BuildPolicy.ts"
import { Readiness } from "../../src/provisioner/Readiness.ts"
import * as AgentEnrollments from "../../src/store/AgentEnrollments.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import { Chats } from "../../src/store/Chats.ts"
import { TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { ann, bob, layerClient, type Routes, type Sending, serve } from "./support/requests.ts"

const chatId = ChatId.make("chat")
const template = TestWorkspaces.templateId

const routes = serve(WorkspacesHandlers.layerRoutes)

const made = Effect.fnUntraced(function*({ send }: Routes, body: object = {}, sending: Sending = {}) {
  const answer = yield* send("POST /workspaces", { body: { templateId: template, ...body }, ...sending })
  assert.strictEqual(answer.status, 202, JSON.stringify(answer.body))
  return answer.body
})

const ended = (buildId: string) => Effect.flatMap(Readiness, (readiness) => readiness.of(BuildId.make(buildId)))

/** A workspace that runs. */
const running = Effect.fnUntraced(function*(routes: Routes, body: object = {}, sending: Sending = {}) {
  const { build, workspace } = yield* made(routes, body, sending)
  yield* ended(build.buildId)
  return `/workspaces/${workspace.workspaceId}`
})

const hanging = Effect.flatMap(TestBuilds.TestBuilds, (world) => world.onBuild({ hangs: true }))

const row = Effect.flatMap(ChatBindings, (bindings) => bindings.get(chatId))

describe("WorkspacesHandlers: create", () => {
  it.effect("makes a workspace under its name, with its first build, and binds the chat to both", () =>
    Effect.gen(function*() {
      const { build, workspace } = yield* made(yield* routes, { name: "Web-1", parameters: { size: 2 }, chatId })
      assert.include(workspace, { owner: ann, name: "Web-1", templateId: template })
      assert.include(build, { workspaceId: workspace.workspaceId, number: 1, transition: "start", status: "pending" })
      const { buildId, workspaceId } = yield* row
      assert.deepStrictEqual<unknown>({ buildId, workspaceId }, {
        buildId: build.buildId,
        workspaceId: workspace.workspaceId
      })
      assert.deepStrictEqual((yield* ended(build.buildId)).record.parameters, { size: "2" })
    }).pipe(TestBuilds.provide))

  it.effect("makes up a name where none is given", () =>
    Effect.gen(function*() {
      const { workspace } = yield* made(yield* routes)
      assert.match(workspace.name, /^test-[0-9a-f]{4}$/)
    }).pipe(TestBuilds.provide))

  it.effect("keeps the workspace that the chat had", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const first = yield* running(api, { chatId })
      const { workspace } = yield* made(api, { chatId })
      assert.strictEqual((yield* row).workspaceId, workspace.workspaceId)
      assert.strictEqual((yield* api.send(`GET ${first}`)).status, 200)
    }).pipe(TestBuilds.provide))

  const refused: ReadonlyArray<readonly [string, object, number, string]> = [
    ["an unknown template", { templateId: "none" }, 404, "template_not_found"],
    ["an unknown parameter", { parameters: { cpus: 1 } }, 422, "parameters_refused"],
    ["a parameter out of bounds", { parameters: { size: 9 } }, 422, "parameters_refused"],
    ["a name that is taken, in any case", { name: "WEB" }, 409, "workspace_name_taken"],
    ["somebody else's chat", { chatId: "bob's" }, 404, "not_found"]
  ]
  it.effect.each(refused)("%s is refused, and nothing is made", ([, body, status, code]) =>
    Effect.gen(function*() {
      const api = yield* routes
      yield* running(api, { name: "web" })
      yield* Effect.flatMap(Chats, (chats) => chats.create({ chatId: ChatId.make("bob's"), owner: bob }))
      const answer = yield* api.send("POST /workspaces", { body: { templateId: template, ...body } })
      assert.deepStrictEqual([answer.status, answer.body.code], [status, code])
      assert.strictEqual(answer.type, "application/problem+json")
      assert.lengthOf((yield* api.send("GET /workspaces")).body.workspaces, 1)
    }).pipe(TestBuilds.provide))

  it.effect("a chat that made as many as it may is refused", () =>
    Effect.gen(function*() {
      const api = yield* routes
      for (let count = 0; count < 3; count++) yield* made(api, { chatId })
      const answer = yield* api.send("POST /workspaces", { body: { templateId: template, chatId } })
      assert.strictEqual(answer.status, 429)
      assert.include(answer.body, { code: "too_many_workspaces", limit: 3 })
    }).pipe(TestBuilds.provide))

  it.effect("the policy of the application is heard", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const answer = yield* api.send("POST /workspaces", { body: { templateId: template } })
      assert.strictEqual(answer.status, 403)
      assert.include(answer.body, { code: "build_refused", detail: "Not on Mondays." })
    }).pipe(TestWorkspaces.provideWith(
      Layer.provide(
        TestBuilds.layer,
        Layer.succeed(BuildPolicy, { check: () => Effect.fail(new BuildRefused({ detail: "Not on Mondays." })) })
      )
    )))

  /** The routes, where the chat's row was seen otherwise than it is. */
  const late = (seen: (now: Binding) => Binding) =>
    serve(Layer.provide(
      WorkspacesHandlers.layerRoutes,
      Layer.effect(
        ChatBindings,
        Effect.map(ChatBindings, (bindings) =>
          ChatBindings.of({ ...bindings, get: (chatId) => Effect.map(bindings.get(chatId), seen) }))
      )
    ))

  it.effect("a chat that somebody moved meanwhile is left there, and who asked looks again", () =>
    Effect.gen(function*() {
      yield* running(yield* routes, { chatId })
      const before = yield* row
      const answer = yield* (yield* late(({ chatId }) => unbound(chatId))).send("POST /workspaces", {
        body: { templateId: template, chatId }
      })
      assert.deepStrictEqual([answer.status, answer.body.code], [409, "workspace_changed"])
      assert.deepStrictEqual(yield* row, before)
    }).pipe(TestBuilds.provide))

  it.effect("a row that was only repaired meanwhile is no matter", () =>
    Effect.gen(function*() {
      yield* running(yield* routes, { chatId })
      const repaired = late((row) => new Binding({ ...row, generation: row.generation - 1 }))
      yield* made(yield* repaired, { chatId })
    }).pipe(TestBuilds.provide))
})

describe("WorkspacesHandlers: read", () => {
  it.effect("a workspace is read with its latest build", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const path = yield* running(api, { name: "web" })
      const { body, status } = yield* api.send(`GET ${path}`)
      assert.strictEqual(status, 200)
      assert.strictEqual(body.workspace.name, "web")
      assert.include(body.latest, { templateId: template, attempt: 1, failure: null })
      assert.include(body.latest.build, { number: 1, transition: "start", status: "succeeded" })
    }).pipe(TestBuilds.provide))

  it.effect("an owner lists their own that are not deleted, a page at a time", () =>
    Effect.gen(function*() {
      const api = yield* serve(Layer.provide(WorkspacesHandlers.layerRoutes, HttpConfig.layer({ pageItems: 2 })))
      yield* running(api, { name: "of-bob" }, { token: bob })
      const all: Array<string> = []
      for (const name of ["a", "b", "c", "d"]) all.push(yield* running(api, { name }))
      const gone = all.pop()
      yield* ended((yield* api.send(`DELETE ${gone}`)).body.build.buildId)
      const page = (query: string) =>
        Effect.map(api.send(`GET /workspaces${query}`), ({ body }) => ({
          paths: body.workspaces.map((one: { readonly workspace: { readonly workspaceId: string } }) =>
            `/workspaces/${one.workspace.workspaceId}`
          ),
          next: body.next
        }))
      const first = yield* page("")
      const second = yield* page(`?after=${first.next}`)
      assert.deepStrictEqual([...first.paths, ...second.paths], all)
      assert.isNull(second.next)
    }).pipe(TestBuilds.provide))
})

describe("WorkspacesHandlers: start, stop, delete, cancel", () => {
  it.effect("a running workspace is stopped, and needs no start", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const path = yield* running(api)
      const start = yield* api.send(`POST ${path}/start`)
      assert.deepStrictEqual([start.status, start.body.outcome, start.body.build.number], [200, "unneeded", 1])
      const stop = yield* api.send(`POST ${path}/stop`)
      assert.deepStrictEqual([stop.status, stop.body.outcome], [202, "queued"])
      assert.include(stop.body.build, { number: 2, transition: "stop", status: "pending" })
    }).pipe(TestBuilds.provide))

  it.effect("a stopped workspace is started with other parameters, and needs no stop", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const path = yield* running(api)
      yield* ended((yield* api.send(`POST ${path}/stop`)).body.build.buildId)
      const stop = yield* api.send(`POST ${path}/stop`)
      assert.deepStrictEqual([stop.status, stop.body.outcome, stop.body.build.number], [200, "unneeded", 2])
      const start = yield* api.send(`POST ${path}/start`, { body: { parameters: { size: "3" } } })
      assert.deepStrictEqual([start.status, start.body.outcome, start.body.build.number], [202, "queued", 3])
      const { body } = yield* api.send(`GET ${path}`)
      assert.deepStrictEqual(body.latest.parameters, { size: "3" })
    }).pipe(TestBuilds.provide))

  it.effect("a build that is under way and does what is asked for is the answer", () =>
    Effect.gen(function*() {
      const api = yield* routes
      yield* hanging
      const { build, workspace } = yield* made(api)
      const start = yield* api.send(`POST /workspaces/${workspace.workspaceId}/start`)
      assert.deepStrictEqual([start.status, start.body.outcome, start.body.build.buildId], [
        202,
        "unfinished",
        build.buildId
      ])
    }).pipe(TestBuilds.provide))

  it.effect("one that does something else is named, and nothing is asked for", () =>
    Effect.gen(function*() {
      const api = yield* routes
      yield* hanging
      const { build, workspace } = yield* made(api)
      const path = `/workspaces/${workspace.workspaceId}`
      for (const request of [`POST ${path}/stop`, `DELETE ${path}`]) {
        const answer = yield* api.send(request)
        assert.strictEqual(answer.status, 409)
        assert.include(answer.body, { code: "build_unfinished", buildId: build.buildId, transition: "start" })
        assert.deepStrictEqual(answer.body.recovery, { action: "wait", retry: "later" })
      }
      assert.strictEqual((yield* api.send(`GET ${path}`)).body.latest.build.number, 1)
    }).pipe(TestBuilds.provide))

  it.effect("a deleted workspace is not found any more", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const path = yield* running(api)
      const world = yield* TestBuilds.TestBuilds
      yield* world.onBuild({ hangs: true }, "delete")
      const deleted = yield* api.send(`DELETE ${path}`)
      assert.deepStrictEqual([deleted.status, deleted.body.build.transition], [202, "delete"])
      assert.strictEqual((yield* api.send(`GET ${path}`)).status, 200)
      yield* world.onBuild({}, "delete")
      yield* ended(deleted.body.build.buildId)
      for (const request of every(path)) {
        const answer = yield* api.send(request)
        assert.deepStrictEqual([request, answer.status, answer.body.code], [request, 404, "not_found"])
      }
    }).pipe(TestBuilds.provide))

  it.effect("a build that is under way is canceled", () =>
    Effect.gen(function*() {
      const api = yield* routes
      yield* hanging
      const { build, workspace } = yield* made(api)
      const path = `/workspaces/${workspace.workspaceId}`
      yield* Effect.flatMap(TestBuilds.TestBuilds, (world) => world.untilBuilding(1))
      const canceled = yield* api.send(`POST ${path}/cancel`)
      assert.deepStrictEqual([canceled.status, canceled.body.outcome], [202, "canceling"])
      assert.strictEqual(canceled.body.latest.build.buildId, build.buildId)
      assert.strictEqual((yield* ended(build.buildId)).record.build.status, "canceled")
      const again = yield* api.send(`POST ${path}/cancel`)
      assert.deepStrictEqual([again.status, again.body.outcome], [200, "unneeded"])
      assert.strictEqual(again.body.latest.build.status, "canceled")
    }).pipe(TestBuilds.provide))

  it.effect("parameters that do not fit are refused", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const path = yield* running(api)
      yield* ended((yield* api.send(`POST ${path}/stop`)).body.build.buildId)
      const answer = yield* api.send(`POST ${path}/start`, { body: { parameters: { size: 0, more: true } } })
      assert.deepStrictEqual([answer.status, answer.body.code], [422, "parameters_refused"])
      assert.lengthOf(answer.body.problems, 2)
    }).pipe(TestBuilds.provide))

  it.effect("the policy of the application is heard", () => {
    let open = true
    const check = () => open ? Effect.void : Effect.fail(new BuildRefused({ detail: "Not now." }))
    return Effect.gen(function*() {
      const api = yield* routes
      const path = yield* running(api)
      open = false
      for (const request of [`POST ${path}/stop`, `DELETE ${path}`]) {
        const answer = yield* api.send(request)
        assert.deepStrictEqual([answer.status, answer.body.code], [403, "build_refused"])
      }
    }).pipe(TestWorkspaces.provideWith(Layer.provide(TestBuilds.layer, Layer.succeed(BuildPolicy, { check }))))
  })

  it.effect("what was made elsewhere is not built here", () =>
    Effect.gen(function*() {
      const api = yield* routes
      const enrollments = yield* AgentEnrollments.AgentEnrollments
      const workspaceId = WorkspaceId.make("elsewhere")
      yield* enrollments.recordStart({ workspaceId, owner: ann, buildId: BuildId.make("b"), agents: [] })
      const answer = yield* api.send("POST /workspaces/elsewhere/stop")
      assert.strictEqual(answer.status, 404)
      assert.include(answer.body, { code: "template_not_found", templateId: null })
    }).pipe(Effect.provide(AgentEnrollments.layerMemory), TestBuilds.provide))
})

const every = (path: string): ReadonlyArray<string> => [
  `GET ${path}`,
  `POST ${path}/start`,
  `POST ${path}/stop`,
  `POST ${path}/cancel`,
  `DELETE ${path}`
]

describe("WorkspacesHandlers: requests", () => {
  it.effect("the derived client reads workspaces, builds, and what is wrong", () =>
    Effect.gen(function*() {
      const client = yield* HttpApiTest.groups(HttpApi.make("chat-workspace").add(WorkspacesApi), ["workspaces"])
      yield* hanging
      const { build, workspace } = yield* client.workspaces.create({ payload: { templateId: template } })
      const params = { workspaceId: workspace.workspaceId }
      assert.isTrue(DateTime.isDateTime(workspace.createdAt))
      const started = yield* client.workspaces.start({ params, payload: null })
      assert.deepStrictEqual([started.outcome, started.build.buildId], ["unfinished", build.buildId])
      const refused = yield* Effect.flip(client.workspaces.stop({ params }))
      assert.deepStrictEqual<unknown>(
        refused,
        new BuildUnfinished({ ...params, buildId: build.buildId, transition: "start" })
      )
    }).pipe(Effect.provide(Layer.provideMerge(WorkspacesHandlers.layer, layerClient)), TestBuilds.provide))

  const bad: ReadonlyArray<readonly [string, unknown, string]> = [
    ["POST /workspaces", undefined, ""],
    ["POST /workspaces", "{", ""],
    ["POST /workspaces", {}, "templateId"],
    ["POST /workspaces", { templateId: 1 }, "templateId"],
    ["POST /workspaces", { templateId: template, name: "a--b" }, "name"],
    ["POST /workspaces", { templateId: template, chatId: "" }, "chatId"],
    ["POST /workspaces", { templateId: template, parameters: { size: null } }, "parameters.size"],
    ["POST /workspaces/none/start", { parameters: [] }, "parameters"],
    ["GET /workspaces?limit=-1", undefined, "limit"],
    [`DELETE /workspaces/${"x".repeat(129)}`, undefined, "workspaceId"]
  ]
  it.effect.each(bad)("%s with %j is a bad request that names %j", ([request, body, field]) =>
    Effect.gen(function*() {
      const api = yield* routes
      const answer = yield* api.send(request, body === undefined ? {} : { body })
      assert.strictEqual(answer.status, 400)
      assert.strictEqual(answer.type, "application/problem+json")
      assert.strictEqual(answer.body.problems[0].field, field)
      assert.lengthOf((yield* api.send("GET /workspaces")).body.workspaces, 0)
    }).pipe(TestBuilds.provide))
})
