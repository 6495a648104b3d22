/**
 * Whose agent this is, where its gateway is, and where it works.
 *
 * **Gotchas.** The token proves to the gateway who the agent is; it and all other `CW_AGENT_` variables are kept from the
 * environment of children, and a token that came by the environment is wiped from what the kernel shows of the agent's.
 * Whoever runs as the same user can still read the token's file, or the agent's memory: the workspace is the boundary.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as AgentToken from "../../domain/AgentToken.ts"
import * as OwnEnvironment from "./OwnEnvironment.ts"

/**
 * A setting is missing or makes no sense. Never holds a secret.
 *
 * @since 0.1.0
 * @category errors
 */
export class SettingsError extends Schema.TaggedError<SettingsError>()("SettingsError", {
  setting: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.setting} ${this.problem}`
  }
}

/**
 * @since 0.1.0
 * @category services
 */
export class Settings extends Context.Service<Settings, {
  /** The address of the gateway, `ws:` or `wss:`. */
  readonly url: string
  readonly token: Redacted.Redacted<string>
  /** Where relative paths start and commands run by default. */
  readonly directory: string
  /** Where the state of this agent is kept, for its next incarnation. */
  readonly stateDirectory: string
  /** What a shell runs when the agent has started, and when it is to end; null where there is nothing to run. */
  readonly startupScript: string | null
  readonly shutdownScript: string | null
  /** The environment of commands, without what belongs to the agent. */
  readonly environment: Readonly<Record<string, string>>
}>()("chat-workspace/agent/program/Settings") {}

/**
 * Reads `CW_AGENT_URL`, `CW_AGENT_TOKEN_FILE` (preferred, mode 0600) or `CW_AGENT_TOKEN`, `CW_AGENT_DIR` (the current
 * folder), `CW_AGENT_STATE_DIR` (one for each agent below the system's folder for temporary files), and the texts of
 * `CW_AGENT_STARTUP_SCRIPT` and `CW_AGENT_SHUTDOWN_SCRIPT`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  environment: Readonly<Record<string, string | undefined>>
): Effect.fn.Return<Settings["Service"], SettingsError> {
  const given = yield* Effect.mapError(
    variables,
    (error) => new SettingsError({ setting: "The environment", problem: `cannot be read: ${error.message}` })
  )
  const url = yield* gateway(given.url)
  const token = yield* secret(given)
  const parsed = AgentToken.parse(token)
  if (Option.isNone(parsed)) return yield* bad(tokenSource(given), "holds no agent token (cwa1.…), or a mangled one")
  const directory = Path.resolve(Option.getOrElse(given.directory, () => process.cwd()))
  if (!isDirectory(directory)) return yield* bad("CW_AGENT_DIR", `is not a folder: ${directory}`)
  return {
    url,
    token,
    directory,
    stateDirectory: Path.resolve(
      Option.getOrElse(given.stateDirectory, () => Path.join(tmpdir(), stateName(parsed.value.agentId)))
    ),
    startupScript: Option.getOrNull(given.startupScript),
    shutdownScript: Option.getOrNull(given.shutdownScript),
    environment: childEnvironment(environment)
  }
})

/**
 * The settings of this process, given its environment. The token is wiped from that once it has been read.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  environment: Readonly<Record<string, string | undefined>>
): Layer.Layer<Settings, SettingsError> =>
  Layer.effect(Settings, Effect.tap(make(environment), () => OwnEnvironment.wipe(`${prefix}TOKEN`)))

/**
 * An environment without the agent's own variables.
 *
 * @since 0.1.0
 * @category accessors
 */
export const childEnvironment = (
  environment: Readonly<Record<string, string | undefined>>
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      value === undefined || name.startsWith(prefix) ? [] : [[name, value]]
    )
  )

const prefix = "CW_AGENT_"

const optional = (name: string): Config.Config<Option.Option<string>> =>
  Config.option(Config.NonEmptyString(`${prefix}${name}`))

const variables = Config.all({
  url: optional("URL"),
  token: optional("TOKEN").pipe(Config.map(Option.map((token) => Redacted.make(token)))),
  tokenFile: optional("TOKEN_FILE"),
  directory: optional("DIR"),
  stateDirectory: optional("STATE_DIR"),
  startupScript: optional("STARTUP_SCRIPT"),
  shutdownScript: optional("SHUTDOWN_SCRIPT")
})

type Variables = Config.Success<typeof variables>

const bad = (setting: string, problem: string): SettingsError => new SettingsError({ setting, problem })

const gateway = (url: Option.Option<string>): Effect.Effect<string, SettingsError> => {
  if (Option.isNone(url)) return bad("CW_AGENT_URL", "is missing: the address of the gateway, wss://…")
  const parsed = URL.parse(url.value)
  const protocol = parsed === null ? undefined : protocols.get(parsed.protocol)
  if (parsed === null || protocol === undefined) {
    return bad("CW_AGENT_URL", "is not an address that starts with wss:// or ws://")
  }
  if (parsed.username !== "" || parsed.password !== "" || parsed.hash !== "") {
    return bad("CW_AGENT_URL", "must not hold a user, a password or a fragment")
  }
  parsed.protocol = protocol
  return Effect.succeed(parsed.href)
}

const protocols = new Map([["ws:", "ws:"], ["wss:", "wss:"], ["http:", "ws:"], ["https:", "wss:"]])

const tokenSource = (given: Variables): string =>
  Option.isSome(given.tokenFile) ? "CW_AGENT_TOKEN_FILE" : "CW_AGENT_TOKEN"

const secret = (given: Variables): Effect.Effect<Redacted.Redacted<string>, SettingsError> => {
  if (Option.isSome(given.tokenFile)) return readToken(given.tokenFile.value)
  return Option.isSome(given.token)
    ? Effect.succeed(given.token.value)
    : bad("CW_AGENT_TOKEN_FILE", "and CW_AGENT_TOKEN are missing: one of them must give the agent's token")
}

const readToken = (path: string): Effect.Effect<Redacted.Redacted<string>, SettingsError> =>
  Effect.try({
    try: () => {
      const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        const stat = fstatSync(file)
        if (!stat.isFile()) throw bad("CW_AGENT_TOKEN_FILE", `is not a regular file: ${path}`)
        if ((stat.mode & 0o077) !== 0) {
          const mode = (stat.mode & 0o777).toString(8).padStart(4, "0")
          throw bad("CW_AGENT_TOKEN_FILE", `can be read by others (mode ${mode}); run: chmod 600 ${path}`)
        }
        return Redacted.make(readFileSync(file, "utf8").trim())
      } finally {
        closeSync(file)
      }
    },
    catch: (cause) =>
      cause instanceof SettingsError
        ? cause
        : bad("CW_AGENT_TOKEN_FILE", `cannot be read: ${cause instanceof Error ? cause.message : path}`)
  })

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Two agents of one host must not share a state, nor does the name tell who the agent is. */
const stateName = (agentId: string): string =>
  `chat-workspace-agent-${process.getuid?.() ?? 0}-${createHash("sha256").update(agentId).digest("hex").slice(0, 16)}`
