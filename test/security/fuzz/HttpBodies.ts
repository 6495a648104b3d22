/**
 * What clients send in bodies, as the API and the MCP endpoint take it, over a world in memory.
 *
 * Whatever comes, the answer is no fault of the server's, and a refusal is problem details that say nothing of the inside.
 */
import { Clock, Effect, Layer, Logger } from "effect"
import type { Scope } from "effect"
import { HttpEffect, HttpRouter, HttpServer } from "effect/http"
import type { HttpServerRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as ApiRoutes from "../../../src/http/ApiRoutes.ts"
import * as McpEndpoint from "../../../src/http/McpEndpoint.ts"
import * as Owned from "../../../src/http/Owned.ts"
import { ScriptedModel, TestWorkspaces } from "../../../src/testing/index.ts"
import { ann, layerTokens } from "../../http/support/requests.ts"
import * as world from "../../http/support/world.ts"
import type { Chance } from "./Chance.ts"
import type { Target } from "./Fuzz.ts"
import * as Mutation from "./Mutation.ts"

const { c, templateId } = { c: world.c, templateId: TestWorkspaces.templateId }

const mcp = `POST /chats/${c}/mcp`

const rpc = (method: string, params: Mutation.Json): Mutation.Json => ({ jsonrpc: "2.0", id: 1, method, params })

/** A request that is right, before anything of it is changed. */
const requests: ReadonlyArray<readonly [string, Mutation.Json]> = [
  ["POST /chats", { chatId: "d" }],
  [`PATCH /chats/${c}`, { workspaceId: null }],
  [`POST /chats/${c}/children`, { chatId: "e" }],
  [`POST /chats/${c}/messages`, { messageId: "m", text: "Hello" }],
  ["POST /workspaces", { templateId, name: "web", parameters: { size: 2 }, chatId: c }],
  ["POST /workspaces/w/start", { parameters: { size: 1 } }],
  ["POST /workspaces/w/enrollment", { name: "main", connectionTimeout: 120_000 }],
  ["POST /workspaces/w/enrollment", null],
  [
    mcp,
    rpc("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "1" } })
  ],
  [mcp, rpc("tools/list", {})],
  [mcp, rpc("tools/call", { name: "execute", arguments: { command: "x" }, _meta: { progressToken: 1 } })],
  [mcp, { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1, reason: "x" } }],
  [mcp, [rpc("ping", {}), rpc("ping", {})]]
]

/** Enough for all executions of one world. */
const script = Array.from({ length: 1000 }, () => ScriptedModel.say("Yes"))

const types = [
  null,
  "text/plain",
  "application/xml",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "multipart/form-data",
  "application/json; charset=utf-16",
  "application/json;",
  "application/merge-patch+json",
  "\"",
  "application/octet-stream"
]

const encoder = new TextEncoder()

const body = (chance: Chance, json: Mutation.Json): Uint8Array =>
  chance.sometimes(0.8)
    ? Mutation.frame(chance, json)
    : chance.pick<() => Uint8Array>([
      () => new Uint8Array(0),
      () => chance.bytes(chance.below(200)),
      () => encoder.encode("[".repeat(100_000)),
      () => encoder.encode(`${"{\"a\":".repeat(100_000)}1${"}".repeat(100_000)}`),
      () => encoder.encode(JSON.stringify(json).replace("{", `{"x":"${"y".repeat(chance.pick([10, 2 ** 20]))}",`)),
      () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), encoder.encode(JSON.stringify(json))]),
      () => encoder.encode(`${JSON.stringify(json)}${JSON.stringify(json)}`),
      () => Buffer.from(JSON.stringify(json), "utf16le")
    ])()

const tell = (about: string): Effect.Effect<never> => Effect.die(new Error(about))

const play = Effect.fnUntraced(function*(handler: (request: Request) => Promise<Response>, chance: Chance) {
  const [line, json] = chance.pick(requests)
  const [method = "", path = ""] = line.split(" ")
  const sent = body(chance, json)
  const type = chance.sometimes(0.85) ? "application/json" : chance.pick(types)
  const response = yield* Effect.promise(() =>
    handler(
      new Request(`http://api.test${path}`, {
        method,
        headers: {
          authorization: `Bearer ${ann}`,
          accept: "application/json, text/event-stream",
          ...(type === null ? {} : { "content-type": type })
        },
        body: Uint8Array.from(sent)
      })
    )
  )
  const { status } = response
  const kind = response.headers.get("content-type") ?? ""
  if (kind.startsWith("text/event-stream")) {
    yield* Effect.promise(() => response.body?.cancel() ?? Promise.resolve())
    yield* TestClock.adjust("1 second")
    return
  }
  const text = yield* Effect.promise(() => response.text())
  yield* TestClock.adjust("1 second")
  const what = `${line} (${type}) ${Buffer.from(sent.subarray(0, 200)).toString()}: ${status} ${text.slice(0, 500)}`
  if (status >= 500) return yield* tell(what)
  if (status < 400) return
  // MCP has errors of its own.
  if (line !== mcp && !kind.startsWith("application/problem+json")) return yield* tell(what)
  if (line !== mcp && JSON.parse(text).status !== status) return yield* tell(what)
  if (/node_modules|\n {4}at |file:\/\//.test(text)) return yield* tell(what)
})

export const target: Target = {
  name: "http-bodies",
  within: (use) =>
    Effect.flatMap(Clock.Clock, (clock) =>
      Effect.gen(function*() {
        const app = yield* HttpRouter.toHttpEffect(
          Layer.merge(ApiRoutes.layer(), McpEndpoint.layerRoute().pipe(Layer.provide(Owned.layer))).pipe(
            Layer.provide([layerTokens, HttpServer.layerServices])
          )
        )
        const context = yield* Effect.context<world.Services | Scope.Scope>()
        const handler = HttpEffect.toWebHandlerWith<never, HttpServerRequest.HttpServerRequest | Scope.Scope>(context)(
          Effect.orDie(app)
        )
        return yield* use((chance) => Effect.provideContext(play(handler, chance), context)).pipe(
          // The time of the executions is real, that of the world is not.
          Effect.provideService(Clock.Clock, clock)
        )
      }).pipe(world.provide(script), Effect.provide([TestClock.layer(), Logger.layer([])])))
}
