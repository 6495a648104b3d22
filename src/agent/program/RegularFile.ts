/**
 * One regular file: opened without waiting, read by range, replaced by rename, and known by its version.
 *
 * A file is looked at before it is opened, since opening a device can act on it, and again on the open handle, since the
 * name may have come to mean another file meanwhile. The open never blocks, so a pipe without a writer holds up nobody.
 *
 * The version of a file of up to 1 MiB is its content, of a larger one its size, time of change and inode: a large file
 * that is changed twice within the resolution of the file system's clock, in place and to the same size, is taken for the
 * same.
 *
 * **Gotchas.** What replaces a file is a new file: it takes over mode and, where permitted, owner; it leaves hard links
 * to the old content behind, and loses access lists and extended attributes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createHash, randomBytes } from "node:crypto"
import type { BigIntStats } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { AgentBusy, FileChanged, FileError, type FileErrorReason, FileVersion } from "../Protocol.ts"

/**
 * Everything that a file can answer instead of its content.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure = FileError | AgentBusy

/**
 * Files of up to so many bytes are known by their content.
 *
 * @since 0.1.0
 * @category constants
 */
export const contentVersionLimit = 1024 * 1024

/**
 * A name as the caller gave it, for errors, and as an absolute path.
 *
 * @since 0.1.0
 * @category models
 */
export interface Named {
  readonly path: string
  readonly absolute: string
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Opened {
  readonly handle: Fs.FileHandle
  readonly stat: BigIntStats
}

/**
 * Runs a call of the file system and translates what it fails with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attempt = <A>(path: string, call: () => Promise<A>): Effect.Effect<A, Failure> =>
  Effect.tryPromise({ try: call, catch: (cause) => failure(path, cause) })

/**
 * A refusal of our own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refused = (path: string, reason: FileErrorReason, detail: string): FileError =>
  new FileError({ path, reason, detail, changed: [] })

/**
 * Opens a regular file for reading, for the life of the scope. Fails with `notRegular` for everything else.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = Effect.fnUntraced(function*(
  { absolute, path }: Named
): Effect.fn.Return<Opened, Failure, Scope.Scope> {
  yield* regular(path, yield* attempt(path, () => Fs.stat(absolute, { bigint: true })))
  const handle = yield* Effect.acquireRelease(
    attempt(path, () => Fs.open(absolute, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK | Fs.constants.O_NOCTTY)),
    (handle) => Effect.promise(() => handle.close().catch(() => undefined))
  )
  const stat = yield* attempt(path, () => handle.stat({ bigint: true }))
  yield* regular(path, stat)
  return { handle, stat }
})

/**
 * Reads a file whole, or its first `limit + 1` bytes when it is longer: its size on record may be wrong.
 *
 * @since 0.1.0
 * @category accessors
 */
export const readAll = (path: string, { handle, stat }: Opened, limit: number): Effect.Effect<Uint8Array, Failure> =>
  attempt(path, async () => {
    let buffer = new Uint8Array(Math.min(Number(stat.size), limit) + 1)
    let length = 0
    while (true) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length)
      length += bytesRead
      if (bytesRead === 0 || length > limit) return buffer.subarray(0, length)
      if (length < buffer.length) continue
      const larger = new Uint8Array(Math.min(limit + 1, buffer.length * 2 + 4096))
      larger.set(buffer)
      buffer = larger
    }
  })

/**
 * The version of a content, if it is small enough to be known by it.
 *
 * @since 0.1.0
 * @category versions
 */
export const versionOf = (stat: BigIntStats, bytes: Uint8Array | undefined): FileVersion =>
  FileVersion.make(
    bytes !== undefined && bytes.length <= contentVersionLimit
      ? `content-${bytes.length}-${createHash("sha256").update(bytes).digest("base64url")}`
      : `stat-${stat.size}-${stat.mtimeNs}-${stat.ino}`
  )

/**
 * The version of an open file.
 *
 * @since 0.1.0
 * @category versions
 */
export const currentVersion = (path: string, opened: Opened): Effect.Effect<FileVersion, Failure> =>
  opened.stat.size > contentVersionLimit
    ? Effect.succeed(versionOf(opened.stat, undefined))
    : Effect.map(readAll(path, opened, contentVersionLimit), (bytes) => versionOf(opened.stat, bytes))

/**
 * Where a write to this name goes: through symbolic links, also one that leads to no file yet.
 *
 * @since 0.1.0
 * @category accessors
 */
