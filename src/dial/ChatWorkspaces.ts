/**
 * The workspace of a chat: what a turn opens, and every tool call connects through.
 *
 * A turn keeps the newest row it has seen, and nothing else. A call whose agent has an open, live connection on this
 * node is lent it without a query; every other call joins the one flight of its row. Flights and connections belong to
 * the layer: a caller that leaves, or that runs in a transaction or under a clock of its own, changes nothing for the
 * others.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { AgentConnection } from "../agent/AgentConnection.ts"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import type { Agent } from "../domain/Agent.ts"
import { currentAgent } from "../domain/AgentSelection.ts"
import type { Binding } from "../domain/Binding.ts"
import { DialFailed, DialTimeout, NoWorkspace } from "../domain/Errors.ts"
import type { ConnectError, StoreError } from "../domain/Errors.ts"
import type { AgentId, ChatId, WorkspaceId } from "../domain/Ids.ts"
import type { ChatBindings } from "../store/ChatBindings.ts"
import type { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import * as AgentConnections from "./AgentConnections.ts"
import * as ConnectFlight from "./ConnectFlight.ts"
import * as ConnectHistory from "./ConnectHistory.ts"
import * as Detached from "./Detached.ts"
import { DialConfig } from "./DialConfig.ts"
import * as DialMetrics from "./DialMetrics.ts"
import * as Shared from "./Shared.ts"
import * as StoreCalls from "./StoreCalls.ts"
import * as Unreachable from "./Unreachable.ts"

/**
 * The workspace of one chat, for one turn. Holds no connection between calls.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChatWorkspace {
  /** A connection to the chat's agent, lent until the scope closes. Ends within 40 s, whatever dies. */
  readonly connect: Effect.Effect<AgentConnection, ConnectError, Scope.Scope>
  /** `connect` for the time of one call. */
  readonly use: <A, E, R>(
    f: (connection: AgentConnection) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | ConnectError, R>
  /** The newest row that this turn has seen, from memory. */
  readonly binding: Effect.Effect<Binding>
  /** The agent that the latest build of the workspace has now, or why there is none. */
  readonly currentAgent: Effect.Effect<Agent, ConnectError>
  /** Tells the turn of a row that was just written for its chat. An older one than it has seen changes nothing. */
  readonly select: (binding: Binding) => Effect.Effect<void>
}

/**
 * What this node knows of a chat, from memory: how many calls wait for its connection, and its last connects.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChatView {
  readonly waiters: number
  readonly recent: ReadonlyArray<ConnectHistory.ConnectRecord>
}

/**
 * @since 0.1.0
 * @category services
 */
export class ChatWorkspaces extends Context.Service<ChatWorkspaces, {
  /** Reads the binding of a chat once, for one turn. */
  readonly open: (chatId: ChatId) => Effect.Effect<ChatWorkspace, StoreError>
  /** What this node knows of a chat, for an operator who asks why it is stuck. */
  readonly describe: (chatId: ChatId) => ChatView
  /** At most `limit` chats that this node knows of: those whose calls wait, then those that connected last. */
  readonly known: (limit: number) => ReadonlyArray<ChatId>
}>()("chat-workspace/dial/ChatWorkspaces") {}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(): Effect.fn.Return<
  ChatWorkspaces["Service"],
  never,
  AgentTransport | ChatBindings | WorkspaceAgents | Scope.Scope
