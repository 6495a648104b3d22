/**
 * The bounds of the model's tools: every wait of a tool call, and what it may tell the model at once.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Bounds from "../domain/Bounds.ts"

/**
 * @since 0.1.0
 * @category bounds
 */
export const bounds = Bounds.make("TOOL", {
  /** How long a command is waited for, unless the call says otherwise. */
  executeTimeout: Bounds.duration("30 seconds"),
  /** How long a call may ask to wait, for a command or for output. */
  executeLimit: Bounds.duration("30 minutes"),
  /** What the look at the output of a command may take that did not end in time. */
  lateOutput: Bounds.duration("10 seconds"),
  /** The one dial that decides whether an agent that seems dead is. */
  unreachableDial: Bounds.duration("5 seconds"),
  /** What one call tells the model of an output or of a file. */
  outputBytes: Bounds.bytes(32 * 1024),
  /** Templates on one page of the list. */
  templatesPage: Bounds.count(10),
  /**
   * What `create_workspace` does when the agent of the workspace there is cannot be reached: say so, or `create`
   * another workspace.
   */
  onUnreachable: Bounds.choice(["report", "create"], "report")
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ToolConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: ToolConfig = bounds.defaults

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
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<ToolConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => ToolConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(ToolConfig, make(options))

/**
 * Reads `TOOL_EXECUTE_TIMEOUT`, `TOOL_EXECUTE_LIMIT` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<ToolConfig> = bounds.config
