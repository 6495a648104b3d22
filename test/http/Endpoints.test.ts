/** Every endpoint of the API gives every answer that its document declares, and no other; none is forgotten. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { HttpClientRequest, HttpClientResponse } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { Api } from "../../src/http/Api.ts"
import * as ApiRoutes from "../../src/http/ApiRoutes.ts"
import * as HttpConfig from "../../src/http/HttpConfig.ts"
import { ScriptedModel, TestWorkspaces } from "../../src/testing/index.ts"
import { endpoints, policy } from "./support/cases.ts"
import { operations } from "./support/contract.ts"
import type { Operation, Status } from "./support/contract.ts"
import * as Place from "./support/place.ts"
import { assertProblem } from "./support/problems.ts"
import { bob, breaking, interrupting, secret, serve } from "./support/requests.ts"
import type { Answer, Routes, Sending } from "./support/requests.ts"
import * as World from "./support/world.ts"

const first = ScriptedModel.say("How are you?")

const requestOf = ({ method, path }: Operation, ids: Place.Ids): string =>
  `${method} ${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(ids[name] ?? `no ${name}`))}`

const sendingOf = ({ hasBody, id }: Operation, sending: Sending = {}): Sending =>
  hasBody ? { body: endpoints[id]?.body ?? {}, ...sending } : sending

/** A parameter names what has an owner; templates are for all or some, and none of their users'. */
const isOwned = (name: string): boolean => name !== "templateId"

/** What `refusals` below meets of each endpoint. */
const everywhere = ({ hasBody, params }: Operation): ReadonlyArray<Status> => [
  "400 bad_request",
  "401 unauthenticated",
  "500 internal_error",
  "503 server_ending",
  "503 store_error",
  ...(params.some(isOwned) ? ["404 not_found"] as const : []),
  ...(hasBody ? ["413 body_too_large", "415 unsupported_media_type"] as const : [])
]

const refusals = Effect.fnUntraced(function*(operation: Operation, { send }: Routes, { ids, theirs }: Place.Place) {
  const { foreign, hasBody, id, params, query } = operation
  const request = requestOf(operation, ids)
  const asked = (sending: Sending, at = request) => send(at, sendingOf(operation, sending))

  for (const token of [null, "somebody"]) assertProblem(yield* asked({ token }), 401, "unauthenticated")
  const broken = yield* asked({ token: breaking })
  assertProblem(broken, 500, "internal_error")
  assert.notInclude(JSON.stringify(broken.body), secret)
  assertProblem(yield* asked({ token: interrupting }), 503, "server_ending")

  const wrong: ReadonlyArray<readonly [place: string, field: string, Effect.Effect<Answer>]> = [
    ...params.flatMap((name) =>
      ["a\0b", "x".repeat(129)].map((id) =>
        ["path", name, asked({}, requestOf(operation, { ...ids, [name]: id }))] as const
      )
    ),
    ...query.map((name) => ["query", name, asked({}, `${request}?${name}=${"x".repeat(129)}`)] as const),
    ...(operation.streams ? [["headers", "last-event-id", asked({ headers: { "last-event-id": "x" } })] as const] : []),
    ...(hasBody ? [["body", "", asked({ body: "{" })] as const, ["body", "", asked({ body: "[1]" })] as const] : [])
  ]
  assert.isNotEmpty(wrong)
  for (const [place, field, asked] of wrong) {
    const answer = yield* asked
    assertProblem(answer, 400, "bad_request")
    const [problem] = answer.body.problems
    assert.strictEqual(problem.in, place)
    assert.isTrue(problem.field.startsWith(field), JSON.stringify(answer.body))
  }

  if (hasBody) {
    const large = yield* asked({ body: JSON.stringify({ text: "x".repeat(1024 * 1024) }) })
    assertProblem(large, 413, "body_too_large", { limit: 1024 * 1024 })
    const text = yield* asked({ headers: { "content-type": "text/plain" } })
    assertProblem(text, 415, "unsupported_media_type")
  }

  for (const name of params.filter(isOwned)) {
    const kind = name.replace("Id", "")
    const foreign = yield* asked({ token: bob })
    assertProblem(foreign, 404, "not_found", { kind, id: ids[name] })
    // An enrollment is what makes a workspace.
    if (id === "agents.enroll") continue
    const missing = yield* asked({}, requestOf(operation, { ...ids, [name]: "none" }))
    assert.deepStrictEqual({ ...missing, body: { ...missing.body, id: ids[name] } }, foreign)
  }
  if (operation.method === "GET" && !params.some(isOwned)) {
    const { body } = yield* asked({ token: bob })
    for (const id of Object.values(ids)) {
      if (id !== ids["templateId"]) assert.notInclude(JSON.stringify(body), `"${id}"`)
    }
  }
  for (const name of foreign) {
    const answer = yield* asked({ body: { ...endpoints[id]?.body, [name]: theirs[name] } })
    assert.deepStrictEqual([name, answer.status], [name, 404], JSON.stringify(answer.body))
  }
})

