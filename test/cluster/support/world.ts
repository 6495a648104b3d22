/** Whole nodes on the virtual clock over NATS in memory, and agents on sockets in memory. Epochs are the test's word. */
import { Cause, Clock, Context, Deferred, Duration, Effect, Exit, Latch, Layer, Queue, Scope } from "effect"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import { AgentGateway, AgentTransport, GatewayConfig } from "../../../src/agent/index.ts"
import * as Link from "../../../src/agent/Link.ts"
import * as Sessions from "../../../src/agent/Sessions.ts"
import { ClusterConfig, Nats, NatsTransport } from "../../../src/cluster/index.ts"
import { AgentId, Incarnation, NodeId, OperationId } from "../../../src/domain/Ids.ts"
import * as VirtualTime from "../../../src/testing/VirtualTime.ts"
import * as h from "../../agent/support/harness.ts"
import * as bus from "./bus.ts"

export const settled = (condition: () => boolean, left = 2000): Effect.Effect<void> =>
  Effect.suspend(() =>
    condition()
      ? Effect.void
      : left === 0
      ? Effect.die(new Error("waited in vain"))
      : Effect.andThen(TestClock.withLive(Effect.sleep("1 millis")), settled(condition, left - 1))
  )

/** Lets what is under way come to rest, without any of the virtual clock's time. */
export const rest: Effect.Effect<void> = TestClock.withLive(Effect.sleep("5 millis"))

/** Passes time in steps that leave everybody time to act. */
export const pass = Effect.fnUntraced(function*(duration: Duration.Input, step: Duration.Input = "50 millis") {
  const stepMillis = Duration.toMillis(step)
  for (let left = Duration.toMillis(duration); left > 0; left -= stepMillis) {
    yield* TestClock.adjust(Math.min(left, stepMillis))
    yield* TestClock.withLive(Effect.sleep(0))
  }
})

/** A clock whose sleepers stand still on command. */
const stopping = (clock: Clock.Clock, running: Latch.Latch): Clock.Clock => ({
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
  currentTimeNanos: clock.currentTimeNanos,
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration) => Effect.andThen(clock.sleep(duration), running.await)
})

interface Request {
  readonly id: number
  readonly tag: string
  readonly payload: unknown
}

export interface Agent {
  readonly session: Sessions.Session
  readonly requests: ReadonlyArray<Request>
  /** Why its link was ended, if it was. */
  readonly ended: () => Link.End | undefined
  readonly answer: (id: number, value: unknown) => void
  readonly send: (message: unknown) => void
  /** Whether it leaves pings unanswered. */
  readonly mute: (on: boolean) => void
  /** Its side of the link is gone. */
  readonly vanish: () => void
}

export const features = ["run", "processes", "files", "directories", "mcp"] as const

export const agentId = (): AgentId => AgentId.make(h.fresh("agent"))

export const operation = (): OperationId => OperationId.make(h.fresh("op"))

/** The answer to requests that the tests make most. */
export const answering = (request: Request, agent: Agent): void => {
  if (request.tag === "Stat") agent.answer(request.id, { ...stat, name: "x" })
  if (request.tag === "Start") agent.answer(request.id, { _tag: "Running", end: 0 })
  if (request.tag === "Kill") agent.answer(request.id, { _tag: "Killed" })
}

export const stat = { name: "x", type: "file", size: 1, modifiedAtMillis: 0, mode: 0 }

