/**
 * How calls reach an agent.
 *
 * @since 0.1.0
 */
export type * as AgentConnection from "./AgentConnection.ts"
export * as AgentTransport from "./AgentTransport.ts"
export * as Feature from "./Feature.ts"
export * as Protocol from "./Protocol.ts"
