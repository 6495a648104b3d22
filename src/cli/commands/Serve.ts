/**
 * `chat-workspace serve`: the gateway that agents call, with health and, for operators, metrics and explanations.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
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
    const agents = HttpRouter.serve(Layer.merge(AgentGateway.layerRoute(), Routes.layerHealth), {
      disableListenLog: true,
      disableLogger: true
    }).pipe(Layer.provide(GatewayServer.layer({ host, port })))
    const operators = HttpRouter.serve(Routes.layerOperator, { disableListenLog: true, disableLogger: true }).pipe(
      Layer.provide(GatewayServer.layer({ host: loopback, port: operatorPort }))
    )
    const announced = Layer.effectDiscard(Console.log(
      [
        `Agents      ws://${host}:${port}/agent`,
        `Health      http://${host}:${port}/healthz and /readyz`,
        `Operators   http://${loopback}:${operatorPort}/metrics and /explain/<chat>`,
        `Database    ${own ? `PostgreSQL in ${data}` : `the given one, schema ${schema}`}`
      ].join("\n")
    ))
    return yield* Layer.launch(
      announced.pipe(
        // Released first: the agents are asked to leave before the server stops listening.
        Layer.provideMerge(AgentGateway.layerDrain()),
        Layer.provideMerge(Layer.merge(agents, operators)),
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
