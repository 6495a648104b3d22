import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type { AgentConnection, Files } from "../../src/agent/AgentConnection.ts"
import { FileVersion } from "../../src/agent/Protocol.ts"
import { CallInterrupted, CallTimedOut, FileError } from "../../src/domain/Errors.ts"
import type { FilesError } from "../../src/domain/Errors.ts"
import { Ids } from "../../src/domain/index.ts"
import * as FileHandlers from "../../src/tool/FileHandlers.ts"
import { FileTools } from "../../src/tool/FileTools.ts"
import * as ToolCalls from "../../src/tool/ToolCalls.ts"
import * as t from "./support/calls.ts"

const agentId = Ids.AgentId.make("agent-1")

const die = Effect.die(new Error("not played"))

/** The tools over files that answer as a test says. */
const over = Effect.fnUntraced(function*(files: Partial<Files>) {
  const connection: AgentConnection = {
    agentId,
    features: new Set(["files"]),
    liveness: () => "live",
    closed: Effect.never,
    processes: {
      run: () => die,
      start: () => die,
      output: () => die,
      follow: () => Stream.die("not played"),
      list: die,
      signal: () => die
    },
    files: { read: () => die, write: () => die, edit: () => die, stat: () => die, list: () => die, ...files }
  }
  const handlers = yield* FileHandlers.make
  const context = t.contextOf(connection, [...Object.keys(FileTools.tools), "process_output"])
  const provided = yield* FileTools.toHandlers(handlers(context))
  const toolkit = yield* ToolCalls.make(Object.values(FileTools.tools), provided)
  return (name: string, args: unknown) => t.call(toolkit, name, args)
}, Effect.provide(SecureRandom.layerWebCrypto))

/** A file of so many bytes, of which each is what `at` says. */
const virtual = (size: number, at: (offset: number) => number, versions: Iterator<string> = ["v"].values()) => {
  const reads: Array<number> = []
  let version = "v"
  const read: Files["read"] = (_, options) => {
    const offset = options?.offset ?? 0
    reads.push(offset)
    version = versions.next().value ?? version
    const length = Math.max(0, Math.min(options?.limit ?? 0, 1024 * 1024, size - offset))
    const bytes = new Uint8Array(length).map((_, index) => at(offset + index))
    return Effect.succeed({ bytes, offset, size, version: FileVersion.make(version) })
  }
  return { read, reads }
}

const lineBreak = 10
const letter = 97

