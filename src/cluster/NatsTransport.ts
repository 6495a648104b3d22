/**
 * The transport of many nodes: agents of this node from memory, those of others through the node that holds them, over
 * NATS.
 *
 * Agents keep their socket to whichever node they reached, and know nothing of NATS. Which session of an agent is the
 * newest is the store's word, as on one node; what goes between the nodes is only who has which. A call belongs to the
 * node it is made on, which repeats it by its operation id over the agent's next session, wherever that is: a node that
 * dies takes no call with it and none is made twice.
 *
 * **Gotchas**
 *
 * - Every node needs this layer, and the same subject prefix. One without it holds its agents to itself, and says so by
 *   its readiness.
 * - While NATS cannot be reached, agents of this node work on, and dials of others fail with `DialFailed` (`refused`).
 * - It stands above the gateway and in the place of its transport: `NatsTransport.layer` provided with
 *   `AgentGateway.layerTransport()`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import { AgentGateway } from "../agent/AgentGateway.ts"
import { AgentTransport } from "../agent/AgentTransport.ts"
import * as Calls from "../agent/Calls.ts"
import { GatewayConfig } from "../agent/GatewayConfig.ts"
import { features, settleDebts } from "../agent/Handshake.ts"
import * as KillDebts from "../agent/KillDebts.ts"
import * as SessionConnection from "../agent/SessionConnection.ts"
import type { Means } from "../agent/SessionProcesses.ts"
import * as Sessions from "../agent/Sessions.ts"
import type { Session } from "../agent/Sessions.ts"
import * as TransportViews from "../agent/TransportViews.ts"
import { DialFailed } from "../domain/Errors.ts"
import type { AgentId } from "../domain/Ids.ts"
import { ClusterConfig } from "./ClusterConfig.ts"
import * as ClusterMetrics from "./ClusterMetrics.ts"
import * as Holder from "./Holder.ts"
import * as Leases from "./Leases.ts"
import { Nats } from "./Nats.ts"
import * as Opening from "./Opening.ts"
import * as Pulse from "./Pulse.ts"
import * as Reach from "./Reach.ts"
import * as Subjects from "./Subjects.ts"
import type * as Tunnel from "./Tunnel.ts"

/**
 * The cause of a dial that failed because other nodes cannot be asked.
 *
 * @since 0.1.0
 * @category errors
 */
export class NatsLost extends Data.TaggedError("NatsLost") {
  override readonly message = "NATS cannot be reached, so agents of other nodes cannot be asked for."
}

