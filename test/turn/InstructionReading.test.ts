import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as InstructionReading from "../../src/turn/InstructionReading.ts"
import * as TurnConfig from "../../src/turn/TurnConfig.ts"
import { chatId, hands, inWorld, open } from "./support/World.ts"

/** What is read of a workspace that holds these files. */
const reading = Effect.fnUntraced(function*(
  files: Readonly<Record<string, string>>,
  options: TurnConfig.Options = {}
) {
  const { transport, world } = yield* hands
  const { agentId } = yield* world.running(chatId)
  for (const [path, content] of Object.entries(files)) transport.files(agentId).set(path, content)
  const workspace = yield* open
  return yield* workspace.use((connection) => InstructionReading.read(connection, TurnConfig.make(options)))
})

const secret = "-----BEGIN OPENSSH PRIVATE KEY-----"

describe("instruction files that are read", () => {
  it.effect("are those named, in the order of the names", () =>
    Effect.gen(function*() {
      const read = yield* reading({
        ".github/copilot-instructions.md": "third",
        "AGENTS.md": "first",
        "CLAUDE.md": "second",
        "README.md": "not asked for"
      })
      assert.deepStrictEqual(read.map(({ path }) => path), [
        "AGENTS.md",
        "CLAUDE.md",
        ".github/copilot-instructions.md"
      ])
      assert.deepStrictEqual(read[2], {
        path: ".github/copilot-instructions.md",
        content: "third",
        size: 5,
        truncated: false
      })
    }).pipe(inWorld))

  it.effect("are not what a link leads to, and it is not even opened", () =>
    Effect.gen(function*() {
      const { inside } = yield* hands
      inside.types.set("AGENTS.md", "symlink")
      assert.deepStrictEqual(yield* reading({ "AGENTS.md": secret }), [])
      assert.deepStrictEqual(inside.reads, [])
    }).pipe(inWorld))

  it.effect("are not in a folder that is a link", () =>
    Effect.gen(function*() {
      const { inside } = yield* hands
      inside.types.set(".github", "symlink")
      assert.deepStrictEqual(yield* reading({ ".github/copilot-instructions.md": secret }), [])
      assert.deepStrictEqual(inside.reads, [])
    }).pipe(inWorld))

  it.effect("are no pipes, devices or folders", () =>
    Effect.gen(function*() {
      const { inside } = yield* hands
      inside.types.set("AGENTS.md", "other")
      assert.deepStrictEqual(yield* reading({ "AGENTS.md": "x", "CLAUDE.md/inner": "x" }), [])
      assert.deepStrictEqual(inside.reads, [])
    }).pipe(inWorld))

  it.effect("are inside the workspace folder, whatever the names say", () =>
    Effect.gen(function*() {
      const { inside } = yield* hands
      const names = ["/etc/key", "../key", "a/../../key", "./key", "a//key", "..\\key", ""]
      const files = Object.fromEntries(names.map((name) => [name, secret]))
      assert.deepStrictEqual(yield* reading(files, { instructionNames: names }), [])
      assert.deepStrictEqual(inside.reads, [])
    }).pipe(inWorld))

  it.effect("are texts with something in them", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* reading({ "AGENTS.md": "ELF\0\0", "CLAUDE.md": " \n" }), [])
    }).pipe(inWorld))

  it.effect("are whole up to the limit of one file, and cut between characters above it", () =>
    Effect.gen(function*() {
      const whole = yield* reading({ "AGENTS.md": "12345678" }, { instructionFileBytes: 8 })
      assert.deepStrictEqual(whole, [{ path: "AGENTS.md", content: "12345678", size: 8, truncated: false }])
      const cut = yield* reading({ "AGENTS.md": "1234567é" }, { instructionFileBytes: 8 })
      assert.deepStrictEqual(cut, [{ path: "AGENTS.md", content: "1234567", size: 9, truncated: true }])
    }).pipe(inWorld))

  it.effect("are together no more than their limit; what does not fit is at least named", () =>
    Effect.gen(function*() {
      const files = { "AGENTS.md": "1234", "CLAUDE.md": "5678", ".github/copilot-instructions.md": "9" }
      const contents = (limit: number) =>
        Effect.map(reading(files, { instructionBytes: limit }), (read) =>
          read.map(({ content, truncated }) => [content, truncated]))
      assert.deepStrictEqual(yield* contents(9), [["1234", false], ["5678", false], ["9", false]])
      assert.deepStrictEqual(yield* contents(8), [["1234", false], ["5678", false], ["", true]])
      assert.deepStrictEqual(yield* contents(6), [["1234", false], ["56", true], ["", true]])
    }).pipe(inWorld))

  it.effect("are at most so many", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 20 }, (_, index) => `${index}.md`)
      const files = Object.fromEntries(names.map((name) => [name, "x"]))
      const read = yield* reading(files, { instructionNames: names })
      assert.deepStrictEqual(read.map(({ path }) => path), names.slice(0, 16))
    }).pipe(inWorld))

  it.effect("are none of an agent that cannot tell a link from a file", () =>
    Effect.gen(function*() {
      const { world } = yield* hands
      yield* world.running(chatId)
      const error = yield* (yield* open).use((connection) =>
        InstructionReading.read({ ...connection, features: new Set(["run", "files"]) }, TurnConfig.defaults)
      ).pipe(Effect.flip)
      assert.strictEqual(error._tag, "Unsupported")
    }).pipe(inWorld))
})
