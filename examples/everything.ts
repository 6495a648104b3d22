/**
 * You start from nothing: chats, stores, migrations, the gateway, builds, the model's tools, turns, and the API over all of
 * it, in one program. It is what `chat-workspace serve` is made of.
 *
 * `DATABASE_URL=postgres://… API_TOKEN=… MODEL_BASE_URL=… MODEL_NAME=… node examples/everything.ts`
 */
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { AgentGateway } from "chat-workspace/agent"
import { ChatWorkspaces } from "chat-workspace/dial"
import { Ids } from "chat-workspace/domain"
import { ApiRoutes, Authentication } from "chat-workspace/http"
import { OpenAiCompat } from "chat-workspace/openai"
import { CommandProvider, ProcessProvider } from "chat-workspace/providers"
import * as Builds from "chat-workspace/provisioner"
import { Migrations, SqlSignals, SqlStore } from "chat-workspace/store"
import { ChatTools } from "chat-workspace/tool"
import { Explanation, Turns, TurnSetup } from "chat-workspace/turn"
import { Config, Effect, Layer } from "effect"
import { FetchHttpClient, HttpRouter } from "effect/http"
import { createServer } from "node:http"

const port = Config.withDefault(Config.Int("PORT"), 4170)
const folder = Config.withDefault(Config.String("WORKSPACES"), ".chat-workspace/workspaces")

const DatabaseLive = PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })
const ServerLive = NodeHttpServer.layerConfig(() => createServer(), { port, host: Config.succeed("127.0.0.1") })
const SignalsLive = Layer.unwrap(Effect.map(PgClient.PgClient, ({ listen }) => SqlSignals.layer({ listen })))
const StoresLive = Layer.merge(SqlStore.layer(), SignalsLive).pipe(Layer.provide(Migrations.layerMigrations()))

const ProvidersLive = Layer.effect(
  Builds.Provider.Providers,
  Effect.gen(function*() {
    const here = yield* ProcessProvider.make({ root: yield* folder }) // folders of this host: no sandbox
    return Builds.Provider.make([here, yield* CommandProvider.make()])
  })
)
const RunnerLive = Layer.unwrap(
  Effect.map(port, (port) => Builds.BuildRunner.layer({ gatewayUrl: `ws://127.0.0.1:${port}/agent` }))
)
const BuildsLive = Layer.mergeAll(Builds.Workspaces.layer, Builds.Readiness.layer, RunnerLive).pipe(
  Layer.provide(Builds.TemplateDirectory.layer("templates")),
  Layer.provide([ProvidersLive, NodeServices.layer])
)

const TurnsLive = Explanation.layer.pipe(
  Layer.provideMerge(Turns.layer()),
  Layer.provide([ChatTools.layer, TurnSetup.layer]),
  Layer.provideMerge(Layer.mergeAll(ChatWorkspaces.layer, BuildsLive, Builds.Enrollment.layer))
)
const AuthenticationLive = Layer.unwrap(
  Effect.map(
    Config.Redacted("API_TOKEN"),
    (token) => Authentication.layerToken({ token, owner: Ids.OwnerId.make("me") })
  )
)
const RoutesLive = Layer.merge(ApiRoutes.layer({ prefix: "/api" }), ApiRoutes.layerDocs({ prefix: "/api" })).pipe(
  Layer.provide(AuthenticationLive),
  Layer.provideMerge(TurnsLive),
  Layer.provideMerge(AgentGateway.layer())
)

// Released from the top: turns end while agents are there, and agents leave while the server listens.
export const AppLive = Turns.layerDrain.pipe(
  Layer.provideMerge(AgentGateway.layerDrain()),
  Layer.provideMerge(HttpRouter.serve(RoutesLive)),
  Layer.provide([StoresLive, ServerLive]),
  Layer.provide(DatabaseLive)
)

const ModelLive = OpenAiCompat.layerConfig.pipe(Layer.provide(FetchHttpClient.layer))

if (import.meta.main) NodeRuntime.runMain(Layer.launch(Layer.provide(AppLive, ModelLive)))
