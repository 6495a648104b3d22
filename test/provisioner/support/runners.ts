/**
 * A queue of builds in memory whose calls can be made to fail or hang, a provider by script, and runners on both.
 *
 * Times are of the virtual clock. With the test every runner ends, and then nothing is left of it.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert } from "@effect/vitest"
import { Clock, Context, Deferred, Duration, Effect, Layer, Logger, Metric, Option, Scope, Tracer } from "effect"
import type { Transition } from "../../../src/domain/Build.ts"
import { StoreError } from "../../../src/domain/Errors.ts"
import { BuildId, NodeId, OwnerId, TemplateId, WorkspaceId } from "../../../src/domain/Ids.ts"
import { Template } from "../../../src/domain/Template.ts"
import { WorkspaceName } from "../../../src/domain/Workspace.ts"
import * as BuildRunner from "../../../src/provisioner/BuildRunner.ts"
import { Providers } from "../../../src/provisioner/Provider.ts"
import * as ProvisionerConfig from "../../../src/provisioner/ProvisionerConfig.ts"
import * as AgentPresence from "../../../src/store/AgentPresence.ts"
import * as Builds from "../../../src/store/Builds.ts"
import * as MemoryStore from "../../../src/store/MemoryStore.ts"
import * as Signals from "../../../src/store/Signals.ts"
import * as Templates from "../../../src/store/Templates.ts"
import * as ScriptedProvider from "../../../src/testing/ScriptedProvider.ts"
import * as VirtualTime from "../../../src/testing/VirtualTime.ts"

export const owner = OwnerId.make("ann")

export const template = (options?: Partial<Template>) =>
  new Template({
    templateId: TemplateId.make("dev"),
    name: "dev",
    description: "",
    readme: null,
    parameters: [],
    agents: [{ name: "main", displayOrder: 0 }],
    provider: { type: ScriptedProvider.type, settings: {}, directory: null },
    owners: null,
    startupScript: null,
    shutdownScript: null,
    connectionTimeout: Duration.seconds(120),
    ...options
  })

/** The calls of a runner. */
export type Call = "take" | "renew" | "prepareAgents" | "appendLog" | "finish" | "release" | "template"

export type Fault = "fail" | "hang" | "die" | "stubborn"

