/**
 * What an agent answers, as the gateway takes it: from the hello to the result of a call, over a socket in memory.
 *
 * Whatever comes, the call ends within its deadline, with an answer or with an error that its type names; what is no
 * answer at all is answered by a close with a code of the protocol; and nothing is left of the link.
 */
import { Cause, Effect, Exit, Layer, Logger, Queue, Redacted, Stream } from "effect"
import { HttpServerRequest } from "effect/http"
import { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import type { AgentConnection } from "../../../src/agent/index.ts"
import { AgentGateway, AgentTransport, GatewayConfig, Protocol } from "../../../src/agent/index.ts"
import { AgentId, NodeId, OperationId } from "../../../src/domain/Ids.ts"
import { AgentToken } from "../../../src/domain/index.ts"
import { AgentPresence } from "../../../src/store/index.ts"
import type { Chance } from "./Chance.ts"
import * as Fuzz from "./Fuzz.ts"
import * as Mutation from "./Mutation.ts"

const agentId = AgentId.make("agent")
const token = Redacted.value(
  AgentToken.format({ agentId, secret: Redacted.make(new Uint8Array(AgentToken.secretLength)) })
)

/** Knows one agent, and attaches it again and again. */
const layerPresence = Layer.sync(AgentPresence.AgentPresence, () => {
  let epoch = 0
  return AgentPresence.AgentPresence.of({
    verify: ({ agentId }) => Effect.succeed(agentId),
    attach: () => Effect.sync(() => ({ epoch: ++epoch, previous: null })),
    beat: ({ sessions }) =>
      Effect.succeed({ verdicts: new Map(sessions.map(({ agentId }) => [agentId, "valid"])), elsewhere: [] }),
    report: () => Effect.void,
    detach: () => Effect.void
  })
})

/** An error in the log is a defect that somebody swallowed. */
const complaints: Array<string> = []

const layer = Layer.mergeAll(
  AgentGateway.layerTransport({ nodeId: NodeId.make("node") }).pipe(
    Layer.provide(layerPresence),
    Layer.provide(GatewayConfig.layer({ conflictChanges: 1_000_000_000, incompatibleFor: 0, settle: 0 }))
  )
).pipe(Layer.provideMerge(Layer.merge(
  TestClock.layer(),
  Logger.layer([Logger.make(({ cause, logLevel, message }) => {
    if (logLevel === "Error" || logLevel === "Fatal") complaints.push(`${String(message)} ${Cause.pretty(cause)}`)
  })])
)))

const bytes = Buffer.from("some output").toString("base64")
const stat = { name: "x", type: "file", size: 3, modifiedAtMillis: 5, mode: 420 }
const exited = { _tag: "Exited", end: 11, code: 0, signal: null }

const refusals: ReadonlyArray<Mutation.Json> = [
  { _tag: "FileError", path: "x", reason: "notFound", detail: "it is not there", changed: [] },
  { _tag: "FileChanged", path: "x" },
  { _tag: "AgentBusy", limit: "64 calls in flight" },
  { _tag: "CommandNotFound", command: "x", detail: "not found in PATH" },
  { _tag: "OperationRefused", operationId: "op", reason: "conflict" },
  { _tag: "McpRefused", server: "s", tool: "t", reason: "noTool", detail: null }
]

/** What an honest agent says to each call: chunks, then the value of its exit. */
const honest: Readonly<
  Record<string, { readonly chunks: ReadonlyArray<Mutation.Json>; readonly value: Mutation.Json }>
> = {
  Start: { chunks: [], value: { _tag: "Running", end: 0 } },
  Follow: { chunks: [{ _tag: "Data", offset: 0, stream: "stdout", bytes }, exited], value: null },
  Outcome: { chunks: [], value: { _tag: "Process", state: exited } },
  Processes: { chunks: [], value: [{ id: "op", argv: ["x"], state: exited, ageMillis: 5 }] },
  Signal: { chunks: [], value: exited },
  Kill: { chunks: [], value: { _tag: "Killed" } },
  Read: {
    chunks: [{ _tag: "Head", size: 11, version: "v" }, { _tag: "Part", bytes }],
    value: null
  },
  Put: { chunks: [], value: null },
  Write: { chunks: [], value: "v" },
  Edit: { chunks: [], value: ["v"] },
  Stat: { chunks: [], value: stat },
  List: { chunks: [], value: { entries: [stat], truncated: false } },
  Move: { chunks: [], value: null },
  Lifecycle: { chunks: [{ lifecycle: "starting" }, { lifecycle: "ready" }], value: null },
  McpTools: {
    chunks: [
      { _tag: "Server", name: "s", state: "ready", reason: null },
      { _tag: "Tool", tool: { name: "t", description: "d", inputSchema: { type: "object" }, readOnly: true } }
    ],
    value: null
  },
  McpCall: {
    chunks: [],
    value: {
      content: [{ _tag: "Text", text: "x" }, { _tag: "Image", mimeType: "image/png", bytes }],
      isError: false,
      structured: { a: [1] },
      truncated: false
    }
  }
}

const hello = {
  protocol: Protocol.name,
  version: Protocol.version,
  incarnation: "incarnation",
  features: ["run", "processes", "files", "directories", "mcp", Protocol.lifecycleWord],
  program: "fuzz"
}

const success = (requestId: number, value: Mutation.Json): Mutation.Json => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Success", value }
})

