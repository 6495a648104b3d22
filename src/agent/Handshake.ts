/**
 * From an accepted link to a session: hello, then attach, then what is still owed. Nothing else is sent before, and
 * nothing is lent before its end.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { AgentId, NodeId } from "../domain/Ids.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import type { Admission } from "./Admission.ts"
import * as Calls from "./Calls.ts"
import { Feature } from "./Feature.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import type { KillDebts } from "./KillDebts.ts"
import type { End, Link } from "./Link.ts"
import * as Protocol from "./Protocol.ts"
import type { Session, Sessions } from "./Sessions.ts"

/**
 * What a connection of the gateway can do at most.
 *
 * @since 0.1.0
 * @category constants
 */
export const features: ReadonlySet<Feature> = new Set<Feature>([
  "run",
  "processes",
  "files",
  "directories",
  "mcp"
])

/**
 * Why a link does not become a session: a word for the log and the metric, and how it ends.
 *
 * @since 0.1.0
 * @category errors
 */
export class Rejected extends Data.TaggedError("Rejected")<{
  readonly why:
    | "lost"
    | "noHello"
    | "violation"
    | "incompatible"
    | "identityConflict"
    | "revoked"
    | "storeFailed"
    | "replaced"
  readonly end: End
}> {}

/**
 * Makes a session of a link and lends it.
 *
 * @since 0.1.0
 * @category models
 */
export type Handshake = (
  agentId: AgentId,
  link: Link,
  onAttached: (session: Session) => void
) => Effect.Effect<Session, Rejected>

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(deps: {
  readonly nodeId: NodeId
  readonly sessions: Sessions
  readonly debts: KillDebts
  readonly admission: Admission
}): Effect.fn.Return<Handshake, never, AgentPresence> {
  const config = yield* GatewayConfig
  const presence = yield* AgentPresence
  const clock = yield* Clock.Clock
  const { admission, debts, nodeId, sessions } = deps

  const hello = (link: Link): Effect.Effect<Protocol.HelloAnswer, Rejected> =>
    link.client.Hello({
      protocol: Protocol.name,
      version: Protocol.version,
      node: nodeId,
      features: Array.from(features)
    }).pipe(
      Effect.catchCause((cause) =>
        Effect.fail(cause.reasons.some(Cause.isDieReason) ? violated("no hello that could be understood") : lost)
      ),
      Effect.timeoutOrElse({
        duration: config.helloTimeout,
        orElse: () =>
          Effect.fail(
            new Rejected({
              why: "noHello",
              end: { reason: "violation", code: Protocol.CloseCode.violation, detail: "no hello in time" }
            })
          )
      })
    )

  const attach = (agentId: AgentId, incarnation: Protocol.Incarnation) =>
    admission.asked(presence.attach({ agentId, nodeId, incarnation })).pipe(
      Effect.catchTags({
        TokenRefused: () =>
          Effect.fail(
            new Rejected({
              why: "revoked",
              end: { reason: "revoked", code: Protocol.CloseCode.revoked, detail: "revoked" }
            })
          ),
        StoreError: () =>
          Effect.fail(
            new Rejected({
              why: "storeFailed",
              end: { reason: "lost", code: Protocol.CloseCode.restarting, detail: "the session could not be recorded" }
            })
          )
      })
    )

  return Effect.fnUntraced(function*(agentId, link, onAttached) {
    const answer = yield* hello(link)
    if (!isServed(answer.version)) {
      sessions.incompatible(agentId, clock.currentTimeMillisUnsafe())
      return yield* new Rejected({
        why: "incompatible",
        end: { reason: "violation", code: Protocol.CloseCode.incompatible, detail: `version ${answer.version}` }
      })
    }
    const { incarnation } = answer
    if (!sessions.admits(agentId, incarnation, clock.currentTimeMillisUnsafe())) {
      return yield* new Rejected({
        why: "identityConflict",
        end: { reason: "replaced", code: Protocol.CloseCode.displaced, detail: "several agents under one identity" }
      })
    }
    const asked = clock.currentTimeMillisUnsafe()
    const { epoch } = yield* attach(agentId, incarnation)
    const session: Session = {
      agentId,
      incarnation,
      epoch,
      features: common(answer.features),
      tellsLifecycle: answer.features.includes(Protocol.lifecycleWord),
      link,
      openedAt: asked,
      confirmedAt: asked,
      closeReason: undefined,
      closed: Deferred.makeUnsafe()
    }
    onAttached(session)
    yield* settleDebts(session, debts).pipe(
      Effect.timeout(config.shortCall),
      Effect.mapError(() => lost)
    )
    // From the last debt paid to here is one step, so that no new one is passed over.
    if (session.closeReason !== undefined) return yield* lost
    if (!sessions.add(session, clock.currentTimeMillisUnsafe())) {
      return yield* new Rejected({
        why: "replaced",
        end: { reason: "replaced", code: Protocol.CloseCode.replaced, detail: "a newer session" }
      })
    }
    return session
  })
})

/**
 * Ends what was given up while the link was down, until nothing is owed. A kill that the agent cannot answer is not
 * asked for again.
 *
 * @since 0.1.0
 * @category combinators
 */
export const settleDebts = Effect.fnUntraced(function*(session: Session, debts: KillDebts) {
  const { agentId, incarnation } = session
  const clock = yield* Clock.Clock
  while (true) {
    const due = debts.due(agentId, incarnation, clock.currentTimeMillisUnsafe())
    if (due.length === 0) return
    yield* Effect.forEach(due, (id) =>
      Calls.ask(session, (client) => client.Kill({ id })).pipe(
        Effect.catchTag("Unanswered", () => Effect.void),
        Effect.tap(() => Effect.sync(() => debts.paid(agentId, id)))
      ), { concurrency: 16, discard: true })
  }
})

const isFeature = Schema.is(Feature)

/** What both can do: one set for all agents that can do all. */
const common = (offered: ReadonlyArray<string>): ReadonlySet<Feature> => {
  const both = new Set(offered.filter(isFeature).filter((feature) => features.has(feature)))
  return both.size === features.size ? features : both
}

/** This version and the one before. */
const isServed = (version: number): boolean =>
  version === Protocol.version || (version === Protocol.version - 1 && version > 0)

const violated = (detail: string): Rejected =>
  new Rejected({ why: "violation", end: { reason: "violation", code: Protocol.CloseCode.violation, detail } })

const lost = new Rejected({
  why: "lost",
  end: { reason: "lost", code: Protocol.CloseCode.restarting, detail: "lost before it was attached" }
})
