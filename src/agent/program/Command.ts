/**
 * What a start asks for, made ready to run: the program found, the folder checked, the environment complete.
 *
 * Done before the process is made, so that "there is no such command" is an answer and not an exit code.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process"
import { access, constants, stat } from "node:fs/promises"
import * as Path from "node:path"
import type { Readable, Writable } from "node:stream"
import { AgentBusy, CommandNotFound } from "../Protocol.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Command {
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/**
 * A process with both outputs as pipes and nothing to read.
 *
 * @since 0.1.0
 * @category models
 */
export type Child = ChildProcessByStdio<null, Readable, Readable>

/**
 * The same with its input as a pipe.
 *
 * @since 0.1.0
 * @category models
 */
export type Server = ChildProcessByStdio<Writable, Readable, Readable>

/**
 * Finds the program of a command. Fails with `CommandNotFound` when it, or the folder, is not there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = Effect.fnUntraced(function*(command: Command): Effect.fn.Return<Command, CommandNotFound> {
  const [program, ...rest] = command.argv
  const notFound = (detail: string) => new CommandNotFound({ command: program, detail })
  if (!(yield* isDirectory(command.cwd))) return yield* notFound(`the working directory ${command.cwd} does not exist`)
  const candidates = program.includes("/")
    ? [Path.resolve(command.cwd, program)]
    : (command.env["PATH"] ?? defaultPath).split(":").map((folder) => Path.resolve(command.cwd, folder, program))
  let detail = program.includes("/") ? "there is no such file" : "not found in PATH"
  for (const candidate of candidates) {
    const found = yield* look(candidate)
    if (found === "executable") return { ...command, argv: [candidate, ...rest] }
    if (found === "other") detail = "is not an executable file"
  }
  return yield* notFound(detail)
})

/**
 * Makes the process, in a group of its own, without input; false when it was not wanted any more. `made` runs in the same
 * step, before anything can happen to the process. Fails with `CommandNotFound` when the system refuses the command, or
 * with `AgentBusy` when it lacks the means.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (command: Command, options: Options<Child>): Effect.Effect<boolean, CommandNotFound | AgentBusy> =>
  making(
    command,
    options,
    (program, args, where) => spawn(program, args, { ...where, stdio: ["ignore", "pipe", "pipe"] })
  )

/**
 * The same for a process that is talked to by its input.
 *
 * @since 0.1.0
 * @category constructors
 */
export const runServer = (
  command: Command,
  options: Options<Server>
): Effect.Effect<boolean, CommandNotFound | AgentBusy> =>
  making(
    command,
    options,
    (program, args, where) => spawn(program, args, { ...where, stdio: ["pipe", "pipe", "pipe"] })
  )

interface Options<C> {
  readonly isWanted: () => boolean
  readonly made: (child: C, pid: number) => void
}

interface Where {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly detached: true
}

const making = <C extends ChildProcess>(
  command: Command,
  options: Options<C>,
  spawned: (program: string, args: ReadonlyArray<string>, where: Where) => C
): Effect.Effect<boolean, CommandNotFound | AgentBusy> =>
  Effect.callback<boolean, CommandNotFound | AgentBusy>((resume) => {
    // Asked in the step that makes the process: who was told that it never starts must be right.
    if (!options.isWanted()) return resume(Effect.succeed(false))
    const [program] = command.argv
    try {
      // The child raises its own score and then becomes the command: done from outside, a fast child would escape it.
      const child = spawned("/bin/sh", ["-c", raiseScore, "sh", ...command.argv], {
        cwd: command.cwd,
        env: command.env,
        detached: true
      })
      child.on("error", (cause) => resume(refusal(program, cause)))
      if (child.pid === undefined) return
      options.made(child, child.pid)
      resume(Effect.succeed(true))
    } catch (cause) {
      resume(refusal(program, cause))
    }
  })

/** When memory runs out the kernel is to end the command, not the agent. */
const raiseScore = "{ echo 500 > /proc/self/oom_score_adj; } 2>/dev/null; exec \"$@\""

const defaultPath = "/usr/local/bin:/usr/bin:/bin"

const isDirectory = (path: string): Effect.Effect<boolean> =>
  Effect.promise(() => stat(path).then((found) => found.isDirectory(), () => false))

const look = (path: string): Effect.Effect<"absent" | "other" | "executable"> =>
  Effect.promise(() =>
    stat(path).then(
      (found) =>
        found.isFile()
          ? access(path, constants.X_OK).then(() => "executable" as const, () => "other" as const)
          : "other",
      () => "absent"
    )
  )

const refusal = (program: string, cause: unknown): CommandNotFound | AgentBusy => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  const means = code === "EAGAIN" || code === "EMFILE" || code === "ENFILE" || code === "ENOMEM"
  if (means) return new AgentBusy({ limit: `the system's processes or files, ${code}` })
  const detail = code === "E2BIG"
    ? "its arguments and environment are too long for the system"
    : `could not be started (${typeof code === "string" ? code : "unknown"})`
  return new CommandNotFound({ command: program, detail })
}
