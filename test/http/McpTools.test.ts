import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, Queue, References, Schema, Tracer } from "effect"
import { type McpSchema, McpTest } from "effect/ai"
import { TestClock } from "effect/testing"
import { StoreError } from "../../src/domain/Errors.ts"
import * as McpConfig from "../../src/http/McpConfig.ts"
import * as McpTools from "../../src/http/McpTools.ts"
import { TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { ChatTools } from "../../src/tool/ChatTools.ts"
import { LifecycleTools } from "../../src/tool/LifecycleTools.ts"
import * as t from "./support/mcp.ts"

type Version = (typeof McpTools.server.protocols)[number]["protocolVersion"]

interface Options extends Partial<McpTools.McpChat> {
  readonly version?: Version | undefined
  readonly child?: boolean | undefined
}

/** A client of the chat's tools, without a transport. */
const connected = Effect.fnUntraced(function*(
  { admit = Effect.succeed(true), child, gone = Effect.never, open, version }: Options = {}
) {
  const world = yield* TestWorkspaces.TestWorkspaces
  const tools = yield* ChatTools
  const chat = { chatId: t.chatId, owner: TestWorkspaces.owner, child }
  const client = yield* McpTest.makeClient(McpTools.layer, {
    protocols: McpTools.server.protocols,
    protocolVersion: version
  }).pipe(Effect.provideService(McpTools.CurrentChat, { admit, gone, open: open ?? tools.open(chat) }))
  const call = (name: string, args: Record<string, unknown> = {}, progressToken?: string) =>
    client.callTool({ name, arguments: args, ...(progressToken === undefined ? {} : { _meta: { progressToken } }) })
      .pipe(Effect.map(read))
  const told = Effect.map(Queue.clear(client.notifications), (all) => all.map(progressOf))
  return { world, client, call, told }
})

const read = ({ content: [first], isError, structuredContent }: McpSchema.CallToolResult) => ({
  isError: isError === true,
  structured: structuredContent,
  said: first?.type === "text" ? JSON.parse(first.text) : undefined
})

const Progress = Schema.Struct({ progressToken: Schema.String, progress: Schema.Finite, message: Schema.String })

const progressOf = ({ method, payload }: McpSchema.ServerNotificationEncoded) => {
  assert.strictEqual(method, "notifications/progress")
  return Schema.decodeUnknownSync(Progress)(payload)
}

describe("the tools of a chat as an MCP server gives them", () => {
  it.effect.each(McpTools.server.protocols.map(({ protocolVersion }) => protocolVersion))(
    "are listed, called and refused in revision %s",
    (version) =>
      Effect.gen(function*() {
        const { call, client, world } = yield* connected({ version })
        yield* world.running(t.chatId)
        yield* world.onExecute(() => Effect.succeed({ stdout: "Linux\n" }))
        const { tools } = yield* client.listTools()
        assert.includeMembers(tools.map(({ name }) => name), ["create_workspace", "execute", "read_file"])
        const { isError, said } = yield* call("execute", { command: "uname" })
        assert.isFalse(isError)
        assert.deepInclude(said, { success: true, output: "Linux\n" })
        const missing = yield* call("read_file", { path: "nowhere" })
        assert.isTrue(missing.isError)
        assert.deepInclude(missing.said, { error: "file_error" })
        const unknown = yield* Effect.flip(call("format_disk"))
        assert.strictEqual(unknown.code, -32602)
        assert.include(unknown.message, "format_disk")
      }).pipe(Effect.scoped, TestBuilds.provide)
  )

  it.effect("a result is structured content and text, a failure the text that our own model reads", () =>
    Effect.gen(function*() {
      const { call, world } = yield* connected()
      const { plain } = yield* Effect.flatMap(
        ChatTools,
        ({ open }) => open({ chatId: t.chatId, owner: TestWorkspaces.owner })
      )
      yield* world.stopped(t.chatId)
      for (
        const [name, args] of [
          ["list_templates", {}],
          ["execute", { command: "ls" }],
          ["execute", { command: 1 }]
        ] as const
      ) {
        const tool = plain.find((tool) => tool.name === name)
        const expected = yield* Effect.promise(async () => JSON.parse(JSON.stringify(await tool?.execute(args))))
        const { isError, said, structured } = yield* call(name, args)
        assert.deepStrictEqual(said, expected)
        assert.strictEqual(isError, "error" in expected)
        assert.deepStrictEqual(structured, isError ? undefined : expected)
      }
    }).pipe(Effect.scoped, TestBuilds.provide))

  it.effect("a child does not have those on templates and builds, and cannot call them", () =>
    Effect.gen(function*() {
      const { call, client } = yield* connected({ child: true })
      const names = (yield* client.listTools()).tools.map(({ name }) => name)
      assert.include(names, "execute")
      for (const name of Object.keys(LifecycleTools.tools)) {
        assert.notInclude(names, name)
        assert.strictEqual((yield* Effect.flip(call(name, {}))).code, -32602)
      }
    }).pipe(Effect.scoped, TestBuilds.provide))

  it.effect("where the database does not answer, a call is told so as a failure and a list as an error", () =>
    Effect.gen(function*() {
      const { call, client } = yield* connected({
        open: Effect.fail(new StoreError({ operation: "binding", cause: new Error("password hunter2") }))
      })
      const { isError, said } = yield* call("execute", { command: "ls" })
      assert.isTrue(isError)
      assert.deepInclude(said, { error: "store_error", retry: "later" })
      const error = yield* Effect.flip(client.listTools())
      assert.include(error.message, "database")
      assert.notInclude(JSON.stringify([said, error]), "hunter2")
    }).pipe(Effect.scoped, TestBuilds.provide))

  it.effect("a defect behind a call says nothing of itself", () =>
    Effect.gen(function*() {
      const { call, world } = yield* connected()
      yield* world.running(t.chatId)
      yield* world.onExecute(() => Effect.die(new Error("hunter2")))
      const { isError, said } = yield* call("execute", { command: "ls" })
      assert.isTrue(isError)
      assert.deepInclude(said, { error: "internal" })
      assert.notInclude(said.message, "hunter2")
      const broken = yield* connected({ open: Effect.die(new Error("hunter2")) })
      const error = yield* Effect.flip(broken.call("execute", { command: "ls" }))
      assert.deepStrictEqual([error.code, error.message], [-32603, "Internal error"])
    }).pipe(Effect.scoped, TestBuilds.provide))

  it.effect("what a call was given and gave is on no span and in no word of the log", () => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const log: Array<unknown> = []
    const logger = Logger.make(({ cause, message }) => void log.push(message, String(cause)))
    return Effect.gen(function*() {
      const { call, world } = yield* connected()
      yield* world.running(t.chatId)
      yield* world.onExecute(() => Effect.succeed({ stdout: "secret-output" }))
      yield* call("execute", { command: "secret-command" }, "token-1")
      yield* call("write_file", { path: "notes", content: "secret-content" })
      yield* call("execute", { command: ["secret-argument"] })
      yield* Effect.ignore(call("secret-tool"))
      const told = [...spans.flatMap(({ attributes, events, name }) => [name, ...attributes, ...events]), ...log]
      assert.include(spans.map(({ name }) => name), "Tool.call")
      assert.notInclude(JSON.stringify(told), "secret-")
    }).pipe(
      Effect.scoped,
      TestBuilds.provide,
      Effect.withTracer(tracer),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "All")
    )
  })

  it.effect("one call too many is told to wait", () =>
    Effect.gen(function*() {
      const { call } = yield* connected({ admit: Effect.succeed(false) })
      const { isError, said } = yield* call("execute", { command: "ls" })
      assert.isTrue(isError)
      assert.deepInclude(said, { error: "too_many_calls", retry: "later" })
    }).pipe(Effect.scoped, TestBuilds.provide))
})

