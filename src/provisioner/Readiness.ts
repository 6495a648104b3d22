/**
 * The one place where workspaces are waited for: a build, then its agent, then the agent's start-up scripts.
 *
 * Who waits for the same build shares one wait, which goes on while anybody does; that somebody leaves changes nothing for
 * the build. Deadlines count from instants that the store holds, so that a wait that is taken up again, on another node or
 * after a restart, ends when the first would have; one that comes late looks once, and dials once.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import type { Lifecycle } from "../domain/Agent.ts"
import type { SelectionOptions } from "../domain/AgentSelection.ts"
import type { BuildRecord } from "../domain/Build.ts"
import type { BuildProgress } from "../domain/BuildProgress.ts"
import { StoreError } from "../domain/Errors.ts"
import type { BuildId } from "../domain/Ids.ts"
import type { Builds } from "../store/Builds.ts"
import type { Signals } from "../store/Signals.ts"
import type { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import * as AgentWait from "./AgentWait.ts"
import * as BuildWait from "./BuildWait.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"
import * as Watch from "./Watch.ts"

/**
 * What a wait came to. `failure` says why the build did not succeed, also when it did not end in time. The rest is about
 * the agent of a start that succeeded, null where nothing is wrong: it cannot be dialed, there is none, or which one is
 * not clear; its start-up scripts failed, took too long, or could not be asked about.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ready {
  readonly record: BuildRecord
  readonly failure: string | null
  readonly agentStatus: "not_ready" | "no_agent" | "selection_error" | null
  readonly agentError: string | null
  readonly startupScripts: "startup_scripts_failed" | "startup_scripts_timeout" | "startup_scripts_unknown" | null
  readonly lifecycle: Lifecycle | null
}

/**
 * @since 0.1.0
 * @category services
 */
export class Readiness extends Context.Service<Readiness, {
  /**
   * Waits for a build to end and, where it is a start, for its agent and scripts. Everything but a store that cannot be
   * asked at all is an answer. With `dial: false` the agent is taken as reachable once it has connected. Who hears
   * reports slowly misses some, and holds up nobody.
   */
  readonly of: (buildId: BuildId, options?: {
    readonly dial?: boolean | undefined
    readonly report?: ((progress: BuildProgress) => Effect.Effect<void>) | undefined
  }) => Effect.Effect<Ready, StoreError>
}>()("chat-workspace/provisioner/Readiness") {}

/** One shared wait: who takes part in it, and the last that was reported, for those who come later. */
interface Shared {
  readonly result: Deferred.Deferred<Ready, StoreError>
  readonly listeners: Set<Listener>
  waiters: number
  last: BuildProgress | undefined
  fiber: Fiber.Fiber<Ready, StoreError> | undefined
}

type Listener = (progress: BuildProgress) => void

const make = Effect.fnUntraced(function*(selection: SelectionOptions) {
  const build = yield* BuildWait.make
  const agent = yield* AgentWait.make(selection)
  const { poll } = yield* ProvisionerConfig
  const run = yield* FiberSet.makeRuntime()
  const waits = new Map<string, Shared>()

  const wait = Effect.fnUntraced(function*(shared: Shared, buildId: BuildId, dial: boolean) {
    const watch = yield* Watch.make({
      buildId,
      every: poll,
      listening: () => shared.listeners.size > 0,
      report: (progress) => {
        shared.last = progress
        for (const listener of shared.listeners) listener(progress)
      }
    })
    const { failure, record } = yield* build(watch)
    const outcome = failure === null && record.build.transition === "start"
      ? yield* agent(watch, record, dial)
      : AgentWait.fine
    return { record, failure, ...outcome }
  })

  const start = (key: string, buildId: BuildId, dial: boolean): Shared => {
    const shared: Shared = {
      result: Deferred.makeUnsafe(),
      listeners: new Set(),
      waiters: 0,
      last: undefined,
      fiber: undefined
    }
    waits.set(key, shared)
    // Not before whoever starts it listens.
    const fiber = run(Effect.andThen(Effect.yieldNow, wait(shared, buildId, dial)))
    shared.fiber = fiber
    fiber.addObserver((exit) => {
      remove(key, shared)
      Deferred.doneUnsafe(shared.result, exit)
    })
    return shared
  }

  const remove = (key: string, shared: Shared): void => {
    if (waits.get(key) === shared) waits.delete(key)
  }

  const join = (buildId: BuildId, dial: boolean, listener: Listener | undefined): Effect.Effect<Ready, StoreError> =>
    Effect.uninterruptibleMask((restore) => {
      const key = `${buildId}/${dial}`
      const shared = waits.get(key) ?? start(key, buildId, dial)
      shared.waiters++
      if (listener !== undefined) {
        shared.listeners.add(listener)
        if (shared.last !== undefined) listener(shared.last)
      }
      const leave = Effect.sync(() => {
        if (listener !== undefined) shared.listeners.delete(listener)
        if (--shared.waiters > 0) return
        // Out of the map and interrupted in one step: nobody joins what is ending.
        remove(key, shared)
        shared.fiber?.interruptUnsafe()
      })
      return restore(Effect.exit(Deferred.await(shared.result))).pipe(
        // Only the end of the layer interrupts what somebody waits for.
        Effect.flatMap((exit) =>
          Exit.hasInterrupts(exit) ? Effect.fail(new StoreError({ operation: "Readiness.of" })) : exit
        ),
        Effect.ensuring(leave)
      )
    })

  return Readiness.of({
    of: Effect.fn("Readiness.of")(function*(buildId, options) {
      yield* Effect.annotateCurrentSpan({ "build.id": buildId })
      const dial = options?.dial ?? true
      if (options?.report === undefined) return yield* join(buildId, dial, undefined)
      const { hear, leave } = yield* listen(options.report)
      return yield* Effect.ensuring(join(buildId, dial, hear), leave)
    })
  })
})

/**
 * Hands reports to one who listens, one after the other, in a fiber of its own. While it is busy the newest are kept for
 * it; one that is done at once hears all of them.
 */
const listen = Effect.fnUntraced(function*(report: (progress: BuildProgress) => Effect.Effect<void>) {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const kept: Array<BuildProgress> = []
  let fiber: Fiber.Fiber<void> | undefined
  const next: Effect.Effect<void> = Effect.suspend(() => {
    const progress = kept.shift()
    return progress === undefined
      ? Effect.void
      : Effect.andThen(Effect.ignoreCause(report(progress), { log: "Warn" }), next)
  })
  return {
    hear: (progress: BuildProgress): void => {
      kept.push(progress)
      if (kept.length > mostKept) kept.shift()
      if (fiber === undefined || fiber.pollUnsafe() !== undefined) fiber = run(next)
    },
    leave: Effect.sync(() => fiber?.interruptUnsafe())
  }
})

const mostKept = 16

/**
 * Waits on this node, with the agent chosen as connecting chooses it: give both the same suffix.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  selection: SelectionOptions
): Layer.Layer<Readiness, never, Builds | WorkspaceAgents | AgentTransport | Signals> =>
  Layer.effect(Readiness, make(selection))

/**
 * Waits on this node.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Readiness, never, Builds | WorkspaceAgents | AgentTransport | Signals> = layerWith(
  {}
)
