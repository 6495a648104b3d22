/**
 * One accepted socket, made safe to call an agent over: limits on what comes in, typed ends, streams that do not wait
 * for each other.
 *
 * Nothing an agent sends is trusted. A frame that is too large, does not parse or is no answer ends the link, and so does
 * a stream that sends ahead of its reader. A reader that takes nothing holds up its own stream alone.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as RpcClient from "effect/rpc/RpcClient"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import type { FromServerEncoded } from "effect/rpc/RpcMessage"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Socket from "effect/socket/Socket"
import type { CloseReason } from "./AgentConnection.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import * as Protocol from "./Protocol.ts"
import * as TurnWriter from "./TurnWriter.ts"

/**
 * Why a link ends: the reason its users see, the code its peer is told (none where the peer has gone already), and a
 * text for the log.
 *
 * @since 0.1.0
 * @category models
 */
export interface End {
  readonly reason: CloseReason
  readonly code: number | undefined
  readonly detail: string
}

/**
 * @since 0.1.0
 * @category models
 */
export type Client = RpcClient.FromGroup<typeof Protocol.AgentRpcs, RpcClientError>

/**
 * A socket in use. `end` ends it for the first reason it is given, in the same step; `ended` completes with that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Link {
  readonly client: Client
  /** When a frame last came, in milliseconds of the clock. */
  readonly heardAt: () => number
  readonly end: (end: End) => void
  readonly ended: Deferred.Deferred<End>
  /** Tells the peer the code of the end. */
  readonly sayEnd: (end: End) => Effect.Effect<void>
  /** Sends a request of this size, in characters, when there is room for it among those that are not answered yet. */
  readonly withRoom: (size: number) => <A, E, R>(request: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/**
 * What is known of a call with a side effect: whether a frame of it was handed to a socket, and in which incarnation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handing {
  handed: boolean
  incarnation: Protocol.Incarnation | undefined
}

/**
 * The call on whose behalf a frame is written. The mark is made before the write: it may be there without the frame
 * having left, never the reverse.
 *
 * @since 0.1.0
 * @category references
 */
export const Handed = Context.Reference<Handing | undefined>("chat-workspace/agent/Link/Handed", {
  defaultValue: () => undefined
})

/**
 * Takes a socket into use; the upgrade is answered here. `onEnd` runs in the step in which the link ends, before any of
 * its callers hears of it. The scope must not be that of the request: the end of a request interrupts, and that would
 * look like an interruption to the callers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  accepted: Socket.Socket,
  onEnd: (end: End) => void
): Effect.fn.Return<Link, never, Scope.Scope> {
  const config = yield* GatewayConfig
  const clock = yield* Clock.Clock
  const ended = Deferred.makeUnsafe<End>()
  let heardAt = clock.currentTimeMillisUnsafe()

  const end = (end: End): void => {
    if (Deferred.doneUnsafe(ended, Effect.succeed(end))) onEnd(end)
  }
  const violation = (detail: string): void => end({ reason: "violation", code: Protocol.CloseCode.violation, detail })

  const socket = Socket.make({
    reader: accepted.reader.pipe(
      Effect.map((reader) => ({
        ...reader,
        pull: Effect.tap(reader.pull, () =>
          Effect.sync(() => {
            heardAt = clock.currentTimeMillisUnsafe()
          }))
      })),
      // Before the socket is let go of: a write between that and the end of the link would hold up its caller. Only a
      // peer that is silent has its reader interrupted.
      Effect.tap(() =>
        Effect.addFinalizer((exit) => Effect.sync(() => end(lost(Exit.hasInterrupts(exit) ? "silent" : byAgent))))
      )
    ),
    writer: Effect.map(Effect.flatMap(accepted.writer, TurnWriter.make), (writer) => {
      const marked = <A>(write: Effect.Effect<A, Socket.SocketError>) =>
        Effect.withFiber<A, Socket.SocketError>((fiber) => {
          // A write to a socket that has ended would wait without bound for its next opening.
          if (Deferred.isDoneUnsafe(ended)) return gone
          const handing = Context.get(fiber.context, Handed)
          if (handing !== undefined) handing.handed = true
          return write
        })
      return { write: (chunk) => marked(writer.write(chunk)), writeAll: (chunks) => marked(writer.writeAll(chunks)) }
    })
  })

  const frames = limitedFrames(config.frameLimit, violation)
  const protocol = yield* RpcClient.makeProtocolSocket({
    pingInterval: config.pingInterval,
    pingTimeout: config.pingTimeout,
    // An accepted socket cannot be dialed again.
    retryPolicy: Schedule.recurs(0)
  }).pipe(
    Effect.provideService(Socket.Socket, socket),
    Effect.provideService(RpcSerialization.RpcSerialization, frames.serialization),
    Effect.provideService(RpcClient.ConnectionHooks, {
      onConnect: Effect.void,
      // Also where it never came to a reader.
      onDisconnect: Effect.sync(() => end(lost(byAgent)))
    })
  )
  const call = yield* RpcClient.make(Protocol.AgentRpcs, { disableTracing: true, flatten: true }).pipe(
    Effect.provideService(
      RpcClient.Protocol,
      independentStreams(protocol, {
        chunks: config.undeliveredChunks,
        buffer: config.sessionBuffer,
        sizeOf: frames.sizeOf,
        violation
      })
    )
  )

  const writer = yield* accepted.writer
  const room = yield* Semaphore.make(config.sessionBuffer)
  return {
    client: clientOf(call),
    heardAt: () => heardAt,
    end,
    ended,
    sayEnd: ({ code, detail }) =>
      code === undefined ? Effect.void : writer.write(new Socket.CloseEvent(code, detail.slice(0, 100))).pipe(
        // Before the upgrade is answered there is nobody to tell, and the write would wait for it.
        Effect.timeoutOption(config.closeGrace),
        Effect.ignore
      ),
    withRoom: (size) => room.withPermits(Math.min(size, config.sessionBuffer))
  }
})

const lost = (detail: string): End => ({ reason: "lost", code: undefined, detail })

const byAgent = "closed by the agent's side"

type Call = RpcClient.RpcClient.Flat<RpcGroup.Rpcs<typeof Protocol.AgentRpcs>, RpcClientError>

/** Each call by its name. One object for all links: a method of its own for each call would be most of an idle link. */
const methods: object = Object.defineProperties(
  {},
  Object.fromEntries(Array.from(Protocol.AgentRpcs.requests.keys(), (tag) => [tag, {
    get(this: { readonly call: (tag: string, ...args: ReadonlyArray<unknown>) => unknown }) {
      return (...args: ReadonlyArray<unknown>) => this.call(tag, ...args)
    }
  }]))
)

const clientOf = (call: Call): Client => Object.create(methods, { call: { value: call } })

const gone = Effect.fail(
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1006, closeReason: "the link has ended" }) })
)

