/**
 * Runs the builds that are asked for: takes them from the queue, as many at once as the node may, and sees each to its
 * end.
 *
 * Every node may have one; the queue gives each build to one of them. When the layer ends, what runs is interrupted and
 * given back, so that another node takes it at once if it may be run again.
 *
 * **Gotchas**
 *
 * - A build that was given back, or whose runner was lost, and that may not be run again has failed. Stop nodes when they
 *   build nothing, or use providers and templates whose builds are repeatable.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type { Transition } from "../domain/Build.ts"
import { NodeId } from "../domain/Ids.ts"
import type { BuildId, WorkspaceId } from "../domain/Ids.ts"
import { Builds } from "../store/Builds.ts"
import type { TakenBuild } from "../store/Builds.ts"
import * as Signals from "../store/Signals.ts"
import type { Templates } from "../store/Templates.ts"
import * as BuildMetrics from "./BuildMetrics.ts"
import * as BuildRun from "./BuildRun.ts"
import type { Providers } from "./Provider.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"

/**
 * A build that runs on this node.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunningBuild {
  readonly buildId: BuildId
  readonly workspaceId: WorkspaceId
  readonly transition: Transition
  readonly attempt: number
  readonly runningFor: Duration.Duration
}

/**
 * @since 0.1.0
 * @category services
 */
export class BuildRunner extends Context.Service<BuildRunner, {
  readonly nodeId: NodeId
  /** What runs here now, oldest first. */
  readonly running: () => ReadonlyArray<RunningBuild>
}>()("chat-workspace/provisioner/BuildRunner") {}

