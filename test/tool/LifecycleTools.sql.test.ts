import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger, Scope, Stream } from "effect"
import type { Duration } from "effect"
import { SqlClient } from "effect/sql"
import { AgentTransport } from "../../src/agent/AgentTransport.ts"
import * as ChatWorkspaces from "../../src/dial/ChatWorkspaces.ts"
import { ChatId, Incarnation, NodeId } from "../../src/domain/Ids.ts"
import * as BuildRunner from "../../src/provisioner/BuildRunner.ts"
import { Providers } from "../../src/provisioner/Provider.ts"
import { ProviderFailed } from "../../src/provisioner/Provider.ts"
import * as ProvisionerConfig from "../../src/provisioner/ProvisionerConfig.ts"
import * as Readiness from "../../src/provisioner/Readiness.ts"
import * as Workspaces from "../../src/provisioner/Workspaces.ts"
import { AgentPresence } from "../../src/store/AgentPresence.ts"
import { Builds } from "../../src/store/Builds.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as Signals from "../../src/store/Signals.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import * as StoreConfig from "../../src/store/StoreConfig.ts"
import * as Templates from "../../src/store/Templates.ts"
import * as ScriptedProvider from "../../src/testing/ScriptedProvider.ts"
import * as ScriptedTransport from "../../src/testing/ScriptedTransport.ts"
import * as TestBuilds from "../../src/testing/TestBuilds.ts"
import { owner } from "../../src/testing/TestWorkspaces.ts"
import * as ChatTools from "../../src/tool/ChatTools.ts"
import { databaseClient, emptyDatabase } from "../postgres.ts"

const chat = ChatId.make("chat")
const create = { template_id: TestBuilds.template.templateId }

let schemas = 0

class Schema extends Context.Service<Schema, string>()("test/tool/LifecycleTools.sql/Schema") {}

// Machines are slow when many tests run: a call must not end before its turn comes.
const boundsWith = (callTimeout: Duration.Input) =>
  Layer.merge(
    StoreConfig.layer({ callTimeout }),
    ProvisionerConfig.layer({ poll: "100 millis", agentPoll: "100 millis", scriptsPoll: "100 millis" })
  )
const bounds = boundsWith("30 seconds")

/** What all nodes share: the tables, in a schema of their own, the provider and the agents. */
const world = Layer.unwrap(Effect.sync(() => {
  const schema = `lifecycle_${++schemas}`
  return Layer.mergeAll(
    Layer.provideMerge(SqlStore.layer({ schema }), Migrations.layerMigrations({ schema })),
    Layer.succeed(Schema, schema),
    ScriptedProvider.layer,
    ScriptedTransport.layer,
    Logger.layer([])
  ).pipe(Layer.provide(bounds))
}))

/** Agents that are started attach to some node, and their scripts are done. */
const agentsCome = Effect.gen(function*() {
  const provider = yield* ScriptedProvider.ScriptedProvider
  const transport = yield* ScriptedTransport.ScriptedTransport
  const presence = yield* AgentPresence
  yield* provider.onStart(({ agents }) =>
    Effect.forEach(agents, ({ agentId }) =>
      Effect.gen(function*() {
        const nodeId = NodeId.make("gateway")
        const { epoch } = yield* presence.attach({ agentId, nodeId, incarnation: Incarnation.make(agentId) })
        yield* presence.report({ agentId, epoch, lifecycle: "ready" })
        yield* transport.accept(agentId)
      }), { discard: true }).pipe(Effect.mapError(({ message }) => new ProviderFailed({ detail: message })))
  )
})

/** A node of the application, with a pool and a runner of its own. */
const node = Effect.fnUntraced(function*(name: string, callTimeout?: Duration.Input) {
  const schema = yield* Schema
  const shared = Layer.mergeAll(
    Layer.succeed(Providers, yield* Providers),
    Layer.succeed(AgentTransport, yield* AgentTransport)
  )
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const context = yield* Layer.buildWithMemoMap(
    Layer.merge(
      ChatTools.layer,
      BuildRunner.layer({ gatewayUrl: "ws://gateway.test", nodeId: NodeId.make(name) })
    ).pipe(
      Layer.provide([Workspaces.layer, Readiness.layer, ChatWorkspaces.layer]),
      Layer.provide([
        SqlStore.layer({ schema }).pipe(Layer.provide(databaseClient())),
        Templates.layerMemory([TestBuilds.template]),
        Signals.layer,
        shared
      ]),
      Layer.provide(callTimeout === undefined ? bounds : boundsWith(callTimeout))
    ),
    Layer.makeMemoMapUnsafe(),
    scope
  )
  const tools = Context.get(context, ChatTools.ChatTools)
  const open = tools.open({ chatId: chat, owner })
  /** `waits` is run when the call has begun to wait. */
  const call = Effect.fnUntraced(function*(tool: string, params: object, waits: Effect.Effect<void> = Effect.void) {
    const { toolkit } = yield* open
    let waiting = false
    let answer: unknown
    yield* Stream.runForEach(Stream.unwrap(toolkit.handle(tool, params)), ({ encodedResult, preliminary }) => {
      if (!preliminary) answer = encodedResult
      if (!preliminary || waiting) return Effect.void
      waiting = true
      return waits
    })
    return JSON.stringify(answer)
  })
  return { open, call, close: Scope.close(scope, Exit.void) }
})

