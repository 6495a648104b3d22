/**
 * The bounds of a turn: how long it may go on, how its node holds it, and how it is followed.
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
export const bounds = Bounds.make("TURN", {
  /** What the model is shown of earlier turns, the newest of them, whole ones only. */
  historyBytes: Bounds.bytes(512 * 1024, { zero: true }),
  /** Requests to the model in a turn. */
  steps: Bounds.count(100),
  /** A turn in all. */
  time: Bounds.duration("60 minutes"),
  /** How long the model may say nothing. */
  silence: Bounds.duration("120 seconds"),
  /** Calls of tools at once. */
  calls: Bounds.count(16),
  /** One call, whatever its tool does; longer than any bound of the tools themselves. */
  callTime: Bounds.duration("35 minutes"),
  /** What calls have to end in when their turn does. */
  callsEnd: Bounds.duration("4 seconds", { zero: true }),
  /** How long a node holds a turn that it cannot renew. */
  lease: Bounds.duration("30 seconds"),
  /** How often it renews, and hears that somebody wants the turn interrupted. */
  renew: Bounds.duration("5 seconds"),
  /** What the turns of a node have to end in when the node does. Calls that are under way may go on for half of it. */
  drain: Bounds.duration("10 seconds", { zero: true }),
  /** How long events are gathered before they are stored. */
  flush: Bounds.duration("250 millis", { zero: true }),
  /** Events of a turn; more text and progress than that is not told. */
  events: Bounds.count(10_000),
  /** How long events can be read after the end of the turn. */
  keepEvents: Bounds.duration("1 day", { zero: true }),
  /** How often a turn of another node is looked at, and a store that failed is asked again. */
  poll: Bounds.duration("1 second"),
  /** How often turns of lost nodes are looked for. */
  sweep: Bounds.duration("10 seconds")
})

/**
 * @since 0.1.0
 * @category models
 */
export interface TurnLimits extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: TurnLimits = bounds.defaults

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
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<TurnLimits>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => TurnLimits = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(TurnLimits, make(options))

/**
 * Reads `TURN_STEPS`, `TURN_TIME` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<TurnLimits> = bounds.config
