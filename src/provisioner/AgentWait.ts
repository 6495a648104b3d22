/**
 * The later phases of a wait: the agent of a start that succeeded, then the start-up scripts of that agent.
 *
 * Each phase looks before it minds its deadline, so that a wait that is taken up late still makes one whole dial. Every
 * look asks for the latest build: when that is another one by now, there is nothing left to wait for. A store that does
 * not answer is asked again until the deadline.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { AgentTransport } from "../agent/AgentTransport.ts"
import type { Agent, Lifecycle } from "../domain/Agent.ts"
import { currentAgent } from "../domain/AgentSelection.ts"
import type { SelectionOptions } from "../domain/AgentSelection.ts"
import type { BuildRecord } from "../domain/Build.ts"
import { DialTimeout } from "../domain/Errors.ts"
import type { DialFailed, StoreError } from "../domain/Errors.ts"
import { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"
import type { Ready } from "./Readiness.ts"
import * as StoreCall from "./StoreCall.ts"
import { elapsed } from "./Watch.ts"
import type { Watch } from "./Watch.ts"

/**
 * What is wrong with the agent; nothing where all of it is null.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = Omit<Ready, "record" | "failure">

/**
 * An agent with which nothing is wrong.
 *
 * @since 0.1.0
 * @category constants
 */
export const fine: Outcome = { agentStatus: null, agentError: null, startupScripts: null, lifecycle: null }