/**
 * What the agents are to call, and the name of this node (random unless given).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly gatewayUrl: string
  readonly nodeId?: NodeId | undefined
}

const make = Effect.fnUntraced(function*(options: Options) {
  const builds = yield* Builds
  const signals = yield* Signals.Signals
  const config = yield* ProvisionerConfig
  const clock = yield* Clock.Clock
  const random = yield* SecureRandom.SecureRandom
  const nodeId = options.nodeId ?? NodeId.make(yield* random.uuidV4())
  const closing = Deferred.makeUnsafe<void>()
  const run = yield* BuildRun.make({ gatewayUrl: options.gatewayUrl, closing })

  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  const running = new Set<{ readonly taken: TakenBuild; readonly takenAt: number }>()

  const own = (effect: Effect.Effect<void>): void => {
    const fiber = fork(effect)
    if (fiber.pollUnsafe() !== undefined) return
    fibers.add(fiber)
    fiber.addObserver(() => fibers.delete(fiber))
  }

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      Deferred.doneUnsafe(closing, Effect.void)
      return Effect.timeoutOrElse(Effect.asVoid(Fiber.awaitAll(fibers)), {
        duration: config.drain,
        orElse: () => {
          for (const fiber of fibers) fiber.interruptUnsafe()
          return Effect.logWarning("Builds did not end with their node in time and were left", {
            "build.ids": Array.from(running, ({ taken }) => taken.build.buildId)
          })
        }
      })
    })
  )

  const counted = Effect.suspend(() => Metric.update(BuildMetrics.running, running.size))

  const ended = Effect.fnUntraced(function*(taken: TakenBuild, takenAt: number, outcome: BuildMetrics.Outcome) {
    const { attempt, build: { transition } } = taken
    const seconds = (clock.currentTimeMillisUnsafe() - takenAt) / 1000
    yield* Metric.update(BuildMetrics.builds(transition, outcome), 1)
    yield* Metric.update(BuildMetrics.duration(transition, outcome), seconds)
    yield* Effect.annotateCurrentSpan({ "build.outcome": outcome })
    yield* outcome === "lost"
      ? Effect.logWarning("A build is not this node's any more", { attempt, seconds })
      : Effect.logInfo("A build ended", { outcome, attempt, seconds })
  })

  const start = Effect.fnUntraced(function*(taken: TakenBuild, takenAt: number) {
    const { attempt, build: { buildId, transition, workspaceId }, remaining } = taken
    const entry = { taken, takenAt }
    running.add(entry)
    yield* counted
    if (attempt === 1) {
      const waited = Duration.subtract(config.limit, remaining)
      yield* Metric.update(BuildMetrics.queueWait, Duration.toSeconds(waited))
    }
    const ids = { "build.id": buildId, "workspace.id": workspaceId, "build.transition": transition }
    own(
      run(taken, takenAt).pipe(
        // What is broken here must not look like a build that goes on.
        Effect.catchDefect((defect) =>
          Effect.as(Effect.logError("The runner of a build broke", defect), "lost" as const)
        ),
        Effect.flatMap((outcome) => ended(taken, takenAt, outcome)),
        Effect.withSpan("BuildRunner.build", { root: true, attributes: { ...ids, "build.attempt": attempt } }),
        Effect.annotateLogs({ module: "BuildRunner", fiber: "build", ...ids }),
        Effect.ensuring(Effect.suspend(() => {
          running.delete(entry)
          // Who is woken finds the place free.
          return Effect.andThen(counted, signals.notify(Signals.queue))
        }))
      )
    )
  })

  const isClosing = (): boolean => Deferred.isDoneUnsafe(closing)

  /** Takes builds while there are some and they have a place. */
  const fill = Effect.gen(function*() {
    while (!isClosing() && running.size < config.concurrency) {
      const takenAt = clock.currentTimeMillisUnsafe()
      const { attempts, lease, limit } = config
      const taken = yield* builds.take({ nodeId, lease, limit, attempts })
      if (Option.isNone(taken)) return
      yield* start(taken.value, takenAt)
    }
  })

  const work = Effect.gen(function*() {
    const queue = yield* signals.subscribe(Signals.queue)
    let failing = false
    while (!isClosing()) {
      const exit = yield* Effect.exit(fill)
      // Once per outage: an hour without the store is not 1,800 lines.
      if (Exit.isFailure(exit) && !failing) yield* Effect.logWarning("Builds cannot be taken", exit.cause)
      if (Exit.isSuccess(exit) && failing) yield* Effect.logInfo("Builds are taken again")
      failing = Exit.isFailure(exit)
      const now = clock.currentTimeMillisUnsafe()
      const first = Array.from(running).reduce((first, { takenAt }) => Math.min(first, takenAt), now)
      yield* Metric.update(BuildMetrics.oldest, (now - first) / 1000)
      yield* Effect.raceFirst(queue.changed(config.poll), Deferred.await(closing))
    }
  })

  own(work.pipe(
    Effect.scoped,
    Effect.annotateLogs({ module: "BuildRunner", fiber: "queue", "node.id": nodeId }),
    // A span for each look at an empty queue tells nothing; builds have their own.
    Effect.withTracerEnabled(false)
  ))

  return BuildRunner.of({
    nodeId,
    running: () =>
      Array.from(running, ({ taken: { attempt, build }, takenAt }) => ({
        buildId: build.buildId,
        workspaceId: build.workspaceId,
        transition: build.transition,
        attempt,
        runningFor: Duration.millis(clock.currentTimeMillisUnsafe() - takenAt)
      }))
  })
})

/**
 * A runner for this node, with hashing and randomness of the application's choice. Web crypto hashes in real time, which
 * a virtual clock does not wait for; a digest that answers at once is in `@effect/platform-node/NodeCrypto`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoDeps = (
  options: Options
): Layer.Layer<
  BuildRunner,
  never,
  Builds | Templates | Providers | Signals.Signals | Digest.Digest | SecureRandom.SecureRandom
> => Layer.effect(BuildRunner, make(options))

/**
 * A runner for this node.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<BuildRunner, never, Builds | Templates | Providers | Signals.Signals> =>
  Layer.provide(layerNoDeps(options), [Digest.layerWebCrypto, SecureRandom.layerWebCrypto])
