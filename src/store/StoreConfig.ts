/**
 * The bounds of the store.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Bounds from "../domain/Bounds.ts"

/**
 * @since 0.1.0
 * @category bounds
 */
export const bounds = Bounds.make("STORE", {
  /** Ends every call to the database, hard, the wait for a connection of the pool included. */
  callTimeout: Bounds.duration("3 seconds")
})

/**
 * @since 0.1.0
 * @category models
 */
export interface StoreConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: StoreConfig = bounds.defaults

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
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<StoreConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => StoreConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(StoreConfig, make(options))

/**
 * Reads `STORE_CALL_TIMEOUT`.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<StoreConfig> = bounds.config
