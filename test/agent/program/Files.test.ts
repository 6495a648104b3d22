import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as Path from "node:path"
import { Files } from "../../../src/agent/program/Files.ts"
import { Operations } from "../../../src/agent/program/Operations.ts"
import type { ProgramConfig } from "../../../src/agent/program/ProgramConfig.ts"
import {
  AgentBusy,
  chunkLimit,
  FileChanged,
  type FileEdit,
  FileError,
  FileVersion,
  OperationRefused
} from "../../../src/agent/Protocol.ts"
import * as TestAgent from "./TestAgent.ts"

const make = Effect.fnUntraced(function*(config: Partial<ProgramConfig> = {}) {
  const { context, directory } = yield* TestAgent.workplace(config)
  const files = Context.get(context, Files)
  const operations = Context.get(context, Operations)
  const path = (name: string): string => Path.join(directory, name)
  return {
    ...files,
    operations,
    directory,
    path,
    place: (name: string, content: string | Uint8Array) => Fs.writeFileSync(path(name), content),
    content: (name: string) => Fs.readFileSync(path(name), "utf8"),
    leftovers: () => Fs.readdirSync(directory).filter((name) => name.endsWith(".tmp")),
    readAll: (name: string, offset = 0, limit = 1_000_000_000) =>
      Effect.map(Stream.runCollect(files.read({ path: name, offset, limit })), (parts) => {
        const [head, ...rest] = parts
        if (head?._tag !== "Head") return assert.fail("no head")
        const sizes = rest.map((part) => part._tag === "Part" ? part.bytes.length : assert.fail("a second head"))
        const bytes = Buffer.concat(rest.flatMap((part) => part._tag === "Part" ? [part.bytes] : []))
        return { size: head.size, version: head.version, bytes, sizes }
      }),
    /** One upload and its write. */
    writeText: Effect.fnUntraced(function*(
      name: string,
      text: string,
      expect: FileVersion | "absent" | null = null,
      id = TestAgent.id()
    ) {
      const bytes = Buffer.from(text)
      if (bytes.length > 0) yield* files.put({ id, offset: 0, bytes })
      return yield* files.write({ id, path: name, size: bytes.length, expect })
    }),
    editFiles: (...edits: ReadonlyArray<FileEdit>) => files.edit({ id: TestAgent.id(), files: edits })
  }
})

const refusal = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<unknown, unknown, R> =>
  Effect.map(Effect.flip(effect), (error) => error instanceof FileError ? error.reason : error)

/** Stands before a call of the system until the test ends. */
const standingBefore = <K extends "rename" | "link" | "stat" | "open">(
  name: K,
  instead: (real: typeof Fs.promises[K], path: Fs.PathLike) => typeof Fs.promises[K]
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const real = Fs.promises[name]
      const call = (...args: ReadonlyArray<unknown>): unknown =>
        Reflect.apply(instead(real, String(args[name === "rename" || name === "link" ? 1 : 0])), undefined, args)
      Object.assign(Fs.promises, { [name]: call })
      syncBuiltinESMExports()
      return real
    }),
    (real) =>
      Effect.sync(() => {
        Object.assign(Fs.promises, { [name]: real })
        syncBuiltinESMExports()
      })
  )

