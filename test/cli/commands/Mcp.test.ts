import { assert, describe, it } from "@effect/vitest"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { TestBuilds, TestWorkspaces } from "../../../src/testing/index.ts"
import * as t from "../../http/support/mcp.ts"
import { assertClear, run, until } from "../support/commandLine.ts"

const alone = { timeout: 120_000 }

const main = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url))

/** The command as a program that speaks MCP starts it. */
const bridge = (base: string) =>
  new StdioClientTransport({
    command: process.execPath,
    args: [main, "mcp", "--chat", t.chatId, "--url", `${base}/`],
    env: { API_TOKEN: t.token },
    stderr: "pipe"
  })

const slow = { command: "sleep 1000", timeout: 1000 }

describe("chat-workspace mcp", () => {
  it.live(
    "gives the official client the tools of the chat, with failures, progress and cancellation",
    () =>
      Effect.gen(function*() {
        const world = yield* TestWorkspaces.TestWorkspaces
        yield* world.running(t.chatId)
        const begun = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<void>()
        const release = yield* Deferred.make<void>()
        yield* world.onExecute(({ argv }) =>
          argv.at(-1) === slow.command
            ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
            )
            : Effect.as(Deferred.await(release), { stdout: argv.at(-1) })
        )
        const transport = bridge(yield* t.serve({ progress: "10 millis" }))
        const client = yield* t.client(transport)
        const unexpected: Array<Error> = []
        Object.assign(client, { onerror: (error: Error) => unexpected.push(error) })
        const { tools } = yield* Effect.promise(() => client.listTools())
        assert.includeMembers(tools.map(({ name }) => name), ["create_workspace", "execute"])

        let heard = 0
        const answers = yield* Effect.forEach(["one", "two"], (command) =>
          t.call(client, "execute", { command }, {
            onprogress: () => {
              if (++heard === 4) Deferred.doneUnsafe(release, Effect.void)
            }
          }), { concurrency: "unbounded" })
        assert.deepStrictEqual(answers.map(({ said }) => said.output), ["one", "two"])
        const missing = yield* t.call(client, "read_file", { path: "nowhere" })
        assert.deepInclude(missing.said, { error: "file_error" })
        assert.include((yield* Effect.flip(t.call(client, "format_disk"))).message, "format_disk")

        const call = yield* Effect.forkChild(t.call(client, "execute", slow))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(call)
        yield* Deferred.await(ended)
        yield* t.call(client, "list_templates")
        // An answer to what was canceled would be one of them.
        assert.deepStrictEqual(unexpected, [])
        assert.notInclude(readFileSync(`/proc/${transport.pid}/cmdline`, "utf8"), t.token)
      }).pipe(Effect.scoped, TestBuilds.provide),
    alone
  )

  it.live(
    "goes on in another session where the server forgot the first, and says so when the server is gone",
    () =>
      Effect.gen(function*() {
        const world = yield* TestWorkspaces.TestWorkspaces
        yield* world.running(t.chatId)
        const begun = yield* Deferred.make<void>()
        yield* world.onExecute(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        const server = yield* Scope.make()
        const base = yield* Scope.provide(t.serve({ sessionsPerOwner: 1 }), server)
        const client = yield* t.client(bridge(base))
        // Its own session is ended for this one.
        yield* t.post(t.endpointOf(base), t.initialize())
        const both = yield* Effect.all([t.call(client, "process_list"), t.call(client, "process_list")], {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(both.map(({ isError }) => isError), [false, false])

        const call = yield* Effect.forkChild(Effect.flip(t.call(client, "execute", slow)))
        yield* Deferred.await(begun)
        yield* Scope.close(server, Exit.void)
        assert.match((yield* Fiber.join(call)).message, /went away|cannot be reached|status 503/)
        assert.include((yield* Effect.flip(t.call(client, "process_list"))).message, "cannot be reached")
      }).pipe(Effect.scoped, TestBuilds.provide),
    alone
  )

  it.live("ends with its input, and its session with it", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(t.chatId)
      const begun = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      yield* world.onExecute(() =>
        Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
        )
      )
      const methods: Array<string> = []
      const base = yield* t.serve({ methods })
      const client = yield* t.client(bridge(base))
      yield* Effect.forkChild(Effect.ignore(t.call(client, "execute", slow)))
      yield* Deferred.await(begun)
      yield* Effect.promise(() => client.close())
      yield* Deferred.await(ended)
      yield* until("the session is ended", () => methods.at(-1) === "DELETE" || undefined)
      // Without input it looks once and is done.
      const { code, stderr, stdout } = yield* run(["mcp", "--chat", t.chatId, "--url", base], {
        env: { API_TOKEN: t.token }
      })
      assert.deepStrictEqual([code, stdout, stderr], [0, "", ""])
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live(
    "says what is missing: the server, the right token, the chat, or a token at all",
    () =>
      Effect.gen(function*() {
        const base = yield* t.serve()
        const refused = (chat: string, url: string, env: Record<string, string>) =>
          run(["mcp", "--chat", chat, "--url", url], { env })
        const [nobody, stranger, foreign, tokenless] = yield* Effect.all([
          refused(t.chatId, "http://127.0.0.1:1", { API_TOKEN: t.token }),
          refused(t.chatId, base, { API_TOKEN: "wrong-hunter2" }),
          refused(t.foreignChat, base, { API_TOKEN: t.token }),
          refused(t.chatId, base, {})
        ], { concurrency: 2 })
        assertClear(nobody.stderr, "cannot be reached", "chat-workspace serve")
        assertClear(stranger.stderr, "no valid token")
        assertClear(foreign.stderr, "no such chat")
        assertClear(tokenless.stderr, ".chat-workspace/token", "API_TOKEN")
        for (const { code, stdout } of [nobody, stranger, foreign, tokenless]) {
          assert.deepStrictEqual([code, stdout], [1, ""])
        }
      }).pipe(Effect.scoped, TestBuilds.provide),
    alone
  )
})
