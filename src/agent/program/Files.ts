/**
 * The files of the workspace: read, written, edited, listed.
 *
 * Writes and edits are operations: they belong to the agent, run once under their id, and their outcome is remembered. A
 * content comes in parts, which wait in memory for the write that names its size. Changes run one after the other, so
 * that none of ours comes between the check of another and its rename; a foreign program still can.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { BigIntStats } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import {
  AgentBusy,
  chunkLimit,
  type DirectoryListing,
  FileChanged,
  type FileEdit,
  FileError,
  type FileStat,
  type FileVersion,
  type OperationId,
  OperationRefused,
  type Outcome,
  type ReadPart
} from "../Protocol.ts"
import { type Operation, Operations } from "./Operations.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import * as RegularFile from "./RegularFile.ts"
import { Settings } from "./Settings.ts"
import * as TextEdits from "./TextEdits.ts"

/**
 * Everything that a change of files can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type ChangeError = FileError | FileChanged | AgentBusy | OperationRefused

/**
 * @since 0.1.0
 * @category services
 */
export class Files extends Context.Service<Files, {
  /** The head, then the bytes from `offset` on, at most `limit` and never more than one read may have. */
  readonly read: (options: {
    readonly path: string
    readonly offset: number
    readonly limit: number
  }) => Stream.Stream<ReadPart, RegularFile.Failure>
  /** Keeps a part of a content for the write to come. A part sent again replaces itself. */
  readonly put: (options: {
    readonly id: OperationId
    readonly offset: number
    readonly bytes: Uint8Array
  }) => Effect.Effect<void, ChangeError>
  /** Writes what was put under the id. Fails with `FileChanged` when the file is not what was expected. */
  readonly write: (options: {
    readonly id: OperationId
    readonly path: string
    readonly size: number
    readonly expect: FileVersion | "absent" | null
  }) => Effect.Effect<FileVersion, ChangeError>
  /** Edits files: all are checked, and their new contents are on the disk, before the first is replaced. */
  readonly edit: (options: {
    readonly id: OperationId
    readonly files: ReadonlyArray<FileEdit>
  }) => Effect.Effect<ReadonlyArray<FileVersion>, ChangeError>
  /** What stands at a path; a symbolic link is not followed. */
  readonly stat: (path: string) => Effect.Effect<FileStat, RegularFile.Failure>
  /** The first entries of a directory by name; links are not followed. */
  readonly list: (path: string) => Effect.Effect<DirectoryListing, RegularFile.Failure>
}>()("chat-workspace/agent/program/Files") {}

