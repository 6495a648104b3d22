/**
 * A connection over three functions: run a command, read a file, write a file. It is what ssh, `docker exec` and the SDKs
 * of sandbox services have in common.
 *
 * It can do `run` and `files`. Operations happen once by their id for as long as their memory lives; edits are applied on
 * this side.
 *
 * **Gotchas**
 *
 * - There is no program that outlives a call: a deadline interrupts the command, it does not run on under its id.
 * - Between the check of `expect` and the write another writer can slip in.
 *
 * @since 0.1.0
 */
import * as Digest from "effect/crypto/Digest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { CallTimedOut, FileChanged, FileError, OperationRefused, Unsupported } from "../domain/Errors.ts"
import type { FileErrorReason, FilesError, ProcessError } from "../domain/Errors.ts"
import type { AgentId, OperationId } from "../domain/Ids.ts"
import type { AgentConnection, CloseReason, Command, Files, Processes, ProcessResult } from "./AgentConnection.ts"
import type { Feature } from "./Feature.ts"
import { FileVersion } from "./Protocol.ts"
import type { FileEdit, OutputData } from "./Protocol.ts"
import * as ReadRange from "./ReadRange.ts"

/**
 * What a command came to. `code` is null where a signal ended it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Executed {
  readonly code: number | null
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
}

/**
 * What a connection is made of. All are interruptible; `exec` ends its command when it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Exec {
  /** Runs a command to its end. Fails with `CommandNotFound` when there is none. */
  readonly exec: (command: Command) => Effect.Effect<Executed, ProcessError>
  /** Reads a regular file whole. Fails with `FileError`. */
  readonly readFile: (path: string) => Effect.Effect<Uint8Array, FilesError>
  /** Writes a file whole. Fails with `FileError`. */
  readonly writeFile: (path: string, bytes: Uint8Array) => Effect.Effect<void, FilesError>
  /** Completes when the connection has ended; never, unless given. */
  readonly closed?: Effect.Effect<CloseReason> | undefined
}

/**
 * What connections like this can do.
 *
 * @since 0.1.0
 * @category constants
 */
export const features: ReadonlySet<Feature> = new Set<Feature>(["run", "files"])

