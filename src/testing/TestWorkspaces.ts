/**
 * Chats with workspaces in every state they can meet, without a database, a socket or a process.
 *
 * It is the real `ChatWorkspaces` over stores in memory and a scripted transport, with a verb for each state. A verb makes
 * the chat's workspace if there is none, and moves it there from wherever it is; a chat keeps what it remembered, which
 * is the point of most of them. Living agents are heard all the time, whatever a virtual clock does. Build it for each
 * test anew: `provide` does, and closes it without hanging on a virtual clock.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import * as ChatWorkspaces from "../dial/ChatWorkspaces.ts"
import { Agent } from "../domain/Agent.ts"
import { Binding } from "../domain/Binding.ts"
import { Build } from "../domain/Build.ts"
import type { BuildStatus, Transition } from "../domain/Build.ts"
import * as Coverage from "../domain/Coverage.ts"
import { AgentId, BuildId, OwnerId, WorkspaceId } from "../domain/Ids.ts"
import type { ChatId } from "../domain/Ids.ts"
import * as ChatBindings from "../store/ChatBindings.ts"
import * as Chats from "../store/Chats.ts"
import * as MemoryStore from "../store/MemoryStore.ts"
import * as WorkspaceAgents from "../store/WorkspaceAgents.ts"
import type { OnExecute } from "./MemoryAgent.ts"
import * as ScriptedStores from "./ScriptedStores.ts"
import type { Queries } from "./ScriptedStores.ts"
import * as ScriptedTransport from "./ScriptedTransport.ts"
import * as VirtualTime from "./VirtualTime.ts"

/**
 * The workspace of a chat, with its latest build and the agent that it has, had, or will have.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  readonly workspaceId: WorkspaceId
  readonly buildId: BuildId
  readonly agentId: AgentId
}

/**
 * What the chat remembers: the agent (as after a call), or only the workspace (as after a start).
 *
 * @since 0.1.0
 * @category models
 */
export type Remembers = "agent" | "workspace"

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
export const owner: OwnerId = OwnerId.make("owner")

