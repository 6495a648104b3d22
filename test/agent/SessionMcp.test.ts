/** Calls of tools over the gateway: their bounds on the virtual clock, and agents that keep to nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import type { AgentConnection } from "../../src/agent/index.ts"
import { Protocol } from "../../src/agent/index.ts"
import * as h from "./support/harness.ts"
import * as virtual from "./support/virtual.ts"

const features = [...h.helloAnswer.features, "mcp"]

const mcpOf = ({ mcp }: AgentConnection.AgentConnection): AgentConnection.Mcp => mcp ?? assert.fail("no servers")

const bound = (name: string, body: Effect.Effect<void, unknown, virtual.Stores | Scope.Scope>): void => {
  it.effect(name, () => body.pipe(Effect.scoped, Effect.provide(virtual.layerStores)))
}

const live = (name: string, body: Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(name, () => body.pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])), 15_000)
}

/** A connection to an agent that answers pings and the hello, and nothing else. */
const silent = Effect.gen(function*() {
  const node = yield* Effect.flatMap(virtual.world, (world) => world.node())
  const enrolled = yield* h.enroll()
  yield* virtual.attached(node, enrolled, { features })
  return mcpOf(yield* node.transport.dial(enrolled.agentId))
})

const server = (name: string) => ({ _tag: "Server", name, state: "ready", reason: null })
const tool = (name: string, more: Readonly<Record<string, unknown>> = {}) => ({
  _tag: "Tool",
  tool: { name, description: "", inputSchema: {}, readOnly: false, ...more }
})

/** A connection to an agent that answers each request with frames of its own. */
const scripted = Effect.fnUntraced(function*(frames: ReadonlyArray<Readonly<Record<string, unknown>>>) {
  const { port, transport } = yield* h.start()
  const { agentId, token } = yield* h.enroll()
  const { agent } = yield* h.connect(port, token, {
    hello: { features },
    on: ({ id }, agent) => frames.forEach((frame) => agent.send({ ...frame, requestId: id }))
  })
  return { agent, mcp: mcpOf(yield* transport.dial(agentId)) }
})

const listing = (...values: ReadonlyArray<unknown>) => [
  { _tag: "Chunk", values },
  { _tag: "Exit", exit: { _tag: "Success", value: null } }
]

describe("the bounds of tools", () => {
  bound(
    "a list and a call that are not answered end after 60 s, a call also after the time it is given",
    Effect.gen(function*() {
      const mcp = yield* silent
      const call = { server: "x", tool: "y", arguments: {} }
      const list = yield* Effect.forkChild(Effect.flip(mcp.tools()))
      const whole = yield* Effect.forkChild(Effect.flip(mcp.call(call)))
      const short = yield* Effect.forkChild(Effect.flip(mcp.call({ ...call, timeout: "20 seconds" })))
      yield* TestClock.adjust(19_999)
      assert.isUndefined(short.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* Fiber.join(short), { _tag: "CallTimedOut", sent: "mayHaveRun", operationId: null })
      yield* virtual.pass(39_999)
      assert.deepStrictEqual([list.pollUnsafe(), whole.pollUnsafe()], [undefined, undefined])
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* Fiber.join(list), { _tag: "CallTimedOut", sent: "notSent" })
      assert.deepInclude(yield* Fiber.join(whole), { _tag: "CallTimedOut", sent: "mayHaveRun" })
    })
  )

  live(
    "a list lets the agent wait 5 s for servers that start, or as long as is said, but not beyond its own deadline",
    Effect.gen(function*() {
      const { agent, mcp } = yield* scripted(listing(server("x")))
      yield* mcp.tools()
      yield* mcp.tools({ wait: "20 seconds" })
      yield* mcp.tools({ wait: "10 minutes" })
      assert.deepStrictEqual(
        agent.requests.filter(({ tag }) => tag === "McpTools").map(({ payload }) => payload),
        [{ waitMillis: 5000 }, { waitMillis: 20_000 }, { waitMillis: 60_000 }]
      )
    })
  )
})

describe("an agent's word for its tools", () => {
  live(
    "is taken as it comes, in any number of frames",
    Effect.gen(function*() {
      const { mcp } = yield* scripted(listing(
        { _tag: "File", reason: "is odd" },
        server("a"),
        tool("x", { description: "does x", readOnly: true }),
        tool("y"),
        { ...server("b"), state: "failed", reason: "it exited with code 1" }
      ))
      assert.deepStrictEqual(yield* mcp.tools(), {
        reason: "is odd",
        servers: [
          {
            name: "a",
            state: "ready",
            reason: null,
            tools: [
              { name: "x", description: "does x", inputSchema: {}, readOnly: true },
              { name: "y", description: "", inputSchema: {}, readOnly: false }
            ]
          },
          { name: "b", state: "failed", reason: "it exited with code 1", tools: [] }
        ]
      })
    })
  )

  const many = (count: number, make: (name: string) => unknown) =>
    Array.from({ length: count }, (_, index) => make(`n${index}`))

  for (
    const [what, values] of [
      ["17 servers", many(17, server)],
      ["129 tools", [server("a"), ...many(129, tool)]],
      ["a tool without a server", [tool("x")]],
      ["a name that is too long", [server("a"), tool("x".repeat(129))]],
      ["a description that is too long", [server("a"), tool("x", { description: "x".repeat(2049) })]],
      ["a schema that is too large", [server("a"), tool("x", { inputSchema: { x: "x".repeat(16_384) } })]],
      ["a reason that is too long", [{ ...server("a"), reason: "x".repeat(513) }]],
      ["what does not decode", [{ _tag: "Server", name: "a", state: "asleep", reason: null }]]
    ] as const
  ) {
    live(
      `breaks the protocol, and ends its session, with ${what}`,
      Effect.gen(function*() {
        const { agent, mcp } = yield* scripted(listing(...values))
        assert.strictEqual((yield* Effect.flip(mcp.tools()))._tag, "CallInterrupted")
        assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.violation)
      })
    )
  }

  live(
    "is not asked of one that does not announce it",
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const { agentId, token } = yield* h.enroll()
      const { agent } = yield* h.connect(port, token)
      const mcp = mcpOf(yield* transport.dial(agentId))
      const failures = [
        yield* Effect.flip(mcp.tools()),
        yield* Effect.flip(mcp.call({ server: "x", tool: "y", arguments: {} }))
      ]
      for (const failure of failures) assert.deepInclude(failure, { _tag: "Unsupported", feature: "mcp" })
      assert.deepStrictEqual(agent.requests.map(({ tag }) => tag), ["Hello"])
    })
  )
})
