/**
 * Connecting: the lazy dial, and the workspace of a chat.
 *
 * @since 0.1.0
 */
export * as ChatExplanation from "./ChatExplanation.ts"
export * as ChatFinding from "./ChatFinding.ts"
export * as ChatWorkspaces from "./ChatWorkspaces.ts"
export type * as ConnectHistory from "./ConnectHistory.ts"
export * as DialConfig from "./DialConfig.ts"
export * as DialMetrics from "./DialMetrics.ts"
export * as LazyDial from "./LazyDial.ts"
