/** One tunnel between two ends, over NATS in memory. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { CloseEvent, type Reader } from "effect/socket/Socket"
import * as ClusterConfig from "../../src/cluster/ClusterConfig.ts"
import * as Frame from "../../src/cluster/Frame.ts"
import * as Tunnel from "../../src/cluster/Tunnel.ts"
import * as bus from "./support/bus.ts"
import { rest } from "./support/world.ts"

const test = (name: string, body: Effect.Effect<void, unknown, Scope.Scope>): void => {
  it.effect(name, () => Effect.scoped(body))
}

const accept = new TextEncoder().encode("accepted")

/** An end on a line of its own, and what became of it. */
const end = Effect.fnUntraced(function*(
  line: bus.Line,
  mine: string,
  options: Partial<Tunnel.Options> & { readonly config?: ClusterConfig.ClusterConfig }
) {
  const heard: Array<string> = []
  const strays: Array<string> = []
  const state = { ending: undefined as Tunnel.Ending | undefined, stale: false, connected: true, untold: 0 }
  const tunnel = yield* Tunnel.make({
    nats: line.nats,
    config: ClusterConfig.defaults,
    mine,
    asked: "open",
    drains: true,
    isStale: () => state.stale,
    isConnected: () => state.connected,
    onControl: ({ body, kind }) => heard.push(`${kind} ${new TextDecoder().decode(body)}`),
    onStray: ({ kind }, from) => strays.push(`${kind} ${from}`),
    onUntold: () => {
      state.untold += 1
    },
    onEnd: (ending) => {
      assert.isUndefined(state.ending)
      state.ending = ending
    },
    ...options
  })
  const reader = yield* tunnel.socket.reader
  const writer = yield* tunnel.socket.writer
  const read = (pull: Reader["pull"]) =>
    Effect.map(
      pull,
      (frames) => frames.map((frame) => typeof frame === "string" ? frame : new TextDecoder().decode(frame))
    )
  return { ...tunnel, state, ending: () => state.ending, heard, strays, read: read(reader.pull), write: writer.write }
})

const lines = () => {
  const nats = bus.make()
  return { nats, one: nats.line(), other: nats.line() }
}

/** Both ends of an open tunnel. */
const pair = Effect.fnUntraced(function*(options?: Partial<Tunnel.Options>) {
  const { nats, one, other } = lines()
  const caller = yield* end(one, "caller", { ...options })
  const holder = yield* end(other, "holder", { peer: "caller", drains: false, ...options })
  holder.control("Accept", accept)
  yield* rest
  assert.deepStrictEqual(caller.heard, ["Accept accepted"])
  return { nats, one, other, caller, holder }
})

const isTunnel = (subject: string): boolean => subject === "caller" || subject === "holder"

