/**
 * `chat-workspace serve`: the gateway that agents call, with health and, for operators, metrics and explanations.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as AgentGateway from "../../agent/AgentGateway.ts"
import * as GatewayConfig from "../../agent/GatewayConfig.ts"
import * as ChatExplanation from "../../dial/ChatExplanation.ts"
import * as ChatWorkspaces from "../../dial/ChatWorkspaces.ts"
import * as DialConfig from "../../dial/DialConfig.ts"
import * as Migrations from "../../store/Migrations.ts"
import * as StoreConfig from "../../store/StoreConfig.ts"
import * as Database from "../Database.ts"
import * as GatewayServer from "../GatewayServer.ts"
import * as Routes from "../Routes.ts"

/**
 * The port of the operators' address, unless said otherwise.
 *
 * @since 0.1.0
 * @category constants
 */
export const operatorPort = Flag.Int("operator-port").pipe(
  Flag.withDescription("Port for metrics and explanations, on 127.0.0.1 only; also OPERATOR_PORT"),
  Flag.withFallbackConfig(Config.Int("OPERATOR_PORT")),
  Flag.withDefault(4171)
)

const layerBounds = Layer.mergeAll(
  Layer.effect(StoreConfig.StoreConfig, StoreConfig.config),
  Layer.effect(GatewayConfig.GatewayConfig, GatewayConfig.config),
  Layer.effect(DialConfig.DialConfig, DialConfig.config)
)

const loopback = "127.0.0.1"

/** Serves routes for the life of the scope; answers where. */
const listen = <R>(routes: Layer.Layer<never, never, HttpRouter.HttpRouter | R>, at: GatewayServer.Options) =>
  Layer.build(
    HttpRouter.serve(routes, {
      disableListenLog: true,
      disableLogger: true,
      // The longest id as it stands in an address: 128 characters of three bytes, each byte as %xx.
      routerConfig: { maxParamLength: 128 * 9 }
    }).pipe(
      Layer.provideMerge(GatewayServer.layer(at))
    )
  ).pipe(Effect.map((context) => {
    const { address } = Context.get(context, HttpServer.HttpServer)
    return `${at.host}:${"port" in address ? address.port : at.port}`
  }))

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "serve",
  {
    ...Database.flags,
    host: Flag.String("host").pipe(
      Flag.withDescription("Address for agents; also HOST"),
      Flag.withFallbackConfig(Config.NonEmptyString("HOST")),
      Flag.withDefault(loopback)
    ),
    port: Flag.Int("port").pipe(
      Flag.withAlias("p"),
      Flag.withDescription("Port for agents; also PORT"),
      Flag.withFallbackConfig(Config.Int("PORT")),
      Flag.withDefault(4170)
    ),
    operatorPort,
    migrate: Flag.Boolean("migrate").pipe(
      Flag.withDescription("Bring the tables up to date first (always done for an own database)"),
      Flag.withDefault(false)
    )
  },
  Effect.fn(function*({ data, databaseUrl, host, migrate, operatorPort, port, schema }) {
    const { own, url } = yield* Database.locate({ databaseUrl, data })
    if (own || migrate) {
      yield* Migrations.run({ schema }).pipe(
        Effect.provide(Database.layerClient(url, { name: "migrate", maxConnections: 1 }))
      )
    }
    const agents = listen(Layer.merge(AgentGateway.layerRoute(), Routes.layerHealth), { host, port })
    const operators = listen(Routes.layerOperator, { host: loopback, port: operatorPort })
    // Announced with the ports that they have, which port 0 leaves to the system.
    const servers = Layer.effectDiscard(Effect.gen(function*() {
      const agentsAt = yield* agents
      const operatorsAt = yield* operators
      yield* Console.log(
        [
          `Agents      ws://${agentsAt}/agent`,
          `Health      http://${agentsAt}/healthz and /readyz`,
          `Operators   http://${operatorsAt}/metrics and /explain/<chat>`,
          `Database    ${own ? `PostgreSQL in ${data}` : `the given one, schema ${schema}`}`
        ].join("\n")
      )
    }))
    return yield* Layer.launch(
      // Released first: the agents are asked to leave before the server stops listening.
      AgentGateway.layerDrain().pipe(
        Layer.provideMerge(servers),
        Layer.provide(ChatExplanation.layer),
        Layer.provide(ChatWorkspaces.layer),
        Layer.provide(AgentGateway.layerTransport()),
        Layer.provide(Database.layerStores(url, { schema })),
        Layer.provide(layerBounds)
      )
    )
  }, Effect.scoped)
).pipe(
  Command.withDescription("Serve the gateway that agents call"),
  Command.withExamples([
    { command: "chat-workspace serve", description: "On loopback, with a PostgreSQL of its own" },
    {
      command: "DATABASE_URL=postgres://… chat-workspace serve --host 0.0.0.0",
      description: "For agents on other machines, behind something that speaks TLS"
    }
  ])
)
