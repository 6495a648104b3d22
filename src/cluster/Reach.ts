/**
 * The sessions that this node can use, its own and those over other nodes, and the search for those it has not.
 *
 * Sessions of both kinds stand in one register: of each agent the newest is lent, whoever waits is woken by either, and
 * the loser ends. An agent is looked for as long as somebody waits for it: asked for at once, and again whenever a node
 * says that it has come.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { CloseCode } from "../agent/Protocol.ts"
import type { Session, Sessions, WaiterKind } from "../agent/Sessions.ts"
import type { DialFailed } from "../domain/Errors.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { ClusterConfig } from "./ClusterConfig.ts"
import * as ClusterMetrics from "./ClusterMetrics.ts"
import * as Frame from "./Frame.ts"
import type { Nats } from "./Nats.ts"
import type { Opening } from "./Opening.ts"
import type { Pulse } from "./Pulse.ts"
import type { Subjects } from "./Subjects.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Reach {
  /** The session to use now, from memory. */
  readonly current: (agentId: AgentId) => Session | undefined
  /** The agent's session, as soon as some node has one. Fails as waiting at the gateway does. */
  readonly next: (agentId: AgentId, kind: WaiterKind) => Effect.Effect<Session, DialFailed>
  /** Whether it is known that no node holds the agent, and that it is not just changing nodes. */
  readonly isAbsent: (agentId: AgentId) => boolean
  /** Takes a session into the register, unless a newer one is there: then it ends. */
  readonly add: (session: Session) => boolean
}

interface Search {
  readonly fiber: Fiber.Fiber<unknown>
  users: number
  /** When a session of the agent was last there, where that is known. */
  readonly seenAt: number
  absent: boolean
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(node: {
  readonly sessions: Sessions
  readonly opening: Opening
  readonly nats: Nats["Service"]
  readonly subjects: Subjects
  readonly pulse: Pulse
  readonly config: ClusterConfig
}): Effect.fn.Return<Reach, never, Scope.Scope> {
  const { config, nats, opening, pulse, sessions, subjects } = node
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const grace = Duration.toMillis(config.grace)
  const run = yield* FiberSet.makeRuntime<never>()
  const searches = new Map<AgentId, Search>()

  const current: Reach["current"] = (agentId) => {
    const session = sessions.current(agentId)
    if (session?.closeReason === undefined) return session
    // The gateway has no hand on this register, and an ended session must not be lent again.
    sessions.remove(session)
    return undefined
  }

  const add: Reach["add"] = (session) => {
    current(session.agentId)
    if (session.closeReason === undefined && sessions.add(session, now())) return true
    session.link.end({ reason: "replaced", code: CloseCode.replaced, detail: "a newer session" })
    return false
  }

  const search = Effect.fnUntraced(function*(agentId: AgentId, state: () => Search | undefined) {
    const news = Latch.makeUnsafe(false)
    let newest = 0
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        nats.subscribe(subjects.online(agentId), (message) => {
          const said = Frame.bodies.news.decode(message.data)
          if (said?._tag === "Online") newest = Math.max(newest, said.epoch)
          else if (said?._tag === "Incompatible") sessions.incompatible(agentId, now())
          news.openUnsafe()
        })
      ),
      (stop) => Effect.sync(stop)
    )
    const hearsay = { newest: () => newest, news: Effect.andThen(news.await, news.close) }
    const mark = (absent: boolean): void => {
      const search = state()
      if (search !== undefined) search.absent = absent
    }
    while (true) {
      const session = current(agentId)
      if (session !== undefined) {
        mark(false)
        yield* Deferred.await(session.closed)
        current(agentId)
        continue
      }
      yield* pulse.back
      const { _tag: outcome } = yield* opening(agentId, hearsay)
      yield* Metric.update(ClusterMetrics.asked(outcome), 1)
      mark(outcome === "absent")
      // Who was just going, or has lost, has a successor; who does not answer has waited already.
      if (outcome === "absent") yield* Effect.timeoutOption(hearsay.news, config.seek)
      else if (outcome !== "opened" && outcome !== "silent") {
        yield* Effect.timeoutOption(hearsay.news, config.openRepeat)
      }
    }
  }, Effect.scoped)

  const join = (agentId: AgentId, kind: WaiterKind): Search => {
    const known = searches.get(agentId)
    if (known !== undefined) {
      known.users += 1
      return known
    }
    const fiber = run(search(agentId, () => searches.get(agentId)))
    const made: Search = { fiber, users: 1, seenAt: kind === "call" ? now() : -Infinity, absent: false }
    searches.set(agentId, made)
    return made
  }

  const leave = (agentId: AgentId, search: Search): void => {
    search.users -= 1
    if (search.users > 0) return
    searches.delete(agentId)
    search.fiber.interruptUnsafe()
  }

  return {
    current,
    next: (agentId, kind) =>
      Effect.suspend(() => {
        if (current(agentId) !== undefined) return sessions.next(agentId, kind)
        return Effect.acquireUseRelease(
          Effect.sync(() => join(agentId, kind)),
          () => sessions.next(agentId, kind),
          (search) => Effect.sync(() => leave(agentId, search))
        )
      }),
    isAbsent: (agentId) => {
      const search = searches.get(agentId)
      return !pulse.isLost() && search !== undefined && search.absent && now() - search.seenAt >= grace
    },
    add
  }
})
