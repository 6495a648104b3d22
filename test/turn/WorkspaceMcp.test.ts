import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Metric, Option } from "effect"
import { Tool } from "effect/ai"
import { TestClock } from "effect/testing"
import type { Mcp } from "../../src/agent/index.ts"
import { CallInterrupted, McpRefused } from "../../src/domain/Errors.ts"
import type { McpRefusedReason } from "../../src/domain/Errors.ts"
import { AgentId, ChatId } from "../../src/domain/Ids.ts"
import { Chats } from "../../src/store/Chats.ts"
import { ScriptedStores, TestWorkspaces } from "../../src/testing/index.ts"
import { WorkspaceMcp } from "../../src/turn/WorkspaceMcp.ts"
import * as t from "../tool/support/calls.ts"
import { answered, chatId, costOf, hands, inWorld, inWorldWith, open, openOf, text } from "./support/World.ts"

const tool = (name: string, fields?: Partial<Mcp.McpTool>): Mcp.McpTool => ({
  name,
  description: `Does ${name}`,
  inputSchema: { type: "object", properties: { n: { type: "number" } } },
  readOnly: false,
  ...fields
})

const server = (name: string, tools: ReadonlyArray<Mcp.McpTool>, fields?: Partial<Mcp.McpServer>): Mcp.McpServer => ({
  name,
  state: "ready",
  reason: null,
  tools,
  ...fields
})

const listing = (...servers: ReadonlyArray<Mcp.McpServer>): Mcp.McpListing => ({ servers, reason: null })

const audience = { toolNames: ["execute", "start_workspace", "process_output"] }

/** Searches for a new turn of a chat; with what it cost. */
const turnOf = Effect.fnUntraced(function*(chat: ChatId) {
  const { world } = yield* hands
  const mcp = yield* WorkspaceMcp
  const workspace = yield* openOf(chat)
  const [found, counts] = yield* world.counted(mcp.discover({ workspace, audience }))
  return { ...found, names: Object.keys(found.toolkit.tools), cost: costOf(counts) }
})

const turn = turnOf(chatId)

/** What a search came to, and cost. */
const brief = ({ cost, names, outcome }: Effect.Success<typeof turn>) => ({ names, outcome, cost })

const free = { agent: 0, latestBuild: 0, dials: 0 }

/** A running workspace with these servers. */
const serving = Effect.fnUntraced(function*(...servers: ReadonlyArray<Mcp.McpServer>) {
  const all = yield* hands
  const place = yield* all.world.running(chatId)
  all.inside.list = Effect.succeed(listing(...servers))
  return { ...all, place }
})

