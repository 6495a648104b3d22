/**
 * A provider of shell commands: a template says how a workspace is started, stopped and deleted, with whatever command line
 * its container engine, cluster or cloud has.
 *
 * ```json
 * {
 *   "type": "command",
 *   "start": "./start.sh",
 *   "stop": "./stop.sh",
 *   "delete": "./delete.sh",
 *   "repeatable": false,
 *   "environment": ["DOCKER_HOST"],
 *   "secrets": ["CLOUD_TOKEN"]
 * }
 * ```
 *
 * All three commands are required: a workspace that cannot be stopped is a mistake more often than a wish, and whoever has
 * nothing to do there says `":"`. A command is run by `sh -c` in the template's folder, or in the backend's where a template
 * has none. It succeeded when it exited with 0; what it prints goes to the log of the build.
 *
 * Its environment is `PATH`, `HOME`, `LANG` and `LC_ALL` and the names that `environment` and `secrets` pass on from the
 * backend's (those of `secrets` are replaced in the log), and
 *
 * - `CW_WORKSPACE_ID`, `CW_WORKSPACE_NAME`, `CW_OWNER`, `CW_BUILD_ID`, `CW_TRANSITION` (`start`, `stop`, `delete`)
 * - `CW_GATEWAY_URL`, what the agents are to call, and `CW_AGENT_PROGRAM`, the file of the agent program
 * - `CW_AGENT_TOKEN_DIR`, at a start: a folder with the token of each agent in a file of its name, and
 *   `CW_AGENT_TOKEN_FILE`, that of the first. They are gone when the command has ended: copy what has to stay
 * - `CW_AGENT_STARTUP_SCRIPT`, `CW_AGENT_SHUTDOWN_SCRIPT`: the texts of the template, to be given to the agent
 * - `CW_PARAM_<NAME>` for each parameter, its name in upper case
 *
 * **Gotchas**
 *
 * - Ids and the values of parameters come from users and models: quote them as any foreign text.
 * - A command that is interrupted, or fails, is ended with its whole process group. One whose backend is killed goes on; if
 *   the template is `repeatable`, another backend runs it again, maybe beside it.
 * - What a command that succeeded leaves in the background runs on. It must not write to the output of the command, which is
 *   closed then: give it a file of its own.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Transition } from "../../domain/Build.ts"
import { type Provider, ProviderFailed, type ProviderRequest } from "../Provider.ts"
import { ProvisionerConfig } from "../ProvisionerConfig.ts"
import * as AgentProgram from "./AgentProgram.ts"
import * as CommandOutput from "./CommandOutput.ts"
import * as PassedOn from "./PassedOn.ts"
import * as ProviderSettings from "./ProviderSettings.ts"
import * as ShellCommand from "./ShellCommand.ts"
import * as TokenFiles from "./TokenFiles.ts"

const Command = Schema.String.check(Schema.isPattern(/\S/, { expected: "a command" }))

/**
 * The settings of a template of this provider.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Settings = Schema.Struct({
  start: Command,
  stop: Command,
  delete: Command,
  repeatable: Schema.optionalKey(Schema.Boolean),
  environment: Schema.optionalKey(Schema.Array(ProviderSettings.VariableName)),
  secrets: Schema.optionalKey(Schema.Array(ProviderSettings.VariableName))
})

/**
 * @since 0.1.0
 * @category models
 */
export type Settings = typeof Settings.Type

