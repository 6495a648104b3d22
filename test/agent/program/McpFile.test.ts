import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import * as McpFile from "../../../src/agent/program/McpFile.ts"
import * as TestAgent from "./TestAgent.ts"

const limit = 1000

const parsed = (mcpServers: unknown) => McpFile.parse(JSON.stringify({ mcpServers }))

const problemOf = (entry: unknown) => {
  const { entries: [found] } = parsed({ x: entry })
  return found?.spec._tag === "Unusable" ? found.spec.problem : found?.spec._tag
}

describe("McpFile", () => {
  it("names programs and addresses, in the order of their names", () => {
    assert.deepStrictEqual(
      parsed({
        z: { command: "npx", args: ["-y", "x"], env: { KEY: "value" }, disabled: false },
        y: { type: "stdio", command: "run" },
        x: { type: "http", url: "https://example.com/mcp", headers: { authorization: "secret" } },
        w: { type: "streamable-http", url: "http://127.0.0.1:1" },
        v: { url: "http://127.0.0.1:1/" }
      }),
      {
        entries: [
          { name: "v", spec: { _tag: "Http", url: "http://127.0.0.1:1/", headers: {} } },
          { name: "w", spec: { _tag: "Http", url: "http://127.0.0.1:1/", headers: {} } },
          { name: "x", spec: { _tag: "Http", url: "https://example.com/mcp", headers: { authorization: "secret" } } },
          { name: "y", spec: { _tag: "Stdio", command: "run", args: [], env: {} } },
          { name: "z", spec: { _tag: "Stdio", command: "npx", args: ["-y", "x"], env: { KEY: "value" } } }
        ],
        problem: null
      }
    )
  })

  it("takes an entry that cannot be used for a server with a problem, and says nothing of what it holds", () => {
    const needs = "its entry needs a command, args as a list of texts and env as texts"
    assert.strictEqual(problemOf("secret"), needs)
    assert.strictEqual(problemOf({ command: "" }), needs)
    assert.strictEqual(problemOf({ command: "x", env: { SECRET: 7 } }), needs)
    assert.strictEqual(problemOf({ type: "stdio", url: "http://x" }), needs)
    assert.strictEqual(problemOf({ type: "http" }), "its entry needs a url, and headers as texts")
    assert.strictEqual(problemOf({ url: "file:///etc/passwd" }), "its url is no http address")
    assert.strictEqual(problemOf({ url: "https://user:secret@x" }), "its url holds a user or a password")
    assert.strictEqual(problemOf({ type: "sse", url: "http://x" }), "its type of transport is not supported")
    assert.strictEqual(problemOf({ command: "x" }), "Stdio")
  })

  it("takes 16 servers with names that can be told", () => {
    const named = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`s${i}`, {}]))
    assert.strictEqual(parsed(named(16)).entries.length, 16)
    assert.isNull(parsed(named(16)).problem)
    const { entries, problem } = parsed({ ...named(18), "": {}, ["n".repeat(129)]: {} })
    assert.strictEqual(entries.length, 16)
    assert.strictEqual(
      problem,
      "2 servers over the limit of 16 are left out; 2 servers without a usable name are left out"
    )
  })

  it("is not JSON, or no file of servers", () => {
    const problem = ".mcp.json is not JSON with an object mcpServers"
    assert.deepStrictEqual(McpFile.parse("{"), { entries: [], problem })
    assert.deepStrictEqual(McpFile.parse("[]"), { entries: [], problem })
    assert.deepStrictEqual(McpFile.parse("{\"mcpServers\": []}"), { entries: [], problem })
    assert.deepStrictEqual(McpFile.parse("{}"), { entries: [], problem: null })
  })

  it.effect("is a regular file inside the folder, of no more bytes than the limit", () =>
    Effect.gen(function*() {
      const outside = yield* TestAgent.folder
      const folder = Path.join(outside, "folder")
      mkdirSync(folder)
      const read = Effect.map(McpFile.read(folder, limit), ({ entries, problem }) => problem ?? entries.length)
      const place = Effect.fnUntraced(function*(make: (path: string) => void) {
        const path = Path.join(folder, ".mcp.json")
        make(path)
        const said = yield* read
        yield* Effect.promise(() => import("node:fs/promises").then(({ rm }) => rm(path, { recursive: true })))
        return said
      })
      const text = JSON.stringify({ mcpServers: { x: { command: "x" } } })
      const filled = (size: number) => text + " ".repeat(size - text.length)
      assert.strictEqual(yield* read, 0)
      assert.strictEqual(yield* place((path) => writeFileSync(path, filled(limit))), 1)
      assert.strictEqual(
        yield* place((path) => writeFileSync(path, filled(limit + 1))),
        ".mcp.json cannot be read: it has more than 1000 bytes"
      )
      assert.strictEqual(yield* place((path) => mkdirSync(path)), ".mcp.json cannot be read: is a directory")
      writeFileSync(Path.join(folder, "inside.json"), text)
      assert.strictEqual(yield* place((path) => symlinkSync("inside.json", path)), 1)
      writeFileSync(Path.join(outside, "outside.json"), text)
      assert.strictEqual(
        yield* place((path) => symlinkSync("../outside.json", path)),
        ".mcp.json cannot be read: it is a link that leads out of the workspace's folder"
      )
      assert.strictEqual(
        yield* place((path) => symlinkSync("/dev/zero", path)),
        ".mcp.json cannot be read: it is a link that leads out of the workspace's folder"
      )
    }))
})
