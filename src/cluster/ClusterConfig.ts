/**
 * The bounds between nodes.
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
export const bounds = Bounds.make("CLUSTER", {
  /** What all subjects begin with: nodes of one prefix on one NATS are one cluster. */
  subjectPrefix: Bounds.text("chat-workspace"),
  /** Between two signs of life to each node that a tunnel leads to, and to oneself; more beyond some ten nodes. */
  pulse: Bounds.duration("50 millis"),
  /** Silence after which a node counts as frozen: its tunnels end, and so do all of a node that stood still itself. */
  frozen: Bounds.duration("2 seconds"),
  /** How long the connection to NATS may be lost before what goes over it ends, and dials of other nodes' agents fail. */
  brokerGrace: Bounds.duration("1 second", { zero: true }),
  /** For the answer of the node that holds an agent, until it is asked anew. */
  openTimeout: Bounds.duration("1 second"),
  /** Between two times that one question is sent: it may have met a node that was just going. */
  openRepeat: Bounds.duration("200 millis"),
  /** Between two looks for an agent that no node holds, should the news of its coming get lost. */
  seek: Bounds.duration("2 seconds"),
  /** An agent that was there is not called absent before: it may be changing nodes. */
  grace: Bounds.duration("2 seconds", { zero: true }),
  /** How long a tunnel without users stays open. */
  idle: Bounds.duration("30 seconds", { zero: true }),
  /** What a tunnel has received and nobody has read, in bytes; more ends it. */
  tunnelBuffer: Bounds.bytes(16 * 1024 * 1024),
  /** Tunnels of other nodes to one agent. */
  tunnelsPerAgent: Bounds.count(256)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ClusterConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: ClusterConfig = bounds.defaults

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const ClusterConfig: Context.Reference<ClusterConfig> = Context.Reference(
  "chat-workspace/cluster/ClusterConfig",
  { defaultValue: () => defaults }
)

/**
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<ClusterConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => ClusterConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(ClusterConfig, make(options))

/**
 * Reads `CLUSTER_PULSE`, `CLUSTER_FROZEN` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<ClusterConfig> = bounds.config
