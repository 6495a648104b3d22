/**
 * The bounds and limits of the agent program.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/**
 * @since 0.1.0
 * @category models
 */
export interface ProgramConfig {
  /** Opening a link, the handshake included (10 s). */
  readonly openTimeout: Duration.Duration
  /** A gateway that is silent for so long is dead (15 s). */
  readonly readSilence: Duration.Duration
  /** A frame read so long after the one before is dropped with its link, unexecuted (10 s). */
  readonly staleFrame: Duration.Duration
  /** The first delay before a new link (200 ms), before jitter; each further one is doubled. */
  readonly backoffBase: Duration.Duration
  /** The longest delay before a new link (5 s), and the pace of an agent that is refused. */
  readonly backoffCap: Duration.Duration
  /** A link that lived so long starts the delays anew (30 s). */
  readonly healthyAfter: Duration.Duration
  /** How long an agent stays away after another incarnation took its place (60 s). */
  readonly displacedPause: Duration.Duration
  /** How long calls may go on over the old link after a move (5 s). */
  readonly moveDrain: Duration.Duration
  /** How long the old link is served after its last call, for what is on its way in either direction (250 ms). */
  readonly moveGrace: Duration.Duration
  /** Calls in flight (64). */
  readonly callsInFlight: number

  /** Processes that run at once (64). */
  readonly runningProcesses: number
  /** Finished processes whose output is kept (256). */
  readonly finishedOutputs: number
  /** Bytes of output kept of all processes together (128 MiB). */
  readonly outputBytes: number
  /** Bytes kept of the beginning of an output (256 KiB). */
  readonly headBytes: number
  /** Bytes kept of the end of an output (768 KiB). */
  readonly tailBytes: number
  /** Where a follower goes on that fell behind twice: so many bytes before the end (192 KiB). */
  readonly rejoinBytes: number
  /** Bytes of output read a second, of all processes together (100 MB). */
  readonly drainRate: number
  /** The window in which `drainRate` is kept (10 ms). */
  readonly drainWindow: Duration.Duration
  /** How long a follower waits for more output before it sends what there is (5 ms). */
  readonly coalesce: Duration.Duration
  /** How long output is still read after the process has exited (200 ms). */
  readonly exitDrain: Duration.Duration
  /** From TERM to KILL (2 s). */
  readonly killAfter: Duration.Duration
  /** How long the start-up script may take (10 min); then it is left running. */
  readonly startupTimeout: Duration.Duration
  /** How long the shutdown script may take (10 s); then it is killed. */
  readonly shutdownTimeout: Duration.Duration
  /** How long the gateway has to hear the last lifecycle before the link is left (1 s). */
  readonly farewell: Duration.Duration

  /** Operation ids remembered (10,000). */
  readonly operations: number
  /** How long an operation is remembered at least after its end (1 h). */
  readonly operationRetention: Duration.Duration

  /** Bytes of one read (1 MiB). */
  readonly readBytes: number
  /** Bytes of one write (10 MiB). */
  readonly writeBytes: number
  /** Bytes of all uploads together that wait for their write (64 MiB). */
  readonly uploadBytes: number
  /** How long an upload waits for its next part or its write (5 min). */
  readonly uploadRetention: Duration.Duration
  /** Entries of one listing (1,000). */
  readonly listEntries: number
  /** Bytes of one unary answer (512 KiB). */
  readonly answerBytes: number

  /** Bytes of the file that names the workspace's MCP servers (256 KiB). */
  readonly mcpFileBytes: number
  /** How long a server has to start and to list its tools (30 s): a first start may have to fetch it. */
  readonly mcpHandshake: Duration.Duration
  /** The first delay before a server that ended is started again (500 ms); each further one is doubled. */
  readonly mcpBackoffBase: Duration.Duration
  /** The longest of these delays (30 s). */
  readonly mcpBackoffCap: Duration.Duration
  /** Starts of one server (5) within `mcpStartWindow` (5 min); then it rests until it is asked for after that. */
  readonly mcpStarts: number
  readonly mcpStartWindow: Duration.Duration
  /** Bytes of one message of a server (16 MiB); a larger one ends it. */
  readonly mcpMessageBytes: number
  /** Bytes kept of what a server says on stderr (64 KiB). */
  readonly mcpStderrBytes: number
  /** How long a call of a tool may take at the server, whatever its caller waits (10 min). */
  readonly mcpCallLimit: Duration.Duration
  /** How long a server reached by HTTP has to hear of a canceled call or the end of its session (1 s). */
  readonly mcpFarewell: Duration.Duration
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaults: ProgramConfig = {
  openTimeout: Duration.seconds(10),
  readSilence: Duration.seconds(15),
  staleFrame: Duration.seconds(10),
  backoffBase: Duration.millis(200),
  backoffCap: Duration.seconds(5),
  healthyAfter: Duration.seconds(30),
  displacedPause: Duration.seconds(60),
  moveDrain: Duration.seconds(5),
  moveGrace: Duration.millis(250),
  callsInFlight: 64,
  runningProcesses: 64,
  finishedOutputs: 256,
  outputBytes: 128 * 1024 * 1024,
  headBytes: 256 * 1024,
  tailBytes: 768 * 1024,
  rejoinBytes: 192 * 1024,
  drainRate: 100_000_000,
  drainWindow: Duration.millis(10),
  coalesce: Duration.millis(5),
  exitDrain: Duration.millis(200),
  killAfter: Duration.seconds(2),
  startupTimeout: Duration.minutes(10),
  shutdownTimeout: Duration.seconds(10),
  farewell: Duration.seconds(1),
  operations: 10_000,
  operationRetention: Duration.hours(1),
  readBytes: 1024 * 1024,
  writeBytes: 10 * 1024 * 1024,
  uploadBytes: 64 * 1024 * 1024,
  uploadRetention: Duration.minutes(5),
  listEntries: 1_000,
  answerBytes: 512 * 1024,
  mcpFileBytes: 256 * 1024,
  mcpHandshake: Duration.seconds(30),
  mcpBackoffBase: Duration.millis(500),
  mcpBackoffCap: Duration.seconds(30),
  mcpStarts: 5,
  mcpStartWindow: Duration.minutes(5),
  mcpMessageBytes: 16 * 1024 * 1024,
  mcpStderrBytes: 64 * 1024,
  mcpCallLimit: Duration.minutes(10),
  mcpFarewell: Duration.seconds(1)
}

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
 * The defaults with other values for the options given.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Partial<ProgramConfig>): Layer.Layer<never> =>
  Layer.succeed(ProgramConfig, { ...defaults, ...options })

