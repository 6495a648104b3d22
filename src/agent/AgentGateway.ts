/**
 * The transport that agents dial in to: a WebSocket route for an existing `HttpRouter`, and the sessions behind it.
 *
 * Workspaces need no open port: their agents come here, prove their identity, and on that socket are called. A dial waits
 * until its agent is there or the caller leaves. The links belong to the gateway and not to the requests that brought
 * them, so they outlive nothing and interrupt nobody: a server that closes takes its sockets with it, and the calls in
 * flight go on over the next ones.
 *
 * **Gotchas**
 *
 * - The server's own limits hold before the gateway sees anything: headers (16 KiB), the time for the handshake (5 s) and
 *   the largest frame (`websocket: { maxPayload }`, 1 MiB) are options of the server.
 * - A Node server that closes waits for its open sockets. Its close interrupts the requests only after its graceful
 *   timeout (20 s), so merge `layerDrain` above the server, or call `drain` before.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { NodeId } from "../domain/Ids.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { AgentPresence } from "../store/AgentPresence.ts"
import * as Acceptor from "./Acceptor.ts"
import * as Admission from "./Admission.ts"
import { AgentTransport } from "./AgentTransport.ts"
import * as Calls from "./Calls.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import * as Handshake from "./Handshake.ts"
import * as Heartbeat from "./Heartbeat.ts"
import * as KillDebts from "./KillDebts.ts"
import * as LifecycleReports from "./LifecycleReports.ts"
import { CloseCode } from "./Protocol.ts"
import * as SessionConnection from "./SessionConnection.ts"
import type { Means } from "./SessionProcesses.ts"
import * as Sessions from "./Sessions.ts"
import * as TransportViews from "./TransportViews.ts"

/**
 * Hears of the sessions of this node. A drain waits while calls of this node are in flight that the watcher knows of: those
 * to agents of this node go on over the agents' next sessions, and those to agents of others have nothing to move.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watcher extends Sessions.Watcher {
  readonly callsInFlight?: (() => number) | undefined
}

/**
 * @since 0.1.0
 * @category services
 */
export class AgentGateway extends Context.Service<AgentGateway, {
  readonly nodeId: NodeId
  /** Answers the upgrade of an agent; ends when its link has. */
  readonly accept: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>
  /**
   * Takes no more agents and dials, asks the agents to move, lets the calls in flight end, and closes what is left after
   * `within` (5 s). Returns when no socket is open any more.
   */
  readonly drain: (within?: Duration.Input) => Effect.Effect<void>
  /**
   * Why this node should get no calls now, for a readiness check: it shuts down, or another node holds agents that this
   * one was asked for within the last three heartbeats.
   */
  readonly unready: () => ReadonlyArray<string>
  /** Tells a watcher of the sessions of this node, those there are first, for the life of the scope. */
  readonly watch: (watcher: Watcher) => Effect.Effect<void, never, Scope.Scope>
}>()("chat-workspace/agent/AgentGateway") {}

