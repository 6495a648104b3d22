/**
 * What a register of sessions and the calls over them tell an operator: of one agent, and of all together.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { AgentTransport } from "./AgentTransport.ts"
import type { Calls } from "./Calls.ts"
import type { Sessions } from "./Sessions.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface TransportViews {
  readonly describe: NonNullable<AgentTransport["Service"]["describe"]>
  readonly overview: NonNullable<AgentTransport["Service"]["overview"]>
}

/**
 * `now` is in milliseconds of the clock by which the sessions are kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ calls, now, sessions }: {
  readonly sessions: Sessions
  readonly calls: Calls
  readonly now: () => number
}): TransportViews => ({
  describe: (agentId) => {
    const { dials, lastRefusal, session } = sessions.inspect(agentId)
    const since = (at: number): Duration.Duration => Duration.millis(now() - at)
    return {
      session: session === undefined ? null : {
        epoch: session.epoch,
        incarnation: session.incarnation,
        openFor: since(session.openedAt),
        silentFor: since(session.link.heardAt())
      },
      waiters: dials.map((at) => ({ waitingFor: since(at) })),
      calls: calls.inFlight().filter((call) => call.agentId === agentId).map((call) => ({
        method: call.method,
        runningFor: since(call.since)
      })),
      lastRefusal: lastRefusal === undefined ? null : { reason: lastRefusal.reason, age: since(lastRefusal.at) }
    }
  },
  overview: (limit) => {
    const inFlight = calls.inFlight()
    const waited = [...sessions.waiting(), ...inFlight].sort((left, right) => left.since - right.since)
    const open = sessions.all().map(({ agentId }) => agentId)
    return {
      sessions: sessions.count(),
      waiters: sessions.dialsWaiting(),
      calls: inFlight.length,
      agents: Array.from(new Set([...waited.map(({ agentId }) => agentId), ...open])).slice(0, limit)
    }
  }
})
