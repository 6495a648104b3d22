/** A whole server as a new user starts it: in an empty folder, with nothing configured, and a PostgreSQL of its own. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Predicate } from "effect"
import type { Scope } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import type { TurnMessage } from "../../src/domain/Turn.ts"
import * as ProcessFamily from "../../src/testing/ProcessFamily.ts"
import { eventsOf } from "../http/support/streams.ts"
import { assertAcceptable, outcomes } from "../turn/support/turns.ts"
import { type Ended, folder, get, run, serve, type Server, until } from "./support/commandLine.ts"

const alone = { timeout: 180_000 }

const root = fileURLToPath(new URL("../..", import.meta.url))

/** What the README tells a new user to type, for a server elsewhere. */
const curlLines = (server: Server): string => {
  const [, block = ""] = /```sh\n(api\(\) [^]*?)```/.exec(readFileSync(Path.join(root, "README.md"), "utf8")) ?? []
  assert.include(block, "http://127.0.0.1:4170/api")
  return block.replaceAll("http://127.0.0.1:4170/api", server.api)
}

const hasCurl = spawnSync("curl", ["--version"]).status === 0

const tokenFile = (cwd: string) => Path.join(cwd, ".chat-workspace", "token")

/** Requests with the token of the folder. */
const requests = (server: Server, cwd: string) => {
  const authorization = `Bearer ${readFileSync(tokenFile(cwd), "utf8").trim()}`
  const ask = (path: string, body?: unknown) =>
    Effect.promise(() =>
      fetch(`${server.api}${path}`, {
        headers: { authorization, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) })
      })
    )
  return {
    authorization,
    ask,
    /** What a message comes to, when its turn has ended. */
    say: (chat: string, messageId: string, text: string) =>
      Effect.flatMap(
        ask(`/chats/${chat}/messages`, { messageId, text }),
        (response) => Effect.map(Effect.promise(() => response.text()), eventsOf)
      ),
    history: (chat: string) =>
      Effect.flatMap(ask(`/chats/${chat}/messages`), (response) =>
        Effect.promise(async () => {
          const page = await response.json() as { readonly messages: ReadonlyArray<{ readonly message: TurnMessage }> }
          return page.messages.map(({ message }) => message)
        }))
  }
}

/** The processes of a command, wherever they are. */
const running = (command: string): ReadonlyArray<number> =>
  readdirSync("/proc").filter((name) =>
    /^\d+$/.test(name) && ProcessFamily.textOf(`/proc/${name}/cmdline`)?.replaceAll("\0", " ").trim() === command
  ).map(Number)

const postmaster = (cwd: string): number =>
  Number(
    readFileSync(Path.join(cwd, ".chat-workspace", "postgres", "data", "postmaster.pid"), "utf8").split("\n")[0]
  )

/** `npm start` in that folder. */
const npmStart = (
  cwd: string,
  options?: { readonly env?: Readonly<Record<string, string>>; readonly port?: string }
): Effect.Effect<Server, never, Scope.Scope> => {
  const { scripts } = JSON.parse(readFileSync(Path.join(root, "package.json"), "utf8"))
  assert.strictEqual(scripts.start, "node src/cli/main.ts serve")
  return serve({ cwd, ...options })
}

class Started extends Context.Service<Started, { readonly cwd: string; readonly server: Server }>()("test/Started") {}

const started = Layer.effect(
  Started,
  Effect.flatMap(folder, (cwd) => Effect.map(npmStart(cwd), (server) => Started.of({ cwd, server })))
)

layer(started, { excludeTestServices: true, timeout: "120 seconds" })("npm start with nothing configured", (it) => {
  it.effect("says where all is, what the token is and where it is kept, and what is no sandbox", () =>
    Effect.gen(function*() {
      const { cwd, server } = yield* Started
      const { stderr, stdout } = server.output()
      assert.strictEqual(stderr, "")
      assert.match(stdout, /^Workspaces +of local run on this host in \S+: this is no sandbox$/m)
      assert.match(stdout, /^Model +none: each message is run as a command/m)
      assert.notMatch(stdout, /^TLS/m)
      const token = readFileSync(tokenFile(cwd), "utf8").trim()
      assert.match(token, /^[\w-]{43}$/)
      assert.include(stdout, `${token}\n            is in .chat-workspace/token\n`)
      assert.strictEqual(statSync(tokenFile(cwd)).mode & 0o777, 0o600)
    }))

  it.effect.skipIf(!hasCurl)(
    "the lines of the README, with curl, make a chat and stream a turn whose command ran",
    () =>
      Effect.gen(function*() {
        const { cwd, server } = yield* Started
        const lines = curlLines(server)
        const { code, stderr, stdout } = yield* shell(lines, cwd)
        assert.deepStrictEqual([code, stderr], [0, ""])
        assert.match(stdout, /^\{"chatId":"first",[^\n]*\}/)
        const told = eventsOf(stdout.slice(stdout.indexOf("}") + 1)).map(({ data }) => data)
        assert.deepStrictEqual(told.at(-1), { _tag: "End", status: "done", reason: null })
        const ran = told.findLast((event) => Predicate.isTagged(event, "Result"))
        assert.include(JSON.stringify(ran), "Linux")
        const { text } = yield* get(`${server.operators}/explain/first`)
        const nodes = Array.from(text.matchAll(/ node ([\da-f-]{36})/g), ([, node]) => node)
        assert.isAtLeast(nodes.length, 3)
        assert.strictEqual(new Set(nodes).size, 1, "the node has several names")
      }),
    60_000
  )

  it.effect("leads to the documents, speaks MCP for a chat, and shows operators its status", () =>
    Effect.gen(function*() {
      const { cwd, server } = yield* Started
      const { ask, authorization } = requests(server, cwd)
      const front = yield* Effect.promise(() =>
        fetch(new URL("/", server.api), { signal: AbortSignal.timeout(10_000) })
      )
      assert.strictEqual(front.url, `${server.api}/docs`)
      assert.match(yield* Effect.promise(() => front.text()), /^\s*<!doctype html>/i)
      const document = JSON.parse((yield* get(`${server.api}/openapi.json`)).text)
      assert.deepStrictEqual(document.servers, [{ url: "/api" }])
      assert.containsAllKeys(document.paths, ["/chats", "/chats/{chatId}/messages"])
      assert.strictEqual((yield* get(`${server.api}/chats`)).status, 401)
      yield* ask("/chats", { chatId: "second" })
      const mcp = yield* Effect.promise(() =>
        fetch(`${server.api}/chats/second/mcp`, {
          method: "POST",
          headers: {
            authorization,
            accept: "application/json, text/event-stream",
            "content-type": "application/json"
          },
          body: JSON.stringify(initialize)
        })
      )
      assert.strictEqual(mcp.status, 200)
      assert.include(yield* Effect.promise(() => mcp.text()), "\"serverInfo\"")
      assert.match((yield* get(server.operators)).text, /^\s*<!doctype html>/i)
      assert.match((yield* get(`${server.operators}/metrics`)).text, /^chat_workspace_/m)
    }))

  it.effect("chat talks in it, with the token of the folder", () =>
    Effect.gen(function*() {
      const { cwd, server } = yield* Started
      const { code, stdout } = yield* run(["chat", "--url", server.api, "--chat", "third", "echo $((6 * 7))"], { cwd })
      assert.deepStrictEqual([code, stdout], [0, "Done. 42\n"])
    }), 60_000)
})

