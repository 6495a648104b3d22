/**
 * Live, correct connections from AI chats to the agents in their remote workspaces.
 *
 * Every floor is an export of its own too (`chat-workspace/dial`, `/agent`, `/store`, …), so that an application loads
 * only what it takes.
 *
 * @since 0.1.0
 */
export * as AgentGateway from "./agent/AgentGateway.ts"
export * as AgentTransport from "./agent/AgentTransport.ts"
export * as ChatExplanation from "./dial/ChatExplanation.ts"
export * as ChatWorkspaces from "./dial/ChatWorkspaces.ts"
export * as LazyDial from "./dial/LazyDial.ts"
export * as Errors from "./domain/Errors.ts"
export * as Ids from "./domain/Ids.ts"
export * as Recovery from "./domain/Recovery.ts"
export * as Enrollment from "./provisioner/Enrollment.ts"