describe("Files", () => {
  describe("read", () => {
    it.effect("gives size, version and bytes in parts, and ranges of them", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const content = Buffer.alloc(600_000, "0123456789")
        files.place("a", content)
        const whole = yield* files.readAll("a")
        assert.strictEqual(whole.size, 600_000)
        assert.isTrue(whole.bytes.equals(content))
        assert.deepStrictEqual(whole.sizes, [chunkLimit, chunkLimit, 600_000 - 2 * chunkLimit])
        const range = yield* files.readAll("a", 599_995, 100)
        assert.deepStrictEqual([range.size, range.bytes.toString()], [600_000, "56789"])
        assert.strictEqual(range.version, whole.version)
        assert.strictEqual((yield* files.readAll("a", 600_000)).bytes.length, 0)
        assert.strictEqual((yield* files.readAll("a", 5, 0)).bytes.length, 0)
      }))

    it.effect("reads what has no size on record", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const { bytes, size } = yield* files.readAll("/proc/self/status")
        assert.match(bytes.toString(), /^Name:/)
        assert.strictEqual(size, bytes.length)
      }))

    it.effect("reads any range of a file of 1 GB, one read at most 1 MiB", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("big", "begin")
        Fs.truncateSync(files.path("big"), 1_000_000_000)
        Fs.appendFileSync(files.path("big"), "end")
        const end = yield* files.readAll("big", 999_999_998)
        assert.deepStrictEqual([end.size, end.bytes.toString()], [1_000_000_003, "\0\0end"])
        const begin = yield* files.readAll("big")
        assert.strictEqual(begin.bytes.length, 1_048_576)
        assert.isAtMost(Math.max(...begin.sizes), chunkLimit)
      }))

    it.live("refuses what is no regular file, without waiting for it", () =>
      Effect.gen(function*() {
        const files = yield* make()
        execFileSync("mkfifo", [files.path("fifo")])
        Fs.symlinkSync("loop", files.path("loop"))
        Fs.mkdirSync(files.path("folder"))
        files.place("file", "")
        assert.strictEqual(yield* refusal(files.readAll("fifo")), "notRegular")
        assert.strictEqual(yield* refusal(files.readAll("folder")), "notRegular")
        assert.strictEqual(yield* refusal(files.readAll("/dev/zero")), "notRegular")
        assert.strictEqual(yield* refusal(files.readAll("/dev/tty")), "notRegular")
        assert.strictEqual(yield* refusal(files.readAll("loop")), "denied")
        assert.strictEqual(yield* refusal(files.readAll("missing")), "notFound")
        assert.strictEqual(yield* refusal(files.readAll("file/below")), "notDirectory")
        assert.strictEqual(yield* refusal(files.readAll("null\0byte")), "invalid")
        assert.strictEqual(yield* refusal(files.readAll("x".repeat(300))), "invalid")
      }).pipe(Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => Effect.die("a read waited") })))

    it.live("does not open what it need not, and does not wait for what comes in between", () =>
      Effect.gen(function*() {
        const files = yield* make()
        execFileSync("mkfifo", [files.path("fifo")])
        files.place("file", "")
        const opened: Array<Fs.PathLike> = []
        yield* standingBefore("open", (open, path) => {
          opened.push(path)
          return open
        })
        assert.strictEqual(yield* refusal(files.readAll("fifo")), "notRegular")
        assert.deepStrictEqual(opened, [])
        // Looked at, it was a file.
        yield* standingBefore("stat", (stat) => Object.assign(() => stat(files.path("file"), { bigint: true }), stat))
        assert.strictEqual(yield* refusal(files.readAll("fifo")), "notRegular")
        assert.deepStrictEqual(opened, [files.path("fifo")])
      }).pipe(Effect.timeoutOrElse({ duration: "4 seconds", orElse: () => Effect.die("a read waited") })))

    it.effect("closes the file when the reader leaves", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("big", "x".repeat(3_000_000))
        const open = () =>
          Fs.readdirSync("/proc/self/fd").filter((fd) => {
            try {
              return Fs.readlinkSync(`/proc/self/fd/${fd}`) === files.path("big")
            } catch {
              return false
            }
          }).length
        let seen = 0
        yield* files.read({ path: "big", offset: 0, limit: 3_000_000 }).pipe(
          Stream.tap(() =>
            Effect.sync(() => {
              seen = Math.max(seen, open())
            })
          ),
          Stream.take(2),
          Stream.runDrain
        )
        assert.deepStrictEqual([seen, open()], [1, 0])
      }))
  })

  describe("write", () => {
    it.effect("writes what was put in parts, in any order and sent twice", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const id = TestAgent.id()
        yield* files.put({ id, offset: 6, bytes: Buffer.from("world") })
        yield* files.put({ id, offset: 0, bytes: Buffer.from("hellO ") })
        yield* files.put({ id, offset: 0, bytes: Buffer.from("hello ") })
        const version = yield* files.write({ id, path: "new", size: 11, expect: null })
        assert.strictEqual(files.content("new"), "hello world")
        assert.strictEqual((yield* files.readAll("new")).version, version)
        assert.deepStrictEqual(files.leftovers(), [])
      }))

    it.effect("happens once under its id, and answers the same again", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const id = TestAgent.id()
        const version = yield* files.writeText("a", "mine", null, id)
        files.place("a", "newer")
        assert.strictEqual(yield* files.write({ id, path: "a", size: 4, expect: null }), version)
        yield* files.put({ id, offset: 0, bytes: Buffer.from("late") })
        assert.strictEqual(files.content("a"), "newer")
        assert.deepStrictEqual(yield* files.operations.outcome(id), { _tag: "Files", versions: [version] })
        assert.deepStrictEqual(
          yield* Effect.flip(files.write({ id, path: "b", size: 4, expect: null })),
          new OperationRefused({ operationId: id, reason: "conflict" })
        )
        assert.deepStrictEqual(
          yield* Effect.flip(files.edit({ id, files: [] })),
          new OperationRefused({ operationId: id, reason: "conflict" })
        )
      }))

    it.effect("goes on when its caller leaves, and its outcome is known", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const id = TestAgent.id()
        yield* files.put({ id, offset: 0, bytes: Buffer.from("content") })
        const call = yield* Effect.forkChild(files.write({ id, path: "a", size: 7, expect: null }), {
          startImmediately: true
        })
        call.interruptUnsafe()
        const outcome = yield* files.operations.outcome(id)
        assert.strictEqual(outcome._tag, "Files")
        assert.strictEqual(files.content("a"), "content")
      }))

    it.effect("refuses a content that is not of the size said, and remembers that", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const id = TestAgent.id()
        yield* files.put({ id, offset: 0, bytes: Buffer.from("abc") })
        const error = yield* Effect.flip(files.write({ id, path: "a", size: 4, expect: null }))
        assert.deepStrictEqual(
          error,
          new FileError({ path: "a", reason: "invalid", detail: "3 bytes were sent of 4", changed: [] })
        )
        assert.deepStrictEqual<unknown>(yield* files.operations.outcome(id), { _tag: "FilesFailed", error })
        const hole = TestAgent.id()
        yield* files.put({ id: hole, offset: 0, bytes: Buffer.from("ab") })
        yield* files.put({ id: hole, offset: 3, bytes: Buffer.from("d") })
        assert.strictEqual(yield* refusal(files.write({ id: hole, path: "a", size: 3, expect: null })), "invalid")
        assert.isFalse(Fs.existsSync(files.path("a")))
      }))

    it.effect("keeps the mode of a file and the link that leads to it, also one that leads to nothing yet", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("real", "old")
        Fs.chmodSync(files.path("real"), 0o751)
        Fs.symlinkSync("real", files.path("link"))
        Fs.symlinkSync("link", files.path("link2"))
        yield* files.writeText("link2", "new")
        assert.strictEqual(Fs.readlinkSync(files.path("link")), "real")
        assert.strictEqual(Fs.readlinkSync(files.path("link2")), "link")
        assert.strictEqual(files.content("real"), "new")
        assert.strictEqual(Fs.statSync(files.path("real")).mode & 0o7777, 0o751)
        Fs.symlinkSync("later", files.path("dangling"))
        yield* files.writeText("dangling", "made")
        assert.strictEqual(files.content("later"), "made")
      }))

    it.effect("refuses targets that are no regular files, and folders that are not there", () =>
      Effect.gen(function*() {
        const files = yield* make()
        execFileSync("mkfifo", [files.path("fifo")])
        Fs.mkdirSync(files.path("folder"))
        Fs.symlinkSync("loop", files.path("loop"))
        assert.strictEqual(yield* refusal(files.writeText("fifo", "x")), "notRegular")
        assert.strictEqual(yield* refusal(files.writeText("folder", "x")), "notRegular")
        assert.strictEqual(yield* refusal(files.writeText("loop", "x")), "denied")
        assert.strictEqual(yield* refusal(files.writeText("missing/file", "x")), "notFound")
        assert.deepStrictEqual(files.leftovers(), [])
      }))

    it.effect("writes only over the version that was expected", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const changed = new FileChanged({ path: "a" })
        const other = FileVersion.make("other")
        assert.deepStrictEqual(yield* Effect.flip(files.writeText("a", "x", other)), changed)
        const first = yield* files.writeText("a", "one", "absent")
        assert.deepStrictEqual(yield* Effect.flip(files.writeText("a", "two", "absent")), changed)
        assert.deepStrictEqual(yield* Effect.flip(files.writeText("a", "two", other)), changed)
        yield* files.writeText("a", "two", first)
        assert.deepStrictEqual(yield* Effect.flip(files.writeText("a", "three", first)), changed)
        assert.strictEqual(files.content("a"), "two")
        assert.deepStrictEqual(files.leftovers(), [])
      }))

    it.effect("notices a change within the same size and the same moment", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("a", "one")
        execFileSync("touch", ["-r", files.path("a"), files.path("reference")])
        const { version } = yield* files.readAll("a")
        files.place("a", "two")
        execFileSync("touch", ["-r", files.path("reference"), files.path("a")])
        assert.deepStrictEqual(yield* Effect.flip(files.writeText("a", "x", version)), new FileChanged({ path: "a" }))
      }))

    it.effect("does not write over a file that appeared at the last moment", () =>
      Effect.gen(function*() {
        const files = yield* make()
        yield* standingBefore("link", (link) => {
          files.place("a", "theirs")
          return link
        })
        assert.deepStrictEqual(yield* Effect.flip(files.writeText("a", "x", "absent")), new FileChanged({ path: "a" }))
        assert.strictEqual(files.content("a"), "theirs")
        assert.deepStrictEqual(files.leftovers(), [])
      }))

    it.effect("knows a large file by size and time of change", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("a", "x".repeat(2_000_000))
        const { version } = yield* files.readAll("a")
        yield* files.writeText("a", "small", version)
        files.place("b", "x".repeat(2_000_000))
        const before = yield* files.readAll("b")
        Fs.appendFileSync(files.path("b"), "y")
        assert.deepStrictEqual(
          yield* Effect.flip(files.writeText("b", "small", before.version)),
          new FileChanged({ path: "b" })
        )
      }))

    it.effect("takes 10 MiB and not a byte more, and no part above its limit", () =>
      Effect.gen(function*() {
        const files = yield* make({ writeBytes: 300_000, uploadBytes: 400_000 })
        const id = TestAgent.id()
        const part = (length: number) => new Uint8Array(length)
        assert.strictEqual(yield* refusal(files.put({ id, offset: 0, bytes: part(chunkLimit + 1) })), "invalid")
        yield* files.put({ id, offset: 0, bytes: part(200_000) })
        yield* files.put({ id, offset: 200_000, bytes: part(100_000) })
        assert.strictEqual(yield* refusal(files.put({ id, offset: 300_000, bytes: part(1) })), "tooLarge")
        const other = TestAgent.id()
        yield* files.put({ id: other, offset: 0, bytes: part(100_000) })
        assert.deepStrictEqual(
          yield* Effect.flip(files.put({ id: other, offset: 100_000, bytes: part(1) })),
          new AgentBusy({ limit: "bytes that wait for their write" })
        )
        yield* files.write({ id, path: "a", size: 300_000, expect: null })
        yield* files.put({ id: other, offset: 100_000, bytes: part(1) })
      }))

    it.effect("drops an upload that nothing came for in five minutes", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const [early, kept] = [TestAgent.id(), TestAgent.id()]
        const bytes = Buffer.from("abc")
        yield* files.put({ id: early, offset: 0, bytes })
        yield* files.put({ id: kept, offset: 0, bytes })
        yield* TestClock.adjust(299_999)
        yield* files.put({ id: kept, offset: 3, bytes })
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* refusal(files.write({ id: early, path: "early", size: 3, expect: null })), "invalid")
        yield* files.write({ id: kept, path: "kept", size: 6, expect: null })
        assert.strictEqual(files.content("kept"), "abcabc")
      }))

    it.effect("refuses an id that was ended before", () =>
      Effect.gen(function*() {
        const files = yield* make()
        const id = TestAgent.id()
        yield* files.put({ id, offset: 0, bytes: Buffer.from("abc") })
        files.operations.bury(id)
        const killed = new OperationRefused({ operationId: id, reason: "killed" })
        assert.deepStrictEqual(yield* Effect.flip(files.put({ id, offset: 3, bytes: Buffer.from("d") })), killed)
        assert.deepStrictEqual(yield* Effect.flip(files.write({ id, path: "a", size: 3, expect: null })), killed)
        assert.isFalse(Fs.existsSync(files.path("a")))
      }))
  })

  describe("edit", () => {
    it.effect("changes files together and gives their new versions", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("a", "one two")
        files.place("b", "three three")
        const versions = yield* files.editFiles(
          { path: "a", edits: [{ find: "two", replace: "2" }] },
          { path: "b", edits: [{ find: "three", replace: "3", all: true }] }
        )
        assert.deepStrictEqual([files.content("a"), files.content("b")], ["one 2", "3 3"])
        assert.deepStrictEqual(
          versions,
          [(yield* files.readAll("a")).version, (yield* files.readAll("b")).version]
        )
      }))

    it.effect("changes nothing when one of them does not fit", () =>
      Effect.gen(function*() {
        const files = yield* make({ writeBytes: 20 })
        files.place("a", "one")
        files.place("b", "two two")
        files.place("large", "x".repeat(21))
        const good: FileEdit = { path: "a", edits: [{ find: "one", replace: "1" }] }
        const bad = (path: string, find: string, replace = ""): FileEdit => ({ path, edits: [{ find, replace }] })
        assert.strictEqual(yield* refusal(files.editFiles(good, bad("b", "none"))), "noMatch")
        assert.strictEqual(yield* refusal(files.editFiles(good, bad("b", "two"))), "manyMatches")
        assert.strictEqual(yield* refusal(files.editFiles(good, bad("missing", "x"))), "notFound")
        assert.strictEqual(yield* refusal(files.editFiles(good, bad(".", "x"))), "notRegular")
        assert.strictEqual(yield* refusal(files.editFiles(good, bad("large", "xx"))), "tooLarge")
        assert.strictEqual(yield* refusal(files.editFiles(good, bad("large", "behind what is read"))), "tooLarge")
        assert.strictEqual(yield* refusal(files.editFiles(good, bad("b", "two t", "y".repeat(30)))), "tooLarge")
        assert.strictEqual(yield* refusal(files.editFiles(good, bad("./a", "one"))), "invalid")
        assert.deepStrictEqual(
          yield* Effect.flip(
            files.editFiles(good, { ...bad("b", "two t"), expect: FileVersion.make("other") })
          ),
          new FileChanged({ path: "b" })
        )
        assert.deepStrictEqual([files.content("a"), files.content("b")], ["one", "two two"])
        assert.deepStrictEqual(files.leftovers(), [])
      }))

    it.effect("changes nothing when a file was changed by others while the new contents were made", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("a", "one")
        files.place("b", "two")
        yield* standingBefore("open", (open, path) => {
          if (String(path).endsWith(".tmp")) files.place("b", "two, theirs")
          return open
        })
        const error = yield* Effect.flip(files.editFiles(
          { path: "a", edits: [{ find: "one", replace: "1" }] },
          { path: "b", edits: [{ find: "two", replace: "2" }] }
        ))
        assert.deepStrictEqual(error, new FileChanged({ path: "b" }))
        assert.deepStrictEqual([files.content("a"), files.content("b")], ["one", "two, theirs"])
      }))

    it.effect("names what was changed when a later file cannot be replaced", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("a", "one")
        files.place("b", "two")
        const id = TestAgent.id()
        const edits = [
          { path: "a", edits: [{ find: "one", replace: "1" }] },
          { path: "b", edits: [{ find: "two", replace: "2" }] }
        ]
        // What would take a mount point otherwise: the system refuses one rename.
        yield* standingBefore("rename", (rename, to) =>
          to === files.path("b")
            ? () => Promise.reject(Object.assign(new Error(), { code: "EACCES" }))
            : rename)
        const error = yield* Effect.flip(files.edit({ id, files: edits }))
        assert.deepStrictEqual(
          error,
          new FileError({ path: "b", reason: "denied", detail: "permission denied", changed: ["a"] })
        )
        assert.deepStrictEqual([files.content("a"), files.content("b")], ["1", "two"])
        assert.deepStrictEqual(files.leftovers(), [])
        assert.deepStrictEqual<unknown>(yield* files.operations.outcome(id), { _tag: "FilesFailed", error })
      }))

    it.effect("happens once under its id", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("a", "x")
        const id = TestAgent.id()
        const edit = files.edit({ id, files: [{ path: "a", edits: [{ find: "x", replace: "xx", all: true }] }] })
        const versions = yield* edit
        assert.deepStrictEqual(yield* edit, versions)
        assert.strictEqual(files.content("a"), "xx")
      }))
  })

  describe("stat and list", () => {
    it.effect("say what stands there, without following links", () =>
      Effect.gen(function*() {
        const files = yield* make()
        files.place("file", "abc")
        Fs.chmodSync(files.path("file"), 0o640)
        Fs.mkdirSync(files.path("folder"))
        Fs.symlinkSync("nowhere", files.path("link"))
        execFileSync("mkfifo", [files.path("fifo")])
        const stat = yield* files.stat("file")
        assert.deepStrictEqual([stat.name, stat.type, stat.size, stat.mode], ["file", "file", 3, 0o640])
        assert.approximately(stat.modifiedAtMillis, Fs.statSync(files.path("file")).mtimeMs, 2)
        assert.strictEqual((yield* files.stat("link")).type, "symlink")
        assert.strictEqual(yield* refusal(files.stat("missing")), "notFound")
        const listing = yield* files.list(".")
        assert.isFalse(listing.truncated)
        assert.deepStrictEqual(
          listing.entries.map(({ name, type }) => [name, type]),
          [["fifo", "other"], ["file", "file"], ["folder", "directory"], ["link", "symlink"]]
        )
        assert.strictEqual(yield* refusal(files.list("file")), "notDirectory")
        assert.strictEqual(yield* refusal(files.list("missing")), "notFound")
      }))

    it.effect("give the first of many entries by name, and say that there are more", () =>
      Effect.gen(function*() {
        const files = yield* make({ listEntries: 10 })
        for (let index = 0; index < 45; index++) files.place(`f${String(44 - index).padStart(2, "0")}`, "")
        const listing = yield* files.list(".")
        assert.isTrue(listing.truncated)
        assert.deepStrictEqual(
          listing.entries.map(({ name }) => name),
          Array.from({ length: 10 }, (_, index) => `f0${index}`)
        )
      }))

    it.effect("keep one answer within its size", () =>
      Effect.gen(function*() {
        const files = yield* make({ answerBytes: 1_000 })
        for (let index = 0; index < 20; index++) files.place(`${"\u0001".repeat(10)}${index}`, "")
        const listing = yield* files.list(".")
        assert.isTrue(listing.truncated)
        assert.isAbove(listing.entries.length, 2)
        assert.isAtMost(JSON.stringify(listing.entries).length, 1_001)
      }))
  })

  it.live("finishes a change that has begun before the agent ends", () =>
    Effect.gen(function*() {
      const directory = yield* TestAgent.folder
      const stateDirectory = yield* TestAgent.folder
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(TestAgent.services({ directory, stateDirectory }), scope)
      const paths = Array.from({ length: 20 }, (_, index) => Path.join(directory, `f${index}`))
      for (const path of paths) Fs.writeFileSync(path, "old")
      const files = paths.map((path): FileEdit => ({ path, edits: [{ find: "old", replace: "new" }] }))
      const begun = yield* Deferred.make<void>()
      yield* standingBefore("rename", (rename, to) => {
        if (to === paths[1]) Deferred.doneUnsafe(begun, Exit.void)
        return rename
      })
      yield* Effect.forkChild(Context.get(context, Files).edit({ id: TestAgent.id(), files }), {
        startImmediately: true
      })
      yield* Deferred.await(begun)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(paths.filter((path) => Fs.readFileSync(path, "utf8") === "new").length, paths.length)
    }))
})
