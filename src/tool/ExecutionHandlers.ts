/**
 * The tools that run commands, over the workspace of a chat.
 *
 * Each call connects anew, so that it meets the agent that the workspace has by then. A command that does not end in time
 * is left running and its `process_id` is told; interrupting the call ends it.
 *
 * @since 0.1.0
 */
import type * as Toolkit from "effect/ai/Toolkit"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AgentConnection, Command, Processes } from "../agent/AgentConnection.ts"
import type { ProcessOutput } from "../agent/Protocol.ts"
import { Unsupported } from "../domain/Errors.ts"
import type { CallTimedOut, ProcessError } from "../domain/Errors.ts"
import { OperationId } from "../domain/Ids.ts"
import { ExecutionTools } from "./ExecutionTools.ts"
import type { ExecuteResult } from "./ExecutionTools.ts"
import * as ProcessView from "./ProcessView.ts"
import * as ShellCommand from "./ShellCommand.ts"
import { ToolConfig } from "./ToolConfig.ts"
import { explained } from "./ToolContext.ts"
import type { ToolContext } from "./ToolContext.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type ExecutionHandlers = Toolkit.HandlersFrom<Toolkit.Tools<typeof ExecutionTools>>

/**
 * Makes the handlers of a chat's turn.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<(context: ToolContext) => ExecutionHandlers, never, SecureRandom.SecureRandom> = Effect
  .gen(function*() {
    const config = yield* ToolConfig
    const random = yield* SecureRandom.SecureRandom

    /** How long a call waits, and what to say where that is less than it asked for. */
    const bounded = (seconds: number) => {
      const limit = Duration.toSeconds(config.executeLimit)
      return seconds <= limit
        ? { wait: Duration.seconds(seconds), notes: [] }
        : { wait: config.executeLimit, notes: [`A call waits for at most ${limit} s.`] }
    }

    const told = (output: ProcessOutput): Outcome => {
      const { next_offset: _, ...fields } = ProcessView.output(output, config.outputBytes)
      const { state } = output
      return { ...fields, success: state._tag === "Exited" && state.code === 0, ...ProcessView.state(state) }
    }

    /**
     * What is there of a command that did not end in time; it may have ended by now. Where the agent cannot be asked it is
     * not known whether the command runs, and the timeout is all there is to tell.
     */
    const late = (
      { liveness, processes }: AgentConnection,
      { id }: Command,
      wait: Duration.Duration,
      error: CallTimedOut
    ) =>
      liveness() === "closed" ? Effect.fail(error) : Effect.timeout(processes.output(id), config.lateOutput).pipe(
        // Nobody has been told of the command yet, so it must not run on.
        Effect.onInterrupt(() => Effect.ignore(Effect.timeout(processes.signal(id, "SIGTERM"), config.lateOutput))),
        Effect.mapError(() => error),
        Effect.map((output): Outcome => {
          const outcome = told(output)
          return output.state._tag === "Exited"
            ? outcome
            : { ...outcome, timed_out: true, process_id: id, notes: [timedOut(wait), ...outcome.notes] }
        })
      )

    const foreground = (
      connection: AgentConnection,
      command: Command,
      wait: Duration.Duration
    ): Effect.Effect<Outcome, ProcessError> =>
      connection.processes.run(command, { timeout: wait }).pipe(
        Effect.map(({ output }) => told(output)),
        Effect.catchTag("CallTimedOut", (error): Effect.Effect<Outcome, CallTimedOut> =>
          error.sent === "notSent"
            ? Effect.fail(error)
            : connection.features.has("processes")
            ? late(connection, command, wait, error)
            : Effect.succeed<Outcome>({ ...nothing, timed_out: true, notes: [givenUp(wait)] }))
      )

    const background = (connection: AgentConnection, command: Command): Effect.Effect<Outcome, ProcessError> =>
      connection.features.has("processes")
        ? Effect.as(connection.processes.start(command), { ...runsOn(command.id, [inBackground]), success: true })
        : new Unsupported({ feature: "commands in the background" })

    return (context) =>
      ExecutionTools.of({
        execute: Effect.fnUntraced(function*(call) {
          const shell = ShellCommand.parse(call.command, call.background === true)
          const { notes: lowered, wait } = bounded(call.timeout ?? Duration.toSeconds(config.executeTimeout))
          const id = OperationId.make(yield* random.uuidV4())
          const command: Command = {
            id,
            argv: ["sh", "-c", shell.line],
            cwd: call.workdir,
            env: ShellCommand.environment
          }
          const [duration, { notes, ...outcome }] = yield* context.workspace.use((connection) =>
            Effect.timed(shell.background ? background(connection, command) : foreground(connection, command, wait))
          ).pipe(explained(context))
          return ProcessView.withNotes(
            { ...outcome, duration_ms: Math.round(Duration.toMillis(duration)) },
            shell.background ? notes : [...notes, ...lowered]
          )
        }),

        process_output: Effect.fnUntraced(function*(call) {
          const { notes: lowered, wait } = bounded(call.wait ?? 0)
          const output = yield* context.workspace.use(({ processes }) =>
            Effect.andThen(
              call.wait === undefined ? Effect.void : ended(processes, call.process_id, wait),
              processes.output(call.process_id, { from: call.offset ?? 0 })
            )
          ).pipe(explained(context))
          const { notes, ...fields } = ProcessView.output(output, config.outputBytes)
          return ProcessView.withNotes(
            { running: output.state._tag === "Running", ...ProcessView.state(output.state), ...fields },
            [...notes, ...lowered]
          )
        }),

        process_list: () =>
          context.workspace.use(({ processes }) => processes.list).pipe(
            Effect.map((infos) => ProcessView.list(infos, config.outputBytes)),
            explained(context)
          ),

        process_signal: ({ process_id, signal }) =>
          context.workspace.use(({ processes }) => processes.signal(process_id, signal)).pipe(
            Effect.map((state) => ({ process_id, running: state._tag === "Running", ...ProcessView.state(state) })),
            explained(context)
          )
      })
  })

type Outcome = Omit<ExecuteResult, "duration_ms" | "note"> & { readonly notes: ReadonlyArray<string> }

const nothing = { success: false, output: "", exit_code: null }

const runsOn = (process_id: OperationId, notes: ReadonlyArray<string>): Outcome => ({ ...nothing, process_id, notes })

/** Waits for the end without the output: the agent is asked for what comes after everything. */
const ended = (processes: Processes, id: OperationId, wait: Duration.Duration): Effect.Effect<void, ProcessError> =>
  Effect.asVoid(
    Effect.timeoutOption(Stream.runDrain(processes.follow(id, { from: Number.MAX_SAFE_INTEGER })), wait)
  )

const inBackground = "It runs in the background: read its output with process_output, end it with process_signal."

const timedOut = (wait: Duration.Duration): string =>
  `It did not end within ${Duration.toSeconds(wait)} s and runs on: wait for it with process_output, or end it with ` +
  "process_signal. Do not run it again meanwhile."

const givenUp = (wait: Duration.Duration): string =>
  `It did not end within ${
    Duration.toSeconds(wait)
  } s and was given up: what it did by then stays done, and its output ` +
  "is lost. Run it with a longer timeout."
