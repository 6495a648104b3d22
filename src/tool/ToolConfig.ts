/**
 * The bounds of the model's tools: every wait of a tool call, and what it may tell the model at once.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * - `executeTimeout` (30 s): how long a command is waited for, unless the call says otherwise
 * - `executeLimit` (30 min): how long a call may ask to wait, for a command or for output
 * - `lateOutput` (10 s): what the look at the output of a command may take that did not end in time
 * - `unreachableDial` (5 s): the one dial that decides whether an agent that seems dead is
 * - `outputBytes` (32 KiB): what one call tells the model of an output or of a file
 * - `templatesPage` (10): templates on one page of the list
 * - `onUnreachable` (`report`): what `create_workspace` does when the agent of the workspace there is cannot be reached:
 *   say so, or `create` another workspace
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolConfig {
  readonly executeTimeout: Duration.Duration
  readonly executeLimit: Duration.Duration
  readonly lateOutput: Duration.Duration
  readonly unreachableDial: Duration.Duration
  readonly outputBytes: number
  readonly templatesPage: number
  readonly onUnreachable: "report" | "create"
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: ToolConfig = {
  executeTimeout: Duration.seconds(30),
  executeLimit: Duration.minutes(30),
  lateOutput: Duration.seconds(10),
  unreachableDial: Duration.seconds(5),
  outputBytes: 32 * 1024,
  templatesPage: 10,
  onUnreachable: "report"
}

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const ToolConfig: Context.Reference<ToolConfig> = Context.Reference("chat-workspace/tool/ToolConfig", {
  defaultValue: () => defaults
})

/**
 * The options of `layer`: any of the bounds, as a duration or in words.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [Key in keyof ToolConfig]?:
    | (ToolConfig[Key] extends Duration.Duration ? Duration.Input : ToolConfig[Key])
    | undefined
}

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): ToolConfig => {
  const duration = (key: "executeTimeout" | "executeLimit" | "lateOutput" | "unreachableDial") =>
    Duration.fromInputUnsafe(options[key] ?? defaults[key])
  return {
    executeTimeout: duration("executeTimeout"),
    executeLimit: duration("executeLimit"),
    lateOutput: duration("lateOutput"),
    unreachableDial: duration("unreachableDial"),
    outputBytes: options.outputBytes ?? defaults.outputBytes,
    templatesPage: options.templatesPage ?? defaults.templatesPage,
    onUnreachable: options.onUnreachable ?? defaults.onUnreachable
  }
}

/**
 * Sets bounds; the others keep their defaults.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(ToolConfig, make(options))

const duration = (name: string, fallback: Duration.Duration): Config.Config<Duration.Duration> =>
  Config.withDefault(Config.Duration(name), fallback)

/**
 * Reads `TOOL_EXECUTE_TIMEOUT`, `TOOL_EXECUTE_LIMIT` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<ToolConfig> = Config.all({
  executeTimeout: duration("TOOL_EXECUTE_TIMEOUT", defaults.executeTimeout),
  executeLimit: duration("TOOL_EXECUTE_LIMIT", defaults.executeLimit),
  lateOutput: duration("TOOL_LATE_OUTPUT", defaults.lateOutput),
  unreachableDial: duration("TOOL_UNREACHABLE_DIAL", defaults.unreachableDial),
  outputBytes: Config.withDefault(Config.Int("TOOL_OUTPUT_BYTES"), defaults.outputBytes),
  templatesPage: Config.withDefault(Config.Int("TOOL_TEMPLATES_PAGE"), defaults.templatesPage),
  onUnreachable: Config.withDefault(
    Config.Literals(["report", "create"], "TOOL_ON_UNREACHABLE"),
    defaults.onUnreachable
  )
})
