/**
 * `chat-workspace serve`: a whole backend. The API with its documents and MCP, the gateway that agents call, turns, the
 * runner of builds, and for operators metrics and explanations.
 *
 * A signal ends it in order: `/readyz` answers 503 and no turn begins any more; calls of turns that run get half of
 * `TURN_DRAIN` (10 s) to end by themselves, then the turns end as interrupted, and tell it to whoever follows them; the
 * agents get `GATEWAY_MOVE_WITHIN` (5 s) to go to another
 * node, each at its own moment; builds are let go within `BUILD_DRAIN` (2 s), and connections within
 * `DIAL_SHUTDOWN_DRAIN` (2 s); then the server and a database of its own stop. A second signal ends it at once.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AgentGateway from "../../agent/AgentGateway.ts"
import * as Authentication from "../../http/Authentication.ts"
import * as BuildRunner from "../../provisioner/BuildRunner.ts"
import * as Migrations from "../../store/Migrations.ts"
import { Templates } from "../../store/Templates.ts"
import * as Turns from "../../turn/Turns.ts"
import * as Announcement from "../Announcement.ts"
import * as ApiAddress from "../ApiAddress.ts"
import * as ApiToken from "../ApiToken.ts"
import * as Application from "../Application.ts"
import * as Bounds from "../Bounds.ts"
import * as Database from "../Database.ts"
import * as Interrupts from "../Interrupts.ts"
import * as Model from "../Model.ts"
import * as Owner from "../Owner.ts"
import * as Provisioning from "../Provisioning.ts"
import * as Servers from "../Servers.ts"
import * as Telemetry from "../Telemetry.ts"

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

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "serve",
  {
    ...Database.flags,
    host: Flag.String("host").pipe(
      Flag.withDescription("Address for agents and the API; also HOST"),
      Flag.withFallbackConfig(Config.NonEmptyString("HOST")),
      Flag.withDefault(Servers.loopback)
    ),
    port: Flag.Int("port").pipe(
      Flag.withAlias("p"),
      Flag.withDescription("Port for agents and the API; also PORT"),
      Flag.withFallbackConfig(Config.Int("PORT")),
      Flag.withDefault(ApiAddress.port)
    ),
    operatorPort,
    ...ApiToken.flags,
    showToken: Flag.Boolean("show-token").pipe(
      Flag.withDescription("Print the token of the API, also when it is not new"),
      Flag.withDefault(false)
    ),
    owner: Owner.flag,
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
    yield* Interrupts.secondEndsAtOnce(() => process.stdout.write("Shuts down; a second signal ends it at once.\n"))
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
    const model = yield* Model.description
    const { isNew, token } = yield* ApiToken.findOrMake(options)
    const { own, url } = yield* Database.locate({ databaseUrl, data })
    if (own || migrate) {
      yield* Migrations.run({ schema }).pipe(
        Effect.provide(Database.layerClient(url, { name: "migrate", maxConnections: 1 }))
      )
    }
    // Announced with the ports that they have, which port 0 leaves to the system.
    const serving = Layer.effectDiscard(Effect.gen(function*() {
      const at = yield* Servers.listen({ host, port, operatorPort })
      const gatewayUrl = Option.getOrElse(agentUrl, () => `ws://${at.api}/agent`)
      const { nodeId } = yield* AgentGateway.AgentGateway
      yield* Layer.build(BuildRunner.layer({ gatewayUrl, nodeId }))
      yield* Console.log(Announcement.format({
        at,
        isReachable: !isLoopback(host),
        isEverywhere: isEverywhere(host),
        agentUrl,
        token: {
          shown: isNew || options.showToken ? Option.some(token) : Option.none(),
          file: Option.isSome(options.token) ? Option.none() : Option.some(options.tokenFile)
        },
        model,
        database: own ? `PostgreSQL in ${data}` : `the given one, schema ${schema}`,
        unsandboxed,
        workspaces: options.workspaces
      }))
    }))
    return yield* Layer.launch(
      // Released from the top: turns end while agents are there, and agents leave while the server listens.
      Turns.layerDrain.pipe(
        Layer.provideMerge(AgentGateway.layerDrain()),
        Layer.provideMerge(serving),
        Layer.provide([
          Application.layer({ url, schema }),
          Authentication.layerToken({ token, owner: options.owner })
        ]),
        Layer.provide([
          Layer.succeedContext(building),
          Bounds.layer,
          Telemetry.layer.pipe(Layer.provide(NodeHttpClient.layerNodeHttp))
        ])
      )
    )
  }, Effect.scoped)
).pipe(
  Command.withDescription("Serve the API, its MCP and the gateway that agents call, and build what chats ask for"),
  Command.withExamples([
    { command: "chat-workspace serve", description: "On loopback, with a PostgreSQL of its own" },
    {
      command: "DATABASE_URL=postgres://… chat-workspace serve --host 0.0.0.0 --templates ./templates",
      description: "For agents on other machines, behind something that speaks TLS"
    }
  ])
)
