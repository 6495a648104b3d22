/**
 * How calls reach an agent.
 *
 * @since 0.1.0
 */
export * as AgentConnection from "./AgentConnection.ts"
export * as AgentGateway from "./AgentGateway.ts"
export * as AgentTransport from "./AgentTransport.ts"
export * as ExecConnection from "./ExecConnection.ts"
export * as Feature from "./Feature.ts"
export * as GatewayConfig from "./GatewayConfig.ts"
export * as GatewayMetrics from "./GatewayMetrics.ts"
export * as Mcp from "./Mcp.ts"
export * as Protocol from "./Protocol.ts"