const make = Effect.gen(function*() {
  const config = yield* ProgramConfig
  const { directory } = yield* Settings
  const operations = yield* Operations
  const scope = yield* Effect.scope
  const changing = yield* Semaphore.make(1)
  const expiries = yield* FiberMap.make<OperationId>()
  const uploads = new Map<OperationId, Upload>()
  let waiting = 0

  const named = (path: string): RegularFile.Named => ({ path, absolute: Path.resolve(directory, path) })

  const drop = (id: OperationId): void => {
    waiting -= uploads.get(id)?.size ?? 0
    uploads.delete(id)
  }

  /** Runs a change once, in a fiber of the agent: the call only waits for it. */
  const once = (
    id: OperationId,
    content: unknown,
    change: Effect.Effect<ReadonlyArray<FileVersion>, Changed, Scope.Scope>
  ): Effect.Effect<ReadonlyArray<FileVersion>, ChangeError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { fresh, operation } = yield* operations.claim({
          id,
          content,
          isOwn: (operation) => operation instanceof Change,
          make: (digest) => new Change(id, digest)
        })
        if (fresh) {
          // The end of the agent must not come between the first file of an edit and the last.
          yield* changing.withPermit(Effect.uninterruptible(Effect.scoped(change))).pipe(
            Effect.onExit((exit) => settle(operation, exit)),
            Deferred.into(operation.result),
            Effect.forkIn(scope)
          )
        }
        return yield* restore(Deferred.await(operation.result))
      })
    )

  const settle = (operation: Change, exit: Exit.Exit<unknown, Changed>): Effect.Effect<void> =>
    Effect.suspend(() => {
      // Nothing was touched for want of means: the same call may come again, and finds its content.
      if (Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof AgentBusy) {
        operations.release(operation)
        return Effect.void
      }
      drop(operation.id)
      return Effect.andThen(FiberMap.remove(expiries, operation.id), operations.settle(operation))
    })

  const existing = (file: RegularFile.Named): Effect.Effect<RegularFile.Opened | undefined, Changed, Scope.Scope> =>
    Effect.catchIf(
      RegularFile.open(file),
      (error) => error._tag === "FileError" && error.reason === "notFound",
      () => Effect.undefined
    )

  const check = Effect.fnUntraced(function*(
    path: string,
    opened: RegularFile.Opened | undefined,
    expect: FileVersion | "absent" | null | undefined
  ): Effect.fn.Return<void, Changed> {
    if (expect === null || expect === undefined) return
    const version = opened === undefined ? "absent" : yield* RegularFile.currentVersion(path, opened)
    if (version !== expect) return yield* new FileChanged({ path })
  })

  const write = Effect.fnUntraced(function*(
    path: string,
    bytes: Uint8Array,
    expect: FileVersion | "absent" | null
  ): Effect.fn.Return<ReadonlyArray<FileVersion>, Changed, Scope.Scope> {
    const target = yield* RegularFile.target(named(path))
    const opened = yield* existing({ path, absolute: target })
    yield* check(path, opened, expect)
    const prepared = yield* RegularFile.prepare({ path, target, bytes, replaces: opened?.stat })
    yield* expect === "absent" ? prepared.create : prepared.replace
    return [prepared.version]
  })

  const editOne = Effect.fnUntraced(function*(
    { edits, expect, path }: FileEdit
  ): Effect.fn.Return<Edited, Changed, Scope.Scope> {
    const target = yield* RegularFile.target(named(path))
    const opened = yield* RegularFile.open({ path, absolute: target })
    yield* check(path, opened, expect)
    const before = yield* RegularFile.readAll(path, opened, config.writeBytes)
    const tooLarge = RegularFile.refused(path, "tooLarge", `is larger than ${config.writeBytes} bytes`)
    // Before it is searched: of a larger file only the beginning was read, and a match may be behind it.
    if (before.length > config.writeBytes) return yield* tooLarge
    const after = TextEdits.apply(before, edits)
    if (Result.isFailure(after)) return yield* RegularFile.refused(path, after.failure.reason, after.failure.detail)
    const bytes = after.success
    if (bytes.length > config.writeBytes) return yield* tooLarge
    return { path, target, bytes, replaces: opened.stat }
  })

  const edit = Effect.fnUntraced(function*(
    files: ReadonlyArray<FileEdit>
  ): Effect.fn.Return<ReadonlyArray<FileVersion>, Changed, Scope.Scope> {
    const edited: Array<Edited> = []
    let bytes = 0
    for (const file of files) {
      const one = yield* Effect.scoped(editOne(file))
      bytes += one.bytes.length
      if (bytes > config.uploadBytes) {
        return yield* RegularFile.refused(file.path, "tooLarge", `brings the edit over ${config.uploadBytes} bytes`)
      }
      edited.push(one)
    }
    const twice = edited.find(({ target }, index) => edited.findIndex((other) => other.target === target) !== index)
    if (twice !== undefined) return yield* RegularFile.refused(twice.path, "invalid", "is named twice in one edit")
    // All that a full disk can refuse is refused here, while nothing has changed.
    const prepared = yield* Effect.forEach(edited, (file) => RegularFile.prepare(file))
    yield* Effect.forEach(edited, unchanged, { discard: true })
    for (const [index, { replace }] of prepared.entries()) {
      yield* Effect.mapError(replace, (error) =>
        index > 0 && error._tag === "FileError"
          ? new FileError({
            path: error.path,
            reason: error.reason,
            detail: error.detail,
            changed: edited.slice(0, index).map(({ path }) => path)
          })
          : error)
    }
    return prepared.map(({ version }) => version)
  })

  return Files.of({
    read: ({ limit, offset, path }) =>
      Stream.unwrap(Effect.gen(function*() {
        const opened = yield* RegularFile.open(named(path))
        const until = offset + Math.min(limit, config.readBytes)
        if (opened.stat.size <= RegularFile.contentVersionLimit) {
          const bytes = yield* RegularFile.readAll(path, opened, RegularFile.contentVersionLimit)
          if (bytes.length <= RegularFile.contentVersionLimit) {
            const head = { size: bytes.length, version: RegularFile.versionOf(opened.stat, bytes) }
            return parts(head, offset, until, (from, to) => Effect.succeed(bytes.subarray(from, to)))
          }
        }
        const head = { size: Number(opened.stat.size), version: RegularFile.versionOf(opened.stat, undefined) }
        return parts(head, offset, until, (from, to) =>
          RegularFile.attempt(path, async () => {
            const buffer = new Uint8Array(to - from)
            const { bytesRead } = await opened.handle.read(buffer, 0, buffer.length, from)
            return buffer.subarray(0, bytesRead)
          }))
      })),
    put: Effect.fnUntraced(function*({ bytes, id, offset }) {
      const known = yield* Effect.result(operations.find(id))
      if (Result.isSuccess(known)) {
        // A part that was sent again after its write had come: the write has what it needs.
        if (known.success instanceof Change) return
        return yield* new OperationRefused({ operationId: id, reason: "conflict" })
      }
      if (known.failure.reason !== "unknown") return yield* known.failure
      if (bytes.length > chunkLimit) return yield* RegularFile.refused(content, "invalid", "a part is too long")
      const upload = uploads.get(id) ?? new Upload()
      const grown = bytes.length - (upload.parts.get(offset)?.length ?? 0)
      if (upload.size + grown > config.writeBytes) {
        return yield* RegularFile.refused(content, "tooLarge", `is larger than ${config.writeBytes} bytes`)
      }
      if (waiting + grown > config.uploadBytes) {
        return yield* new AgentBusy({ limit: "bytes that wait for their write" })
      }
      upload.parts.set(offset, bytes)
      upload.size += grown
      waiting += grown
      uploads.set(id, upload)
      yield* FiberMap.run(expiries, id, Effect.delay(Effect.sync(() => drop(id)), config.uploadRetention))
    }),
    write: ({ expect, id, path, size }) =>
      Effect.flatMap(
        once(
          id,
          ["Write", path, size, expect],
          Effect.suspend(() => {
            const bytes = (uploads.get(id) ?? new Upload()).whole(size)
            return Result.isSuccess(bytes)
              ? write(path, bytes.success, expect)
              : RegularFile.refused(path, "invalid", bytes.failure)
          })
        ),
        ([version]) => version === undefined ? Effect.die("a write without a version") : Effect.succeed(version)
      ),
    edit: ({ files, id }) => once(id, ["Edit", files], edit(files)),
    stat: (path) =>
      Effect.map(
        RegularFile.attempt(path, () => Fs.lstat(named(path).absolute, { bigint: true })),
        (stat) => describe(Path.basename(named(path).absolute), stat)
      ),
    list: (path) =>
      Effect.flatMap(
        RegularFile.attempt(path, () => firstNames(named(path).absolute, config.listEntries)),
        ({ folder, names, truncated }) =>
          Effect.map(
            Effect.forEach(names, (name) => entry(folder, name), { concurrency: 16 }),
            (entries) => fitting(entries.flatMap((found) => found ?? []), truncated, config.answerBytes)
          )
      )
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Files, never, Operations | Settings> = Layer.effect(Files, make)

type Changed = FileError | FileChanged | AgentBusy

interface Edited {
  readonly path: string
  readonly target: string
  readonly bytes: Uint8Array
  readonly replaces: BigIntStats
}

class Change implements Operation {
  readonly id: OperationId
  readonly digest: string
  readonly result = Deferred.makeUnsafe<ReadonlyArray<FileVersion>, Changed>()
  settledAt: number | undefined

  constructor(id: OperationId, digest: string) {
    this.id = id
    this.digest = digest
  }

  readonly outcome: Effect.Effect<Outcome> = Effect.suspend(() =>
    Effect.match(Deferred.await(this.result), {
      onFailure: (error) => ({ _tag: "FilesFailed", error }),
      onSuccess: (versions) => ({ _tag: "Files", versions })
    })
  )
}

class Upload {
  readonly parts = new Map<number, Uint8Array>()
  size = 0

  /** The content, when the parts are exactly it. */
  whole(size: number): Result.Result<Uint8Array, string> {
    const bytes = new Uint8Array(this.size)
    let end = 0
    for (const [offset, part] of [...this.parts].sort(([a], [b]) => a - b)) {
      if (offset !== end) return Result.fail(`the content has a hole or an overlap at byte ${end}`)
      bytes.set(part, offset)
      end += part.length
    }
    return end === size ? Result.succeed(bytes) : Result.fail(`${end} bytes were sent of ${size}`)
  }
}

/** What is named in an error where no path is known yet. */
const content = "(content)"

const parts = (
  head: { readonly size: number; readonly version: FileVersion },
  offset: number,
  until: number,
  read: (from: number, to: number) => Effect.Effect<Uint8Array, RegularFile.Failure>
): Stream.Stream<ReadPart, RegularFile.Failure> =>
  Stream.concat(
    Stream.succeed({ _tag: "Head", ...head }),
    Stream.fromPull(Effect.sync(() => {
      let next = offset
      return Effect.suspend(() => {
        if (next >= until) return Cause.done()
        return Effect.flatMap(read(next, Math.min(until, next + chunkLimit)), (bytes) => {
          if (bytes.length === 0) return Cause.done()
          next += bytes.length
          return Effect.succeed<[ReadPart]>([{ _tag: "Part", bytes }])
        })
      })
    }))
  )

/** Whether a file still is the one that was checked, as far as its inode tells. */
const unchanged = ({ path, replaces, target }: Edited): Effect.Effect<void, Changed> =>
  Effect.flatMap(
    RegularFile.attempt(path, () => Fs.lstat(target, { bigint: true })),
    (stat) =>
      RegularFile.versionOf(stat, undefined) === RegularFile.versionOf(replaces, undefined)
        ? Effect.void
        : new FileChanged({ path })
  )

const describe = (name: string, stat: BigIntStats): FileStat => ({
  name,
  type: stat.isFile() ? "file" : stat.isDirectory() ? "directory" : stat.isSymbolicLink() ? "symlink" : "other",
  size: Number(stat.size),
  modifiedAtMillis: Number(stat.mtimeMs),
  mode: Number(stat.mode & 0o7777n)
})

/** The first names in order, without holding all names of a large directory. */
const firstNames = async (
  folder: string,
  limit: number
): Promise<{ readonly folder: string; readonly names: ReadonlyArray<string>; readonly truncated: boolean }> => {
  let names: Array<string> = []
  let truncated = false
  const cut = (): void => {
    names.sort(byCharacter)
    truncated ||= names.length > limit
    names = names.slice(0, limit)
  }
  for await (const { name } of await Fs.opendir(folder, { bufferSize: 512 })) {
    names.push(name)
    if (names.length >= limit * 2) cut()
  }
  cut()
  return { folder, names, truncated }
}

const byCharacter = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/** Nothing when it went away meanwhile. */
const entry = (folder: string, name: string): Effect.Effect<FileStat | undefined> =>
  Effect.promise(() =>
    Fs.lstat(Path.join(folder, name), { bigint: true }).then((stat) => describe(name, stat), () => undefined)
  )

const fitting = (entries: ReadonlyArray<FileStat>, truncated: boolean, limit: number): DirectoryListing => {
  let left = limit
  const fits = entries.findIndex((entry) => (left -= JSON.stringify(entry).length + 1) < 0)
  return fits === -1 ? { entries, truncated } : { entries: entries.slice(0, fits), truncated: true }
}
