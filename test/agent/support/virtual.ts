/**
 * Whole nodes on the virtual clock: the gateway with everything in it, agents on sockets in memory, and one store whose
 * clock need not be that of a node.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Layer, Queue, Redacted, Scope } from "effect"
import { HttpServerRequest } from "effect/http"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import { AgentGateway, AgentTransport, Protocol } from "../../../src/agent/index.ts"
import * as ChatWorkspaces from "../../../src/dial/ChatWorkspaces.ts"
import { StoreError } from "../../../src/domain/Errors.ts"
import { AgentPresence, ChatBindings, MemoryStore, WorkspaceAgents } from "../../../src/store/index.ts"
import * as VirtualTime from "../../../src/testing/VirtualTime.ts"
import * as h from "./harness.ts"

export type Database = "works" | "fails" | "hangs"

export const layerStores = Layer.mergeAll(ChatBindings.layerMemory, WorkspaceAgents.layerMemory).pipe(
  Layer.provideMerge(h.layerStores)
)

export type Stores = Layer.Success<typeof layerStores>

/** Lets real time pass too, which the digest of a token takes, but none of the virtual clock's. */
export const settled = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() =>
    condition() ? Effect.void : Effect.andThen(TestClock.withLive(Effect.sleep("1 millis")), settled(condition))
  )

/** A clock that shows another time, and sleeps as long. */
const shifted = (clock: Clock.Clock, offset: number): Clock.Clock => ({
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + offset,
  currentTimeMillis: Effect.map(clock.currentTimeMillis, (millis) => millis + offset),
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n,
  currentTimeNanos: Effect.map(clock.currentTimeNanos, (nanos) => nanos + BigInt(offset) * 1_000_000n),
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration) => clock.sleep(duration)
})

/** Ports under the store's own clock, that can fail or hang together. */
const ports = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const bindings = yield* ChatBindings.ChatBindings
  const agents = yield* WorkspaceAgents.WorkspaceAgents
  const presence = yield* AgentPresence.AgentPresence
  const database: { mode: Database; calls: number } = { mode: "works", calls: 0 }
  const asked = <A, E>(answer: Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
    Effect.suspend((): Effect.Effect<A, E | StoreError> => {
      database.calls += 1
      return database.mode === "works"
        ? Effect.provideService(answer, Clock.Clock, clock)
        : database.mode === "fails"
        ? Effect.fail(new StoreError({ operation: "test" }))
        : Effect.never
    })
  return {
    database,
    layer: Layer.mergeAll(
      Layer.succeed(ChatBindings.ChatBindings, {
        get: (chatId) => asked(bindings.get(chatId)),
        bindWorkspace: (options) => asked(bindings.bindWorkspace(options)),
        bindAgent: (seen, buildId, agentId) => asked(bindings.bindAgent(seen, buildId, agentId))
      }),
      Layer.succeed(WorkspaceAgents.WorkspaceAgents, {
        agent: (agentId) => asked(agents.agent(agentId)),
        latestBuild: (workspaceId) => asked(agents.latestBuild(workspaceId))
      }),
      Layer.succeed(AgentPresence.AgentPresence, {
        verify: (token) => asked(presence.verify(token)),
        attach: (options) => asked(presence.attach(options)),
        // Heartbeats are no cost of a chat.
        beat: (beat) => Effect.tap(asked(presence.beat(beat)), () => Effect.sync(() => database.calls -= 1)),
        report: (options) => Effect.tap(asked(presence.report(options)), () => Effect.sync(() => database.calls -= 1)),
        detach: (options) => asked(presence.detach(options))
      })
    )
  }
})

export interface Node {
  readonly clock: Clock.Clock
  readonly chats: ChatWorkspaces.ChatWorkspaces["Service"]
  readonly transport: AgentTransport.AgentTransport["Service"]
  readonly gateway: AgentGateway.AgentGateway["Service"]
  /** Ends the node; the virtual clock passes its drains. */
  readonly close: Effect.Effect<void>
}

