/**
 * The bounds of the gateway, of its links, and of the calls over them.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * Durations and counts; the values in brackets are the defaults.
 *
 * @since 0.1.0
 * @category models
 */
export interface GatewayConfig {
  /** Between two heartbeats to the store (10 s). */
  readonly heartbeat: Duration.Duration
  /** Bounds each call to the store (5 s), above the bound that the store keeps itself. */
  readonly storeTimeout: Duration.Duration
  /** Lookups and attaches at the store at the same time (64). */
  readonly lookups: number
  /** Between two pings (4 s). */
  readonly pingInterval: Duration.Duration
  /** Silence that ends a link (12 s), seen at the next ping. */
  readonly pingTimeout: Duration.Duration
  /** For the upgrade and the agent's hello (5 s). */
  readonly helloTimeout: Duration.Duration
  /** Sockets whose agent is not attached yet (1,000). */
  readonly unauthenticated: number
  /** Of one agent (8): it has one link, and a second one while it moves. */
  readonly unauthenticatedPerAgent: number
  /** Agents whose last refusal is remembered (1,000): strangers with ids of their own making must fill no memory. */
  readonly refusals: number
  /** Characters in one frame of an agent (1 MiB). */
  readonly frameLimit: number
  /** Chunks of one stream that its reader has not taken (2); more is a violation. */
  readonly undeliveredChunks: number
  /** Undelivered chunks of a session and, apart, its unanswered requests, in characters (16 MiB). */
  readonly sessionBuffer: number
  /** Dials that wait for one agent (256). */
  readonly waitersPerAgent: number
  /** Dials that wait on this node (10,000). */
  readonly waiters: number
  /** Changes of the incarnation that is accepted (3) within `conflictWindow` (5 min); more is a conflict. */
  readonly conflictChanges: number
  readonly conflictWindow: Duration.Duration
  /** How long a conflict refuses the newcomers (5 min). */
  readonly conflictRefusal: Duration.Duration
  /** How long dials fail after an agent of an incompatible version called (30 s). */
  readonly incompatibleFor: Duration.Duration
  /** After its start the gateway does not call an agent absent (5 s): the agents need as long to come back. */
  readonly settle: Duration.Duration
  /** Within this time agents that are asked to move open their new link (5 s). */
  readonly moveWithin: Duration.Duration
  /** What the end of the layer waits for agents to move (2 s). */
  readonly shutdownDrain: Duration.Duration
  /** Between the close of a socket and its destruction (200 ms). */
  readonly closeGrace: Duration.Duration
  /** Kills that could not be sent: per agent (256), on this node (10,000), and how long they are kept (10 min). */
  readonly debtsPerAgent: number
  readonly debts: number
  readonly debtAge: Duration.Duration
  /** Lifecycles of agents that are written to the store at the same time (16), apart from its other calls. */
  readonly lifecycleWriters: number
  /** Changes of one session's lifecycle that are written (6) within `lifecycleWindow` (1 min); of more the last. */
  readonly lifecycleChanges: number
  readonly lifecycleWindow: Duration.Duration
  /** The first delay before a lifecycle is written again (1 s), and the longest (10 s). */
  readonly lifecycleRetry: Duration.Duration
  readonly lifecycleRetryCap: Duration.Duration
  /** The deadline of stat, list, signal and of the acknowledgement of a start (10 s). */
  readonly shortCall: Duration.Duration
  /** The deadline of reading, writing and editing, and of reading kept output (30 s). */
  readonly fileCall: Duration.Duration
  /** The deadline of a call of a workspace's own tool that names none, and of their list (60 s). */
  readonly mcpCall: Duration.Duration
  /** How long a list of these tools waits for servers that start (5 s). */
  readonly mcpWait: Duration.Duration
  /** The deadline of a command that names none (30 s). */
  readonly runTimeout: Duration.Duration
  /** How long a follower of output waits for a lost agent to come back (30 s). */
  readonly reattach: Duration.Duration
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: GatewayConfig = {
  heartbeat: Duration.seconds(10),
  storeTimeout: Duration.seconds(5),
  lookups: 64,
  pingInterval: Duration.seconds(4),
  pingTimeout: Duration.seconds(12),
  helloTimeout: Duration.seconds(5),
  unauthenticated: 1000,
  unauthenticatedPerAgent: 8,
  refusals: 1000,
  frameLimit: 1024 * 1024,
  undeliveredChunks: 2,
  sessionBuffer: 16 * 1024 * 1024,
  waitersPerAgent: 256,
  waiters: 10_000,
  conflictChanges: 3,
  conflictWindow: Duration.minutes(5),
  conflictRefusal: Duration.minutes(5),
  incompatibleFor: Duration.seconds(30),
  settle: Duration.seconds(5),
  moveWithin: Duration.seconds(5),
  shutdownDrain: Duration.seconds(2),
  closeGrace: Duration.millis(200),
  debtsPerAgent: 256,
  debts: 10_000,
  debtAge: Duration.minutes(10),
  lifecycleWriters: 16,
  lifecycleChanges: 6,
  lifecycleWindow: Duration.minutes(1),
  lifecycleRetry: Duration.seconds(1),
  lifecycleRetryCap: Duration.seconds(10),
  shortCall: Duration.seconds(10),
  fileCall: Duration.seconds(30),
  mcpCall: Duration.seconds(60),
  mcpWait: Duration.seconds(5),
  runTimeout: Duration.seconds(30),
  reattach: Duration.seconds(30)
}

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const GatewayConfig: Context.Reference<GatewayConfig> = Context.Reference("chat-workspace/agent/GatewayConfig", {
  defaultValue: () => defaults
})

/**
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [K in keyof GatewayConfig]?:
    | (GatewayConfig[K] extends Duration.Duration ? Duration.Input : GatewayConfig[K])
    | undefined
}

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): GatewayConfig => ({
  heartbeat: duration(options.heartbeat, defaults.heartbeat),
  storeTimeout: duration(options.storeTimeout, defaults.storeTimeout),
  lookups: options.lookups ?? defaults.lookups,
  pingInterval: duration(options.pingInterval, defaults.pingInterval),
  pingTimeout: duration(options.pingTimeout, defaults.pingTimeout),
  helloTimeout: duration(options.helloTimeout, defaults.helloTimeout),
  unauthenticated: options.unauthenticated ?? defaults.unauthenticated,
  unauthenticatedPerAgent: options.unauthenticatedPerAgent ?? defaults.unauthenticatedPerAgent,
  refusals: options.refusals ?? defaults.refusals,
  frameLimit: options.frameLimit ?? defaults.frameLimit,
  undeliveredChunks: options.undeliveredChunks ?? defaults.undeliveredChunks,
  sessionBuffer: options.sessionBuffer ?? defaults.sessionBuffer,
  waitersPerAgent: options.waitersPerAgent ?? defaults.waitersPerAgent,
  waiters: options.waiters ?? defaults.waiters,
  conflictChanges: options.conflictChanges ?? defaults.conflictChanges,
  conflictWindow: duration(options.conflictWindow, defaults.conflictWindow),
  conflictRefusal: duration(options.conflictRefusal, defaults.conflictRefusal),
  incompatibleFor: duration(options.incompatibleFor, defaults.incompatibleFor),
  settle: duration(options.settle, defaults.settle),
  moveWithin: duration(options.moveWithin, defaults.moveWithin),
  shutdownDrain: duration(options.shutdownDrain, defaults.shutdownDrain),
  closeGrace: duration(options.closeGrace, defaults.closeGrace),
  debtsPerAgent: options.debtsPerAgent ?? defaults.debtsPerAgent,
  debts: options.debts ?? defaults.debts,
  debtAge: duration(options.debtAge, defaults.debtAge),
  lifecycleWriters: options.lifecycleWriters ?? defaults.lifecycleWriters,
  lifecycleChanges: options.lifecycleChanges ?? defaults.lifecycleChanges,
  lifecycleWindow: duration(options.lifecycleWindow, defaults.lifecycleWindow),
  lifecycleRetry: duration(options.lifecycleRetry, defaults.lifecycleRetry),
  lifecycleRetryCap: duration(options.lifecycleRetryCap, defaults.lifecycleRetryCap),
  shortCall: duration(options.shortCall, defaults.shortCall),
  fileCall: duration(options.fileCall, defaults.fileCall),
  mcpCall: duration(options.mcpCall, defaults.mcpCall),
  mcpWait: duration(options.mcpWait, defaults.mcpWait),
  runTimeout: duration(options.runTimeout, defaults.runTimeout),
  reattach: duration(options.reattach, defaults.reattach)
})

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(GatewayConfig, make(options))

/**
 * Reads what an operator tunes: `GATEWAY_HEARTBEAT`, `GATEWAY_PING_INTERVAL`, `GATEWAY_PING_TIMEOUT`,
 * `GATEWAY_MOVE_WITHIN`, `GATEWAY_SHUTDOWN_DRAIN`, `GATEWAY_WAITERS` and `GATEWAY_RUN_TIMEOUT`.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<GatewayConfig> = Config.all({
  heartbeat: Config.withDefault(Config.Duration("GATEWAY_HEARTBEAT"), defaults.heartbeat),
  pingInterval: Config.withDefault(Config.Duration("GATEWAY_PING_INTERVAL"), defaults.pingInterval),
  pingTimeout: Config.withDefault(Config.Duration("GATEWAY_PING_TIMEOUT"), defaults.pingTimeout),
  moveWithin: Config.withDefault(Config.Duration("GATEWAY_MOVE_WITHIN"), defaults.moveWithin),
  shutdownDrain: Config.withDefault(Config.Duration("GATEWAY_SHUTDOWN_DRAIN"), defaults.shutdownDrain),
  waiters: Config.withDefault(Config.Int("GATEWAY_WAITERS"), defaults.waiters),
  runTimeout: Config.withDefault(Config.Duration("GATEWAY_RUN_TIMEOUT"), defaults.runTimeout)
}).pipe(Config.map(make))

const duration = (input: Duration.Input | undefined, fallback: Duration.Duration): Duration.Duration =>
  input === undefined ? fallback : Duration.fromInputUnsafe(input)
