/**
 * The ports to a database, each with its layers.
 *
 * @since 0.1.0
 */
export * as AgentEnrollments from "./AgentEnrollments.ts"
export * as AgentPresence from "./AgentPresence.ts"
export * as Builds from "./Builds.ts"
export * as ChatBindings from "./ChatBindings.ts"
export * as Chats from "./Chats.ts"
export * as InstructionStore from "./InstructionStore.ts"
export * as MemoryStore from "./MemoryStore.ts"
export * as Migrations from "./Migrations.ts"
export * as SqlAgentEnrollments from "./SqlAgentEnrollments.ts"
export * as SqlAgentPresence from "./SqlAgentPresence.ts"
export * as SqlBuilds from "./SqlBuilds.ts"
export * as SqlChatBindings from "./SqlChatBindings.ts"
export * as SqlChats from "./SqlChats.ts"
export * as SqlInstructionStore from "./SqlInstructionStore.ts"
export * as SqlStore from "./SqlStore.ts"
export * as SqlTurns from "./SqlTurns.ts"
export * as SqlWorkspaceAgents from "./SqlWorkspaceAgents.ts"
export * as StoreConfig from "./StoreConfig.ts"
export * as Templates from "./Templates.ts"
export * as TurnClosing from "./TurnClosing.ts"
export * as TurnStore from "./TurnStore.ts"
export * as WorkspaceAgents from "./WorkspaceAgents.ts"
