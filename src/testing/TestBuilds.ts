/**
 * A world in which workspaces are built: `TestWorkspaces` with the real queue, runner, waits and tools over the same
 * tables, and a provider that does what a test says. With `Turns.layerWithoutSetup()` and a model over it, turns run.
 *
 * A start that succeeds brings its agents alive, and those of earlier starts are gone; a stop or delete ends them. So it
 * is until a verb says otherwise, and builds take no time. What a verb says holds for builds and agents to come.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import type { Lifecycle } from "../domain/Agent.ts"
import type { Transition } from "../domain/Build.ts"
import type { AgentId, WorkspaceId } from "../domain/Ids.ts"
import { Template } from "../domain/Template.ts"
import * as BuildRunner from "../provisioner/BuildRunner.ts"
import type { Providers } from "../provisioner/Provider.ts"
import * as Readiness from "../provisioner/Readiness.ts"
import * as Workspaces from "../provisioner/Workspaces.ts"
import * as Builds from "../store/Builds.ts"
import * as MemoryStore from "../store/MemoryStore.ts"
import * as Signals from "../store/Signals.ts"
import * as Templates from "../store/Templates.ts"
import * as TurnStore from "../store/TurnStore.ts"
import * as ChatTools from "../tool/ChatTools.ts"
import * as ScriptedProvider from "./ScriptedProvider.ts"
import { ScriptedStores } from "./ScriptedStores.ts"
import * as TestWorkspaces from "./TestWorkspaces.ts"

/**
 * What a build does: it prints these lines, takes so long, and then succeeds; unless it fails with a reason, or hangs
 * until the next word about builds.
 *
 * @since 0.1.0
 * @category models
 */
export interface BuildScript {
  readonly prints?: ReadonlyArray<string> | undefined
  readonly takes?: Duration.Input | undefined
  readonly fails?: string | undefined
  readonly hangs?: boolean | undefined
}

/**
 * What an agent does: it comes so long after its build, at once unless said otherwise. Its start-up scripts take so long,
 * and then come to this; they are done at once unless said otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentScript {
  readonly comesAfter?: Duration.Input | "never" | undefined
  readonly scripts?: Lifecycle | undefined
  readonly scriptsTake?: Duration.Input | undefined
}

/**
 * The hands on what is built.
 *
 * @since 0.1.0
 * @category services
 */
export class TestBuilds extends Context.Service<TestBuilds, {
  /** What builds do, of one transition or of all. */
  readonly onBuild: (script: BuildScript, transition?: Transition | undefined) => Effect.Effect<void>
  /** What the agents of starts do. */
  readonly onAgent: (script: AgentScript) => Effect.Effect<void>
  /** Completes when so many builds have begun, counted from the beginning. */
  readonly untilBuilding: (builds: number, transition?: Transition | undefined) => Effect.Effect<void>
  /** How many builds have begun. */
  readonly built: (transition?: Transition | undefined) => number
}>()("chat-workspace/testing/TestBuilds") {}

/**
 * Everything that the layer provides.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | TestWorkspaces.Services
  | TestBuilds
  | ChatTools.ChatTools
  | Workspaces.Workspaces
  | Readiness.Readiness
  | BuildRunner.BuildRunner
  | Signals.Signals
  | Builds.Builds
  | Templates.Templates
  | TurnStore.TurnStore
  | Providers
  | ScriptedProvider.ScriptedProvider

/**
 * The template of all workspaces here. It has one agent, and one parameter that need not be given.
 *
 * @since 0.1.0
 * @category constants
 */
export const template: Template = new Template({
  templateId: TestWorkspaces.templateId,
  name: "Test",
  description: "A workspace for tests.",
  readme: null,
  parameters: [{ name: "size", type: "number", default: 1, min: 1, max: 8 }],
  agents: [{ name: "main", displayOrder: 0 }],
  provider: { type: ScriptedProvider.type, settings: {}, directory: null },
  owners: null,
  startupScript: null,
  shutdownScript: null,
  connectionTimeout: Duration.seconds(120)
})

const make = Effect.gen(function*() {
  const store = yield* MemoryStore.MemoryStore
  const world = yield* TestWorkspaces.TestWorkspaces
  const provider = yield* ScriptedProvider.ScriptedProvider
  const scope = yield* Effect.scope
  let agents: AgentScript = {}

  /** One that was stopped or replaced before it came does not come any more. */
  const comes = (agentId: AgentId, lifecycle: Lifecycle) =>
    Effect.suspend(() => {
      const row = store.agents.get(agentId)
      return row !== undefined && store.isValid(row.agent) ? world.agentComes(agentId, { lifecycle }) : Effect.void
    })

  const play = Effect.fnUntraced(function*(agentId: AgentId, { comesAfter, scripts, scriptsTake }: AgentScript) {
    if (comesAfter === "never") return
    if (comesAfter !== undefined) yield* Effect.sleep(comesAfter)
    if (scriptsTake !== undefined) {
      yield* comes(agentId, "starting")
      yield* Effect.sleep(scriptsTake)
    }
    yield* comes(agentId, scripts ?? "ready")
  })

  const allGo = (workspaceId: WorkspaceId, except: ReadonlyArray<AgentId> = []) =>
    Effect.forEach(
      Array.from(store.agents.values(), ({ agent }) => agent)
        .filter((agent) => agent.workspaceId === workspaceId && !except.includes(agent.agentId)),
      ({ agentId }) => world.agentGoes(agentId),
      { discard: true }
    )

  yield* provider.onStart((request) =>
    Effect.andThen(
      allGo(request.workspace.workspaceId, request.agents.map(({ agentId }) => agentId)),
      Effect.forEach(
        request.agents,
        ({ agentId }) => Effect.forkIn(play(agentId, agents), scope, { startImmediately: true }),
        { discard: true }
      )
    )
  )
  yield* provider.onEnd(({ workspace }) => allGo(workspace.workspaceId))

  return TestBuilds.of({
    onBuild: Effect.fnUntraced(function*({ fails, hangs, prints, takes }, transition) {
      yield* provider.print(prints ?? [], transition)
      yield* provider.takes(takes ?? 0, transition)
      yield* hangs === true
        ? provider.hang(transition)
        : fails !== undefined
        ? provider.fail(fails, transition)
        : provider.succeed(transition)
    }),
    onAgent: (script) =>
      Effect.sync(() => {
        agents = script
      }),
    untilBuilding: provider.untilCalled,
    built: (transition) => provider.counts(transition).calls
  })
})

