/**
 * The sessions of this node and everybody who waits for one: of each agent the newest session is lent, and only that.
 *
 * Every change is one step of JavaScript, so what is lent, who waits and which session lost are never out of step with
 * each other. Newest is decided by the epoch that the store gave at attach, not by the order of arrival.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { DialFailed } from "../domain/Errors.ts"
import type { DialFailedReason } from "../domain/Errors.ts"
import type { AgentId, Incarnation } from "../domain/Ids.ts"
import type { CloseReason } from "./AgentConnection.ts"
import type { Feature } from "./Feature.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import type { Link } from "./Link.ts"
import { CloseCode } from "./Protocol.ts"

/**
 * One live link of an agent to this node, attached under an epoch of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session {
  readonly agentId: AgentId
  readonly incarnation: Incarnation
  readonly epoch: number
  readonly features: ReadonlySet<Feature>
  /** Whether the agent tells what its start-up and shutdown scripts come to. */
  readonly tellsLifecycle: boolean
  readonly link: Link
  readonly openedAt: number
  /** When the store last confirmed it as the newest; none when it could not be asked at the last heartbeat. */
  confirmedAt: number | undefined
  /** Set in the step in which it ends. */
  closeReason: CloseReason | undefined
  readonly closed: Deferred.Deferred<CloseReason>
}

/**
 * A dial that waits, or a call in flight that waits for its agent to come back.
 *
 * @since 0.1.0
 * @category models
 */
export type WaiterKind = "dial" | "call"

/**
 * What an agent looks like from this node: the beginnings of waiting dials and of a refusal in milliseconds of the clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inspection {
  readonly session: Session | undefined
  readonly dials: ReadonlyArray<number>
  readonly lastRefusal: { readonly reason: string; readonly at: number } | undefined
}

/**
 * Hears of sessions in the step in which they are lent, and of agents whose version is not served. It must not throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watcher {
  readonly lent: (session: Session) => void
  readonly incompatible: (agentId: AgentId) => void
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Sessions {
  readonly current: (agentId: AgentId) => Session | undefined
  readonly all: () => ReadonlyArray<Session>
  /** How many sessions are lent. */
  readonly count: () => number
  /**
   * The agent's session, as soon as there is one. Fails with `overloaded` over a limit, and with the reason that
   * `refuse` or `shutdown` gives.
   */
  readonly next: (agentId: AgentId, kind: WaiterKind) => Effect.Effect<Session, DialFailed>
  /** Whether a newcomer of this incarnation may attach: not while two incarnations fight for the agent. */
  readonly admits: (agentId: AgentId, incarnation: Incarnation, now: number) => boolean
  /** Lends a session and wakes who waits; false when a newer one is, or was, lent. The one before it ends. */
  readonly add: (session: Session, now: number) => boolean
  /** Tells a watcher what is lent, now and from now on, until what it answers is called. */
  readonly watch: (watcher: Watcher) => () => void
  /** Stops lending a session. */
  readonly remove: (session: Session) => void
  /** Fails who waits, and dials to come for a while. */
  readonly incompatible: (agentId: AgentId, now: number) => void
  /** Fails those who began to wait before `before`, in milliseconds of the clock. */
  readonly refuse: (agentId: AgentId, reason: DialFailedReason, before: number) => void
  /** The agents that are waited for, with the beginning of the longest wait. */
  readonly waiting: () => ReadonlyArray<{ readonly agentId: AgentId; readonly since: number }>
  readonly dialsWaiting: () => number
  /** Notes why a socket of the agent was turned away, for those who ask later: for ten minutes, of the last 1,000. */
  readonly noteRefusal: (agentId: AgentId, reason: string, now: number) => void
  readonly inspect: (agentId: AgentId) => Inspection
  /** When a dial was last refused because another node holds its agent, in milliseconds of the clock. */
  readonly elsewhereAt: () => number | undefined
  /** Forgets what is not needed any more. */
  readonly expire: (now: number) => void
  /** Fails who waits and everybody who comes. */
  readonly shutdown: () => void
  readonly isShutdown: () => boolean
}

