/**
 * A world for the connecting of chats: the memory stores with counted and faulty calls, and a transport by script.
 *
 * Everything is plain mutable state; a test sets it and looks at it. Times are of the Effect clock.
 */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { AgentConnection, Liveness } from "../../../src/agent/AgentConnection.ts"
import { AgentTransport } from "../../../src/agent/AgentTransport.ts"
import type { Presence } from "../../../src/agent/AgentTransport.ts"
import { ChatWorkspaces, layer as chatWorkspacesLayer } from "../../../src/dial/ChatWorkspaces.ts"
import { Agent } from "../../../src/domain/Agent.ts"
import type { AgentSnapshot } from "../../../src/domain/Agent.ts"
import { Binding } from "../../../src/domain/Binding.ts"
import { Build } from "../../../src/domain/Build.ts"
import type { BuildStatus, Transition } from "../../../src/domain/Build.ts"
import { DialFailed, StoreError, Unsupported } from "../../../src/domain/Errors.ts"
import { AgentId, BuildId, ChatId, OwnerId, WorkspaceId } from "../../../src/domain/Ids.ts"
import * as ChatBindings from "../../../src/store/ChatBindings.ts"
import * as MemoryStore from "../../../src/store/MemoryStore.ts"
import * as WorkspaceAgents from "../../../src/store/WorkspaceAgents.ts"

export const chat = ChatId.make("chat")
export const owner = OwnerId.make("owner")
export const workspace = WorkspaceId.make("workspace")
export const otherWorkspace = WorkspaceId.make("other-workspace")
export const agentId = (name: string) => AgentId.make(name)

/** Whatever a caller carries with it: a transaction, a tenant. Ports and dials note what they see of it. */
export const Carried = Context.Reference<string>("test/Carried", { defaultValue: () => "layer" })

/** What an agent does with a dial. */
export interface Mode {
  readonly after?: number | undefined
  readonly ends?: "accept" | "refuse" | "hang" | "interrupt" | "die" | undefined
  /** The whole acquisition ignores its interruption. */
  readonly stubborn?: boolean | undefined
}

/** What a port does with a call. */
export interface Fault {
  readonly after?: number | undefined
  readonly fail?: boolean | undefined
  readonly stubborn?: boolean | undefined
}

export type Port = "get" | "bindAgent" | "agent" | "latestBuild"

export interface Connection extends AgentConnection {
  readonly number: number
}

export const makeState = () => ({
  counts: { get: 0, bindAgent: 0, agent: 0, latestBuild: 0, dials: 0 },
  /** The order of all port calls and dials. */
  calls: [] as Array<string>,
  modes: new Map<AgentId, Mode>(),
  /** Modes of the next dials of an agent, before its lasting one. */
  nextModes: new Map<AgentId, Array<Mode>>(),
  faults: new Map<Port, Fault>(),
  presence: new Map<AgentId, Presence>(),
  liveness: new Map<number, Liveness>(),
  /** What ports and dials saw of the context of a caller. */
  carried: new Set<string>(),
  running: 0,
  acquired: [] as Array<string>,
  released: [] as Array<string>,
  coveredSince: undefined as number | undefined,
  /** Runs in the step before a repair is written, as another writer would. */
  beforeBindAgent: undefined as (() => void) | undefined
})

export type State = ReturnType<typeof makeState>

export interface World {
  readonly state: State
  readonly store: MemoryStore.MemoryStore["Service"]
  readonly chats: ChatWorkspaces["Service"]
  readonly layerScope: Scope.Closeable
  /** Writes a build, with agents if it is a start that has them. */
  readonly build: (options: {
    readonly workspaceId?: WorkspaceId | undefined
    readonly number: number
    readonly transition?: Transition | undefined
    readonly status?: BuildStatus | undefined
    readonly agents?: ReadonlyArray<string> | undefined
  }) => Build
  /** A row of a chat, as some writer would leave it. */
  readonly bind: (options: {
    readonly chatId?: ChatId | undefined
    readonly workspaceId?: WorkspaceId | null | undefined
    readonly agent?: string | null | undefined
    readonly build?: number | undefined
  }) => Binding
  readonly row: (chatId?: ChatId) => Binding | undefined
  /** The agent's heartbeats stopped so long ago, or `disconnected` was written then. */
  readonly silentFor: (agent: string, millis: number, disconnected?: boolean) => Effect.Effect<void>
  readonly neverConnected: (agent: string, startedAgo: number, connectionTimeout: number) => Effect.Effect<void>
  readonly presence: (agent: string, presence: Presence) => void
  readonly mode: (agent: string, mode: Mode) => void
  readonly nextModes: (agent: string, ...modes: ReadonlyArray<Mode>) => void
  /** What was counted by the effect. */
  readonly counted: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<[A, State["counts"]], E, R>
}

