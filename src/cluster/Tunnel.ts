/**
 * A socket from one node to another, over two subjects: one for each direction.
 *
 * Messages may get lost on the way, a tunnel never loses one: its frames are counted, and at the first gap it ends. Each
 * frame names the sender's own subject for the reply, so that the server itself says when the other end is gone. Whether
 * the last frames came is asked when the connection to the server was lost, with a probe that is counted too.
 *
 * **Gotchas**
 *
 * A write waits for nothing. What is under way is bounded by those who write: streams wait for the acknowledgement of
 * their last chunk, requests for room among those that are not answered.
 *
 * Who ends it may be unable to say so, while NATS is lost on either side. That there was such an end is told by the next
 * sign of life (`onUntold`), and the other end then asks.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { ClusterConfig } from "./ClusterConfig.ts"
import * as Frame from "./Frame.ts"
import type { Message, Nats } from "./Nats.ts"

/**
 * Why a tunnel ended, for the log and the metric:
 *
 * - `closed`: the other end said so; `unheard`: it is gone; `refused`: it never began
 * - `gap`: a frame was lost; `garbage`: one was none; `overflow`: nobody read them
 * - `stale`: this node stood still; `silent`: the other one; `broker`: NATS could not be reached
 * - `session`: the session it led to has ended, or its user did; `idle`: it had no users
 *
 * @since 0.1.0
 * @category models
 */
export type Cause =
  | "closed"
  | "unheard"
  | "refused"
  | "gap"
  | "garbage"
  | "overflow"
  | "stale"
  | "silent"
  | "broker"
  | "session"
  | "idle"

/**
 * @since 0.1.0
 * @category models
 */
export interface Ending extends Frame.Close {
  readonly cause: Cause
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Tunnel {
  readonly socket: Socket.Socket
  /** Asks for the other end. May be sent again, until it is answered. */
  readonly open: (body: Uint8Array) => void
  readonly control: (kind: "Accept" | "State", body: Uint8Array) => void
  /** Asks whether the other end is there and got all; the tunnel ends if not. */
  readonly probe: () => void
  /** Ends it for the first reason given, in the same step, and says so to the other end. */
  readonly end: (ending: Ending) => void
}

/**
 * `mine` is this end's subject. What the other end's is, is said by the frame that accepts it, unless it is given in
 * `peer`. `drains` lets those who read take what came before the other end went.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly nats: Nats["Service"]
  readonly config: ClusterConfig
  readonly mine: string
  readonly asked: string
  readonly peer?: string | undefined
  readonly drains: boolean
  /** Whether this node stood still, and what it reads now may have been given up long ago. */
  readonly isStale: () => boolean
  readonly isConnected: () => boolean
  readonly onControl: (frame: Frame.Frame) => void
  /** A frame of somebody who is not the other end. */
  readonly onStray: (frame: Frame.Frame, from: string) => void
  /** It has ended, and the other end may not have been told. */
  readonly onUntold: () => void
  readonly onEnd: (ending: Ending) => void
}

/** NATS carries messages of up to a megabyte, unless it is told otherwise. */
const pieceLimit = 256 * 1024