interface Waiter {
  readonly kind: WaiterKind
  readonly since: number
  readonly resume: (outcome: Effect.Effect<Session, DialFailed>) => void
}

interface Entry {
  session: Session | undefined
  readonly waiters: Set<Waiter>
  dials: number
  /** The highest epoch that was lent, and when that session ended. */
  newest: number
  endedAt: number
  incompatibleUntil: number
  /** When one incarnation took the place of another that was still there. */
  changes: ReadonlyArray<number>
  refuseUntil: number
}

/**
 * A node without sessions.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(): Effect.fn.Return<Sessions> {
  const config = yield* GatewayConfig
  const clock = yield* Clock.Clock
  const conflictWindow = Duration.toMillis(config.conflictWindow)
  // No handshake takes longer, from the store's answer to the session being lent.
  const handshake = Duration.toMillis(config.storeTimeout) + Duration.toMillis(config.shortCall)
  const entries = new Map<AgentId, Entry>()
  // Apart from the entries and bounded: who is refused may have made its id up.
  const refusals = new Map<AgentId, { readonly reason: string; readonly at: number }>()
  const watchers = new Set<Watcher>()
  let lent = 0
  let dials = 0
  let closing = false
  let elsewhereAt: number | undefined

  const entryOf = (agentId: AgentId): Entry => {
    const known = entries.get(agentId)
    if (known !== undefined) return known
    const entry: Entry = {
      session: undefined,
      waiters: new Set(),
      dials: 0,
      newest: 0,
      endedAt: 0,
      incompatibleUntil: 0,
      changes: [],
      refuseUntil: 0
    }
    entries.set(agentId, entry)
    return entry
  }

  const leave = (entry: Entry, waiter: Waiter): void => {
    if (!entry.waiters.delete(waiter) || waiter.kind !== "dial") return
    entry.dials -= 1
    dials -= 1
  }

  const settle = (entry: Entry, outcome: Effect.Effect<Session, DialFailed>, before = Infinity): void => {
    for (const waiter of Array.from(entry.waiters)) {
      if (waiter.since > before) continue
      leave(entry, waiter)
      waiter.resume(outcome)
    }
  }

  const isIdle = (entry: Entry): boolean => entry.session === undefined && entry.waiters.size === 0

  const park = (agentId: AgentId, kind: WaiterKind): Effect.Effect<Session, DialFailed> =>
    Effect.callback((resume) => {
      const entry = entryOf(agentId)
      const waiter: Waiter = { kind, since: clock.currentTimeMillisUnsafe(), resume }
      entry.waiters.add(waiter)
      if (kind === "dial") {
        entry.dials += 1
        dials += 1
      }
      return Effect.sync(() => {
        leave(entry, waiter)
        // A dial of an agent that never comes must leave nothing behind.
        if (isIdle(entry) && entry.newest === 0) entries.delete(agentId)
      })
    })

  const isFull = (agentId: AgentId): boolean =>
    dials >= config.waiters || (entries.get(agentId)?.dials ?? 0) >= config.waitersPerAgent

  return {
    current: (agentId) => entries.get(agentId)?.session,
    all: () => Array.from(entries.values()).flatMap(({ session }) => session === undefined ? [] : [session]),
    count: () => lent,
    next: (agentId, kind) =>
      Effect.suspend(() => {
        const entry = entries.get(agentId)
        const session = entry?.session
        // What is lent stays usable to its end; only nothing new is lent.
        if (session !== undefined && (kind === "call" || !closing)) return Effect.succeed(session)
        if (closing) return failed(agentId, "shutdown")
        if (entry !== undefined && entry.incompatibleUntil > clock.currentTimeMillisUnsafe()) {
          return failed(agentId, "incompatible")
        }
        return kind === "dial" && isFull(agentId) ? failed(agentId, "overloaded") : park(agentId, kind)
      }),
    admits: (agentId, incarnation, now) => {
      const entry = entryOf(agentId)
      // When the one that holds the agent is gone there is nobody to fight with.
      if (entry.session === undefined || entry.session.incarnation === incarnation) return true
      if (now < entry.refuseUntil) return false
      entry.changes = entry.changes.filter((at) => now - at < conflictWindow)
      if (entry.changes.length < config.conflictChanges) return true
      entry.refuseUntil = now + Duration.toMillis(config.conflictRefusal)
      return false
    },
    add: (session, now) => {
      const entry = entryOf(session.agentId)
      const old = entry.session
      // Also where the newer one has ended: a handshake that was overtaken comes to its end late.
      if (closing || entry.newest > session.epoch) return false
      if (old === undefined) lent += 1
      entry.session = session
      entry.newest = session.epoch
      entry.incompatibleUntil = 0
      if (old !== undefined) {
        const same = old.incarnation === session.incarnation
        if (!same) entry.changes = [...entry.changes, now]
        old.link.end({
          reason: "replaced",
          code: same ? CloseCode.replaced : CloseCode.displaced,
          detail: same ? "a newer link of the same agent" : "another agent under the same identity"
        })
      }
      settle(entry, Effect.succeed(session))
      for (const watcher of watchers) watcher.lent(session)
      return true
    },
    watch: (watcher) => {
      watchers.add(watcher)
      for (const { session } of entries.values()) {
        if (session !== undefined) watcher.lent(session)
      }
      return () => watchers.delete(watcher)
    },
    remove: (session) => {
      const entry = entries.get(session.agentId)
      // A session that was replaced ends late; the entry is another's by then.
      if (entry?.session !== session) return
      entry.session = undefined
      entry.endedAt = clock.currentTimeMillisUnsafe()
      lent -= 1
    },
    incompatible: (agentId, now) => {
      const entry = entryOf(agentId)
      entry.incompatibleUntil = now + Duration.toMillis(config.incompatibleFor)
      settle(entry, failed(agentId, "incompatible"))
      for (const watcher of watchers) watcher.incompatible(agentId)
    },
    refuse: (agentId, reason, before) => {
      const entry = entries.get(agentId)
      if (reason === "sessionOnOtherNode") elsewhereAt = clock.currentTimeMillisUnsafe()
      if (entry !== undefined) settle(entry, failed(agentId, reason), before)
    },
    waiting: () =>
      Array.from(entries).flatMap(([agentId, { waiters }]) => {
        const [oldest] = waiters
        return oldest === undefined ? [] : [{ agentId, since: oldest.since }]
      }),
    dialsWaiting: () => dials,
    noteRefusal: (agentId, reason, now) => {
      // Set anew, so that the first key is the one that was refused longest ago.
      refusals.delete(agentId)
      refusals.set(agentId, { reason, at: now })
      const oldest = refusals.size > config.refusals ? refusals.keys().next().value : undefined
      if (oldest !== undefined) refusals.delete(oldest)
    },
    inspect: (agentId) => {
      const entry = entries.get(agentId)
      const dials = Array.from(entry?.waiters ?? []).filter(({ kind }) => kind === "dial")
      return { session: entry?.session, dials: dials.map(({ since }) => since), lastRefusal: refusals.get(agentId) }
    },
    elsewhereAt: () => elsewhereAt,
    expire: (now) => {
      for (const [agentId, entry] of entries) {
        entry.changes = entry.changes.filter((at) => now - at < conflictWindow)
        const overtaken = entry.newest > 0 && now - entry.endedAt < handshake
        const remembers = entry.changes.length > 0 || entry.incompatibleUntil > now || overtaken
        if (isIdle(entry) && !remembers) entries.delete(agentId)
      }
      for (const [agentId, { at }] of refusals) {
        if (now - at >= refusalMemory) refusals.delete(agentId)
      }
    },
    shutdown: () => {
      closing = true
      for (const [agentId, entry] of entries) settle(entry, failed(agentId, "shutdown"))
    },
    isShutdown: () => closing
  }
})

/** How long the reason of a refusal is kept for those who ask why an agent does not come. */
const refusalMemory = Duration.toMillis(Duration.minutes(10))

const failed = (agentId: AgentId, reason: DialFailedReason): Effect.Effect<never, DialFailed> =>
  Effect.fail(new DialFailed({ agentId, reason }))
