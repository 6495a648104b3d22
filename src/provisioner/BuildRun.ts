/**
 * One build on this node, from its take to its end: the job beside everything that may end it early.
 *
 * Whatever comes first decides: the job itself, the lease, the time that the build may take, the end of the node. The job
 * is a fiber of its own that is interrupted and waited for within a bound, so a provider that ignores its interruption
 * holds up nobody; what is written is fenced by the lease in any case.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Digest from "effect/crypto/Digest"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { BuildOutcome } from "../domain/Build.ts"
import { StoreError } from "../domain/Errors.ts"
import type { LeaseLost } from "../domain/Errors.ts"
import { Builds } from "../store/Builds.ts"
import type { TakenBuild } from "../store/Builds.ts"
import * as Signals from "../store/Signals.ts"
import { StoreConfig } from "../store/StoreConfig.ts"
import type { Templates } from "../store/Templates.ts"
import * as Bounded from "./Bounded.ts"
import * as BuildJob from "./BuildJob.ts"
import type { TemplateMissing } from "./BuildJob.ts"
import * as BuildLog from "./BuildLog.ts"
import type { Outcome } from "./BuildMetrics.ts"
import * as Lease from "./Lease.ts"
import type { ProviderFailed, Providers } from "./Provider.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"
import * as StoreAnswers from "./StoreAnswers.ts"

/**
 * Runs a build that was asked for at `takenAt`, in milliseconds of the clock, and answers how it ended here.
 *
 * @since 0.1.0
 * @category models
 */
export type BuildRun = (taken: TakenBuild, takenAt: number) => Effect.Effect<Outcome>

type JobError = ProviderFailed | TemplateMissing | LeaseLost

/** What is to be written of a build; or that it is not ours any more, or goes back because the node ends. */
type Ending = BuildOutcome | "lost" | "released"

/**
 * `closing` ends when the node does: what runs then is given back.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly gatewayUrl: string
  readonly closing: Deferred.Deferred<void>
}): Effect.fn.Return<
  BuildRun,
  never,
  Builds | Templates | Providers | Signals.Signals | SecureRandom.SecureRandom | Digest.Digest
> {
  const builds = yield* Builds
  const signals = yield* Signals.Signals
  const config = yield* ProvisionerConfig
  const { callTimeout } = yield* StoreConfig
  const job = yield* BuildJob.make(options.gatewayUrl)
  const leaseOf = yield* Lease.make

  const logOf = ({ build: { buildId }, epoch }: TakenBuild): BuildLog.BuildLog =>
    BuildLog.make({
      logLines: config.logLines,
      logBytes: config.logBytes,
      append: (lines) =>
        // A provider must not go on because a line of it cannot be written.
        Effect.flatMap(
          Bounded.within(builds.appendLog({ buildId, epoch, lines }), callTimeout),
          (written) =>
            Option.isSome(written)
              ? signals.notify(Signals.build(buildId))
              : Effect.fail(new StoreError({ operation: "Builds.appendLog" }))
        )
    })

  /** Ends the job. Its provider has as long as its processes have, twice, before it is left. */
  const stop = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown, unknown>) {
    fiber.interruptUnsafe()
    const ended = yield* Effect.timeoutOption(Fiber.await(fiber), Duration.times(config.kill, 2))
    if (Option.isNone(ended)) yield* Effect.logWarning("A provider ignores its interruption and was left")
  })

  const endingOf = (exit: Exit.Exit<void, JobError>, log: BuildLog.BuildLog): Effect.Effect<Ending> => {
    if (exit._tag === "Success") return Effect.succeed<Ending>({ _tag: "Succeeded" })
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    switch (error?._tag) {
      case "ProviderFailed":
        return Effect.succeed(failed("provider_failed", log.readable(error.detail)))
      case "TemplateMissing":
        return Effect.succeed(failed("template_missing", error.message))
      case "LeaseLost":
        return Effect.succeed("lost")
      case undefined:
        return Effect.as(
          Effect.logError("A provider broke", log.readable(Cause.pretty(exit.cause))),
          failed("provider_failed", "The provider of this workspace broke; its operator finds why in the server's log.")
        )
    }
  }

  const timedOut = failed("timed_out", `The build did not end within ${Duration.format(config.limit)} of its request.`)

  return Effect.fnUntraced(function*(taken, takenAt) {
    const { build: { buildId }, epoch } = taken
    const wanted = yield* signals.subscribe(Signals.cancel(buildId))
    const lease = leaseOf({
      of: "build",
      renew: builds.renew({ buildId, epoch, lease: config.lease }),
      since: takenAt,
      lease: config.lease,
      every: config.renew,
      poll: config.poll,
      pause: wanted.changed
    })
    const log = logOf(taken)

    const ending = (fiber: Fiber.Fiber<void, JobError>): Effect.Effect<Ending> =>
      Effect.raceAllFirst<Effect.Effect<Ending>>([
        Effect.flatMap(Fiber.await(fiber), (exit) => endingOf(exit, log)),
        Effect.as(Deferred.await(options.closing), "released"),
        Effect.map(lease.keep, (verdict): Ending => verdict === "canceling" ? { _tag: "Canceled" } : verdict),
        Effect.as(Effect.sleep(taken.remaining), timedOut),
        Effect.catchTag(log.flushing, "LeaseLost", () => Effect.succeed<Ending>("lost"))
      ])

    // One that was taken while the node ended does not begin.
    const ended = Deferred.isDoneUnsafe(options.closing) ? "released" : yield* Effect.acquireUseRelease(
      Effect.forkDetach(job(taken, log), { startImmediately: true }),
      (fiber) => Effect.tap(ending(fiber), stop(fiber)),
      (fiber) => Effect.sync(() => fiber.interruptUnsafe())
    )
    if (ended === "lost") return ended
    if (ended === "released") {
      yield* Effect.ignore(log.flush)
      yield* Effect.ignore(builds.release({ buildId, epoch }))
      yield* signals.notify(Signals.build(buildId))
      return ended
    }
    // The log is whole before its end is taken from it.
    const written = StoreAnswers.awaited(
      Effect.andThen(log.flush, builds.finish({ buildId, epoch, outcome: ended })),
      config.poll
    )
    const recorded = yield* Bounded.within(written, lease.left())
    yield* signals.notify(Signals.build(buildId))
    return Option.isSome(recorded) ? named(ended) : "lost"
  }, (run) => Effect.scoped(Effect.catchTag(run, "LeaseLost", () => Effect.succeed<Outcome>("lost"))))
})

const failed = (code: Extract<BuildOutcome, { readonly _tag: "Failed" }>["code"], message: string): BuildOutcome => ({
  _tag: "Failed",
  code,
  message
})

const named = (outcome: BuildOutcome): Outcome => {
  switch (outcome._tag) {
    case "Succeeded":
      return "succeeded"
    case "Failed":
      return outcome.code
    case "Canceled":
      return "canceled"
  }
}
