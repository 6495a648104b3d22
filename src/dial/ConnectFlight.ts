/**
 * From the row that a caller holds to a connection, and the row that is true then: resolve, dial, repair.
 *
 * A flight runs once for all callers of one row, in a fiber of the layer, with one deadline from its own start. It holds
 * one lease of the connection it found; its callers hold the flight.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { AgentConnection } from "../agent/AgentConnection.ts"
import { AgentTransport } from "../agent/AgentTransport.ts"
import type { Agent, BuildSnapshot } from "../domain/Agent.ts"
import { currentAgent } from "../domain/AgentSelection.ts"
import type { Binding } from "../domain/Binding.ts"
import { DialFailed, DialTimeout, NoWorkspace, WorkspaceChanged } from "../domain/Errors.ts"
import type { ConnectError, NoCurrentAgent, StoreError } from "../domain/Errors.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import type { AgentConnections } from "./AgentConnections.ts"
import type { ConnectHistory } from "./ConnectHistory.ts"
import { DialConfig } from "./DialConfig.ts"
import * as DialMetrics from "./DialMetrics.ts"
import * as LazyDial from "./LazyDial.ts"
import type { StoreCalls } from "./StoreCalls.ts"
import * as Unreachable from "./Unreachable.ts"

/**
 * Where a flight came to: a connection for the agent of the row, and the path of its last dial.
 *
 * @since 0.1.0
 * @category models
 */
export interface Landed {
  readonly connection: AgentConnection
  readonly row: Binding
  readonly path: LazyDial.Path
}

/**
 * An open connection whose agent the store holds for dead: the flight begins with asking who is right.
 *
 * @since 0.1.0
 * @category models
 */
export interface Silent {
  readonly connection: AgentConnection
  readonly unreachable: Unreachable.Unreachable
}

/**
 * A flight from a row. `calls` says how many wait for it.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectFlight = (options: {
  readonly seen: Binding
  readonly silent: Silent | undefined
  readonly calls: () => number
}) => Effect.Effect<Landed, ConnectError, Scope.Scope>

/** Another writer bound the chat meanwhile; carries the row that won. */
class Superseded extends Data.TaggedError("Superseded")<{ readonly row: Binding }> {}

/** Whom to dial, and when to ask whether that is still right. */
interface Target {
  readonly workspaceId: WorkspaceId
  readonly agentId: AgentId
  readonly validationDelay: Duration.Duration
}

/** What outlives an attempt: the newest row, and whether its agent is confirmed to be the right one, and dead. */
interface State {
  row: Binding
  readonly hopeless: Deferred.Deferred<void>
}

