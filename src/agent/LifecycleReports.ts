/**
 * What agents say of their start-up and shutdown scripts, written to the store.
 *
 * Of each session one fiber hears the agent and another writes the last that was heard, so neither a slow store nor an
 * agent that talks without end holds up anything: what was overtaken is never written. The writes of all sessions share
 * a few places of their own, apart from those in which agents are let in.
 *
 * An agent that does not tell has no scripts, and is recorded as ready.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Lifecycle } from "../domain/Agent.ts"
import { StoreError } from "../domain/Errors.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import * as GatewayMetrics from "./GatewayMetrics.ts"
import type { Session } from "./Sessions.ts"

/**
 * One session that is followed. `finish` is for after its end: it writes once, in bounded time, what was heard last and is
 * not written yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Followed {
  readonly finish: Effect.Effect<void>
}

/**
 * Follows a session until the scope closes.
 *
 * @since 0.1.0
 * @category models
 */
export type LifecycleReports = (session: Session) => Effect.Effect<Followed, never, Scope.Scope>

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<LifecycleReports, never, AgentPresence> = Effect.gen(function*() {
  const config = yield* GatewayConfig
  const presence = yield* AgentPresence
  const clock = yield* Clock.Clock
  const writers = yield* Semaphore.make(config.lifecycleWriters)
  const window = Duration.toMillis(config.lifecycleWindow)
  const again = Schedule.jittered(
    Schedule.min([Schedule.exponential(config.lifecycleRetry), Schedule.spaced(config.lifecycleRetryCap)])
  )

  return Effect.fnUntraced(function*(session: Session) {
    const { agentId, epoch, link } = session
    const scope = yield* Effect.scope
    const news = Latch.makeUnsafe()
    let heard: Lifecycle | undefined
    let written: Lifecycle | undefined
    let writtenAt: ReadonlyArray<number> = []
    let doubtful = false
    let isWriting = false

    // Made when there is something to report: an idle session keeps as little as can be.
    const report = Effect.suspend(() =>
      Effect.suspend(() => {
        // Read when the turn has come, so that it is the last that was heard.
        const lifecycle = heard
        return lifecycle === undefined ? Effect.void : Effect.tap(
          presence.report({ agentId, epoch, lifecycle }),
          () =>
            Effect.sync(() => {
              written = lifecycle
              writtenAt = [...writtenAt, clock.currentTimeMillisUnsafe()].slice(-config.lifecycleChanges)
            })
        )
      }).pipe(
        writers.withPermit,
        Effect.timeoutOrElse({
          duration: config.storeTimeout,
          orElse: () => Effect.fail(new StoreError({ operation: "report" }))
        }),
        // Once for all sessions is enough, and that the heartbeat says.
        Effect.tapCause((cause) =>
          Effect.logDebug("A lifecycle could not be recorded", { "agent.id": agentId }, cause)
        ),
        Effect.onExit((exit) => {
          if (Exit.isFailure(exit)) doubtful = true
          return Metric.update(Exit.isSuccess(exit) ? recorded : notRecorded, 1)
        }),
        // A defect of the store is its failure too: the next attempt may find it mended.
        Effect.sandbox
      )
    )
    const write = Effect.suspend(() => heard === written ? Effect.void : report)

    /** An agent that changes its mind all the time is written a few times a minute. */
    const paced = Effect.suspend(() => {
      const [first] = writtenAt
      if (first === undefined || writtenAt.length < config.lifecycleChanges) return Effect.void
      return Effect.sleep(Math.max(0, first + window - clock.currentTimeMillisUnsafe()))
    })

    /** An attempt that failed may still be done, after one that did not: then the last word is written once more. */
    const due = Effect.suspend(() =>
      doubtful
        ? Effect.timeoutOrElse(news.await, {
          duration: config.lifecycleRetryCap,
          orElse: () =>
            Effect.sync(() => {
              doubtful = false
              written = undefined
            })
        })
        : news.await
    )

    const writing: Effect.Effect<void> = Effect.suspend(() => {
      if (heard === written && !doubtful) {
        isWriting = false
        return Effect.void
      }
      return due.pipe(
        Effect.andThen(paced),
        // Before what is heard is read: what comes from now on opens it again.
        Effect.andThen(Effect.sync(() => news.closeUnsafe())),
        Effect.andThen(Effect.ignore(Effect.retry(write, again))),
        Effect.andThen(writing)
      )
    })

    /** A fiber for the words that are not written yet: most agents say one, and then nothing for hours. */
    const hear = (lifecycle: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        // A later agent may know more words than we do.
        if (!isLifecycle(lifecycle)) return Effect.void
        heard = lifecycle
        news.openUnsafe()
        if (isWriting) return Effect.void
        isWriting = true
        return Effect.asVoid(
          Effect.forkIn(Effect.annotateLogs(writing, { module: "AgentGateway", fiber: "lifecycle" }), scope)
        )
      })

    // As a queue, whose wait takes a fraction of the memory of a stream's.
    const listening = link.client.Lifecycle(undefined, { asQueue: true, streamBufferSize: 1 }).pipe(
      Effect.flatMap((words) => Effect.forever(Effect.flatMap(Queue.take(words), ({ lifecycle }) => hear(lifecycle)))),
      Effect.scoped,
      Effect.catchIf(Cause.isDone, () => Effect.void),
      Effect.sandbox
    )
    // Whatever the agent answers instead, it is asked again at a slow pace; a lost link ends the scope. The schedule is
    // made when it is needed: most agents answer.
    const hearing = listening.pipe(
      Effect.catch(() => Effect.delay(Effect.retry(listening, again), config.lifecycleRetry)),
      Effect.ignore
    )

    if (session.tellsLifecycle) yield* Effect.forkScoped(hearing)
    else yield* hear("ready")
    return { finish: Effect.ignore(write) }
  })
})

const isLifecycle = Schema.is(Lifecycle)

const recorded = GatewayMetrics.lifecycles("ok")

const notRecorded = GatewayMetrics.lifecycles("failed")
