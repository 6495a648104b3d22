/**
 * Many nodes: any of them reaches any agent, over NATS.
 *
 * @since 0.1.0
 */
export * as ClusterConfig from "./ClusterConfig.ts"
export * as ClusterMetrics from "./ClusterMetrics.ts"
export * as Nats from "./Nats.ts"
export * as NatsSignals from "./NatsSignals.ts"
export * as NatsTransport from "./NatsTransport.ts"
