/**
 * What gateway and agent say to each other: the agent dials out, and on that socket the gateway calls it.
 *
 * **Compatibility.** A gateway serves this version and the one before. Fields and calls are added, never changed or
 * removed within a version; a call that a peer may lack is announced as a feature in the hello.
 *
 * **Effects happen once.** `Start`, `Write` and `Edit` carry the id of an operation and are remembered under it for the
 * life of the incarnation: sent again, they answer what the first came to. `Kill` of an id that is not known keeps it
 * from ever starting. A handler of the agent owns nothing, so it does not matter whether it was interrupted by its
 * caller or by the loss of the link. The exception is `McpCall`: a server remembers no ids, so its call ends with whoever
 * waits for it, and is never sent again.
 *
 * **Sizes.** Streams carry chunks of at most `chunkLimit` bytes, no unary answer or frame is larger than `frameLimit`.
 *
 * @since 0.1.0
 */
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { Lifecycle } from "../domain/Agent.ts"
import {
  AgentBusy,
  CommandNotFound,
  FileChanged,
  FileError,
  FileErrorReason,
  McpRefused,
  McpRefusedReason,
  OperationRefused,
  OperationRefusedReason,
  Unsupported
} from "../domain/Errors.ts"
import { Incarnation, NodeId, OperationId } from "../domain/Ids.ts"
import { Feature } from "./Feature.ts"
import {
  McpCallResult,
  McpContent,
  mcpLimits,
  type McpListing,
  type McpServer,
  McpServerState,
  McpTool
} from "./Mcp.ts"

export {
  AgentBusy,
  CommandNotFound,
  Feature,
  FileChanged,
  FileError,
  FileErrorReason,
  Incarnation,
  Lifecycle,
  McpCallResult,
  McpContent,
  mcpLimits,
  type McpListing,
  McpRefused,
  McpRefusedReason,
  type McpServer,
  McpServerState,
  McpTool,
  NodeId,
  OperationId,
  OperationRefused,
  OperationRefusedReason,
  Unsupported
}

/**
 * The version of the protocol; the one before it is served too.
 *
 * @since 0.1.0
 * @category constants
 */
export const version = 1

/**
 * The name of the protocol in the hello and, with the version, as the subprotocol of the socket.
 *
 * @since 0.1.0
 * @category constants
 */
export const name = "chat-workspace"

/**
 * The WebSocket subprotocol.
 *
 * @since 0.1.0
 * @category constants
 */
export const subprotocol = `${name}.v${version}`

/**
 * Bytes in one chunk of a stream or an upload, at most.
 *
 * @since 0.1.0
 * @category constants
 */
export const chunkLimit = 256 * 1024

/**
 * Bytes in one frame, at most.
 *
 * @since 0.1.0
 * @category constants
 */
export const frameLimit = 1024 * 1024

/**
 * Why the gateway closes a socket, as WebSocket close codes. An agent that was replaced by another incarnation stays away
 * for a while, one that is revoked or incompatible keeps trying at its slowest pace.
 *
 * @since 0.1.0
 * @category constants
 */
export const CloseCode = {
  goingAway: 1001,
  restarting: 1012,
  replaced: 4001,
  displaced: 4002,
  revoked: 4003,
  incompatible: 4004,
  violation: 4005
} as const

/**
 * The word of the hello by which an agent says that it answers `Lifecycle`. It is none of the features of a connection:
 * callers can do nothing with it.
 *
 * @since 0.1.0
 * @category constants
 */
export const lifecycleWord = "lifecycle"

/**
 * Under these ids an agent runs the scripts of its workspace, so that their output can be read like any other. They are
 * the agent's own: each incarnation uses them anew.
 *
 * @since 0.1.0
 * @category constants
 */
export const scriptIds = {
  startup: OperationId.make("startup"),
  shutdown: OperationId.make("shutdown")
} as const

/**
 * Bytes as base64 on the wire.
 *
 * @since 0.1.0
 * @category models
 */
export const Bytes = Schema.Uint8ArrayFromBase64

/**
 * Where a process is: its output has `end` bytes so far. `code` is null where a signal ended it.
 *
 * @since 0.1.0
 * @category models
 */
export const ProcessState = Schema.Union([
  Schema.TaggedStruct("Running", { end: Schema.Natural }),
  Schema.TaggedStruct("Exited", {
    end: Schema.Natural,
    code: Schema.NullOr(Schema.Int),
    signal: Schema.NullOr(Schema.String)
  })
])

/**
 * @since 0.1.0
 * @category models
 */
export type ProcessState = typeof ProcessState.Type

/**
 * A piece of output; one offset counts both streams.
 *
 * @since 0.1.0
 * @category models
 */
export const OutputData = Schema.TaggedStruct("Data", {
  offset: Schema.Natural,
  stream: Schema.Literals(["stdout", "stderr"]),
  bytes: Bytes
})

/**
 * @since 0.1.0
 * @category models
 */
export type OutputData = typeof OutputData.Type

