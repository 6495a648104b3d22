import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Bodies from "../../src/http/Bodies.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import * as Mount from "../../src/http/Mount.ts"
import { Requests } from "../../src/http/Requests.ts"
import { assertProblem } from "./support/problems.ts"
import { layerTokens, serve } from "./support/requests.ts"

const api = HttpApi.make("chat-workspace").add(
  HttpApiGroup.make("words").add(
    HttpApiEndpoint.post("say", "/words", {
      payload: Schema.Struct({ word: Schema.String }),
      success: Schema.Struct({ word: Schema.String })
    }).middleware(Bodies.Bodies)
  ).middleware(Requests)
)

const routes = (config: HttpConfig.Options) =>
  serve(
    HttpApiBuilder.layer(api).pipe(
      Layer.provide(
        HttpApiBuilder.group(
          api,
          "words",
          (handlers) => handlers.handle("say", ({ payload }) => Effect.succeed(payload))
        )
      ),
      Layer.provide(Mount.guards),
      Layer.provide([layerTokens, HttpConfig.layer(config)])
    )
  )

const body = JSON.stringify({ word: "é" })
const bodyBytes = new TextEncoder().encode(body).length

describe("Bodies", () => {
  it.effect("a body at the limit is read, and one byte more is not", () =>
    Effect.scoped(Effect.gen(function*() {
      const at = yield* routes({ bodyBytes })
      assert.strictEqual((yield* at.send("POST /words", { body })).status, 200)
      const under = yield* routes({ bodyBytes: bodyBytes - 1 })
      assertProblem(yield* under.send("POST /words", { body }), 413, "body_too_large", { limit: bodyBytes - 1 })
    })))

  it.effect("a body that is not JSON by its type is refused", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes({})
      for (const type of ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "x"]) {
        const answer = yield* send("POST /words", { body, headers: { "content-type": type } })
        assertProblem(answer, 415, "unsupported_media_type")
      }
      const spoken = yield* send("POST /words", {
        body,
        headers: { "content-type": "application/json; charset=utf-8" }
      })
      assert.strictEqual(spoken.status, 200)
    })))
})
