/** The way to servers behind an address: the official one, and one that says by hand what a test wants. */
import { assert, describe, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { HttpClient, type HttpClientRequest, HttpClientResponse } from "effect/http"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { TestClock } from "effect/testing"
import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { z } from "zod"
import * as McpClient from "../../../src/agent/program/McpClient.ts"
import * as McpHttp from "../../../src/agent/program/McpHttp.ts"
import * as ProgramConfig from "../../../src/agent/program/ProgramConfig.ts"

interface Asked {
  readonly method: string
  readonly headers: IncomingMessage["headers"]
  readonly message: { readonly id?: number; readonly method?: string; readonly [key: string]: unknown }
}

type Handler = (asked: Asked, response: ServerResponse) => void

/** A server on a port of its own, and what it was asked. */
const serve = Effect.fnUntraced(function*(handler: Handler) {
  const asked: Array<Asked> = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (data: Buffer) => (body += data.toString()))
    request.on("end", () => {
      const one: Asked = {
        method: request.method ?? "",
        headers: request.headers,
        message: body === "" ? {} : JSON.parse(body)
      }
      asked.push(one)
      handler(one, response)
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { asked, url: `http://127.0.0.1:${port}/mcp`, close: () => server.closeAllConnections() }
})

const spec = (url: string, headers: Record<string, string> = {}) => ({ _tag: "Http" as const, url, headers })

const connect = Effect.fnUntraced(function*(url: string, headers?: Record<string, string>) {
  const transport = yield* McpHttp.open(spec(url, headers))
  const client = yield* McpClient.connect(transport, "1")
  return { transport, client }
})

const json = (response: ServerResponse, id: unknown, result: unknown, headers: Record<string, string> = {}) =>
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(
    JSON.stringify({ jsonrpc: "2.0", id, result })
  )

const hello = (revision = "2025-06-18") => ({ protocolVersion: revision, capabilities: { tools: {} } })

/** Shakes hands, and leaves the rest to the handler. */
const greeting = (handler: Handler, revision?: string): Handler => (asked, response) => {
  const { id, method } = asked.message
  if (asked.method === "DELETE") return void response.writeHead(200).end()
  if (method === "initialize") return void json(response, id, hello(revision), { "mcp-session-id": "session-1" })
  if (method?.startsWith("notifications/") === true) return void response.writeHead(202).end()
  return handler(asked, response)
}

const live = (name: string, test: Effect.Effect<void, unknown, Scope.Scope>): void => {
  it.live(name, () => test.pipe(Effect.scoped), 20_000)
}

const run = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provide(effect, FetchHttpClient.layer)

const tool = (url: string) => run(Effect.scoped(Effect.flatMap(connect(url), ({ client }) => client.call("x", {}))))

describe("McpHttp", () => {
  live(
    "the official server is listed and called, with its session ended at last",
    Effect.gen(function*() {
      const server = new McpServer({ name: "official", version: "1" })
      server.registerTool("add", { inputSchema: { a: z.number(), b: z.number() } }, ({ a, b }) => ({
        content: [{ type: "text", text: String(a + b) }]
      }))
      const ended = yield* Deferred.make<void>()
      const transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessionclosed: () => void Deferred.doneUnsafe(ended, Effect.void)
      })
      yield* Effect.promise(() => server.connect(transport as Parameters<typeof server.connect>[0]))
      const http = createServer((request, response) => void transport.handleRequest(request, response))
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void http.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => http.closeAllConnections())
      )
      const address = http.address()
      const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/`
      yield* run(Effect.scoped(Effect.gen(function*() {
        const { client } = yield* connect(url)
        assert.deepStrictEqual((yield* client.tools).tools.map(({ name }) => name), ["add"])
        const { content, isError } = yield* client.call("add", { a: 1, b: 2 })
        assert.deepStrictEqual([content, isError], [[{ _tag: "Text", text: "3" }], false])
        assert.isTrue((yield* client.call("add", { a: "one" })).isError)
      })))
      yield* Effect.timeout(Deferred.await(ended), "5 seconds")
      http.close()
    })
  )

  live(
    "sends the headers of the file, the session and the revision, and follows no redirect with them",
    Effect.gen(function*() {
      const other = yield* serve((_, response) => response.writeHead(200).end())
      const { asked, url } = yield* serve(greeting(({ message }, response) =>
        message.method === "tools/list"
          ? json(response, message.id, { tools: [] })
          : response.writeHead(307, { location: other.url }).end()
      ))
      const error = yield* run(Effect.scoped(Effect.gen(function*() {
        const { client } = yield* connect(url, { authorization: "Bearer secret" })
        yield* client.tools
        return yield* Effect.flip(client.call("x", {}))
      })))
      assert.deepInclude(error, { reason: "refused", detail: "it answered 307" })
      assert.strictEqual(other.asked.length, 0)
      assert.deepStrictEqual(
        asked.map(({ headers, message, method }) => [
          message.method ?? method,
          headers["authorization"],
          headers["mcp-session-id"],
          headers["mcp-protocol-version"]
        ]),
        [
          ["initialize", "Bearer secret", undefined, undefined],
          ["notifications/initialized", "Bearer secret", "session-1", "2025-06-18"],
          ["tools/list", "Bearer secret", "session-1", "2025-06-18"],
          ["tools/call", "Bearer secret", "session-1", "2025-06-18"],
          ["DELETE", "Bearer secret", "session-1", "2025-06-18"]
        ]
      )
    })
  )

  live(
    "an older server is not told of its revision",
    Effect.gen(function*() {
      const { asked, url } = yield* serve(
        greeting(({ message }, response) => json(response, message.id, { content: [] }), "2025-03-26")
      )
      yield* tool(url)
      assert.isTrue(asked.every(({ headers }) => headers["mcp-protocol-version"] === undefined))
    })
  )

  live(
    "finds its answer among events, and answers what the server asks there",
    Effect.gen(function*() {
      const { asked, url } = yield* serve(greeting(({ message }, response) => {
        if (message.method !== "tools/call") return void response.writeHead(202).end()
        response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" })
        const event = (message: unknown) => response.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`)
        response.write(": a comment\n\ndata: no JSON\n\n")
        event({ jsonrpc: "2.0", method: "notifications/progress", params: {} })
        event({ jsonrpc: "2.0", id: "ask", method: "ping" })
        event({ jsonrpc: "2.0", id: "roots", method: "roots/list" })
        event({ jsonrpc: "2.0", id: 4711, result: { content: [] } })
        event({ jsonrpc: "2.0", id: message.id, result: { content: [{ type: "text", text: "found" }] } })
      }))
      assert.deepStrictEqual((yield* tool(url)).content, [{ _tag: "Text", text: "found" }])
      assert.deepStrictEqual(
        asked.flatMap(({ message }) => message.method === undefined && message.id !== undefined ? [message] : []),
        [
          { jsonrpc: "2.0", id: "ask", result: {} },
          { jsonrpc: "2.0", id: "roots", error: { code: -32601, message: "Method not found" } }
        ] as ReadonlyArray<unknown>
      )
    })
  )

  live(
    "says what an answer lacks, and when the way is over",
    Effect.gen(function*() {
      let handler: Handler = (_, response) => response.writeHead(500).end()
      const { url } = yield* serve(greeting((asked, response) => handler(asked, response)))
      const failure = Effect.map(
        Effect.flip(tool(url)),
        (error) => error._tag === "McpFailed" ? [error.reason, error.detail] : [error._tag]
      )
      assert.deepStrictEqual(yield* failure, ["refused", "it answered 500"])
      handler = (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>")
      assert.deepStrictEqual(yield* failure, ["refused", "its answer is neither JSON nor a stream of events"])
      handler = (_, response) => response.writeHead(200, { "content-type": "text/event-stream" }).end("data: x\n\n")
      assert.deepStrictEqual(yield* failure, ["refused", "its answer was broken off"])
      handler = ({ message }, response) =>
        response.writeHead(200, { "content-type": "application/json" }).end(
          JSON.stringify({ jsonrpc: "2.0", id: message.id, error: { code: 1, message: "not today" } })
        )
      assert.deepStrictEqual(yield* failure, ["refused", "not today"])
      handler = (_, response) => response.writeHead(404).end()
      assert.deepStrictEqual(yield* failure, ["ended", "it has ended the session"])
      handler = (_, response) => response.destroy()
      assert.deepStrictEqual(yield* failure, ["ended", "it cannot be reached"])
      handler = ({ message }, response) => json(response, message.id, { content: "x".repeat(2000) })
      assert.deepStrictEqual(yield* Effect.provide(failure, ProgramConfig.layer({ mcpMessageBytes: 1000 })), [
        "refused",
        "its answer is too large"
      ])
      const nobody = yield* run(Effect.flip(Effect.scoped(connect("http://127.0.0.1:1/"))))
      assert.deepInclude(nobody, { reason: "ended", detail: "it cannot be reached" })
    })
  )

  live(
    "a call that is given up is canceled at the server",
    Effect.gen(function*() {
      const called = yield* Deferred.make<void>()
      const { asked, url } = yield* serve(greeting(() => void Deferred.doneUnsafe(called, Effect.void)))
      const call = yield* Effect.forkChild(tool(url))
      yield* Deferred.await(called)
      yield* Fiber.interrupt(call)
      const canceled = asked.find(({ message }) => message.method === "notifications/cancelled")
      const { id } = asked.find(({ message }) => message.method === "tools/call")?.message ?? {}
      assert.deepInclude(canceled?.message["params"] as object, { requestId: id })
    })
  )

  it.effect("a server that does not listen is told for 1 s that a call was given up, and for 1 s that its session ends", () => {
    const heard: Array<string> = []
    /** Answers what begins a session, and nothing after that. */
    const deaf = HttpClient.make((request) => {
      const method = saidBy(request)
      heard.push(method)
      return method === "initialize"
        ? Effect.succeed(HttpClientResponse.fromWeb(
          request,
          Response.json({ jsonrpc: "2.0", id: 1, result: hello() }, { headers: { "mcp-session-id": "session-1" } })
        ))
        : method === "notifications/initialized"
        ? Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 202 })))
        : Effect.never
    })
    const endsAfter = Effect.fnUntraced(function*(end: Effect.Effect<unknown>, last: string) {
      const ending = yield* Effect.forkChild(end)
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual([heard.at(-1), ending.pollUnsafe()], [last, undefined])
      yield* TestClock.adjust("1 millis")
      assert.isDefined(ending.pollUnsafe())
    })
    return Effect.gen(function*() {
      const session = yield* Scope.make()
      const { client } = yield* Scope.provide(connect("http://deaf/"), session)
      const call = yield* Effect.forkChild(client.call("x", {}))
      yield* TestClock.adjust(0)
      assert.strictEqual(heard.at(-1), "tools/call")
      yield* endsAfter(Fiber.interrupt(call), "notifications/cancelled")
      yield* endsAfter(Scope.close(session, Exit.void), "DELETE")
    }).pipe(Effect.provideService(HttpClient.HttpClient, deaf))
  })
})

const saidBy = ({ body, method }: HttpClientRequest.HttpClientRequest): string => {
  if (body._tag !== "Uint8Array") return method
  const message: { readonly method: string } = JSON.parse(new TextDecoder().decode(body.body))
  return message.method
}