interface Current {
  readonly latest: Option.Option<BuildSnapshot>
  readonly agent: Result.Result<Agent, NoCurrentAgent>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly store: StoreCalls
  readonly connections: AgentConnections
  readonly history: ConnectHistory
}): Effect.fn.Return<ConnectFlight, never, AgentTransport> {
  const { connections, history, store } = options
  const transport = yield* AgentTransport
  const config = yield* DialConfig

  const ask = (workspaceId: WorkspaceId): Effect.Effect<Current, StoreError> =>
    Effect.map(store.latestBuild(workspaceId), (latest) => ({
      latest,
      agent: currentAgent(workspaceId, latest, { preferredSuffix: config.preferredSuffix })
    }))

  const unreachable = (current: Current): Unreachable.Unreachable | undefined =>
    Option.isSome(current.latest) && Result.isSuccess(current.agent)
      ? Unreachable.judge(current.agent.success, current.latest.value, config)
      : undefined

  const bind = Effect.fnUntraced(function*(state: State, agent: Agent, reason: DialMetrics.Repair) {
    const before = state.row
    let written = yield* write(state, agent)
    if (!written && state.row.agentId !== agent.agentId) {
      if (state.row.workspaceId !== agent.workspaceId) return yield* new Superseded({ row: state.row })
      // A writer for the same workspace may have known less than we do: whoever is right now is bound.
      const current = yield* Effect.fromResult((yield* ask(agent.workspaceId)).agent)
      if (current.agentId !== agent.agentId) return yield* new Superseded({ row: state.row })
      written = yield* write(state, agent)
      if (!written && state.row.agentId !== agent.agentId) return yield* new Superseded({ row: state.row })
    }
    // The first agent of a chat is no repair.
    if (!written || before.agentId === null) return
    yield* Metric.update(DialMetrics.repair(reason), 1)
    yield* Effect.logInfo("The binding of a chat was repaired").pipe(Effect.annotateLogs({
      "chat.id": before.chatId,
      "workspace.id": agent.workspaceId,
      "agent.id": agent.agentId,
      "agent.before": before.agentId,
      reason
    }))
  })

  /** Whether the write was ours; in either case the newest row is known then. */
  const write = (state: State, agent: Agent): Effect.Effect<boolean, StoreError> =>
    Effect.map(store.bindAgent(state.row, agent.buildId, agent.agentId), (result) => {
      state.row = result.binding
      return result._tag === "Bound"
    })

  /** Whom the row names, if the store still knows that agent of this workspace; else whom the latest build has. */
  const resolve = Effect.fnUntraced(function*(state: State) {
    if (state.row.workspaceId === null) state.row = yield* store.binding(state.row.chatId)
    const { agentId, workspaceId } = state.row
    if (workspaceId === null) return yield* new NoWorkspace({ workspaceId: null })
    if (agentId !== null) {
      const read = yield* Effect.result(store.agent(agentId))
      // The remembered agent can be dialed without the database, so a chat lives through its outage.
      if (Result.isFailure(read)) return target(workspaceId, agentId, undefined)
      if (Option.isSome(read.success) && read.success.value.agent.workspaceId === workspaceId) {
        const { agent } = read.success.value
        return target(workspaceId, agentId, Unreachable.judge(agent, read.success.value, config))
      }
    }
    return yield* rebind(state, workspaceId, yield* ask(workspaceId), "selected")
  })

  const rebind = Effect.fnUntraced(
    function*(state: State, workspaceId: WorkspaceId, current: Current, reason: DialMetrics.Repair) {
      const agent = yield* Effect.fromResult(current.agent)
      yield* bind(state, agent, reason)
      return target(workspaceId, agent.agentId, unreachable(current))
    }
  )

  /** A dial of an agent that is surely not there still starts first, but is not waited for before the question. */
  const target = (
    workspaceId: WorkspaceId,
    agentId: AgentId,
    dead: Unreachable.Unreachable | undefined
  ): Target => {
    const presence = transport.presence(agentId)
    const absent = presence === "absent" || presence === "unknown" && dead !== undefined
    return {
      workspaceId,
      agentId,
      validationDelay: absent ? Duration.zero : config.validationDelay
    }
  }

  /** The row's agent is silent on an open connection: one look for all who found it so, and no dial unless it moved. */
  const replace = Effect.fnUntraced(function*(state: State, silent: Silent) {
    connections.forget(silent.connection)
    const { agent } = silent.unreachable
    const current = yield* Effect.result(ask(agent.workspaceId))
    if (
      Result.isFailure(current) ||
      Result.isSuccess(current.success.agent) && current.success.agent.success.agentId === agent.agentId
    ) {
      return yield* Unreachable.disconnected(silent.unreachable, config)
    }
    return yield* rebind(state, agent.workspaceId, current.success, "replaced")
  })

  /** Dials, and repairs the row when that ended at another agent. */
  const dial = Effect.fnUntraced(function*(state: State, target: Target) {
    let right: Agent | undefined
    const dialed = yield* LazyDial.dialWithLazyValidation({
      id: target.agentId,
      dial: connections.dial,
      validate: Effect.map(ask(target.workspaceId), (current) =>
        Result.map(current.agent, (agent) => {
          right = agent
          if (agent.agentId === target.agentId && Unreachable.adviseRestart(unreachable(current), config)) {
            Deferred.doneUnsafe(state.hopeless, Exit.void)
          }
          return agent.agentId
        })),
      validationDelay: target.validationDelay
    }).pipe(Effect.catchTag("ValidationFailed", (failed) => Effect.fail(dialFailed(target.agentId, failed))))
    if (dialed.switched && right !== undefined) yield* bind(state, right, "switched")
    return { connection: dialed.connection, row: state.row, path: dialed.path }
  })

  const attempt = (state: State, silent: Silent | undefined) =>
    heldOnSuccess(Effect.flatMap(
      silent === undefined ? resolve(state) : replace(state, silent),
      (target) => dial(state, target)
    ))

  const attempts = (state: State, silent: Silent | undefined) =>
    attempt(state, silent).pipe(
      Effect.catchTag("Superseded", () => attempt(state, undefined)),
      Effect.catchTag("Superseded", ({ row }) => Effect.fail(new WorkspaceChanged({ chatId: row.chatId })))
    )

  /** The deadline; once the agent is known to be the right one, and dead, there is less to hope for. */
  const outOfTime = (state: State) =>
    Effect.andThen(Deferred.await(state.hopeless), Effect.sleep(config.confirmedDead)).pipe(
      Effect.timeoutOrElse({ duration: config.dialTimeout, orElse: () => Effect.void })
    )

  const explainTimeout = Effect.fnUntraced(function*(state: State, since: number) {
    const { agentId, workspaceId } = state.row
    const after = Duration.millis((yield* Clock.currentTimeMillis) - since)
    const timeout = new DialTimeout({ workspaceId, agentId, after })
    yield* Effect.logWarning("A dial was not answered in time").pipe(Effect.annotateLogs({
      "chat.id": state.row.chatId,
      "workspace.id": workspaceId ?? "none",
      "agent.id": agentId ?? "none"
    }))
    if (workspaceId === null) return yield* timeout
    const current = yield* Effect.mapError(ask(workspaceId), () => timeout)
    yield* Effect.fromResult(current.agent)
    const dead = unreachable(current)
    return yield* Unreachable.adviseRestart(dead, config) ? Unreachable.disconnected(dead, config) : timeout
  })

  return ({ calls, seen, silent }) =>
    Clock.clockWith((clock) => {
      const since = clock.currentTimeMillisUnsafe()
      const state: State = { row: seen, hopeless: Deferred.makeUnsafe() }
      return Effect.raceFirst(
        Effect.asSome(attempts(state, silent)),
        Effect.as(outOfTime(state), Option.none<Landed>())
      ).pipe(
        Effect.flatMap((landed) => Option.isSome(landed) ? Effect.succeed(landed.value) : explainTimeout(state, since)),
        Effect.tap((landed) =>
          Effect.annotateCurrentSpan({ "dial.path": landed.path, "agent.id": landed.connection.agentId })
        ),
        Effect.onExit((exit) =>
          Effect.suspend(() => {
            const path = Exit.isSuccess(exit) ? exit.value.path : undefined
            const outcome = outcomeOf(exit)
            const millis = clock.currentTimeMillisUnsafe() - since
            history.record(seen.chatId, {
              endedAt: DateTime.makeUnsafe(clock.currentTimeMillisUnsafe()),
              took: Duration.millis(millis),
              agentId: state.row.agentId,
              path: path ?? null,
              outcome,
              cause: errorOf(exit) ?? null,
              calls: calls()
            })
            return Effect.andThen(
              Metric.update(DialMetrics.dial(path ?? "none", outcome), 1),
              Metric.update(DialMetrics.duration(path ?? "none", outcome), millis)
            )
          })
        )
      )
    })
})

/** A lease of an attempt that fails ends before anything else is tried. */
const heldOnSuccess = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.contextWith((context: Context.Context<Scope.Scope>) => {
      const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
      return Effect.onExit(
        restore(Effect.provideService(effect, Scope.Scope, scope)),
        (exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)
      )
    })
  )

/** The dial's own failure, with why it could not be validated beside it. */
const dialFailed = (
  agentId: AgentId,
  failed: LazyDial.ValidationFailed<DialFailed, StoreError>
): DialFailed => {
  const { cause, reason } = Option.getOrElse(
    Cause.findErrorOption(failed.dial),
    () => new DialFailed({ agentId, reason: "refused" })
  )
  return new DialFailed({
    agentId,
    reason,
    validation: Cause.squash(failed.validation),
    ...(cause === undefined ? {} : { cause })
  })
}

const errorOf = (exit: Exit.Exit<Landed, ConnectError>): ConnectError | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined

const outcomeOf = (exit: Exit.Exit<Landed, ConnectError>): DialMetrics.Outcome =>
  Exit.isSuccess(exit)
    ? "connected"
    : errorOf(exit)?.code ?? (Exit.hasInterrupts(exit) ? "interrupted" : "defect")
