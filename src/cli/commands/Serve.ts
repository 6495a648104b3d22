/**
 * `chat-workspace serve`: the gateway that agents call, the runner of builds, health and, for operators, metrics and
 * explanations.
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
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AgentGateway from "../../agent/AgentGateway.ts"
import * as ChatExplanation from "../../dial/ChatExplanation.ts"
import * as ChatWorkspaces from "../../dial/ChatWorkspaces.ts"
import * as BuildRunner from "../../provisioner/BuildRunner.ts"
import * as BuildSignal from "../../provisioner/BuildSignal.ts"
import * as Migrations from "../../store/Migrations.ts"
import { Templates } from "../../store/Templates.ts"
import * as Bounds from "../Bounds.ts"
import * as Database from "../Database.ts"
import * as GatewayServer from "../GatewayServer.ts"
import * as Provisioning from "../Provisioning.ts"
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

const loopback = "127.0.0.1"

/**
 * Workspaces of the process provider would run on this host while other machines can reach the server.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSandbox extends Schema.TaggedError<NoSandbox>()("NoSandbox", {
  host: Schema.String,
  templates: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `Others can reach ${this.host}, and these templates run workspaces on this host, which is no sandbox: ${
      this.templates.join(", ")
    }`
  }
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host)

/** Addresses to listen at that nobody else can call. */
const isEverywhere = (host: string): boolean => host === "0.0.0.0" || host === "::"

/** The ids of the templates whose workspaces run on this host. */
const onThisHost = Effect.flatMap(
  Templates,
  ({ list }) =>
    Effect.map(
      list,
      (all) => all.filter(({ provider }) => provider.type === "process").map(({ templateId }) => templateId)
    )
)

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
    const host = at.host.includes(":") ? `[${at.host}]` : at.host
    return `${host}:${"port" in address ? address.port : at.port}`
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
    ...Provisioning.flags,
    agentUrl: Flag.String("agent-url").pipe(
      Flag.withDescription(
        "Address that agents in new workspaces call, where it is not --host and --port; also AGENT_URL"
      ),
      Flag.withFallbackConfig(Config.NonEmptyString("AGENT_URL")),
      Flag.optional
    ),
    allowUnsandboxed: Flag.Boolean("allow-unsandboxed").pipe(
      Flag.withDescription("Run workspaces on this host although others can reach the server"),
      Flag.withDefault(false)
    ),
    migrate: Flag.Boolean("migrate").pipe(
      Flag.withDescription("Bring the tables up to date first (always done for an own database)"),
      Flag.withDefault(false)
    )
  },
  Effect.fn(function*(options) {
    const { agentUrl, allowUnsandboxed, data, databaseUrl, host, migrate, operatorPort, port, schema } = options
    const building = yield* Layer.build(
      Provisioning.layerTemplates({ ...options, allowRemote: allowUnsandboxed }).pipe(Layer.provide(Bounds.layer))
    )
    const unsandboxed = yield* Effect.provideContext(onThisHost, building)
    // Who is called by another address is reached through something that stands before it.
    const called = Option.map(agentUrl, (url) => URL.parse(url)?.hostname ?? url)
    const reachable = [host, ...Option.toArray(called)].find((address) => !isLoopback(address))
    if (unsandboxed.length > 0 && reachable !== undefined && !allowUnsandboxed) {
      return yield* new NoSandbox({ host: reachable, templates: unsandboxed })
    }
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
      const gatewayUrl = Option.getOrElse(agentUrl, () => `ws://${agentsAt}/agent`)
      yield* Layer.build(
        BuildRunner.layer({ gatewayUrl }).pipe(
          Layer.provide(BuildSignal.layer),
          Layer.provide(Layer.succeedContext(building))
        )
      )
      yield* Console.log(
        [
          `Agents      ws://${agentsAt}/agent`,
          ...(isEverywhere(host) && Option.isNone(agentUrl)
            ? ["            which new workspaces can call on this host alone: name another address with --agent-url"]
            : []),
          `Health      http://${agentsAt}/healthz and /readyz`,
          `Operators   http://${operatorsAt}/metrics and /explain/<chat>`,
          `Database    ${own ? `PostgreSQL in ${data}` : `the given one, schema ${schema}`}`,
          ...(unsandboxed.length === 0 ? [] : [
            `Workspaces  of ${unsandboxed.join(", ")} run on this host in ${options.workspaces}: this is no sandbox`
          ])
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
        Layer.provide(Bounds.layer)
      )
    )
  }, Effect.scoped)
).pipe(
  Command.withDescription("Serve the gateway that agents call, and build the workspaces that chats ask for"),
  Command.withExamples([
    { command: "chat-workspace serve", description: "On loopback, with a PostgreSQL of its own" },
    {
      command: "DATABASE_URL=postgres://… chat-workspace serve --host 0.0.0.0 --templates ./templates",
      description: "For agents on other machines, behind something that speaks TLS"
    }
  ])
)
