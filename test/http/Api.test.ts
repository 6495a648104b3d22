import { assert, describe, expect, it } from "@effect/vitest"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Effect, Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { build } from "esbuild"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Api } from "../../src/http/Api.ts"
import * as ApiRoutes from "../../src/http/ApiRoutes.ts"
import { alternatives, document, operations } from "./support/contract.ts"
import { serve } from "./support/requests.ts"
import * as World from "./support/world.ts"

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

const problemOf = Schema.decodeUnknownSync(
  Schema.Struct({ description: Schema.String, properties: Schema.Record(Schema.String, Schema.Unknown) })
)

describe("Api", () => {
  it.effect("its document is valid OpenAPI, and is served", () =>
    Effect.gen(function*() {
      const { send } = yield* World.api()
      const { body, status } = yield* send("GET /openapi.json", { token: null })
      assert.strictEqual(status, 200)
      const result = yield* Effect.promise(() => new Validator().validate(body))
      assert.deepStrictEqual(result.errors ?? [], [])
      assert.isTrue(result.valid)
    }).pipe(World.provide([])))

  it("has the version of the package", () => {
    const { version } = JSON.parse(readFileSync(at("package.json"), "utf8"))
    assert.strictEqual(OpenApi.fromApi(Api).info.version, version)
  })

  it("is what it was", () =>
    expect(`${operations.map(({ told }) => told).join("\n\n")}\n`).toMatchFileSnapshot("fixtures/operations.txt"))

  it.each(operations.map((operation) => [operation.id, operation] as const))(
    "says what %s is for, what it takes, and what every answer means",
    (_, { answers, details: { description, parameters, responses, security, summary } }) => {
      assert.match(summary ?? "", /^[A-Z].*[^.]$/)
      assert.match(description ?? "", /^[A-Z].*\.$/)
      assert.deepStrictEqual(security, [{ bearer: [] }])
      for (const parameter of parameters) {
        if (parameter.in !== "path") {
          assert.match(JSON.stringify(alternatives(parameter.schema)), /"description":"[^"]{10,}"/)
        }
      }
      for (const [status, { content = {}, description }] of Object.entries(responses)) {
        if (Number(status) < 400) continue
        assert.deepStrictEqual(Object.keys(content), ["application/problem+json"])
        assert.match(description, /^[A-Z].*\.$/)
        for (const problem of alternatives(content["application/problem+json"]?.schema)) {
          const { description, properties } = problemOf(problem)
          assert.match(description, /^[A-Z].*\.$/)
          assert.includeMembers(Object.keys(properties), ["type", "status", "detail", "code"])
          for (const cause of ["cause", "validation"]) assert.notProperty(properties, cause)
        }
      }
      assert.includeMembers([...answers], ["400 bad_request", "401 unauthenticated", "500 internal_error"])
    }
  )

  it("has one schema for each error", () => {
    const problems = Object.keys(document.components.schemas).filter((name) => name.includes("Problem"))
    assert.isAbove(problems.length, 15)
    assert.deepStrictEqual(problems.filter((name) => !name.endsWith("Problem")), [])
  })

  it.effect("its page brings all that it needs", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* serve(ApiRoutes.layerDocs())
      const { body, status, type } = yield* send("GET /docs", { token: null })
      assert.strictEqual(status, 200)
      assert.include(type, "text/html")
      assert.notMatch(body, /<(script|link)[^>]+(src|href)="?https?:/)
    })))

  it.effect("a prefix is the application's", () =>
    Effect.gen(function*() {
      const { send } = yield* World.api({}, { prefix: "/api" })
      assert.strictEqual((yield* send("GET /api/chats/c")).status, 200)
      assert.strictEqual((yield* send("GET /chats/c")).status, 404)
      const { body } = yield* send("GET /api/openapi.json", { token: null })
      assert.deepStrictEqual(body.servers, [{ url: "/api" }])
    }).pipe(World.provide([])))

  it("its client brings no handlers and no stores", async () => {
    const { metafile } = await build({
      entryPoints: [at("src/http/Client.ts")],
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "neutral",
      mainFields: ["module", "main"],
      conditions: ["import"],
      absWorkingDir: at("")
    })
    const own = Object.keys(metafile.inputs).filter((path) =>
      path.startsWith("src/") && !path.startsWith("src/domain/")
    )
    assert.include(own, "src/http/TurnsApi.ts")
    // The hash is of `Authentication.layerToken`, and reaches nothing else.
    assert.deepStrictEqual(own.filter((path) => !path.startsWith("src/http/")).sort(), [
      "src/dial/ChatFinding.ts",
      "src/store/SecretHash.ts",
      "src/turn/ExplanationFinding.ts",
      "src/turn/ExplanationView.ts"
    ])
    assert.deepStrictEqual(own.filter((path) => /Handlers|Routes|Owned|Mcp/.test(path)), [])
  })
})
