/** Tokens that come in, are made, refused, replaced and revoked, and a log and spans that hold everything but them. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Console, Context, Effect, Exit, Layer, Redacted, References, Schema, Tracer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { AgentGateway, GatewayConfig } from "../../src/agent/index.ts"
import * as Logs from "../../src/cli/Logs.ts"
import * as ApiRoutes from "../../src/http/ApiRoutes.ts"
import * as Authentication from "../../src/http/Authentication.ts"
import { AgentPresence } from "../../src/store/index.ts"
import { ScriptedModel, TestWorkspaces } from "../../src/testing/index.ts"
import * as h from "../agent/support/harness.ts"
import * as world from "../http/support/world.ts"

const apiToken = "token-of-the-api-0123456789"
const wrongToken = "token-of-a-stranger-0123456789"

const Enrolled = Schema.decodeUnknownSync(Schema.Struct({ agentId: Schema.String, token: Schema.String }))
const Rotated = Schema.decodeUnknownSync(Schema.Struct({ token: Schema.String }))

/** What is exported of how a span ended: a failure, and never the value of a success. */
const failureOf = ({ status }: Tracer.Span): string | undefined =>
  status._tag === "Ended" && Exit.isFailure(status.exit) ? Cause.pretty(status.exit.cause) : undefined

describe("a token", () => {
  it.live("is in no log line and on no span, of the API and of the gateway, at any level", () => {
    const records: Array<string> = []
    const note = (...words: ReadonlyArray<unknown>) => void records.push(words.map(String).join(" "))
    const capturing = new Proxy(console, {
      get: (_, name) => name === "log" || name === "error" ? note : () => undefined
    })
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })

    const played = Effect.gen(function*() {
      const gateway = yield* Layer.build(
        AgentGateway.layerTransport().pipe(Layer.provide(GatewayConfig.layer(h.quick)))
      )
      const server = yield* Layer.build(
        // With the log of requests, which an application may have left on.
        HttpRouter.serve(Layer.merge(ApiRoutes.layer(), AgentGateway.layerRoute()), { disableListenLog: true }).pipe(
          Layer.provideMerge(NodeHttpServer.layer(() => createServer(), {
            port: 0,
            host: "127.0.0.1",
            gracefulShutdownTimeout: "100 millis"
          })),
          Layer.provide(Authentication.layerToken({ token: Redacted.make(apiToken), owner: TestWorkspaces.owner })),
          Layer.provide(Layer.succeedContext(gateway))
        )
      )
      const { address } = Context.get(server, HttpServer.HttpServer)
      const port = "port" in address ? address.port : assert.fail()
      const ask = (method: string, path: string, token: string | undefined) =>
        Effect.promise(async () => {
          const response = await fetch(`http://127.0.0.1:${port}${path}`, {
            method,
            ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
          })
          return { status: response.status, body: await response.text() }
        })

      for (const token of [undefined, wrongToken, `${apiToken} `.repeat(2), apiToken.slice(1)]) {
        assert.strictEqual((yield* ask("GET", "/chats", token)).status, 401)
      }
      assert.strictEqual((yield* ask("GET", "/chats", apiToken)).status, 200)
      const made = yield* ask("POST", "/workspaces/w/enrollment", apiToken)
      assert.strictEqual(made.status, 201)
      const first = Enrolled(JSON.parse(made.body))
      const connect = (token: string) => h.connect(port, Redacted.make(token))
      const { agent, status } = yield* connect(first.token)
      assert.strictEqual(status, "open")
      yield* h.until(() => agent.requests.length > 0)
      const second = Rotated(JSON.parse((yield* ask("POST", `/agents/${first.agentId}/token`, apiToken)).body))
      // The session under the old one ends with the next heartbeat, and it opens nothing any more.
      yield* agent.closed
      assert.strictEqual((yield* connect(first.token)).status, 401)
      assert.strictEqual((yield* connect(second.token)).status, "open")
      assert.strictEqual((yield* ask("DELETE", "/workspaces/w/enrollment", apiToken)).status, 204)
      assert.strictEqual((yield* connect(second.token)).status, 401)
      const secretOf = (token: string): string => token.split(".")[2] ?? assert.fail("no token")
      return [apiToken, wrongToken, apiToken.slice(1), secretOf(first.token), secretOf(second.token)]
    })

    return Effect.gen(function*() {
      // Spans of requests end with their sockets.
      const secrets = yield* Effect.scoped(played)
      const shown = JSON.stringify([
        records,
        spans.map((span) => [span.name, Array.from(span.attributes), span.kind, failureOf(span)])
      ], (_, value) => typeof value === "bigint" ? String(value) : value)
      assert.isAbove(records.length, 5)
      assert.include(shown, "http.request.method")
      assert.include(shown, "Agent refused")
      for (const secret of secrets) assert.notInclude(shown, secret)
    }).pipe(
      Effect.provide(AgentPresence.layerMemory),
      world.provide([ScriptedModel.say("Yes")]),
      Effect.provide(Logs.layer),
      Effect.provideService(Console.Console, capturing),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.withTracer(tracer)
    )
  }, 30_000)
})
