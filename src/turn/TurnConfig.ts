/**
 * The bounds of what happens before the model runs, and of what it is told.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * - `setupWait` (5 s): how long a turn waits for instruction files, and beside it for the tools of MCP servers,
 *   which get half of it to start
 * - `setupLimit` (60 s): how long that work may go on when the turn does not wait for it any more
 * - `instructionNames`: the files to look for, as paths within the workspace folder, in the order in which they are shown
 * - `instructionFiles` (16): how many of these names are looked for
 * - `instructionFileBytes` (64 KiB): what is read of one file
 * - `instructionBytes` (256 KiB): what is read of all together
 * - `workspaceMcp` (`off`): whether the servers that a workspace names itself give tools to the model: none, those named
 *   in `mcpServers`, or all
 * - `mcpServers`: the servers that may, where only `listed` ones may
 * - `mcpCall` (60 s): how long a call of such a tool may take
 * - `mcpResultBytes` (32 KiB): what the result of such a call tells the model
 * - `mcpAgents` (1,000): of how many agents the tools are remembered
 * - `dialTimeouts` (2): after so many in a turn, further calls are answered without a dial
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnConfig {
  readonly setupWait: Duration.Duration
  readonly setupLimit: Duration.Duration
  readonly instructionNames: ReadonlyArray<string>
  readonly instructionFiles: number
  readonly instructionFileBytes: number
  readonly instructionBytes: number
  readonly workspaceMcp: "off" | "listed" | "all"
  readonly mcpServers: ReadonlyArray<string>
  readonly mcpCall: Duration.Duration
  readonly mcpResultBytes: number
  readonly mcpAgents: number
  readonly dialTimeouts: number
}

/**
 * A workspace often holds a repository of strangers. Which tools the model has is the application's decision, and so the
 * servers that a workspace names itself give none unless it says so.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults: TurnConfig = {
  setupWait: Duration.seconds(5),
  setupLimit: Duration.seconds(60),
  instructionNames: ["AGENTS.md", "CLAUDE.md", ".github/copilot-instructions.md"],
  instructionFiles: 16,
  instructionFileBytes: 64 * 1024,
  instructionBytes: 256 * 1024,
  workspaceMcp: "off",
  mcpServers: [],
  mcpCall: Duration.seconds(60),
  mcpResultBytes: 32 * 1024,
  mcpAgents: 1000,
  dialTimeouts: 2
}

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const TurnConfig: Context.Reference<TurnConfig> = Context.Reference("chat-workspace/turn/TurnConfig", {
  defaultValue: () => defaults
})

/**
 * The options of `layer`: any of the bounds, as a duration or in words.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [Key in keyof TurnConfig]?:
    | (TurnConfig[Key] extends Duration.Duration ? Duration.Input : TurnConfig[Key])
    | undefined
}

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): TurnConfig => {
  const duration = (key: "setupWait" | "setupLimit" | "mcpCall") =>
    Duration.fromInputUnsafe(options[key] ?? defaults[key])
  return {
    setupWait: duration("setupWait"),
    setupLimit: duration("setupLimit"),
    instructionNames: options.instructionNames ?? defaults.instructionNames,
    instructionFiles: options.instructionFiles ?? defaults.instructionFiles,
    instructionFileBytes: options.instructionFileBytes ?? defaults.instructionFileBytes,
    instructionBytes: options.instructionBytes ?? defaults.instructionBytes,
    workspaceMcp: options.workspaceMcp ?? defaults.workspaceMcp,
    mcpServers: options.mcpServers ?? defaults.mcpServers,
    mcpCall: duration("mcpCall"),
    mcpResultBytes: options.mcpResultBytes ?? defaults.mcpResultBytes,
    mcpAgents: options.mcpAgents ?? defaults.mcpAgents,
    dialTimeouts: options.dialTimeouts ?? defaults.dialTimeouts
  }
}

/**
 * Sets bounds; the others keep their defaults.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(TurnConfig, make(options))

const duration = (name: string, fallback: Duration.Duration): Config.Config<Duration.Duration> =>
  Config.withDefault(Config.Duration(name), fallback)

const int = (name: string, fallback: number): Config.Config<number> => Config.withDefault(Config.Int(name), fallback)

/** Names with commas between them. */
const names = (name: string, fallback: ReadonlyArray<string>): Config.Config<ReadonlyArray<string>> =>
  Config.withDefault(
    Config.map(
      Config.String(name),
      (text) => text.split(",").map((part) => part.trim()).filter((part) => part !== "")
    ),
    fallback
  )

/**
 * Reads `TURN_SETUP_WAIT`, `TURN_WORKSPACE_MCP`, `TURN_MCP_SERVERS` (with commas between them) and so on, each with its
 * default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<TurnConfig> = Config.all({
  setupWait: duration("TURN_SETUP_WAIT", defaults.setupWait),
  setupLimit: duration("TURN_SETUP_LIMIT", defaults.setupLimit),
  instructionNames: names("TURN_INSTRUCTION_NAMES", defaults.instructionNames),
  instructionFiles: int("TURN_INSTRUCTION_FILES", defaults.instructionFiles),
  instructionFileBytes: int("TURN_INSTRUCTION_FILE_BYTES", defaults.instructionFileBytes),
  instructionBytes: int("TURN_INSTRUCTION_BYTES", defaults.instructionBytes),
  workspaceMcp: Config.withDefault(
    Config.Literals(["off", "listed", "all"], "TURN_WORKSPACE_MCP"),
    defaults.workspaceMcp
  ),
  mcpServers: names("TURN_MCP_SERVERS", defaults.mcpServers),
  mcpCall: duration("TURN_MCP_CALL", defaults.mcpCall),
  mcpResultBytes: int("TURN_MCP_RESULT_BYTES", defaults.mcpResultBytes),
  mcpAgents: int("TURN_MCP_AGENTS", defaults.mcpAgents),
  dialTimeouts: int("TURN_DIAL_TIMEOUTS", defaults.dialTimeouts)
})
