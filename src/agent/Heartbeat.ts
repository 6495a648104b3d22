/**
 * The heartbeat of a node: all its sessions in one call to the store, and what the store says of them carried out.
 *
 * A store that fails or hangs drops no connection: the sessions go on unconfirmed, and the next heartbeat asks again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Order from "effect/Order"
import * as Schedule from "effect/Schedule"
import { StoreError } from "../domain/Errors.ts"
import type { AgentId, NodeId } from "../domain/Ids.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import type { Verdict } from "../store/AgentPresence.ts"
import type { Calls } from "./Calls.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import * as GatewayMetrics from "./GatewayMetrics.ts"
import type { KillDebts } from "./KillDebts.ts"
import { CloseCode } from "./Protocol.ts"
import type { Session, Sessions } from "./Sessions.ts"

/**
 * Beats for ever, the first time at once. A node without sessions beats too: that is how the store knows that silence
 * would have been noticed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = Effect.fnUntraced(function*(node: {
  readonly nodeId: NodeId
  readonly sessions: Sessions
  readonly calls: Calls
  readonly debts: KillDebts
}): Effect.fn.Return<never, never, AgentPresence> {
  const config = yield* GatewayConfig
  const presence = yield* AgentPresence
  const clock = yield* Clock.Clock
  const interval = Duration.toMillis(config.heartbeat)
  const { calls, debts, nodeId, sessions } = node
  let failing = false
  let recordedAt = clock.currentTimeMillisUnsafe()

  const beat = Effect.gen(function*() {
    const now = clock.currentTimeMillisUnsafe()
    // In one order on all nodes, so that their statements do not lock each other out.
    const all = Array.from(sessions.all()).sort(byAgent)
    const answer = yield* presence.beat({
      nodeId,
      sessions: all.map(({ agentId, epoch, link }) => ({ agentId, epoch, age: age(now, link.heardAt()) })),
      waiting: Array.from(sessions.waiting()).sort(byAgent).map(({ agentId, since }) => ({
        agentId,
        age: age(now, since)
      }))
    }).pipe(
      Effect.timeoutOrElse({
        duration: config.storeTimeout,
        orElse: () => Effect.fail(new StoreError({ operation: "beat" }))
      }),
      Effect.tapCause(() =>
        Effect.sync(() => {
          for (const session of all) session.confirmedAt = undefined
        })
      )
    )
    for (const session of all) carryOut(session, answer.verdicts.get(session.agentId), now)
    for (const agentId of answer.elsewhere) sessions.refuse(agentId, "sessionOnOtherNode", now)
    const late = Math.max(0, now - recordedAt - interval)
    recordedAt = now
    yield* Metric.update(GatewayMetrics.heartbeatLag, late)
    yield* Metric.update(recorded, 1)
    if (failing) yield* Effect.logInfo("Heartbeats are recorded again", { "node.id": nodeId })
    failing = false
  }).pipe(
    Effect.catchCause((cause) => {
      const first = !failing
      failing = true
      return Effect.andThen(
        Metric.update(notRecorded, 1),
        // Once per outage: an hour without the store is not 360 lines.
        first ? Effect.logWarning("Heartbeats cannot be recorded", { "node.id": nodeId }, cause) : Effect.void
      )
    })
  )

  const tidy = Effect.suspend(() => {
    const now = clock.currentTimeMillisUnsafe()
    sessions.expire(now)
    debts.expire(now)
    const oldest = (all: ReadonlyArray<{ readonly since: number }>): number =>
      now - all.reduce((first, { since }) => Math.min(first, since), now)
    return Effect.all([
      Metric.update(GatewayMetrics.sessions, sessions.count()),
      Metric.update(GatewayMetrics.waiters, sessions.dialsWaiting()),
      Metric.update(GatewayMetrics.debts, debts.size()),
      Metric.update(GatewayMetrics.oldestWaiter, oldest(sessions.waiting())),
      Metric.update(GatewayMetrics.oldestCall, oldest(calls.inFlight()))
    ], { discard: true })
  })

  return yield* Effect.andThen(beat, tidy).pipe(
    Effect.repeat(Schedule.fixed(config.heartbeat)),
    Effect.andThen(Effect.never)
  )
})

const recorded = GatewayMetrics.heartbeats("ok")

const notRecorded = GatewayMetrics.heartbeats("failed")

const byAgent: Order.Order<{ readonly agentId: AgentId }> = Order.mapInput(Order.String, ({ agentId }) => agentId)

const age = (now: number, since: number): Duration.Duration => Duration.millis(Math.max(0, now - since))

const carryOut = (session: Session, verdict: Verdict | undefined, now: number): void => {
  switch (verdict) {
    case "valid":
      session.confirmedAt = now
      return
    case "replaced":
      return session.link.end({ reason: "replaced", code: CloseCode.replaced, detail: "a newer session elsewhere" })
    case "revoked":
      return session.link.end({ reason: "revoked", code: CloseCode.revoked, detail: "revoked" })
    case undefined:
      session.confirmedAt = undefined
  }
}
