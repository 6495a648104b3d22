import { assert, describe, it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Progress } from "@modelcontextprotocol/sdk/types.js"
import { Deferred, Effect, Fiber, Logger } from "effect"
import { connect } from "node:net"
import { StoreError } from "../../src/domain/Errors.ts"
import { ChatId } from "../../src/domain/Ids.ts"
import { TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { LifecycleTools } from "../../src/tool/LifecycleTools.ts"
import * as t from "./support/mcp.ts"

const alone = { timeout: 20_000 }

const bearer = { authorization: `Bearer ${t.token}` }

/** A running workspace, and the endpoint of its chat. */
const served = Effect.fnUntraced(function*(options?: t.Options) {
  const world = yield* TestWorkspaces.TestWorkspaces
  yield* world.running(t.chatId)
  const base = yield* t.serve(options)
  return { world, base, url: t.endpointOf(base) }
})

const running = Effect.fnUntraced(function*(options?: t.Options) {
  const { url, ...rest } = yield* served(options)
  return { ...rest, url, client: yield* t.client(t.overHttp(url)) }
})

/** Commands that run until the test ends them, or their call does. */
const commands = Effect.gen(function*() {
  const world = yield* TestWorkspaces.TestWorkspaces
  const begun = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<void>()
  yield* world.onExecute(() =>
    Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
      Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
    )
  )
  return { begun: Deferred.await(begun), ended: Deferred.await(ended) }
})

const slow = { command: "sleep 1000", timeout: 1000 }

const namesOf = (client: Client) =>
  Effect.map(Effect.promise(() => client.listTools()), ({ tools }) => tools.map(({ name }) => name))

/** A session without the official client. */
const session = Effect.fnUntraced(function*(url: string) {
  const response = yield* t.post(url, t.initialize())
  assert.strictEqual(response.status, 200)
  const id = response.headers.get("mcp-session-id") ?? ""
  assert.notStrictEqual(id, "")
  return { ...bearer, "mcp-session-id": id }
})

const list = { jsonrpc: "2.0", id: 2, method: "tools/list" }

const problemOf = Effect.fnUntraced(function*(response: Response) {
  assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
  const problem = JSON.parse(yield* Effect.promise(() => response.text()))
  assert.strictEqual(problem.status, response.status)
  return problem
})

