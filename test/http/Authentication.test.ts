import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { OwnerId } from "../../src/domain/Ids.ts"
import * as Authentication from "../../src/http/Authentication.ts"
import { Unauthenticated } from "../../src/http/HttpErrors.ts"
import * as Mount from "../../src/http/Mount.ts"
import { Requests } from "../../src/http/Requests.ts"
import { assertProblem } from "./support/problems.ts"
import { serve } from "./support/requests.ts"

const api = HttpApi.make("chat-workspace").add(
  HttpApiGroup.make("who").add(
    HttpApiEndpoint.post("who", "/who", {
      payload: Schema.Struct({ word: Schema.String }),
      success: Schema.Struct({ owner: Schema.String, tenant: Schema.NullOr(Schema.String) })
    })
  ).middleware(Authentication.Authorization).middleware(Requests)
)

const routes = (authentication: Layer.Layer<Authentication.Authentication>) =>
  serve(
    HttpApiBuilder.layer(api).pipe(
      Layer.provide(
        HttpApiBuilder.group(api, "who", (handlers) => handlers.handle("who", () => Authentication.CurrentPrincipal))
      ),
      Layer.provide(Mount.guards),
      Layer.provide(authentication)
    )
  )

const token = "kR3yZ8"
const one = Authentication.layerToken({ token: Redacted.make(token), owner: OwnerId.make("ann"), tenant: "acme" })
const body = { word: "x" }

describe("Authentication", () => {
  it.effect("a request with the token is its owner's", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes(one)
      const answer = yield* send("POST /who", { token, body })
      assert.deepStrictEqual(answer.body, { owner: "ann", tenant: "acme" })
      // The name of the scheme has no case.
      const lower = yield* send("POST /who", { token: null, body, headers: { authorization: `bearer  ${token}` } })
      assert.strictEqual(lower.status, 200)
    })))

  it.effect("any other token, and none, is refused before the request is looked at, and told how to ask", () =>
    Effect.scoped(Effect.gen(function*() {
      const { fetch: ask, send } = yield* routes(one)
      const wrong = [null, "", " ", `${token}x`, token.slice(1), token.toLowerCase(), "é".repeat(10_000)]
      for (const authorization of wrong.map((token) => token === null ? undefined : `Bearer ${encodeURI(token)}`)) {
        const headers = authorization === undefined ? {} : { authorization }
        assertProblem(yield* send("POST /who", { token: null, headers, body: "{" }), 401, "unauthenticated")
      }
      const response = yield* ask("POST /who", { token: null, body })
      assert.strictEqual(response.headers.get("www-authenticate"), "Bearer")
      const basic = yield* send("POST /who", { token: null, body, headers: { authorization: `Basic ${token}` } })
      assertProblem(basic, 401, "unauthenticated")
    })))

  it.effect("an application says itself what a token means, and is not asked about an empty one", () =>
    Effect.scoped(Effect.gen(function*() {
      const asked: Array<string> = []
      const { send } = yield* routes(Layer.succeed(Authentication.Authentication, {
        authenticate: (token) =>
          Effect.suspend(() => {
            asked.push(Redacted.value(token))
            return Redacted.value(token) === "bob"
              ? Effect.succeed({ owner: OwnerId.make("bob"), tenant: null })
              : new Unauthenticated()
          })
      }))
      assert.deepStrictEqual((yield* send("POST /who", { token: "bob", body })).body, { owner: "bob", tenant: null })
      assertProblem(yield* send("POST /who", { token: "ann", body }), 401, "unauthenticated")
      assertProblem(yield* send("POST /who", { token: null, body }), 401, "unauthenticated")
      assert.deepStrictEqual(asked, ["bob", "ann"])
    })))

  it.effect("a defect of the application's is a 500 that says nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes(Layer.succeed(Authentication.Authentication, {
        authenticate: () => Effect.die(new Error("the password is 1234"))
      }))
      const answer = yield* send("POST /who", { token: "bob", body })
      assertProblem(answer, 500, "internal_error")
      assert.notInclude(JSON.stringify(answer.body), "password")
    })))
})
