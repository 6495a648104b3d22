/**
 * The scripts of the workspace, one for the start of the agent and one for its end, and the lifecycle that they come to.
 *
 * ```
 * created -> starting --exit 0--> ready
 *               |---another end, or it cannot be started--> start_error
 *               `---limit over--> start_timeout
 * any of them --SIGTERM--> shutting_down --exit 0--> off
 *                               `---another end, or limit over--> shutdown_error
 * ```
 *
 * The start-up script runs once in each incarnation. It is a process of the agent like any other, under an id of its own,
 * so its output can be read while it runs and afterwards. Nothing waits for it: calls are served from the first moment.
 * Without a script the agent is `ready` at once.
 *
 * **Gotchas**
 *
 * - A start-up script that takes longer than its limit is left running, since what it began may be needed; whatever it
 *   comes to then, the lifecycle stays `start_timeout`. A shutdown script that takes longer is killed.
 * - A script has ended when its shell has. What it leaves in the background must not write to the script's output, which
 *   is closed then: give it a file of its own.
 * - An agent that is killed with SIGKILL runs no shutdown script and reports nothing.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type Lifecycle, type LifecycleNews, type OperationId, scriptIds } from "../Protocol.ts"
import { Processes } from "./Processes.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import { Settings } from "./Settings.ts"

/**
 * @since 0.1.0
 * @category services
 */
export class Scripts extends Context.Service<Scripts, {
  /** The present lifecycle at once, and every change after it; ends after the last one. */
  readonly lifecycle: Stream.Stream<LifecycleNews>
  /** Runs the shutdown script within its limit, and gives those who follow the lifecycle a moment to hear the last. */
  readonly shutdown: Effect.Effect<void>
}>()("chat-workspace/agent/program/Scripts") {}

const make = Effect.gen(function*() {
  const config = yield* ProgramConfig
  const { shutdownScript, startupScript } = yield* Settings
  const processes = yield* Processes
  const present = yield* SubscriptionRef.make<Lifecycle>(startupScript === null ? "ready" : "created")
  const nobodyFollows = Latch.makeUnsafe(true)
  let followers = 0

  const become = (lifecycle: Lifecycle): Effect.Effect<void> =>
    Effect.andThen(SubscriptionRef.set(present, lifecycle), Effect.logInfo(`The agent is ${lifecycle}.`))

  /** Whether the script ran to a good end. */
  const run = (id: OperationId, script: string): Effect.Effect<boolean> =>
    processes.start({ id, argv: ["sh", "-c", script], cwd: null, env: {} }).pipe(
      // From beyond any output: that is for those who ask, here only the end is waited for.
      Effect.andThen(Stream.runLast(processes.follow({ id, from: Number.MAX_SAFE_INTEGER, wait: true }))),
      Effect.map(Option.exists((event) => event._tag === "Exited" && event.code === 0)),
      Effect.catch((error) => Effect.as(Effect.logWarning(`The ${id} script could not be run.`, error.message), false))
    )

  const startup = startupScript === null ? Effect.void : become("starting").pipe(
    Effect.andThen(run(scriptIds.startup, startupScript)),
    Effect.map((succeeded): Lifecycle => succeeded ? "ready" : "start_error"),
    Effect.timeoutOrElse({ duration: config.startupTimeout, orElse: () => Effect.succeed<Lifecycle>("start_timeout") }),
    Effect.flatMap(become)
  )
  const starting = yield* Effect.forkScoped(startup)

  const last = (script: string): Effect.Effect<Lifecycle> =>
    run(scriptIds.shutdown, script).pipe(
      Effect.map((succeeded): Lifecycle => succeeded ? "off" : "shutdown_error"),
      Effect.timeoutOrElse({
        duration: config.shutdownTimeout,
        orElse: () => Effect.as(processes.kill(scriptIds.shutdown), "shutdown_error" as const)
      })
    )

  return Scripts.of({
    lifecycle: Stream.unwrap(Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => {
          followers++
          nobodyFollows.closeUnsafe()
        }),
        () =>
          Effect.sync(() => {
            followers--
            if (followers === 0) nobodyFollows.openUnsafe()
          })
      ),
      SubscriptionRef.changes(present).pipe(
        Stream.takeUntil((lifecycle) => lifecycle === "off" || lifecycle === "shutdown_error"),
        Stream.map((lifecycle) => ({ lifecycle }))
      )
    )),
    shutdown: Effect.gen(function*() {
      // First: an end that comes now must not be taken for the present lifecycle.
      yield* Fiber.interrupt(starting)
      yield* become("shutting_down")
      yield* become(shutdownScript === null ? "off" : yield* last(shutdownScript))
      // One turn more: a stream has ended before its answer is on its way.
      yield* Effect.timeoutOption(Effect.andThen(nobodyFollows.await, Effect.yieldNow), config.farewell)
    })
  })
})

/**
 * Begins the start-up script while it is built, and does not wait for it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Scripts, never, Processes | Settings> = Layer.effect(Scripts, make)

/**
 * Runs the shutdown script when it is released. Built above the link it is released before it, so that the last lifecycle
 * can still be told.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerShutdown: Layer.Layer<never, never, Scripts> = Layer.effectDiscard(
  Effect.flatMap(Scripts, ({ shutdown }) => Effect.addFinalizer(() => shutdown))
)