describe("the official client, over HTTP", () => {
  it.live("lists the tools with what it needs to know of them", () =>
    Effect.gen(function*() {
      const { client } = yield* running()
      assert.strictEqual(client.getServerVersion()?.name, "chat-workspace")
      const { tools } = yield* Effect.promise(() => client.listTools())
      const execute = tools.find(({ name }) => name === "execute")
      assert.deepInclude(execute?.annotations, { readOnlyHint: false, destructiveHint: true, idempotentHint: false })
      assert.deepStrictEqual(execute?.inputSchema.required, ["command"])
      assert.include(execute?.outputSchema?.required ?? [], "exit_code")
      const read = tools.find(({ name }) => name === "read_file")
      assert.deepInclude(read?.annotations, { readOnlyHint: true, destructiveHint: false, idempotentHint: true })
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live(
    "calls tools, and reads failures, wrong arguments and unknown names as what they are",
    () =>
      Effect.gen(function*() {
        const { client, world } = yield* running()
        yield* world.onExecute(() => Effect.succeed({ stdout: "Linux\n" }))
        // It compares the result with the schema that the list gave it.
        yield* namesOf(client)
        const done = yield* t.call(client, "execute", { command: "uname" })
        assert.deepStrictEqual(done.structured, done.said)
        assert.deepInclude(done.said, { output: "Linux\n" })
        const missing = yield* t.call(client, "read_file", { path: "nowhere" })
        assert.deepInclude(missing, { isError: true, structured: undefined })
        assert.deepInclude(missing.said, { error: "file_error" })
        const wrong = yield* t.call(client, "execute", { command: 1 })
        assert.isTrue(wrong.isError)
        assert.include(wrong.said.message, "[\"command\"]")
        assert.include((yield* Effect.flip(t.call(client, "format_disk"))).message, "format_disk")
      }).pipe(Effect.scoped, TestBuilds.provide),
    alone
  )

  it.live("has the tools of the chat that its path names", () =>
    Effect.gen(function*() {
      const { base, client } = yield* running()
      assert.includeMembers(yield* namesOf(client), Object.keys(LifecycleTools.tools))
      const child = yield* t.client(t.overHttp(t.endpointOf(base, t.childChat)))
      const names = yield* namesOf(child)
      assert.include(names, "execute")
      assert.notIncludeMembers(names, Object.keys(LifecycleTools.tools))
      const other = yield* t.client(t.overHttp(t.endpointOf(base, t.otherChat)))
      const { said } = yield* t.call(other, "execute", { command: "ls" })
      assert.deepInclude(said, { error: "no_workspace" })
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("hears of the progress of a call that waits", () =>
    Effect.gen(function*() {
      const { client, world } = yield* running({ progress: "10 millis" })
      const end = yield* Deferred.make<void>()
      yield* world.onExecute(() => Effect.as(Deferred.await(end), { stdout: "done" }))
      const heard: Array<Progress> = []
      const done = yield* t.call(client, "execute", { command: "make" }, {
        onprogress: (progress) => {
          heard.push(progress)
          if (heard.length === 3) Deferred.doneUnsafe(end, Effect.void)
        }
      })
      assert.deepInclude(done.said, { output: "done" })
      assert.deepStrictEqual(heard.slice(0, 3).map(({ progress }) => progress), [1, 2, 3])
      assert.match(heard[0]?.message ?? "", /^execute, \d+ s$/)
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("ends a call by cancelling it", () =>
    Effect.gen(function*() {
      const { client } = yield* running()
      const { begun, ended } = yield* commands
      const call = yield* Effect.forkChild(t.call(client, "execute", slow))
      yield* begun
      yield* Fiber.interrupt(call)
      yield* ended
      assert.include(yield* namesOf(client), "execute")
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("ends a call by giving it up after its own time", () =>
    Effect.gen(function*() {
      const { client } = yield* running()
      const { ended } = yield* commands
      const error = yield* Effect.flip(t.call(client, "execute", slow, { timeout: 3000 }))
      assert.include(error.message, "timed out")
      yield* ended
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("has calls beside each other", () =>
    Effect.gen(function*() {
      const { client, world } = yield* running()
      const all = yield* Deferred.make<void>()
      let together = 0
      yield* world.onExecute(({ argv }) =>
        Effect.suspend(() => {
          if (++together === 8) Deferred.doneUnsafe(all, Effect.void)
          return Effect.as(Deferred.await(all), { stdout: argv.at(-1) })
        })
      )
      const commands = Array.from({ length: 8 }, (_, index) => `echo ${index}`)
      const answers = yield* Effect.forEach(commands, (command) => t.call(client, "execute", { command }), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answers.map(({ said }) => said.output), commands)
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("is told to wait when its owner has too many calls under way", () =>
    Effect.gen(function*() {
      const { client } = yield* running({ callsPerOwner: 1 })
      const { begun, ended } = yield* commands
      const call = yield* Effect.forkChild(t.call(client, "execute", slow))
      yield* begun
      assert.deepInclude((yield* t.call(client, "process_list")).said, { error: "too_many_calls" })
      yield* Fiber.interrupt(call)
      yield* ended
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("is refused with a wrong token", () =>
    Effect.gen(function*() {
      const { url } = yield* served()
      const error = yield* Effect.flip(Effect.tryPromise(async () => {
        const client = new (await import("@modelcontextprotocol/sdk/client/index.js")).Client({
          name: "test",
          version: "1"
        })
        await client.connect(t.overHttp(url, "wrong"))
      }))
      assert.match(String(error.cause), /401|Unauthorized/)
    }).pipe(Effect.scoped, TestBuilds.provide), alone)
})

describe("who is let in", () => {
  it.live("needs a token, before anything else is said", () =>
    Effect.gen(function*() {
      const { base, url } = yield* served()
      for (const address of [url, t.endpointOf(base, t.foreignChat)]) {
        for (const headers of [{}, { authorization: "Bearer" }, { authorization: "Bearer wrong" }]) {
          const response = yield* t.post(address, list, headers)
          assert.strictEqual(response.status, 401)
          assert.strictEqual(response.headers.get("www-authenticate"), "Bearer")
          assert.deepInclude(yield* problemOf(response), { code: "unauthenticated" })
        }
      }
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("somebody else's chat is no more there than one that is not", () =>
    Effect.gen(function*() {
      const { base } = yield* served()
      for (const chat of [t.foreignChat, ChatId.make("nowhere")]) {
        const response = yield* t.post(t.endpointOf(base, chat), t.initialize())
        assert.strictEqual(response.status, 404)
        const problem = yield* problemOf(response)
        assert.deepInclude(problem, { code: "not_found", detail: "There is no such chat." })
      }
      const long = yield* t.post(`${base}/chats/${"x".repeat(99)}%20/mcp`, t.initialize())
      assert.strictEqual(long.status, 404)
      assert.strictEqual(
        (yield* t.post(t.endpointOf(base), t.initialize(), {
          authorization: `Bearer ${t.strangersToken}`
        })).status,
        404
      )
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("a browser is not, unless its origin is allowed", () =>
    Effect.gen(function*() {
      const { url } = yield* served({ allowedOrigins: ["https://chat.example"] })
      const from = (origin: string) => t.post(url, t.initialize(), { ...bearer, origin })
      assert.strictEqual((yield* from("http://127.0.0.1:9")).status, 403)
      assert.strictEqual((yield* from("https://chat.example")).status, 200)
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("nobody, where something is broken, which is not told", () =>
    Effect.gen(function*() {
      const { url } = yield* served()
      const response = yield* t.post(url, t.initialize(), { authorization: `Bearer ${t.brokenToken}` })
      assert.strictEqual(response.status, 500)
      const problem = yield* problemOf(response)
      assert.deepInclude(problem, { code: "internal_error" })
      assert.notInclude(JSON.stringify(problem), "hunter2")
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("nobody, while it cannot be asked whose the chat is", () =>
    Effect.gen(function*() {
      const { url } = yield* served({ down: () => new StoreError({ operation: "chat", cause: new Error("hunter2") }) })
      const response = yield* t.post(url, t.initialize())
      assert.strictEqual(response.status, 503)
      const problem = yield* problemOf(response)
      assert.deepInclude(problem, { code: "store_error" })
      assert.notInclude(JSON.stringify(problem), "hunter2")
    }).pipe(Effect.scoped, TestBuilds.provide), alone)
})

describe("a session", () => {
  it.live(
    "is of its chat, its owner and nobody else, and lives through a database that does not answer",
    () =>
      Effect.gen(function*() {
        let down = false
        const { base, url } = yield* served({ down: () => down ? new StoreError({ operation: "chat" }) : undefined })
        const headers = yield* session(url)
        assert.strictEqual((yield* t.post(url, list, headers)).status, 200)
        assert.strictEqual((yield* t.post(t.endpointOf(base, t.otherChat), list, headers)).status, 404)
        const theirs = { ...headers, authorization: `Bearer ${t.strangersToken}` }
        assert.strictEqual((yield* t.post(url, list, theirs)).status, 404)
        const none = yield* t.post(url, list, { ...bearer, "mcp-session-id": "none" })
        assert.strictEqual(none.status, 404)
        assert.deepInclude(yield* problemOf(none), { code: "unknown_session" })
        down = true
        assert.strictEqual((yield* t.post(url, list, headers)).status, 200)
      }).pipe(Effect.scoped, TestBuilds.provide),
    alone
  )

  it.live("is ended by its client, with the calls in it", () =>
    Effect.gen(function*() {
      const { url } = yield* served()
      const { begun, ended } = yield* commands
      const headers = yield* session(url)
      const execute = { jsonrpc: "2.0", id: 3, method: "tools/call", params: { name: "execute", arguments: slow } }
      const call = yield* Effect.forkChild(t.post(url, execute, headers))
      yield* begun
      const end = () => Effect.promise(() => fetch(url, { method: "DELETE", headers }))
      assert.strictEqual((yield* end()).status, 204)
      yield* ended
      yield* Fiber.join(call)
      for (const response of [yield* t.post(url, list, headers), yield* end()]) {
        assert.strictEqual(response.status, 404)
        assert.deepInclude(yield* problemOf(response), { code: "unknown_session" })
      }
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("makes room for another of its owner", () => {
    const log: Array<unknown> = []
    return Effect.gen(function*() {
      const { url } = yield* served({ sessionsPerOwner: 1 })
      const first = yield* session(url)
      const second = yield* session(url)
      assert.strictEqual((yield* t.post(url, list, first)).status, 404)
      assert.strictEqual((yield* t.post(url, list, second)).status, 200)
      assert.deepStrictEqual(log, [])
    }).pipe(
      Effect.scoped,
      TestBuilds.provide,
      Effect.provide(Logger.layer([Logger.make(({ message }) => void log.push(message))]))
    )
  }, alone)

  it.live("is refused while all others of its owner are in use", () =>
    Effect.gen(function*() {
      const { client, url } = yield* running({ sessionsPerOwner: 1 })
      const { begun, ended } = yield* commands
      const call = yield* Effect.forkChild(t.call(client, "execute", slow))
      yield* begun
      const response = yield* t.post(url, t.initialize())
      assert.strictEqual(response.status, 429)
      assert.deepInclude(yield* problemOf(response), { code: "too_many_sessions", limit: 1 })
      yield* Fiber.interrupt(call)
      yield* ended
    }).pipe(Effect.scoped, TestBuilds.provide), alone)
})

describe("what comes over the wire", () => {
  it.live("a client that goes away ends its call", () =>
    Effect.gen(function*() {
      const { base, url } = yield* served()
      const { begun, ended } = yield* commands
      const headers = yield* session(url)
      const body = JSON.stringify({
        jsonrpc: "2.0",
        id: 3,
        method: "tools/call",
        params: { name: "execute", arguments: slow }
      })
      const socket = connect(Number(new URL(base).port), "127.0.0.1")
      socket.write([
        `POST ${new URL(url).pathname} HTTP/1.1`,
        "host: localhost",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        `authorization: ${headers.authorization}`,
        `mcp-session-id: ${headers["mcp-session-id"]}`,
        `content-length: ${body.length}`,
        "",
        body
      ].join("\r\n"))
      yield* begun
      socket.destroy()
      yield* ended
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("the newest revision needs no session", () =>
    Effect.gen(function*() {
      const { url } = yield* served()
      const response = yield* t.post(url, {
        ...list,
        params: {
          _meta: {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
            "io.modelcontextprotocol/clientCapabilities": {}
          }
        }
      }, { ...bearer, "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" })
      assert.strictEqual(response.status, 200)
      const { result } = JSON.parse(yield* Effect.promise(() => response.text()))
      assert.isAbove(result.tools.length, 10)
    }).pipe(Effect.scoped, TestBuilds.provide), alone)

  it.live("what is not the protocol is refused, and nothing else breaks", () =>
    Effect.gen(function*() {
      const { url } = yield* served()
      const headers = yield* session(url)
      const statusOf = (response: Effect.Effect<Response>) => Effect.map(response, ({ status }) => status)
      assert.strictEqual(yield* statusOf(t.post(url, list)), 400)
      assert.strictEqual(yield* statusOf(t.post(url, list, { ...headers, "content-type": "text/plain" })), 415)
      assert.strictEqual(yield* statusOf(t.post(url, list, { ...headers, accept: "text/html" })), 406)
      for (const method of ["GET", "PUT", "HEAD"]) {
        assert.strictEqual(yield* statusOf(Effect.promise(() => fetch(url, { method, headers }))), 405)
      }
      const large = JSON.stringify({ ...list, params: { cursor: "x".repeat(1024 * 1024) } })
      for (const body of ["{", "[]", "null", "{\"jsonrpc\":\"2.0\"}", large]) {
        const response = yield* t.post(url, body, headers)
        assert.isBelow(response.status, 500)
        assert.notInclude(yield* Effect.promise(() => response.text()), "\"result\"")
      }
      assert.strictEqual(yield* statusOf(t.post(url, list, headers)), 200)
    }).pipe(Effect.scoped, TestBuilds.provide), alone)
})