describe("a tunnel", () => {
  test(
    "carries messages both ways, in order and whole, whatever their size",
    Effect.gen(function*() {
      const { caller, holder, nats } = yield* pair()
      const large = "ä".repeat(400_000)
      yield* caller.write("one")
      yield* caller.write(new TextEncoder().encode("two"))
      yield* caller.write(large)
      yield* caller.write("")
      yield* rest
      assert.deepStrictEqual(yield* holder.read, ["one", "two", large, ""])
      assert.isAtMost(Math.max(...nats.said.map(({ data }) => data.length)), 256 * 1024 + 5)
      yield* holder.write("answer")
      yield* rest
      assert.deepStrictEqual(yield* caller.read, ["answer"])
    })
  )

  test(
    "ends at the first frame that is missing, at both ends",
    Effect.gen(function*() {
      const { caller, holder, one } = yield* pair()
      yield* caller.write("one")
      one.loseNext(isTunnel)
      yield* caller.write("two")
      yield* caller.write("three")
      yield* rest
      assert.strictEqual(holder.ending()?.cause, "gap")
      assert.strictEqual(caller.ending()?.cause, "closed")
      assert.strictEqual((yield* Effect.flip(caller.write("four"))).reason._tag, "SocketCloseError")
    })
  )

  test(
    "finds out by a probe that the last frame is missing",
    Effect.gen(function*() {
      const { caller, holder, one } = yield* pair()
      one.loseNext(isTunnel)
      yield* caller.write("one")
      yield* rest
      assert.isUndefined(holder.ending())
      caller.probe()
      yield* rest
      assert.strictEqual(holder.ending()?.cause, "gap")

      const second = yield* pair()
      second.other.loseNext(isTunnel)
      yield* second.holder.write("one")
      // The answer to a probe is counted as well.
      second.caller.probe()
      yield* rest
      assert.strictEqual(second.caller.ending()?.cause, "gap")
    })
  )

  test(
    "lives on when a probe finds all in order",
    Effect.gen(function*() {
      const { caller, holder } = yield* pair()
      for (let times = 0; times < 3; times++) {
        caller.probe()
        holder.probe()
      }
      yield* rest
      yield* caller.write("one")
      yield* rest
      assert.deepStrictEqual(yield* holder.read, ["one"])
      assert.isUndefined(caller.ending())
    })
  )

  test(
    "counts beyond its largest number",
    Effect.gen(function*() {
      assert.strictEqual(Frame.next(2 ** 32 - 1), 0)
      assert.strictEqual(Frame.next(0), 1)
    })
  )

  test(
    "ends when the server says that the other end is gone",
    Effect.gen(function*() {
      const { caller, holder } = yield* pair()
      holder.end({ reason: "lost", detail: "", cause: "session" })
      yield* rest
      const second = yield* pair()
      second.other.die()
      yield* second.caller.write("one")
      yield* rest
      assert.strictEqual(second.caller.ending()?.cause, "unheard")
      assert.strictEqual(caller.ending()?.cause, "closed")
    })
  )

  test(
    "says why it ended, and lets what came before be read",
    Effect.gen(function*() {
      const { caller, holder } = yield* pair()
      yield* holder.write("last words")
      holder.end({ reason: "revoked", detail: "gone", cause: "session" })
      yield* rest
      assert.isUndefined(caller.ending())
      assert.deepStrictEqual(yield* caller.read, ["last words"])
      assert.strictEqual((yield* Effect.flip(caller.read)).reason._tag, "SocketCloseError")
      assert.deepStrictEqual(caller.ending(), { reason: "revoked", detail: "gone", cause: "closed" })
    })
  )

  test(
    "gives the end that serves nothing more to do once the caller has gone",
    Effect.gen(function*() {
      const { caller, holder } = yield* pair()
      yield* caller.write("a call")
      caller.end({ reason: "lost", detail: "", cause: "session" })
      yield* rest
      assert.strictEqual(holder.ending()?.cause, "closed")
      assert.strictEqual((yield* Effect.flip(holder.read)).reason._tag, "SocketCloseError")
    })
  )

  test(
    "is not opened where nobody holds the agent, nor where its holder is going",
    Effect.gen(function*() {
      const { one, other } = lines()
      const caller = yield* end(one, "caller", {})
      caller.open(accept)
      yield* rest
      assert.strictEqual(caller.ending()?.cause, "unheard")

      other.nats.subscribe("open", ({ reply }) => {
        if (reply !== undefined) other.nats.publish(reply, Frame.encode("Refuse", 0, new Uint8Array()), "open")
      })
      const second = yield* end(one, "second", {})
      second.open(accept)
      yield* rest
      assert.strictEqual(second.ending()?.cause, "refused")
    })
  )

  test(
    "tells who is not its other end apart, and goes on",
    Effect.gen(function*() {
      const { caller, holder, other } = yield* pair()
      other.nats.publish("caller", Frame.encode("Accept", 0, accept), "third")
      other.nats.publish("caller", Frame.encode("Data", 1, accept), "third")
      yield* rest
      assert.deepStrictEqual(caller.strays, ["Accept third", "Data third"])
      yield* holder.write("one")
      yield* rest
      assert.deepStrictEqual(yield* caller.read, ["one"])
    })
  )

  test(
    "ends at what is no frame",
    Effect.gen(function*() {
      for (const data of [new Uint8Array(), new Uint8Array([4, 0]), new Uint8Array([99, 0, 0, 0, 1, 0])]) {
        const { caller, other } = yield* pair()
        other.nats.publish("caller", data, "holder")
        yield* rest
        assert.strictEqual(caller.ending()?.cause, "garbage")
      }
      const { caller, other } = yield* pair()
      other.nats.publish("caller", Frame.encode("Close", 1, accept), "holder")
      yield* rest
      assert.strictEqual(caller.ending()?.cause, "garbage")
    })
  )

  // A frame has five bytes beside its body, so that empty ones count as well.
  test(
    "holds no more than its buffer, in whole messages or in parts",
    Effect.gen(function*() {
      const config = ClusterConfig.make({ tunnelBuffer: 20 })
      const whole = yield* pair({ config })
      yield* whole.caller.write("12345")
      yield* whole.caller.write("67890")
      yield* rest
      assert.deepStrictEqual(yield* whole.holder.read, ["12345", "67890"])
      yield* whole.caller.write("12345")
      yield* whole.caller.write("678901")
      yield* rest
      assert.strictEqual(whole.holder.ending()?.cause, "overflow")

      const parts = yield* pair({ config })
      parts.one.nats.publish("holder", Frame.encode("Part", 1, new Uint8Array(6)), "caller")
      parts.one.nats.publish("holder", Frame.encode("Part", 2, new Uint8Array(5)), "caller")
      yield* rest
      assert.strictEqual(parts.holder.ending()?.cause, "overflow")
    })
  )

  test(
    "gives nothing to do to a node that stood still",
    Effect.gen(function*() {
      const { caller, holder } = yield* pair()
      yield* caller.write("early")
      yield* rest
      holder.state.stale = true
      yield* caller.write("late")
      yield* rest
      assert.strictEqual(holder.ending()?.cause, "stale")
      assert.strictEqual((yield* Effect.flip(holder.read)).reason._tag, "SocketCloseError")
    })
  )

  test(
    "ends rather than write into a connection that is lost",
    Effect.gen(function*() {
      const { caller, nats } = yield* pair()
      caller.state.connected = false
      const before = nats.said.length
      yield* Effect.flip(caller.write("one"))
      assert.strictEqual(caller.ending()?.cause, "broker")
      assert.isAtMost(nats.said.length, before + 1)
    })
  )

  test(
    "ends when the protocol on it closes it",
    Effect.gen(function*() {
      const { caller, holder } = yield* pair()
      yield* holder.write(new CloseEvent(1009, "too much"))
      yield* rest
      assert.deepStrictEqual(caller.ending(), { reason: "violation", detail: "too much", cause: "closed" })
    })
  )

  test(
    "says when its other end may not know that it has ended",
    Effect.gen(function*() {
      const told = yield* pair()
      told.holder.end({ reason: "lost", detail: "", cause: "session" })
      yield* rest
      assert.deepStrictEqual([told.holder.state.untold, told.caller.state.untold], [0, 0])

      const offline = yield* pair()
      offline.holder.state.connected = false
      yield* Effect.flip(offline.holder.write("one"))
      assert.strictEqual(offline.holder.state.untold, 1)

      const unheard = yield* pair()
      unheard.one.die()
      unheard.holder.probe()
      yield* rest
      assert.deepStrictEqual([unheard.holder.ending()?.cause, unheard.holder.state.untold], ["unheard", 1])

      const last = yield* pair()
      last.one.die()
      last.holder.end({ reason: "lost", detail: "", cause: "session" })
      yield* rest
      assert.strictEqual(last.holder.state.untold, 1)
    })
  )

  test(
    "is left with its scope",
    Effect.gen(function*() {
      const { one } = lines()
      const before = one.subjects().length
      const { state } = yield* Effect.scoped(end(one, "caller", {}))
      assert.strictEqual(state.ending?.cause, "session")
      assert.lengthOf(one.subjects(), before)
    })
  )
})
