/** The real program in a workspace with MCP servers, called through the gateway. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import type { Scope } from "effect"
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import type { AgentConnection, Mcp } from "../../src/agent/index.ts"
import { isAlive } from "./program/TestAgent.ts"
import * as h from "./support/harness.ts"
import { cuttable } from "./support/proxy.ts"

const live = (name: string, test: () => Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(name, () => test().pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])), 60_000)
}

const fixture = fileURLToPath(new URL("./fixtures/mcp/server.mjs", import.meta.url))

const official = (name: string): string =>
  createRequire(import.meta.url).resolve(`@modelcontextprotocol/server-${name}/dist/index.js`)

type Entries = Readonly<Record<string, unknown>>

const node = (...args: ReadonlyArray<string>) => ({ command: process.execPath, args })

/** A gateway, the program behind a proxy that can cut its link, and a connection. The notes of a server are in `notes`. */
const connected = Effect.fnUntraced(function*(
  entries: (place: { readonly notes: (name: string) => string; readonly folder: string }) => Entries,
  env?: Readonly<Record<string, string>>
) {
  const server = yield* h.start()
  const proxy = yield* cuttable(server.port)
  const enrolled = yield* h.enroll()
  const program = yield* h.startProgram(proxy.port, enrolled.token, { CW_AGENT_KILL_AFTER: "300 millis", ...env })
  const folder = program.directory
  const notes = (name: string): string => Path.join(folder, `${name}.notes`)
  const write = (entries: Entries): void =>
    writeFileSync(Path.join(folder, ".mcp.json"), JSON.stringify({ mcpServers: entries }))
  const heard = (name: string): ReadonlyArray<string> =>
    existsSync(notes(name)) ? readFileSync(notes(name), "utf8").trim().split("\n") : []
  const pids = (name: string): ReadonlyArray<number> =>
    heard(name).flatMap((line) => line.startsWith("start ") ? [Number(line.slice(6))] : [])
  const kill = (file: string): void => {
    if (!file.endsWith(".notes")) return
    for (const pid of pids(file.slice(0, -".notes".length)).filter(isAlive)) process.kill(pid, "SIGKILL")
  }
  write(entries({ notes, folder }))
  // A program that is killed at the end of a test leaves those that do not end with their input.
  yield* Effect.addFinalizer(() => Effect.sync(() => readdirSync(folder).forEach(kill)))
  const connection = yield* server.transport.dial(enrolled.agentId).pipe(Effect.timeout("15 seconds"))
  return {
    ...server,
    ...enrolled,
    proxy,
    program,
    folder,
    write,
    heard,
    pids,
    notes,
    connection,
    mcp: mcpOf(connection)
  }
})

const mcpOf = ({ mcp }: AgentConnection.AgentConnection): AgentConnection.Mcp => {
  if (mcp === undefined) throw new Error("a connection of the gateway without servers")
  return mcp
}

const brief = ({ servers }: Mcp.McpListing) =>
  servers.map(({ name, reason, state, tools }) => ({ name, state, reason, tools: tools.length }))

const textOf = ({ content }: Mcp.McpCallResult): string =>
  content.map((piece) => piece._tag === "Text" ? piece.text : piece._tag).join("")

