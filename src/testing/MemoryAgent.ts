/**
 * An agent in memory: it answers commands through a handler that a test writes, and keeps its files in a map.
 *
 * What holds for the real program holds here: operations happen once by their id, a process belongs to the agent and not
 * to who started it, output is kept for whoever asks later. Only the output of a command comes at once when it ends.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Command, Files, Processes } from "../agent/AgentConnection.ts"
import { FileVersion } from "../agent/Protocol.ts"
import type { FileStat, OutputData, ProcessOutput, ProcessState } from "../agent/Protocol.ts"
import * as ReadRange from "../agent/ReadRange.ts"
import { FileChanged, FileError, OperationRefused } from "../domain/Errors.ts"
import type { FileErrorReason, FilesError, ProcessError } from "../domain/Errors.ts"
import type { OperationId } from "../domain/Ids.ts"

/**
 * What a command came to: nothing printed and code 0, unless said otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export interface Execution {
  readonly stdout?: string | undefined
  readonly stderr?: string | undefined
  readonly code?: number | undefined
}

/**
 * Plays the commands of an agent. Killing the process interrupts the effect.
 *
 * @since 0.1.0
 * @category models
 */
export type OnExecute = (command: Command) => Effect.Effect<Execution, ProcessError>

/**
 * The calls of one agent, without a link.
 *
 * @since 0.1.0
 * @category models
 */
export interface MemoryAgent {
  readonly processes: Pick<Processes, "start" | "output" | "list" | "signal"> & {
    /** Waits for the end of a process; fails as its handler did. Interrupting the wait leaves it running. */
    readonly ended: (id: OperationId) => Effect.Effect<void, ProcessError>
  }
  readonly files: Files
  /** The content of the files by path, to be read and set by a test. */
  readonly content: Map<string, string>
}

interface Process {
  readonly command: Command
  readonly startedAt: number
  readonly ended: Deferred.Deferred<void, ProcessError>
  output: ReadonlyArray<OutputData>
  state: ProcessState
  fiber: Fiber.Fiber<void> | undefined
}

