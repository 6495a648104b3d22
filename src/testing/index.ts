/**
 * What a test of an application needs: workspaces in every state, and the parts they are made of.
 *
 * @since 0.1.0
 */
export * as AgentTransportKit from "./AgentTransportKit.ts"
export * as MemoryAgent from "./MemoryAgent.ts"
export * as ObedientModel from "./ObedientModel.ts"
export * as PostgresBinaries from "./PostgresBinaries.ts"
export * as PostgresServer from "./PostgresServer.ts"
export * as ProviderKit from "./ProviderKit.ts"
export * as ScriptedMcp from "./ScriptedMcp.ts"
export * as ScriptedModel from "./ScriptedModel.ts"
export * as ScriptedProvider from "./ScriptedProvider.ts"
export * as ScriptedStores from "./ScriptedStores.ts"
export * as ScriptedTransport from "./ScriptedTransport.ts"
export * as TestBuilds from "./TestBuilds.ts"
export * as TestWorkspaces from "./TestWorkspaces.ts"
export * as VirtualTime from "./VirtualTime.ts"
