/**
 * The bounds of building: every wait of a build, and of those who wait for one, is one of these.
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
export const bounds = Bounds.make("BUILD", {
  /** How often the queue, a build and its log are looked at. */
  poll: Bounds.duration("2 seconds"),
  /** How long a build may take from its request, by the store's clock. */
  limit: Bounds.duration("15 minutes"),
  /** How long a runner holds a build without renewing. */
  lease: Bounds.duration("30 seconds"),
  /** How often a runner renews; one that could not for two of these ends its work. */
  renew: Bounds.duration("10 seconds"),
  /** What a provider's processes get to end before they are killed. */
  kill: Bounds.duration("5 seconds", { zero: true }),
  /** What the end of the layer waits for the builds it runs. */
  drain: Bounds.duration("2 seconds", { zero: true }),
  /** One dial of an agent that is awaited. */
  agentAttempt: Bounds.duration("5 seconds"),
  /** The time between two such dials. */
  agentPoll: Bounds.duration("2 seconds"),
  /** How long an agent is awaited after its build. */
  agentLimit: Bounds.duration("2 minutes"),
  /** How often start-up scripts are looked at, after a few looks at shorter times. */
  scriptsPoll: Bounds.duration("2 seconds"),
  /** How long start-up scripts are awaited after the agent connected. */
  scriptsLimit: Bounds.duration("10 minutes", { zero: true }),
  /** The time in which `newWorkspaces` are counted. */
  within: Bounds.duration("1 hour", { key: "BUILD_NEW_WORKSPACES_WITHIN" }),
  /** How often a repeatable build is taken. */
  attempts: Bounds.count(3),
  /** Builds that one node runs at once. */
  concurrency: Bounds.count(8, { zero: true }),
  /** Lines kept of the log of a build. */
  logLines: Bounds.count(10_000),
  /** Bytes kept of the log of a build. */
  logBytes: Bounds.bytes(1024 * 1024),
  /** New workspaces that one chat may make `within` a time. */
  newWorkspaces: Bounds.count(3, { zero: true }),
  /** Parameters of a template and of a build. */
  parameterCount: Bounds.count(64, { zero: true }),
  /** Bytes of the value of one parameter. */
  parameterBytes: Bounds.bytes(8 * 1024, { zero: true })
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ProvisionerConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: ProvisionerConfig = bounds.defaults

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const ProvisionerConfig: Context.Reference<ProvisionerConfig> = Context.Reference(
  "chat-workspace/provisioner/ProvisionerConfig",
  { defaultValue: () => defaults }
)

/**
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<ProvisionerConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => ProvisionerConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(ProvisionerConfig, make(options))

/**
 * Reads `BUILD_POLL`, `BUILD_LIMIT`, `BUILD_LEASE` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<ProvisionerConfig> = bounds.config