const make = Effect.gen(function*() {
  const store = yield* MemoryStore.MemoryStore
  const transport = yield* ScriptedTransport.ScriptedTransport
  const stores = yield* ScriptedStores.ScriptedStores
  const heartbeats = yield* Heartbeats
  const scope = yield* Effect.scope

  const append = (workspaceId: WorkspaceId, transition: Transition, status: BuildStatus): Build => {
    const builds = store.workspaces.get(workspaceId)?.builds ?? []
    const number = builds.length + 1
    const buildId = BuildId.make(`${workspaceId}/build-${number}`)
    const build = new Build({ buildId, workspaceId, number, transition, status, logTail: null })
    store.workspaces.set(workspaceId, { owner, builds: [...builds, build] })
    return build
  }

  const setAgent = (agentId: AgentId, fields: Partial<Omit<Agent, "agentId">>): void => {
    const row = store.agents.get(agentId)
    if (row !== undefined) store.agents.set(agentId, { ...row, agent: new Agent({ ...row.agent, ...fields }) })
  }

  /** A start build with one agent, of which nothing was heard yet. */
  const startBuild = (workspaceId: WorkspaceId, status: BuildStatus, startedAt: DateTime.Utc | null): Place => {
    const { buildId } = append(workspaceId, "start", status)
    const agentId = AgentId.make(`${buildId}/agent`)
    const agent = new Agent({
      agentId,
      workspaceId,
      buildId,
      parentId: null,
      name: "main",
      displayOrder: 0,
      connectionTimeout: Duration.seconds(120),
      lifecycle: "ready",
      startedAt,
      firstConnectedAt: null,
      lastConnectedAt: null,
      disconnectedAt: null
    })
    store.agents.set(agentId, {
      agent,
      secretHash: new Uint8Array(),
      epoch: 0,
      nodeId: null,
      incarnation: null,
      heardAt: 0
    })
    return { workspaceId, buildId, agentId }
  }

  const bind = (chatId: ChatId, { agentId, buildId, workspaceId }: Place, remembers: Remembers): void => {
    const before = store.chats.get(chatId)?.binding
    const binding = new Binding({
      chatId,
      workspaceId,
      buildId,
      agentId: remembers === "agent" ? agentId : null,
      generation: (before?.generation ?? 0) + 1
    })
    store.chats.set(chatId, { owner, binding })
  }

  /** The workspace of the chat, and the agent of its latest start. */
  const placeOf = (chatId: ChatId): Place | undefined => {
    const workspaceId = store.chats.get(chatId)?.binding.workspaceId
    if (workspaceId === undefined || workspaceId === null) return undefined
    const build = store.workspaces.get(workspaceId)?.builds.findLast(({ transition }) => transition === "start")
    const agent = build === undefined ? undefined : store.agentsOf(build.buildId)[0]
    return agent === undefined ? undefined : { workspaceId, buildId: agent.buildId, agentId: agent.agentId }
  }

  const isRunning = ({ buildId, workspaceId }: Place): boolean => {
    const latest = store.latestBuild(workspaceId)
    return latest?.buildId === buildId && latest.status === "succeeded"
  }

  const alive = Effect.fnUntraced(function*(agentId: AgentId) {
    const now = yield* DateTime.now
    setAgent(agentId, { firstConnectedAt: now, lastConnectedAt: now, disconnectedAt: null })
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

  const started = Effect.fnUntraced(function*(workspaceId: WorkspaceId) {
    const place = startBuild(workspaceId, "succeeded", yield* DateTime.now)
    yield* alive(place.agentId)
    return place
  })

  /** The running workspace of the chat, which is what most verbs begin with. */
  const existing = Effect.fnUntraced(function*(chatId: ChatId, remembers: Remembers = "agent") {
    const place = placeOf(chatId)
    if (place !== undefined && isRunning(place)) return place
    const now = yield* started(place?.workspaceId ?? WorkspaceId.make(`workspace of ${chatId}`))
    bind(chatId, now, remembers)
    return now
  })

  const ago = (duration: Duration.Input) =>
    Effect.map(DateTime.now, (now) => DateTime.subtractDuration(now, Duration.fromInputUnsafe(duration)))

  const counts = (): Counts => ({ ...transport.counts(), queries: stores.counts() })

  return TestWorkspaces.of({
    running: Effect.fnUntraced(function*(chatId, options) {
      const place = yield* existing(chatId)
      yield* alive(place.agentId)
      bind(chatId, place, options?.remembers ?? "agent")
      return place
    }),
    stopped: Effect.fnUntraced(function*(chatId, options) {
      const place = yield* existing(chatId)
      bind(chatId, place, options?.remembers ?? "agent")
      append(place.workspaceId, "stop", "succeeded")
      yield* gone(place.agentId, "revoked")
      setAgent(place.agentId, { disconnectedAt: yield* DateTime.now })
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
      setAgent(place.agentId, { firstConnectedAt: since, lastConnectedAt: since, disconnectedAt: since })
      return place
    }),
    agentFrozen: Effect.fnUntraced(function*(chatId, options) {
      const place = yield* existing(chatId)
      const since = yield* ago(options?.for ?? 0)
      heartbeats.alive.delete(place.agentId)
      setAgent(place.agentId, { firstConnectedAt: since, lastConnectedAt: since, disconnectedAt: null })
      yield* transport.freeze(place.agentId)
      yield* transport.liveness(place.agentId, "unknown")
      yield* transport.presence(place.agentId, "unknown")
      yield* transport.stall(place.agentId)
      return place
    }),
    neverConnects: Effect.fnUntraced(function*(chatId, options) {
      const old = yield* existing(chatId)
      yield* gone(old.agentId, "revoked")
      const place = startBuild(old.workspaceId, "succeeded", yield* ago(options?.for ?? "5 minutes"))
      yield* gone(place.agentId, "lost")
      bind(chatId, place, "workspace")
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
      const place = startBuild(old.workspaceId, "running", null)
      yield* gone(place.agentId, "lost")
      bind(chatId, place, "workspace")
      yield* Effect.gen(function*() {
        yield* Effect.sleep(options?.takes ?? "1 minute")
        const workspace = store.workspaces.get(place.workspaceId)
        const builds = (workspace?.builds ?? []).map((build) =>
          build.buildId === place.buildId ? new Build({ ...build, status: "succeeded" }) : build
        )
        store.workspaces.set(place.workspaceId, { owner, builds })
        setAgent(place.agentId, { startedAt: yield* DateTime.now })
        yield* alive(place.agentId)
      }).pipe(Effect.forkIn(scope, { startImmediately: true }))
      return place
    }),
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
  | Heartbeats
  | MemoryStore.MemoryStore
  | ScriptedTransport.ScriptedTransport
  | ScriptedStores.ScriptedStores
> = Layer.effect(TestWorkspaces, make)

/**
 * The heartbeats of the living agents. They are written when somebody reads, so that no fiber has to beat and an agent
 * is as alive after an hour of virtual time as it was before.
 */
class Heartbeats extends Context.Service<Heartbeats, {
  readonly alive: Set<AgentId>
  readonly beat: Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}>()("chat-workspace/testing/TestWorkspaces/Heartbeats") {}

const layerHeartbeats: Layer.Layer<Heartbeats, never, MemoryStore.MemoryStore> = Layer.effect(
  Heartbeats,
  Effect.gen(function*() {
    const store = yield* MemoryStore.MemoryStore
    const alive = new Set<AgentId>()
    let paused = false
    // Recorded for longer than any agent can have been dead.
    const since = DateTime.makeUnsafe((yield* Clock.currentTimeMillis) - Duration.toMillis("1000 days"))
    store.coverage = { since, lastBeatAt: since }

    const beat = Effect.map(DateTime.now, (now) => {
      store.coverage = { since: store.coverage?.since ?? now, lastBeatAt: now }
      for (const agentId of alive) {
        const row = store.agents.get(agentId)
        if (row !== undefined) {
          store.agents.set(agentId, { ...row, agent: new Agent({ ...row.agent, lastConnectedAt: now }) })
        }
      }
    })

    return Heartbeats.of({
      alive,
      beat,
      pause: Effect.map(beat, () => {
        paused = true
      }),
      resume: Effect.map(DateTime.now, (now) => {
        if (!paused) return
        paused = false
        store.coverage = Coverage.beat(store.coverage, now)
      })
    })
  })
)

/** Reads that find the living alive. */
const layerAgents: Layer.Layer<WorkspaceAgents.WorkspaceAgents, never, Heartbeats | MemoryStore.MemoryStore> = Layer
  .effect(
    WorkspaceAgents.WorkspaceAgents,
    Effect.gen(function*() {
      const agents = yield* WorkspaceAgents.WorkspaceAgents
      const { beat } = yield* Heartbeats
      return WorkspaceAgents.WorkspaceAgents.of({
        agent: (agentId) => Effect.andThen(beat, agents.agent(agentId)),
        latestBuild: (workspaceId) => Effect.andThen(beat, agents.latestBuild(workspaceId))
      })
    })
  ).pipe(Layer.provide(WorkspaceAgents.layerMemory))

/**
 * The world, with the hands on it. Its bounds are those of `DialConfig`, where that is provided to it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Services> = Layer.mergeAll(ChatWorkspaces.layer, layerControl).pipe(
  Layer.provideMerge(
    ScriptedStores.layer.pipe(Layer.provide([ChatBindings.layerMemory, layerAgents]))
  ),
  Layer.provideMerge(Chats.layerMemory),
  Layer.provide(layerHeartbeats),
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
  Effect.suspend(() => {
    let open = () => 0
    return Effect.flatMap(ScriptedTransport.ScriptedTransport, (transport) => {
      open = () => transport.counts().open
      return effect
    }).pipe(
      VirtualTime.provide(layer),
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
