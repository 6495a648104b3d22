/** An agent that lies: what it says is held against it alone, and a call of another agent is answered all the while. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Logger, Stream } from "effect"
import type { Scope } from "effect"
import type { AgentConnection, GatewayConfig } from "../../src/agent/index.ts"
import { Protocol } from "../../src/agent/index.ts"
import type { CallError, FilesError, McpError, ProcessError } from "../../src/domain/Errors.ts"
import * as h from "../agent/support/harness.ts"
import { peak } from "../memory.ts"

const live = (name: string, test: () => Effect.Effect<void, unknown, h.Stores | Scope.Scope>): void => {
  it.live(name, () => test().pipe(Effect.scoped, Effect.provide([h.layerStores, Logger.layer([])])), 20_000)
}

type Failure = CallError | FilesError | McpError | ProcessError

const features = ["run", "processes", "files", "directories", "mcp"]

const folder = { name: "/", type: "directory", size: 0, modifiedAtMillis: 0, mode: 0 }

/** A liar and an honest agent at one gateway; `honest` asks the honest one. */
const meeting = Effect.fnUntraced(function*(on: h.Handler, options?: GatewayConfig.Options) {
  const { port, transport } = yield* h.start({ pingTimeout: "30 seconds", ...options })
  const [one, two] = [yield* h.enroll(), yield* h.enroll()]
  const { agent } = yield* h.connect(port, one.token, { hello: { features }, on })
  yield* h.connect(port, two.token, { on: ({ id }, agent) => agent.answer(id, folder) })
  const liar = yield* transport.dial(one.agentId)
  const other = yield* transport.dial(two.agentId)
  const honest = other.files.stat("/").pipe(
    Effect.timed,
    Effect.map(([taken]) => {
      assert.isBelow(Duration.toMillis(taken), 5000)
      assert.notStrictEqual(other.liveness(), "closed")
    })
  )
  return { port, transport, one, two, agent, liar, honest }
})

const success = (id: number, value: unknown) => ({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value } })
const failure = (id: number, ...cause: ReadonlyArray<unknown>) => ({
  _tag: "Exit",
  requestId: id,
  exit: { _tag: "Failure", cause }
})
const chunk = (id: number, ...values: ReadonlyArray<unknown>) => ({ _tag: "Chunk", requestId: id, values })

