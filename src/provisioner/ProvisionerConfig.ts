/**
 * The bounds of building: every wait of a build, and of those who wait for one, is one of these.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * - `poll` (2 s): how often the queue, a build and its log are looked at
 * - `limit` (15 min): how long a build may take from its request, by the store's clock
 * - `lease` (30 s): how long a runner holds a build without renewing
 * - `renew` (10 s): how often it renews; one that could not for two of these ends its work
 * - `kill` (5 s): what a provider's processes get to end before they are killed
 * - `drain` (2 s): what the end of the layer waits for the builds it runs
 * - `attempts` (3): how often a repeatable build is taken
 * - `concurrency` (8): builds that one node runs at once
 * - `agentAttempt` (5 s): one dial of an agent that is awaited
 * - `agentPoll` (2 s): the time between two such dials
 * - `agentLimit` (2 min): how long an agent is awaited after its build
 * - `scriptsPoll` (2 s): how often start-up scripts are looked at, after a few looks at shorter times
 * - `scriptsLimit` (10 min): how long they are awaited after the agent connected
 * - `logLines` (10,000), `logBytes` (1 MiB): what is kept of the log of a build
 * - `newWorkspaces` (3) `within` (1 h): what one chat may make
 * - `parameterCount` (64), `parameterBytes` (8 KiB): what a template and a build may have
 *
 * @since 0.1.0
 * @category models
 */
export interface ProvisionerConfig {
  readonly poll: Duration.Duration
  readonly limit: Duration.Duration
  readonly lease: Duration.Duration
  readonly renew: Duration.Duration
  readonly kill: Duration.Duration
  readonly drain: Duration.Duration
  readonly agentAttempt: Duration.Duration
  readonly agentPoll: Duration.Duration
  readonly agentLimit: Duration.Duration
  readonly scriptsPoll: Duration.Duration
  readonly scriptsLimit: Duration.Duration
  readonly within: Duration.Duration
  readonly attempts: number
  readonly concurrency: number
  readonly logLines: number
  readonly logBytes: number
  readonly newWorkspaces: number
  readonly parameterCount: number
  readonly parameterBytes: number
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: ProvisionerConfig = {
  poll: Duration.seconds(2),
  limit: Duration.minutes(15),
  lease: Duration.seconds(30),
  renew: Duration.seconds(10),
  kill: Duration.seconds(5),
  drain: Duration.seconds(2),
  agentAttempt: Duration.seconds(5),
  agentPoll: Duration.seconds(2),
  agentLimit: Duration.minutes(2),
  scriptsPoll: Duration.seconds(2),
  scriptsLimit: Duration.minutes(10),
  within: Duration.hours(1),
  attempts: 3,
  concurrency: 8,
  logLines: 10_000,
  logBytes: 1024 * 1024,
  newWorkspaces: 3,
  parameterCount: 64,
  parameterBytes: 8 * 1024
}

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
 * The options of `layer`: any of the bounds, as a duration or in words.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [Key in keyof ProvisionerConfig]?:
    | (ProvisionerConfig[Key] extends Duration.Duration ? Duration.Input : ProvisionerConfig[Key])
    | undefined
}

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): ProvisionerConfig => {
  const duration = (key: DurationKey) => Duration.fromInputUnsafe(options[key] ?? defaults[key])
  const number = (key: Exclude<keyof ProvisionerConfig, DurationKey>) => options[key] ?? defaults[key]
  return {
    poll: duration("poll"),
    limit: duration("limit"),
    lease: duration("lease"),
    renew: duration("renew"),
    kill: duration("kill"),
    drain: duration("drain"),
    agentAttempt: duration("agentAttempt"),
    agentPoll: duration("agentPoll"),
    agentLimit: duration("agentLimit"),
    scriptsPoll: duration("scriptsPoll"),
    scriptsLimit: duration("scriptsLimit"),
    within: duration("within"),
    attempts: number("attempts"),
    concurrency: number("concurrency"),
    logLines: number("logLines"),
    logBytes: number("logBytes"),
    newWorkspaces: number("newWorkspaces"),
    parameterCount: number("parameterCount"),
    parameterBytes: number("parameterBytes")
  }
}

/**
 * Sets bounds; the others keep their defaults.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(ProvisionerConfig, make(options))

type DurationKey = {
  readonly [Key in keyof ProvisionerConfig]: ProvisionerConfig[Key] extends Duration.Duration ? Key : never
}[keyof ProvisionerConfig]

const duration = (name: string, key: DurationKey): Config.Config<Duration.Duration> =>
  Config.withDefault(Config.Duration(name), defaults[key])

const number = (name: string, key: Exclude<keyof ProvisionerConfig, DurationKey>): Config.Config<number> =>
  Config.withDefault(Config.Int(name), defaults[key])

/**
 * Reads `BUILD_POLL`, `BUILD_LIMIT`, `BUILD_LEASE` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<ProvisionerConfig> = Config.all({
  poll: duration("BUILD_POLL", "poll"),
  limit: duration("BUILD_LIMIT", "limit"),
  lease: duration("BUILD_LEASE", "lease"),
  renew: duration("BUILD_RENEW", "renew"),
  kill: duration("BUILD_KILL", "kill"),
  drain: duration("BUILD_DRAIN", "drain"),
  agentAttempt: duration("BUILD_AGENT_ATTEMPT", "agentAttempt"),
  agentPoll: duration("BUILD_AGENT_POLL", "agentPoll"),
  agentLimit: duration("BUILD_AGENT_LIMIT", "agentLimit"),
  scriptsPoll: duration("BUILD_SCRIPTS_POLL", "scriptsPoll"),
  scriptsLimit: duration("BUILD_SCRIPTS_LIMIT", "scriptsLimit"),
  within: duration("BUILD_NEW_WORKSPACES_WITHIN", "within"),
  attempts: number("BUILD_ATTEMPTS", "attempts"),
  concurrency: number("BUILD_CONCURRENCY", "concurrency"),
  logLines: number("BUILD_LOG_LINES", "logLines"),
  logBytes: number("BUILD_LOG_BYTES", "logBytes"),
  newWorkspaces: number("BUILD_NEW_WORKSPACES", "newWorkspaces"),
  parameterCount: number("BUILD_PARAMETER_COUNT", "parameterCount"),
  parameterBytes: number("BUILD_PARAMETER_BYTES", "parameterBytes")
})