const at = (millis: number) => DateTime.makeUnsafe(millis)

/** Nothing here is called: these tests look at who lends what to whom. */
export const connection = (state: State, agentId: AgentId, number: number): Connection => {
  const unsupported = Effect.suspend(() => new Unsupported({ feature: "test" }))
  return {
    number,
    agentId,
    features: new Set(),
    liveness: () => state.liveness.get(number) ?? "live",
    closed: Effect.never,
    processes: {
      run: () => unsupported,
      start: () => unsupported,
      output: () => unsupported,
      follow: () => Stream.fail(new Unsupported({ feature: "test" })),
      list: unsupported,
      signal: () => unsupported
    },
    files: {
      read: () => unsupported,
      write: () => unsupported,
      edit: () => unsupported,
      stat: () => unsupported,
      list: () => unsupported
    }
  }
}

const transportOf = (state: State) =>
  AgentTransport.of({
    features: new Set(),
    presence: (agentId) => state.presence.get(agentId) ?? "unknown",
    dial: (agentId) =>
      Effect.flatMap(Carried, (carried) => {
        state.carried.add(carried)
        const number = ++state.counts.dials
        state.calls.push(`dial ${agentId}`)
        state.running++
        const mode = state.nextModes.get(agentId)?.shift() ?? state.modes.get(agentId) ?? {}
        const { after = 0, stubborn = false, ends = "accept" } = mode
        const outcome = ends === "accept"
          ? Effect.acquireRelease(
            Effect.sync(() => {
              state.acquired.push(`${agentId}#${number}`)
              return connection(state, agentId, number)
            }),
            () => Effect.sync(() => state.released.push(`${agentId}#${number}`))
          )
          : ends === "refuse"
          ? Effect.fail(new DialFailed({ agentId, reason: "refused" }))
          : ends === "hang"
          ? Effect.never
          : ends === "die"
          ? Effect.die("the transport is broken")
          : Effect.interrupt
        const whole = after === 0 ? outcome : Effect.andThen(Effect.sleep(after), outcome)
        return Effect.ensuring(
          stubborn ? Effect.uninterruptible(whole) : whole,
          Effect.sync(() => state.running--)
        )
      })
  })

const faulty = (state: State, port: Port) => <A>(effect: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
  Effect.flatMap(Carried, (carried) => {
    state.carried.add(carried)
    state.counts[port]++
    state.calls.push(port)
    const { after = 0, fail = false, stubborn = false } = state.faults.get(port) ?? {}
    const outcome = fail ? Effect.fail(new StoreError({ operation: port })) : effect
    const whole = after === 0 ? outcome : after === Infinity ? Effect.never : Effect.delay(outcome, after)
    return stubborn ? Effect.uninterruptible(whole) : whole
  })

const covered = (state: State) => <A extends Pick<AgentSnapshot, "coveredSince">>(snapshot: A): A => ({
  ...snapshot,
  coveredSince: at(state.coveredSince ?? -86_400_000)
})

/**
 * A layer of its own for each world. With the test it ends, on the clock of the test: the drain sleeps on it. Then
 * nothing is left: every connection is released exactly once, and no dial runs.
 */
export const make = Effect.gen(function*() {
  const layerScope = yield* Scope.make()
  const world = yield* makeIn(layerScope)
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      const closing = yield* Effect.forkDetach(Scope.close(layerScope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(closing)
      assertNothingLeft(world)
    })
  )
  return world
})

/** After the end of the layer. */
export const assertNothingLeft = ({ state }: World, message?: string) => {
  assert.deepStrictEqual([...state.released].sort(), [...state.acquired].sort(), message)
  assert.strictEqual(state.running, 0, message)
}

