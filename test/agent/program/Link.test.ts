import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Layer, Random, Scope } from "effect"
import type { Socket } from "effect/socket"
import { SocketServer } from "effect/socket"
import { TestClock } from "effect/testing"
import * as Link from "../../../src/agent/program/Link.ts"
import { OutboundSocket, type Refusal } from "../../../src/agent/program/OutboundSocket.ts"
import { CloseCode } from "../../../src/agent/Protocol.ts"
import * as TestAgent from "./TestAgent.ts"

type Listener = (event: Socket.WebSocketEvent) => void

/** One attempt of the agent, and what a gateway can do with it. */
class FakeSocket implements Socket.WebSocketLike {
  readyState = 0
  closedWith: number | undefined
  readonly sent: Array<unknown> = []
  link: Link.Link | undefined
  writer: Socket.Writer | undefined
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly refused: (refusal: Refusal) => void

  constructor(refused: (refusal: Refusal) => void) {
    this.refused = refused
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener))
  }
  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener)
  }
  close(code?: number): void {
    this.readyState = 3
    this.closedWith ??= code
  }
  send(data: unknown): void {
    this.sent.push(data)
  }
  #emit(type: string, event: Socket.WebSocketEvent): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event)
  }

  open(): void {
    this.readyState = 1
    this.#emit("open", {})
  }
  frame(data: string): void {
    this.#emit("message", { data })
  }
  end(code = 1006): void {
    this.readyState = 3
    this.#emit("close", { code })
  }
  refuse(refusal: Refusal): void {
    this.refused(refusal)
    this.#emit("error", {})
  }
}

/** Lets fibers run that were woken by an event from outside. */
const settle = TestClock.adjust(0)

const make = Effect.fnUntraced(function*(jitter = 1) {
  const sockets: Array<FakeSocket> = []
  const served: Array<string> = []
  const clocks = { wall: 0, monotonic: 0 }
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const directory = "/"
  const server = yield* Layer.build(
    Link.layer.pipe(Layer.provide([
      TestAgent.settings({ directory, stateDirectory: directory }),
      Layer.succeed(OutboundSocket, ({ refused }) => {
        const socket = new FakeSocket(refused)
        sockets.push(socket)
        return socket
      }),
      Layer.succeed(Link.FrameClocks, { wall: () => clocks.wall, monotonic: () => clocks.monotonic })
    ]))
  )
  const { run } = yield* Effect.provide(SocketServer.SocketServer, server)
  yield* run((socket) =>
    Effect.scoped(Effect.gen(function*() {
      const { pull } = yield* socket.reader
      const fake = sockets[sockets.length - 1]
      if (fake === undefined) return assert.fail("served without a socket")
      fake.link = yield* Link.CurrentLink
      fake.writer = yield* socket.writer
      while (true) served.push(...(yield* pull).map(String))
    }))
  ).pipe(
    Effect.provideService(Random.Random, {
      nextIntUnsafe: () => 0,
      nextDoubleUnsafe: () => jitter
    }),
    Effect.forkIn(scope)
  )
  yield* settle
  return {
    served,
    clocks,
    attempts: () => sockets.length,
    nth: (index: number): FakeSocket => sockets[index] ?? assert.fail(`no attempt ${index}`),
    last: (): FakeSocket => sockets[sockets.length - 1] ?? assert.fail("no attempt"),
    stop: Scope.close(scope, Exit.void),
    /** The next attempt comes after exactly this time. */
    nextAfter: Effect.fnUntraced(function*(millis: number) {
      const before = sockets.length
      yield* settle
      if (millis > 0) {
        yield* TestClock.adjust(millis - 1)
        assert.strictEqual(sockets.length, before, `before ${millis} ms`)
        yield* TestClock.adjust(1)
      }
      assert.strictEqual(sockets.length, before + 1, `after ${millis} ms`)
    })
  }
})

const opened = Effect.fnUntraced(function*(agent: Effect.Success<ReturnType<typeof make>>) {
  const socket = agent.last()
  socket.open()
  yield* settle
  return socket
})