export const world = (options?: {
  readonly cluster?: ClusterConfig.Options | undefined
  readonly gateway?: GatewayConfig.Options | undefined
}) =>
  Effect.gen(function*() {
    const nats = bus.make()
    const clock = yield* Clock.Clock
    const gatewayConfig = GatewayConfig.make({ ...options?.gateway })

    const node = Effect.fnUntraced(function*(name = h.fresh("node")) {
      const line = nats.line()
      const running = Latch.makeUnsafe(true)
      const nodeClock = stopping(clock, running)
      const scope = yield* Scope.make()
      const nodeId = NodeId.make(name)
      const here = yield* Effect.provideService(Sessions.make(), GatewayConfig.GatewayConfig, gatewayConfig)
      let callsInFlight: (() => number) | undefined
      const gateway = AgentGateway.AgentGateway.of({
        nodeId,
        accept: Effect.die("no server"),
        drain: () => Effect.sync(() => here.shutdown()),
        unready: () => [],
        watch: (watcher) => {
          callsInFlight = watcher.callsInFlight
          return Effect.asVoid(
            Effect.acquireRelease(Effect.sync(() => here.watch(watcher)), (stop) => Effect.sync(stop))
          )
        }
      })
      const below = AgentTransport.AgentTransport.of({
        dial: () => Effect.die("the gateway's own transport"),
        presence: () => "unknown",
        features: new Set()
      })
      const context = yield* Layer.buildWithMemoMap(
        NatsTransport.layer.pipe(
          Layer.provide(Layer.succeed(AgentGateway.AgentGateway, gateway)),
          Layer.provide(Layer.succeed(AgentTransport.AgentTransport, below)),
          Layer.provide(Layer.succeed(Nats.Nats, line.nats)),
          Layer.provide([
            Layer.succeed(GatewayConfig.GatewayConfig, gatewayConfig),
            ClusterConfig.layer({ ...options?.cluster })
          ])
        ),
        Layer.makeMemoMapUnsafe(),
        scope
      ).pipe(Effect.provideService(Clock.Clock, nodeClock))
      const close = VirtualTime.close(scope, Exit.void, { drain: "10 seconds" })
      yield* Effect.addFinalizer(() => Effect.andThen(running.open, close))

      /** An agent attaches to this node; it answers pings, and what `on` answers. */
      const attach = Effect.fnUntraced(function*(
        agentId: AgentId,
        epoch: number,
        attached?: {
          readonly incarnation?: string | undefined
          readonly on?: ((request: Request, agent: Agent) => void) | undefined
        }
      ) {
        const inbox = yield* Queue.unbounded<string, Socket.SocketError>()
        const gone = new Socket.SocketError({
          reason: new Socket.SocketCloseError({ code: 1006, closeReason: "gone" })
        })
        const requests: Array<Request> = []
        const on = attached?.on ?? answering
        let ended: Link.End | undefined
        let muted = false
        const send = (message: unknown): void => {
          Queue.offerUnsafe(inbox, `${typeof message === "string" ? message : JSON.stringify(message)}\n`)
        }
        const hear = (chunk: Uint8Array | string | Socket.CloseEvent): void => {
          if (Socket.isCloseEvent(chunk)) return
          const text = typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)
          for (const line of text.split("\n").filter((line) => line !== "")) {
            const message: { readonly _tag: string } & Request = JSON.parse(line)
            if (message._tag === "Ping" && !muted) send({ _tag: "Pong" })
            if (message._tag === "Interrupt" || message._tag === "Ack") requests.push({ ...message, tag: message._tag })
            if (message._tag !== "Request") continue
            requests.push(message)
            on(message, agent)
          }
        }
        const socket = Socket.make({
          reader: Effect.succeed({
            pull: Effect.map(Queue.take(inbox), (frame) => [frame] as const),
            upgrade: () => Effect.void
          }),
          writer: Effect.succeed({
            write: (chunk) => Effect.sync(() => hear(chunk)),
            writeAll: (chunks) => Effect.sync(() => chunks.forEach(hear))
          })
        })
        const linkScope = yield* Scope.fork(scope)
        const link = yield* Link.make(socket, (end) => {
          ended = end
          here.remove(session)
          session.closeReason = end.reason
          Deferred.doneUnsafe(session.closed, Effect.succeed(end.reason))
        }).pipe(
          Scope.provide(linkScope),
          Effect.provideService(GatewayConfig.GatewayConfig, gatewayConfig),
          Effect.provideService(Clock.Clock, nodeClock)
        )
        const at = clock.currentTimeMillisUnsafe()
        const session: Sessions.Session = {
          agentId,
          incarnation: Incarnation.make(attached?.incarnation ?? "one"),
          epoch,
          features: new Set(features),
          tellsLifecycle: false,
          link,
          openedAt: at,
          confirmedAt: at,
          closeReason: undefined,
          closed: Deferred.makeUnsafe()
        }
        yield* Deferred.await(link.ended).pipe(
          Effect.andThen(Effect.yieldNow),
          Effect.andThen(Scope.close(linkScope, Exit.void)),
          Effect.forkIn(scope)
        )
        const agent: Agent = {
          session,
          requests,
          ended: () => ended,
          send,
          answer: (id, value) => send({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value } }),
          mute: (on) => {
            muted = on
          },
          vanish: () => Queue.failCauseUnsafe(inbox, Cause.fail(gone))
        }
        here.add(session, at)
        return agent
      })

      return {
        nodeId,
        line,
        transport: Context.get(context, AgentTransport.AgentTransport),
        gateway,
        sessions: here,
        /** What the gateway hears of it when it drains. */
        callsInFlight: () => callsInFlight?.(),
        attach,
        close,
        /** The process stands still: nothing is read, no timer fires. What is sent to it waits. */
        freeze: Effect.sync(() => {
          line.hold()
          running.closeUnsafe()
        }),
        /** Its timers go on. */
        run: Effect.sync(() => {
          running.openUnsafe()
        }),
        /** It goes on; what has come is read before any timer fires. */
        thaw: Effect.sync(() => {
          line.release()
          running.openUnsafe()
        })
      }
    })

    return { nats, node, clock }
  })
