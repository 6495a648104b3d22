/**
 * Chats with workspaces in every state they can meet, without a database, a socket or a process.
 *
 * It is the real `ChatWorkspaces` over stores in memory and a scripted transport, with a verb for each state. A verb makes
 * the chat's workspace if there is none, and moves it there from wherever it is; a chat keeps what it remembered, which
 * is the point of most of them. Living agents are heard all the time, whatever a virtual clock does. Build it for each
 * test anew: `provide` does, and closes it without hanging on a virtual clock. Nothing is built here: `TestBuilds` stands
 * on it and builds.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import * as ChatWorkspaces from "../dial/ChatWorkspaces.ts"
import type { Lifecycle } from "../domain/Agent.ts"
import type { BuildStatus, Transition } from "../domain/Build.ts"
import { AgentId, WorkspaceId } from "../domain/Ids.ts"
import type { ChatId, OwnerId, TemplateId } from "../domain/Ids.ts"
import * as ChatBindings from "../store/ChatBindings.ts"
import * as Chats from "../store/Chats.ts"
import * as MemoryStore from "../store/MemoryStore.ts"
import type * as WorkspaceAgents from "../store/WorkspaceAgents.ts"
import * as Heartbeats from "./Heartbeats.ts"
import type { OnExecute } from "./MemoryAgent.ts"
import * as ScriptedStores from "./ScriptedStores.ts"
import type { Queries } from "./ScriptedStores.ts"
import * as ScriptedTransport from "./ScriptedTransport.ts"
import * as VirtualTime from "./VirtualTime.ts"
import * as WorldRows from "./WorldRows.ts"

/**
 * The workspace of a chat, with its latest build and the agent that it has, had, or will have.
 *
 * @since 0.1.0
 * @category models
 */
export type Place = WorldRows.Place

/**
 * What the chat remembers: the agent (as after a call), or only the workspace (as after a start).
 *
 * @since 0.1.0
 * @category models
 */
export type Remembers = WorldRows.Remembers

/**
 * A latest build. A start that succeeded has the agents named, none unless there are some, and they have not come.
 * `log` is the end of what a build that failed had printed.
 *
 * @since 0.1.0
 * @category models
 */
export interface LastBuild {
  readonly transition: Transition
  readonly status: BuildStatus
  readonly log?: string | undefined
  readonly agents?: ReadonlyArray<string> | undefined
}

/**
 * What was asked of the stores and of the transport.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts extends ScriptedTransport.Counts {
  readonly queries: Queries
}

/**
 * The hands on the world. Each verb answers where the chat's workspace is then.
 *
 * @since 0.1.0
 * @category services
 */