/**
 * The path that agents call, and the name of this node (random unless given; it must be its own in the store).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly path?: HttpRouter.PathInput | undefined
  readonly nodeId?: NodeId | undefined
}

const make = Effect.fnUntraced(function*(options: Options | undefined) {
  const config = yield* GatewayConfig
  const clock = yield* Clock.Clock
  const nodeId = options?.nodeId ?? NodeId.make(yield* randomId)
  const sessions = yield* Sessions.make()
  const debts = KillDebts.make(config)
  const calls = yield* Calls.make(sessions)
  const admission = yield* Admission.make
  const handshake = yield* Handshake.make({ nodeId, sessions, debts, admission })
  const startedAt = clock.currentTimeMillisUnsafe()
  const now = () => clock.currentTimeMillisUnsafe()

  const layerScope = yield* Effect.scope
  const scope = yield* Scope.fork(layerScope)
  const lifecycles = yield* LifecycleReports.make
  const acceptor = yield* Acceptor.make({ nodeId, sessions, admission, handshake, lifecycles, scope })

  const watchers = new Set<Watcher>()
  const callsOver: Effect.Effect<void> = Effect.suspend(() =>
    Array.from(watchers).every(({ callsInFlight }) => callsInFlight === undefined || callsInFlight() === 0)
      ? Effect.void
      : Effect.delay(callsOver, look)
  )

  const drain = Effect.fnUntraced(function*(within: Duration.Duration) {
    sessions.shutdown()
    const open = sessions.all()
    const withinMillis = Math.floor(Duration.toMillis(within) * moveShare)
    yield* Effect.forEach(
      open,
      (session) =>
        Effect.andThen(
          Calls.ask(session, (client) => client.Move({ withinMillis })),
          Deferred.await(session.closed)
        ).pipe(Effect.ignore),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.andThen(callsOver), Effect.timeoutOption(within))
    acceptor.endAll({ reason: "shutdown", code: CloseCode.restarting, detail: "the gateway shuts down" })
    yield* Effect.timeoutOption(acceptor.settled, Duration.sum(config.closeGrace, config.shutdownDrain))
  })

  const means: Means = {
    config,
    calls,
    giveUp: (home, handing, id) =>
      Effect.suspend(() => {
        const { agentId } = home
        if (!handing.handed || handing.incarnation === undefined) return Effect.void
        if (!debts.owe(agentId, handing.incarnation, id, now())) {
          return Effect.logWarning("Too many kills are owed; a process was left running", { "agent.id": agentId })
        }
        const session = sessions.current(agentId)
        // In a fiber of the gateway: the caller is being interrupted and must not wait.
        return session === undefined ? Effect.void : Handshake.settleDebts(session, debts).pipe(
          Effect.timeoutOption(config.shortCall),
          Effect.ignore,
          Effect.forkIn(scope),
          Effect.asVoid
        )
      })
  }

  yield* Effect.addFinalizer(() => drain(config.shutdownDrain))
  yield* Heartbeat.run({ nodeId, sessions, calls, debts }).pipe(
    Effect.annotateLogs({ module: "AgentGateway", fiber: "heartbeat" }),
    Effect.forkIn(scope)
  )

  const dial = Effect.fn("AgentTransport.dial")(function*(agentId: AgentId) {
    yield* Effect.annotateCurrentSpan({ "agent.id": agentId })
    const session = yield* sessions.next(agentId, "dial")
    return yield* SessionConnection.make(session, means)
  })

  const transport = AgentTransport.of({
    dial,
    presence: (agentId) => {
      const session = sessions.current(agentId)
      if (session !== undefined) {
        return SessionConnection.liveness(session, config, now()) === "live"
          ? "live"
          : "unknown"
      }
      // Until the agents had time to come back after a start, nobody knows which of them live.
      return now() - startedAt < Duration.toMillis(config.settle) ? "unknown" : "absent"
    },
    ...TransportViews.make({ sessions, calls, now }),
    features: Handshake.features
  })

  const gateway = AgentGateway.of({
    nodeId,
    accept: acceptor.accept,
    drain: (within) => drain(within === undefined ? config.moveWithin : Duration.fromInputUnsafe(within)),
    watch: (watcher) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => {
          watchers.add(watcher)
          return sessions.watch(watcher)
        }),
        (stop) =>
          Effect.sync(() => {
            watchers.delete(watcher)
            stop()
          })
      )),
    unready: () => {
      const elsewhereAt = sessions.elsewhereAt()
      const recently = elsewhereAt !== undefined && now() - elsewhereAt <= 3 * Duration.toMillis(config.heartbeat)
      return [
        ...(sessions.isShutdown() ? ["this node shuts down"] : []),
        ...(recently ? ["another node holds agents that this one was asked for"] : [])
      ]
    }
  })

  return Context.make(AgentTransport, transport).pipe(Context.add(AgentGateway, gateway))
})

/**
 * The sessions and the transport over them, without a route: for a server whose life differs from the gateway's.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTransport = (
  options?: Pick<Options, "nodeId">
): Layer.Layer<AgentTransport | AgentGateway, never, AgentPresence> => Layer.effectContext(make(options))

/**
 * The route that agents call, `/agent` unless said otherwise.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRoute = (
  options?: Pick<Options, "path">
): Layer.Layer<never, never, AgentGateway | HttpRouter.HttpRouter> =>
  Layer.unwrap(Effect.map(AgentGateway, ({ accept }) => HttpRouter.add("GET", options?.path ?? "/agent", accept)))

/**
 * The gateway as a part of an existing server: the transport, and its route in that server's router.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<AgentTransport | AgentGateway, never, AgentPresence | HttpRouter.HttpRouter> =>
  Layer.provideMerge(layerRoute(options), layerTransport(options))

/**
 * Drains the gateway when it is released. Merged above the HTTP server it is released before it, so that the server does
 * not wait for the agents' sockets.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDrain = (within?: Duration.Input): Layer.Layer<never, never, AgentGateway> =>
  Layer.effectDiscard(
    Effect.flatMap(AgentGateway, ({ drain }) => Effect.addFinalizer(() => drain(within)))
  )

/** The share of a drain in which agents open their new links; the rest is for the calls in flight to follow. */
const moveShare = 0.75

/** Between two looks whether calls are in flight. */
const look = Duration.millis(50)

const randomId = Effect.flatMap(SecureRandom.SecureRandom, (random) => random.uuidV4()).pipe(
  Effect.provide(SecureRandom.layerWebCrypto)
)
