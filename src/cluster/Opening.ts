/**
 * A session with an agent that another node holds: asked for over NATS, and from then on like one of our own.
 *
 * The tunnel takes the place of the agent's socket, and all that stands on a socket stands on it unchanged: limits, typed
 * ends, independent streams, calls that outlive their link. What this node knows of the agent comes from its holder: when
 * it was heard, whether its session is the newest.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { Feature } from "../agent/Feature.ts"
import { GatewayConfig } from "../agent/GatewayConfig.ts"
import * as Link from "../agent/Link.ts"
import type { Session } from "../agent/Sessions.ts"
import type { AgentId, NodeId } from "../domain/Ids.ts"
import type { ClusterConfig } from "./ClusterConfig.ts"
import * as Frame from "./Frame.ts"
import type { Nats } from "./Nats.ts"
import type { Pulse } from "./Pulse.ts"
import type { Subjects } from "./Subjects.ts"
import * as Tunnel from "./Tunnel.ts"

/**
 * What came of a question:
 *
 * - `absent`: no node holds the agent; the server says so itself
 * - `refused`: its holder was just going
 * - `silent`: no answer, so whoever holds it is not there either
 * - `older`: a session that is not the newest any more
 * - `failed`: the tunnel was lost before it was of use
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "opened"; readonly session: Session }
  | { readonly _tag: "absent" | "refused" | "silent" | "older" | "failed" }

/**
 * What the one who asks has heard of the agent: the newest epoch, and a wait until something new is said.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hearsay {
  readonly newest: () => number
  readonly news: Effect.Effect<void>
}

/**
 * Asks once for an agent.
 *
 * @since 0.1.0
 * @category models
 */
export type Opening = (agentId: AgentId, hearsay: Hearsay) => Effect.Effect<Outcome>