describe("read_file", () => {
  it.effect("answers the file as it stands", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      ;(yield* world.files(t.chatId)).set("a.txt", "one\n  two\r\n\nlast")
      assert.deepStrictEqual(yield* call("read_file", { path: "a.txt" }), {
        isFailure: false,
        result: { content: "one\n  two\r\n\nlast", start_line: 1, lines: 4, size_bytes: 16, total_lines: 4 }
      })
    }).pipe(t.inWorld))

  it.effect("reads by lines and says how to read on", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      ;(yield* world.files(t.chatId)).set("a.txt", "1\n2\n3\n4\n5\n")
      const { result } = yield* call("read_file", { path: "a.txt", offset: 2, limit: 2 })
      assert.deepStrictEqual(result, {
        content: "2\n3\n",
        start_line: 2,
        lines: 2,
        size_bytes: 10,
        next_offset: 4,
        note: "The file goes on: call again with offset 4."
      })
      const next = yield* call("read_file", { path: "a.txt", offset: result.next_offset, limit: 2 })
      assert.deepInclude(next.result, { content: "4\n5\n", total_lines: 5 })
      assert.notProperty(next.result, "next_offset")
    }).pipe(t.inWorld))

  it.effect("gives 2,000 lines at most, and 32 KiB", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const files = yield* world.files(t.chatId)
      files.set("short", "x\n".repeat(2001))
      files.set("long", `${"x".repeat(99)}\n`.repeat(1000))
      assert.deepInclude((yield* call("read_file", { path: "short" })).result, { lines: 2000, next_offset: 2001 })
      assert.deepInclude((yield* call("read_file", { path: "short", limit: 5000 })).result, { lines: 2000 })
      const { result } = yield* call("read_file", { path: "long" })
      assert.deepInclude(result, { lines: 327, next_offset: 328 })
      assert.isAtMost(result.content.length, 32 * 1024)
    }).pipe(t.inWorld))

  it.effect("says of an empty file, and of a line behind the end, that nothing is there", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const files = yield* world.files(t.chatId)
      files.set("empty", "")
      files.set("short", "a\nb\n")
      assert.deepInclude((yield* call("read_file", { path: "empty" })).result, {
        content: "",
        total_lines: 0,
        note: "The file is empty."
      })
      assert.deepInclude((yield* call("read_file", { path: "short", offset: 3 })).result, {
        content: "",
        total_lines: 2,
        note: "The file has only 2 lines."
      })
    }).pipe(t.inWorld))

  it.effect("cuts long lines, and says so", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      ;(yield* world.files(t.chatId)).set("min.js", `${"x".repeat(5000)}\nshort\n`)
      const { result } = yield* call("read_file", { path: "min.js" })
      assert.strictEqual(result.content, `${"x".repeat(1024)} [… 3976 bytes left out …]\nshort\n`)
      assert.include(result.note, "cut -c")
    }).pipe(t.inWorld))

  it.effect("says that a file is binary instead of showing it", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      ;(yield* world.files(t.chatId)).set("image", "PNG\0\0data")
      const { isFailure, result } = yield* call("read_file", { path: "image" })
      assert.isFalse(isFailure)
      assert.deepInclude(result, { content: "", binary: true, size_bytes: 9 })
      assert.include(result.note, "xxd")
    }).pipe(t.inWorld))

  it.effect("a file larger than one answer is read by ranges, no further than it must be", () =>
    Effect.gen(function*() {
      const MiB = 1024 * 1024
      const { read, reads } = virtual(5 * MiB, (at) => at % 100 === 99 ? lineBreak : letter)
      const call = yield* over({ read })
      const { result } = yield* call("read_file", { path: "log", offset: 20_000, limit: 2 })
      assert.deepInclude(result, { start_line: 20_000, lines: 2, next_offset: 20_002, size_bytes: 5 * MiB })
      assert.strictEqual(result.content, `${"a".repeat(99)}\n`.repeat(2))
      assert.deepStrictEqual(reads, [0, MiB])
      const last = yield* call("read_file", { path: "log", offset: 52_429, limit: 2 })
      assert.deepInclude(last.result, { lines: 1, total_lines: 52_429, content: "a".repeat(80) })
    }))

  it.effect("a line too far into a huge file is refused, with another way", () =>
    Effect.gen(function*() {
      const { read, reads } = virtual(1024 ** 4, () => letter)
      const call = yield* over({ read })
      const { isFailure, result } = yield* call("read_file", { path: "huge", offset: 2 })
      assert.isTrue(isFailure)
      assert.strictEqual(reads.length, 16)
      assert.include(result.message, "too far into the file to be found by its number (line 2); use execute")
      const begun = yield* call("read_file", { path: "huge" })
      assert.deepInclude(begun.result, { lines: 1 })
      assert.include(begun.result.note, "The rest is too far into the file")
      assert.notProperty(begun.result, "total_lines")
    }))

  it.effect("says that the file was changed while it was read", () =>
    Effect.gen(function*() {
      const versions = ["v1", "v2"].values()
      const { read } = virtual(1024 * 1024 + 10, (at) => at % 100 === 99 ? lineBreak : letter, versions)
      const call = yield* over({ read })
      const { result } = yield* call("read_file", { path: "log", offset: 10_480 })
      assert.include(result.note, "changed while it was read")
    }))

  it.effect("a file that is not there is the call's fault", () =>
    Effect.gen(function*() {
      const { call } = yield* t.running
      assert.deepStrictEqual(yield* call("read_file", { path: "nowhere" }), {
        isFailure: true,
        result: { error: "file_error", message: "nowhere: no such file. Correct the call.", retry: "never" }
      })
    }).pipe(t.inWorld))
})

describe("write_file", () => {
  it.effect("writes the whole file, and makes it", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const files = yield* world.files(t.chatId)
      assert.deepStrictEqual((yield* call("write_file", { path: "new.txt", content: "né\n" })).result, {
        path: "new.txt",
        size_bytes: 4
      })
      assert.strictEqual(files.get("new.txt"), "né\n")
      yield* call("write_file", { path: "new.txt", content: "" })
      assert.strictEqual(files.get("new.txt"), "")
    }).pipe(t.inWorld))

  it.effect("10 MiB are written, one byte more is refused before anything is dialed", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const content = "x".repeat(10 * 1024 * 1024)
      const [{ isFailure, result }, { dials }] = yield* world.counted(
        call("write_file", { path: "big", content: `${content}y` })
      )
      assert.isTrue(isFailure)
      assert.deepInclude(result, { error: "file_error", retry: "never" })
      assert.include(result.message, "big: is more than 10 MiB")
      assert.strictEqual(dials, 0)
      assert.isFalse((yield* call("write_file", { path: "big", content })).isFailure)
    }).pipe(t.inWorld))
})