/** A text of JSON that is nested so deep that no walk over it comes back; one frame holds it. */
const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`
const within = (message: unknown): string => `${JSON.stringify(message).replace("\"deep\"", deep)}\n`

const mcp = (connection: AgentConnection.AgentConnection) => connection.mcp ?? assert.fail("no tools")

describe("whose agent it is", () => {
  live("is what its token says, whatever else it says of itself", () =>
    Effect.gen(function*() {
      const { port, transport } = yield* h.start()
      const [one, two] = [yield* h.enroll(), yield* h.enroll()]
      const claim = { agentId: two.agentId, agent_id: two.agentId, incarnation: "same", __proto__: { agentId: "x" } }
      yield* h.connect(port, two.token, {
        hello: { incarnation: "same" },
        on: ({ id }, agent) => agent.answer(id, folder)
      })
      const other = yield* transport.dial(two.agentId)
      yield* h.connect(port, one.token, { hello: claim })
      assert.strictEqual((yield* transport.dial(one.agentId)).agentId, one.agentId)
      // The same incarnation under another identity is another agent's, and takes no place.
      assert.notStrictEqual(other.liveness(), "closed")
      yield* other.files.stat("/")
    }))
})

describe("answers that nobody asked for", () => {
  const unasked: ReadonlyArray<readonly [string, (agent: h.ScriptedAgent, id: number) => void]> = [
    ["to calls that were never made", (agent) => {
      for (let id = 0; id < 20_000; id++) agent.send(success(1_000_000 + id, folder))
    }],
    ["of streams that were never begun", (agent) => {
      for (let id = 0; id < 20_000; id++) agent.send(chunk(`${1_000_000 + id}` as never, folder))
    }],
    ["to the call that it was asked, over and over", (agent, id) => {
      for (let count = 0; count < 20_000; count++) agent.send(success(id, folder))
    }],
    ["in pieces to a call that has none", (agent, id) => agent.send(chunk(id, folder))],
    ["to the hello, once more", (agent) => agent.send(success(0, { ...h.helloAnswer, incarnation: "other" }))],
    ["to pings that were never sent", (agent) => {
      for (let count = 0; count < 100; count++) agent.send("{\"_tag\":\"Pong\"}\n".repeat(1000))
    }]
  ]

  for (const [name, say] of unasked) {
    live(`${name} change nothing, for it or for others`, () =>
      Effect.gen(function*() {
        const asked = Deferred.makeUnsafe<number>()
        const { agent, honest, liar, one, transport } = yield* meeting(({ id, tag }) => {
          if (tag === "Stat") Deferred.doneUnsafe(asked, Effect.succeed(id))
        })
        const call = yield* Effect.forkChild(liar.files.stat("/"))
        const id = yield* Deferred.await(asked)
        say(agent, id)
        yield* honest
        agent.answer(id, folder)
        assert.strictEqual((yield* Fiber.join(call)).type, "directory")
        yield* honest
        assert.strictEqual(transport.describe?.(one.agentId).calls.length, 0)
        assert.strictEqual(transport.describe?.(one.agentId).session?.epoch, 1)
      }))
  }
})

describe("an answer without an end", () => {
  const data = (offset: number) => ({
    _tag: "Data",
    offset,
    stream: "stdout",
    bytes: Buffer.alloc(64 * 1024).toString("base64")
  })

  /** Says the next part as soon as the last one was taken. */
  const endless = (part: (count: number) => unknown) => {
    let count = 0
    const more = (agent: h.ScriptedAgent, id: number) => agent.send(chunk(id, part(count++)))
    return {
      said: () => count,
      on: ({ id, tag }: { readonly id: number; readonly tag: string }, agent: h.ScriptedAgent) => {
        if (tag === "Start") return agent.answer(id, { _tag: "Running", end: 0 })
        if (tag !== "Follow" && tag !== "Read" && tag !== "McpTools") return
        agent.socket.on("message", (message: Buffer) => {
          for (const line of String(message).split("\n")) {
            if (line.includes("\"Ack\"")) more(agent, id)
          }
        })
        more(agent, id)
      }
    }
  }

  live("ends with the deadline of its call, in bounded memory, and no other call waits", () =>
    Effect.gen(function*() {
      const flood = endless((count) => data(count * 64 * 1024))
      const { honest, liar } = yield* meeting(flood.on, { runTimeout: "3 seconds" })
      const [held, error] = yield* peak(Effect.gen(function*() {
        const call = yield* Effect.forkChild(Effect.flip(liar.processes.run({ id: h.operation(), argv: ["yes"] })))
        yield* h.until(() => flood.said() > 10)
        for (let count = 0; count < 10; count++) yield* honest
        return yield* Fiber.join(call)
      }))
      assert.strictEqual(error._tag, "CallTimedOut")
      assert.isAbove(flood.said(), 10)
      assert.isBelow(held, 96 * 2 ** 20)
    }))

  live("of a file ends where more comes than was asked for", () =>
    Effect.gen(function*() {
      const flood = endless((count) =>
        count === 0
          ? { _tag: "Head", size: Number.MAX_SAFE_INTEGER, version: "v" }
          : { _tag: "Part", bytes: Buffer.alloc(64 * 1024).toString("base64") }
      )
      const { agent, honest, liar } = yield* meeting(flood.on)
      const error = yield* Effect.flip(liar.files.read("x", { limit: 2 ** 20 }))
      assert.strictEqual(error._tag, "CallInterrupted")
      assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.violation)
      assert.isAtMost(flood.said(), 20)
      yield* honest
    }))

  live("of servers and tools ends where there are more than any may have", () =>
    Effect.gen(function*() {
      const flood = endless((count) => ({ _tag: "Server", name: `server-${count}`, state: "ready", reason: null }))
      const { agent, honest, liar } = yield* meeting(flood.on)
      const error = yield* Effect.flip(mcp(liar).tools())
      assert.strictEqual(error._tag, "CallInterrupted")
      assert.strictEqual((yield* agent.closed).code, Protocol.CloseCode.violation)
      yield* honest
    }))

  live("of a follower goes on only as far as it is taken", () =>
    Effect.gen(function*() {
      const flood = endless((count) => data(count * 64 * 1024))
      const { honest, liar } = yield* meeting(flood.on)
      const taken = yield* liar.processes.follow(h.operation()).pipe(Stream.take(20), Stream.runCollect)
      assert.strictEqual(taken.length, 20)
      const said = flood.said()
      assert.isAtMost(said, 24)
      yield* honest
      yield* honest
      assert.isAtMost(flood.said(), said + 1)
    }))
})

describe("what looks like an answer", () => {
  type Ask = (connection: AgentConnection.AgentConnection) => Effect.Effect<unknown, Failure>
  const stat: Ask = ({ files }) => files.stat("x")
  const tools: Ask = (connection) => mcp(connection).tools()
  const call: Ask = (connection) => mcp(connection).call({ server: "s", tool: "t", arguments: {} })
  const run: Ask = ({ processes }) => processes.run({ id: h.operation(), argv: ["x"] })
  const result = (structured: unknown) => ({ content: [], isError: false, structured, truncated: false })
  const big = "9".repeat(500)

  const lies: ReadonlyArray<readonly [string, Ask, (id: number) => string]> = [
    ["a message nested 200,000 deep", stat, () => `${deep}\n`],
    ["an exit nested 200,000 deep", stat, (id) => within({ _tag: "Exit", requestId: id, exit: "deep" })],
    ["a value nested 200,000 deep", stat, (id) => within(success(id, "deep"))],
    ["an error nested 200,000 deep", stat, (id) => within(failure(id, { _tag: "Fail", error: "deep" }))],
    ["a defect nested 200,000 deep", stat, (id) => within(failure(id, { _tag: "Die", defect: "deep" }))],
    [
      "a cause of 25,000 reasons",
      stat,
      (id) => `${JSON.stringify(failure(id, ...Array.from({ length: 25_000 }, () => ({ _tag: "Die", defect: 1 }))))}\n`
    ],
    ["a result of a tool nested 200,000 deep", call, (id) => within(success(id, result("deep")))],
    ["a schema of a tool nested 200,000 deep", tools, (id) =>
      within(chunk(
        id,
        { _tag: "Server", name: "s", state: "ready", reason: null },
        {
          _tag: "Tool",
          tool: { name: "t", description: "", readOnly: true, inputSchema: { type: "object", a: "deep" } }
        }
      ))],
    [
      "a size beyond all numbers",
      stat,
      (id) => `${JSON.stringify(success(id, { ...folder, size: 0 })).replace("\"size\":0", `"size":${big}`)}\n`
    ],
    [
      "a time beyond all numbers",
      stat,
      (id) => `${JSON.stringify(success(id, folder)).replace("\"modifiedAtMillis\":0", `"modifiedAtMillis":1e999`)}\n`
    ],
    [
      "output behind all numbers",
      run,
      (id) => `${JSON.stringify(success(id, { _tag: "Running", end: 0 })).replace("0", `${big}`)}\n`
    ],
    [
      "bytes that are no base64",
      ({ files }) => files.read("x"),
      (id) => `${JSON.stringify(chunk(id, { _tag: "Head", size: 1, version: "v" }, { _tag: "Part", bytes: "!" }))}\n`
    ],
    [
      "an error of another kind of call",
      stat,
      (id) =>
        `${
          JSON.stringify(failure(id, { _tag: "Fail", error: { _tag: "CommandNotFound", command: "x", detail: "" } }))
        }\n`
    ],
    [
      "an error that only the gateway makes",
      stat,
      (id) =>
        `${JSON.stringify(failure(id, { _tag: "Fail", error: { _tag: "NoWorkspaceAgent", reason: "stopped" } }))}\n`
    ],
    [
      "an interruption that nobody asked for",
      stat,
      (id) => `${JSON.stringify(failure(id, { _tag: "Interrupt", fiberId: 1 }))}\n`
    ],
    [
      "a success that is a failure",
      stat,
      (id) =>
        `${JSON.stringify({ _tag: "Exit", requestId: id, exit: { _tag: "Success", value: { _tag: "FileError" } } })}\n`
    ]
  ]

  for (const [name, ask, lie] of lies) {
    live(`${name} is a typed failure of its call, and no matter to others`, () =>
      Effect.gen(function*() {
        const { honest, liar } = yield* meeting(({ id }, agent) => agent.send(lie(id)), {
          shortCall: "1 second",
          fileCall: "1 second",
          mcpCall: "1 second",
          runTimeout: "1 second"
        })
        const exit = yield* Effect.exit(Effect.flip(ask(liar))).pipe(Effect.timeout("8 seconds"))
        if (Exit.isFailure(exit)) return assert.fail(String(exit.cause))
        assert.include(["CallInterrupted", "CallTimedOut"], exit.value._tag)
        yield* honest
      }))
  }

  live("names of what every object has are names like others, in results and errors", () =>
    Effect.gen(function*() {
      const names = "{\"__proto__\":{\"polluted\":true},\"constructor\":{\"prototype\":{\"polluted\":true}}}"
      const { honest, liar } = yield* meeting(({ id }, agent) =>
        agent.send(`${JSON.stringify(success(id, result("names"))).replace("\"names\"", names)}\n`)
      )
      const answer = yield* mcp(liar).call({ server: "s", tool: "t", arguments: {} })
      assert.deepStrictEqual(JSON.stringify(answer.structured), names)
      assert.isUndefined(Reflect.get({}, "polluted"))
      yield* honest
    }))
})

describe("frames", () => {
  const broken: ReadonlyArray<readonly [string, (agent: h.ScriptedAgent) => void]> = [
    [
      "of text that is not UTF-8",
      (agent) => agent.socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x0a]), { binary: false })
    ],
    ["of bytes that are not UTF-8", (agent) => agent.socket.send(Buffer.from([0xc3, 0x28, 0x0a]))],
    [
      "of bytes that are not UTF-8 within a text of JSON",
      (agent) =>
        agent.socket.send(Buffer.concat([Buffer.from("{\"_tag\":\""), Buffer.from([0x80]), Buffer.from("\"}\n")]))
    ],
    [
      "with half of a character at the end of a line",
      (agent) => agent.socket.send(Buffer.from([0x22, 0xe2, 0x82, 0x0a]))
    ],
    ["that the protocol of sockets forbids", (agent) => {
      // An unmasked frame with a reserved bit.
      const { _socket: socket } = agent.socket as unknown as { readonly _socket: { write: (bytes: Buffer) => void } }
      socket.write(Buffer.from([0xf3, 0x01, 0x00]))
    }]
  ]

  for (const [name, say] of broken) {
    live(`${name} end their session, and no call of another`, () =>
      Effect.gen(function*() {
        const { agent, honest, liar } = yield* meeting(() => undefined)
        say(agent)
        yield* Effect.timeout(liar.closed, "5 seconds")
        assert.include([1002, 1006, 1007, Protocol.CloseCode.violation], (yield* agent.closed).code)
        yield* honest
      }))
  }

  live("that come a byte at a time are one, and hold up nobody", () =>
    Effect.gen(function*() {
      const { agent, honest, liar } = yield* meeting(() => undefined)
      const call = yield* Effect.forkChild(liar.files.stat("/"))
      yield* h.until(() => agent.requests.length === 2)
      const id = agent.requests[1]?.id ?? -1
      for (const byte of Buffer.from(`${JSON.stringify(success(id, folder))}\n`)) agent.socket.send(Buffer.of(byte))
      yield* honest
      assert.strictEqual((yield* Fiber.join(call)).type, "directory")
    }))

  live("without end or content cost a session nothing but themselves", () =>
    Effect.gen(function*() {
      const { agent, honest, liar } = yield* meeting(({ id }, agent) => agent.answer(id, folder))
      for (let count = 0; count < 20_000; count++) agent.socket.send("")
      for (let count = 0; count < 2000; count++) agent.socket.send("\n".repeat(100))
      yield* honest
      yield* liar.files.stat("/")
    }))
})