/**
 * Sessions live in the scope given here, each until its tunnel or its link ends. One that `prepare` finds ready is lent by
 * `lend`; `onEnd` runs in the step in which it ends.
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
  readonly name: () => string
  readonly prepare: (session: Session) => Effect.Effect<boolean>
  readonly lend: (session: Session) => void
  readonly onEnd: (session: Session) => void
  readonly onTunnel: (change: 1 | -1, ending?: Tunnel.Ending) => void
}): Effect.fn.Return<Opening, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  // Apart from the layer's, so that sessions outlive what is made above and ended first.
  const sessionsScope = yield* Effect.flatMap(Effect.scope, Scope.fork)
  const { config, gateway, lend, name, nats, nodeId, onEnd, onTunnel, prepare, pulse, subjects } = node
  // What a holder says again may be longer than what its agent said, as numbers of several spellings are.
  const linkConfig: GatewayConfig = { ...gateway, frameLimit: 2 * gateway.frameLimit }
  const question = Frame.bodies.open.encode({ node: nodeId })

  const attempt = Effect.fnUntraced(function*(
    agentId: AgentId,
    { news, newest }: Hearsay,
    scope: Scope.Closeable
  ): Effect.fn.Return<Outcome, never, Scope.Scope> {
    const answered = yield* Deferred.make<typeof Frame.Accept.Type | Tunnel.Cause>()
    let session: Session | undefined
    let link: Link.Link | undefined
    let over: Tunnel.Ending | undefined
    let heardAt = 0
    let seen = 0

    const know = ({ confirmed, heard }: typeof Frame.State.Type): number | undefined => {
      const now = clock.currentTimeMillisUnsafe()
      heardAt = now - heard
      return confirmed === null ? undefined : now - confirmed
    }
    const tell = (epoch: number): void =>
      nats.publish(subjects.online(agentId), Frame.bodies.news.encode({ _tag: "Online", epoch }))
    const see = (epoch: number): void => {
      seen = Math.max(seen, epoch)
      if (session === undefined || session.epoch >= seen) return
      link?.end({ reason: "replaced", code: undefined, detail: "a newer session on another node" })
    }

    const tunnel = yield* Tunnel.make({
      nats,
      config,
      mine: subjects.tunnel(name()),
      asked: subjects.open(agentId),
      drains: true,
      isStale: pulse.isStale,
      isConnected: pulse.isConnected,
      onUntold: pulse.untold,
      onControl: ({ body, kind }) => {
        if (kind === "Accept") {
          const accept = Frame.bodies.accept.decode(body)
          return Deferred.doneUnsafe(answered, Effect.succeed(accept ?? "garbage"))
        }
        const state = Frame.bodies.state.decode(body)
        if (state === undefined || session === undefined) return
        session.confirmedAt = know(state)
      },
      // Two nodes hold the agent, or did so a moment ago. The newer session is the one to talk to.
      onStray: ({ body, kind }, from) => {
        const accept = kind === "Accept" ? Frame.bodies.accept.decode(body) : undefined
        if (accept === undefined) return
        see(accept.epoch)
        tell(Math.max(seen, session?.epoch ?? 0))
        nats.publish(
          from,
          Frame.encode("Close", 1, Frame.bodies.close.encode({ reason: "lost", detail: "not needed" })),
          subjects.open(agentId)
        )
      },
      onEnd: (ending) => {
        over = ending
        Deferred.doneUnsafe(answered, Effect.succeed(ending.cause))
        if (session !== undefined) onTunnel(-1, ending)
        link?.end({ reason: ending.reason, code: undefined, detail: ending.detail })
      }
    })
    const answer = yield* Deferred.await(answered).pipe(
      Effect.raceFirst(
        // The question before may have met nobody, or one who was just going.
        Effect.sync(() => tunnel.open(question)).pipe(
          Effect.andThen(Effect.timeoutOption(news, config.openRepeat)),
          Effect.forever
        )
      ),
      Effect.timeoutOption(config.openTimeout)
    )
    if (Option.isNone(answer)) return { _tag: "silent" }
    const accept = answer.value
    if (typeof accept === "string") {
      return { _tag: accept === "unheard" ? "absent" : accept === "refused" ? "refused" : "failed" }
    }
    see(newest())
    if (accept.epoch < seen) {
      tell(seen)
      return { _tag: "older" }
    }
    const closed = Deferred.makeUnsafe<NonNullable<Session["closeReason"]>>()
    const made = yield* Link.make(tunnel.socket, (end) => {
      if (session === undefined) return
      // In this order: who hears that the connection closed must not be lent it again.
      onEnd(session)
      session.closeReason = end.reason
      Deferred.doneUnsafe(closed, Effect.succeed(end.reason))
      tunnel.end({ reason: end.reason === "shutdown" ? "lost" : end.reason, detail: end.detail, cause: "session" })
    }).pipe(Effect.provideService(GatewayConfig, linkConfig))
    link = made
    const confirmedAt = know(accept.state)
    session = {
      agentId,
      incarnation: accept.incarnation,
      epoch: accept.epoch,
      features: new Set(accept.features.filter(isFeature)),
      tellsLifecycle: false,
      link: { ...made, heardAt: () => heardAt },
      openedAt: clock.currentTimeMillisUnsafe(),
      confirmedAt,
      closeReason: undefined,
      closed
    }
    // What came while the link was made.
    see(seen)
    if (over !== undefined) made.end({ reason: "lost", code: undefined, detail: "lost before it was of use" })
    if (Deferred.isDoneUnsafe(made.ended)) return { _tag: "failed" }
    onTunnel(1)
    const unguard = pulse.guard(accept.node, tunnel)
    const stop = nats.subscribe(subjects.online(agentId), (message) => {
      const news = Frame.bodies.news.decode(message.data)
      if (news?._tag === "Online") see(news.epoch)
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        unguard()
        stop()
      })
    )
    yield* Deferred.await(made.ended).pipe(
      // The callers hear of the loss by the error of their call, before the client's scope interrupts what is left.
      Effect.andThen(Effect.yieldNow),
      Effect.andThen(Scope.close(scope, Exit.void)),
      Effect.forkIn(sessionsScope)
    )
    return (yield* prepare(session)) ? { _tag: "opened", session } : { _tag: "failed" }
  })

  return (agentId, hearsay) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.fork(sessionsScope), (scope) =>
        restore(attempt(agentId, hearsay, scope)).pipe(
          Scope.provide(scope),
          // Not in what can be interrupted: lending ends the waits, and with the last of them the search.
          Effect.tap((outcome) => Effect.sync(() => outcome._tag === "opened" ? lend(outcome.session) : undefined)),
          Effect.onExit((exit) =>
            Exit.isSuccess(exit) && exit.value._tag === "opened" ? Effect.void : Scope.close(scope, exit)
          )
        ))
    )
})

const isFeature = Schema.is(Feature)
