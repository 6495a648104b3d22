/**
 * The bounds and limits of the agent program.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Bounds from "../../domain/Bounds.ts"

/**
 * @since 0.1.0
 * @category bounds
 */
export const bounds = Bounds.make("CW_AGENT", {
  /** Opening a link, the handshake included. */
  openTimeout: Bounds.duration("10 seconds"),
  /** A gateway that is silent for so long is dead. */
  readSilence: Bounds.duration("15 seconds"),
  /** A frame read so long after the one before is dropped with its link, unexecuted. */
  staleFrame: Bounds.duration("10 seconds"),
  /** The first delay before a new link, before jitter; each further one is doubled. */
  backoffBase: Bounds.duration("200 millis"),
  /** The longest delay before a new link, and the pace of an agent that is refused. */
  backoffCap: Bounds.duration("5 seconds"),
  /** A link that lived so long starts the delays anew. */
  healthyAfter: Bounds.duration("30 seconds", { zero: true }),
  /** How long an agent stays away after another incarnation took its place. */
  displacedPause: Bounds.duration("60 seconds", { zero: true }),
  /** How long the new link of a move may be unused, and then how long calls may go on over the old one. */
  moveDrain: Bounds.duration("5 seconds", { zero: true }),
  /** How long the old link is served after its last call, for what is on its way in either direction. */
  moveGrace: Bounds.duration("250 millis", { zero: true }),
  /** Calls in flight. */
  callsInFlight: Bounds.count(64),

  /** Processes that run at once. */
  runningProcesses: Bounds.count(64),
  /** Finished processes whose output is kept. */
  finishedOutputs: Bounds.count(256),
  /** Bytes of output kept of all processes together. */
  outputBytes: Bounds.bytes(128 * 1024 * 1024),
  /** Bytes kept of the beginning of an output. */
  headBytes: Bounds.bytes(256 * 1024),
  /** Bytes kept of the end of an output. */
  tailBytes: Bounds.bytes(768 * 1024),
  /** Where a follower goes on that fell behind twice: so many bytes before the end. */
  rejoinBytes: Bounds.bytes(192 * 1024),
  /** Bytes of output read a second, of all processes together. */
  drainRate: Bounds.bytes(100_000_000),
  /** The window in which `drainRate` is kept. */
  drainWindow: Bounds.duration("10 millis"),
  /** How long a follower waits for more output before it sends what there is. */
  coalesce: Bounds.duration("5 millis", { zero: true }),
  /** How long output is still read after the process has exited. */
  exitDrain: Bounds.duration("200 millis", { zero: true }),
  /** From TERM to KILL. */
  killAfter: Bounds.duration("2 seconds", { zero: true }),
  /** How long the start-up script may take; then it is left running. */
  startupTimeout: Bounds.duration("10 minutes"),
  /** How long the shutdown script may take; then it is killed. */
  shutdownTimeout: Bounds.duration("10 seconds"),
  /** How long the gateway has to hear the last lifecycle before the link is left. */
  farewell: Bounds.duration("1 second", { zero: true }),

  /** Operation ids remembered. */
  operations: Bounds.count(10_000),
  /** How long an operation is remembered at least after its end. */
  operationRetention: Bounds.duration("1 hour"),

  /** Bytes of one read. */
  readBytes: Bounds.bytes(1024 * 1024),
  /** Bytes of one write. */
  writeBytes: Bounds.bytes(10 * 1024 * 1024),
  /** Bytes of all uploads together that wait for their write. */
  uploadBytes: Bounds.bytes(64 * 1024 * 1024),
  /** How long an upload waits for its next part or its write. */
  uploadRetention: Bounds.duration("5 minutes"),
  /** Entries of one listing. */
  listEntries: Bounds.count(1000),
  /** Bytes of one unary answer. */
  answerBytes: Bounds.bytes(512 * 1024),

  /** Bytes of the file that names the workspace's MCP servers. */
  mcpFileBytes: Bounds.bytes(256 * 1024),
  /** How long a server has to start and to list its tools: a first start may have to fetch it. */
  mcpHandshake: Bounds.duration("30 seconds"),
  /** The first delay before a server that ended is started again; each further one is doubled. */
  mcpBackoffBase: Bounds.duration("500 millis"),
  /** The longest of these delays. */
  mcpBackoffCap: Bounds.duration("30 seconds"),
  /** Starts of one server within `mcpStartWindow`; then it rests until it is asked for after that. */
  mcpStarts: Bounds.count(5),
  /** The time in which `mcpStarts` are counted. */
  mcpStartWindow: Bounds.duration("5 minutes"),
  /** Bytes of one message of a server; a larger one ends it. */
  mcpMessageBytes: Bounds.bytes(16 * 1024 * 1024),
  /** Bytes kept of what a server says on stderr. */
  mcpStderrBytes: Bounds.bytes(64 * 1024),
  /** How long a call of a tool may take at the server, whatever its caller waits. */
  mcpCallLimit: Bounds.duration("10 minutes"),
  /** How long a server reached by HTTP has to hear of a canceled call or the end of its session. */
  mcpFarewell: Bounds.duration("1 second", { zero: true })
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ProgramConfig extends Bounds.Of<typeof bounds> {}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: ProgramConfig = bounds.defaults

/**
 * The bounds in force.
 *
 * @since 0.1.0
 * @category references
 */
export const ProgramConfig: Context.Reference<ProgramConfig> = Context.Reference(
  "chat-workspace/agent/program/ProgramConfig",
  { defaultValue: () => defaults }
)

/**
 * Other values for some of the bounds; durations in any form.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Bounds.Options<ProgramConfig>

/**
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => ProgramConfig = bounds.make

/**
 * Puts other values in force.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(ProgramConfig, make(options))

/**
 * Reads `CW_AGENT_READ_SILENCE`, `CW_AGENT_STALE_FRAME` and so on, each with its default.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<ProgramConfig> = bounds.config
