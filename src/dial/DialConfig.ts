/**
 * The bounds of connecting: every wait of a `connect` is one of these.
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
export const bounds = Bounds.make("DIAL", {
  /** How long a dial may take before the store is asked whether its agent is the right one. */
  validationDelay: Bounds.duration("1 second", { zero: true }),
  /** One flight: resolve, dial and repair. */
  dialTimeout: Bounds.duration("30 seconds", { key: "DIAL_TIMEOUT" }),
  /** One `connect`, whatever dies, also when it starts over. */
  connectTimeout: Bounds.duration("40 seconds"),
  /** What a dial still gets once its agent is known to be the right one, and dead. */
  confirmedDead: Bounds.duration("5 seconds", { zero: true }),
  /** An agent silent for longer is disconnected. */
  inactiveTimeout: Bounds.duration("30 seconds"),
  /** Unreachable for this long, a restart is the advice. */
  restartAdvice: Bounds.duration("90 seconds", { zero: true }),
  /** How long a connection without users stays open. */
  connectionIdle: Bounds.duration("5 minutes", { zero: true }),
  /** The read when it is not known whether a connection still lives. */
  livenessRead: Bounds.duration("500 millis"),
  /** A release that takes longer is logged. */
  release: Bounds.duration("5 seconds"),
  /** What the end of the layer waits for the fibers it owns. */
  drain: Bounds.duration("2 seconds", { zero: true }),
  /** The one agent whose name ends so is chosen before all others. */
  preferredSuffix: Bounds.text("-chat")
})

/**
 * @since 0.1.0
 * @category models
 */
export interface DialConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: DialConfig = bounds.defaults

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const DialConfig: Context.Reference<DialConfig> = Context.Reference("chat-workspace/dial/DialConfig", {
  defaultValue: () => defaults
})

/**
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<DialConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => DialConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(DialConfig, make(options))

/**
 * Reads `DIAL_VALIDATION_DELAY`, `DIAL_TIMEOUT`, `DIAL_CONNECT_TIMEOUT` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<DialConfig> = bounds.config