> {
  const config = yield* DialConfig
  const detached = yield* Detached.make(config.drain)
  const store = yield* StoreCalls.make(detached)
  const connections = yield* AgentConnections.make(detached)
  const history = ConnectHistory.make()
  const flight = yield* ConnectFlight.make({ store, connections, history })
  const waiting = new Map<ChatId, number>()
  const flights = Shared.make<string, ConnectFlight.Landed, ConnectError>({
    detached,
    release: config.release,
    onInterrupt: (_, closed) => new DialFailed({ agentId: null, reason: closed ? "shutdown" : "refused" })
  })
  // Runs before the drain. In one step, so that between the two nobody is lent what is about to end.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      flights.close()
      connections.close()
    })
  )

  const counted = (chatId: ChatId, change: 1 | -1) =>
    Effect.suspend(() => {
      const waiters = (waiting.get(chatId) ?? 0) + change
      if (waiters === 0) waiting.delete(chatId)
      else waiting.set(chatId, waiters)
      return Metric.modify(DialMetrics.waiters, change)
    })

  const open = Effect.fn("ChatWorkspaces.open")(function*(chatId: ChatId): Effect.fn.Return<ChatWorkspace, StoreError> {
    yield* Effect.annotateCurrentSpan({ "chat.id": chatId })
    return workspace(chatId, yield* store.binding(chatId))
  })

  const workspace = (chatId: ChatId, opened: Binding): ChatWorkspace => {
    let row = opened
    const take = (binding: Binding) => {
      if (binding.generation > row.generation) row = binding
    }

    const join = (seen: Binding, silent?: ConnectFlight.Silent) =>
      Effect.flatMap(Effect.option(Effect.currentSpan), (caller) => {
        // A re-bound caller has another generation, and so never waits for the dial of an old row.
        const key = `${chatId}/${seen.generation}`
        const flying = flight({ seen, silent, calls: () => flights.users(key) })
        return Effect.acquireUseRelease(
          counted(chatId, 1),
          () => flights.get(key, traced(flying, chatId, caller)),
          () => counted(chatId, -1)
        )
      })

    /** Meanwhile the turn may have moved to another agent, or the session may have ended; the call starts over once. */
    const miss = (seen: Binding, silent?: ConnectFlight.Silent) => {
      const first = heldIf(join(seen, silent), (landed) => {
        take(landed.row)
        return row.agentId === landed.connection.agentId && landed.connection.liveness() !== "closed"
      })
      return Effect.flatMap(first, (landed) =>
        landed !== undefined ? Effect.succeed(landed.connection) : Effect.map(
          Effect.suspend(() => join(row)),
          (second) => {
            take(second.row)
            return second.connection
          }
        ))
    }

    const lend = <E, R>(
      agentId: AgentId,
      hit: Metric.Metric<number, unknown>,
      orElse: () => Effect.Effect<AgentConnection, E, R>
    ) =>
      Effect.flatMap(
        connections.lend(agentId),
        (connection) =>
          connection === undefined ? orElse() : Effect.contextWith((context: Context.Context<never>) => {
            hit.updateUnsafe(1, context)
            history.hit(chatId, agentId, Context.get(context, Clock.Clock).currentTimeMillisUnsafe())
            return Effect.succeed(connection)
          })
      )

    /** Asks the store whether the agent is still there. What does not prove that it is not leaves the call its connection. */
    const doubt = (seen: Binding, connection: AgentConnection) =>
      Effect.flatMap(Effect.result(store.agent(connection.agentId, config.livenessRead)), (read) => {
        const orElse = () => miss(seen)
        const trusted = lend(connection.agentId, DialMetrics.hitUnknown, orElse)
        if (Result.isFailure(read)) {
          const message = "Whether an agent is alive could not be read; its open connection is used"
          return Effect.andThen(Effect.logWarning(message, read.failure), trusted)
        }
        if (Option.isNone(read.success)) return orElse()
        const unreachable = Unreachable.judge(read.success.value.agent, read.success.value, config)
        // Late news about a connection that was replaced meanwhile must not fail a call that the new one can serve.
        return Unreachable.isSilent(unreachable, config) && connections.open(connection.agentId) === connection
          ? miss(seen, { connection, unreachable })
          : trusted
      })

    const bounded = <E, R>(seen: Binding, effect: Effect.Effect<AgentConnection, E, R>) =>
      effect.pipe(
        Effect.timeoutOrElse({ duration: config.connectTimeout, orElse: () => outOfTime(seen) }),
        Effect.withSpan("ChatWorkspace.connect", { attributes: { "chat.id": chatId } })
      )

    const outOfTime = (seen: Binding) =>
      Effect.andThen(
        Effect.logWarning("A connect did not end in time").pipe(Effect.annotateLogs({ "chat.id": chatId })),
        new DialTimeout({ workspaceId: seen.workspaceId, agentId: seen.agentId, after: config.connectTimeout })
      )

    const connect = Effect.suspend(() => {
      // One look for the whole call: a row that is read after a wait is another row.
      const seen = row
      const connection = seen.agentId === null ? undefined : connections.open(seen.agentId)
      if (connection === undefined) return bounded(seen, miss(seen))
      return connection.liveness() === "live"
        ? lend(connection.agentId, DialMetrics.hitLive, () => bounded(seen, miss(seen)))
        : bounded(seen, doubt(seen, connection))
    })

    return {
      connect,
      use: (f) => Effect.scopedWith((scope) => Effect.flatMap(Scope.provide(connect, scope), f)),
      binding: Effect.sync(() => row),
      currentAgent: Effect.suspend(() =>
        row.workspaceId === null ? Effect.map(store.binding(chatId), take) : Effect.void
      ).pipe(
        Effect.andThen(Effect.suspend(() => latestAgent(row.workspaceId))),
        Effect.withSpan("ChatWorkspace.currentAgent", { attributes: { "chat.id": chatId } })
      ),
      select: (binding) => Effect.sync(() => take(binding))
    }
  }

  const latestAgent = (workspaceId: WorkspaceId | null): Effect.Effect<Agent, ConnectError> =>
    workspaceId === null
      ? Effect.fail(new NoWorkspace({ workspaceId }))
      : Effect.flatMap(store.latestBuild(workspaceId), (latest) =>
        Effect.fromResult(currentAgent(workspaceId, latest, { preferredSuffix: config.preferredSuffix })))

  return ChatWorkspaces.of({
    open,
    describe: (chatId) => ({ waiters: waiting.get(chatId) ?? 0, recent: history.recent(chatId) }),
    known: (limit) => Array.from(new Set([...waiting.keys(), ...history.chats(limit)])).slice(0, limit)
  })
})

/**
 * Connects chats to the agents of their workspaces, over any transport and any stores.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ChatWorkspaces, never, AgentTransport | ChatBindings | WorkspaceAgents> = Layer.effect(
  ChatWorkspaces,
  make()
)

/** A flight belongs to no caller: its span is a root, linked to the call that started it. */
const traced = <A, E, R>(flight: Effect.Effect<A, E, R>, chatId: ChatId, caller: Option.Option<Tracer.Span>) =>
  Effect.withSpan(flight, "ConnectFlight", {
    root: true,
    links: Option.toArray(Option.map(caller, (span) => ({ span, attributes: {} }))),
    attributes: { "chat.id": chatId }
  })

/** Keeps what was acquired if `keep` says so; otherwise lets go of it and answers `undefined`. */
const heldIf = <A, E>(
  acquire: Effect.Effect<A, E, Scope.Scope>,
  keep: (value: A) => boolean
): Effect.Effect<A | undefined, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.contextWith((context: Context.Context<Scope.Scope>) => {
      const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
      return Effect.filterOrElse(
        restore(Scope.provide(acquire, scope)),
        keep,
        () => Effect.as(Scope.close(scope, Exit.void), undefined)
      )
    })
  )