const duration = (name: string, byDefault: Duration.Duration): Config.Config<Duration.Duration> =>
  Config.withDefault(Config.Duration(`CW_AGENT_${name}`), byDefault)

const Count = Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThan(0))

const count = (name: string, byDefault: number): Config.Config<number> =>
  Config.withDefault(Config.schema(Count, `CW_AGENT_${name}`), byDefault)

/**
 * Reads the bounds from `CW_AGENT_READ_SILENCE`, `CW_AGENT_STALE_FRAME` and so on: the name of the field in capitals.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<ProgramConfig> = Config.all({
  openTimeout: duration("OPEN_TIMEOUT", defaults.openTimeout),
  readSilence: duration("READ_SILENCE", defaults.readSilence),
  staleFrame: duration("STALE_FRAME", defaults.staleFrame),
  backoffBase: duration("BACKOFF_BASE", defaults.backoffBase),
  backoffCap: duration("BACKOFF_CAP", defaults.backoffCap),
  healthyAfter: duration("HEALTHY_AFTER", defaults.healthyAfter),
  displacedPause: duration("DISPLACED_PAUSE", defaults.displacedPause),
  moveDrain: duration("MOVE_DRAIN", defaults.moveDrain),
  moveGrace: duration("MOVE_GRACE", defaults.moveGrace),
  callsInFlight: count("CALLS_IN_FLIGHT", defaults.callsInFlight),
  runningProcesses: count("RUNNING_PROCESSES", defaults.runningProcesses),
  finishedOutputs: count("FINISHED_OUTPUTS", defaults.finishedOutputs),
  outputBytes: count("OUTPUT_BYTES", defaults.outputBytes),
  headBytes: count("HEAD_BYTES", defaults.headBytes),
  tailBytes: count("TAIL_BYTES", defaults.tailBytes),
  rejoinBytes: count("REJOIN_BYTES", defaults.rejoinBytes),
  drainRate: count("DRAIN_RATE", defaults.drainRate),
  drainWindow: duration("DRAIN_WINDOW", defaults.drainWindow),
  coalesce: duration("COALESCE", defaults.coalesce),
  exitDrain: duration("EXIT_DRAIN", defaults.exitDrain),
  killAfter: duration("KILL_AFTER", defaults.killAfter),
  startupTimeout: duration("STARTUP_TIMEOUT", defaults.startupTimeout),
  shutdownTimeout: duration("SHUTDOWN_TIMEOUT", defaults.shutdownTimeout),
  farewell: duration("FAREWELL", defaults.farewell),
  operations: count("OPERATIONS", defaults.operations),
  operationRetention: duration("OPERATION_RETENTION", defaults.operationRetention),
  readBytes: count("READ_BYTES", defaults.readBytes),
  writeBytes: count("WRITE_BYTES", defaults.writeBytes),
  uploadBytes: count("UPLOAD_BYTES", defaults.uploadBytes),
  uploadRetention: duration("UPLOAD_RETENTION", defaults.uploadRetention),
  listEntries: count("LIST_ENTRIES", defaults.listEntries),
  answerBytes: count("ANSWER_BYTES", defaults.answerBytes),
  mcpFileBytes: count("MCP_FILE_BYTES", defaults.mcpFileBytes),
  mcpHandshake: duration("MCP_HANDSHAKE", defaults.mcpHandshake),
  mcpBackoffBase: duration("MCP_BACKOFF_BASE", defaults.mcpBackoffBase),
  mcpBackoffCap: duration("MCP_BACKOFF_CAP", defaults.mcpBackoffCap),
  mcpStarts: count("MCP_STARTS", defaults.mcpStarts),
  mcpStartWindow: duration("MCP_START_WINDOW", defaults.mcpStartWindow),
  mcpMessageBytes: count("MCP_MESSAGE_BYTES", defaults.mcpMessageBytes),
  mcpStderrBytes: count("MCP_STDERR_BYTES", defaults.mcpStderrBytes),
  mcpCallLimit: duration("MCP_CALL_LIMIT", defaults.mcpCallLimit),
  mcpFarewell: duration("MCP_FAREWELL", defaults.mcpFarewell)
})