/**
 * Output that is not kept any more, from an offset to before another.
 *
 * @since 0.1.0
 * @category models
 */
export const OutputGap = Schema.TaggedStruct("Gap", { from: Schema.Natural, to: Schema.Natural })

/**
 * @since 0.1.0
 * @category models
 */
export type OutputGap = typeof OutputGap.Type

/**
 * What a follower hears: output, gaps, and at last the end of the process, or its present state where it was asked not
 * to wait.
 *
 * @since 0.1.0
 * @category models
 */
export const ProcessEvent = Schema.Union([OutputData, OutputGap, ProcessState])

/**
 * @since 0.1.0
 * @category models
 */
export type ProcessEvent = typeof ProcessEvent.Type

/**
 * The output that is kept, in order, and the state of the process when it was read.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProcessOutput {
  readonly state: ProcessState
  readonly pieces: ReadonlyArray<OutputData | OutputGap>
}

/**
 * One line of the list of processes. Ages are in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export const ProcessInfo = Schema.Struct({
  id: OperationId,
  argv: Schema.Array(Schema.String),
  state: ProcessState,
  ageMillis: Schema.Natural
})

/**
 * @since 0.1.0
 * @category models
 */
export type ProcessInfo = typeof ProcessInfo.Type

/**
 * @since 0.1.0
 * @category models
 */
export const Signal = Schema.Literals(["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGKILL", "SIGUSR1", "SIGUSR2"])

/**
 * @since 0.1.0
 * @category models
 */
export type Signal = typeof Signal.Type

/**
 * A mark of a file's content that an agent gave; it means something to that agent only.
 *
 * @since 0.1.0
 * @category models
 */
export const FileVersion = Schema.NonEmptyString.check(Schema.isMaxLength(256)).pipe(
  Schema.brand("chat-workspace/FileVersion")
)

/**
 * @since 0.1.0
 * @category models
 */
export type FileVersion = typeof FileVersion.Type

/**
 * What a write found and left.
 *
 * @since 0.1.0
 * @category models
 */
export const Expected = Schema.Union([FileVersion, Schema.Literal("absent")])

/**
 * @since 0.1.0
 * @category models
 */
export const FileStat = Schema.Struct({
  name: Schema.String,
  type: Schema.Literals(["file", "directory", "symlink", "other"]),
  size: Schema.Natural,
  modifiedAtMillis: Schema.Finite,
  mode: Schema.Natural
})

/**
 * @since 0.1.0
 * @category models
 */
export type FileStat = typeof FileStat.Type

/**
 * The entries of a directory; `truncated` when there are more than were listed.
 *
 * @since 0.1.0
 * @category models
 */
export const DirectoryListing = Schema.Struct({
  entries: Schema.Array(FileStat),
  truncated: Schema.Boolean
})

/**
 * @since 0.1.0
 * @category models
 */
export type DirectoryListing = typeof DirectoryListing.Type

/**
 * The edits of one file, applied in order. Each `find` must match exactly once, or at least once with `all`.
 *
 * @since 0.1.0
 * @category models
 */
