/**
 * The bounds of the command line, read from the environment, so that whoever waits keeps the deadlines of `serve`.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Layer from "effect/Layer"
import * as GatewayConfig from "../agent/GatewayConfig.ts"
import * as DialConfig from "../dial/DialConfig.ts"
import * as ProvisionerConfig from "../provisioner/ProvisionerConfig.ts"
import * as StoreConfig from "../store/StoreConfig.ts"

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, Config.ConfigError> = Layer.mergeAll(
  Layer.effect(StoreConfig.StoreConfig, StoreConfig.config),
  Layer.effect(GatewayConfig.GatewayConfig, GatewayConfig.config),
  Layer.effect(DialConfig.DialConfig, DialConfig.config),
  Layer.effect(ProvisionerConfig.ProvisionerConfig, ProvisionerConfig.config)
)
