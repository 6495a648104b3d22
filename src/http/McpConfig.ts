/**
 * The bounds of the MCP endpoint.
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
export const bounds = Bounds.make("MCP", {
  /** Sessions of MCP that one owner has on this node; for another, the one longest idle is ended. */
  sessionsPerOwner: Bounds.count(32),
  /** A session in which nothing was asked for so long is ended. */
  sessionIdle: Bounds.duration("30 minutes"),
  /** Calls of tools that one owner has under way on this node, in all sessions. */
  callsPerOwner: Bounds.count(32),
  /** A call that waits says at least so to a client that asked for progress. */
  progress: Bounds.duration("5 seconds")
})

/**
 * @since 0.1.0
 * @category models
 */
export interface McpConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: McpConfig = bounds.defaults

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const McpConfig: Context.Reference<McpConfig> = Context.Reference("chat-workspace/http/McpConfig", {
  defaultValue: () => defaults
})

/**
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<McpConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => McpConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(McpConfig, make(options))

/**
 * Reads `MCP_SESSIONS_PER_OWNER`, `MCP_SESSION_IDLE` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<McpConfig> = bounds.config
