/** The status of a world in memory: workspaces are built, turns run, and a test says what the transport knows. */
import { Effect, Layer } from "effect"
import { AgentTransport } from "../../../src/agent/AgentTransport.ts"
import type { TransportOverview, TransportView } from "../../../src/agent/AgentTransport.ts"
import { AgentId, NodeId } from "../../../src/domain/Ids.ts"
import * as Status from "../../../src/http/Status.ts"
import * as Activity from "../../../src/store/Activity.ts"
import * as Holders from "../../../src/store/Holders.ts"
import { WorkspaceAgents } from "../../../src/store/WorkspaceAgents.ts"
import { ScriptedModel, ScriptedStores, TestBuilds, TestWorkspaces } from "../../../src/testing/index.ts"
import * as Explanation from "../../../src/turn/Explanation.ts"
import * as Turns from "../../../src/turn/Turns.ts"

export type Services = TestBuilds.Services | Status.Status | Turns.Turns | ScriptedModel.ScriptedModel

export interface World extends Status.Options {
  /** What the model of turns says. */
  readonly script?: ReadonlyArray<ScriptedModel.Step>
  readonly onLook?: () => void
  readonly overview?: () => TransportOverview
  readonly describe?: (agentId: AgentId) => TransportView
}

/** It stands in the database that `databaseDown` is about, where living agents are heard when somebody reads of them. */
const layerActivity = ({ onLook }: World) =>
  Layer.effect(
    Activity.Activity,
    Effect.gen(function*() {
      const { look } = yield* Activity.Activity
      const { behind } = yield* ScriptedStores.ScriptedStores
      const agents = yield* WorkspaceAgents
      return Activity.Activity.of({
        look: (options) =>
          behind(Effect.gen(function*() {
            onLook?.()
            yield* agents.agent(AgentId.make("any"))
            return yield* look(options)
          }))
      })
    })
  ).pipe(Layer.provide(Activity.layerMemory))

const seeing = ({ describe, overview }: World) =>
  Layer.effect(
    AgentTransport,
    Effect.map(AgentTransport, (transport) => AgentTransport.of({ ...transport, describe, overview }))
  )

export const layer = (world: World = {}): Layer.Layer<Services> =>
  Status.layer(world).pipe(
    Layer.provide(Explanation.layer.pipe(Layer.provide(Holders.layerMemory))),
    Layer.provideMerge(Turns.layerWithoutSetup({ nodeId: NodeId.make("node-a") })),
    Layer.provide([layerActivity(world), seeing(world)]),
    Layer.provideMerge(ScriptedModel.layer(world.script ?? [])),
    Layer.provideMerge(TestBuilds.layer)
  )

/** Runs in a world of its own. */
export const provide = (world: World = {}) => TestWorkspaces.provideWith(layer(world), { drain: "10 seconds" })