export const FileEdit = Schema.Struct({
  path: Schema.String,
  expect: Schema.optionalKey(FileVersion),
  edits: Schema.Array(Schema.Struct({
    find: Schema.NonEmptyString,
    replace: Schema.String,
    all: Schema.optionalKey(Schema.Boolean)
  }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type FileEdit = typeof FileEdit.Type

/**
 * What is read of a file: first the head, then its bytes in order.
 *
 * @since 0.1.0
 * @category models
 */
export const ReadPart = Schema.Union([
  Schema.TaggedStruct("Head", { size: Schema.Natural, version: FileVersion }),
  Schema.TaggedStruct("Part", { bytes: Bytes })
])

/**
 * @since 0.1.0
 * @category models
 */
export type ReadPart = typeof ReadPart.Type

/**
 * What an operation has come to, for a caller that has only its id. `AgentRestarted`: an earlier incarnation ran it.
 *
 * @since 0.1.0
 * @category models
 */
export const Outcome = Schema.Union([
  Schema.TaggedStruct("Unknown", {}),
  Schema.TaggedStruct("Process", { state: ProcessState }),
  Schema.TaggedStruct("Files", { versions: Schema.Array(FileVersion) }),
  Schema.TaggedStruct("FilesFailed", { error: Schema.Union([FileError, FileChanged, AgentBusy]) }),
  Schema.TaggedStruct("Killed", {}),
  Schema.TaggedStruct("AgentRestarted", {})
])

/**
 * @since 0.1.0
 * @category models
 */
export type Outcome = typeof Outcome.Type

/**
 * Where the start-up and shutdown scripts are. A text, since a later agent may know words that this gateway does not: it
 * passes over them.
 *
 * @since 0.1.0
 * @category models
 */
export const LifecycleNews = Schema.Struct({ lifecycle: Schema.String })

/**
 * @since 0.1.0
 * @category models
 */
export type LifecycleNews = typeof LifecycleNews.Type

/**
 * What is told of the workspace's own servers: what is wrong with the file that names them, and each server, followed by
 * its tools.
 *
 * @since 0.1.0
 * @category models
 */
export const McpPart = Schema.Union([
  Schema.TaggedStruct("File", { reason: Schema.String }),
  Schema.TaggedStruct("Server", {
    name: Schema.NonEmptyString,
    state: McpServerState,
    reason: Schema.NullOr(Schema.String)
  }),
  Schema.TaggedStruct("Tool", { tool: McpTool })
])

/**
 * @since 0.1.0
 * @category models
 */
export type McpPart = typeof McpPart.Type

/**
 * The agent's half of the hello.
 *
 * @since 0.1.0
 * @category models
 */
export class HelloAnswer extends Schema.Class<HelloAnswer>("chat-workspace/agent/Protocol/HelloAnswer")({
  protocol: Schema.Literal(name),
  version: Schema.Int,
  incarnation: Incarnation,
  features: Schema.Array(Schema.String),
  program: Schema.String
}) {}

const fileErrors = Schema.Union([FileError, FileChanged, AgentBusy, OperationRefused])

/**
 * The calls that a gateway makes. `Hello` is the first of each session, and nothing else is sent before its answer.
 *
 * @since 0.1.0
 * @category rpcs
 */
export class AgentRpcs extends RpcGroup.make(
  Rpc.make("Hello", {
    payload: {
      protocol: Schema.String,
      version: Schema.Int,
      node: NodeId,
      features: Schema.Array(Schema.String)
    },
    success: HelloAnswer
  }),
  /** Asks the agent to open a new link after a random part of `withinMillis`, and to leave this one only then. */
  Rpc.make("Move", { payload: { withinMillis: Schema.Natural } }),
  /** The present lifecycle at once, and every change after it; ends after the last one. Announced by `lifecycleWord`. */
  Rpc.make("Lifecycle", { success: LifecycleNews, stream: true }),
  Rpc.make("Start", {
    payload: {
      id: OperationId,
      argv: Schema.NonEmptyArray(Schema.String),
      cwd: Schema.NullOr(Schema.String),
      env: Schema.Record(Schema.String, Schema.String)
    },
    success: ProcessState,
    error: Schema.Union([CommandNotFound, AgentBusy, OperationRefused])
  }),
  /** Output from an offset on. With `wait` to the end of the process, otherwise what is there, closed by the state. */
  Rpc.make("Follow", {
    payload: { id: OperationId, from: Schema.Natural, wait: Schema.Boolean },
    success: ProcessEvent,
    error: Schema.Union([OperationRefused, AgentBusy]),
    stream: true
  }),
  Rpc.make("Outcome", { payload: { id: OperationId }, success: Outcome }),
  Rpc.make("Processes", { success: Schema.Array(ProcessInfo) }),
  Rpc.make("Signal", {
    payload: { id: OperationId, signal: Signal },
    success: ProcessState,
    error: OperationRefused
  }),
  /** Ends the process group: TERM, after two seconds KILL. Answers at once with the present state. */
  Rpc.make("Kill", { payload: { id: OperationId }, success: Outcome }),
  Rpc.make("Read", {
    payload: { path: Schema.String, offset: Schema.Natural, limit: Schema.Natural },
    success: ReadPart,
    error: Schema.Union([FileError, AgentBusy]),
    stream: true
  }),
  /** A part of the content of a write to come; idempotent by its offset. */
  Rpc.make("Put", {
    payload: { id: OperationId, offset: Schema.Natural, bytes: Bytes },
    error: fileErrors
  }),
  /** Writes what was put under this id: `size` bytes in all. */
  Rpc.make("Write", {
    payload: { id: OperationId, path: Schema.String, size: Schema.Natural, expect: Schema.NullOr(Expected) },
    success: FileVersion,
    error: fileErrors
  }),
  Rpc.make("Edit", {
    payload: { id: OperationId, files: Schema.Array(FileEdit) },
    success: Schema.Array(FileVersion),
    error: fileErrors
  }),
  Rpc.make("Stat", {
    payload: { path: Schema.String },
    success: FileStat,
    error: Schema.Union([FileError, AgentBusy])
  }),
  Rpc.make("List", {
    payload: { path: Schema.String },
    success: DirectoryListing,
    error: Schema.Union([FileError, AgentBusy])
  }),
  /** What the workspace's own servers offer, after waiting so long for those that start. Announced by `mcp`. */
  Rpc.make("McpTools", {
    payload: { waitMillis: Schema.Natural },
    success: McpPart,
    error: AgentBusy,
    stream: true
  }),
  /** Calls a tool of such a server; interrupted, by whomever, it is canceled at the server. Not idempotent. */
  Rpc.make("McpCall", {
    payload: { server: Schema.String, tool: Schema.String, arguments: Schema.JsonObject },
    success: McpCallResult,
    error: Schema.Union([McpRefused, AgentBusy])
  })
) {}
