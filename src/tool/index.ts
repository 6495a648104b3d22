/**
 * The model's tools: contracts, and handlers over a chat's workspace.
 *
 * @since 0.1.0
 */
export * as ChatTools from "./ChatTools.ts"
export * as ExecutionHandlers from "./ExecutionHandlers.ts"
export * as ExecutionTools from "./ExecutionTools.ts"
export * as FileHandlers from "./FileHandlers.ts"
export * as FileTools from "./FileTools.ts"
export * as LifecycleHandlers from "./LifecycleHandlers.ts"
export * as LifecycleTools from "./LifecycleTools.ts"
export * as PlainTools from "./PlainTools.ts"
export * as ToolCalls from "./ToolCalls.ts"
export * as ToolConfig from "./ToolConfig.ts"
export type * as ToolContext from "./ToolContext.ts"
export * as ToolFailure from "./ToolFailure.ts"
export * as ToolMetrics from "./ToolMetrics.ts"
