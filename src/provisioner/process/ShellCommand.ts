/**
 * Runs one shell line of a template to its end, in a process group of its own and without input.
 *
 * The end is the exit of the shell, not the end of its output, which a background child may hold for ever. What a line that
 * succeeded leaves running is what it was run for; of one that failed or was interrupted nothing is left.
 *
 * **Gotchas**
 *
 * - A background child that goes on to write to the output of a line that has ended gets a broken pipe.
 * - A child that opens a session of its own leaves the group, and is not ended with it.
 *
 * This is Node's and not Effect's `ChildProcess`, which never closes its end of the output while a background child has
 * the other: the child would stand still at a full pipe, and each line leave an open file behind.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type ChildProcessByStdio, spawn } from "node:child_process"
import type { Readable } from "node:stream"
import * as DrainLimit from "../../agent/program/DrainLimit.ts"
import type { Group } from "../../agent/program/ProcessGroups.ts"
import * as ProcessGroups from "../../agent/program/ProcessGroups.ts"
import { OperationId } from "../../domain/Ids.ts"
import { ProviderFailed } from "../Provider.ts"
import * as Ending from "./Ending.ts"

/**
 * How the shell ended: by itself with a code, or by a signal.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
}

/**
 * Runs the line. Output is given to `output` as it comes, at no more than a rate that leaves time for everything else.
 * `kill` is what the group gets to end, `drain` what the output gets to come after the exit. Fails when there can be no
 * such process.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (options: {
  readonly line: string
  readonly directory: string | null
  readonly environment: Readonly<Record<string, string>>
  readonly output: (stream: "stdout" | "stderr", bytes: Uint8Array) => void
  readonly kill: Duration.Duration
  readonly drain: Duration.Duration
}): Effect.Effect<Ended, ProviderFailed> =>
  Effect.acquireUseRelease(
    started(options),
    (shell) => Effect.scoped(finished(shell, options)),
    ({ child, group }, exit) => {
      const close = Effect.sync(() => {
        child.stdout.destroy()
        child.stderr.destroy()
      })
      if (Exit.isSuccess(exit) && exit.value.code === 0) return close
      // Who clears up when asked to end may print, and would die of a broken pipe instead.
      for (const stream of [child.stdout, child.stderr]) stream.removeAllListeners("data").resume()
      return Ending.end(
        () => ProcessGroups.withMembers([group]).map((group) => (signal) => void ProcessGroups.signal(group, signal)),
        options.kill
      ).pipe(Effect.ensuring(close))
    }
  )

interface Shell {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  readonly group: Group
  readonly exited: Deferred.Deferred<Ended>
  readonly closed: Deferred.Deferred<void>
}

const started = (options: {
  readonly line: string
  readonly directory: string | null
  readonly environment: Readonly<Record<string, string>>
}): Effect.Effect<Shell, ProviderFailed> =>
  Effect.callback((resume) => {
    const refuse = (cause: unknown): void =>
      resume(
        new ProviderFailed({
          detail: `The command cannot be run in ${options.directory ?? "the current folder"} (${codeOf(cause)}).`
        })
      )
    try {
      const child = spawn("/bin/sh", ["-c", options.line], {
        ...(options.directory === null ? {} : { cwd: options.directory }),
        env: options.environment,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"]
      })
      child.on("error", refuse)
      const { pid } = child
      if (pid === undefined) return
      const exited = Deferred.makeUnsafe<Ended>()
      const closed = Deferred.makeUnsafe<void>()
      child.on("exit", (code, signal) => Deferred.doneUnsafe(exited, Exit.succeed({ code, signal })))
      child.on("close", () => Deferred.doneUnsafe(closed, Exit.void))
      resume(Effect.succeed({
        child,
        group: { id: OperationId.make("command"), pid, start: ProcessGroups.startTime(pid) },
        exited,
        closed
      }))
    } catch (cause) {
      // What is too long for the system, or no text, is thrown.
      refuse(cause)
    }
  })

const finished = Effect.fnUntraced(function*({ child, closed, exited }: Shell, options: {
  readonly output: (stream: "stdout" | "stderr", bytes: Uint8Array) => void
  readonly drain: Duration.Duration
}): Effect.fn.Return<Ended, never, Scope.Scope> {
  const limit = yield* DrainLimit.make({ rate: bytesPerSecond, window })
  for (const stream of ["stdout", "stderr"] as const) {
    const source = child[stream]
    source.on("data", (bytes: Uint8Array) => {
      options.output(stream, bytes)
      limit.took(bytes.length, source)
    })
    // A broken pipe ends the output as its end does.
    source.on("error", () => source.destroy())
  }
  const ended = yield* Deferred.await(exited)
  yield* Effect.timeoutOrElse(Deferred.await(closed), { duration: options.drain, orElse: () => Effect.void })
  return ended
})

const bytesPerSecond = 50_000_000

const window = Duration.millis(10)

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "unknown"