describe("the tools of a workspace", () => {
  it.effect("are listed once for its agent, and from then on cost neither a dial nor a query", () =>
    Effect.gen(function*() {
      const { inside } = yield* serving(server("files", [tool("read")]))
      const cost = { agent: 1, latestBuild: 1, dials: 1 }
      assert.deepStrictEqual(brief(yield* turn), { names: ["mcp_files_read"], outcome: "listed", cost })
      assert.deepStrictEqual(brief(yield* turn), { names: ["mcp_files_read"], outcome: "hit", cost: free })
      assert.strictEqual(inside.lists, 1)
      // The agent answers with what there is before the turn goes on without it.
      assert.deepStrictEqual(inside.waits, [Duration.millis(2500)])
    }).pipe(inWorld))

  it.effect("are asked for again where there were none", () =>
    Effect.gen(function*() {
      const { inside } = yield* serving(server("files", []))
      assert.deepInclude(yield* turn, { names: [], outcome: "listed" })
      inside.list = Effect.succeed(listing(server("files", [tool("read")])))
      assert.deepInclude(yield* turn, { names: ["mcp_files_read"], outcome: "listed" })
      assert.deepInclude(yield* turn, { names: ["mcp_files_read"], outcome: "hit" })
    }).pipe(inWorld))

  it.effect("of one server are there while another is starting, and no later turn waits for it", () =>
    Effect.gen(function*() {
      const fast = server("fast", [tool("a")])
      const { inside } = yield* serving(fast, server("slow", [], { state: "starting" }))
      assert.deepInclude(yield* turn, { names: ["mcp_fast_a"], outcome: "listed" })
      inside.list = Effect.delay(Effect.succeed(listing(fast, server("slow", [tool("b")]))), "1 second")
      // Both at an instant, with one listing between them.
      assert.deepInclude(yield* turn, { names: ["mcp_fast_a"], outcome: "hit" })
      assert.deepInclude(yield* turn, { names: ["mcp_fast_a"], outcome: "hit" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(inside.lists, 2)
      assert.deepInclude(yield* turn, { names: ["mcp_fast_a", "mcp_slow_b"], outcome: "hit", cost: free })
      assert.strictEqual(inside.lists, 2)
    }).pipe(inWorld))

  it.effect("are not asked for again because of a server that failed, whose reason is kept", () =>
    Effect.gen(function*() {
      const reason = "did not answer in time"
      const { inside } = yield* serving(
        server("fast", [tool("a")]),
        server("slow", [], { state: "failed", reason })
      )
      yield* turn
      const found = yield* turn
      assert.deepInclude(found, { names: ["mcp_fast_a"], outcome: "hit", cost: free })
      assert.strictEqual(found.listing.servers[1]?.reason, reason)
      assert.strictEqual(inside.lists, 1)
    }).pipe(inWorld))

  it.effect("of a stopped workspace are none, for one query and no dial", () =>
    Effect.gen(function*() {
      const { inside, world } = yield* serving(server("files", [tool("read")]))
      yield* world.stopped(chatId)
      const found = yield* turn
      assert.deepStrictEqual(brief(found), {
        names: [],
        outcome: "none",
        cost: { agent: 0, latestBuild: 1, dials: 0 }
      })
      assert.strictEqual(found.error?._tag, "NoWorkspaceAgent")
      assert.strictEqual(inside.lists, 0)
    }).pipe(inWorld))

  it.effect("of a chat without a workspace are none, for nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(brief(yield* turn), { names: [], outcome: "none", cost: free })
    }).pipe(inWorld))

  it.effect("are listed anew by another agent", () =>
    Effect.gen(function*() {
      const { inside, world } = yield* serving(server("files", [tool("read")]))
      yield* turn
      yield* world.rebuilt(chatId)
      yield* (yield* open).use(() => Effect.void)
      inside.list = Effect.succeed(listing(server("other", [tool("write")])))
      assert.deepInclude(yield* turn, { names: ["mcp_other_write"], outcome: "listed" })
      assert.deepInclude(yield* turn, { names: ["mcp_other_write"], outcome: "hit" })
      assert.strictEqual(inside.lists, 2)
    }).pipe(inWorld))

  it.effect("are known of an agent that the chat has to ask for", () =>
    Effect.gen(function*() {
      const { inside, world } = yield* serving(server("files", [tool("read")]))
      yield* turn
      yield* world.running(chatId, { remembers: "workspace" })
      assert.deepInclude(yield* turn, { outcome: "hit", cost: { agent: 0, latestBuild: 1, dials: 0 } })
      assert.strictEqual(inside.lists, 1)
    }).pipe(inWorld))

  it.effect("are not remembered after a failure, which says why", () =>
    Effect.gen(function*() {
      const { inside, place, transport } = yield* serving(server("files", [tool("read")]))
      yield* transport.refuse(place.agentId)
      const failed = yield* turn
      assert.deepInclude(failed, { names: [], outcome: "failed" })
      assert.strictEqual(failed.error?._tag, "DialFailed")
      yield* transport.accept(place.agentId)
      inside.list = Effect.die("a defect")
      assert.deepInclude(yield* turn, { names: [], outcome: "failed" })
      inside.list = Effect.succeed(listing(server("files", [tool("read")])))
      assert.deepInclude(yield* turn, { outcome: "listed" })
    }).pipe(inWorld))

  it.effect("of an agent that hosts no servers are none, and that is no failure", () =>
    Effect.gen(function*() {
      const { inside } = yield* serving(server("files", [tool("read")]))
      inside.lacks.add("mcp")
      const found = yield* turn
      assert.deepInclude(found, { names: [], outcome: "none" })
      assert.strictEqual(found.error?._tag, "Unsupported")
      assert.strictEqual(inside.lists, 0)
    }).pipe(inWorld))

  it.effect("are waited for 5 seconds, and what comes later is there for the next turn", () =>
    Effect.gen(function*() {
      const { inside } = yield* serving()
      inside.list = Effect.delay(Effect.succeed(listing(server("files", [tool("read")]))), "6 seconds")
      const searching = yield* Effect.forkChild(turn, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isTrue(Option.isNone(answered(searching)))
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* Fiber.join(searching), { names: [], outcome: "late", error: null })
      yield* TestClock.adjust("1 seconds")
      assert.deepInclude(yield* turn, { names: ["mcp_files_read"], outcome: "hit", cost: free })
      assert.strictEqual(inside.lists, 1)
    }).pipe(inWorld))

  it.effect("are none, and nothing is asked, unless the application takes them", () =>
    Effect.gen(function*() {
      const { inside } = yield* serving(server("files", [tool("read")]))
      assert.deepStrictEqual(brief(yield* turn), { names: [], outcome: "off", cost: free })
      assert.strictEqual(inside.lists, 0)
    }).pipe(inWorldWith({})))

  it.effect("are those of the servers that the application lists", () =>
    Effect.gen(function*() {
      yield* serving(server("evil", [tool("read")]), server("good", [tool("read")]))
      const found = yield* turn
      assert.deepStrictEqual(found.names, ["mcp_good_read"])
      assert.deepStrictEqual(found.listing.servers.map(({ name }) => name), ["good"])
    }).pipe(inWorldWith({ workspaceMcp: "listed", mcpServers: ["good"] })))

  it.effect("are remembered of the agents that were used last", () =>
    Effect.gen(function*() {
      const { inside, world } = yield* serving(server("files", [tool("read")]))
      const [a, b, c] = [chatId, ChatId.make("chat-2"), ChatId.make("chat-3")]
      yield* world.running(b)
      yield* world.running(c)
      const outcome = (chat: ChatId) => Effect.map(turnOf(chat), ({ outcome }) => outcome)
      assert.deepStrictEqual([yield* outcome(a), yield* outcome(b), yield* outcome(a)], ["listed", "listed", "hit"])
      assert.deepStrictEqual([yield* outcome(c), yield* outcome(a), yield* outcome(b)], ["listed", "hit", "listed"])
      assert.strictEqual(inside.lists, 4)
    }).pipe(inWorldWith({ workspaceMcp: "all", mcpAgents: 2 })))

  it.effect("are forgotten when the chat's agent turns out to be gone while they were listed", () =>
    Effect.gen(function*() {
      const { inside, world } = yield* serving()
      const stores = yield* ScriptedStores.ScriptedStores
      const child = ChatId.make("child")
      yield* Effect.flatMap(
        Chats,
        (chats) => chats.create({ chatId: child, owner: TestWorkspaces.owner, parent: chatId })
      )
      inside.list = Effect.delay(Effect.succeed(listing(server("files", [tool("read")]))), "1 second")
      const first = yield* Effect.forkChild(turnOf(child), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      yield* stores.delay("2 seconds", ["latestBuild"])
      const second = yield* Effect.forkChild(turn, { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      assert.deepInclude(yield* Fiber.join(first), { outcome: "listed" })
      yield* world.stopped(chatId)
      yield* TestClock.adjust("1500 millis")
      assert.deepInclude(yield* Fiber.join(second), { outcome: "none" })
      yield* stores.heal()
      assert.deepInclude(yield* turnOf(child), { outcome: "none" })
    }).pipe(inWorld))

  it.effect("take no name that another tool has", () =>
    Effect.gen(function*() {
      yield* serving(server("a b", [tool("c")]), server("a_b", [tool("c"), tool("execute")]))
      const { names } = yield* turn
      assert.deepStrictEqual(names, ["mcp_a_b_c", "mcp_a_b_c_2", "mcp_a_b_execute"])
    }).pipe(inWorld))

  it.effect("are left out where a provider would refuse them, and bounded", () =>
    Effect.gen(function*() {
      yield* serving(server("x", [
        tool("array", { inputSchema: { type: "array" } }),
        tool("fits", { description: "d".repeat(10_000), readOnly: true }),
        tool("huge", { inputSchema: { type: "object", description: "x".repeat(16 * 1024) } })
      ]))
      const { names, toolkit } = yield* turn
      assert.deepStrictEqual(names, ["mcp_x_fits"])
      const fits = toolkit.tools["mcp_x_fits"]
      assert.isDefined(fits)
      if (fits === undefined) return
      assert.match(Tool.getDescription(fits) ?? "", /^Tool of the workspace's MCP server "x"\. It says: d+…$/)
      assert.isBelow(Tool.getDescription(fits)?.length ?? 0, 2200)
      // What a server claims of itself is no reason to trust it.
      assert.isFalse(Context.get(fits.annotations, Tool.Readonly))
      assert.deepStrictEqual(Tool.getJsonSchema(fits), {
        type: "object",
        properties: { n: { type: "number" } }
      })
    }).pipe(inWorld))

  it.effect("are at most 128", () =>
    Effect.gen(function*() {
      const tools = Array.from({ length: 100 }, (_, index) => tool(`t${index}`))
      yield* serving(server("a", tools), server("b", tools))
      assert.strictEqual((yield* turn).names.length, 128)
    }).pipe(inWorld))
})

const refused = (reason: McpRefusedReason) => new McpRefused({ server: "s", tool: "t", reason, detail: null })

/** A call of the one tool of a workspace. */
const called = Effect.fnUntraced(function*(args: unknown) {
  const { toolkit } = yield* turn
  return yield* t.call(toolkit, "mcp_my_server_do_it", args)
})

const oneTool = serving(server("my server", [tool("do.it")]))

describe("a call of a workspace's tool", () => {
  it.effect("goes to its server under the names that it has there", () =>
    Effect.gen(function*() {
      const { inside } = yield* oneTool
      inside.onCall = () => Effect.succeed(text("42"))
      assert.deepStrictEqual(yield* called({ n: 1 }), { isFailure: false, result: { output: "42" } })
      assert.deepStrictEqual(inside.calls.map(({ arguments: args, server, tool }) => ({ args, server, tool })), [
        { args: { n: 1 }, server: "my server", tool: "do.it" }
      ])
      // No arguments are an empty object.
      yield* called(undefined)
      assert.deepStrictEqual(inside.calls[1]?.arguments, {})
    }).pipe(inWorld))

  it.effect("is counted under one name for all of them", () =>
    Effect.gen(function*() {
      yield* oneTool
      yield* called({})
      const counted = (yield* Metric.snapshot).filter(({ id }) => id === "chat_workspace_tool_calls_total")
      assert.deepStrictEqual(counted.map(({ attributes }) => attributes), [{ tool: "mcp", outcome: "ok" }])
    }).pipe(inWorld, Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("with arguments that are no object is refused here", () =>
    Effect.gen(function*() {
      const { inside } = yield* oneTool
      const { isFailure, result } = yield* called(["x"])
      assert.isTrue(isFailure)
      assert.deepInclude(result, { error: "invalid_arguments", retry: "never" })
      assert.strictEqual(inside.calls.length, 0)
    }).pipe(inWorld))

  it.effect("that the tool says has failed is a result", () =>
    Effect.gen(function*() {
      const { inside } = yield* oneTool
      inside.onCall = () => Effect.succeed({ ...text("no such row"), isError: true })
      assert.deepStrictEqual(yield* called({}), {
        isFailure: false,
        result: { output: "no such row", is_error: true }
      })
    }).pipe(inWorld))

  it.effect("tells the model at most 32 KiB, and says so", () =>
    Effect.gen(function*() {
      const { inside } = yield* oneTool
      inside.onCall = () => Effect.succeed(text(`a${"é".repeat(20_000)}z`))
      const { result } = yield* called({})
      assert.isTrue(result.truncated)
      assert.isAtMost(new TextEncoder().encode(result.output).length, 32 * 1024)
      assert.match(result.output, /^aé+\n\[… \d+ bytes left out …\]\né+z$/)
      inside.onCall = () => Effect.succeed({ ...text("the beginning"), truncated: true })
      assert.deepStrictEqual((yield* called({})).result, { output: "the beginning", truncated: true })
    }).pipe(inWorld))

  it.effect("tells of what is no text, and shows structured content where there is nothing else", () =>
    Effect.gen(function*() {
      const { inside } = yield* oneTool
      const image: Mcp.McpContent = { _tag: "Image", mimeType: "image/png", bytes: new Uint8Array(9) }
      const other: Mcp.McpContent = { _tag: "Other", kind: "resource_link", text: "file:///a" }
      inside.onCall = () => Effect.succeed({ ...text("see"), content: [image, other] })
      assert.strictEqual(
        (yield* called({})).result.output,
        "[an image (image/png, 9 bytes), which cannot be shown here]\nfile:///a"
      )
      inside.onCall = () => Effect.succeed({ ...text(""), structured: { rows: [1] } })
      assert.strictEqual((yield* called({})).result.output, "{\"rows\":[1]}")
    }).pipe(inWorld))

  for (const reason of ["noTool", "noServer"] as const) {
    it.effect(`that finds no such tool (${reason}) makes the list forgotten`, () =>
      Effect.gen(function*() {
        const { inside } = yield* oneTool
        inside.onCall = () => Effect.fail(refused(reason))
        const { isFailure, result } = yield* called({})
        assert.isTrue(isFailure)
        assert.deepInclude(result, { error: "mcp_refused", retry: "never" })
        assert.deepInclude(yield* turn, { outcome: "listed" })
        assert.strictEqual(inside.lists, 2)
      }).pipe(inWorld))
  }

  it.effect("that fails in another way leaves the list as it is", () =>
    Effect.gen(function*() {
      const { inside } = yield* oneTool
      for (const reason of ["notRunning", "ended", "noAnswer", "refused", "tooLarge"] as const) {
        inside.onCall = () => Effect.fail(refused(reason))
        assert.isTrue((yield* called({})).isFailure)
      }
      inside.onCall = () => Effect.succeed({ ...text(""), isError: true })
      yield* called({})
      assert.deepInclude(yield* turn, { outcome: "hit" })
      assert.strictEqual(inside.lists, 1)
    }).pipe(inWorld))

  it.effect("of a workspace that was stopped meanwhile fails as any call does", () =>
    Effect.gen(function*() {
      const { world } = yield* oneTool
      yield* turn
      yield* world.stopped(chatId)
      const { isFailure, result } = yield* called({})
      assert.isTrue(isFailure)
      assert.deepInclude(result, { error: "no_workspace_agent", retry: "after-recovery" })
      assert.include(result.message, "start_workspace")
    }).pipe(inWorld))

  it.effect("that may have run is not to be repeated, nor looked for among processes", () =>
    Effect.gen(function*() {
      const { inside } = yield* oneTool
      const interrupted = (sent: "mayHaveRun" | "notSent") =>
        Effect.fail(new CallInterrupted({ agentId: AgentId.make("a"), operationId: null, sent }))
      inside.onCall = () => interrupted("mayHaveRun")
      const open = (yield* called({})).result
      assert.deepInclude(open, { error: "call_interrupted", retry: "never" })
      assert.include(open.message, "Look whether it took effect before you repeat the call.")
      assert.notInclude(open.message, "process_output")
      inside.onCall = () => interrupted("notSent")
      assert.deepInclude((yield* called({})).result, { retry: "now-once" })
    }).pipe(inWorld))

  it.effect("has a deadline", () =>
    Effect.gen(function*() {
      const { inside } = yield* oneTool
      yield* called({})
      assert.deepStrictEqual(inside.calls[0]?.timeout, Duration.seconds(60))
    }).pipe(inWorld))
})
