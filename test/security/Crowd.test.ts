/** Thousands of strangers at the door of a gateway in whose house somebody works. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Logger, Redacted } from "effect"
import { AgentTransport } from "../../src/agent/index.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import { AgentToken } from "../../src/domain/index.ts"
import { AgentPresence } from "../../src/store/index.ts"
import * as h from "../agent/support/harness.ts"
import { liveBytes } from "../memory.ts"
import * as raw from "./support/raw.ts"

const sockets = (): number => process.getActiveResourcesInfo().filter((resource) => resource === "TCPSocketWrap").length

/** The honest agent shares its thread with the crowd: nobody takes it for dead meanwhile. */
const patient = { pingTimeout: "30 seconds" } as const

const folder = { name: "/", type: "directory", size: 0, modifiedAtMillis: 0, mode: 0 }

describe("10,000 attempts to connect, beside a call", () => {
  it.live(
    "are refused without a query unless their token is well formed, and cost neither sockets nor memory",
    () =>
      Effect.gen(function*() {
        const { control, presence } = yield* h.switchable
        const { context } = yield* h.start(patient).pipe(Effect.provideService(AgentPresence.AgentPresence, presence))
        const port = yield* raw.serve(context)
        const transport = Context.get(context, AgentTransport.AgentTransport)
        const enrolled = yield* h.enroll()
        let follow = -1
        const { agent } = yield* h.connect(port, enrolled.token, {
          on: ({ id, tag }, agent) => {
            if (tag === "Stat") agent.answer(id, folder)
            if (tag === "Start") agent.answer(id, { _tag: "Running", end: 0 })
            if (tag === "Follow") follow = id
          }
        })
        const connection = yield* transport.dial(enrolled.agentId)
        const running = yield* Effect.forkChild(
          connection.processes.run({ id: h.operation(), argv: ["x"] }, { timeout: "5 minutes" })
        )
        yield* h.until(() => follow !== -1)
        const unknown = (index: number): string =>
          Redacted.value(AgentToken.format({
            agentId: AgentId.make(`stranger-${index}`),
            secret: Redacted.make(new Uint8Array(32))
          }))
        const attempts = Array.from({ length: 10_000 }, (_, index) => {
          switch (index % 10) {
            case 0:
              return unknown(index)
            case 1:
              return undefined
            case 2:
              return `${raw.tokenOf(enrolled).slice(0, -1)}g`
            case 3:
              return "x".repeat(8000)
            default:
              return `cwa1.${index}.${index}.00000000`
          }
        })
        const attempt = (token: string | undefined) => raw.statusOf(port, raw.upgrade(token))
        // What is made once, by the first of them, is no growth.
        for (const token of attempts.slice(0, 20)) assert.strictEqual(yield* attempt(token), 401)
        const asked = control.verified
        const before = { heap: liveBytes(), sockets: sockets() }

        const crowd = yield* Effect.forkChild(
          Effect.forEach(attempts, attempt, { concurrency: 250 })
        )
        let calls = 0
        let slowest = 0
        while (crowd.pollUnsafe() === undefined) {
          const [taken] = yield* Effect.timed(connection.files.stat("/"))
          slowest = Math.max(slowest, Duration.toMillis(taken))
          calls += 1
          yield* Effect.sleep("10 millis")
        }
        const statuses = yield* Fiber.join(crowd)
        assert.deepStrictEqual(Array.from(new Set(statuses)), [401])
        assert.isBelow(slowest, 5000)
        assert.isAbove(calls, 3)
        // Only the thousand that could be somebody's were looked up.
        assert.strictEqual(control.verified - asked, 1000)

        yield* h.until(() => sockets() <= before.sockets, "10 seconds")
        assert.isBelow(liveBytes() - before.heap, 32 * 2 ** 20)
        assert.strictEqual(connection.liveness() === "closed", false)
        agent.send({ _tag: "Chunk", requestId: follow, values: [{ _tag: "Exited", end: 0, code: 0, signal: null }] })
        agent.answer(follow, null)
        assert.strictEqual((yield* Fiber.join(running)).code, 0)
        assert.strictEqual(transport.describe?.(enrolled.agentId).session?.epoch, 1)
      }).pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])),
    120_000
  )
})

describe("a crowd with good tokens and nothing to say", () => {
  it.live("has as many places as it may, and those who work have theirs", () =>
    Effect.gen(function*() {
      const { context } = yield* h.start({ ...patient, unauthenticated: 100, helloTimeout: "6 seconds" })
      const port = yield* raw.serve(context)
      const transport = Context.get(context, AgentTransport.AgentTransport)
      const enrolled = yield* h.enroll()
      yield* h.connect(port, enrolled.token, { on: ({ id }, agent) => agent.answer(id, folder) })
      const connection = yield* transport.dial(enrolled.agentId)
      const crowd = yield* Effect.forEach(Array.from({ length: 40 }), () => h.enroll())
      const tokens = crowd.flatMap((each) => Array.from({ length: 10 }, () => raw.tokenOf(each)))
      const opened = yield* Effect.forEach(tokens, (token) => raw.open(port, raw.upgrade(token)), {
        concurrency: "unbounded"
      })
      const answered = (status: number) => opened.filter(({ text }) => text().startsWith(`HTTP/1.1 ${status}`)).length
      yield* h.until(() => answered(101) + answered(503) === opened.length, "20 seconds")
      assert.isAtMost(answered(101), 100)
      assert.isAtLeast(answered(503), 300)
      const [taken] = yield* Effect.timed(connection.files.stat("/"))
      assert.isBelow(Duration.toMillis(taken), 5000)
      // They are shown out, and the places are free again.
      for (const { closed } of opened) yield* Effect.timeout(closed, "20 seconds")
      const other = yield* h.enroll()
      assert.strictEqual((yield* h.connect(port, other.token)).status, "open")
      yield* transport.dial(other.agentId)
      yield* connection.files.stat("/")
    }).pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])), 60_000)
})
