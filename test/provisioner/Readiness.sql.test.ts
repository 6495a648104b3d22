import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Logger } from "effect"
import { unbound } from "../../src/domain/Binding.ts"
import { ChatId, Incarnation, NodeId } from "../../src/domain/Ids.ts"
import * as BuildRunner from "../../src/provisioner/BuildRunner.ts"
import * as ProvisionerConfig from "../../src/provisioner/ProvisionerConfig.ts"
import * as Readiness from "../../src/provisioner/Readiness.ts"
import * as Workspaces from "../../src/provisioner/Workspaces.ts"
import { AgentPresence } from "../../src/store/AgentPresence.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as Signals from "../../src/store/Signals.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import * as Templates from "../../src/store/Templates.ts"
import * as ScriptedProvider from "../../src/testing/ScriptedProvider.ts"
import * as ScriptedTransport from "../../src/testing/ScriptedTransport.ts"
import { emptyDatabase } from "../postgres.ts"
import { owner, template } from "./support/runners.ts"

const schema = "readiness"

/** One database, one provider, one network. */
const world = Layer.mergeAll(
  Layer.provideMerge(SqlStore.layer({ schema }), Migrations.layerMigrations({ schema })),
  ScriptedProvider.layer,
  ScriptedTransport.layer,
  Templates.layerMemory([template()]),
  Logger.layer([])
)

/** One of the nodes that work on it: nothing in memory is shared with another. */
const node = (name: string) =>
  Effect.map(
    Layer.build(
      Layer.fresh(
        Layer.mergeAll(
          Workspaces.layer,
          Readiness.layer,
          BuildRunner.layer({ gatewayUrl: "ws://gateway", nodeId: NodeId.make(name) })
        ).pipe(
          Layer.provide(Signals.layer),
          Layer.provide(ProvisionerConfig.layer({ poll: "100 millis", scriptsPoll: "100 millis" }))
        )
      )
    ),
    (context) => ({
      workspaces: Context.get(context, Workspaces.Workspaces),
      readiness: Context.get(context, Readiness.Readiness)
    })
  )

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })("two nodes on one database", (it) => {
  it.effect(
    "64 callers who want a workspace for one chat get the same one, started once, and later its stop",
    () =>
      Effect.gen(function*() {
        const provider = yield* ScriptedProvider.ScriptedProvider
        const transport = yield* ScriptedTransport.ScriptedTransport
        const presence = yield* AgentPresence
        const bindings = yield* ChatBindings
        yield* provider.onStart(({ agents }) =>
          Effect.forEach(agents, ({ agentId }) =>
            Effect.gen(function*() {
              const session = { agentId, nodeId: NodeId.make("a"), incarnation: Incarnation.make("i") }
              const { epoch } = yield* Effect.orDie(presence.attach(session))
              yield* Effect.orDie(presence.report({ agentId, epoch, lifecycle: "ready" }))
              yield* transport.accept(agentId)
            }), { discard: true })
        )
        const chatId = ChatId.make("chat")
        const [a, b] = [yield* node("a"), yield* node("b")]
        const get = Effect.fnUntraced(function*({ readiness, workspaces }: typeof a) {
          const created = yield* workspaces.create({
            owner,
            chat: unbound(chatId),
            templateId: template().templateId
          })
          const { buildId } = created._tag === "Created" ? created.build : created.binding
          return yield* readiness.of(buildId ?? assert.fail("the chat was bound to no build"))
        })
        const answers = yield* Effect.forEach(
          Array.from({ length: 64 }, (_, index) => index % 2 === 0 ? a : b),
          get,
          { concurrency: "unbounded" }
        )
        const same = answers.map(({ record: { build }, ...outcome }) => ({ ...outcome, build: { ...build } }))
        for (const answer of same) assert.deepStrictEqual(answer, same[0])
        assert.deepInclude(same[0], { failure: null, agentStatus: null, startupScripts: null })
        const { workspaceId } = yield* bindings.get(chatId)
        assert.deepStrictEqual(
          (yield* a.workspaces.list(owner)).map(({ workspace }) => workspace.workspaceId),
          [workspaceId]
        )
        assert.deepInclude(provider.counts("start"), { calls: 1, finished: 1 })

        const stop = yield* a.workspaces.request({
          owner,
          workspaceId: workspaceId ?? assert.fail("the chat has no workspace"),
          transition: "stop",
          chat: yield* bindings.get(chatId)
        })
        assert.strictEqual(stop._tag, "Queued")
        const stopped = yield* b.readiness.of(stop.build.buildId)
        assert.strictEqual(stopped.failure, null)
      }).pipe(Effect.provide(world), Effect.scoped),
    60_000
  )
})