/**
 * Makes an agent whose processes end with the scope. `onExecute` is asked anew for each command.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (onExecute: () => OnExecute, scope: Scope.Scope): MemoryAgent => {
  const content = new Map<string, string>()
  return { processes: makeProcesses(onExecute, scope), files: makeFiles(content), content }
}

const makeProcesses = (onExecute: () => OnExecute, scope: Scope.Scope): MemoryAgent["processes"] => {
  const known = new Map<OperationId, Process | "killed">()

  const running = (command: Command): Effect.Effect<Process, ProcessError> => {
    const found = known.get(command.id)
    if (found === "killed") return new OperationRefused({ operationId: command.id, reason: "killed" })
    if (found !== undefined) {
      return found.command.argv.join("\0") === command.argv.join("\0")
        ? Effect.succeed(found)
        : new OperationRefused({ operationId: command.id, reason: "conflict" })
    }
    return Effect.gen(function*() {
      const process: Process = {
        command,
        startedAt: yield* Clock.currentTimeMillis,
        ended: Deferred.makeUnsafe(),
        output: [],
        state: { _tag: "Running", end: 0 },
        fiber: undefined
      }
      known.set(command.id, process)
      process.fiber = yield* Effect.forkIn(play(process, onExecute()), scope, { startImmediately: true })
      return process
    })
  }

  const process = (id: OperationId): Effect.Effect<Process, ProcessError> =>
    Effect.suspend(() => {
      const found = known.get(id)
      return found === undefined || found === "killed"
        ? new OperationRefused({ operationId: id, reason: found === undefined ? "unknown" : "killed" })
        : Effect.succeed(found)
    })

  const signal: Processes["signal"] = (id, name) =>
    Effect.suspend(() => {
      if (!known.has(id)) {
        known.set(id, "killed")
        return new OperationRefused({ operationId: id, reason: "unknown" })
      }
      return Effect.map(process(id), (found) => {
        end(found, { stdout: "", signal: name })
        found.fiber?.interruptUnsafe()
        return found.state
      })
    })

  const outputOf = (found: Process, from: number): ProcessOutput => ({
    state: found.state,
    pieces: found.output.flatMap((piece) => {
      const skip = Math.max(0, from - piece.offset)
      return skip >= piece.bytes.length
        ? []
        : [{ ...piece, offset: piece.offset + skip, bytes: piece.bytes.slice(skip) }]
    })
  })

  return {
    start: (command) =>
      Effect.flatMap(Effect.suspend(() => running(command)), (found) =>
        // A command that failed to start has done so by now.
        found.state._tag === "Running" && Deferred.isDoneUnsafe(found.ended)
          ? Effect.as(Deferred.await(found.ended), found.state)
          : Effect.succeed(found.state)),
    output: (id, options) => Effect.map(process(id), (found) => outputOf(found, options?.from ?? 0)),
    ended: (id) => Effect.flatMap(process(id), (found) => Deferred.await(found.ended)),
    list: Effect.map(
      Clock.currentTimeMillis,
      (now) =>
        Array.from(known.values()).flatMap((found) =>
          found === "killed" ? [] : [{
            id: found.command.id,
            argv: found.command.argv,
            state: found.state,
            ageMillis: now - found.startedAt
          }]
        )
    ),
    signal
  }
}

const play = (process: Process, onExecute: OnExecute): Effect.Effect<void> =>
  Effect.flatMap(Effect.exit(onExecute(process.command)), (exit) =>
    Effect.sync(() => {
      if (Exit.isSuccess(exit)) end(process, { ...exit.value, signal: null })
      else Deferred.doneUnsafe(process.ended, Exit.asVoid(exit))
    }))

const end = (process: Process, how: Execution & { readonly signal: string | null }): void => {
  if (process.state._tag === "Exited") return
  const stdout = new TextEncoder().encode(how.stdout ?? "")
  const stderr = new TextEncoder().encode(how.stderr ?? "")
  const pieces: ReadonlyArray<OutputData> = [
    { _tag: "Data", offset: 0, stream: "stdout", bytes: stdout },
    { _tag: "Data", offset: stdout.length, stream: "stderr", bytes: stderr }
  ]
  process.output = pieces.filter((piece) => piece.bytes.length > 0)
  process.state = {
    _tag: "Exited",
    end: stdout.length + stderr.length,
    code: how.signal === null ? how.code ?? 0 : null,
    signal: how.signal
  }
  Deferred.doneUnsafe(process.ended, Exit.void)
}

const makeFiles = (content: Map<string, string>): Files => {
  const outcomes = new Map<OperationId, Exit.Exit<ReadonlyArray<FileVersion>, FilesError>>()

  const text = (path: string): Effect.Effect<string, FileError> =>
    Effect.suspend(() => {
      const found = content.get(path)
      return found === undefined ? refuse(path, "notFound", "no such file") : Effect.succeed(found)
    })

  const unchanged = (path: string, expect: FileVersion | "absent" | undefined): Effect.Effect<void, FileChanged> =>
    Effect.suspend(() => {
      const found = content.get(path)
      const version = found === undefined ? "absent" : versionOf(found)
      return expect === undefined || expect === version ? Effect.void : new FileChanged({ path })
    })

  const once = (id: OperationId, effect: Effect.Effect<ReadonlyArray<FileVersion>, FilesError>) =>
    Effect.suspend(() => outcomes.get(id) ?? Effect.onExit(effect, (exit) => Effect.sync(() => outcomes.set(id, exit))))

  return {
    read: (path, options) =>
      Effect.flatMap(text(path), (found) => {
        const bytes = new TextEncoder().encode(found)
        const range = ReadRange.make(options)
        const { limit, offset } = range
        return Effect.as(ReadRange.check(range, path, bytes.length), {
          bytes: bytes.slice(offset, offset + limit),
          offset,
          size: bytes.length,
          version: versionOf(found)
        })
      }),
    write: ({ bytes, expect, id, path }) =>
      Effect.map(
        once(
          id,
          Effect.map(unchanged(path, expect), () => {
            const written = new TextDecoder().decode(bytes)
            content.set(path, written)
            return [versionOf(written)]
          })
        ),
        ([version]) => version ?? versionOf("")
      ),
    edit: ({ files, id }) =>
      once(
        id,
        Effect.gen(function*() {
          const edited = new Map<string, string>()
          for (const { edits, expect, path } of files) {
            yield* unchanged(path, expect)
            let now = edited.get(path) ?? (yield* text(path))
            for (const { all, find, replace } of edits) {
              const matches = now.split(find).length - 1
              if (matches === 0) return yield* refuse(path, "noMatch", "nothing matches")
              if (matches > 1 && all !== true) return yield* refuse(path, "manyMatches", `${matches} places match`)
              now = now.split(find).join(replace)
            }
            edited.set(path, now)
          }
          for (const [path, now] of edited) content.set(path, now)
          return files.map(({ path }) => versionOf(content.get(path) ?? ""))
        })
      ),
    stat: (path) =>
      Effect.suspend(() => {
        const entry = statOf(content, path)
        return entry === undefined ? refuse(path, "notFound", "no such file or directory") : Effect.succeed(entry)
      }),
    list: (path) =>
      Effect.suspend(() => {
        const entry = statOf(content, path)
        if (entry === undefined) return refuse(path, "notFound", "no such directory")
        if (entry.type !== "directory") return refuse(path, "notDirectory", "not a directory")
        const folder = asFolder(path)
        const names = new Set(
          Array.from(content.keys()).filter((file) => file.startsWith(folder)).map((file) =>
            file.slice(folder.length).split("/", 1).join()
          )
        )
        const entries = Array.from(names).sort().flatMap((name) => statOf(content, folder + name) ?? [])
        return Effect.succeed({ entries, truncated: false })
      })
  }
}

const refuse = (path: string, reason: FileErrorReason, detail: string): Effect.Effect<never, FileError> =>
  new FileError({ path, reason, detail, changed: [] })

/** The content is its own version: it is the same file as long as it reads the same. */
const versionOf = (content: string): FileVersion => {
  let hash = 0
  for (let index = 0; index < content.length; index++) hash = (Math.imul(hash, 31) + content.charCodeAt(index)) >>> 0
  return FileVersion.make(`${content.length}-${hash}`)
}

const asFolder = (path: string): string => path.endsWith("/") ? path : `${path}/`

const statOf = (content: ReadonlyMap<string, string>, path: string): FileStat | undefined => {
  const found = content.get(path)
  const name = path.split("/").findLast((part) => part !== "") ?? "/"
  if (found !== undefined) {
    return { name, type: "file", size: new TextEncoder().encode(found).length, modifiedAtMillis: 0, mode: 0o644 }
  }
  const folder = asFolder(path)
  return Array.from(content.keys()).some((file) => file.startsWith(folder))
    ? { name, type: "directory", size: 0, modifiedAtMillis: 0, mode: 0o755 }
    : undefined
}
