/**
 * The way to call one agent.
 *
 * Calls with a side effect carry an operation id that the caller made: the same id again answers what the first call came
 * to and does nothing twice. A process belongs to its agent, not to the link: it runs on when the link is lost, and the
 * id of its start is its id.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { CallError, FilesError, McpError, ProcessError } from "../domain/Errors.ts"
import type { AgentId, OperationId } from "../domain/Ids.ts"
import type { Feature } from "./Feature.ts"
import type { McpCallResult, McpListing } from "./Mcp.ts"
import type {
  DirectoryListing,
  FileEdit,
  FileStat,
  FileVersion,
  ProcessEvent,
  ProcessInfo,
  ProcessOutput,
  ProcessState,
  Signal
} from "./Protocol.ts"

/**
 * What a transport knows of a connection without IO. `live`: heard within two ping intervals and known to be the
 * agent's newest session. A `closed` one is not lent again.
 *
 * @since 0.1.0
 * @category models
 */
export type Liveness = "live" | "unknown" | "closed"

/**
 * Why a connection ended: its link was lost, a newer session replaced it, a build revoked it, the agent broke the
 * protocol, or this side shut down.
 *
 * @since 0.1.0
 * @category models
 */
export type CloseReason = "lost" | "replaced" | "revoked" | "violation" | "shutdown"

/**
 * A command to run: program and arguments, never a shell line. Without `cwd` it runs in the agent's folder; `env` is
 * added to the environment of the agent's children.
 *
 * @since 0.1.0
 * @category models
 */
export interface Command {
  readonly id: OperationId
  readonly argv: readonly [string, ...Array<string>]
  readonly cwd?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
}

/**
 * A command that ran to its end, with what the agent kept of its output.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProcessResult {
  readonly code: number | null
  readonly signal: string | null
  readonly output: ProcessOutput
}

/**
 * A file, or the part of it that was asked for. `version` goes into a later write as `expect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileContent {
  readonly bytes: Uint8Array
  readonly offset: number
  readonly size: number
  readonly version: FileVersion
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Processes {
  /**
   * Runs a command to its end. The timeout (30 s) fails with `CallTimedOut` and leaves it running under its id;
   * interrupting the call ends it, its whole process group.
   */
  readonly run: (
    command: Command,
    options?: { readonly timeout?: Duration.Input | undefined }
  ) => Effect.Effect<ProcessResult, ProcessError>
  /** Starts a command that runs on by itself. Fails with `CommandNotFound`, or `AgentBusy` at the agent's limit. */
  readonly start: (command: Command) => Effect.Effect<ProcessState, ProcessError>
  /** What the agent keeps of the output, from an offset on, without waiting. */
  readonly output: (
    id: OperationId,
    options?: { readonly from?: number | undefined }
  ) => Effect.Effect<ProcessOutput, ProcessError>
  /** The output as it comes, to the end of the process. A slow reader is told of gaps. */
  readonly follow: (
    id: OperationId,
    options?: { readonly from?: number | undefined }
  ) => Stream.Stream<ProcessEvent, ProcessError>
  /** The processes that the agent knows: running, and those that ended of late. */
  readonly list: Effect.Effect<ReadonlyArray<ProcessInfo>, CallError>
  /** Sends a signal to the whole process group. An id that is not known yet is kept from starting. */
  readonly signal: (id: OperationId, signal: Signal) => Effect.Effect<ProcessState, ProcessError>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Files {
  /**
   * Reads a regular file, whole or from `offset` on at most `limit` bytes, and never more than 1 MiB: a larger one fails
   * with `FileError` (`tooLarge`) unless a range was asked for.
   */
  readonly read: (
    path: string,
    options?: { readonly offset?: number | undefined; readonly limit?: number | undefined }
  ) => Effect.Effect<FileContent, FilesError>
  /**
   * Writes a file whole, at most 10 MiB, by rename. With `expect`, fails with `FileChanged` unless the file still is
   * that version; `"absent"` expects that there is none.
   */
  readonly write: (options: {
    readonly id: OperationId
    readonly path: string
    readonly bytes: Uint8Array
    readonly expect?: FileVersion | "absent" | undefined
  }) => Effect.Effect<FileVersion, FilesError>
  /** Edits files together: all are checked before the first is changed. */
  readonly edit: (options: {
    readonly id: OperationId
    readonly files: ReadonlyArray<FileEdit>
  }) => Effect.Effect<ReadonlyArray<FileVersion>, FilesError>
  /** What stands at a path. */
  readonly stat: (path: string) => Effect.Effect<FileStat, FilesError>
  /** At most 1,000 entries of a directory, sorted by name. */
  readonly list: (path: string) => Effect.Effect<DirectoryListing, FilesError>
}

/**
 * The tools of the servers that the workspace names in its `.mcp.json`; the agent starts them when they are first asked
 * for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mcp {
  /**
   * What the servers offer now. Waits (5 s) for those that start, then lists them as `starting`; a server that is slow or
   * broken hides no other. Repeated over a new link within its deadline.
   */
  readonly tools: (options?: { readonly wait?: Duration.Input | undefined }) => Effect.Effect<McpListing, CallError>
  /**
   * Calls a tool, once: a call whose link is lost may have run and is not repeated. The timeout (60 s) fails with
   * `CallTimedOut`; it, and an interruption, cancel the call at the server.
   */
  readonly call: (options: {
    readonly server: string
    readonly tool: string
    readonly arguments: Schema.JsonObject
    readonly timeout?: Duration.Input | undefined
  }) => Effect.Effect<McpCallResult, McpError>
}

/**
 * An open connection. Calls that it lacks the feature for fail with `Unsupported`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentConnection {
  readonly agentId: AgentId
  readonly features: ReadonlySet<Feature>
  readonly liveness: () => Liveness
  /** Completes when the connection has ended, with the reason. */
  readonly closed: Effect.Effect<CloseReason>
  readonly processes: Processes
  readonly files: Files
  /** None where the transport knows no servers. */
  readonly mcp?: Mcp | undefined
}

export {
  /**
   * A connection over three functions of one's own: run a command, read a file, write a file.
   *
   * @since 0.1.0
   * @category constructors
   */
  make as fromExec
} from "./ExecConnection.ts"