/** A world whose layer ends with the scope. */
export const makeIn = Effect.fnUntraced(function*(layerScope: Scope.Closeable) {
  const state = makeState()
  const memory = yield* Layer.buildWithScope(
    Layer.provideMerge(Layer.merge(ChatBindings.layerMemory, WorkspaceAgents.layerMemory), MemoryStore.layer),
    layerScope
  )
  const store = Context.get(memory, MemoryStore.MemoryStore)
  const bindings = Context.get(memory, ChatBindings.ChatBindings)
  const agents = Context.get(memory, WorkspaceAgents.WorkspaceAgents)
  const ports = Layer.mergeAll(
    Layer.succeed(AgentTransport, transportOf(state)),
    Layer.succeed(
      ChatBindings.ChatBindings,
      ChatBindings.ChatBindings.of({
        get: (chatId) => faulty(state, "get")(bindings.get(chatId)),
        bindWorkspace: bindings.bindWorkspace,
        bindAgent: (seen, buildId, agentId) =>
          faulty(state, "bindAgent")(Effect.suspend(() => {
            const other = state.beforeBindAgent
            state.beforeBindAgent = undefined
            other?.()
            return bindings.bindAgent(seen, buildId, agentId)
          }))
      })
    ),
    Layer.succeed(
      WorkspaceAgents.WorkspaceAgents,
      WorkspaceAgents.WorkspaceAgents.of({
        agent: (agentId) => faulty(state, "agent")(Effect.map(agents.agent(agentId), Option.map(covered(state)))),
        latestBuild: (id) =>
          faulty(state, "latestBuild")(Effect.map(agents.latestBuild(id), Option.map(covered(state))))
      })
    )
  )
  const context = yield* Layer.buildWithScope(Layer.provide(chatWorkspacesLayer, ports), layerScope)

  const edit = (agent: string, change: (now: number) => Partial<Agent>) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const row = store.agents.get(agentId(agent))
      if (row !== undefined) {
        store.agents.set(agentId(agent), { ...row, agent: new Agent({ ...row.agent, ...change(now) }) })
      }
    })

  const now = yield* Clock.currentTimeMillis
  const world: World = {
    state,
    store,
    chats: Context.get(context, ChatWorkspaces),
    layerScope,
    build: ({ agents = [], number, status = "succeeded", transition = "start", workspaceId = workspace }) => {
      const build = new Build({
        buildId: BuildId.make(`${workspaceId}-${number}`),
        workspaceId,
        number,
        transition,
        status,
        logTail: null
      })
      const before = store.workspaces.get(workspaceId)?.builds ?? []
      store.workspaces.set(workspaceId, { owner, builds: [...before.filter((other) => other.number < number), build] })
      for (const [index, name] of agents.entries()) {
        store.agents.set(agentId(name), {
          agent: new Agent({
            agentId: agentId(name),
            workspaceId,
            buildId: build.buildId,
            parentId: null,
            name,
            displayOrder: index,
            connectionTimeout: Duration.seconds(120),
            lifecycle: "ready",
            startedAt: at(now),
            firstConnectedAt: at(now),
            lastConnectedAt: at(now + 3_600_000),
            disconnectedAt: null
          }),
          secretHash: new Uint8Array(),
          epoch: 1,
          nodeId: null,
          incarnation: null,
          heardAt: now
        })
      }
      return build
    },
    bind: ({ agent = null, build, chatId = chat, workspaceId = workspace }) => {
      const generation = (store.chats.get(chatId)?.binding.generation ?? 0) + 1
      const binding = new Binding({
        chatId,
        workspaceId,
        buildId: build === undefined ? null : BuildId.make(`${workspaceId}-${build}`),
        agentId: agent === null ? null : agentId(agent),
        generation
      })
      store.chats.set(chatId, { owner, binding })
      return binding
    },
    row: (chatId = chat) => store.chats.get(chatId)?.binding,
    silentFor: (agent, millis, disconnected = false) =>
      edit(agent, (now) => ({
        lastConnectedAt: at(now - millis),
        disconnectedAt: disconnected ? at(now - millis) : null
      })),
    neverConnected: (agent, startedAgo, connectionTimeout) =>
      edit(agent, (now) => ({
        startedAt: at(now - startedAgo),
        connectionTimeout: Duration.millis(connectionTimeout),
        firstConnectedAt: null,
        lastConnectedAt: null,
        disconnectedAt: null
      })),
    presence: (agent, presence) => {
      state.presence.set(agentId(agent), presence)
    },
    mode: (agent, mode) => {
      state.modes.set(agentId(agent), mode)
    },
    nextModes: (agent, ...modes) => {
      state.nextModes.set(agentId(agent), [...modes])
    },
    counted: (effect) =>
      Effect.suspend(() => {
        const before = { ...state.counts }
        return Effect.map(effect, (value) => [value, difference(state.counts, before)])
      })
  }
  return world
})

const difference = (now: State["counts"], before: State["counts"]): State["counts"] => ({
  get: now.get - before.get,
  bindAgent: now.bindAgent - before.bindAgent,
  agent: now.agent - before.agent,
  latestBuild: now.latestBuild - before.latestBuild,
  dials: now.dials - before.dials
})

/** The number of the connection that a call was lent. */
export const numberOf = (exit: Exit.Exit<AgentConnection, unknown> | undefined): number | undefined =>
  exit !== undefined && Exit.isSuccess(exit) ? (exit.value as Connection).number : undefined