describe("npm start, ended by SIGTERM", () => {
  it.live(
    "under a turn whose command runs: it ends in time, leaves no process, and the next start goes on with the chat",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        // Time enough to ask it while its agents leave.
        const server = yield* npmStart(cwd, { env: { GATEWAY_MOVE_WITHIN: "10 seconds" } })
        const { ask, say } = requests(server, cwd)
        yield* ask("/chats", { chatId: "c" })
        const first = yield* say("c", "m1", "echo kept > file")
        assert.deepStrictEqual(first.at(-1)?.data, { _tag: "End", status: "done", reason: null })
        const database = postmaster(cwd)

        const command = "sleep 86399.25"
        const turn = yield* Effect.forkChild(say("c", "m2", command))
        yield* until("the command runs", () => running(command).length === 1 || undefined)
        yield* server.signal("SIGTERM")
        const told = yield* Effect.timeout(Fiber.join(turn), "30 seconds")
        assert.deepStrictEqual(told.at(-1)?.data, { _tag: "End", status: "interrupted", reason: "shutdown" })
        // While its agents leave it still answers.
        assert.strictEqual((yield* get(new URL("/readyz", server.api).href)).status, 503)
        const refused = yield* ask("/chats/c/messages", { messageId: "m3", text: "true" })
        assert.strictEqual(refused.status, 503)
        assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/)
        const { code } = yield* Effect.timeout(server.ended, "60 seconds")
        assert.strictEqual(code, 130)
        assert.isFalse(ProcessFamily.isRunning(database), "PostgreSQL outlived the server")
        yield* until("the command has ended", () => running(command).length === 0 || undefined)

        // Where its agents look for it.
        const next = yield* npmStart(cwd, { port: new URL(server.api).port })
        const token = readFileSync(tokenFile(cwd), "utf8").trim()
        assert.notInclude(next.output().stdout, token)
        assert.match(next.output().stdout, /^Token +is in \.chat-workspace\/token$/m)
        const later = requests(next, cwd)
        const third = yield* later.say("c", "m3", "cat file")
        assert.deepStrictEqual(third.at(-1)?.data, { _tag: "End", status: "done", reason: null })
        const history = yield* later.history("c")
        assertAcceptable(history)
        assert.strictEqual(outcomes(history).at(-2), "interrupted")
        assert.deepInclude(outcomes(history).at(-1), { success: true, output: "kept\n" })
      }),
    alone
  )

  it.live(
    "a second signal ends it at once, and PostgreSQL with it",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        // In order it would take half an hour.
        const server = yield* npmStart(cwd, { env: { GATEWAY_MOVE_WITHIN: "30 minutes" } })
        const { ask, say } = requests(server, cwd)
        yield* ask("/chats", { chatId: "c" })
        yield* say("c", "m1", "true")
        const database = postmaster(cwd)
        yield* server.signal("SIGTERM")
        yield* until("it shuts down", async () => {
          const { status } = await fetch(new URL("/readyz", server.api))
          return status === 503 || undefined
        })
        yield* server.signal("SIGTERM")
        const { code } = yield* Effect.timeout(server.ended, "30 seconds")
        assert.strictEqual(code, 130)
        yield* until("PostgreSQL has ended", () => !ProcessFamily.isRunning(database) || undefined)
      }),
    alone
  )
})

const initialize = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "test", version: "1" } }
}

/** Lines for a shell, in a folder. */
const shell = (lines: string, cwd: string) =>
  Effect.callback<Ended>((resume) => {
    const child = spawn("sh", ["-c", lines], { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 50_000 })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
    child.once("close", (code) => resume(Effect.succeed({ code, stdout, stderr })))
  })