describe("edit_files", () => {
  it.effect("edits several files in one step", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const files = yield* world.files(t.chatId)
      files.set("a", "one two").set("b", "x x")
      const { result } = yield* call("edit_files", {
        files: [
          { path: "a", edits: [{ find: "one", replace: "1" }, { find: "two", replace: "" }] },
          { path: "b", edits: [{ find: "x", replace: "y", all: true }] }
        ]
      })
      assert.deepStrictEqual(result, { files: [{ path: "a", edits: 2 }, { path: "b", edits: 1 }] })
      assert.deepStrictEqual([files.get("a"), files.get("b")], ["1 ", "y y"])
    }).pipe(t.inWorld))

  it.effect("refuses what is not there or there more than once, says which file, and changes none", () =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const files = yield* world.files(t.chatId)
      files.set("a", "one").set("b", "x x")
      const edit = (find: string) =>
        call("edit_files", {
          files: [{ path: "a", edits: [{ find: "one", replace: "1" }] }, { path: "b", edits: [{ find, replace: "y" }] }]
        })
      const missing = yield* edit("z")
      assert.isTrue(missing.isFailure)
      assert.deepStrictEqual(missing.result, {
        error: "file_error",
        message:
          "b: nothing matches. Correct the call. Nothing was changed. Read the file again and copy the text exactly, " +
          "with its whitespace.",
        retry: "never"
      })
      const many = yield* edit("x")
      assert.include(many.result.message, "b: 2 places match.")
      assert.include(many.result.message, "Give more of the lines around it, or all: true")
      assert.deepStrictEqual([files.get("a"), files.get("b")], ["one", "x x"])
    }).pipe(t.inWorld))

  it.effect("names what was changed already when a later file fails", () =>
    Effect.gen(function*() {
      const call = yield* over({
        edit: () => new FileError({ path: "b", reason: "noSpace", detail: "no space is left", changed: ["a"] })
      })
      const { result } = yield* call("edit_files", { files: [{ path: "b", edits: [{ find: "x", replace: "y" }] }] })
      assert.strictEqual(result.message, "b: no space is left. Already changed: a. Correct the call.")
    }))

  it.effect.each([
    { files: [] },
    { files: [{ path: "a", edits: [] }] },
    { files: [{ path: "a", edits: [{ find: "", replace: "x" }] }] }
  ])("an edit of nothing is refused before anything is dialed: %j", (args) =>
    Effect.gen(function*() {
      const { call, world } = yield* t.running
      const [{ result }, { dials }] = yield* world.counted(call("edit_files", args))
      assert.deepInclude(result, { error: "invalid_arguments", retry: "never" })
      assert.strictEqual(dials, 0)
    }).pipe(t.inWorld))
})

describe("a change whose outcome is not known", () => {
  const after = Duration.seconds(30)
  const operationId = Ids.OperationId.make("op")
  const edits = { files: [{ path: "a", edits: [{ find: "x", replace: "y" }] }] }
  const cases: ReadonlyArray<readonly [string, unknown, FilesError]> = [
    ["write_file", { path: "a", content: "" }, new CallInterrupted({ agentId, operationId, sent: "mayHaveRun" })],
    ["write_file", { path: "a", content: "" }, new CallTimedOut({ agentId, operationId, sent: "mayHaveRun", after })],
    ["edit_files", edits, new CallInterrupted({ agentId, operationId, sent: "mayHaveRun" })]
  ]

  it.effect.each(cases)(
    "is looked for in the file, not in a process: %s",
    ([tool, args, error]) =>
      Effect.gen(function*() {
        const call = yield* over({ write: () => Effect.fail(error), edit: () => Effect.fail(error) })
        const { result } = yield* call(tool, args)
        assert.include(result.message, "Read the file to see whether it took effect before you repeat the call.")
        assert.notInclude(result.message, "process_output")
        assert.strictEqual(result.retry, "never")
      })
  )

  it.effect("and one that was not sent may be repeated", () =>
    Effect.gen(function*() {
      const call = yield* over({ write: () => new CallInterrupted({ agentId, operationId, sent: "notSent" }) })
      const { result } = yield* call("write_file", { path: "a", content: "" })
      assert.deepInclude(result, { error: "call_interrupted", retry: "now-once" })
      assert.include(result.message, "it did not run. Repeat the call once.")
    }))
})

it.effect("a stopped workspace is said, in the words of the chat", () =>
  Effect.gen(function*() {
    const { call, world } = yield* t.running
    yield* world.stopped(t.chatId)
    for (
      const [tool, args] of [
        ["read_file", { path: "a" }],
        ["write_file", { path: "a", content: "" }],
        ["edit_files", { files: [{ path: "a", edits: [{ find: "x", replace: "y" }] }] }]
      ] as const
    ) {
      const { result } = yield* call(tool, args)
      assert.deepInclude(result, { error: "no_workspace_agent", retry: "after-recovery" })
      assert.include(result.message, "ask the user to start the workspace")
    }
  }).pipe(t.inWorld))
