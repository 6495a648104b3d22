import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpApi, HttpApiTest } from "effect/http-api"
import { StoreError, TemplateNotFound } from "../../src/domain/Errors.ts"
import { TemplateId } from "../../src/domain/Ids.ts"
import { Template } from "../../src/domain/Template.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import { TemplatesApi } from "../../src/http/TemplatesApi.ts"
import * as TemplatesHandlers from "../../src/http/TemplatesHandlers.ts"
import { Workspaces } from "../../src/provisioner/Workspaces.ts"
import { TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { assertProblem } from "./support/problems.ts"
import { ann, bob, layerClient, serve } from "./support/requests.ts"

const template = (id: string, fields: Partial<Template> = {}) =>
  new Template({ ...TestBuilds.template, templateId: TemplateId.make(id), name: `The ${id}`, ...fields })

const secret = template("secret", {
  owners: [bob],
  provider: { type: "scripted", settings: { password: "planted" }, directory: "/planted" },
  startupScript: "planted"
})

const provide = TestWorkspaces.provideWith(
  TestBuilds.layerWith({ templates: [template("node"), template("go"), template("rust"), secret] })
)

const idsOf = (body: { readonly templates: ReadonlyArray<{ readonly templateId: string }> }) =>
  body.templates.map(({ templateId }) => templateId).join()

describe("TemplatesHandlers", () => {
  it.effect("lists the templates that the owner may use", () =>
    Effect.gen(function*() {
      const { send } = yield* serve(TemplatesHandlers.layerRoutes)
      const own = yield* send("GET /templates")
      assert.strictEqual(own.status, 200)
      assert.strictEqual(idsOf(own.body), "go,node,rust")
      assert.isNull(own.body.next)
      assert.deepStrictEqual(own.body.templates[0], {
        templateId: "go",
        name: "The go",
        description: "A workspace for tests."
      })
      assert.strictEqual(idsOf((yield* send("GET /templates", { token: bob })).body), "go,node,rust,secret")
    }).pipe(provide))

  it.effect("lists a page at a time, to the last one", () =>
    Effect.gen(function*() {
      const { send } = yield* serve(Layer.provide(TemplatesHandlers.layerRoutes, HttpConfig.layer({ pageItems: 2 })))
      const first = yield* send("GET /templates")
      assert.deepStrictEqual([idsOf(first.body), first.body.next], ["go,node", "node"])
      const second = yield* send("GET /templates?after=node")
      assert.deepStrictEqual([idsOf(second.body), second.body.next], ["rust", null])
      const one = yield* send("GET /templates?after=gopher&limit=1")
      assert.deepStrictEqual([idsOf(one.body), one.body.next], ["node", "node"])
      const last = yield* send("GET /templates?after=node&limit=1")
      assert.deepStrictEqual([idsOf(last.body), last.body.next], ["rust", null])
      const more = yield* send("GET /templates?limit=1000")
      assert.strictEqual(idsOf(more.body), "go,node")
    }).pipe(provide))

  it.effect("reads one, and tells nothing of how it is run", () =>
    Effect.gen(function*() {
      const { send } = yield* serve(TemplatesHandlers.layerRoutes)
      const read = yield* send("GET /templates/secret", { token: bob })
      assert.strictEqual(read.status, 200)
      assert.deepStrictEqual(read.body, {
        templateId: "secret",
        name: "The secret",
        description: "A workspace for tests.",
        readme: null,
        parameters: [{ name: "size", type: "number", default: 1, min: 1, max: 8 }]
      })
    }).pipe(provide))

  it.effect("one that is for others is as little there as one that nobody has", () =>
    Effect.gen(function*() {
      const { send } = yield* serve(TemplatesHandlers.layerRoutes)
      const foreign = yield* send("GET /templates/secret")
      assert.strictEqual(foreign.status, 404)
      assert.strictEqual(foreign.type, "application/problem+json")
      assert.include(foreign.body, { code: "template_not_found", templateId: "secret", status: 404 })
      const none = yield* send("GET /templates/none")
      assert.deepStrictEqual(
        JSON.stringify(none.body).replaceAll("none", "secret"),
        JSON.stringify(foreign.body)
      )
    }).pipe(provide))

  it.effect("a database that does not answer is a 503", () =>
    Effect.gen(function*() {
      const down = Effect.fail(new StoreError({ operation: "test", cause: "planted" }))
      const { send } = yield* serve(
        Layer.provide(
          TemplatesHandlers.layerRoutes,
          Layer.mock(Workspaces, { templates: () => down, template: () => down })
        )
      )
      for (const request of ["GET /templates", "GET /templates/node"]) {
        const answer = yield* send(request)
        assertProblem(answer, 503, "store_error")
        assert.notInclude(JSON.stringify(answer.body), "planted")
      }
    }))

  it.effect("the derived client reads them, and what is wrong", () =>
    Effect.gen(function*() {
      const client = yield* HttpApiTest.groups(HttpApi.make("chat-workspace").add(TemplatesApi), ["templates"])
      const { templates } = yield* client.templates.list({ query: { limit: 1 } })
      assert.deepStrictEqual(templates.map(({ templateId }) => templateId), [TemplateId.make("go")])
      const params = { templateId: TemplateId.make("none") }
      const refused = yield* Effect.flip(client.templates.get({ params }))
      assert.deepStrictEqual<unknown>(refused, new TemplateNotFound(params))
    }).pipe(Effect.provide(Layer.provideMerge(TemplatesHandlers.layer, layerClient)), provide))

  const bad: ReadonlyArray<readonly [request: string, field: string]> = [
    ["GET /templates?limit=0", "limit"],
    ["GET /templates?limit=1001", "limit"],
    ["GET /templates?limit=many", "limit"],
    ["GET /templates?after=", "after"],
    [`GET /templates?after=${"x".repeat(129)}`, "after"],
    [`GET /templates/${"x".repeat(129)}`, "templateId"]
  ]
  it.effect.each(bad)("%s is a bad request that names %s", ([request, field]) =>
    Effect.gen(function*() {
      const { send } = yield* serve(TemplatesHandlers.layerRoutes)
      const answer = yield* send(request, { token: ann })
      assert.strictEqual(answer.status, 400)
      assert.strictEqual(answer.body.problems[0].field, field)
    }).pipe(provide))
})