export class TestWorkspaces extends Context.Service<TestWorkspaces, {
  /** A running workspace whose agent answers at once. Heals what other verbs broke. */
  readonly running: (
    chatId: ChatId,
    options?: { readonly remembers?: Remembers | undefined }
  ) => Effect.Effect<Place>
  /** The workspace was stopped. A chat that remembers an agent still does. */
  readonly stopped: (
    chatId: ChatId,
    options?: { readonly remembers?: Remembers | undefined }
  ) => Effect.Effect<Place>
  /** The workspace was built anew and has another agent, which the chat does not know. The old one may still answer. */
  readonly rebuilt: (
    chatId: ChatId,
    options?: { readonly oldAgent?: "gone" | "alive" | undefined }
  ) => Effect.Effect<Place>
  /** The workspace runs, and its agent was seen to go: two minutes ago, unless said otherwise. */
  readonly agentDead: (chatId: ChatId, options?: { readonly for?: Duration.Input | undefined }) => Effect.Effect<Place>
  /** The agent says nothing any more, on its open connections either: since now, unless said otherwise. */
  readonly agentFrozen: (
    chatId: ChatId,
    options?: { readonly for?: Duration.Input | undefined }
  ) => Effect.Effect<Place>
  /** The workspace was started and its agent did not come: for five minutes, unless said otherwise. */
  readonly neverConnects: (
    chatId: ChatId,
    options?: { readonly for?: Duration.Input | undefined }
  ) => Effect.Effect<Place>
  /** The link of the agent is lost while the next command runs, which goes on. */
  readonly linkLostDuring: (chatId: ChatId) => Effect.Effect<Place>
  /** The workspace is being started; it runs after one minute, unless said otherwise. */
  readonly slowStart: (
    chatId: ChatId,
    options?: { readonly takes?: Duration.Input | undefined }
  ) => Effect.Effect<Place>
  /** The latest build of the workspace is this one, whatever it was before. The agents of earlier builds are gone. */
  readonly lastBuild: (chatId: ChatId, build: LastBuild) => Effect.Effect<Place>
  /** An agent answers from now on, whosever it is; its start-up scripts are done, unless said otherwise. */
  readonly agentComes: (
    agentId: AgentId,
    options?: { readonly lifecycle?: Lifecycle | undefined }
  ) => Effect.Effect<void>
  /** An agent is gone for good, as after a stop. */
  readonly agentGoes: (agentId: AgentId) => Effect.Effect<void>
  /** Heartbeats are not recorded any more, though agents live and the database answers. */
  readonly heartbeatsLost: Effect.Effect<void>
  /** Heartbeats are recorded again. */
  readonly heartbeatsBack: Effect.Effect<void>
  /** The database refuses every call, or with `hangs` answers none. Heartbeats are not recorded meanwhile. */
  readonly databaseDown: (options?: { readonly hangs?: boolean | undefined }) => Effect.Effect<void>
  /** The database answers again. */
  readonly databaseUp: Effect.Effect<void>
  /** What commands come to; nothing printed and code 0, unless said otherwise. */
  readonly onExecute: (handler: OnExecute) => Effect.Effect<void>
  /** The files of the agent that the chat's workspace has now, by path. */
  readonly files: (chatId: ChatId) => Effect.Effect<Map<string, string>>
  /** Everything since the layer was built. */
  readonly counts: () => Counts
  /** What an effect cost, beside its answer. */
  readonly counted: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<readonly [A, Counts], E, R>
}>()("chat-workspace/testing/TestWorkspaces") {}

/**
 * Everything that the layer provides. `MemoryStore` is there so that other memory layers can share the tables.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | TestWorkspaces
  | ChatWorkspaces.ChatWorkspaces
  | Chats.Chats
  | ChatBindings.ChatBindings
  | WorkspaceAgents.WorkspaceAgents
  | AgentTransport
  | ScriptedTransport.ScriptedTransport
  | ScriptedStores.ScriptedStores
  | MemoryStore.MemoryStore

/**
 * The owner of all chats and workspaces here.
 *
 * @since 0.1.0
 * @category constants
 */
export const owner: OwnerId = WorldRows.owner

/**
 * The template from which all workspaces here were made.
 *
 * @since 0.1.0
 * @category constants
 */
export const templateId: TemplateId = WorldRows.templateId

