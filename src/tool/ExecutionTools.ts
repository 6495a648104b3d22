/**
 * What the model is told of the tools that run commands: their names, arguments and results. The handlers are in
 * `ExecutionHandlers`.
 *
 * A command that failed is a result; `ToolFailure` is for what kept a tool from acting at all. Optional keys are there
 * only when they say something.
 *
 * @since 0.1.0
 */
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Schema from "effect/Schema"
import { Signal } from "../agent/Protocol.ts"
import { OperationId } from "../domain/Ids.ts"
import { ToolFailure } from "./ToolFailure.ts"

const processId = OperationId.annotate({ description: "The process_id that execute or process_list returned." })

const positive = Schema.Finite.check(Schema.isGreaterThan(0))

/** Where a process is. `exit_code` is null while it runs, and where a signal ended it. */
const state = {
  running: Schema.Boolean,
  exit_code: Schema.NullOr(Schema.Int),
  signal: Schema.optionalKey(Schema.String)
}

/**
 * What a command came to. `success` is an exit code of 0, or that a background command was started; `process_id` is
 * there when it runs on.
 *
 * @since 0.1.0
 * @category models
 */
export const ExecuteResult = Schema.Struct({
  success: Schema.Boolean,
  output: Schema.String,
  exit_code: Schema.NullOr(Schema.Int),
  signal: Schema.optionalKey(Schema.String),
  duration_ms: Schema.Natural,
  timed_out: Schema.optionalKey(Schema.Boolean),
  process_id: Schema.optionalKey(OperationId),
  truncated: Schema.optionalKey(Schema.Boolean),
  note: Schema.optionalKey(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type ExecuteResult = typeof ExecuteResult.Type

/**
 * What a process has printed. `next_offset` is where its output goes on.
 *
 * @since 0.1.0
 * @category models
 */
export const ProcessOutputResult = Schema.Struct({
  ...state,
  output: Schema.String,
  next_offset: Schema.Natural,
  truncated: Schema.optionalKey(Schema.Boolean),
  note: Schema.optionalKey(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type ProcessOutputResult = typeof ProcessOutputResult.Type

/**
 * The processes of the workspace: those that run first, the youngest first. `left_out` counts those that are not listed.
 *
 * @since 0.1.0
 * @category models
 */
export const ProcessListResult = Schema.Struct({
  processes: Schema.Array(Schema.Struct({
    process_id: OperationId,
    command: Schema.String,
    ...state,
    age_seconds: Schema.Natural
  })),
  left_out: Schema.optionalKey(Schema.Natural)
})

/**
 * @since 0.1.0
 * @category models
 */
export type ProcessListResult = typeof ProcessListResult.Type

/**
 * Where a process was when it got the signal.
 *
 * @since 0.1.0
 * @category models
 */
export const ProcessSignalResult = Schema.Struct({
  process_id: OperationId,
  ...state
})

/**
 * @since 0.1.0
 * @category models
 */
export type ProcessSignalResult = typeof ProcessSignalResult.Type

/**
 * @since 0.1.0
 * @category tools
 */
export const Execute = Tool.make("execute", {
  description: [
    "Run a shell command (sh -c) in the workspace and wait for its end. Use it to build, test, search, install and",
    "inspect. To read or change text files prefer read_file, write_file and edit_files. There is no input and no",
    "terminal: pass flags such as --yes instead of waiting for prompts; pagers and editors are switched off. Each call is",
    "a new shell: cd and variables do not last, so chain steps with && or give workdir.",
    "For servers, watchers and everything that does not end by itself set background: it answers at once with a",
    "process_id for the process_* tools.",
    "Returns output (both streams in order; of a long one the beginning and the end), exit_code and success. A command",
    "that fails is a normal answer: read the output. With timed_out the command goes on under process_id: look at it with",
    "process_output instead of running it again.",
    "An answer with error means that the workspace could not be used; do what message says."
  ].join(" "),
  parameters: Schema.Struct({
    command: Schema.NonEmptyString.annotate({ description: "The shell command." }),
    timeout: Schema.optionalKey(positive.annotate({
      description: "Seconds to wait for the end, 30 by default. At most 1800; run what takes longer in the background."
    })),
    workdir: Schema.optionalKey(Schema.NonEmptyString.annotate({
      description: "The folder to run in; the workspace folder by default."
    })),
    background: Schema.optionalKey(Schema.Boolean.annotate({
      description: "Start the command and do not wait for it. A single & at the end of the command means the same."
    }))
  }),
  success: ExecuteResult,
  failure: ToolFailure,
  failureMode: "return"
}).annotate(Tool.Title, "Run a command")
  .annotate(Tool.Readonly, false)
  .annotate(Tool.Destructive, true)
  .annotate(Tool.Idempotent, false)
  .annotate(Tool.OpenWorld, true)

/**
 * @since 0.1.0
 * @category tools
 */
export const ProcessOutput = Tool.make("process_output", {
  description: [
    "Read what a command has printed that runs in the background or timed out, and whether it still runs. With wait it",
    "waits up to so many seconds for the command to end; without, it answers at once. Use it instead of running a command",
    "again, also to learn the outcome of a call that was interrupted.",
    "Returns output (of a long one the beginning and the end), running, exit_code once it has ended, and next_offset: pass",
    "that as offset to read only what is new. Do not call it in a quick loop: give wait.",
    "When the process is not known, it was started too long ago or the workspace was restarted; process_list shows which",
    "there are."
  ].join(" "),
  parameters: Schema.Struct({
    process_id: processId,
    wait: Schema.optionalKey(positive.annotate({
      description: "Seconds to wait for the end of the command; not at all by default, at most 1800."
    })),
    offset: Schema.optionalKey(Schema.Natural.annotate({
      description: "Where to begin, in bytes: the next_offset of an earlier answer. From the beginning by default."
    }))
  }),
  success: ProcessOutputResult,
  failure: ToolFailure,
  failureMode: "return"
}).annotate(Tool.Title, "Read the output of a command")
  .annotate(Tool.Readonly, true)
  .annotate(Tool.Destructive, false)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, false)

/**
 * @since 0.1.0
 * @category tools
 */
export const ProcessList = Tool.make("process_list", {
  description: [
    "List the commands that execute started in this workspace: those that run, and those that ended of late. Use it when",
    "you lost a process_id or want to know what still runs; it does not show other programs (use execute with ps for",
    "those). Returns the process_id, command, age and exit_code of each."
  ].join(" "),
  success: ProcessListResult,
  failure: ToolFailure,
  failureMode: "return"
}).annotate(Tool.Title, "List commands")
  .annotate(Tool.Readonly, true)
  .annotate(Tool.Destructive, false)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, false)

/**
 * @since 0.1.0
 * @category tools
 */
export const ProcessSignal = Tool.make("process_signal", {
  description: [
    "Send a signal to a command that execute started, and to everything that it started. SIGTERM asks it to end, SIGKILL",
    "ends it, SIGINT is Ctrl-C. Use it to stop a server or a command that hangs. Returns where the command was at that",
    "moment; it may take a little to end: look with process_output."
  ].join(" "),
  parameters: Schema.Struct({
    process_id: processId,
    signal: Signal.annotate({ description: "The signal; SIGTERM is the usual one." })
  }),
  success: ProcessSignalResult,
  failure: ToolFailure,
  failureMode: "return"
}).annotate(Tool.Title, "Signal a command")
  .annotate(Tool.Readonly, false)
  .annotate(Tool.Destructive, true)
  .annotate(Tool.Idempotent, false)
  .annotate(Tool.OpenWorld, false)

/**
 * The tools that run commands.
 *
 * @since 0.1.0
 * @category toolkits
 */
export const ExecutionTools = Toolkit.make(Execute, ProcessOutput, ProcessList, ProcessSignal)