const make = Effect.gen(function*() {
  const config = yield* ClusterConfig
  const gatewayConfig = yield* GatewayConfig
  const clock = yield* Clock.Clock
  const gateway = yield* AgentGateway
  const below = yield* AgentTransport
  const nats = yield* Nats
  const { nodeId } = gateway
  const now = () => clock.currentTimeMillisUnsafe()
  const subjects = Subjects.make(config.subjectPrefix)
  const name = yield* names
  const context = yield* Effect.context<never>()

  const sessions = yield* Sessions.make()
  const debts = KillDebts.make(gatewayConfig)
  const leases = Leases.make(config)
  const open = { here: 0, away: 0 }
  const onTunnel = (side: ClusterMetrics.Side) => (change: 1 | -1, ending?: Tunnel.Ending): void => {
    open[side] += change
    ClusterMetrics.tunnels(side).updateUnsafe(open[side], context)
    if (ending !== undefined) ClusterMetrics.tunnelsEnded(side, ending.cause).updateUnsafe(1, context)
  }

  const pulse = yield* Pulse.make({ nodeId, nats, subjects, onBack: () => holder.announce() })
  const opening = yield* Opening.make({
    nodeId,
    nats,
    subjects,
    pulse,
    config,
    gateway: gatewayConfig,
    name,
    // What was given up while the agent could not be reached is ended before its session is lent.
    prepare: (session) => settleDebts(session, debts).pipe(Effect.timeout(gatewayConfig.shortCall), Effect.isSuccess),
    lend: (session) => void reach.add(session),
    onEnd: (session) => sessions.remove(session),
    onTunnel: onTunnel("away")
  })
  const reach: Reach.Reach = yield* Reach.make({ sessions, opening, nats, subjects, pulse, config })
  const holder: Holder.Holder = yield* Holder.make({
    nodeId,
    nats,
    subjects,
    pulse,
    config,
    gateway: gatewayConfig,
    name,
    onTunnel: onTunnel("here")
  })
  const calls = yield* Calls.make(reach)
  const views = TransportViews.make({ sessions, calls, now })
  const run = yield* FiberSet.makeRuntime<never>()

  const here = new Set<Session>()
  yield* gateway.watch({
    lent: (session) => {
      here.add(session)
      run(Effect.andThen(
        Deferred.await(session.closed),
        Effect.sync(() => {
          here.delete(session)
          sessions.remove(session)
        })
      ))
      if (reach.add(session)) holder.hold(session)
    },
    incompatible: (agentId) => {
      sessions.incompatible(agentId, now())
      holder.incompatible(agentId)
    },
    callsInFlight: () => calls.inFlight().length
  })

  /** Ends what was given up as soon as its agent can be reached; one fiber for each agent that is owed something. */
  const owing = new Set<AgentId>()
  const settle = Effect.fnUntraced(function*(agentId: AgentId) {
    while (true) {
      const session = yield* Effect.option(Effect.timeout(reach.next(agentId, "call"), gatewayConfig.debtAge))
      // In one step with the look at what is due, so that a debt that comes later begins anew.
      if (Option.isNone(session) || debts.due(agentId, session.value.incarnation, now()).length === 0) {
        owing.delete(agentId)
        return
      }
      const settled = yield* Effect.exit(Effect.timeout(settleDebts(session.value, debts), gatewayConfig.shortCall))
      if (Exit.isFailure(settled)) yield* Effect.timeoutOption(Deferred.await(session.value.closed), respite)
    }
  })

  const means: Means = {
    config: gatewayConfig,
    calls,
    giveUp: ({ agentId }, handing, id) =>
      Effect.suspend(() => {
        if (!handing.handed || handing.incarnation === undefined) return Effect.void
        if (!debts.owe(agentId, handing.incarnation, id, now())) {
          return Effect.logWarning("Too many kills are owed; a process was left running", { "agent.id": agentId })
        }
        if (!owing.has(agentId)) {
          owing.add(agentId)
          // In a fiber of the layer: the caller is being interrupted and must not wait.
          run(settle(agentId))
        }
        return Effect.void
      })
  }

  const sweep = Effect.suspend(() => {
    const at = now()
    const inFlight = calls.inFlight()
    const away = sessions.all().filter((session) => !here.has(session))
    for (const session of leases.idle(away, inFlight, at)) {
      session.link.end({ reason: "lost", code: undefined, detail: "idle" })
    }
    sessions.expire(at)
    debts.expire(at)
    const oldest = (all: ReadonlyArray<{ readonly since: number }>): number =>
      at - all.reduce((first, { since }) => Math.min(first, since), at)
    return Effect.all([
      Metric.update(ClusterMetrics.waiters, sessions.dialsWaiting()),
      Metric.update(ClusterMetrics.oldestWaiter, oldest(sessions.waiting())),
      Metric.update(ClusterMetrics.oldestCall, oldest(inFlight)),
      Metric.update(ClusterMetrics.brokerLost, pulse.isLost() ? 1 : 0)
    ], { discard: true })
  })
  yield* sweep.pipe(Effect.andThen(Effect.sleep(sweepInterval)), Effect.forever, Effect.forkScoped)

  // First of all ends, so that nobody waits for what will not come any more.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      sessions.shutdown()
      for (const session of sessions.all()) {
        if (!here.has(session)) {
          session.link.end({ reason: "shutdown", code: undefined, detail: "this node shuts down" })
        }
      }
    })
  )

  const session = (agentId: AgentId): Effect.Effect<Session, DialFailed> =>
    Effect.suspend(() => {
      const current = reach.current(agentId)
      if (current !== undefined) return Effect.succeed(current)
      return Effect.raceFirst(
        reach.next(agentId, "dial"),
        Effect.andThen(
          pulse.lost,
          Effect.suspend(() => Effect.fail(new DialFailed({ agentId, reason: "refused", cause: new NatsLost() })))
        )
      )
    })

  return AgentTransport.of({
    dial: Effect.fn("AgentTransport.dial")(function*(agentId: AgentId) {
      yield* Effect.annotateCurrentSpan({ "agent.id": agentId })
      yield* leases.take(agentId)
      return yield* SessionConnection.make(yield* session(agentId), means)
    }),
    presence: (agentId) => {
      const session = reach.current(agentId)
      if (session !== undefined) {
        return SessionConnection.liveness(session, gatewayConfig, now()) === "live" ? "live" : "unknown"
      }
      return reach.isAbsent(agentId) ? "absent" : "unknown"
    },
    // Refusals are the gateway's.
    describe: (agentId) => ({
      ...views.describe(agentId),
      lastRefusal: below.describe?.(agentId).lastRefusal ?? null
    }),
    overview: views.overview,
    features
  })
})

/**
 * In the place of the gateway's own transport.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<AgentTransport, never, AgentGateway | AgentTransport | Nats> = Layer.effect(
  AgentTransport,
  make
)

/** An agent that stops fails its calls before its link closes; asking it again at once would only spin. */
const respite = Duration.millis(100)

const sweepInterval = Duration.seconds(1)

/** Names that nobody else makes, each once. */
const names: Effect.Effect<() => string> = Effect.flatMap(SecureRandom.SecureRandom, (random) => random.uuidV4()).pipe(
  Effect.provide(SecureRandom.layerWebCrypto),
  Effect.map((origin) => {
    let count = 0
    return () => `${origin}-${++count}`
  })
)