const makeFaults = () => {
  const faults = new Map<Call, { readonly fault: Fault; readonly healed: Deferred.Deferred<void> }>()
  const counts = new Map<Call, number>()
  return {
    count: (call: Call) => counts.get(call) ?? 0,
    set: (call: Call, fault: Fault) => {
      faults.set(call, { fault, healed: Deferred.makeUnsafe() })
    },
    heal: (call: Call) => {
      const before = faults.get(call)
      faults.delete(call)
      if (before !== undefined) Deferred.doneUnsafe(before.healed, Effect.void)
    },
    through: <A, E>(call: Call, effect: Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
      Effect.suspend((): Effect.Effect<A, E | StoreError> => {
        counts.set(call, (counts.get(call) ?? 0) + 1)
        const scripted = faults.get(call)
        switch (scripted?.fault) {
          case undefined:
            return effect
          case "fail":
            return Effect.fail(new StoreError({ operation: call }))
          case "die":
            return Effect.die(`${call} is broken`)
          case "hang":
            return Effect.andThen(Deferred.await(scripted.healed), effect)
          case "stubborn":
            return Effect.uninterruptible(Effect.andThen(Deferred.await(scripted.healed), effect))
        }
      })
  }
}

/** One record for each line of the log. */
export interface Logged {
  readonly level: string
  readonly message: string
  readonly text: string
}

export const make = Effect.fnUntraced(function*(options?: {
  readonly templates?: ReadonlyArray<Template> | undefined
  readonly config?: ProvisionerConfig.Options | undefined
}) {
  const faults = makeFaults()
  const logged: Array<Logged> = []
  const spans: Array<Tracer.Span> = []
  let fibers = 0

  const memory = yield* Layer.build(
    Layer.provideMerge(
      Layer.mergeAll(
        Builds.layerMemory,
        AgentPresence.layerMemory,
        Templates.layerMemory(options?.templates ?? [template()]),
        ScriptedProvider.layer
      ),
      MemoryStore.layer
    )
  )
  const builds = Context.get(memory, Builds.Builds)
  const templates = Context.get(memory, Templates.Templates)
  const script = Context.get(memory, ScriptedProvider.ScriptedProvider)
  const store = Context.get(memory, MemoryStore.MemoryStore)

  const faulty = Builds.Builds.of({
    ...builds,
    take: (call) => faults.through("take", Effect.withSpan(builds.take(call), "take")),
    renew: (call) => faults.through("renew", builds.renew(call)),
    prepareAgents: (call) => faults.through("prepareAgents", builds.prepareAgents(call)),
    appendLog: (call) => faults.through("appendLog", builds.appendLog(call)),
    finish: (call) => faults.through("finish", builds.finish(call)),
    release: (call) => faults.through("release", builds.release(call))
  })

  // Runs after the ends of all runners.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      assert.strictEqual(fibers, 0, "fibers of runners that are left")
      assert.strictEqual(script.counts().running, 0, "calls of the provider that are left")
    })
  )

  const logger = Logger.make(({ cause, logLevel, message }) => {
    const parts = Array.isArray(message) ? message : [message]
    logged.push({ level: logLevel, message: String(parts[0]), text: JSON.stringify([parts, String(cause)]) })
  })
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })

  /** A node with a runner and signals of its own, until the test ends or it is closed. */
  const runner = Effect.fnUntraced(function*(node: string, with_?: {
    readonly config?: ProvisionerConfig.Options | undefined
    readonly clock?: Clock.Clock | undefined
  }) {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithMemoMap(
      Layer.provideMerge(
        BuildRunner.layerNoDeps({ gatewayUrl: "ws://gateway", nodeId: NodeId.make(node) }),
        Signals.layer
      ).pipe(
        Layer.provide([NodeCrypto.layerDigest, NodeCrypto.layerSecureRandom]),
        Layer.provide(Layer.succeedContext(
          Context.pick(Providers)(memory).pipe(
            Context.add(Builds.Builds, faulty),
            Context.add(
              Templates.Templates,
              Templates.Templates.of({
                list: templates.list,
                get: (id) => faults.through("template", templates.get(id))
              })
            )
          )
        ))
      ),
      Layer.makeMemoMapUnsafe(),
      scope
    ).pipe(
      Effect.provide(Layer.mergeAll(
        ProvisionerConfig.layer({ ...options?.config, ...with_?.config }),
        Logger.layer([logger])
      )),
      Effect.withSpan("startup"),
      Effect.withTracer(tracer),
      Effect.provideService(Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => fibers++,
        recordFiberEnd: () => fibers--
      }),
      with_?.clock === undefined ? (self) => self : Effect.provideService(Clock.Clock, with_.clock)
    )
    const close = VirtualTime.close(scope)
    yield* Effect.addFinalizer(() => close)
    return {
      runner: Context.get(context, BuildRunner.BuildRunner),
      signals: Context.get(context, Signals.Signals),
      scope,
      close
    }
  })

  let made = 0

  /** Asks for a new workspace, and so for its first build. */
  const create = Effect.fnUntraced(function*(options?: {
    readonly repeatable?: boolean | undefined
    readonly template?: string | undefined
    readonly parameters?: Readonly<Record<string, string>> | undefined
  }) {
    const name = `w${++made}`
    const result = yield* builds.createWorkspace({
      owner,
      workspaceId: WorkspaceId.make(name),
      templateId: TemplateId.make(options?.template ?? "dev"),
      names: [WorkspaceName.make(name)],
      build: {
        buildId: BuildId.make(`${name}/1`),
        parameters: options?.parameters ?? {},
        repeatable: options?.repeatable ?? true
      },
      chat: null,
      limit: { count: 1, within: Duration.zero }
    })
    assert(result._tag === "Created")
    return result.build
  })

  /** Asks for another build of it. */
  const request = Effect.fnUntraced(function*(workspaceId: WorkspaceId, transition: Transition, repeatable = true) {
    const after = store.latestBuild(workspaceId)?.number ?? 0
    const buildId = BuildId.make(`${workspaceId}/${after + 1}`)
    const build = { buildId, parameters: {}, repeatable }
    const result = yield* builds.request({ owner, workspaceId, transition, after, build, chat: null })
    assert(result._tag === "Queued")
    return result.build
  })

  const record = (buildId: BuildId) => Effect.map(builds.get(buildId), Option.getOrThrow)

  return {
    builds,
    faults,
    logged,
    presence: Context.get(memory, AgentPresence.AgentPresence),
    script,
    spans,
    store,
    runner,
    create,
    request,
    record,
    status: (buildId: BuildId) => Effect.map(record(buildId), ({ build }) => build.status),
    log: (buildId: BuildId) => Effect.map(builds.log({ buildId, after: 0 }), (lines) => lines.map(({ text }) => text)),
    /** Gives the build to nobody: whoever has it finds that it lost it. */
    steal: (buildId: BuildId) =>
      Effect.sync(() => {
        const row = store.buildRows.get(buildId)
        if (row !== undefined) store.buildRows.set(buildId, { ...row, epoch: row.epoch + 1 })
      }),
    /** Warnings and what is worse. */
    warnings: () => logged.filter(({ level }) => level === "Warn" || level === "Error").map(({ message }) => message),
    fibers: () => fibers
  }
})