describe("the progress of a call", () => {
  /** A command that runs until it is told to end. */
  const waiting = Effect.fnUntraced(function*(token: string | undefined) {
    const { call, told, world } = yield* connected()
    yield* world.running(t.chatId)
    const begun = yield* Deferred.make<void>()
    const end = yield* Deferred.make<void>()
    yield* world.onExecute(() =>
      Effect.andThen(Deferred.succeed(begun, undefined), Effect.as(Deferred.await(end), { stdout: "done" }))
    )
    const fiber = yield* Effect.forkChild(call("execute", { command: "make", timeout: 60 }, token))
    yield* Deferred.await(begun)
    return { told, end: Effect.andThen(Deferred.succeed(end, undefined), Fiber.join(fiber)) }
  })

  it.effect("is told every few seconds to a client that gave a token, with growing numbers", () =>
    Effect.gen(function*() {
      const { end, told } = yield* waiting("token-1")
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(yield* told, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* told, [{ progressToken: "token-1", progress: 1, message: "execute, 5 s" }])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* told, [{ progressToken: "token-1", progress: 2, message: "execute, 10 s" }])
      assert.deepInclude((yield* end).said, { output: "done" })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* told, [])
    }).pipe(Effect.scoped, TestBuilds.provide))

  it.effect("is not told to one that gave none", () =>
    Effect.gen(function*() {
      const { end, told } = yield* waiting(undefined)
      yield* TestClock.adjust("20 seconds")
      yield* end
      assert.deepStrictEqual(yield* told, [])
    }).pipe(Effect.scoped, TestBuilds.provide))

  it.effect("of a build names each phase as it comes", () =>
    Effect.gen(function*() {
      const { call, told } = yield* connected()
      const builds = yield* TestBuilds.TestBuilds
      yield* builds.onBuild({ takes: "10 seconds", prints: ["pulling"] })
      yield* builds.onAgent({ comesAfter: "10 seconds", scriptsTake: "10 seconds" })
      const args = { template_id: TestWorkspaces.templateId }
      const fiber = yield* Effect.forkChild(call("create_workspace", args, "token-1"))
      yield* builds.untilBuilding(1)
      yield* TestClock.adjust("1 minute")
      const { said } = yield* Fiber.join(fiber)
      assert.deepInclude(said, { created: true })
      const messages = (yield* told).map(({ message, progress }, index) => {
        assert.strictEqual(progress, index + 1)
        return message.replace(/, \d+ s$/, "")
      })
      assert.deepStrictEqual(messages.filter((message, index) => message !== messages[index - 1]), [
        "start: builds",
        "start: waits for its agent",
        "start: waits for its start-up scripts"
      ])
    }).pipe(Effect.scoped, Effect.provide(McpConfig.layer({ progress: "1 hour" })), TestBuilds.provide))
})