/** The queue stands in the database that `databaseDown` is about. */
const layerQueue: Layer.Layer<Builds.Builds, never, MemoryStore.MemoryStore | ScriptedStores> = Layer.effect(
  Builds.Builds,
  Effect.gen(function*() {
    const builds = yield* Builds.Builds
    const { behind } = yield* ScriptedStores
    return Builds.Builds.of({
      createWorkspace: (options) => behind(builds.createWorkspace(options)),
      request: (options) => behind(builds.request(options)),
      cancel: (options) => behind(builds.cancel(options)),
      take: (options) => behind(builds.take(options)),
      renew: (options) => behind(builds.renew(options)),
      prepareAgents: (options) => behind(builds.prepareAgents(options)),
      appendLog: (options) => behind(builds.appendLog(options)),
      lastLine: (buildId) => behind(builds.lastLine(buildId)),
      finish: (options) => behind(builds.finish(options)),
      release: (options) => behind(builds.release(options)),
      get: (buildId) => behind(builds.get(buildId)),
      latest: (workspaceId) => behind(builds.latest(workspaceId)),
      log: (options) => behind(builds.log(options)),
      workspace: (workspaceId) => behind(builds.workspace(workspaceId)),
      workspaces: (owner) => behind(builds.workspaces(owner))
    })
  })
).pipe(Layer.provide(Builds.layerMemory))

/** And so do the turns. */
const layerTurns: Layer.Layer<TurnStore.TurnStore, never, MemoryStore.MemoryStore | ScriptedStores> = Layer.effect(
  TurnStore.TurnStore,
  Effect.gen(function*() {
    const turns = yield* TurnStore.TurnStore
    const { behind } = yield* ScriptedStores
    return TurnStore.TurnStore.of({
      begin: (options) => behind(turns.begin(options)),
      renew: (options) => behind(turns.renew(options)),
      append: (options) => behind(turns.append(options)),
      appendEvents: (options) => behind(turns.appendEvents(options)),
      finish: (options) => behind(turns.finish(options)),
      interrupt: (options) => behind(turns.interrupt(options)),
      sweep: (options) => behind(turns.sweep(options)),
      get: (options) => behind(turns.get(options)),
      latest: (options) => behind(turns.latest(options)),
      history: (options) => behind(turns.history(options)),
      events: (options) => behind(turns.events(options))
    })
  })
).pipe(Layer.provide(TurnStore.layerMemory))

/** Hashes at once: while a hash is really waited for, virtual time would pass the build by. */
const layerDigest: Layer.Layer<Digest.Digest> = Layer.sync(Digest.Digest, () => {
  const digest = ({ name }: Digest.Algorithm, data: Uint8Array) =>
    Effect.sync(() => new Uint8Array(createHash(name.toLowerCase().replace("-", "")).update(data).digest()))
  return Digest.Digest.of({
    digest,
    digestHex: (algorithm, data) => Effect.map(digest(algorithm, data), Hex.encode)
  })
})

/**
 * The world with templates of your own. They choose the provider `ScriptedProvider.type`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: { readonly templates: Iterable<Template> }): Layer.Layer<Services> =>
  Layer.mergeAll(
    Layer.effect(TestBuilds, make),
    ChatTools.layer,
    BuildRunner.layerNoDeps({ gatewayUrl: "ws://gateway.test" }).pipe(
      Layer.provide([layerDigest, SecureRandom.layerWebCrypto])
    )
  ).pipe(
    Layer.provideMerge(Layer.merge(Workspaces.layer, Readiness.layer)),
    Layer.provideMerge(Layer.mergeAll(
      layerQueue,
      layerTurns,
      Templates.layerMemory(options.templates),
      ScriptedProvider.layer,
      Signals.layer
    )),
    Layer.provideMerge(TestWorkspaces.layer)
  )

/**
 * The world, with the hands on it. Its bounds are those of `ProvisionerConfig` and `DialConfig`, where these are provided
 * to it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Services> = layerWith({ templates: [template] })

/**
 * Runs an effect in a world of its own, as `TestWorkspaces.provide` does.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Services>> =>
  TestWorkspaces.provideWith(layer, { drain: "10 seconds" })(effect)
