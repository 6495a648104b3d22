/**
 * The bounds of connecting: every wait of a `connect` is one of these.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * - `validationDelay` (1 s): how long a dial may take before the store is asked whether its agent is the right one
 * - `dialTimeout` (30 s): bound of one flight: resolve, dial and repair
 * - `connectTimeout` (40 s): bound of one `connect`, whatever dies, also when it starts over
 * - `confirmedDead` (5 s): what a dial still gets once its agent is known to be the right one, and dead
 * - `inactiveTimeout` (30 s): an agent silent for longer is disconnected
 * - `restartAdvice` (90 s): unreachable for this long, a restart is the advice
 * - `connectionIdle` (5 min): how long a connection without users stays open
 * - `livenessRead` (500 ms): bound of the read when it is not known whether a connection still lives
 * - `release` (5 s): a release that takes longer is logged
 * - `drain` (2 s): what the end of the layer waits for the fibers it owns
 * - `preferredSuffix` (`-chat`): the one agent whose name ends so is chosen before all others
 *
 * @since 0.1.0
 * @category models
 */
export interface DialConfig {
  readonly validationDelay: Duration.Duration
  readonly dialTimeout: Duration.Duration
  readonly connectTimeout: Duration.Duration
  readonly confirmedDead: Duration.Duration
  readonly inactiveTimeout: Duration.Duration
  readonly restartAdvice: Duration.Duration
  readonly connectionIdle: Duration.Duration
  readonly livenessRead: Duration.Duration
  readonly release: Duration.Duration
  readonly drain: Duration.Duration
  readonly preferredSuffix: string
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: DialConfig = {
  validationDelay: Duration.seconds(1),
  dialTimeout: Duration.seconds(30),
  connectTimeout: Duration.seconds(40),
  confirmedDead: Duration.seconds(5),
  inactiveTimeout: Duration.seconds(30),
  restartAdvice: Duration.seconds(90),
  connectionIdle: Duration.minutes(5),
  livenessRead: Duration.millis(500),
  release: Duration.seconds(5),
  drain: Duration.seconds(2),
  preferredSuffix: "-chat"
}

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
 * The options of `layer`: any of the bounds, as a duration or in words.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [Key in keyof DialConfig]?:
    | (DialConfig[Key] extends Duration.Duration ? Duration.Input : DialConfig[Key])
    | undefined
}

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): DialConfig => {
  const duration = (key: Exclude<keyof DialConfig, "preferredSuffix">) =>
    Duration.fromInputUnsafe(options[key] ?? defaults[key])
  return {
    validationDelay: duration("validationDelay"),
    dialTimeout: duration("dialTimeout"),
    connectTimeout: duration("connectTimeout"),
    confirmedDead: duration("confirmedDead"),
    inactiveTimeout: duration("inactiveTimeout"),
    restartAdvice: duration("restartAdvice"),
    connectionIdle: duration("connectionIdle"),
    livenessRead: duration("livenessRead"),
    release: duration("release"),
    drain: duration("drain"),
    preferredSuffix: options.preferredSuffix ?? defaults.preferredSuffix
  }
}

/**
 * Sets bounds; the others keep their defaults.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(DialConfig, make(options))

const duration = (name: string, fallback: Duration.Duration): Config.Config<Duration.Duration> =>
  Config.withDefault(Config.Duration(name), fallback)

/**
 * Reads `DIAL_VALIDATION_DELAY`, `DIAL_TIMEOUT`, `DIAL_CONNECT_TIMEOUT` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<DialConfig> = Config.all({
  validationDelay: duration("DIAL_VALIDATION_DELAY", defaults.validationDelay),
  dialTimeout: duration("DIAL_TIMEOUT", defaults.dialTimeout),
  connectTimeout: duration("DIAL_CONNECT_TIMEOUT", defaults.connectTimeout),
  confirmedDead: duration("DIAL_CONFIRMED_DEAD", defaults.confirmedDead),
  inactiveTimeout: duration("DIAL_INACTIVE_TIMEOUT", defaults.inactiveTimeout),
  restartAdvice: duration("DIAL_RESTART_ADVICE", defaults.restartAdvice),
  connectionIdle: duration("DIAL_CONNECTION_IDLE", defaults.connectionIdle),
  livenessRead: duration("DIAL_LIVENESS_READ", defaults.livenessRead),
  release: duration("DIAL_RELEASE", defaults.release),
  drain: duration("DIAL_DRAIN", defaults.drain),
  preferredSuffix: Config.withDefault(Config.String("DIAL_PREFERRED_SUFFIX"), defaults.preferredSuffix)
})
