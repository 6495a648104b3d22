/**
 * A world for waits: the queue and the agents in memory, a transport by script, and a store that fails or hangs on demand.
 * The test is the runner.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { AgentTransport } from "../../../src/agent/AgentTransport.ts"
import { Agent } from "../../../src/domain/Agent.ts"
import { type BuildOutcome, BuildRecord, type Transition } from "../../../src/domain/Build.ts"
import { StoreError } from "../../../src/domain/Errors.ts"
import { AgentId, BuildId, NodeId, OwnerId, TemplateId, WorkspaceId } from "../../../src/domain/Ids.ts"
import { WorkspaceName } from "../../../src/domain/Workspace.ts"
import * as Readiness from "../../../src/provisioner/Readiness.ts"
import * as Builds from "../../../src/store/Builds.ts"
import * as MemoryStore from "../../../src/store/MemoryStore.ts"
import * as Signals from "../../../src/store/Signals.ts"
import * as WorkspaceAgents from "../../../src/store/WorkspaceAgents.ts"
import * as ScriptedTransport from "../../../src/testing/ScriptedTransport.ts"

export const owner = OwnerId.make("ann")
export const workspaceId = WorkspaceId.make("w1")
export const agentId = (name: string): AgentId => AgentId.make(`agent ${name}`)
export const main = agentId("main")

/** What the store does with the calls of a wait, and how many there were. */
export class Faults extends Context.Service<Faults, {
  mode: "answer" | "fail" | "hang"
  /** The calls that `mode` is about; all, unless said otherwise. */
  of: ReadonlyArray<"get" | "log" | "latestBuild">
  /** How far the clock of the store is before that of the node, in milliseconds. */
  ahead: number
  /** What happens while a call is on its way back. */
  meanwhile: Effect.Effect<void>
  readonly counts: { get: number; log: number; latestBuild: number }
}>()("test/Faults") {}

const faulty = Effect.fnUntraced(function*() {
  const faults: Faults["Service"] = {
    mode: "answer",
    of: ["get", "log", "latestBuild"],
    ahead: 0,
    meanwhile: Effect.void,
    counts: { get: 0, log: 0, latestBuild: 0 }
  }
  const builds = yield* Builds.Builds
  const agents = yield* WorkspaceAgents.WorkspaceAgents
  const read = ({ asOf }: { readonly asOf: DateTime.Utc }) => DateTime.add(asOf, { milliseconds: faults.ahead })
  const through = <A>(name: keyof typeof faults.counts, call: Effect.Effect<A, StoreError>) =>
    Effect.suspend((): Effect.Effect<A, StoreError> => {
      faults.counts[name]++
      return faults.mode === "answer" || !faults.of.includes(name)
        ? Effect.tap(call, () => faults.meanwhile)
        : faults.mode === "fail"
        ? Effect.fail(new StoreError({ operation: name }))
        : Effect.uninterruptible(Effect.never)
    })
  return Context.make(Faults, faults).pipe(
    Context.add(Builds.Builds, {
      ...builds,
      get: (buildId) =>
        through(
          "get",
          Effect.map(builds.get(buildId), Option.map((record) => new BuildRecord({ ...record, asOf: read(record) })))
        ),
      log: (options) => through("log", builds.log(options))
    }),
    Context.add(WorkspaceAgents.WorkspaceAgents, {
      ...agents,
      latestBuild: (workspaceId) =>
        through(
          "latestBuild",
          Effect.map(agents.latestBuild(workspaceId), Option.map((latest) => ({ ...latest, asOf: read(latest) })))
        )
    })
  )
})

/** Everything below the waits; a layer of waits over it may be built more than once. */
export const ground = Layer.effectContext(faulty()).pipe(
  Layer.provideMerge(Layer.mergeAll(Builds.layerMemory, WorkspaceAgents.layerMemory)),
  Layer.provideMerge(Layer.mergeAll(MemoryStore.layer, ScriptedTransport.layer, Signals.layer))
)

export type Ground =
  | Faults
  | Builds.Builds
  | WorkspaceAgents.WorkspaceAgents
  | MemoryStore.MemoryStore
  | ScriptedTransport.ScriptedTransport
  | AgentTransport
  | Signals.Signals

export const layer = Layer.provideMerge(Readiness.layer, ground)

let numbers = 0
const newBuildId = () => BuildId.make(`build ${++numbers}`)

/** Asks for a build: the first is a workspace's start. */
export const asked = Effect.fnUntraced(function*(transition: Transition = "start") {
  const builds = yield* Builds.Builds
  const build = { buildId: newBuildId(), parameters: {}, repeatable: false }
  const latest = yield* builds.latest(workspaceId)
  if (Option.isNone(latest)) {
    yield* builds.createWorkspace({
      owner,
      workspaceId,
      templateId: TemplateId.make("node"),
      names: [WorkspaceName.make("shop")],
      build,
      chat: null,
      limit: { count: 3, within: Duration.hours(1) }
    })
  } else {
    yield* builds.request({ owner, workspaceId, transition, after: latest.value.build.number, build, chat: null })
  }
  return build.buildId
})

/** Takes the build that waits. */
export const taken = Effect.gen(function*() {
  const builds = yield* Builds.Builds
  const took = yield* builds.take({
    nodeId: NodeId.make("runner"),
    lease: Duration.hours(2),
    limit: Duration.hours(2),
    attempts: 3
  })
  return Option.getOrThrow(took)
})

export const finished = Effect.fnUntraced(function*(buildId: BuildId, outcome: BuildOutcome = { _tag: "Succeeded" }) {
  const builds = yield* Builds.Builds
  yield* builds.finish({ buildId, epoch: 1, outcome })
})

/** Its node says that something about the build has changed. */
export const notified = (buildId: BuildId) =>
  Effect.flatMap(Signals.Signals, ({ notify }) => notify(Signals.build(buildId)))

export const logged = Effect.fnUntraced(
  function*(buildId: BuildId, ...lines: ReadonlyArray<readonly [number, string]>) {
    const builds = yield* Builds.Builds
    yield* builds.appendLog({ buildId, epoch: 1, lines: lines.map(([number, text]) => ({ number, text })) })
  }
)

/** A workspace whose start has just succeeded, with these agents. */
export const started = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const builds = yield* Builds.Builds
  const buildId = yield* asked()
  yield* taken
  yield* builds.prepareAgents({
    buildId,
    epoch: 1,
    agents: names.map((name, displayOrder) => ({
      agentId: agentId(name),
      parentId: null,
      name,
      displayOrder,
      connectionTimeout: Duration.seconds(120),
      secretHash: new Uint8Array()
    }))
  })
  yield* finished(buildId)
  return buildId
})

/** Writes to the row of an agent. */
export const agentIs = (fields: Partial<Agent>, id: AgentId = main) =>
  Effect.map(MemoryStore.MemoryStore, ({ agents }) => {
    const row = agents.get(id)
    if (row !== undefined) agents.set(id, { ...row, agent: new Agent({ ...row.agent, ...fields }) })
  })

/** The agent connects: dials succeed, and the store knows since when. */
export const connected = Effect.fnUntraced(function*(lifecycle: Agent["lifecycle"] = "ready") {
  const transport = yield* ScriptedTransport.ScriptedTransport
  const now = yield* DateTime.now
  yield* agentIs({ firstConnectedAt: now, lastConnectedAt: now, lifecycle })
  yield* transport.accept(main)
})