/** What this agent says to a request, before anything of it is changed. */
const answers = (chance: Chance, id: number, tag: string): ReadonlyArray<Mutation.Json> => {
  if (tag === "Hello") return [success(id, hello)]
  const { chunks, value } = honest[tag] ?? { chunks: [], value: null }
  if (chance.sometimes(0.1)) {
    const cause = chance.sometimes(0.8)
      ? { _tag: "Fail", error: chance.pick(refusals) }
      : { _tag: "Die", defect: "broken" }
    return [{ _tag: "Exit", requestId: id, exit: { _tag: "Failure", cause: [cause] } }]
  }
  if (chunks.length === 0) return [success(id, value)]
  const together = chance.sometimes(0.5)
  const told = together ? [chunks] : chunks.map((chunk) => [chunk])
  return [...told.map((values) => ({ _tag: "Chunk", requestId: id, values })), success(id, value)]
}

const op = OperationId.make("op")

type Ask = (connection: AgentConnection.AgentConnection) => Effect.Effect<unknown, unknown>

const calls: ReadonlyArray<Ask> = [
  ({ processes }) => processes.run({ id: op, argv: ["x"] }),
  ({ processes }) => processes.start({ id: op, argv: ["x"] }),
  ({ processes }) => processes.output(op),
  ({ processes }) => Stream.runDrain(processes.follow(op)).pipe(Effect.timeoutOption("50 seconds")),
  ({ processes }) => processes.list,
  ({ processes }) => processes.signal(op, "SIGTERM"),
  ({ files }) => files.read("x", { limit: 100 }),
  ({ files }) => files.write({ id: op, path: "x", bytes: new Uint8Array(3) }),
  ({ files }) => files.edit({ id: op, files: [{ path: "x", edits: [{ find: "a", replace: "b" }] }] }),
  ({ files }) => files.stat("x"),
  ({ files }) => files.list("x"),
  ({ mcp }) => mcp?.tools() ?? Effect.void,
  ({ mcp }) => mcp?.call({ server: "s", tool: "t", arguments: {} }) ?? Effect.void
]

const named: ReadonlySet<string> = new Set([
  "AgentBusy",
  "CallInterrupted",
  "CallTimedOut",
  "CommandNotFound",
  "FileChanged",
  "FileError",
  "McpRefused",
  "OperationRefused",
  "Unsupported"
])

const isNamed = (reason: Cause.Reason<unknown>): boolean =>
  Cause.isFailReason(reason) && typeof reason.error === "object" && reason.error !== null && "_tag" in reason.error &&
  named.has(String(reason.error._tag))

const codes: ReadonlySet<number> = new Set(Object.values(Protocol.CloseCode))

