/** Strangers who take their time: half of a head, half of a handshake, half of a frame, or nothing at all. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Logger, Schedule } from "effect"
import type { Scope } from "effect"
import { AgentTransport } from "../../src/agent/index.ts"
import { AgentPresence } from "../../src/store/index.ts"
import * as h from "../agent/support/harness.ts"
import * as raw from "./support/raw.ts"

const folder = { name: "/", type: "directory", size: 0, modifiedAtMillis: 0, mode: 0 }

/** A gateway with an agent that works in it. */
const house = Effect.gen(function*() {
  const { control, presence } = yield* h.switchable
  const { context } = yield* h.start({ helloTimeout: "2 seconds", pingTimeout: "30 seconds" }).pipe(
    Effect.provideService(AgentPresence.AgentPresence, presence)
  )
  const port = yield* raw.serve(context)
  const transport = Context.get(context, AgentTransport.AgentTransport)
  const enrolled = yield* h.enroll()
  yield* h.connect(port, enrolled.token, { on: ({ id }, agent) => agent.answer(id, folder) })
  const connection = yield* transport.dial(enrolled.agentId)
  const works = Effect.map(Effect.timed(connection.files.stat("/")), ([taken]) => {
    assert.isBelow(Duration.toMillis(taken), 5000)
    assert.notStrictEqual(connection.liveness(), "closed")
  })
  return { control, port, transport, works }
})

const live = (name: string, body: Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(name, () => body.pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])), 60_000)
}

/** Sends the rest of a text a character at a time, until the socket is gone. */
const dripping = ({ socket }: raw.Raw, text: string) =>
  Effect.forEach(
    text,
    (character) => Effect.andThen(Effect.sync(() => socket.write(character)), Effect.sleep("300 millis")),
    {
      discard: true
    }
  ).pipe(Effect.forkScoped)

describe("before the upgrade", () => {
  live(
    "who says nothing, half a head, or one character after the other is shown out in 5 s, and nobody is asked about them",
    Effect.gen(function*() {
      const { control, port, works } = yield* house
      const head = raw.upgrade("x".repeat(2000))
      const asked = control.verified
      const [nothing, half, drip] = yield* Effect.forEach(
        [[], [head.slice(0, 100)], [head.slice(0, 10)]],
        (bytes) => Effect.forEach(Array.from({ length: 100 }), () => raw.open(port, ...bytes))
      )
      if (nothing === undefined || half === undefined || drip === undefined) return assert.fail()
      for (const each of drip) yield* dripping(each, head.slice(10, 200))
      const working = yield* Effect.forkChild(Effect.repeat(works, Schedule.spaced("200 millis")))
      // Node looks once a second; the rest is for a machine that is busy.
      yield* Effect.forEach([...nothing, ...half, ...drip], ({ closed }) => closed, { concurrency: "unbounded" }).pipe(
        Effect.timeout("20 seconds")
      )
      for (const { text } of [...half, ...drip]) assert.match(text(), /^(HTTP\/1\.1 408|$)/)
      assert.strictEqual(control.verified, asked)
      assert.isUndefined(working.pollUnsafe())
      yield* Fiber.interrupt(working)
    })
  )

  live(
    "a head that is too large, or none at all, is refused at once",
    Effect.gen(function*() {
      const { control, port, works } = yield* house
      const asked = control.verified
      const wrong = [
        ["GET /agent HTTP/1.1\r\nhost: x\r\nx: ", "y".repeat(20_000), 431],
        [raw.upgrade(undefined, `${"x-a: y\r\n".repeat(2500)}`), "", 431],
        ["\u0016\u0003\u0001 this is the beginning of TLS", "\r\n\r\n", 400],
        ["GET /agent HTTP/1.1\r\nhost: x\r\nbad header: y\r\n", "\r\n", 400],
        ["GET /agent HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n", "\r\n", 400],
        [raw.upgrade("x").replace("Bearer", "Bearer \u0000"), "", 400]
      ] as const
      for (const [head, rest, status] of wrong) {
        assert.strictEqual(yield* raw.statusOf(port, head + rest), status, JSON.stringify(head.slice(0, 60)))
      }
      assert.strictEqual(control.verified, asked)
      yield* works
    })
  )

  live(
    "an upgrade of what is none is answered, and its socket is closed",
    Effect.gen(function*() {
      const { port, works } = yield* house
      const token = raw.tokenOf(yield* h.enroll())
      const wrong = [
        [raw.upgrade(token).replace("/agent", "/other"), 404],
        [raw.upgrade(token).replace("version: 13", "version: 1"), 400],
        [raw.upgrade(token).replace("AAAAAAAAAAAAAAAAAAAAAA==", "short"), 400],
        [raw.upgrade(token).replace("upgrade: websocket", "upgrade: h2c"), 400],
        [raw.upgrade(token).replace("GET", "POST"), 404]
      ] as const
      for (const [head, status] of wrong) {
        const each = yield* raw.open(port, head)
        yield* Effect.timeout(each.closed, "20 seconds")
        assert.match(each.text(), new RegExp(`^HTTP/1\\.1 ${status}`), head.slice(0, 200))
      }
      yield* works
    })
  )
})

describe("after the upgrade", () => {
  /** A masked frame of text of this many bytes, of which only the beginning is there. */
  const frame = (size: number, there: number): Uint8Array => {
    const bytes = Buffer.alloc(14 + there, 0x41)
    bytes.set([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    bytes.writeUInt32BE(size, 6)
    return bytes
  }

  live(
    "who never answers the hello, or only begins to, is shown out, and never lent",
    Effect.gen(function*() {
      const { port, transport, works } = yield* house
      const guests = yield* Effect.forEach(
        [[], [frame(1000, 10)], [frame(2 ** 20, 2 ** 19)], [Buffer.from([0x81])]] as const,
        Effect.fnUntraced(function*(bytes) {
          const enrolled = yield* h.enroll()
          const guest = yield* raw.open(port, raw.upgrade(raw.tokenOf(enrolled)))
          yield* h.until(() => guest.text().startsWith("HTTP/1.1 101"), "20 seconds")
          for (const each of bytes) guest.socket.write(each)
          return { ...guest, agentId: enrolled.agentId }
        })
      )
      for (const { agentId, closed } of guests) {
        yield* Effect.timeout(closed, "20 seconds")
        assert.strictEqual(transport.describe?.(agentId).session, null)
      }
      yield* works
    })
  )

  live(
    "a frame that says it is larger than any may be is the end at once, whatever comes of it",
    Effect.gen(function*() {
      const { port, works } = yield* house
      for (const size of [2 ** 20 + 1, 2 ** 31]) {
        const guest = yield* raw.open(port, raw.upgrade(raw.tokenOf(yield* h.enroll())))
        yield* h.until(() => guest.text().startsWith("HTTP/1.1 101"), "20 seconds")
        guest.socket.write(frame(size, 10))
        yield* Effect.timeout(guest.closed, "20 seconds")
        // The frame that closes, with the code for one that was too large.
        assert.include(guest.text(), "\u0088\u0002\u0003\u00f1")
      }
      yield* works
    })
  )
})
