/** The whole API over PostgreSQL: everything is real but the provider, the agents and the model. */
import { Effect, Layer, Logger } from "effect"
import * as ChatWorkspaces from "../../../src/dial/ChatWorkspaces.ts"
import { Incarnation, NodeId } from "../../../src/domain/Ids.ts"
import * as ApiRoutes from "../../../src/http/ApiRoutes.ts"
import * as BuildRunner from "../../../src/provisioner/BuildRunner.ts"
import * as Enrollment from "../../../src/provisioner/Enrollment.ts"
import { ProviderFailed } from "../../../src/provisioner/Provider.ts"
import * as ProvisionerConfig from "../../../src/provisioner/ProvisionerConfig.ts"
import * as Readiness from "../../../src/provisioner/Readiness.ts"
import * as Workspaces from "../../../src/provisioner/Workspaces.ts"
import { AgentPresence } from "../../../src/store/AgentPresence.ts"
import * as Migrations from "../../../src/store/Migrations.ts"
import * as Signals from "../../../src/store/Signals.ts"
import * as SqlStore from "../../../src/store/SqlStore.ts"
import * as StoreConfig from "../../../src/store/StoreConfig.ts"
import * as Templates from "../../../src/store/Templates.ts"
import * as ScriptedModel from "../../../src/testing/ScriptedModel.ts"
import * as ScriptedProvider from "../../../src/testing/ScriptedProvider.ts"
import * as ScriptedTransport from "../../../src/testing/ScriptedTransport.ts"
import * as TestBuilds from "../../../src/testing/TestBuilds.ts"
import * as ChatTools from "../../../src/tool/ChatTools.ts"
import * as Explanation from "../../../src/turn/Explanation.ts"
import * as Turns from "../../../src/turn/Turns.ts"
import { serve } from "./requests.ts"

let schemas = 0

/** In a schema of its own. The model says the same to everything. */
export const world = Layer.unwrap(Effect.sync(() => {
  const schema = `http_${++schemas}`
  return Explanation.layer.pipe(
    Layer.provideMerge(Turns.layerWithoutSetup({ nodeId: NodeId.make("n") })),
    Layer.provide([ChatTools.layer, ScriptedModel.layerChoosing(() => ScriptedModel.say("Yes."))]),
    Layer.provideMerge(Layer.mergeAll(
      BuildRunner.layer({ gatewayUrl: "ws://gateway.test", nodeId: NodeId.make("runner") }),
      Workspaces.layer,
      Readiness.layer,
      Enrollment.layer,
      ChatWorkspaces.layer
    )),
    Layer.provideMerge(Layer.mergeAll(
      Layer.provideMerge(SqlStore.layer({ schema }), Migrations.layerMigrations({ schema })),
      Templates.layerMemory([TestBuilds.template]),
      ScriptedProvider.layer,
      ScriptedTransport.layer,
      Signals.layer,
      Logger.layer([])
    )),
    // Machines are slow when many tests run: a call must not end before its turn comes.
    Layer.provide(Layer.merge(
      StoreConfig.layer({ callTimeout: "30 seconds" }),
      ProvisionerConfig.layer({ poll: "100 millis", agentPoll: "100 millis", scriptsPoll: "100 millis" })
    ))
  )
}))

export const api = serve(ApiRoutes.layer())

/** Agents that are started attach to some node, and their scripts are done. */
export const agentsCome = Effect.gen(function*() {
  const provider = yield* ScriptedProvider.ScriptedProvider
  const presence = yield* AgentPresence
  yield* provider.onStart(({ agents }) =>
    Effect.forEach(agents, ({ agentId }) =>
      Effect.gen(function*() {
        const nodeId = NodeId.make("gateway")
        const { epoch } = yield* presence.attach({ agentId, nodeId, incarnation: Incarnation.make(agentId) })
        yield* presence.report({ agentId, epoch, lifecycle: "ready" })
      }), { discard: true }).pipe(Effect.mapError(({ message }) => new ProviderFailed({ detail: message })))
  )
})
