/**
 * You start from nothing: chats, stores, migrations, the gateway and its server in one program.
 *
 * `DATABASE_URL=postgres://… node examples/everything.ts`
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { AgentGateway } from "chat-workspace/agent"
import { ChatWorkspaces } from "chat-workspace/dial"
import { Enrollment } from "chat-workspace/provisioner"
import { Migrations, SqlStore } from "chat-workspace/store"
import { Config, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"

const DatabaseLive = PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })
const ServerLive = NodeHttpServer.layer(() => createServer({ maxHeaderSize: 16_384 }), {
  port: 4170,
  host: "127.0.0.1"
})
const StoresLive = SqlStore.layer().pipe(Layer.provide(Migrations.layerMigrations()))

const RoutesLive = Layer.merge(ChatWorkspaces.layer, Enrollment.layer).pipe(Layer.provideMerge(AgentGateway.layer()))

export const AppLive = AgentGateway.layerDrain().pipe(
  Layer.provideMerge(HttpRouter.serve(RoutesLive)), // below the drain, so that it closes when the agents have left
  Layer.provide([StoresLive, ServerLive]),
  Layer.provide(DatabaseLive)
)

if (import.meta.main) NodeRuntime.runMain(Layer.launch(AppLive))
