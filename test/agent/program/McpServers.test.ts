import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { McpFailed } from "../../../src/agent/program/McpTransport.ts"
import type { McpListing } from "../../../src/agent/Protocol.ts"
import * as TestMcp from "./TestMcp.ts"

const brief = ({ servers }: McpListing) =>
  servers.map(({ name, reason, state, tools }) => [name, state, reason, tools.length])

const refusal = <A>(call: Effect.Effect<A, { readonly reason: string; readonly detail: string | null }>) =>
  Effect.map(Effect.flip(call), ({ detail, reason }) => [reason, detail])

const notYet = "it has not answered yet"

describe("McpServers", () => {
  it.effect("sleep until they are asked for, and are listed as soon as all have answered", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["b", "a"])
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(fake("a").counts.opened, 0)
      assert.deepStrictEqual(brief(yield* servers.list(5000)), [["a", "ready", null, 2], ["b", "ready", null, 2]])
      assert.deepStrictEqual([fake("a").counts.opened, fake("b").counts.opened], [1, 1])
    }))

  it.effect("one that does not answer hides no other: the list waits for it until its time is over", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["fast", "slow"])
      fake("slow").script.answers = false
      const list = yield* Effect.forkChild(servers.list(5000))
      yield* fake("slow").untilOpened(1)
      yield* TestClock.adjust(4999)
      assert.isUndefined(list.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(brief(yield* Fiber.join(list)), [
        ["fast", "ready", null, 2],
        ["slow", "starting", notYet, 0]
      ])
    }))

  it.effect("one that does not answer for 30 s has failed, and a list waits no longer for it", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["slow"])
      fake("slow").script.answers = false
      const list = yield* Effect.forkChild(servers.list(60_000))
      yield* fake("slow").untilOpened(1)
      yield* TestClock.adjust(29_999)
      assert.isUndefined(list.pollUnsafe())
      assert.strictEqual(fake("slow").counts.open, 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(brief(yield* Fiber.join(list)), [["slow", "failed", "it did not answer in time", 0]])
      assert.strictEqual(fake("slow").counts.open, 0)
    }))

  it.effect("one that ends is started again after a delay that doubles, and rests after 5 starts", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["x"])
      const { counts, end, script } = fake("x")
      script.refuses = "it exited with code 3"
      assert.deepStrictEqual(brief(yield* servers.list(5000)), [["x", "failed", "it exited with code 3", 0]])
      let starts = 1
      for (const delay of [500, 1000, 2000]) {
        yield* TestClock.adjust(delay - 1)
        assert.strictEqual(counts.opened, starts)
        yield* TestClock.adjust(1)
        assert.strictEqual(counts.opened, ++starts)
      }
      script.refuses = undefined
      yield* TestClock.adjust(4000)
      assert.strictEqual(counts.opened, 5)
      assert.deepStrictEqual(brief(yield* servers.list(5000)), [["x", "ready", null, 2]])
      end("it exited with code 4")
      yield* TestClock.adjust(0)
      const rests = [["x", "failed", "it exited with code 4; it was started 5 times and rests", 0]]
      assert.deepStrictEqual(brief(yield* servers.list(5000)), rests)
      // 7.5 s have passed of the 5 min since the first start.
      yield* TestClock.adjust(300_000 - 7500 - 1)
      assert.deepStrictEqual(brief(yield* servers.list(5000)), rests)
      yield* TestClock.adjust(1)
      assert.strictEqual(counts.opened, 5)
      assert.deepStrictEqual(brief(yield* servers.list(5000)), [["x", "ready", null, 2]])
    }))

  it.effect("one that lived for 30 s begins with the shortest delay again", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["x"])
      const { counts, end } = fake("x")
      yield* servers.list(5000)
      end("it exited with code 0")
      yield* TestClock.adjust(500)
      assert.strictEqual(counts.opened, 2)
      yield* TestClock.adjust(29_999)
      end("it exited with code 0")
      yield* TestClock.adjust(999)
      assert.strictEqual(counts.opened, 2)
      yield* TestClock.adjust(1)
      assert.strictEqual(counts.opened, 3)
      yield* TestClock.adjust(30_000)
      end("it exited with code 0")
      yield* TestClock.adjust(499)
      assert.strictEqual(counts.opened, 3)
      yield* TestClock.adjust(1)
      assert.strictEqual(counts.opened, 4)
    }))

  it.effect("each list reads the file and asks those that are ready anew; they are not started again for that", () =>
    Effect.gen(function*() {
      const { fake, servers, write } = yield* TestMcp.make(["changed", "gone", "same"])
      yield* servers.list(5000)
      fake("same").script.tools = [TestMcp.tool("a"), TestMcp.tool("b"), TestMcp.tool("c")]
      write({ same: { command: "same" }, changed: { command: "changed", args: ["x"] }, added: { command: "added" } })
      assert.deepStrictEqual(brief(yield* servers.list(5000)), [
        ["added", "ready", null, 2],
        ["changed", "ready", null, 2],
        ["same", "ready", null, 3]
      ])
      const counts = (name: string) => [fake(name).counts.opened, fake(name).counts.open]
      assert.deepStrictEqual(["added", "changed", "gone", "same"].map(counts), [[1, 1], [2, 1], [1, 0], [1, 1]])
    }))

  it.effect("one that does not list its tools again keeps those it had", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["x"])
      yield* servers.list(5000)
      fake("x").script.lists = false
      const list = yield* Effect.forkChild(servers.list(5000))
      yield* fake("x").untilListed(2)
      yield* TestClock.adjust(4999)
      assert.isUndefined(list.pollUnsafe())
      yield* TestClock.adjust(1)
      const before = "its tools are those that it listed before"
      assert.deepStrictEqual(brief(yield* Fiber.join(list)), [["x", "ready", before, 2]])
      fake("x").script.lists = true
      assert.deepStrictEqual(brief(yield* servers.list(5000)), [["x", "ready", null, 2]])
      assert.strictEqual(fake("x").counts.opened, 1)
    }))

  it.effect("lists 128 tools of all servers, and says what is left out", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["a", "b", "c"])
      const many = (count: number) => Array.from({ length: count }, (_, index) => TestMcp.tool(`tool-${index}`))
      fake("a").script.tools = many(100)
      fake("b").script.tools = many(130)
      assert.deepStrictEqual(brief(yield* servers.list(5000)), [
        ["a", "ready", null, 100],
        [
          "b",
          "ready",
          "2 tools are left out: too many, too large or not valid; " +
          "100 tools are left out: the limit is 128 of all servers",
          28
        ],
        ["c", "ready", "2 tools are left out: the limit is 128 of all servers", 0]
      ])
    }))

  it.effect("leaves out a tool that is too large or not valid, and shortens a description", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["x"])
      fake("x").script.tools = [
        { name: "long", description: "ü".repeat(2000), inputSchema: {}, annotations: { readOnlyHint: true } },
        { name: "fits", description: "ü".repeat(1024), inputSchema: { x: "y".repeat(16 * 1024 - 8) } },
        { name: "large", inputSchema: { x: "y".repeat(16 * 1024 - 7) } },
        { name: "", inputSchema: {} },
        { name: "n".repeat(129), inputSchema: {} },
        { name: "no schema" },
        { name: "fits", inputSchema: {} },
        "nonsense"
      ]
      const { servers: [server] } = yield* servers.list(5000)
      assert.strictEqual(server?.reason, "6 tools are left out: too many, too large or not valid")
      const [long, fits] = server?.tools ?? []
      assert.deepStrictEqual([long?.name, long?.readOnly, fits?.name, fits?.readOnly], ["long", true, "fits", false])
      assert.match(long?.description ?? "", /^ü{1021}…$/)
      assert.strictEqual(fits?.description, "ü".repeat(1024))
    }))

  it.effect("a call wakes its server and waits for it", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["slow", "x"])
      const call = (server: string, tool = "a") => servers.call({ server, tool, arguments: {} })
      assert.deepStrictEqual((yield* call("x")).content, [{ _tag: "Text", text: "done" }])
      assert.strictEqual(fake("slow").counts.opened, 0)
      assert.deepStrictEqual(yield* refusal(call("x", "c")), ["noTool", null])
      assert.deepStrictEqual(yield* refusal(call("y")), ["noServer", null])
      fake("slow").script.answers = false
      const waits = yield* Effect.forkChild(refusal(call("slow")))
      yield* fake("slow").untilOpened(1)
      yield* TestClock.adjust(29_999)
      assert.isUndefined(waits.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(waits), ["notRunning", "it did not answer in time"])
    }))

  it.effect("a call that is not answered ends after 10 min, one that is given up at once; both are canceled", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["x"])
      const { called, counts, script } = fake("x")
      script.call = Effect.never
      const call = yield* Effect.forkChild(refusal(servers.call({ server: "x", tool: "a", arguments: {} })))
      yield* called
      yield* TestClock.adjust(599_999)
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(call), ["noAnswer", null])
      assert.strictEqual(counts.canceled, 1)
      const given = yield* Effect.forkChild(servers.call({ server: "x", tool: "a", arguments: {} }), {
        startImmediately: true
      })
      yield* Fiber.interrupt(given)
      assert.strictEqual(counts.canceled, 2)
    }))

  it.effect("a call says when its server ended, refused it, or answered what is no result", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["x"])
      const { end, script } = fake("x")
      const call = servers.call({ server: "x", tool: "a", arguments: {} })
      script.call = Effect.fail(new McpFailed({ reason: "refused", detail: "no such file" }))
      assert.deepStrictEqual(yield* refusal(call), ["refused", "no such file"])
      script.call = Effect.succeed({ content: "text" })
      assert.deepStrictEqual(yield* refusal(call), ["refused", "its answer is not what the protocol says"])
      script.call = Effect.suspend(() => {
        end("it exited with code 7")
        return Effect.never
      })
      assert.deepStrictEqual(yield* refusal(call), ["ended", "it exited with code 7"])
      assert.deepStrictEqual(yield* refusal(call), ["notRunning", "it exited with code 7"])
    }))

  it.effect("end with the layer, also those that are starting", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { fake, servers } = yield* Scope.provide(TestMcp.make(["slow", "x"]), scope)
      fake("slow").script.answers = false
      const list = yield* Effect.forkChild(servers.list(5000))
      yield* fake("slow").untilOpened(1)
      yield* fake("x").untilOpened(1)
      assert.deepStrictEqual([fake("slow").counts.open, fake("x").counts.open], [1, 1])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([fake("slow").counts.open, fake("x").counts.open], [0, 0])
      yield* Fiber.interrupt(list)
    }))
})