/**
 * Waits for the agent of a start build that succeeded. Without `dial` it is taken as reachable once it has connected.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  selection: SelectionOptions
): Effect.fn.Return<
  (watch: Watch, record: BuildRecord, dial: boolean) => Effect.Effect<Outcome>,
  never,
  WorkspaceAgents | AgentTransport
> {
  const agents = yield* WorkspaceAgents
  const transport = yield* AgentTransport
  const config = yield* ProvisionerConfig
  const ask = yield* StoreCall.make
  const agentAttempt = Duration.toMillis(config.agentAttempt)
  const agentPoll = Duration.toMillis(config.agentPoll)
  const agentLimit = Duration.toMillis(config.agentLimit)
  const scriptsPoll = Duration.toMillis(config.scriptsPoll)
  const scriptsLimit = Duration.toMillis(config.scriptsLimit)

  /** The agent as it is now, or what stands in its place. */
  const look = Effect.fnUntraced(function*(
    watch: Watch,
    { build: { buildId, workspaceId } }: BuildRecord
  ): Effect.fn.Return<Result.Result<readonly [Agent, DateTime.Utc], Outcome>, StoreError> {
    const latest = yield* ask("WorkspaceAgents.latestBuild", agents.latestBuild(workspaceId))
    const current = currentAgent(workspaceId, latest, selection)
    if (Option.isNone(latest) || latest.value.build.buildId !== buildId) {
      return Result.fail(notReady(Result.isFailure(current) ? current.failure.message : startedAgain))
    }
    const { asOf } = latest.value
    watch.heard(asOf)
    if (Result.isSuccess(current)) return Result.succeed([current.success, asOf])
    const error = current.failure
    return Result.fail(
      error._tag === "AgentSelectionFailed"
        ? { ...fine, agentStatus: "selection_error", agentError: error.message }
        : { ...fine, agentStatus: "no_agent" }
    )
  })

  /** One dial; answers what was wrong with it. What was opened is let go at once, and nobody waits for that. */
  const probe = ({ agentId, workspaceId }: Agent, within: Duration.Duration): Effect.Effect<string | null> => {
    const answer = Deferred.makeUnsafe<string | null>()
    const dial = Effect.scoped(
      Effect.onExit(
        transport.dial(agentId),
        (exit) => Deferred.succeed(answer, Exit.isSuccess(exit) ? null : refusal(exit.cause))
      )
    )
    return Effect.acquireUseRelease(
      Effect.forkDetach(Effect.ignoreCause(dial, { log: "Debug" }), { startImmediately: true }),
      () =>
        Effect.timeoutOrElse(Deferred.await(answer), {
          duration: within,
          orElse: () => Effect.succeed(new DialTimeout({ workspaceId, agentId, after: config.agentAttempt }).message)
        }),
      (fiber) => Effect.sync(() => fiber.interruptUnsafe())
    )
  }

  /** Null as soon as it can be reached, otherwise why it is waited for no longer. */
  const untilReached = Effect.fnUntraced(function*(watch: Watch, record: BuildRecord, dial: boolean) {
    const builtAt = record.finishedAt ?? record.asOf
    const left = () => agentLimit - watch.since(builtAt)
    let agent: Agent | undefined
    let error = ""
    // The first dial has its whole time, however late this wait begins.
    let within = agentAttempt
    while (true) {
      const looked = yield* Effect.result(look(watch, record))
      if (Result.isFailure(looked)) error = agent === undefined ? looked.failure.message : error
      else if (Result.isFailure(looked.success)) return looked.success.failure
      else {
        const [found, asOf] = looked.success.success
        agent = found
        watch.note({ _tag: "AwaitingAgent", ...of(record), elapsed: elapsed(builtAt, asOf), agentId: agent.agentId })
      }
      const before = left()
      if (agent !== undefined && within > 0) {
        const refused = dial
          ? yield* probe(agent, Duration.millis(within))
          : agent.firstConnectedAt === null
          ? "The workspace's agent has not connected yet."
          : null
        if (refused === null) return null
        error = refused
      }
      if (left() <= 0) return notReady(error)
      yield* Effect.sleep(Math.max(0, Math.min(left(), agentPoll - (before - left()))))
      within = Math.min(agentAttempt, left())
    }
  })

  const untilScripts = Effect.fnUntraced(function*(
    watch: Watch,
    record: BuildRecord
  ): Effect.fn.Return<Outcome> {
    let since = record.finishedAt ?? record.asOf
    let lifecycle: Lifecycle | null = null
    let pause = firstPause
    while (true) {
      const looked = yield* Effect.result(look(watch, record))
      if (Result.isSuccess(looked)) {
        if (Result.isFailure(looked.success)) return looked.success.failure
        const [agent, asOf] = looked.success.success
        lifecycle = agent.lifecycle
        since = agent.firstConnectedAt ?? since
        // A transport that does not record who comes does not record what they tell either.
        if (lifecycle === "ready" || agent.firstConnectedAt === null) return fine
        if (lifecycle !== "created" && lifecycle !== "starting") {
          return { ...fine, startupScripts: "startup_scripts_failed", lifecycle }
        }
        watch.note({
          _tag: "AwaitingScripts",
          ...of(record),
          elapsed: elapsed(since, asOf),
          agentId: agent.agentId,
          lifecycle
        })
      }
      const left = scriptsLimit - watch.since(since)
      if (left <= 0) {
        const startupScripts = lifecycle === null ? "startup_scripts_unknown" : "startup_scripts_timeout"
        return { ...fine, startupScripts, lifecycle }
      }
      yield* Effect.sleep(Math.min(pause, scriptsPoll, left))
      pause *= 2
    }
  })

  return Effect.fnUntraced(function*(watch, record, dial) {
    return (yield* untilReached(watch, record, dial)) ?? (yield* untilScripts(watch, record))
  })
})

/** An agent that has just connected tells of its scripts a moment later, and most have none. */
const firstPause = 100

const of = ({ build: { buildId, transition } }: BuildRecord) => ({ buildId, transition })

const notReady = (agentError: string): Outcome => ({ ...fine, agentStatus: "not_ready", agentError })

const startedAgain = "The workspace was started again meanwhile."

/** A defect is not for those who wait. */
const refusal = (cause: Cause.Cause<DialFailed>): string =>
  Option.match(Cause.findErrorOption(cause), {
    onNone: () => "The connection to the workspace's agent failed.",
    onSome: ({ message }) => message
  })
