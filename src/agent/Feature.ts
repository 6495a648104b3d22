/**
 * What a connection can do; a transport declares it, and the agent's hello may say less.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * - `run`: commands that are waited for
 * - `processes`: commands that run on under an id: start, output, follow, list, signal
 * - `files`: read, write and edit
 * - `directories`: stat and list
 * - `mcp`: the tools of the workspace's own servers
 *
 * @since 0.1.0
 * @category models
 */
export const Feature = Schema.Literals(["run", "processes", "files", "directories", "mcp"])

/**
 * @since 0.1.0
 * @category models
 */
export type Feature = typeof Feature.Type
