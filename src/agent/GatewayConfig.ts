/**
 * The bounds of the gateway, of its links, and of the calls over them.
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
export const bounds = Bounds.make("GATEWAY", {
  /** Between two heartbeats to the store. */
  heartbeat: Bounds.duration("10 seconds"),
  /** Each call to the store, above the bound that the store keeps itself. */
  storeTimeout: Bounds.duration("5 seconds"),
  /** Lookups and attaches at the store at the same time. */
  lookups: Bounds.count(512),
  /** Between two pings. */
  pingInterval: Bounds.duration("4 seconds"),
  /** Silence that ends a link, seen at the next ping. */
  pingTimeout: Bounds.duration("12 seconds"),
  /** For the upgrade and the agent's hello. */
  helloTimeout: Bounds.duration("5 seconds"),
  /** Sockets whose agent is not attached yet. */
  unauthenticated: Bounds.count(1000),
  /** Of one agent: it has one link, and a second one while it moves. */
  unauthenticatedPerAgent: Bounds.count(8),
  /** Links that one agent may open at once on this node; each is one fewer until `connectInterval` gives it back. */
  connectsPerAgent: Bounds.count(30),
  /** In which one of `connectsPerAgent` comes back. */
  connectInterval: Bounds.duration("1 second"),
  /** Agents whose last refusal is remembered: strangers with ids of their own making must fill no memory. */
  refusals: Bounds.count(1000),
  /** Characters in one frame of an agent. Without a key: the agent program counts on it. */
  frameLimit: Bounds.bytes(1024 * 1024, { key: null }),
  /**
   * Chunks of one stream that its reader has not taken; more is a violation. Without a key: the agent program counts
   * on it.
   */
  undeliveredChunks: Bounds.count(2, { key: null }),
  /** Undelivered chunks of a session and, apart, its unanswered requests, in characters. */
  sessionBuffer: Bounds.bytes(16 * 1024 * 1024),
  /** Dials that wait for one agent. */
  waitersPerAgent: Bounds.count(256),
  /** Dials that wait on this node. */
  waiters: Bounds.count(10_000),
  /** Changes of the incarnation that is accepted within `conflictWindow`; more is a conflict. */
  conflictChanges: Bounds.count(3),
  /** The time in which `conflictChanges` are counted. */
  conflictWindow: Bounds.duration("5 minutes"),
  /** How long a conflict refuses the newcomers. */
  conflictRefusal: Bounds.duration("5 minutes", { zero: true }),
  /** How long dials fail after an agent of an incompatible version called. */
  incompatibleFor: Bounds.duration("30 seconds", { zero: true }),
  /** After its start the gateway does not call an agent absent: the agents need as long to come back. */
  settle: Bounds.duration("5 seconds", { zero: true }),
  /** Within this time agents that are asked to move open their new link. */
  moveWithin: Bounds.duration("5 seconds", { zero: true }),
  /** What the end of the layer waits for agents to move. */
  shutdownDrain: Bounds.duration("2 seconds", { zero: true }),
  /** Between the close of a socket and its destruction. */
  closeGrace: Bounds.duration("200 millis", { zero: true }),
  /** Kills of one agent that could not be sent and are kept. */
  debtsPerAgent: Bounds.count(256),
  /** Such kills on this node. */
  debts: Bounds.count(10_000),
  /** How long such kills are kept. */
  debtAge: Bounds.duration("10 minutes"),
  /** Lifecycles of agents that are written to the store at the same time, apart from its other calls. */
  lifecycleWriters: Bounds.count(256),
  /** Changes of one session's lifecycle that are written within `lifecycleWindow`; of more the last. */
  lifecycleChanges: Bounds.count(6),
  /** The time in which `lifecycleChanges` are counted. */
  lifecycleWindow: Bounds.duration("1 minute"),
  /** The first delay before a lifecycle is written again. */
  lifecycleRetry: Bounds.duration("1 second"),
  /** The longest of these delays. */
  lifecycleRetryCap: Bounds.duration("10 seconds"),
  /** The deadline of stat, list, signal and of the acknowledgement of a start. */
  shortCall: Bounds.duration("10 seconds"),
  /** The deadline of reading, writing and editing, and of reading kept output. */
  fileCall: Bounds.duration("30 seconds"),
  /** The deadline of a call of a workspace's own tool that names none, and of their list. */
  mcpCall: Bounds.duration("60 seconds"),
  /** How long a list of these tools waits for servers that start. */
  mcpWait: Bounds.duration("5 seconds", { zero: true }),
  /** The deadline of a command that names none. */
  runTimeout: Bounds.duration("30 seconds"),
  /** How long a follower of output waits for a lost agent to come back. */
  reattach: Bounds.duration("30 seconds", { zero: true })
})

/**
 * @since 0.1.0
 * @category models
 */
export interface GatewayConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: GatewayConfig = bounds.defaults

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
export type Options = Bounds.Options<GatewayConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => GatewayConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(GatewayConfig, make(options))

/**
 * Reads `GATEWAY_HEARTBEAT`, `GATEWAY_PING_INTERVAL` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<GatewayConfig> = bounds.config
