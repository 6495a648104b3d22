/**
 * The agents of this node, offered to the others: one subscription each, and a tunnel for each node that asks.
 *
 * An offer ends before the tunnels do. Both travel one way in order, so whoever asks again because a tunnel ended meets
 * the agent's next holder, or hears at once that there is none.
 *
 * Of two nodes that both hold an agent, as after a partition, the one with the lower epoch ends its session as soon as it
 * hears of the other's.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { GatewayConfig } from "../agent/GatewayConfig.ts"
import { CloseCode } from "../agent/Protocol.ts"
import type { Session } from "../agent/Sessions.ts"
import type { AgentId, NodeId } from "../domain/Ids.ts"
import type { ClusterConfig } from "./ClusterConfig.ts"
import * as Forward from "./Forward.ts"
import * as Frame from "./Frame.ts"
import type { Message, Nats } from "./Nats.ts"
import type { Pulse } from "./Pulse.ts"
import type { Subjects } from "./Subjects.ts"
import * as Tunnel from "./Tunnel.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Holder {
  /** Offers a session of this node until it ends. */
  readonly hold: (session: Session) => void
  /** Tells the others that an agent has come in a version that is not served. */
  readonly incompatible: (agentId: AgentId) => void
  /** Says anew what is held, to those who may not have heard it. */
  readonly announce: () => void
}

/**
 * Offers for the life of the scope, at whose end the tunnels end first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(node: {
  readonly nodeId: NodeId
  readonly nats: Nats["Service"]
  readonly subjects: Subjects
  readonly pulse: Pulse
  readonly config: ClusterConfig
  readonly gateway: GatewayConfig
  /** A name for one end of a tunnel that no other has. */
  readonly name: () => string
  readonly onTunnel: (change: 1 | -1, ending?: Tunnel.Ending) => void
}): Effect.fn.Return<Holder, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const { config, gateway, name, nats, nodeId, onTunnel, pulse, subjects } = node
  const held = new Map<Session, () => void>()
  const run = yield* FiberSet.makeRuntime<never>()

  const online = ({ agentId, epoch }: Session): void =>
    nats.publish(subjects.online(agentId), Frame.bodies.news.encode({ _tag: "Online", epoch }))

  const stateOf = (session: Session): typeof Frame.State.Type => {
    const now = clock.currentTimeMillisUnsafe()
    const { confirmedAt } = session
    return {
      heard: now - session.link.heardAt(),
      confirmed: confirmedAt === undefined ? null : now - confirmedAt
    }
  }

  /** One tunnel, from the question to its end. */
  const serve = Effect.fnUntraced(function*(
    session: Session,
    tunnels: Set<Tunnel.Tunnel>,
    asking: { readonly node: NodeId; readonly peer: string }
  ) {
    const tunnel = yield* Tunnel.make({
      nats,
      config,
      mine: subjects.tunnel(name()),
      asked: subjects.open(session.agentId),
      peer: asking.peer,
      drains: false,
      isStale: pulse.isStale,
      isConnected: pulse.isConnected,
      onUntold: pulse.untold,
      onControl: () => undefined,
      onStray: () => undefined,
      onEnd: (ending) => {
        onTunnel(-1, ending)
        // The caller's node checks the agent's answers, and this is how it says that one breaks the protocol.
        if (ending.cause === "closed" && ending.reason === "violation") {
          session.link.end({ reason: "violation", code: CloseCode.violation, detail: ending.detail })
        }
      }
    })
    onTunnel(1)
    tunnels.add(tunnel)
    const unguard = pulse.guard(asking.node, tunnel)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        tunnels.delete(tunnel)
        unguard()
      })
    )
    const { epoch, features, incarnation } = session
    tunnel.control(
      "Accept",
      Frame.bodies.accept.encode({
        node: nodeId,
        epoch,
        incarnation,
        features: Array.from(features),
        state: stateOf(session)
      })
    )
    const report = Effect.sync(() => tunnel.control("State", Frame.bodies.state.encode(stateOf(session))))
    yield* Forward.serve(session, tunnel.socket).pipe(
      Effect.raceFirst(Effect.forever(Effect.delay(report, Duration.divideUnsafe(gateway.pingInterval, 2))))
    )
  }, Effect.scoped)

  const hold = (session: Session): void => {
    const tunnels = new Set<Tunnel.Tunnel>()
    const asked = new Set<string>()

    const open = (message: Message): void => {
      const { reply } = message
      const frame = Frame.decode(message.data)
      const question = frame?.kind === "Open" ? Frame.bodies.open.decode(frame.body) : undefined
      // A question is sent again until it is answered.
      if (reply === undefined || question === undefined || asked.has(reply)) return
      if (session.closeReason !== undefined || pulse.isStale() || tunnels.size >= config.tunnelsPerAgent) {
        return nats.publish(reply, Frame.encode("Refuse", 0, new Uint8Array()), subjects.open(session.agentId))
      }
      asked.add(reply)
      run(
        serve(session, tunnels, { node: question.node, peer: reply }).pipe(
          Effect.ensuring(Effect.sync(() => asked.delete(reply)))
        )
      )
    }

    const hear = (message: Message): void => {
      if (message.unheard) return
      if (message.subject === subjects.open(session.agentId)) return open(message)
      const news = Frame.bodies.news.decode(message.data)
      if (news?._tag !== "Online" || news.epoch <= session.epoch) return
      session.link.end({ reason: "replaced", code: CloseCode.replaced, detail: "a newer session on another node" })
    }

    const stop = nats.subscribe(subjects.agent(session.agentId), hear)
    const end = (): void => {
      const { closeReason } = session
      const reason = closeReason === undefined || closeReason === "shutdown" ? "lost" : closeReason
      for (const tunnel of Array.from(tunnels)) {
        tunnel.end({ reason, detail: "the agent's session has ended", cause: "session" })
      }
    }
    held.set(session, () => {
      stop()
      end()
    })
    online(session)
    run(
      Deferred.await(session.closed).pipe(
        Effect.andThen(Effect.sync(() => {
          if (held.delete(session)) stop()
        })),
        // A call that found out why the session ended answers first.
        Effect.andThen(Effect.yieldNow),
        Effect.andThen(Effect.sync(end))
      )
    )
  }

  // Before the fibers are interrupted, so that nobody hears of that.
  yield* Effect.addFinalizer(() => Effect.sync(() => held.forEach((release) => release())))

  return {
    hold,
    incompatible: (agentId) =>
      nats.publish(subjects.online(agentId), Frame.bodies.news.encode({ _tag: "Incompatible" })),
    announce: () => {
      for (const session of held.keys()) online(session)
    }
  }
})
