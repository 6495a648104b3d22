/**
 * The model's tools: contracts, and handlers over a chat's workspace.
 *
 * @since 0.1.0
 */
export type * as ToolContext from "./ToolContext.ts"
export * as ToolFailure from "./ToolFailure.ts"