describe("the workspace's MCP servers", () => {
  live("server-everything and server-filesystem are listed and called", () =>
    Effect.gen(function*() {
      const { folder, mcp } = yield* connected(({ folder }) => ({
        everything: node(official("everything")),
        files: node(official("filesystem"), folder)
      }))
      const { reason, servers } = yield* mcp.tools({ wait: "30 seconds" })
      assert.isNull(reason)
      assert.deepStrictEqual(servers.map(({ name, state }) => [name, state]), [
        ["everything", "ready"],
        ["files", "ready"]
      ])
      const [everything, files] = servers
      assert.isTrue(
        everything?.tools.some(({ inputSchema, name }) => name === "echo" && inputSchema["type"] === "object")
      )
      assert.isTrue(files?.tools.some(({ name, readOnly }) => name === "list_directory" && readOnly))
      const echo = yield* mcp.call({ server: "everything", tool: "echo", arguments: { message: "grüße" } })
      assert.include(textOf(echo), "grüße")
      assert.isFalse(echo.isError)
      writeFileSync(Path.join(folder, "hello.txt"), "from the workspace")
      const read = yield* mcp.call({
        server: "files",
        tool: "read_text_file",
        arguments: { path: Path.join(folder, "hello.txt") }
      })
      assert.include(textOf(read), "from the workspace")
      const denied = yield* mcp.call({ server: "files", tool: "read_text_file", arguments: { path: "/etc/passwd" } })
      assert.isTrue(denied.isError)
      assert.include(textOf(denied), "denied")
      const image = yield* mcp.call({ server: "everything", tool: "get-tiny-image", arguments: {} })
      assert.isTrue(image.content.some((piece) => piece._tag === "Image" && piece.bytes.length > 100))
    }))

  live("a server that is slow, broken or odd hides no other, and each says why", () =>
    Effect.gen(function*() {
      const { mcp } = yield* connected(({ notes }) => ({
        crashes: node(fixture, "crashes"),
        empty: node(fixture, "empty"),
        garbage: node(fixture, "garbage"),
        hangs: node(fixture, "hangs"),
        missing: { command: "no-such-program" },
        nonsense: { command: 7 },
        old: node(fixture, "old"),
        plain: node(fixture, "plain", notes("plain")),
        stranger: node(fixture, "stranger"),
        toolless: node(fixture, "toolless")
      }), { CW_AGENT_MCP_HANDSHAKE: "5 minutes", CW_AGENT_MCP_BACKOFF_BASE: "60 seconds" })
      const listing = yield* mcp.tools({ wait: "2 seconds" }).pipe(
        Effect.repeat({ until: ({ servers }) => servers.filter(({ state }) => state === "starting").length === 1 }),
        Effect.timeout("40 seconds")
      )
      assert.deepStrictEqual(brief(listing), [
        { name: "crashes", state: "failed", reason: "it exited with code 3", tools: 0 },
        { name: "empty", state: "ready", reason: null, tools: 0 },
        { name: "garbage", state: "ready", reason: null, tools: 7 },
        { name: "hangs", state: "starting", reason: "it has not answered yet", tools: 0 },
        { name: "missing", state: "failed", reason: "its command cannot be run: not found in PATH", tools: 0 },
        {
          name: "nonsense",
          state: "failed",
          reason: "its entry needs a command, args as a list of texts and env as texts",
          tools: 0
        },
        { name: "old", state: "ready", reason: null, tools: 7 },
        { name: "plain", state: "ready", reason: null, tools: 7 },
        { name: "stranger", state: "failed", reason: "it speaks another revision of the protocol", tools: 0 },
        { name: "toolless", state: "ready", reason: null, tools: 0 }
      ])
    }))

  live("calls: result, error of the tool, refusal, end of the server, what is not there", () =>
    Effect.gen(function*() {
      const { mcp } = yield* connected(() => ({ plain: node(fixture, "plain") }), {
        CW_AGENT_MCP_BACKOFF_BASE: "60 seconds"
      })
      // Without a list before: the server is started for the call.
      const echo = yield* mcp.call({ server: "plain", tool: "echo", arguments: { a: [1, null, { b: true }] } })
      assert.deepStrictEqual(echo, {
        content: [{ _tag: "Text", text: "{\"a\":[1,null,{\"b\":true}]}" }],
        structured: { a: [1, null, { b: true }] },
        isError: false,
        truncated: false
      })
      const failed = yield* mcp.call({ server: "plain", tool: "fails", arguments: {} })
      assert.deepStrictEqual([failed.isError, textOf(failed)], [true, "it did not work"])
      const refusal = (server: string, tool: string) =>
        Effect.map(Effect.flip(mcp.call({ server, tool, arguments: {} })), (error) =>
          error._tag === "McpRefused" ? [error.reason, error.detail] : [error._tag])
      assert.deepStrictEqual(yield* refusal("plain", "refuses"), ["refused", "these arguments are wrong"])
      assert.deepStrictEqual(yield* refusal("plain", "no-such-tool"), ["noTool", null])
      assert.deepStrictEqual(yield* refusal("no-such-server", "echo"), ["noServer", null])
      assert.deepStrictEqual(yield* refusal("plain", "dies"), ["ended", "it exited with code 7"])
      assert.deepStrictEqual(yield* refusal("plain", "echo"), ["notRunning", "it exited with code 7"])
      const large = yield* Effect.flip(
        mcp.call({ server: "plain", tool: "echo", arguments: { text: "x".repeat(2 ** 20) } })
      )
      assert.strictEqual(large._tag === "McpRefused" ? large.reason : large._tag, "tooLarge")
    }))

  live("a result of 10 MB is cut, and the connection goes on", () =>
    Effect.gen(function*() {
      const { connection, mcp } = yield* connected(() => ({ plain: node(fixture, "plain") }))
      const huge = yield* mcp.call({ server: "plain", tool: "huge", arguments: {} })
      assert.isTrue(huge.truncated)
      assert.isAbove(Buffer.byteLength(textOf(huge)), 200 * 1024)
      assert.isAtMost(Buffer.byteLength(textOf(huge)), 256 * 1024)
      assert.strictEqual(connection.liveness(), "live")
    }))

  live(
    "a server sees of the agent's environment what it needs to run, and what its entry gives it",
    () =>
      Effect.gen(function*() {
        const { mcp } = yield* connected(
          () => ({ plain: { ...node(fixture, "plain"), env: { API_KEY: "of the file" } } }),
          { HOME: "/somewhere", SECRET: "of the agent" }
        )
        const { content } = yield* mcp.call({ server: "plain", tool: "env", arguments: {} })
        const [piece] = content
        const env: Record<string, string> = JSON.parse(piece?._tag === "Text" ? piece.text : "{}")
        // Added by the shell that becomes the server.
        for (const name of ["PWD", "OLDPWD", "SHLVL", "_"]) delete env[name]
        assert.deepStrictEqual(env, { PATH: process.env["PATH"] ?? "", HOME: "/somewhere", API_KEY: "of the file" })
      })
  )

  live("a message that is larger than any may be ends its server, and only that", () =>
    Effect.gen(function*() {
      const { mcp } = yield* connected(() => ({ other: node(fixture, "plain"), plain: node(fixture, "plain") }), {
        CW_AGENT_MCP_MESSAGE_BYTES: "100000"
      })
      const error = yield* Effect.flip(
        mcp.call({ server: "plain", tool: "huge", arguments: {}, timeout: "20 seconds" })
      )
      assert.deepInclude(error, { reason: "ended", detail: "it sent a message of more than 100000 bytes" })
      yield* mcp.call({ server: "other", tool: "echo", arguments: {} })
    }))

  live("a call that is given up, or whose time is over, is canceled at the server", () =>
    Effect.gen(function*() {
      const { heard, mcp } = yield* connected(({ notes }) => ({ plain: node(fixture, "plain", notes("plain")) }))
      yield* mcp.tools({ wait: "20 seconds" })
      const calls = (method: string) => heard("plain").filter((line) => line === method).length
      const timedOut = yield* Effect.flip(
        mcp.call({ server: "plain", tool: "slow", arguments: {}, timeout: "500 millis" })
      )
      assert.strictEqual(timedOut._tag, "CallTimedOut")
      yield* h.until(() => calls("notifications/cancelled") === 1)
      const given = yield* Effect.forkChild(mcp.call({ server: "plain", tool: "slow", arguments: {} }))
      yield* h.until(() => calls("tools/call") === 2)
      yield* Fiber.interrupt(given)
      yield* h.until(() => calls("notifications/cancelled") === 2)
    }))

  live(
    "over a lost link a list is asked for again, a call is reported as one that may have run",
    () =>
      Effect.gen(function*() {
        const { heard, mcp, proxy } = yield* connected(({ notes }) => ({
          hangs: node(fixture, "hangs", notes("hangs")),
          plain: node(fixture, "plain", notes("plain"))
        }))
        const calls = () => heard("plain").filter((line) => line === "tools/call").length
        yield* mcp.call({ server: "plain", tool: "echo", arguments: {} })
        const listing = yield* Effect.forkChild(mcp.tools({ wait: "2 seconds" }))
        yield* h.until(() => heard("hangs").includes("initialize"), "20 seconds")
        yield* proxy.cut(true)
        assert.deepStrictEqual(brief(yield* Fiber.join(listing)), [
          { name: "hangs", state: "starting", reason: "it has not answered yet", tools: 0 },
          { name: "plain", state: "ready", reason: null, tools: 7 }
        ])
        const call = yield* Effect.forkChild(Effect.flip(mcp.call({ server: "plain", tool: "slow", arguments: {} })))
        yield* h.until(() => calls() === 2)
        yield* proxy.cut(true)
        const error = yield* Fiber.join(call)
        assert.deepInclude(error, { _tag: "CallInterrupted", sent: "mayHaveRun" })
        yield* h.until(() => heard("plain").includes("notifications/cancelled"))
        assert.strictEqual(calls(), 2)
      })
  )

  live(
    "a changed file is noticed at the next list: servers are begun anew, ended, and left alone",
    () =>
      Effect.gen(function*() {
        const { mcp, notes, pids, write } = yield* connected(({ notes }) => ({
          changed: node(fixture, "plain", notes("changed")),
          gone: node(fixture, "plain", notes("gone")),
          same: node(fixture, "plain", notes("same"))
        }))
        yield* mcp.tools({ wait: "20 seconds" })
        write({
          changed: node(fixture, "empty", notes("changed")),
          more: node(fixture, "plain", notes("more")),
          same: node(fixture, "plain", notes("same"))
        })
        assert.deepStrictEqual(
          brief(yield* mcp.tools({ wait: "20 seconds" })).map(({ name, tools }) => [name, tools]),
          [["changed", 0], ["more", 7], ["same", 7]]
        )
        assert.deepStrictEqual(["changed", "gone", "more", "same"].map((name) => pids(name).map(isAlive)), [
          [false, true],
          [false],
          [true],
          [true]
        ])
      })
  )

  live("what a server says on stderr is kept for an operator and told to nobody", () =>
    Effect.gen(function*() {
      const { folder, mcp, write } = yield* connected(() => ({ "a/b": node(fixture, "talks") }))
      const listing = yield* mcp.tools({ wait: "20 seconds" })
      assert.notInclude(JSON.stringify(listing), "password")
      write({})
      assert.deepStrictEqual(yield* mcp.tools(), { servers: [], reason: null })
      const state = Path.join(folder, ".state")
      const [log] = readdirSync(state).filter((name) => name.endsWith(".log"))
      assert.match(log ?? "", /^mcp-a_b-[0-9a-f]{8}\.log$/)
      assert.strictEqual(readFileSync(Path.join(state, log ?? ""), "utf8"), "the password is 12345\n")
      assert.strictEqual(statSync(Path.join(state, log ?? "")).mode & 0o777, 0o600)
    }))

  live("the agent's end is the end of its servers, also of those that do not listen", () =>
    Effect.gen(function*() {
      const { heard, mcp, pids, program } = yield* connected(({ notes }) => ({
        plain: node(fixture, "plain", notes("plain")),
        shell: {
          command: "sh",
          args: ["-c", `"$0" "$@" & wait`, process.execPath, fixture, "stubborn", notes("shell")]
        },
        stubborn: node(fixture, "stubborn", notes("stubborn"))
      }))
      // The shell's child reads from nothing: it never answers.
      yield* mcp.tools({ wait: "1 second" })
      yield* h.until(() => ["plain", "shell", "stubborn"].every((name) => pids(name).length === 1), "20 seconds")
      const all = ["plain", "shell", "stubborn"].flatMap(pids)
      yield* program.kill("SIGTERM")
      assert.strictEqual(yield* program.exited, 0)
      yield* h.until(() => !all.some(isAlive))
      assert.include(heard("stubborn"), "TERM")
    }))

  live("killed, it leaves servers that its next incarnation ends", () =>
    Effect.gen(function*() {
      const { mcp, pids, program } = yield* connected(({ notes }) => ({
        stubborn: node(fixture, "stubborn", notes("stubborn"))
      }))
      yield* mcp.tools({ wait: "20 seconds" })
      yield* program.kill("SIGKILL")
      yield* program.exited
      assert.deepStrictEqual(pids("stubborn").map(isAlive), [true])
      yield* program.restart
      yield* h.until(() => !pids("stubborn").some(isAlive), "20 seconds")
      assert.deepStrictEqual(brief(yield* mcp.tools({ wait: "20 seconds" })).map(({ state }) => state), ["ready"])
    }))
})
