/**
 * You start from nothing: chats, stores, migrations, the gateway and its server, builds and the model's tools in one
 * program. `ChatTools.open({ chatId, owner })` then gives your model loop the tools of a chat.
 *
 * `DATABASE_URL=postgres://… node examples/everything.ts`
 */
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { AgentGateway } from "chat-workspace/agent"
import { ChatWorkspaces } from "chat-workspace/dial"
import { CommandProvider, ProcessProvider } from "chat-workspace/providers"
import * as Builds from "chat-workspace/provisioner"
import { Migrations, SqlStore } from "chat-workspace/store"
import { ChatTools } from "chat-workspace/tool"
import { Config, Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"

const DatabaseLive = PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })
const ServerLive = NodeHttpServer.layer(() => createServer({ maxHeaderSize: 16_384 }), {
  port: 4170,
  host: "127.0.0.1"
})
const StoresLive = SqlStore.layer().pipe(Layer.provide(Migrations.layerMigrations()))

const ProvidersLive = Layer.effect(
  Builds.Provider.Providers,
  Effect.map(
    Effect.all([
      ProcessProvider.make({ root: ".chat-workspace/workspaces" }), // folders of this host: no sandbox
      CommandProvider.make()
    ]),
    Builds.Provider.make
  )
)
const BuildsLive = Layer.mergeAll(
  Builds.Workspaces.layer,
  Builds.Readiness.layer,
  Builds.BuildRunner.layer({ gatewayUrl: "ws://127.0.0.1:4170/agent" })
).pipe(
  Layer.provide([Builds.BuildSignal.layer, Builds.TemplateDirectory.layer("templates")]),
  Layer.provide([ProvidersLive, NodeServices.layer])
)

const RoutesLive = ChatTools.layer.pipe(
  Layer.provideMerge(Layer.merge(ChatWorkspaces.layer, BuildsLive)),
  Layer.provideMerge(AgentGateway.layer())
)

export const AppLive = AgentGateway.layerDrain().pipe(
  Layer.provideMerge(HttpRouter.serve(RoutesLive)), // below the drain, so that it closes when the agents have left
  Layer.provide([StoresLive, ServerLive]),
  Layer.provide(DatabaseLive)
)

if (import.meta.main) NodeRuntime.runMain(Layer.launch(AppLive))
