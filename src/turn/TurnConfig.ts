/**
 * The bounds of what happens before the model runs, and of what it is told.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Bounds from "../domain/Bounds.ts"

/**
 * A workspace often holds a repository of strangers. Which tools the model has is the application's decision, and so the
 * servers that a workspace names itself give none unless it says so.
 *
 * @since 0.1.0
 * @category bounds
 */
export const bounds = Bounds.make("TURN", {
  /**
   * How long a turn waits for instruction files, and beside it for the tools of MCP servers, which get half of it to
   * start.
   */
  setupWait: Bounds.duration("5 seconds", { zero: true }),
  /** How long that work may go on when the turn does not wait for it any more. */
  setupLimit: Bounds.duration("60 seconds"),
  /** The files to look for, as paths within the workspace folder, in the order in which they are shown. */
  instructionNames: Bounds.names(["AGENTS.md", "CLAUDE.md", ".github/copilot-instructions.md"]),
  /** How many of these names are looked for. */
  instructionFiles: Bounds.count(16, { zero: true }),
  /** What is read of one instruction file. */
  instructionFileBytes: Bounds.bytes(64 * 1024),
  /** What is read of all instruction files together. */
  instructionBytes: Bounds.bytes(256 * 1024),
  /**
   * Whether the servers that a workspace names itself give tools to the model: none, those named in `mcpServers`, or
   * all.
   */
  workspaceMcp: Bounds.choice(["off", "listed", "all"], "off"),
  /** The servers that may, where only `listed` ones may. */
  mcpServers: Bounds.names([]),
  /** How long a call of such a tool may take. */
  mcpCall: Bounds.duration("60 seconds"),
  /** What the result of such a call tells the model. */
  mcpResultBytes: Bounds.bytes(32 * 1024),
  /** Of how many agents the tools are remembered. */
  mcpAgents: Bounds.count(1000),
  /** After so many in a turn, further calls are answered without a dial. */
  dialTimeouts: Bounds.count(2)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface TurnConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: TurnConfig = bounds.defaults

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
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<TurnConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => TurnConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(TurnConfig, make(options))

/**
 * Reads `TURN_SETUP_WAIT`, `TURN_WORKSPACE_MCP`, `TURN_MCP_SERVERS` (with commas between them) and so on, each with its
 * default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<TurnConfig> = bounds.config