const make = Effect.gen(function*() {
  const rows = yield* WorldRows.make
  const transport = yield* ScriptedTransport.ScriptedTransport
  const stores = yield* ScriptedStores.ScriptedStores
  const heartbeats = yield* Heartbeats.Heartbeats
  const scope = yield* Effect.scope

  const alive = Effect.fnUntraced(function*(agentId: AgentId, lifecycle: Lifecycle = "ready") {
    const now = yield* DateTime.now
    rows.setAgent(agentId, { firstConnectedAt: now, lastConnectedAt: now, disconnectedAt: null, lifecycle })
    heartbeats.alive.add(agentId)
    yield* transport.thaw(agentId)
    yield* transport.liveness(agentId, "live")
    yield* transport.presence(agentId, "live")
    yield* transport.accept(agentId)
  })

  const gone = Effect.fnUntraced(function*(agentId: AgentId, reason: "lost" | "revoked") {
    heartbeats.alive.delete(agentId)
    yield* transport.presence(agentId, "absent")
    yield* transport.stall(agentId)
    yield* transport.drop(agentId, reason)
  })

  const ended = Effect.fnUntraced(function*(agentId: AgentId) {
    yield* gone(agentId, "revoked")
    rows.setAgent(agentId, { disconnectedAt: yield* DateTime.now })
  })

  const started = Effect.fnUntraced(function*(workspaceId: WorkspaceId) {
    const place = yield* rows.startBuild(workspaceId, "succeeded", yield* DateTime.now)
    yield* alive(place.agentId)
    return place
  })

  /** The running workspace of the chat, which is what most verbs begin with. */
  const existing = Effect.fnUntraced(function*(chatId: ChatId, remembers: Remembers = "agent") {
    const place = rows.placeOf(chatId)
    if (place !== undefined && rows.isRunning(place)) return place
    const now = yield* started(place?.workspaceId ?? WorkspaceId.make(`workspace of ${chatId}`))
    rows.bind(chatId, now, remembers)
    return now
  })

  const ago = (duration: Duration.Input) =>
    Effect.map(DateTime.now, (now) => DateTime.subtractDuration(now, Duration.fromInputUnsafe(duration)))

  const counts = (): Counts => ({ ...transport.counts(), queries: stores.counts() })

  return TestWorkspaces.of({
    running: Effect.fnUntraced(function*(chatId, options) {
      const place = yield* existing(chatId)
      yield* alive(place.agentId)
      rows.bind(chatId, place, options?.remembers ?? "agent")
      return place
    }),
    stopped: Effect.fnUntraced(function*(chatId, options) {
      const place = yield* existing(chatId)
      rows.bind(chatId, place, options?.remembers ?? "agent")
      yield* rows.append(place.workspaceId, "stop", "succeeded")
      yield* ended(place.agentId)
      return place
    }),
    rebuilt: Effect.fnUntraced(function*(chatId, options) {
      const old = yield* existing(chatId)
      const place = yield* started(old.workspaceId)
      if (options?.oldAgent !== "alive") yield* gone(old.agentId, "revoked")
      return place
    }),
    agentDead: Effect.fnUntraced(function*(chatId, options) {
      const place = yield* existing(chatId)
      const since = yield* ago(options?.for ?? "2 minutes")
      yield* gone(place.agentId, "lost")
      rows.setAgent(place.agentId, { firstConnectedAt: since, lastConnectedAt: since, disconnectedAt: since })
      return place
    }),
    agentFrozen: Effect.fnUntraced(function*(chatId, options) {
      const place = yield* existing(chatId)
      const since = yield* ago(options?.for ?? 0)
      heartbeats.alive.delete(place.agentId)
      rows.setAgent(place.agentId, { firstConnectedAt: since, lastConnectedAt: since, disconnectedAt: null })
      yield* transport.freeze(place.agentId)
      yield* transport.liveness(place.agentId, "unknown")
      yield* transport.presence(place.agentId, "unknown")
      yield* transport.stall(place.agentId)
      return place
    }),
    neverConnects: Effect.fnUntraced(function*(chatId, options) {
      const old = yield* existing(chatId)
      yield* gone(old.agentId, "revoked")
      const place = yield* rows.startBuild(old.workspaceId, "succeeded", yield* ago(options?.for ?? "5 minutes"))
      yield* gone(place.agentId, "lost")
      rows.bind(chatId, place, "workspace")
      return place
    }),
    linkLostDuring: Effect.fnUntraced(function*(chatId) {
      const place = yield* existing(chatId)
      yield* transport.dropDuringNextCommand(place.agentId)
      return place
    }),
    slowStart: Effect.fnUntraced(function*(chatId, options) {
      const old = yield* existing(chatId)
      yield* gone(old.agentId, "revoked")
      const place = yield* rows.startBuild(old.workspaceId, "running", null)
      yield* gone(place.agentId, "lost")
      rows.bind(chatId, place, "workspace")
      yield* Effect.gen(function*() {
        yield* Effect.sleep(options?.takes ?? "1 minute")
        rows.finish(place, yield* DateTime.now)
        yield* alive(place.agentId)
      }).pipe(Effect.forkIn(scope, { startImmediately: true }))
      return place
    }),
    lastBuild: Effect.fnUntraced(function*(chatId, { agents, log, status, transition }) {
      const old = yield* existing(chatId)
      yield* ended(old.agentId)
      const { buildId } = yield* rows.append(old.workspaceId, transition, status, log)
      const startedAt = status === "succeeded" ? yield* DateTime.now : null
      const places = (agents ?? []).map((name) => {
        const agentId = AgentId.make(`${buildId}/${name}`)
        return rows.addAgent({ workspaceId: old.workspaceId, buildId, agentId }, name, startedAt)
      })
      return places[0] ?? old
    }),
    agentComes: (agentId, options) => alive(agentId, options?.lifecycle),
    agentGoes: (agentId) => ended(agentId),
    heartbeatsLost: heartbeats.pause,
    heartbeatsBack: heartbeats.resume,
    databaseDown: (options) =>
      Effect.andThen(heartbeats.pause, options?.hangs === true ? stores.hang() : stores.fail()),
    databaseUp: Effect.andThen(heartbeats.resume, stores.heal()),
    onExecute: (handler) => transport.onExecute(handler),
    files: (chatId) => Effect.map(existing(chatId), ({ agentId }) => transport.files(agentId)),
    counts,
    counted: (effect) =>
      Effect.suspend(() => {
        const before = counts()
        return Effect.map(effect, (answer) => [answer, difference(counts(), before)] as const)
      })
  })
})

