/**
 * From the request of an agent to the end of its link: admitted, upgraded, greeted, lent, ended, and its socket destroyed.
 *
 * Links live in the scope of the gateway, not in that of their request. When the server lets go of a request its link is
 * ended, or the server would wait for the socket for ever.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Metric from "effect/Metric"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type { AgentId, NodeId } from "../domain/Ids.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import * as Admission from "./Admission.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import * as GatewayMetrics from "./GatewayMetrics.ts"
import type { Handshake } from "./Handshake.ts"
import type { Followed, LifecycleReports } from "./LifecycleReports.ts"
import * as Link from "./Link.ts"
import { CloseCode } from "./Protocol.ts"
import type { Session, Sessions } from "./Sessions.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Acceptor {
  /** Answers the request of an agent; returns when its link has ended. */
  readonly accept: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>
  /** Ends all links, those too that are not lent yet. */
  readonly endAll: (end: Link.End) => void
  /** Waits until the socket of each link is gone. */
  readonly settled: Effect.Effect<void>
}

/**
 * Takes links into the scope given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(gateway: {
  readonly nodeId: NodeId
  readonly sessions: Sessions
  readonly admission: Admission.Admission
  readonly handshake: Handshake
  readonly lifecycles: LifecycleReports
  readonly scope: Scope.Scope
}): Effect.fn.Return<Acceptor, never, AgentPresence> {
  const config = yield* GatewayConfig
  const clock = yield* Clock.Clock
  const presence = yield* AgentPresence
  const { admission, handshake, lifecycles, nodeId, scope, sessions } = gateway
  const links = new Set<Link.Link>()
  const lives = new Set<Fiber.Fiber<void>>()
  // Of each agent apart: one that opens sockets and says nothing must not take the places of all.
  const handshaking = new Map<AgentId, number>()
  let unauthenticated = 0

  const handshakes = (agentId: AgentId, change: 1 | -1): void => {
    const count = (handshaking.get(agentId) ?? 0) + change
    if (count === 0) handshaking.delete(agentId)
    else handshaking.set(agentId, count)
  }

  const refused = (reason: string, agentId: AgentId | undefined): Effect.Effect<void> => {
    if (agentId !== undefined) sessions.noteRefusal(agentId, reason, clock.currentTimeMillisUnsafe())
    return Effect.andThen(
      Metric.update(GatewayMetrics.refused(reason), 1),
      reason === "identityConflict"
        ? Effect.logWarning("identity_conflict", { "agent.id": agentId, "node.id": nodeId })
        : Effect.logInfo("Agent refused", { "agent.id": agentId, "node.id": nodeId, reason })
    )
  }

  const context = yield* Effect.context<never>()
  // Without the services of the request, which would live as long as the link.
  const fork = Effect.runForkWith(yield* Effect.annotateLogs(Effect.context<never>(), logAnnotations))
  const run = (life: Effect.Effect<void>): Effect.Effect<Fiber.Fiber<void>> =>
    Effect.sync(() => Fiber.runIn(fork(life), scope))

  /** In the step in which what is lent changes, not some steps later. */
  const gauge = (): void => GatewayMetrics.sessions.updateUnsafe(sessions.count(), context)

  const lost = (session: Session, end: Link.End): Effect.Effect<void> =>
    Effect.andThen(
      Metric.update(GatewayMetrics.sessionsEnded(end.reason), 1),
      Effect.logInfo("Session ended", {
        "agent.id": session.agentId,
        "node.id": nodeId,
        epoch: session.epoch,
        reason: end.reason,
        detail: end.detail
      })
    )

  /** One link from its upgrade to its end. Ends by itself when the peer is gone or somebody ends the link. */
  const live = (
    agentId: AgentId,
    socket: Socket.Socket,
    onLink: (link: Link.Link) => void,
    authenticated: () => void,
    destroySocket: () => void
  ): Effect.Effect<void> =>
    Effect.suspend(() => {
      let session: Session | undefined
      let lifecycle: Followed | undefined
      const onEnd = (end: Link.End): void => {
        if (session === undefined) return
        // In this order: who hears that the connection closed must not be lent it again.
        sessions.remove(session)
        gauge()
        session.closeReason = end.reason
        Deferred.doneUnsafe(session.closed, Effect.succeed(end.reason))
      }
      return Effect.gen(function*() {
        // The bounds of the layer, not of the request that happens to bring the socket.
        const link = yield* Effect.provideService(Link.make(socket, onEnd), GatewayConfig, config)
        onLink(link)
        const rejected = yield* handshake(agentId, link, (attached) => {
          session = attached
          if (Deferred.isDoneUnsafe(link.ended)) attached.closeReason = "lost"
        }).pipe(
          Effect.map(() => {
            gauge()
            return undefined
          }),
          Effect.catch((rejection) => {
            link.end(rejection.end)
            return Effect.as(refused(rejection.why, agentId), rejection)
          })
        )
        authenticated()
        if (session !== undefined && rejected === undefined) lifecycle = yield* lifecycles(session)
        const end = yield* Deferred.await(link.ended)
        if (session !== undefined && rejected === undefined) yield* lost(session, end)
        yield* link.sayEnd(end)
        // The callers hear of the loss by the error of their call, before the client's scope interrupts what is left.
        yield* Effect.yieldNow
        links.delete(link)
        return end
      }).pipe(
        Effect.scoped,
        Effect.tap((end) => end.code === undefined ? Effect.void : Effect.sleep(config.closeGrace)),
        // A peer that is frozen answers no close, and a server that closes must not wait for the store either.
        Effect.tap(() => Effect.sync(destroySocket)),
        Effect.tap((end) =>
          session === undefined || end.reason === "replaced" ? Effect.void : Effect.all([
            lifecycle?.finish ?? Effect.void,
            Effect.ignore(
              admission.asked(presence.detach({ agentId, epoch: session.epoch })),
              { log: "Debug", message: "The end of a session could not be recorded" }
            )
          ], { concurrency: "unbounded", discard: true })
        ),
        Effect.asVoid
      )
    })

  // Uninterruptible but for its waits, so that each place and each socket that is taken has an owner.
  const accept = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      if (sessions.isShutdown()) return yield* new Admission.Denied({ status: 503, reason: "shutdown" })
      if (unauthenticated >= config.unauthenticated) {
        return yield* new Admission.Denied({ status: 503, reason: "overloaded" })
      }
      unauthenticated += 1
      let counted = true
      let known: AgentId | undefined
      const authenticated = (): void => {
        if (!counted) return
        counted = false
        unauthenticated -= 1
        if (known !== undefined) handshakes(known, -1)
      }
      const { agentId, fiber, link } = yield* Effect.gen(function*() {
        const agentId = yield* restore(admission.verify)
        // The gateway may have ended while the store was asked, and would leave the socket to nobody.
        if (sessions.isShutdown()) return yield* new Admission.Denied({ status: 503, reason: "shutdown", agentId })
        if ((handshaking.get(agentId) ?? 0) >= config.unauthenticatedPerAgent) {
          return yield* new Admission.Denied({ status: 503, reason: "overloaded", agentId })
        }
        known = agentId
        handshakes(agentId, 1)
        const request = yield* HttpServerRequest.HttpServerRequest
        const socket = yield* Effect.mapError(
          restore(request.upgrade),
          () => new Admission.Denied({ status: 400, reason: "notAnAgent", agentId })
        )
        let link: Link.Link | undefined
        const fiber = yield* live(
          agentId,
          socket,
          (made) => {
            link = made
            links.add(made)
          },
          authenticated,
          () => destroy(request.source)
        ).pipe(
          Effect.ensuring(Effect.sync(() => {
            authenticated()
            if (link !== undefined) links.delete(link)
            destroy(request.source)
          })),
          run
        )
        lives.add(fiber)
        fiber.addObserver(() => lives.delete(fiber))
        return { agentId, fiber, link: () => link }
      }).pipe(Effect.onError(() => Effect.sync(authenticated)))
      yield* restore(Fiber.await(fiber)).pipe(
        // The server lets go of its requests: without this it would wait for the socket for ever.
        Effect.onInterrupt(() =>
          Effect.sync(() =>
            link()?.end({ reason: "lost", code: CloseCode.restarting, detail: "let go by the HTTP server" })
          )
        )
      )
      yield* Effect.logDebug("Link closed", { "agent.id": agentId })
      return HttpServerResponse.empty()
    })
  ).pipe(
    Effect.catchTag("Denied", (denied) => Effect.as(refused(denied.reason, denied.agentId), Admission.deny(denied))),
    Effect.annotateLogs(logAnnotations)
  )

  return {
    accept,
    endAll: (end) => {
      for (const link of links) link.end(end)
    },
    settled: Effect.suspend(() => Effect.asVoid(Fiber.awaitAll(lives)))
  }
})

const logAnnotations = { module: "AgentGateway" }

/** Servers whose requests have no such socket keep it until their peer closes. */
const destroy = (source: object): void => {
  if (!Predicate.hasProperty(source, "socket") || !Predicate.hasProperty(source.socket, "destroy")) return
  const { socket } = source
  if (typeof socket.destroy === "function") socket.destroy()
}
