/**
 * The bounds of a turn: how long it may go on, how its node holds it, and how it is followed.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * - `historyBytes` (512 KiB): what the model is shown of earlier turns, the newest of them, whole ones only
 * - `steps` (100): requests to the model in a turn
 * - `time` (60 min): a turn in all
 * - `silence` (120 s): how long the model may say nothing
 * - `calls` (16): calls of tools at once
 * - `callTime` (35 min): one call, whatever its tool does; longer than any bound of the tools themselves
 * - `callsEnd` (4 s): what calls have to end in when their turn does
 * - `lease` (30 s): how long a node holds a turn that it cannot renew
 * - `renew` (5 s): how often it renews, and hears that somebody wants the turn interrupted
 * - `drain` (10 s): what the turns of a node have to end in when the node does
 * - `flush` (250 ms): how long events are gathered before they are stored
 * - `events` (10,000): events of a turn; more text and progress than that is not told
 * - `keepEvents` (1 day): how long they can be read after the end of the turn
 * - `poll` (1 s): how often a turn of another node is looked at, and a store that failed is asked again
 * - `sweep` (10 s): how often turns of lost nodes are looked for
 *
 * @since 0.1.0
 * @category models
 */
export interface TurnLimits {
  readonly historyBytes: number
  readonly steps: number
  readonly time: Duration.Duration
  readonly silence: Duration.Duration
  readonly calls: number
  readonly callTime: Duration.Duration
  readonly callsEnd: Duration.Duration
  readonly lease: Duration.Duration
  readonly renew: Duration.Duration
  readonly drain: Duration.Duration
  readonly flush: Duration.Duration
  readonly events: number
  readonly keepEvents: Duration.Duration
  readonly poll: Duration.Duration
  readonly sweep: Duration.Duration
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: TurnLimits = {
  historyBytes: 512 * 1024,
  steps: 100,
  time: Duration.minutes(60),
  silence: Duration.seconds(120),
  calls: 16,
  callTime: Duration.minutes(35),
  callsEnd: Duration.seconds(4),
  lease: Duration.seconds(30),
  renew: Duration.seconds(5),
  drain: Duration.seconds(10),
  flush: Duration.millis(250),
  events: 10_000,
  keepEvents: Duration.days(1),
  poll: Duration.seconds(1),
  sweep: Duration.seconds(10)
}

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const TurnLimits: Context.Reference<TurnLimits> = Context.Reference("chat-workspace/turn/TurnLimits", {
  defaultValue: () => defaults
})

/**
 * The options of `layer`: any of the bounds, as a duration or in words.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [Key in keyof TurnLimits]?:
    | (TurnLimits[Key] extends Duration.Duration ? Duration.Input : TurnLimits[Key])
    | undefined
}

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): TurnLimits => {
  const duration = (key: Exclude<keyof TurnLimits, "historyBytes" | "steps" | "calls" | "events">) =>
    Duration.fromInputUnsafe(options[key] ?? defaults[key])
  return {
    historyBytes: options.historyBytes ?? defaults.historyBytes,
    steps: options.steps ?? defaults.steps,
    time: duration("time"),
    silence: duration("silence"),
    calls: options.calls ?? defaults.calls,
    callTime: duration("callTime"),
    callsEnd: duration("callsEnd"),
    lease: duration("lease"),
    renew: duration("renew"),
    drain: duration("drain"),
    flush: duration("flush"),
    events: options.events ?? defaults.events,
    keepEvents: duration("keepEvents"),
    poll: duration("poll"),
    sweep: duration("sweep")
  }
}

/**
 * Sets bounds; the others keep their defaults.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(TurnLimits, make(options))

const duration = (name: string, fallback: Duration.Duration): Config.Config<Duration.Duration> =>
  Config.withDefault(Config.Duration(name), fallback)

const int = (name: string, fallback: number): Config.Config<number> => Config.withDefault(Config.Int(name), fallback)

/**
 * Reads `TURN_STEPS`, `TURN_TIME` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<TurnLimits> = Config.all({
  historyBytes: int("TURN_HISTORY_BYTES", defaults.historyBytes),
  steps: int("TURN_STEPS", defaults.steps),
  time: duration("TURN_TIME", defaults.time),
  silence: duration("TURN_SILENCE", defaults.silence),
  calls: int("TURN_CALLS", defaults.calls),
  callTime: duration("TURN_CALL_TIME", defaults.callTime),
  callsEnd: duration("TURN_CALLS_END", defaults.callsEnd),
  lease: duration("TURN_LEASE", defaults.lease),
  renew: duration("TURN_RENEW", defaults.renew),
  drain: duration("TURN_DRAIN", defaults.drain),
  flush: duration("TURN_FLUSH", defaults.flush),
  events: int("TURN_EVENTS", defaults.events),
  keepEvents: duration("TURN_KEEP_EVENTS", defaults.keepEvents),
  poll: duration("TURN_POLL", defaults.poll),
  sweep: duration("TURN_SWEEP", defaults.sweep)
})
