import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Scope } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { StoreError } from "../../src/domain/Errors.ts"
import * as Problem from "../../src/http/Problem.ts"
import * as Requests from "../../src/http/Requests.ts"
import { assertProblem } from "./support/problems.ts"
import { listening, serve } from "./support/requests.ts"

const api = HttpApi.make("chat-workspace").add(
  HttpApiGroup.make("words").add(
    HttpApiEndpoint.post("count", "/words/:name", {
      params: { name: Schema.String.check(Schema.isMaxLength(3)) },
      query: { times: Schema.optionalKey(Schema.Int) },
      payload: Schema.Struct({ words: Schema.Array(Schema.Struct({ text: Schema.String })) }),
      success: Schema.Struct({ count: Schema.Int }),
      error: Problem.of(StoreError)
    })
  ).middleware(Requests.Requests)
)

type Handler = (words: number) => Effect.Effect<{ readonly count: number }, StoreError>

const answering = (handler: Handler) =>
  HttpApiBuilder.layer(api).pipe(
    Layer.provide(
      HttpApiBuilder.group(
        api,
        "words",
        (handlers) => handlers.handle("count", ({ payload }) => handler(payload.words.length))
      )
    ),
    Layer.provide(Requests.layer)
  )

const routes = (handler: Handler) => serve(answering(handler))

const counting = (count: number) => Effect.succeed({ count })

describe("Requests", () => {
  it.effect("what is right is answered", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes(counting)
      assert.deepStrictEqual((yield* send("POST /words/a", { body: { words: [{ text: "x" }] } })).body, { count: 1 })
    })))

  it.effect("what the end of the server interrupts says so", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes(() => Effect.interrupt)
      const answer = yield* send("POST /words/a", { body: { words: [] } })
      assertProblem(answer, 503, "server_ending")
    })))

  it.live("a server that ends leaves no request without an answer", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const asked = Deferred.makeUnsafe<void>()
      const base = yield* listening(answering(() => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)))
        .pipe(Effect.provideService(Scope.Scope, scope))
      const answer = yield* Effect.forkChild(Effect.promise(async () => {
        const headers = { "content-type": "application/json" }
        const response = await fetch(`${base}/words/a`, {
          method: "POST",
          headers,
          body: JSON.stringify({ words: [] })
        })
        return [response.status, response.headers.get("content-type"), response.headers.get("retry-after")]
      }))
      yield* Deferred.await(asked)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Fiber.join(answer), [503, "application/problem+json", "1"])
    }))

  it.effect("what is wrong is named by its place and its field", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes(counting)
      const wrong = [
        ["POST /words/long", { words: [] }, "path", "name"],
        ["POST /words/a?times=x", { words: [] }, "query", "times"],
        ["POST /words/a", { words: [{ text: "x" }, { text: 1 }] }, "body", "words.1.text"],
        ["POST /words/a", { words: "x" }, "body", "words"],
        ["POST /words/a", "{", "body", ""],
        ["POST /words/a", "", "body", ""],
        ["POST /words/a", "null", "body", ""]
      ] as const
      for (const [request, body, place, field] of wrong) {
        const answer = yield* send(request, { body })
        assertProblem(answer, 400, "bad_request")
        const [problem] = answer.body.problems
        assert.deepInclude(problem, { in: place, field }, request)
        assert.include(answer.body.detail, `${place}${field === "" ? "" : ` ${field}`}: ${problem.problem}`)
      }
    })))

  it.effect("a body that breaks off is the request's fault", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes(counting)
      const body = new ReadableStream({ start: (controller) => controller.error(new Error("The link broke")) })
      assertProblem(yield* send("POST /words/a", { body }), 400, "bad_request", { problems: [] })
    })))

  it.effect("a defect is a 500 that says nothing of it, and the log says all", () =>
    Effect.scoped(Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => {
        logged.push(
          ...(Array.isArray(message) ? message : [message]).map((part) =>
            part instanceof Error ? part.message : String(part)
          )
        )
      })
      yield* Effect.gen(function*() {
        const { send } = yield* routes(() => Effect.die(new Error("the password is 1234")))
        const answer = yield* send("POST /words/a", { body: { words: [] } })
        assertProblem(answer, 500, "internal_error")
        assert.notInclude(JSON.stringify(answer.body), "password")
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.include(logged, "the password is 1234")
    })))

  it.effect("what may be better soon is asked for again a little later", () =>
    Effect.scoped(Effect.gen(function*() {
      const down = yield* routes(() => new StoreError({ operation: "words" }))
      const asked = { body: { words: [] } }
      const refused = yield* down.fetch("POST /words/a", asked)
      assert.deepStrictEqual([refused.status, refused.headers.get("retry-after")], [503, "1"])
      const up = yield* routes(counting)
      assert.isNull((yield* up.fetch("POST /words/a", asked)).headers.get("retry-after"))
    })))

  it.effect("an answer that does not fit its contract is a defect, and not the request's fault", () =>
    Effect.scoped(Effect.gen(function*() {
      const { send } = yield* routes(() => Effect.succeed({ count: 1.5 }))
      assertProblem(yield* send("POST /words/a", { body: { words: [] } }), 500, "internal_error")
    })))
})
