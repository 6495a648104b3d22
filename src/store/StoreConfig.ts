/**
 * The bounds of the store.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * `callTimeout` (3 s) ends every call to the database, hard, the wait for a connection of the pool included.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreConfig {
  readonly callTimeout: Duration.Duration
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: StoreConfig = { callTimeout: Duration.seconds(3) }

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const StoreConfig: Context.Reference<StoreConfig> = Context.Reference("chat-workspace/store/StoreConfig", {
  defaultValue: () => defaults
})

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: { readonly callTimeout?: Duration.Input | undefined }): Layer.Layer<never> =>
  Layer.succeed(StoreConfig, {
    callTimeout: Duration.fromInputUnsafe(options.callTimeout ?? defaults.callTimeout)
  })

/**
 * Reads `STORE_CALL_TIMEOUT`.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<StoreConfig> = Config.all({
  callTimeout: Config.withDefault(Config.Duration("STORE_CALL_TIMEOUT"), defaults.callTimeout)
})