/** The answer, as it came and as the derived client reads it. */
const exchange = Effect.fnUntraced(
  function*({ fetch }: Routes, operation: Operation, request: string, sending: Sending) {
    const response = yield* fetch(request, sendingOf(operation, sending))
    const copy = response.clone()
    const [group, endpoint] = operation.id.split(".")
    const decode = HttpApiClient.decodeResponse(Api, { group, endpoint } as never) as Decode
    const read = yield* Effect.result(
      decode(HttpClientResponse.fromWeb(HttpClientRequest.get("http://api.test"), response))
    )
    if (read._tag === "Success" && isEvents(read.success)) yield* Stream.runDrain(read.success)
    const text = yield* Effect.promise(() => copy.text())
    return { status: copy.status, text, read }
  }
)

const isEvents = (value: unknown): value is Stream.Stream<unknown, unknown> => Stream.isStream(value)

/** Which endpoint it is of is known when it runs. */
type Decode = (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<unknown, { readonly code?: string }>

describe.each(operations.map((operation) => [operation.id, operation] as const))("%s", (id, operation) => {
  const { body, cases = [] } = endpoints[id] ?? {}

  it("has a case for each answer that its document declares, and for no other", () => {
    const met = [...everywhere(operation), ...cases.map(({ answer }) => answer)]
    const foreign = operation.foreign.length > 0 ? met.concat("404 not_found") : met
    assert.deepStrictEqual([...new Set(foreign)].sort(), [...new Set(operation.answers)].sort())
    assert.strictEqual(operation.hasBody, body !== undefined)
  })

  it.effect("refuses what it must, and changes nothing; without its database it says so", () =>
    Effect.gen(function*() {
      const api = yield* World.api()
      const place = yield* Place.make(api)
      const before = yield* Place.stored
      yield* refusals(operation, api, place)
      assert.strictEqual(yield* Place.stored, before)
      // The templates are not in it.
      if (operation.path.startsWith("/templates")) return
      yield* (yield* TestWorkspaces.TestWorkspaces).databaseDown()
      const answer = yield* api.send(requestOf(operation, place.ids), sendingOf(operation))
      assertProblem(answer, 503, "store_error", { recovery: { action: "retry", retry: "later" } })
      assert.notInclude(JSON.stringify(answer.body), "\"cause\"")
    }).pipe(World.provide([first])))

  it.effect.each(cases.map((one) => [one.answer, one.when, one] as const))("%s: %s", ([answer, , one]) => {
    const { after, asks, closed, config = {}, over, script = [] } = one
    const { check, close } = policy()
    const body = Effect.gen(function*() {
      const place = yield* Place.make(yield* World.api())
      const routes = over?.(ApiRoutes.layer()) ?? ApiRoutes.layer()
      const api = yield* serve(Layer.provide(routes, HttpConfig.layer(config)))
      if (after !== undefined) yield* after(api, place)
      if (closed === true) yield* close
      const request = requestOf(operation, { ...place.ids, ...asks?.ids })
      const { read, status, text } = yield* exchange(
        api,
        operation,
        request,
        asks?.body === undefined ? {} : { body: asks.body }
      )
      const code = read._tag === "Failure" ? read.failure.code : undefined
      assert.strictEqual(code === undefined ? `${status}` : `${status} ${code}`, answer, text)
      assert.notInclude(text, "\"cause\"")
    })
    return World.provide([first, ...script], { check })(body)
  })
})