const greeted = Effect.fnUntraced(function*(agent: Effect.Success<ReturnType<typeof make>>) {
  const socket = yield* opened(agent)
  const { link } = socket
  if (link === undefined) return assert.fail("not served")
  yield* Deferred.succeed(link.greeted, undefined)
  yield* settle
  return { socket, link }
})

/** Greeted, and then called: the gateway has made it the one to use. */
const used = Effect.fnUntraced(function*(agent: Effect.Success<ReturnType<typeof make>>) {
  const next = yield* greeted(agent)
  yield* Deferred.succeed(next.link.used, undefined)
  yield* settle
  return next
})

describe("Link", () => {
  describe("delays", () => {
    it.effect("grow twofold to five seconds, and never end", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        for (const delay of [200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]) {
          agent.last().end()
          yield* agent.nextAfter(delay)
        }
        for (let index = 0; index < 100; index++) {
          agent.last().end()
          yield* agent.nextAfter(5_000)
        }
      }))

    it.effect("are a random part of that", () =>
      Effect.gen(function*() {
        const agent = yield* make(0.25)
        for (const delay of [50, 100, 200, 400, 800, 1_250, 1_250]) {
          agent.last().end()
          yield* agent.nextAfter(delay)
        }
      }))

    it.effect("start anew after a link that lived for thirty seconds, and not before", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        const live = Effect.fnUntraced(function*(millis: number) {
          const socket = yield* opened(agent)
          for (let left = millis; left > 0; left -= 10_000) {
            yield* TestClock.adjust(Math.min(left, 10_000))
            socket.frame("beat")
            yield* settle
          }
          socket.end()
        })
        agent.last().end()
        yield* agent.nextAfter(200)
        yield* live(29_999)
        yield* agent.nextAfter(400)
        yield* live(30_000)
        yield* agent.nextAfter(200)
      }))

    it.effect("are the longest for who is revoked, incompatible or not let in", () =>
      Effect.gen(function*() {
        const agent = yield* make(0.1)
        for (const code of [CloseCode.revoked, CloseCode.incompatible]) {
          yield* opened(agent)
          agent.last().end(code)
          yield* agent.nextAfter(5_000)
        }
        for (const status of [400, 401, 403, 404]) {
          agent.last().refuse({ status, retryAfter: undefined })
          yield* agent.nextAfter(5_000)
        }
      }))

    it.effect("are a minute for who was displaced by another incarnation", () =>
      Effect.gen(function*() {
        const agent = yield* make(0.1)
        yield* opened(agent)
        agent.last().end(CloseCode.displaced)
        yield* agent.nextAfter(60_000)
      }))

    it.effect("are what an overloaded gateway asks for, within a minute", () =>
      Effect.gen(function*() {
        const agent = yield* make(1)
        agent.last().refuse({ status: 503, retryAfter: "7" })
        yield* agent.nextAfter(7_000)
        agent.last().refuse({ status: 503, retryAfter: "86400" })
        yield* agent.nextAfter(60_000)
        agent.last().refuse({ status: 503, retryAfter: undefined })
        yield* agent.nextAfter(800)
        agent.last().refuse({ status: 500, retryAfter: undefined })
        yield* agent.nextAfter(1_600)
      }))

    it.effect("are the usual ones for a gateway that restarts, replaces us or finds fault with us", () =>
      Effect.gen(function*() {
        const agent = yield* make()
        let delay = 200
        for (const code of [CloseCode.goingAway, CloseCode.restarting, CloseCode.replaced, CloseCode.violation]) {
          yield* opened(agent)
          agent.last().end(code)
          yield* agent.nextAfter(delay)
          delay *= 2
        }
      }))
  })

  describe("silence", () => {
    it.effect("of fifteen seconds ends the link", () =>
      Effect.gen(function*() {
        const agent = yield* make(0)
        const socket = yield* opened(agent)
        yield* TestClock.adjust(14_999)
        socket.frame("ping")
        yield* TestClock.adjust(14_999)
        assert.strictEqual(agent.attempts(), 1)
        assert.strictEqual(socket.closedWith, undefined)
        yield* TestClock.adjust(1)
        assert.strictEqual(socket.closedWith, 1_000)
        assert.strictEqual(agent.attempts(), 2)
      }))

    it.effect("of ten seconds ends an attempt that does not open", () =>
      Effect.gen(function*() {
        const agent = yield* make(0)
        yield* TestClock.adjust(9_999)
        assert.strictEqual(agent.attempts(), 1)
        yield* TestClock.adjust(1)
        assert.strictEqual(agent.nth(0).closedWith, 1_000)
        assert.strictEqual(agent.attempts(), 2)
      }))
  })

  describe("stale frames", () => {
    const frames = Effect.fnUntraced(function*(
      agent: Effect.Success<ReturnType<typeof make>>,
      passed: { readonly wall: number; readonly monotonic: number }
    ) {
      agent.clocks.wall += passed.wall
      agent.clocks.monotonic += passed.monotonic
      agent.last().frame("one")
      agent.last().frame("two")
      yield* settle
    })

    it.effect("are served up to ten seconds after the frame before", () =>
      Effect.gen(function*() {
        const agent = yield* make(0)
        yield* opened(agent)
        yield* frames(agent, { wall: 10_000, monotonic: 10_000 })
        assert.deepStrictEqual(agent.served, ["one", "two"])
        yield* frames(agent, { wall: 10_000, monotonic: 10_000 })
        assert.deepStrictEqual(agent.served.length, 4)
        assert.strictEqual(agent.attempts(), 1)
      }))

    for (const clock of ["wall", "monotonic"] as const) {
      it.effect(`are dropped with all that came with them and the link, by the ${clock} clock alone`, () =>
        Effect.gen(function*() {
          const agent = yield* make(0)
          const socket = yield* opened(agent)
          yield* frames(agent, { wall: 0, monotonic: 0, [clock]: 10_001 })
          assert.deepStrictEqual(agent.served, [])
          assert.strictEqual(socket.closedWith, 1_000)
          assert.strictEqual(agent.attempts(), 2)
          yield* opened(agent)
          yield* frames(agent, { wall: 0, monotonic: 0 })
          assert.deepStrictEqual(agent.served, ["one", "two"])
        }))
    }

    it.effect("count from the opening of the link, and not over links", () =>
      Effect.gen(function*() {
        const agent = yield* make(0)
        agent.clocks.wall = 1_000_000
        yield* opened(agent)
        yield* frames(agent, { wall: 10_000, monotonic: 0 })
        assert.deepStrictEqual(agent.served, ["one", "two"])
        agent.last().end()
        yield* settle
        agent.clocks.wall += 60_000
        yield* opened(agent)
        yield* frames(agent, { wall: 1, monotonic: 0 })
        assert.strictEqual(agent.served.length, 4)
      }))
  })

  it.effect("a new link is a new socket: nothing written to the old one comes out of it", () =>
    Effect.gen(function*() {
      const agent = yield* make(0)
      const first = yield* opened(agent)
      first.end()
      yield* settle
      yield* Effect.forkScoped(first.writer?.write("late") ?? Effect.void)
      const second = yield* opened(agent)
      assert.notStrictEqual(second, first)
      assert.deepStrictEqual([first.sent, second.sent], [[], []])
    }))

  describe("move", () => {
    const within = Duration.seconds(4)

    it.effect("opens the new link after a random part of the time, and leaves the old one when it is used", () =>
      Effect.gen(function*() {
        const agent = yield* make(0.5)
        const { link, socket } = yield* greeted(agent)
        yield* Deferred.succeed(link.moving, within)
        yield* agent.nextAfter(2_000)
        assert.strictEqual(socket.closedWith, undefined)
        socket.frame("old")
        const next = yield* opened(agent)
        next.frame("new")
        yield* settle
        assert.deepStrictEqual(agent.served, ["old", "new"])
        assert.strictEqual(socket.closedWith, undefined)
        yield* used(agent)
        yield* TestClock.adjust(249)
        assert.strictEqual(socket.closedWith, undefined)
        yield* TestClock.adjust(1)
        assert.strictEqual(socket.closedWith, 1_000)
        assert.strictEqual(next.closedWith, undefined)
        assert.strictEqual(agent.attempts(), 2)
      }))

    it.effect("lets calls on the old link end first, for five seconds", () =>
      Effect.gen(function*() {
        const agent = yield* make(0)
        const { link, socket } = yield* greeted(agent)
        const call = yield* Scope.make()
        yield* Scope.provide(link.call, call)
        yield* Deferred.succeed(link.moving, within)
        yield* settle
        const second = yield* used(agent)
        yield* TestClock.adjust(1_000)
        assert.strictEqual(socket.closedWith, undefined)
        yield* Scope.close(call, Exit.void)
        yield* TestClock.adjust(200)
        // One that was on its way begins the quiet time anew.
        yield* Effect.scoped(link.call)
        yield* TestClock.adjust(299)
        assert.strictEqual(socket.closedWith, undefined)
        yield* TestClock.adjust(1)
        assert.strictEqual(socket.closedWith, 1_000)
        yield* Scope.provide(second.link.call, yield* Scope.make())
        yield* Deferred.succeed(second.link.moving, within)
        yield* settle
        yield* used(agent)
        yield* TestClock.adjust(4_999)
        assert.strictEqual(second.socket.closedWith, undefined)
        yield* TestClock.adjust(1)
        assert.strictEqual(second.socket.closedWith, 1_000)
      }))

    it.effect("keeps the old link as long as there is no new one", () =>
      Effect.gen(function*() {
        const agent = yield* make(1)
        const { link, socket } = yield* greeted(agent)
        yield* Deferred.succeed(link.moving, Duration.zero)
        yield* settle
        for (const delay of [200, 400, 800]) {
          agent.last().end()
          yield* agent.nextAfter(delay)
          assert.strictEqual(socket.closedWith, undefined)
        }
        yield* used(agent)
        yield* TestClock.adjust(250)
        assert.strictEqual(socket.closedWith, 1_000)
      }))

    it.effect("keeps the old link while the new one is greeted and not used, for five seconds", () =>
      Effect.gen(function*() {
        const agent = yield* make(0)
        const { link, socket } = yield* greeted(agent)
        yield* Deferred.succeed(link.moving, Duration.zero)
        yield* settle
        yield* greeted(agent)
        yield* TestClock.adjust(5_249)
        assert.strictEqual(socket.closedWith, undefined)
        yield* TestClock.adjust(1)
        assert.strictEqual(socket.closedWith, 1_000)
      }))

    it.effect("keeps the old link when the new one is greeted and then turned away", () =>
      Effect.gen(function*() {
        const agent = yield* make(1)
        const { link, socket } = yield* greeted(agent)
        yield* Deferred.succeed(link.moving, Duration.zero)
        yield* settle
        const next = yield* greeted(agent)
        yield* TestClock.adjust(1_000)
        next.socket.end(CloseCode.restarting)
        yield* agent.nextAfter(200)
        assert.strictEqual(socket.closedWith, undefined)
        yield* used(agent)
        yield* TestClock.adjust(250)
        assert.strictEqual(socket.closedWith, 1_000)
      }))

    it.effect("is over when the old link ends by itself before its time", () =>
      Effect.gen(function*() {
        const agent = yield* make(1)
        const { link, socket } = yield* greeted(agent)
        yield* Deferred.succeed(link.moving, within)
        yield* TestClock.adjust(1_000)
        socket.end()
        yield* agent.nextAfter(200)
      }))
  })

  it.effect("the end of the agent closes every link and opens no other", () =>
    Effect.gen(function*() {
      const agent = yield* make(0)
      const { link, socket } = yield* greeted(agent)
      yield* Deferred.succeed(link.moving, Duration.zero)
      yield* settle
      const next = yield* opened(agent)
      yield* agent.stop
      assert.deepStrictEqual([socket.closedWith, next.closedWith], [1_000, 1_000])
      yield* TestClock.adjust(120_000)
      assert.strictEqual(agent.attempts(), 2)
    }))
})
