/**
 * What a gateway asks, as the agent takes it: frames over a socket in memory, before handlers that touch nothing.
 *
 * Whatever comes, the agent lives: it is on the same link, or dials again, and says hello as before.
 */
import { Cause, Effect, Layer, Logger, Redacted, Stream } from "effect"
import { RpcSerialization, RpcServer } from "effect/rpc"
import type { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import * as Link from "../../../src/agent/program/Link.ts"
import { OutboundSocket } from "../../../src/agent/program/OutboundSocket.ts"
import { Settings } from "../../../src/agent/program/Settings.ts"
import * as Protocol from "../../../src/agent/Protocol.ts"
import type { Chance } from "./Chance.ts"
import * as Fuzz from "./Fuzz.ts"
import * as Mutation from "./Mutation.ts"

const exited = { _tag: "Exited", end: 3, code: 0, signal: null } as const
const version = Protocol.FileVersion.make("v")
const stat = { name: "x", type: "file", size: 3, modifiedAtMillis: 5, mode: 420 } as const

/** Nothing is run and nothing written, whatever is asked for. */
const handlers = Protocol.AgentRpcs.toLayer({
  Hello: () =>
    Effect.succeed(
      new Protocol.HelloAnswer({
        protocol: Protocol.name,
        version: Protocol.version,
        incarnation: Protocol.Incarnation.make("one"),
        features: [],
        program: "fuzz"
      })
    ),
  Move: () => Effect.void,
  Lifecycle: () => Stream.make({ lifecycle: "ready" }),
  Start: () => Effect.succeed(exited),
  Follow: () => Stream.make({ _tag: "Data", offset: 0, stream: "stdout", bytes: new Uint8Array(3) } as const, exited),
  Outcome: () => Effect.succeed({ _tag: "Unknown" } as const),
  Processes: () => Effect.succeed([]),
  Signal: () => Effect.succeed(exited),
  Kill: () => Effect.succeed({ _tag: "Killed" } as const),
  Read: () => Stream.make({ _tag: "Head", size: 3, version } as const),
  Put: () => Effect.void,
  Write: () => Effect.succeed(version),
  Edit: () => Effect.succeed([version]),
  Stat: () => Effect.succeed(stat),
  List: () => Effect.succeed({ entries: [stat], truncated: false }),
  McpTools: () => Stream.empty,
  McpCall: () => Effect.succeed({ content: [], isError: false, structured: null, truncated: false })
})

type Event = Parameters<Parameters<Socket.WebSocketLike["addEventListener"]>[1]>[0]

/** A socket to a gateway that is this program. */
class Wire implements Socket.WebSocketLike {
  readyState = 0
  readonly heard: Array<string> = []
  readonly #listeners = new Map<string, Set<(event: Event) => void>>()

  addEventListener(type: string, listener: (event: Event) => void): void {
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners.add(listener))
  }

  removeEventListener(type: string, listener: (event: Event) => void): void {
    this.#listeners.get(type)?.delete(listener)
  }

  emit(type: string, event: object): void {
    for (const listener of Array.from(this.#listeners.get(type) ?? [])) listener(event as Event)
  }

  open(): void {
    this.readyState = 1
    this.emit("open", {})
  }

  close(code = 1000): void {
    if (this.readyState === 3) return
    this.readyState = 3
    this.emit("close", { code, reason: "" })
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.heard.push(typeof data === "string" ? data : new TextDecoder().decode(data))
  }
}

const wires: Array<Wire> = []
const complaints: Array<string> = []

const layer = RpcServer.layer(Protocol.AgentRpcs, { disableFatalDefects: true, disableTracing: true }).pipe(
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide([Link.layer, RpcSerialization.layerNdjson, handlers]),
  Layer.provide([
    Layer.succeed(Settings, {
      url: "ws://gateway/agent",
      token: Redacted.make("token"),
      directory: "/",
      stateDirectory: "/",
      startupScript: null,
      shutdownScript: null,
      environment: {}
    }),
    Layer.succeed(OutboundSocket, () => {
      const wire = new Wire()
      wires.push(wire)
      return wire
    }),
    // The rule on stale frames is not what is tried here.
    Layer.succeed(Link.FrameClocks, { wall: () => 0, monotonic: () => 0 })
  ]),
  Layer.provideMerge(Layer.merge(
    TestClock.layer(),
    Logger.layer([Logger.make(({ cause, logLevel, message }) => {
      if (logLevel === "Fatal") complaints.push(`${String(message)} ${Cause.pretty(cause)}`)
    })])
  ))
)

const request = (id: number, tag: string, payload: Mutation.Json): Mutation.Json => ({
  _tag: "Request",
  id,
  tag,
  payload,
  headers: []
})

const hello = request(0, "Hello", { protocol: Protocol.name, version: Protocol.version, node: "node", features: [] })

const bytes = Buffer.from("abc").toString("base64")

const asked: ReadonlyArray<Mutation.Json> = [
  hello,
  request(1, "Move", { withinMillis: 100 }),
  request(2, "Lifecycle", null),
  request(3, "Start", { id: "op", argv: ["true"], cwd: null, env: { A: "b" } }),
  request(4, "Follow", { id: "op", from: 0, wait: true }),
  request(5, "Outcome", { id: "op" }),
  request(6, "Processes", null),
  request(7, "Signal", { id: "op", signal: "SIGTERM" }),
  request(8, "Kill", { id: "op" }),
  request(9, "Read", { path: "x", offset: 0, limit: 100 }),
  request(10, "Put", { id: "op", offset: 0, bytes }),
  request(11, "Write", { id: "op", path: "x", size: 3, expect: "absent" }),
  request(12, "Edit", { id: "op", files: [{ path: "x", edits: [{ find: "a", replace: "b" }] }] }),
  request(13, "Stat", { path: "x" }),
  request(14, "List", { path: "x" }),
  request(15, "McpTools", { waitMillis: 0 }),
  request(16, "McpCall", { server: "s", tool: "t", arguments: { a: [1] } }),
  { _tag: "Ack", requestId: 4 },
  { _tag: "Interrupt", requestId: 4 },
  { _tag: "Ping" },
  { _tag: "Eof" }
]

/** The link that is open, or the one that the agent opens next. */
const linked = Effect.gen(function*() {
  for (let tries = 0; tries < 20; tries++) {
    const wire = wires.at(-1)
    if (wire?.readyState === 0) wire.open()
    yield* TestClock.adjust(0)
    if (wire?.readyState === 1) return wire
    yield* TestClock.adjust("2 minutes")
  }
  return yield* Effect.die(new Error("The agent does not dial any more"))
})

const greets = Effect.fnUntraced(function*(wire: Wire) {
  const before = wire.heard.length
  wire.emit("message", { data: `${JSON.stringify({ ...Object(hello), id: 1_000_000 })}\n` })
  yield* TestClock.adjust(0)
  const answer = wire.heard.slice(before).join("")
  return answer.includes("\"requestId\":1000000") && answer.includes("\"Success\"") &&
    answer.includes("\"incarnation\"")
})

const play = Effect.fnUntraced(function*(chance: Chance) {
  complaints.length = 0
  const wire = yield* linked
  if (chance.sometimes(0.9) && !(yield* greets(wire))) return yield* Effect.die(new Error("No hello on a new link"))
  for (let count = chance.below(8) + 1; count > 0; count--) {
    for (const part of Mutation.torn(chance, Mutation.frame(chance, chance.pick(asked)))) {
      const isText = chance.sometimes(0.5)
      wire.emit("message", { data: isText ? new TextDecoder().decode(part) : Uint8Array.from(part) })
    }
    if (chance.sometimes(0.3)) yield* TestClock.adjust(chance.below(1000))
  }
  yield* TestClock.adjust(0)
  if (wire.readyState === 1) wire.close(chance.pick([1000, 1006, 1012, 4001, 4002, 4003, 4004, 4005, 4999]))
  wires.splice(0, wires.length - 2)
  if (!(yield* greets(yield* linked))) return yield* Effect.die(new Error("The agent says no hello any more"))
  if (complaints.length > 0) return yield* Effect.die(new Error(complaints.join("\n")))
  wires.at(-1)?.close(1012)
})

export const target = Fuzz.scoped(
  "agent-frames",
  Effect.gen(function*() {
    wires.length = 0
    const context = yield* Layer.build(Layer.fresh(layer))
    return (chance) => Effect.provideContext(play(chance), context)
  })
)