/**
 * One end, from now until it ends, or the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Tunnel, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => unsafeMake(options)),
    ({ end }) => Effect.sync(() => end({ reason: "lost", detail: "left", cause: "session" }))
  )

const unsafeMake = (options: Options): Tunnel => {
  const { config, isConnected, isStale, mine, nats, onControl, onEnd, onStray, onUntold } = options
  const news = Latch.makeUnsafe(false)
  let peer = options.peer ?? options.asked
  let settled = options.peer !== undefined
  // The question is frame 0 of the end that asks, and has been read where there is somebody to answer.
  let sent = settled ? 0 : 1
  let expected = settled ? 1 : 0
  let inbox: Array<Uint8Array> = []
  let parts: Array<Uint8Array> = []
  let held = 0
  let waiting = 0
  let ending: Ending | undefined
  let told = false

  const send = (kind: Frame.Kind, body: Uint8Array): void => {
    nats.publish(peer, Frame.encode(kind, sent, body), mine)
    sent = Frame.next(sent)
  }

  const tell = (why: Ending): void => {
    if (told) return
    told = true
    inbox = []
    onEnd(why)
  }

  const end = (why: Ending, drains = false): void => {
    if (ending === undefined) {
      ending = why
      parts = []
      // To who was never there, or has said so, there is nothing to say.
      if (settled && why.cause !== "closed") {
        if (why.cause === "unheard" || !isConnected()) onUntold()
        // Before the end of the subscription, by which the server says whether this was heard.
        else send("Close", Frame.bodies.close.encode(why))
      }
      stop()
      news.openUnsafe()
    }
    if (!drains || inbox.length === 0) tell(ending)
  }

  const lost = (cause: Cause, detail: string): void =>
    end({ reason: "lost", detail, cause }, options.drains && (cause === "unheard" || cause === "gap"))

  const take = (frame: Frame.Frame, size: number): void => {
    // Before a timer could say that this node stood still: who sent this may have given it up.
    if (isStale()) return lost("stale", "this node stood still")
    held += size
    if (held + waiting > config.tunnelBuffer) return lost("overflow", "more came than was read")
    parts.push(frame.body)
    if (frame.kind === "Part") return
    inbox.push(joined(parts))
    waiting += held
    parts = []
    held = 0
    news.openUnsafe()
  }

  const hear = (message: Message): void => {
    if (ending !== undefined) {
      if (message.unheard && ending.cause !== "unheard") onUntold()
      return
    }
    if (message.unheard) return lost("unheard", settled ? "the other node is gone" : "no node holds the agent")
    const frame = Frame.decode(message.data)
    if (frame === undefined || message.reply === undefined) return lost("garbage", "a frame that is none")
    if (settled && message.reply !== peer) return onStray(frame, message.reply)
    if (frame.kind === "Refuse" && !settled) return lost("refused", "the holder of the agent was just going")
    if (frame.number !== expected) return lost("gap", "frames were lost")
    expected = Frame.next(expected)
    switch (frame.kind) {
      case "Accept":
        if (settled) return
        settled = true
        peer = message.reply
        return onControl(frame)
      case "Part":
      case "Data":
        return take(frame, message.data.length)
      case "Probe":
        return send("Alive", nothing)
      case "Close": {
        const close = Frame.bodies.close.decode(frame.body)
        if (close === undefined) return lost("garbage", "an end without a reason")
        return end({ ...close, cause: "closed" }, options.drains)
      }
      case "State":
        return onControl(frame)
      default:
        return
    }
  }

  const stop = nats.subscribe(mine, hear)

  const pull: Socket.Reader["pull"] = Effect.suspend(() => {
    const [first, ...others] = inbox
    if (first !== undefined) {
      inbox = []
      waiting = 0
      return Effect.succeed([first, ...others])
    }
    if (ending !== undefined) {
      tell(ending)
      return Effect.fail(closed(ending.detail))
    }
    news.closeUnsafe()
    return Effect.andThen(news.await, pull)
  })

  const write: Socket.Writer["write"] = (chunk) =>
    Effect.suspend(() => {
      if (ending !== undefined) return Effect.fail(closed(ending.detail))
      if (Socket.isCloseEvent(chunk)) {
        end({ reason: "violation", detail: chunk.reason ?? "closed", cause: "garbage" })
        return Effect.void
      }
      // It would be lost without a word, and found out only later.
      if (!isConnected()) {
        lost("broker", "NATS cannot be reached")
        return Effect.fail(closed("NATS cannot be reached"))
      }
      const bytes = typeof chunk === "string" ? encoder.encode(chunk) : chunk
      let from = 0
      for (; bytes.length - from > pieceLimit; from += pieceLimit) {
        send("Part", bytes.subarray(from, from + pieceLimit))
      }
      send("Data", bytes.subarray(from))
      return Effect.void
    })

  return {
    socket: Socket.make({
      reader: Effect.succeed({ pull, upgrade: () => Effect.die(new Error("a tunnel has no TLS of its own")) }),
      writer: Effect.succeed({ write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) })
    }),
    open: (body) => nats.publish(options.asked, Frame.encode("Open", 0, body), mine),
    control: send,
    probe: () => {
      if (settled && ending === undefined) send("Probe", nothing)
    },
    end
  }
}

const nothing = new Uint8Array()

const encoder = new TextEncoder()

const joined = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let position = 0
  for (const part of parts) {
    bytes.set(part, position)
    position += part.length
  }
  return bytes
}

const closed = (closeReason: string): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1006, closeReason }) })