/**
 * - `type` ("command"): the name by which templates choose it
 * - `agentProgram`: the file that `CW_AGENT_PROGRAM` names, where it is not the one of this package
 * - `outputDrain` (1 s): how long output is waited for after the exit, where a background child holds it
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly type?: string | undefined
  readonly agentProgram?: string | undefined
  readonly outputDrain?: Duration.Input | undefined
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options?: Options): Effect.fn.Return<Provider> {
  const config = yield* ProvisionerConfig
  const passedOn = yield* PassedOn.make
  const agentProgram = options?.agentProgram ?? AgentProgram.path()
  const drain = Duration.fromInputUnsafe(options?.outputDrain ?? Duration.seconds(1))

  const run = Effect.fnUntraced(function*(transition: Transition, request: ProviderRequest) {
    const settings = yield* readSettings(request.template)
    const secretValues = yield* passedOn(settings.secrets ?? [])
    const environment = {
      ...(yield* passedOn([...PassedOn.common, "HOME", ...settings.environment ?? []])),
      ...secretValues,
      ...described(transition, request),
      CW_AGENT_PROGRAM: agentProgram,
      ...(yield* tokens(request))
    }
    const secrets = [
      ...request.agents.map(({ token }) => token),
      ...Object.values(secretValues).map((value) => Redacted.make(value))
    ]
    const { directory } = request.template.provider
    return yield* logged(request, secrets, (output) =>
      Effect.flatMap(
        ShellCommand.run({
          line: settings[transition],
          directory,
          environment,
          output: output.write,
          kill: config.kill,
          drain
        }),
        (ended) => {
          output.end()
          return ended.code === 0
            ? Effect.void
            : new ProviderFailed({ detail: failure(transition, ended, output.tail()) })
        }
      ))
  }, Effect.scoped)

  /** Nobody who is slow to take the log holds up the command: what is kept for him is bounded by what a log may have. */
  const logged = Effect.fnUntraced(function*<A, E>(
    { log }: ProviderRequest,
    secrets: ReadonlyArray<Redacted.Redacted<string>>,
    use: (output: CommandOutput.CommandOutput) => Effect.Effect<A, E>
  ): Effect.fn.Return<A, E, Scope.Scope> {
    const lines = yield* Queue.unbounded<string, Cause.Done>()
    const writer = yield* Effect.forkScoped(
      Effect.ignore(Effect.forever(Effect.flatMap(Queue.take(lines), log), { disableYield: true }))
    )
    const output = CommandOutput.make({
      lines: config.logLines,
      bytes: config.logBytes,
      secrets,
      emit: (line) => Queue.offerUnsafe(lines, line)
    })
    return yield* Effect.ensuring(
      use(output),
      Effect.andThen(
        Queue.end(lines),
        Effect.timeoutOrElse(Fiber.await(writer), { duration: drain, orElse: () => Effect.void })
      )
    )
  })

  return {
    type: options?.type ?? "command",
    isRepeatable: ({ provider }) => provider.settings["repeatable"] === true,
    check: (template) => Effect.asVoid(checkSettings(template)),
    start: Effect.fn("CommandProvider.start")((request) => run("start", request)),
    stop: Effect.fn("CommandProvider.stop")((request) => run("stop", request)),
    delete: Effect.fn("CommandProvider.delete")((request) => run("delete", request))
  }
})

const readSettings = ProviderSettings.read(Settings)

const checkSettings = ProviderSettings.check(Settings)

const described = (transition: Transition, request: ProviderRequest): Readonly<Record<string, string>> => ({
  CW_WORKSPACE_ID: request.workspace.workspaceId,
  CW_WORKSPACE_NAME: request.workspace.name ?? "",
  CW_OWNER: request.workspace.owner,
  CW_BUILD_ID: request.buildId,
  CW_TRANSITION: transition,
  CW_GATEWAY_URL: request.gatewayUrl,
  ...ProviderSettings.variables(request.template, request.parameters)
})

const tokens = Effect.fnUntraced(function*({ agents }: ProviderRequest) {
  const [first] = agents
  if (first === undefined) return {}
  const folder = yield* TokenFiles.make(agents)
  return { CW_AGENT_TOKEN_DIR: folder, CW_AGENT_TOKEN_FILE: `${folder}/${first.name}` }
})

const failure = (transition: Transition, { code, signal }: ShellCommand.Ended, tail: string): string => {
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`
  return `The ${transition} command ${how}${tail === "" ? ", and printed nothing." : `. Its last lines:\n${tail}`}`
}
