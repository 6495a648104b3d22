import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import * as h from "../agent/support/harness.ts"
import * as Proxy from "./Proxy.ts"

/** A server that says what it hears, behind a proxy. */
const scene = Effect.gen(function*() {
  const accepted = new Set<Socket>()
  const server = createServer((socket) => {
    accepted.add(socket)
    socket.on("data", (data) => socket.write(data)).on("error", () => undefined).on(
      "close",
      () => accepted.delete(socket)
    )
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
    () => Effect.sync(() => server.close())
  )
  const proxy = yield* Proxy.make(() => ({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" }))
  const open: Effect.Effect<{ readonly socket: Socket; readonly heard: () => string }, never, Scope.Scope> = Effect.gen(
    function*() {
      let heard = ""
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => connect(proxy.port, "127.0.0.1")),
        (socket) => Effect.sync(() => socket.destroy())
      )
      socket.on("data", (data) => (heard += String(data))).on("error", () => undefined)
      return { socket, heard: () => heard }
    }
  )
  /** Says something and waits until it comes back. */
  const works = Effect.fnUntraced(function*({ heard, socket }: Effect.Success<typeof open>, text: string) {
    socket.write(text)
    yield* h.until(() => heard().endsWith(text))
  })
  return { proxy, open, works, accepted }
})

describe("a proxy", () => {
  it.live("lets through, and holds back in order what is delayed", () =>
    Effect.gen(function*() {
      const { open, proxy, works } = yield* scene
      const link = yield* open
      yield* works(link, "one")
      proxy.delay(150)
      const began = performance.now()
      link.socket.write("two")
      yield* works(link, "three")
      assert.isAtLeast(performance.now() - began, 290)
      proxy.delay(0)
      yield* works(link, "four")
      assert.strictEqual(link.heard().replaceAll(/\W/g, ""), "onetwothreefour")
    }))

  for (const abrupt of [true, false]) {
    it.live(`cuts what goes through, and nothing that comes after${abrupt ? "" : ", with a word of farewell"}`, () =>
      Effect.gen(function*() {
        const { open, proxy, works } = yield* scene
        const link = yield* open
        yield* works(link, "one")
        proxy.cut(abrupt)
        yield* h.until(() => link.socket.closed)
        yield* works(yield* open, "two")
        yield* h.until(() => proxy.sockets() === 2)
      }))
  }

  it.live("refuses new links while it is told to", () =>
    Effect.gen(function*() {
      const { open, proxy, works } = yield* scene
      const link = yield* open
      yield* works(link, "one")
      proxy.refuse(true)
      const refused = yield* open
      yield* h.until(() => refused.socket.closed)
      yield* works(link, "two")
      proxy.refuse(false)
      yield* works(yield* open, "three")
    }))

  it.live("half opens links: neither side hears the other any more, nor that it has left; new ones go through", () =>
    Effect.gen(function*() {
      const { accepted, open, proxy, works } = yield* scene
      const link = yield* open
      yield* works(link, "one")
      const [there] = accepted
      proxy.halfOpen()
      link.socket.write("lost")
      there?.write("lost")
      yield* works(yield* open, "two")
      assert.strictEqual(link.heard(), "one")
      there?.destroy()
      yield* works(yield* open, "three")
      proxy.cut(true)
      yield* works(yield* open, "four")
      assert.isFalse(link.socket.closed)
      link.socket.destroy()
      yield* h.until(() => proxy.sockets() === 2)
    }))

  it.live("is silent for links old and new, which are reset when it speaks again", () =>
    Effect.gen(function*() {
      const { open, proxy, works } = yield* scene
      const link = yield* open
      yield* works(link, "one")
      proxy.silence(true)
      const other = yield* open
      link.socket.write("lost")
      other.socket.write("lost")
      yield* h.until(() => proxy.sockets() === 3)
      proxy.silence(false)
      yield* h.until(() => link.socket.closed && other.socket.closed)
      assert.deepStrictEqual([link.heard(), other.heard()], ["one", ""])
      yield* works(yield* open, "two")
    }))
})