/** 64 calls, half of them on each node. The build goes on when all of them wait for it. */
const crowd = Effect.fnUntraced(function*(
  nodes: ReadonlyArray<Effect.Success<ReturnType<typeof node>>>,
  tool: string,
  params: object = {}
) {
  const provider = yield* ScriptedProvider.ScriptedProvider
  yield* provider.hang()
  let waiting = 0
  const waits = Effect.suspend(() => ++waiting === 64 ? provider.succeed() : Effect.void)
  const answers = yield* Effect.forEach(
    Array.from({ length: 64 / nodes.length }, () => nodes).flat(),
    ({ call }) => call(tool, params, waits),
    { concurrency: "unbounded" }
  )
  assert.strictEqual(answers.length, 64)
  assert.deepStrictEqual(Array.from(new Set(answers)), answers.slice(0, 1))
  return answers[0]
})

const made = Effect.flatMap(Builds, ({ workspaces }) => workspaces(owner))

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })("two nodes on one database", (it) => {
  it.effect("64 calls of create_workspace: one workspace, one build, 64 equal answers", () =>
    Effect.gen(function*() {
      const provider = yield* ScriptedProvider.ScriptedProvider
      yield* agentsCome
      const nodes = [yield* node("a"), yield* node("b")]
      assert.include(yield* crowd(nodes, "create_workspace", create), "\"created\":true")
      const all = yield* made
      assert.deepStrictEqual(all.map(({ latest }) => [latest?.build.number, latest?.build.status]), [[1, "succeeded"]])
      assert.deepInclude(provider.counts(), { calls: 1, finished: 1 })
    }).pipe(Effect.provide(world)), 60_000)

  it.effect(
    "64 calls of stop_workspace, then of start_workspace: one build each, and the chat works again",
    () =>
      Effect.gen(function*() {
        const provider = yield* ScriptedProvider.ScriptedProvider
        yield* agentsCome
        const first = yield* node("a")
        const nodes = [first, yield* node("b")]
        assert.include(yield* first.call("create_workspace", create), "\"created\":true")
        const connect = Effect.flatMap(
          first.open,
          ({ workspace }) => workspace.use((connection) => Effect.succeed(connection.agentId))
        )
        const before = yield* connect
        assert.include(yield* crowd(nodes, "stop_workspace"), "\"stopped\":true")
        assert.include(yield* crowd(nodes, "start_workspace"), "\"started\":true")
        assert.notStrictEqual(yield* connect, before)
        assert.deepStrictEqual(
          provider.requests().map(({ transition }) => transition),
          ["start", "stop", "start"]
        )
      }).pipe(Effect.provide(world)),
    60_000
  )

  it.effect(
    "a node that ends during a build: the call on the other waits for the same build",
    () =>
      Effect.gen(function*() {
        const provider = yield* ScriptedProvider.ScriptedProvider
        yield* agentsCome
        yield* provider.hang()
        const first = yield* node("a")
        yield* Effect.forkChild(first.call("create_workspace", create), { startImmediately: true })
        yield* provider.untilCalled(1)
        yield* first.close
        const second = yield* node("b")
        const result = yield* second.call("create_workspace", create, provider.succeed())
        const { buildId } = yield* Effect.flatMap(ChatBindings, ({ get }) => get(chat))
        assert.include(result, `"build_id":"${buildId}"`)
        assert.include(result, "\"created\":true")
        assert.strictEqual((yield* made).length, 1)
      }).pipe(Effect.provide(world)),
    60_000
  )

  it.effect(
    "a database that stands still in the middle of it: the call ends, and nothing is half made",
    () =>
      Effect.gen(function*() {
        yield* agentsCome
        const provider = yield* ScriptedProvider.ScriptedProvider
        const sql = yield* SqlClient.SqlClient
        const schema = yield* Schema
        const { call } = yield* node("a", "2 seconds")
        const lock = sql`lock table ${sql(schema)}.builds in access exclusive mode`
        const refused = yield* sql.withTransaction(Effect.andThen(lock, call("create_workspace", create)))
        assert.include(refused, "\"error\":\"store_error\"")
        assert.deepStrictEqual([(yield* made).length, provider.counts().calls], [0, 0])
        const next = yield* node("b")
        assert.include(yield* next.call("create_workspace", create), "\"created\":true")
        assert.strictEqual((yield* made).length, 1)
      }).pipe(Effect.provide(world)),
    60_000
  )
})
