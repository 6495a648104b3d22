import { assert, describe, it } from "@effect/vitest"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import { Effect, Fiber } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { until } from "../cli/support/commandLine.ts"
import * as t from "./support/mcp.ts"

const program = fileURLToPath(new URL("./fixtures/mcp-stdio.ts", import.meta.url))

describe("the official client, over standard input and output", () => {
  it.live("lists and calls the tools of the chat, and ends a call by cancelling it", () =>
    Effect.gen(function*() {
      const transport = new StdioClientTransport({ command: process.execPath, args: [program], stderr: "pipe" })
      let log = ""
      transport.stderr?.on("data", (text) => (log += String(text)))
      const client = yield* t.client(transport)
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.includeMembers(tools.map(({ name }) => name), ["create_workspace", "execute", "read_file"])

      const done = yield* t.call(client, "execute", { command: "uname" })
      assert.deepInclude(done.said, { output: "uname" })
      assert.deepStrictEqual(done.structured, done.said)
      const missing = yield* t.call(client, "read_file", { path: "nowhere" })
      assert.isTrue(missing.isError)
      assert.deepInclude(missing.said, { error: "file_error" })
      assert.include((yield* Effect.flip(t.call(client, "format_disk"))).message, "format_disk")

      const call = yield* Effect.forkChild(t.call(client, "execute", { command: "hang", timeout: 1000 }))
      yield* until("the command runs", () => log.includes("it hangs") || undefined)
      yield* Fiber.interrupt(call)
      yield* until("the command was ended", () => log.includes("it was ended") || undefined)
      // What the process logs did not get between the messages.
      assert.include(log, "a word of the log")
      assert.deepInclude((yield* t.call(client, "execute", { command: "ls" })).said, { output: "ls" })
    }).pipe(Effect.scoped), { timeout: 60_000 })

  it.live("whose end of the input ends what it called, and the program", () =>
    Effect.gen(function*() {
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(process.execPath, [program], { stdio: ["pipe", "ignore", "pipe"] })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      let log = ""
      let ended = false
      child.stderr.on("data", (text) => (log += String(text)))
      child.once("exit", () => (ended = true))
      const call = { name: "execute", arguments: { command: "hang", timeout: 1000 } }
      for (
        const message of [
          t.initialize(),
          { jsonrpc: "2.0", method: "notifications/initialized" },
          { jsonrpc: "2.0", id: 2, method: "tools/call", params: call }
        ]
      ) child.stdin.write(`${JSON.stringify(message)}\n`)
      yield* until("the command runs", () => log.includes("it hangs") || undefined)
      child.stdin.end()
      yield* until("the program ends", () => ended || undefined)
      assert.include(log, "it was ended")
    }).pipe(Effect.scoped), { timeout: 60_000 })
})
