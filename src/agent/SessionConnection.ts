/**
 * The connection that a dial lends: calls over a session and, when that is lost, over the next one of the same agent.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AgentConnection, Liveness } from "./AgentConnection.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import * as SessionFiles from "./SessionFiles.ts"
import * as SessionMcp from "./SessionMcp.ts"
import * as SessionProcesses from "./SessionProcesses.ts"
import type { Session } from "./Sessions.ts"

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  session: Session,
  means: SessionProcesses.Means
): Effect.Effect<AgentConnection> =>
  Effect.map(Clock.Clock, (clock) => ({
    agentId: session.agentId,
    features: session.features,
    liveness: () => liveness(session, means.config, clock.currentTimeMillisUnsafe()),
    closed: Deferred.await(session.closed),
    processes: SessionProcesses.make(session, means),
    files: SessionFiles.make(session, means),
    mcp: SessionMcp.make(session, means)
  }))

/**
 * `live`: a frame was heard within two ping intervals, and the store confirmed the session as the newest at attach or at
 * the last heartbeat. Both are instants, so a node that was frozen calls nothing live when it thaws.
 *
 * @since 0.1.0
 * @category getters
 */
export const liveness = (session: Session, config: GatewayConfig, now: number): Liveness => {
  if (session.closeReason !== undefined) return "closed"
  const heard = now - session.link.heardAt() <= 2 * Duration.toMillis(config.pingInterval)
  const confirmed = session.confirmedAt !== undefined &&
    now - session.confirmedAt <= 2 * Duration.toMillis(config.heartbeat)
  return heard && confirmed ? "live" : "unknown"
}