const layerControl: Layer.Layer<
  TestWorkspaces,
  never,
  | Heartbeats.Heartbeats
  | MemoryStore.MemoryStore
  | ScriptedTransport.ScriptedTransport
  | ScriptedStores.ScriptedStores
> = Layer.effect(TestWorkspaces, make)

/**
 * The world, with the hands on it. Its bounds are those of `DialConfig`, where that is provided to it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Services> = Layer.mergeAll(ChatWorkspaces.layer, layerControl).pipe(
  Layer.provideMerge(
    ScriptedStores.layer.pipe(Layer.provide([ChatBindings.layerMemory, Heartbeats.layerAgents]))
  ),
  Layer.provideMerge(Chats.layerMemory),
  Layer.provide(Heartbeats.layer),
  Layer.provideMerge(Layer.merge(MemoryStore.layer, ScriptedTransport.layer))
)

/**
 * Runs an effect in a world of its own, and closes that without hanging on a virtual clock. Dies if a connection is
 * still open then.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Services>> =>
  provideWith(layer)(effect)

/**
 * `provide` with another world: the layer under other bounds, or one that stands on it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provideWith = <ROut, E2, RIn>(
  layer: Layer.Layer<ROut | ScriptedTransport.ScriptedTransport, E2, RIn>,
  options?: VirtualTime.Options
) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | E2, RIn | Exclude<R, ROut | ScriptedTransport.ScriptedTransport>> =>
  Effect.suspend(() => {
    let open = () => 0
    return Effect.flatMap(ScriptedTransport.ScriptedTransport, (transport) => {
      open = () => transport.counts().open
      return effect
    }).pipe(
      VirtualTime.provide(layer, options),
      Effect.tap(() =>
        open() === 0
          ? Effect.void
          : Effect.die(new Error(`${open()} connections were not released when the world ended`))
      )
    )
  })

const difference = (after: Counts, before: Counts): Counts => ({
  dials: after.dials - before.dials,
  pending: after.pending - before.pending,
  opened: after.opened - before.opened,
  open: after.open - before.open,
  releases: after.releases - before.releases,
  queries: {
    binding: after.queries.binding - before.queries.binding,
    agent: after.queries.agent - before.queries.agent,
    latestBuild: after.queries.latestBuild - before.queries.latestBuild,
    bindAgent: after.queries.bindAgent - before.queries.bindAgent,
    bindWorkspace: after.queries.bindWorkspace - before.queries.bindWorkspace
  }
})