/** One database, and as many nodes as a test wants. */
export const world = Effect.gen(function*() {
  const { database, layer } = yield* ports
  const clock = yield* Clock.Clock
  const store = yield* MemoryStore.MemoryStore
  return {
    database,
    store,
    node: Effect.fnUntraced(function*(offset: Duration.Input = 0) {
      const scope = yield* Scope.make()
      const nodeClock = shifted(clock, Duration.toMillis(offset))
      const context = yield* Layer.buildWithMemoMap(
        ChatWorkspaces.layer.pipe(Layer.provideMerge(AgentGateway.layerTransport()), Layer.provide(layer)),
        Layer.makeMemoMapUnsafe(),
        scope
      ).pipe(Effect.provideService(Clock.Clock, nodeClock))
      const close = VirtualTime.close(scope, Exit.void, { drain: "10 seconds" })
      yield* Effect.addFinalizer(() => close)
      return {
        clock: nodeClock,
        chats: Context.get(context, ChatWorkspaces.ChatWorkspaces),
        transport: Context.get(context, AgentTransport.AgentTransport),
        gateway: Context.get(context, AgentGateway.AgentGateway),
        close
      } satisfies Node
    })
  }
})

export interface VirtualAgent {
  /** Answers nothing any more, its socket stays open. */
  frozen: boolean
  /** How the gateway closed the socket, or that it let go of it. */
  closed: number | "gone" | undefined
  /** The agent's side is gone. */
  readonly vanish: () => void
}

/** An agent that answers pings and, unless it is silent, hellos. Returns when it is attached, turned away, or asked. */
export const attached = Effect.fnUntraced(function*(
  { clock, gateway, transport }: Node,
  { agentId, token }: h.Enrolled,
  options?: { readonly silent?: boolean | undefined; readonly features?: ReadonlyArray<string> | undefined }
) {
  const inbox = yield* Queue.unbounded<string, Socket.SocketError>()
  const gone = new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1006, closeReason: "gone" }) })
  let asked = false
  const agent: VirtualAgent = {
    frozen: false,
    closed: undefined,
    vanish: () => Queue.failCauseUnsafe(inbox, Cause.fail(gone))
  }
  const say = (message: unknown) => Queue.offerUnsafe(inbox, `${JSON.stringify(message)}\n`)
  const hear = (chunk: Uint8Array | string | Socket.CloseEvent): void => {
    if (Socket.isCloseEvent(chunk)) {
      agent.closed = chunk.code
      return agent.vanish()
    }
    if (agent.frozen) return
    const text = typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)
    for (const line of text.split("\n").filter((line) => line !== "")) {
      const message: { readonly _tag: string; readonly id: number; readonly tag: string } = JSON.parse(line)
      if (message._tag === "Ping") say({ _tag: "Pong" })
      if (message.tag !== "Hello") continue
      asked = true
      if (options?.silent === true) continue
      const value = { ...h.helloAnswer, features: options?.features ?? h.helloAnswer.features }
      say({ _tag: "Exit", requestId: message.id, exit: { _tag: "Success", value } })
    }
  }
  const socket = Socket.make({
    reader: Effect.as(
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          agent.closed ??= "gone"
          agent.vanish()
        })
      ),
      { pull: Effect.map(Queue.take(inbox), (frame) => [frame] as const), upgrade: () => Effect.void }
    ),
    writer: Effect.succeed({
      write: (chunk) => Effect.sync(() => hear(chunk)),
      writeAll: (chunks) => Effect.sync(() => chunks.forEach(hear))
    })
  })
  const request = HttpServerRequest.fromWeb(
    new Request("http://gateway/agent", {
      headers: { "sec-websocket-protocol": Protocol.subprotocol, authorization: `Bearer ${Redacted.value(token)}` }
    })
  )
  const upgraded = Object.create(request, { upgrade: { value: Effect.succeed(socket) } })
  const before = transport.describe?.(agentId).session?.epoch
  const accepting = yield* gateway.accept.pipe(
    Effect.provideService(HttpServerRequest.HttpServerRequest, upgraded),
    // The server that brings the request is of the same node.
    Effect.provideService(Clock.Clock, clock),
    Effect.forkScoped
  )
  yield* settled(() => {
    const epoch = transport.describe?.(agentId).session?.epoch
    if (asked && options?.silent === true) return true
    return accepting.pollUnsafe() !== undefined || (epoch !== undefined && epoch !== before)
  })
  return agent
})

/** Passes time in steps that leave everybody time to act. */
export const pass = Effect.fnUntraced(function*(duration: Duration.Input, step: Duration.Input = "1 second") {
  const stepMillis = Duration.toMillis(step)
  let left = Duration.toMillis(duration)
  while (left > 0) {
    yield* TestClock.adjust(Math.min(left, stepMillis))
    left -= stepMillis
  }
})