export const target = ({ absolute, path }: Named): Effect.Effect<string, Failure> =>
  attempt(path, async () => {
    let name = absolute
    for (let links = 0; links < 40; links++) {
      const parent = await Fs.realpath(Path.dirname(name))
      name = Path.join(parent, Path.basename(name))
      const link = await Fs.readlink(name).catch((cause: unknown) => {
        if (["EINVAL", "ENOENT"].includes(codeOf(cause) ?? "")) return undefined
        throw cause
      })
      if (link === undefined) return name
      name = Path.resolve(parent, link)
    }
    throw Object.assign(new Error("too many symbolic links"), { code: "ELOOP" })
  })

/**
 * A content that stands beside the file it is to replace, safe on the disk.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prepared {
  readonly version: FileVersion
  /** Takes the place of what is there. */
  readonly replace: Effect.Effect<void, Failure>
  /** Takes the place only if nothing is there; fails with `FileChanged` otherwise. */
  readonly create: Effect.Effect<void, Failure | FileChanged>
}

/**
 * Writes a content to a temporary file in the folder of its target, which goes with the scope unless it was put in place.
 *
 * @since 0.1.0
 * @category constructors
 */
export const prepare = Effect.fnUntraced(function*(options: {
  readonly path: string
  readonly target: string
  readonly bytes: Uint8Array
  readonly replaces: BigIntStats | undefined
}): Effect.fn.Return<Prepared, Failure, Scope.Scope> {
  const { bytes, path, replaces, target } = options
  const temporary = Path.join(Path.dirname(target), `.chat-workspace-${randomBytes(8).toString("hex")}.tmp`)
  const stat = yield* Effect.acquireRelease(
    // A file that only its owner may read must not be readable by others on its way.
    attempt(path, () => writeNew(temporary, bytes, replaces)),
    () => Effect.promise(() => Fs.rm(temporary, { force: true }).catch(() => undefined))
  )
  const replace = attempt(path, () => Fs.rename(temporary, target))
  return {
    version: versionOf(stat, bytes),
    replace,
    create: Effect.flatMap(
      attempt(path, () =>
        Fs.link(temporary, target).then(() => "linked" as const, (cause: unknown) => {
          if (codeOf(cause) === "EEXIST") return "taken"
          if (["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(codeOf(cause) ?? "")) return "unable"
          throw cause
        })),
      (result): Effect.Effect<void, Failure | FileChanged> =>
        result === "taken" ? new FileChanged({ path }) : result === "unable" ? replace : Effect.void
    )
  }
})

const writeNew = async (
  temporary: string,
  bytes: Uint8Array,
  replaces: BigIntStats | undefined
): Promise<BigIntStats> => {
  const handle = await Fs.open(temporary, "wx", replaces === undefined ? 0o666 : 0o600)
  try {
    await handle.writeFile(bytes)
    if (replaces !== undefined) {
      const mine = await handle.stat({ bigint: true })
      if (mine.uid !== replaces.uid || mine.gid !== replaces.gid) {
        await handle.chown(Number(replaces.uid), Number(replaces.gid)).catch(() => undefined)
      }
      // After the owner, whose change takes bits of the mode away.
      await handle.chmod(Number(replaces.mode & 0o7777n))
    }
    await handle.sync()
    return await handle.stat({ bigint: true })
  } catch (cause) {
    await Fs.rm(temporary, { force: true })
    throw cause
  } finally {
    await handle.close()
  }
}

const regular = (path: string, stat: BigIntStats): Effect.Effect<void, FileError> =>
  stat.isFile()
    ? Effect.void
    : refused(path, "notRegular", stat.isDirectory() ? "is a directory" : "is not a regular file")

const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

const failure = (path: string, cause: unknown): Failure => {
  const code = codeOf(cause) ?? "unknown error"
  if (code === "EMFILE" || code === "ENFILE") return new AgentBusy({ limit: "open files" })
  const [reason, detail] = reasons[code] ?? ["denied", `the system refused (${code})`]
  return refused(path, reason, detail)
}

const reasons: Readonly<Record<string, readonly [FileErrorReason, string]>> = {
  ENOENT: ["notFound", "there is no such file or folder"],
  ENOTDIR: ["notDirectory", "a part of the path is not a folder"],
  EISDIR: ["notRegular", "is a directory"],
  ENXIO: ["notRegular", "is not a regular file"],
  EFBIG: ["tooLarge", "is too large for the file system"],
  ENOSPC: ["noSpace", "there is no space left"],
  EDQUOT: ["noSpace", "the quota is used up"],
  ELOOP: ["denied", "too many symbolic links"],
  EACCES: ["denied", "permission denied"],
  EPERM: ["denied", "not permitted"],
  EROFS: ["denied", "the file system is read-only"],
  EBUSY: ["denied", "is in use by the system"],
  ENAMETOOLONG: ["invalid", "the name is too long"],
  EINVAL: ["invalid", "the system calls the name or content invalid"],
  ERR_INVALID_ARG_VALUE: ["invalid", "the name holds a null byte"]
}
