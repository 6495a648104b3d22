/** What the gateway shows of itself, and what it must not: metrics, spans, and the memory that strangers can fill. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Metric, Redacted, Tracer } from "effect"
import type { Scope } from "effect"
import * as GatewayMetrics from "../../src/agent/GatewayMetrics.ts"
import { GatewayConfig } from "../../src/agent/index.ts"
import * as Sessions from "../../src/agent/Sessions.ts"
import { Recovery } from "../../src/domain/index.ts"
import * as h from "./support/harness.ts"
import { agent, fakeSession } from "./support/sessions.ts"

const live = (name: string, test: () => Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(name, () => test().pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])))
}

const gauge = Effect.map(Metric.value(GatewayMetrics.sessions), ({ value }) => value)

describe("the gauge of sessions", () => {
  // Heartbeats set it too; here none comes in the time of the test.
  const start = () => h.start({ heartbeat: "1 hour" })

  live("is right as soon as a session is lent, and as soon as it has ended", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* start()
      const [one, two] = [yield* h.enroll(), yield* h.enroll()]
      const first = yield* h.connect(port, one.token)
      yield* transport.dial(one.agentId)
      yield* Effect.yieldNow
      assert.strictEqual(yield* gauge, 1)
      yield* h.connect(port, two.token)
      const connection = yield* transport.dial(two.agentId)
      yield* Effect.yieldNow
      assert.strictEqual(yield* gauge, 2)
      // One that takes the place of another is no more.
      yield* h.connect(port, two.token)
      yield* connection.closed
      yield* Effect.sleep("20 millis")
      assert.strictEqual(yield* gauge, 2)
      const held = yield* transport.dial(one.agentId)
      first.agent.socket.terminate()
      yield* held.closed
      yield* Effect.yieldNow
      assert.strictEqual(yield* gauge, 1)
    }))

  live("counts nobody who was turned away after the upgrade", () =>
    Effect.gen(function*() {
      const { port } = yield* start()
      const { token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token, { hello: { version: 9 } })
      yield* agent.closed
      assert.strictEqual(yield* gauge, 0)
    }))

  it.effect("counts what is lent through replacements and late ends", () =>
    Effect.gen(function*() {
      const sessions = yield* Effect.provideService(
        Sessions.make(),
        GatewayConfig.GatewayConfig,
        GatewayConfig.defaults
      )
      const one = agent("one")
      const [old, next, other] = [
        fakeSession(one, { epoch: 1 }),
        fakeSession(one, { epoch: 2 }),
        fakeSession(agent("two"), { epoch: 1 })
      ]
      assert.deepStrictEqual([old, next, old, other].map((session) => sessions.add(session, 0)), [
        true,
        true,
        false,
        true
      ])
      assert.strictEqual(sessions.count(), 2)
      sessions.remove(old)
      assert.strictEqual(sessions.count(), 2)
      sessions.remove(next)
      sessions.remove(next)
      assert.strictEqual(sessions.count(), 1)
      assert.strictEqual(sessions.count(), sessions.all().length)
    }))
})

describe("strangers", () => {
  it.effect("with ids of their own making fill no memory: the last 1,000 refusals are kept", () =>
    Effect.gen(function*() {
      const sessions = yield* Effect.provideService(
        Sessions.make(),
        GatewayConfig.GatewayConfig,
        GatewayConfig.defaults
      )
      const ids = Array.from({ length: 1001 }, (_, index) => agent(`stranger-${index}`))
      const [first = agent("none"), second = agent("none")] = ids
      for (const id of ids.slice(0, 1000)) sessions.noteRefusal(id, "unknown", 0)
      assert.isDefined(sessions.inspect(first).lastRefusal)
      // Refused once more it is the newest.
      sessions.noteRefusal(first, "unknown", 1)
      sessions.noteRefusal(ids[1000] ?? first, "unknown", 2)
      assert.isDefined(sessions.inspect(first).lastRefusal)
      assert.isUndefined(sessions.inspect(second).lastRefusal)
      sessions.expire(600_000)
      assert.isUndefined(sessions.inspect(agent("stranger-2")).lastRefusal)
      assert.isDefined(sessions.inspect(first).lastRefusal)
    }))
})

describe("one agent that opens sockets and says nothing", () => {
  live("takes no place of the others, and has its own back after the time for a hello", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start({ helloTimeout: "500 millis", unauthenticated: 9 })
      const [hostile, other] = [yield* h.enroll(), yield* h.enroll()]
      const silent = yield* Effect.forEach(
        Array.from({ length: 8 }),
        () => h.connect(port, hostile.token, { hello: "silent" }),
        { concurrency: 8 }
      )
      assert.isTrue(silent.every(({ status }) => status === "open"))
      assert.strictEqual((yield* h.connect(port, hostile.token)).status, 503)
      assert.strictEqual((yield* h.connect(port, other.token)).status, "open")
      yield* transport.dial(other.agentId)
      for (const { agent } of silent) yield* agent.closed
      assert.strictEqual((yield* h.connect(port, hostile.token)).status, "open")
      yield* transport.dial(hostile.agentId)
    }))
})

describe("an agent with many words", () => {
  live(
    "reaches a model with the first 4,096 characters of them, and the advice after that",
    () =>
      Effect.gen(function*() {
        const { port, transport } = yield* h.start()
        const { agentId, token } = yield* h.enroll()
        const fail = (detail: string) => ({ _tag: "FileError", path: "x", reason: "notFound", detail, changed: [] })
        yield* h.connect(port, token, {
          on: ({ id, payload }, agent) => {
            const length = Number(JSON.stringify(payload).match(/\d+/)?.[0])
            const cause = [{ _tag: "Fail", error: fail("w".repeat(length)) }]
            agent.send({ _tag: "Exit", requestId: id, exit: { _tag: "Failure", cause } })
          }
        })
        const { files } = yield* transport.dial(agentId)
        const words = Effect.fnUntraced(function*(length: number) {
          const error = yield* Effect.flip(files.stat(String(length)))
          const text = Recovery.explain(error, { toolNames: [] })
          return [error.message.length, text.split("w").length - 1, text.includes("…")]
        })
        // The message is the path, the words and a full stop.
        assert.deepStrictEqual(yield* words(4092), [4096, 4092, false])
        assert.deepStrictEqual(yield* words(4093), [4097, 4093, true])
        const [, kept] = yield* words(500_000)
        assert.strictEqual(kept, 4093)
      })
  )
})

describe("spans and logs", () => {
  it.live("hold no token, argument, environment, output or content", () => {
    const spans: Array<Tracer.Span> = []
    const lines: Array<unknown> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const played = Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      const bytes = Buffer.from("secret-output").toString("base64")
      yield* h.connect(port, token, {
        on: ({ id, tag }, agent) => {
          if (tag === "Start") agent.answer(id, { _tag: "Running", end: 0 })
          if (tag === "Read") {
            agent.send({
              _tag: "Exit",
              requestId: id,
              exit: { _tag: "Failure", cause: [{ _tag: "Die", defect: "secret-defect" }] }
            })
          }
          if (tag !== "Follow") return
          agent.send({
            _tag: "Chunk",
            requestId: id,
            values: [
              { _tag: "Data", offset: 0, stream: "stdout", bytes },
              { _tag: "Exited", end: 13, code: 0, signal: null }
            ]
          })
          agent.answer(id, null)
        }
      })
      yield* h.connect(port, Redacted.make("secret-garbage"))
      const connection = yield* transport.dial(agentId)
      const result = yield* connection.processes.run({
        id: h.operation(),
        argv: ["secret-argument"],
        env: { NAME: "secret-variable" }
      })
      assert.strictEqual(h.decodeText(result.output.pieces), "secret-output")
      yield* Effect.flip(connection.files.read("/secret-path"))
      return [Redacted.value(token).split(".")[2] ?? assert.fail(), "secret-", bytes]
    })
    return Effect.gen(function*() {
      // Spans of requests end with the sockets.
      const hidden = yield* Effect.scoped(played)
      assert.isAtLeast(hidden[0]?.length ?? 0, 32)
      const shown = JSON.stringify([
        lines,
        spans.map((span) => [span.name, Array.from(span.attributes), span.status])
      ], (_, value) => typeof value === "bigint" ? String(value) : value)
      assert.include(spans.map(({ name }) => name), "AgentTransport.dial")
      assert.include(shown, "http.request.method")
      for (const text of hidden) assert.notInclude(shown, text)
    }).pipe(
      Effect.provide([
        h.layerStores,
        Logger.layer([Logger.make(({ cause, message }) => {
          lines.push(message, String(cause))
        })])
      ]),
      Effect.withTracer(tracer)
    )
  })
})
