/** Values that nest deeper than anybody can walk, from an MCP server in a workspace and from an agent. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Option } from "effect"
import type { Scope } from "effect"
import { Protocol } from "../../src/agent/index.ts"
import * as McpResult from "../../src/agent/program/McpResult.ts"
import * as Nesting from "../../src/domain/Nesting.ts"
import * as TestMcp from "../agent/program/TestMcp.ts"
import * as h from "../agent/support/harness.ts"

/** A list in a list, and so on, so often. */
const nested = (levels: number): unknown => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`)

/** A schema in which the innermost list is at this level. */
const schema = (levels: number) => ({ type: "object", examples: nested(levels - 1) })

describe("a server in the workspace", () => {
  it.effect("has the tools left out whose schemas nest deeper than 64 levels, and hides no other", () =>
    Effect.gen(function*() {
      const { fake, servers } = yield* TestMcp.make(["deep", "fine"])
      const tool = (name: string, levels: number) => ({ name, inputSchema: schema(levels) })
      fake("deep").script.tools = [tool("at", Nesting.limit), tool("over", Nesting.limit + 1), tool("far", 5000)]
      for (const _ of ["when it starts", "and when it is asked again"]) {
        const { servers: listed } = yield* servers.list(5000)
        assert.deepStrictEqual(listed.map(({ name, state, tools }) => [name, state, tools.map(({ name }) => name)]), [
          ["deep", "ready", ["at"]],
          ["fine", "ready", ["a", "b"]]
        ])
        assert.include(listed[0]?.reason ?? "", "2 tools are left out")
      }
    }))

  it("has structured content left out that nests deeper than 64 levels", () => {
    const decoded = (levels: number) =>
      Option.getOrThrow(McpResult.decode({ content: [], structuredContent: nested(levels) }))
    assert.deepStrictEqual(decoded(Nesting.limit).structured, nested(Nesting.limit))
    for (const levels of [Nesting.limit + 1, 200_000]) {
      assert.deepStrictEqual(decoded(levels), { content: [], isError: false, structured: null, truncated: true })
    }
  })
})

describe("an agent", () => {
  const asked = Effect.fnUntraced(function*(answer: (id: number) => unknown) {
    const { port, transport } = yield* h.start()
    const { agentId, token } = yield* h.enroll()
    const { agent } = yield* h.connect(port, token, {
      hello: { features: ["mcp"] },
      on: ({ id }, agent) => agent.send(answer(id))
    })
    const { mcp = assert.fail("no tools") } = yield* transport.dial(agentId)
    return { agent, mcp }
  })

  const success = (id: number, value: unknown) => ({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value } })

  const live = <E>(name: string, body: Effect.Effect<void, E, h.Stores | Scope.Scope>): void => {
    it.live(name, () => body.pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])), 15_000)
  }

  for (const levels of [Nesting.limit, Nesting.limit + 1]) {
    const isTaken = levels === Nesting.limit
    live(
      `${isTaken ? "may answer" : "breaks the protocol"} with a result of ${levels} levels`,
      Effect.gen(function*() {
        const { agent, mcp } = yield* asked((id) =>
          success(id, { content: [], isError: false, structured: nested(levels), truncated: false })
        )
        const call = mcp.call({ server: "s", tool: "t", arguments: {} })
        if (isTaken) return assert.deepStrictEqual((yield* call).structured, nested(levels))
        assert.strictEqual((yield* Effect.flip(call))._tag, "CallInterrupted")
        assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.violation)
      })
    )

    live(
      `${isTaken ? "may list" : "breaks the protocol"} with a schema of ${levels} levels`,
      Effect.gen(function*() {
        const { agent, mcp } = yield* asked((id) => ({
          _tag: "Chunk",
          requestId: id,
          values: [
            { _tag: "Server", name: "s", state: "ready", reason: null },
            { _tag: "Tool", tool: { name: "t", description: "", readOnly: false, inputSchema: schema(levels) } }
          ]
        }))
        if (!isTaken) {
          assert.strictEqual((yield* Effect.flip(mcp.tools()))._tag, "CallInterrupted")
          assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.violation)
          return
        }
        yield* Effect.forkScoped(mcp.tools())
        yield* h.until(() => agent.requests.length === 2)
        yield* Effect.sleep("100 millis")
        assert.strictEqual(agent.socket.readyState, 1)
      })
    )
  }
})
