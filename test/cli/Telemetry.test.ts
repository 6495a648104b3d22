import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Layer, Metric, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import type { HttpClientRequest } from "effect/http"
import * as Telemetry from "../../src/cli/Telemetry.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { message: Schema.String }) {}

/** What is exported while the effect runs, until the layer has ended: the requests, and their bodies as text. */
const exportsOf = Effect.fnUntraced(function*(env: Record<string, string>, effect: Effect.Effect<unknown, unknown>) {
  const sent: Array<{ readonly request: HttpClientRequest.HttpClientRequest; readonly text: string }> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      const { body } = request
      sent.push({
        request,
        text: "body" in body
          ? String(body.body instanceof Uint8Array ? new TextDecoder().decode(body.body) : body.body)
          : ""
      })
      return HttpClientResponse.fromWeb(request, new Response("{}"))
    })
  )
  yield* Effect.exit(effect).pipe(
    Effect.provide(Layer.provide(Telemetry.layer, Layer.succeed(HttpClient.HttpClient, client))),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env)),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
  return sent
})

const work = Effect.gen(function*() {
  yield* Metric.update(Metric.counter("counted"), 1)
  yield* Effect.logInfo("something happened")
  return yield* new Refused({ message: "SECRET" })
}).pipe(Effect.withSpan("work"))

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }

const pathsOf = (sent: ReadonlyArray<{ readonly request: HttpClientRequest.HttpClientRequest }>) =>
  Array.from(new Set(sent.map(({ request }) => request.url))).sort()

describe("telemetry", () => {
  it.live("is not sent where no endpoint is named", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* exportsOf({ OTEL_SERVICE_NAME: "mine" }, work), [])
    }))

  it.live("goes to the endpoint: spans, metrics and logs, with the headers and under our name", () =>
    Effect.gen(function*() {
      const sent = yield* exportsOf({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS: "api-key=k%201" }, work)
      assert.deepStrictEqual(pathsOf(sent), [
        "http://collector:4318/v1/logs",
        "http://collector:4318/v1/metrics",
        "http://collector:4318/v1/traces"
      ])
      for (const { request, text } of sent) {
        assert.strictEqual(request.headers["api-key"], "k 1")
        assert.include(text, "chat-workspace")
      }
    }))

  it.live("tells of an error that ends a span its name, and not its message", () =>
    Effect.gen(function*() {
      const traces = (yield* exportsOf(endpoint, work)).filter(({ request }) => request.url.endsWith("traces"))
      const text = traces.map(({ text }) => text).join()
      assert.include(text, "Refused")
      assert.notInclude(text, "SECRET")
    }))

  it.live("has the name of the service that is given, among the attributes too", () =>
    Effect.gen(function*() {
      for (const given of [{ OTEL_SERVICE_NAME: "mine" }, { OTEL_RESOURCE_ATTRIBUTES: "service.name=mine,zone=a" }]) {
        const sent = yield* exportsOf({ ...endpoint, ...given }, work)
        for (const { text } of sent) {
          assert.include(text, "\"mine\"")
          assert.notInclude(text, "chat-workspace")
        }
      }
    }))

  it.live("is switched off, as a whole and by signal", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* exportsOf({ ...endpoint, OTEL_SDK_DISABLED: "true" }, work), [])
      const some = { OTEL_LOGS_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" }
      assert.deepStrictEqual(pathsOf(yield* exportsOf({ ...endpoint, ...some }, work)), [
        "http://collector:4318/v1/traces"
      ])
    }))

  it.live("is protobuf unless said otherwise, and never gRPC", () =>
    Effect.gen(function*() {
      const sent = yield* exportsOf({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }, work)
      assert.isTrue(
        sent.length > 0 && sent.every(({ request }) =>
          request.body._tag === "Uint8Array" && request.body.contentType === "application/x-protobuf"
        )
      )
      const refused = yield* Effect.exit(
        Effect.provide(Effect.void, Layer.provide(Telemetry.layer, FetchHttpClient.layer))
      ).pipe(
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromUnknown({ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" })
        )
      )
      assert.isTrue(Exit.isFailure(refused))
      assert.include(String(refused), "OTEL_EXPORTER_OTLP_PROTOCOL")
    }))
})
