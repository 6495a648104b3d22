/**
 * chat-workspace: live, correct connections from AI chats to the agents in their remote workspaces.
 *
 * @since 0.1.0
 */
export * as LazyDial from "./dial/LazyDial.ts"
