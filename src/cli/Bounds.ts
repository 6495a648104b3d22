/**
 * The bounds of the command line, read from the environment, so that whoever waits keeps the deadlines of `serve`.
 *
 * The agent program reads its own, and the adapter for models those of its requests.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Layer from "effect/Layer"
import * as GatewayConfig from "../agent/GatewayConfig.ts"
import * as ClusterConfig from "../cluster/ClusterConfig.ts"
import * as DialConfig from "../dial/DialConfig.ts"
import * as HttpConfig from "../http/HttpConfig.ts"
import * as McpConfig from "../http/McpConfig.ts"
import * as ProvisionerConfig from "../provisioner/ProvisionerConfig.ts"
import * as StoreConfig from "../store/StoreConfig.ts"
import * as ToolConfig from "../tool/ToolConfig.ts"
import * as TurnConfig from "../turn/TurnConfig.ts"
import * as TurnLimits from "../turn/TurnLimits.ts"

/**
 * Fails with the name of a key whose value is none.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, Config.ConfigError> = Layer.mergeAll(
  Layer.effect(StoreConfig.StoreConfig, StoreConfig.config),
  Layer.effect(GatewayConfig.GatewayConfig, GatewayConfig.config),
  Layer.effect(DialConfig.DialConfig, DialConfig.config),
  Layer.effect(ClusterConfig.ClusterConfig, ClusterConfig.config),
  Layer.effect(ProvisionerConfig.ProvisionerConfig, ProvisionerConfig.config),
  Layer.effect(ToolConfig.ToolConfig, ToolConfig.config),
  Layer.effect(TurnConfig.TurnConfig, TurnConfig.config),
  Layer.effect(TurnLimits.TurnLimits, TurnLimits.config),
  Layer.effect(HttpConfig.HttpConfig, HttpConfig.config),
  Layer.effect(McpConfig.McpConfig, McpConfig.config)
)
