/**
 * The parts that the demo plays on: a real PostgreSQL, the stores and the gateway over it, and an HTTP server whose life
 * is apart from the gateway's, so that it can be closed and opened again.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlError } from "effect/sql/SqlError"
import * as AgentGateway from "../../agent/AgentGateway.ts"
import type { AgentTransport } from "../../agent/AgentTransport.ts"
import * as GatewayConfig from "../../agent/GatewayConfig.ts"
import * as ChatWorkspaces from "../../dial/ChatWorkspaces.ts"
import * as DialConfig from "../../dial/DialConfig.ts"
import * as Enrollment from "../../provisioner/Enrollment.ts"
import * as ProvisionerConfig from "../../provisioner/ProvisionerConfig.ts"
import type { Builds } from "../../store/Builds.ts"
import type { ChatBindings } from "../../store/ChatBindings.ts"
import * as Migrations from "../../store/Migrations.ts"
import * as StoreConfig from "../../store/StoreConfig.ts"
import type { WorkspaceAgents } from "../../store/WorkspaceAgents.ts"
import type { PostgresUnavailable } from "../../testing/PostgresBinaries.ts"
import * as PostgresServer from "../../testing/PostgresServer.ts"
import * as Database from "../Database.ts"
import * as GatewayServer from "../GatewayServer.ts"
import * as Journal from "./Journal.ts"

/**
 * @since 0.1.0
 * @category services
 */
export class Backend extends Context.Service<Backend, {
  /** What agents call. */
  readonly agentUrl: string
  readonly postgres: PostgresServer.PostgresServer["Service"]
  /** Closes the HTTP server with all its sockets, and opens it again at the same address. */
  readonly restartServer: Effect.Effect<void>
}>()("chat-workspace/cli/demo/Backend") {}

const host = "127.0.0.1"

const make = Effect.gen(function*() {
  const postgres = yield* PostgresServer.PostgresServer
  const gateway = yield* AgentGateway.AgentGateway
  const layerScope = yield* Effect.scope

  const open = Effect.fnUntraced(function*(port: number) {
    const scope = yield* Scope.fork(layerScope)
    const server = HttpRouter.serve(AgentGateway.layerRoute(), { disableListenLog: true, disableLogger: true }).pipe(
      Layer.provideMerge(GatewayServer.layer({ host, port })),
      Layer.provide(Layer.succeed(AgentGateway.AgentGateway, gateway))
    )
    const context = yield* Effect.orDie(Layer.buildWithScope(server, scope))
    const { address } = Context.get(context, HttpServer.HttpServer)
    return { scope, port: "port" in address ? address.port : port }
  })

  let running = yield* open(0)
  const { port } = running
  return Backend.of({
    agentUrl: `ws://${host}:${port}/agent`,
    postgres,
    restartServer: Effect.gen(function*() {
      yield* Scope.close(running.scope, Exit.void)
      running = yield* open(port)
    })
  })
})

/**
 * Bounds that are shorter than in production, so that nobody waits long for a bound to be reached.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSettings: Layer.Layer<never> = Layer.mergeAll(
  StoreConfig.layer({ callTimeout: "1 second" }),
  GatewayConfig.layer({
    heartbeat: "1 second",
    pingInterval: "500 millis",
    pingTimeout: "1500 millis",
    settle: "100 millis",
    shutdownDrain: "200 millis"
  }),
  DialConfig.layer({
    dialTimeout: "4 seconds",
    inactiveTimeout: "3 seconds",
    restartAdvice: "6 seconds",
    confirmedDead: "500 millis"
  }),
  ProvisionerConfig.layer({ poll: "200 millis", agentPoll: "200 millis", scriptsPoll: "200 millis" })
)

const layerStores = Layer.unwrap(Effect.gen(function*() {
  const { url } = yield* PostgresServer.PostgresServer
  const schema = Migrations.schemaOf(undefined)
  return Layer.effectDiscard(Migrations.run({ schema })).pipe(
    Layer.provide(Database.layerClient(url, { name: "migrate", maxConnections: 1 })),
    Layer.provideMerge(Database.layerStores(url, { schema }))
  )
}))

/**
 * Everything that a scenario needs, with every query and dial of a chat written down.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  | Backend
  | Builds
  | ChatWorkspaces.ChatWorkspaces
  | ChatBindings
  | Enrollment.Enrollment
  | AgentTransport
  | Journal.Journal
  | WorkspaceAgents,
  MigrationError | SqlError | PostgresServer.PostgresServerError | PostgresUnavailable
> = Layer.mergeAll(
  Layer.effect(Backend, make),
  ChatWorkspaces.layer.pipe(Layer.provideMerge(Journal.layerWatched)),
  Enrollment.layer
).pipe(
  Layer.provideMerge(AgentGateway.layerTransport()),
  Layer.provideMerge(layerStores),
  Layer.provideMerge(PostgresServer.layer()),
  Layer.provideMerge(Journal.layer),
  Layer.provide(layerSettings)
)