/**
 * The outcomes of operations by their id: the last 1,000. Connections to the same agent should share one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Memory {
  readonly runs: Once<ProcessResult, ProcessError>
  readonly writes: Once<FileVersion, FilesError>
  readonly edits: Once<ReadonlyArray<FileVersion>, FilesError>
}

type Once<A, E> = (id: OperationId, content: unknown, operation: Effect.Effect<A, E>) => Effect.Effect<
  A,
  E | OperationRefused
>

/**
 * No outcomes yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory = (): Memory => ({ runs: makeOnce(), writes: makeOnce(), edits: makeOnce() })

/**
 * A connection to an agent over what is given. A run without a timeout ends after 30 s.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (agentId: AgentId, given: Exec, memory: Memory = makeMemory()): AgentConnection => {
  let ended = false
  const closed = Effect.tap(given.closed ?? Effect.never, () =>
    Effect.sync(() => {
      ended = true
    }))

  const run: Processes["run"] = (command, options) => {
    const after = Duration.fromInputUnsafe(options?.timeout ?? Duration.seconds(30))
    const { id: operationId } = command
    return memory.runs(operationId, command, Effect.map(given.exec(command), resultOf)).pipe(
      Effect.timeoutOrElse({
        duration: after,
        orElse: () => Effect.fail(new CallTimedOut({ agentId, operationId, sent: "mayHaveRun", after }))
      })
    )
  }

  const processes: Processes = {
    run,
    start: () => unsupported("processes"),
    output: () => unsupported("processes"),
    follow: () => Stream.fail(new Unsupported({ feature: "processes" })),
    list: unsupported("processes"),
    signal: () => unsupported("processes")
  }

  const files: Files = {
    read: (path, options) =>
      Effect.flatMap(given.readFile(path), (bytes) => {
        const range = ReadRange.make(options)
        const { limit, offset } = range
        return ReadRange.check(range, path, bytes.length).pipe(
          Effect.andThen(versionOf(bytes)),
          Effect.map((version) => ({
            bytes: bytes.subarray(offset, offset + limit),
            offset,
            size: bytes.length,
            version
          }))
        )
      }),
    write: ({ bytes, expect, id, path }) =>
      memory.writes(
        id,
        [path, bytes.length, expect],
        Effect.gen(function*() {
          if (bytes.length > writeLimit) return yield* refused(path, "tooLarge", "larger than a write may be")
          if (expect !== undefined) yield* isAsExpected(given, path, expect)
          yield* given.writeFile(path, bytes)
          return yield* versionOf(bytes)
        })
      ),
    edit: ({ files, id }) => memory.edits(id, files, editAll(given, files)),
    stat: () => unsupported("directories"),
    list: () => unsupported("directories")
  }

  return { agentId, features, liveness: () => ended ? "closed" : "unknown", closed, processes, files }
}

const writeLimit = 10 * 1024 * 1024
const remembered = 1000

const unsupported = (feature: Feature): Effect.Effect<never, Unsupported> => Effect.fail(new Unsupported({ feature }))

const refused = (path: string, reason: FileErrorReason, detail: string, changed: ReadonlyArray<string> = []) =>
  Effect.fail(new FileError({ path, reason, detail, changed }))

const makeOnce = <A, E>(): Once<A, E> => {
  const outcomes = new Map<OperationId, {
    readonly content: string
    readonly outcome: Deferred.Deferred<A, E | OperationRefused>
  }>()
  return (id, content, operation) =>
    Effect.suspend(() => {
      const text = JSON.stringify(content)
      const known = outcomes.get(id)
      if (known !== undefined) {
        return known.content === text
          ? Deferred.await(known.outcome)
          : Effect.fail(new OperationRefused({ operationId: id, reason: "conflict" }))
      }
      const outcome = Deferred.makeUnsafe<A, E | OperationRefused>()
      outcomes.set(id, { content: text, outcome })
      const oldest = outcomes.size > remembered ? outcomes.keys().next().value : undefined
      if (oldest !== undefined) outcomes.delete(oldest)
      const killed = Effect.fail(new OperationRefused({ operationId: id, reason: "killed" }))
      return Effect.onExit(operation, (exit) =>
        // Who asks later is not interrupted because the first was.
        Deferred.completeWith(outcome, Exit.hasInterrupts(exit) ? killed : exit))
    })
}

const resultOf = ({ code, stderr, stdout }: Executed): ProcessResult => {
  const pieces: Array<OutputData> = []
  let end = 0
  for (const [stream, bytes] of [["stdout", stdout], ["stderr", stderr]] as const) {
    if (bytes.length > 0) pieces.push({ _tag: "Data", offset: end, stream, bytes })
    end += bytes.length
  }
  return { code, signal: null, output: { state: { _tag: "Exited", end, code, signal: null }, pieces } }
}

const versionOf = (bytes: Uint8Array): Effect.Effect<FileVersion> =>
  Effect.flatMap(Digest.Digest, (digest) => digest.digest(Digest.sha256, bytes)).pipe(
    Effect.map((hash) => FileVersion.make(Hex.encode(hash))),
    Effect.provide(Digest.layerWebCrypto)
  )

const isAsExpected = Effect.fnUntraced(function*(given: Exec, path: string, expect: FileVersion | "absent") {
  const found = yield* Effect.map(given.readFile(path), (bytes): Uint8Array | undefined => bytes).pipe(
    Effect.catchIf(
      (error) => error._tag === "FileError" && error.reason === "notFound",
      () => Effect.undefined
    )
  )
  const actual = found === undefined ? "absent" : yield* versionOf(found)
  if (actual !== expect) return yield* new FileChanged({ path })
})

/** All are checked before the first is changed. */
const editAll = Effect.fnUntraced(function*(
  given: Exec,
  edits: ReadonlyArray<FileEdit>
): Effect.fn.Return<ReadonlyArray<FileVersion>, FilesError> {
  const contents = yield* Effect.forEach(
    edits,
    Effect.fnUntraced(function*(edit) {
      const bytes = yield* given.readFile(edit.path)
      if (edit.expect !== undefined && edit.expect !== (yield* versionOf(bytes))) {
        return yield* new FileChanged({ path: edit.path })
      }
      const text = yield* Effect.fromResult(Result.try(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes)))
        .pipe(Effect.catch(() => refused(edit.path, "invalid", "not a text in UTF-8")))
      return new TextEncoder().encode(yield* applied(edit, text))
    })
  )
  const changed: Array<string> = []
  const versions: Array<FileVersion> = []
  for (const [index, { path }] of edits.entries()) {
    const bytes = contents[index] ?? new Uint8Array()
    yield* Effect.mapError(
      given.writeFile(path, bytes),
      (error) => error._tag === "FileError" ? new FileError({ ...error, changed: [...changed] }) : error
    )
    changed.push(path)
    versions.push(yield* versionOf(bytes))
  }
  return versions
})

const applied = (edit: FileEdit, content: string): Effect.Effect<string, FileError> => {
  let text = content
  for (const { all, find, replace } of edit.edits) {
    const matches = text.split(find).length - 1
    if (matches === 0) return refused(edit.path, "noMatch", "the text to replace is not there")
    if (matches > 1 && all !== true) {
      return refused(edit.path, "manyMatches", "the text to replace is there several times")
    }
    text = text.split(find).join(replace)
  }
  return Effect.succeed(text)
}