/** An agent on a socket in memory, which lies as chance has it. */
const liar = (chance: Chance) => {
  const inbox = Effect.runSync(Queue.unbounded<Uint8Array, Socket.SocketError>())
  const gone = new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1006, closeReason: "gone" }) })
  const leave = () => void Queue.failCauseUnsafe(inbox, Cause.fail(gone))
  const closed: Array<number> = []
  const isHonest = chance.sometimes(0.2)
  const said: Array<Uint8Array> = []
  const send = (frame: Uint8Array): void => {
    said.push(frame)
    for (const part of Mutation.torn(chance, frame)) Queue.offerUnsafe(inbox, part)
  }
  const say = (json: Mutation.Json): void =>
    send(isHonest ? Buffer.from(`${JSON.stringify(json)}\n`) : Mutation.frame(chance, json))
  const hear = (chunk: Uint8Array | string | Socket.CloseEvent): void => {
    if (Socket.isCloseEvent(chunk)) {
      closed.push(chunk.code)
      return leave()
    }
    const text = typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)
    for (const line of text.split("\n").filter((line) => line !== "")) {
      const message: { readonly _tag: string; readonly id: number; readonly tag: string } = JSON.parse(line)
      if (message._tag === "Ping") say({ _tag: "Pong" })
      if (message._tag !== "Request") continue
      // Mostly a true hello, or nothing behind it would ever be reached.
      if (message.tag === "Hello" && chance.sometimes(0.9)) {
        send(Buffer.from(`${JSON.stringify(success(message.id, hello))}\n`))
        continue
      }
      for (const answer of answers(chance, message.id, message.tag)) say(answer)
      if (!isHonest && chance.sometimes(0.2)) say(chance.pick(answers(chance, chance.below(5), chance.pick(tags))))
    }
  }
  const socket = Socket.make({
    reader: Effect.as(Effect.addFinalizer(() => Effect.sync(leave)), {
      pull: Effect.map(Queue.take(inbox), (frame) => [frame] as const),
      upgrade: () => Effect.void
    }),
    writer: Effect.succeed({
      write: (chunk) => Effect.sync(() => hear(chunk)),
      writeAll: (chunks) => Effect.sync(() => chunks.forEach(hear))
    })
  })
  return { socket, closed, leave, isHonest, isGarbage: () => said.length > 0 && hasGarbage(Buffer.concat(said)) }
}

const answerTags: ReadonlySet<unknown> = new Set(["Chunk", "Exit", "Pong"])

/** Whether a whole line of this is no answer at all. */
const hasGarbage = (bytes: Uint8Array): boolean =>
  new TextDecoder().decode(bytes).split("\n").slice(0, -1).some((line) => {
    const text = line.endsWith("\r") ? line.slice(0, -1) : line
    if (text === "") return false
    try {
      const message: unknown = JSON.parse(text)
      return typeof message !== "object" || message === null || !("_tag" in message) || !answerTags.has(message._tag)
    } catch {
      return true
    }
  })

const tags = Object.keys(honest)

const request = (socket: Socket.Socket): HttpServerRequest.HttpServerRequest => {
  const web = new Request("http://gateway/agent", {
    headers: { "sec-websocket-protocol": Protocol.subprotocol, authorization: `Bearer ${token}` }
  })
  return Object.create(HttpServerRequest.fromWeb(web), { upgrade: { value: Effect.succeed(socket) } })
}

const play = Effect.fnUntraced(function*(chance: Chance) {
  const gateway = yield* AgentGateway.AgentGateway
  const transport = yield* AgentTransport.AgentTransport
  complaints.length = 0
  const { closed, isGarbage, isHonest, leave, socket } = liar(chance)
  const ask = chance.pick(calls)
  const link = yield* Effect.forkChild(
    Effect.provideService(gateway.accept, HttpServerRequest.HttpServerRequest, request(socket)),
    { startImmediately: true }
  )
  const call = yield* Effect.forkChild(
    Effect.scoped(Effect.flatMap(transport.dial(agentId), ask)),
    { startImmediately: true }
  )
  yield* TestClock.adjust(0)
  leave()
  // Beyond each deadline: by now everything has ended, or never will.
  if (call.pollUnsafe() === undefined) yield* TestClock.adjust("61 seconds")
  yield* TestClock.adjust("1 second")
  const exit = call.pollUnsafe()
  // Who never became a session is still waited for.
  const waiting = transport.describe?.(agentId).waiters.length ?? 0
  if (exit === undefined && waiting === 0) return yield* Effect.die(new Error("The call did not end"))
  if (exit !== undefined && Exit.isFailure(exit) && !exit.cause.reasons.every(isNamed)) {
    return yield* Effect.failCause(exit.cause)
  }
  if (isHonest && exit === undefined) return yield* Effect.die(new Error("An honest agent was not taken"))
  call.interruptUnsafe()
  yield* TestClock.adjust("1 second")
  if (link.pollUnsafe() === undefined) return yield* Effect.die(new Error("The link did not end"))
  if (isGarbage() && closed.length === 0) return yield* Effect.die(new Error("Garbage was not answered by a close"))
  const wrong = closed.filter((code) => !codes.has(code))
  if (wrong.length > 0) return yield* Effect.die(new Error(`Closed with ${wrong.join()}`))
  if (complaints.length > 0) return yield* Effect.die(new Error(complaints.join("\n")))
  const view = transport.describe?.(agentId)
  if (view?.session !== null || view.calls.length + view.waiters.length > 0) {
    return yield* Effect.die(new Error(`Something is left: ${JSON.stringify(view)}`))
  }
})

export const target = Fuzz.scoped(
  "gateway-frames",
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => (chance) => Effect.provideContext(play(chance), context))
)