const RequestId = Schema.Union([Schema.String, Schema.Finite])

/** All that an agent may send. What answers hold is decoded by their calls. */
const Message = Schema.Union([
  Schema.Struct({ _tag: Schema.tag("Chunk"), requestId: RequestId, values: Schema.NonEmptyArray(Schema.Unknown) }),
  Schema.Struct({ _tag: Schema.tag("Exit"), requestId: RequestId, exit: Schema.Unknown }),
  Schema.Struct({ _tag: Schema.tag("Pong") })
])

const decodeMessage = Schema.decodeUnknownSync(Message)

/** One frame, one parse: the limits stand where the frame is decoded, so that nothing is read twice. */
const limitedFrames = (frameLimit: number, violation: (detail: string) => void) => {
  const sizes = new WeakMap<object, number>()
  const ndjson = RpcSerialization.makeNdjson({ maxBufferSize: frameLimit })
  const serialization = RpcSerialization.RpcSerialization.of({
    ...ndjson,
    makeUnsafe: () => {
      const parser = ndjson.makeUnsafe()
      return {
        encode: parser.encode,
        decode: (data) => {
          // A parser reports by throwing; the client turns that into the failure of each call in flight.
          try {
            if (data.length > frameLimit) throw new RangeError("frame too large")
            return parser.decode(data).map((item) => {
              const message = decodeMessage(item)
              sizes.set(message, data.length)
              return message
            })
          } catch (cause) {
            violation(data.length > frameLimit ? "frame too large" : "frame not understood")
            throw cause
          }
        }
      }
    }
  })
  return { serialization, sizeOf: (message: object): number => sizes.get(message) ?? 0 }
}

/**
 * Chunks are delivered beside the reading of frames, so a stream whose reader takes nothing holds up no other call. That
 * is safe because a server has one unacknowledged chunk per stream; one that sends ahead breaks the protocol. When the
 * readers of a session together leave too much untaken, the stream that brings more is ended.
 */
const independentStreams = (
  protocol: RpcClient.Protocol["Service"],
  limits: {
    readonly chunks: number
    readonly buffer: number
    readonly sizeOf: (message: object) => number
    readonly violation: (detail: string) => void
  }
): RpcClient.Protocol["Service"] => {
  const undelivered = new Map<string | number, number>()
  let buffered = 0
  const deliver = (
    clientId: number,
    f: (message: FromServerEncoded) => Effect.Effect<void>,
    scope: Scope.Scope
  ) =>
  (message: FromServerEncoded): Effect.Effect<void> => {
    if (message._tag !== "Chunk") return f(message)
    const { requestId } = message
    const size = limits.sizeOf(message)
    const count = (undelivered.get(requestId) ?? 0) + 1
    if (count > limits.chunks) {
      limits.violation("stream ahead of its reader")
      return Effect.void
    }
    if (buffered + size > limits.buffer) {
      return Effect.andThen(
        f({ _tag: "Exit", requestId, exit: { _tag: "Failure", cause: [{ _tag: "Fail", error: untaken }] } }),
        Effect.ignore(protocol.send(clientId, { _tag: "Interrupt", requestId }))
      )
    }
    undelivered.set(requestId, count)
    buffered += size
    const delivered = Effect.sync(() => {
      const left = (undelivered.get(requestId) ?? 1) - 1
      buffered -= size
      if (left === 0) undelivered.delete(requestId)
      else undelivered.set(requestId, left)
    })
    return Effect.asVoid(Effect.forkIn(Effect.ensuring(f(message), delivered), scope, { startImmediately: true }))
  }
  return {
    ...protocol,
    run: (clientId, f) =>
      Effect.scoped(Effect.flatMap(Effect.scope, (scope) => protocol.run(clientId, deliver(clientId, f, scope))))
  }
}

/** As the agent would encode it: the limit is on this side, its meaning to the caller the same. */
const untaken = { _tag: "AgentBusy", limit: "undelivered output of all calls" }
