/**
 * Calls and streams through the gateway, against a raw WebSocket with the same payload in the same run.
 *
 * The raw one is what is written by hand: JSON with ids for requests, binary frames for bytes. Neither has flow control,
 * deadlines, typed errors, or answers that are checked.
 */
import { WebSocketServer } from "@effect/platform-node/NodeWS"
import type { WebSocket } from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { writeFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import type { AgentConnection } from "../src/agent/AgentConnection.ts"
import * as AgentGateway from "../src/agent/AgentGateway.ts"
import * as b from "./backend.ts"
import * as h from "./harness.ts"
import type * as Agents from "./peers/agents.ts"
import * as Peer from "./peers/peer.ts"
import type * as Raw from "./peers/raw.ts"

/** A name that makes request and answer some 200 bytes long. */
export const fileName = `${"a-file-with-a-long-name-".repeat(5)}.txt`

/** What a stat of it is answered with. */
const answer = { name: fileName, type: "file", size: 12_345, modifiedAtMillis: 1_764_000_000_000.5, mode: 0o644 }

const mebibyte = 1024 * 1024

/** The raw side here: as a server, since agents dial in. */
export const rawSocket = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocketServer({ port: 0, host: "127.0.0.1" })),
    (server) => Effect.sync(() => server.close())
  )
  yield* Effect.callback<void>((resume) => void server.once("listening", () => resume(Effect.void)))
  const { port } = server.address() as AddressInfo
  const peer = yield* Peer.start<Raw.Command>("raw")
  const accepted = yield* Effect.forkChild(
    Effect.callback<WebSocket>((resume) => {
      server.once("connection", (socket: WebSocket) => resume(Effect.succeed(socket)))
    }),
    { startImmediately: true }
  )
  yield* peer.ask({ url: `ws://127.0.0.1:${port}` })
  const socket = yield* Fiber.join(accepted)

  let last = 0
  const waiting = new Map<number, (payload: unknown) => void>()
  let bytes: ((count: number) => void) | undefined
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    if (isBinary) return bytes?.(data.length)
    const message: { readonly id: number; readonly payload: unknown } = JSON.parse(data.toString())
    waiting.get(message.id)?.(message.payload)
    waiting.delete(message.id)
  })
  const send = (message: Raw.Message): void => socket.send(JSON.stringify(message))
  return {
    request: (payload: unknown, answer: unknown): Promise<unknown> =>
      new Promise((resolve) => {
        const id = ++last
        waiting.set(id, resolve)
        send({ id, payload, answer })
      }),
    /** Takes `size` bytes of a file. */
    receive: (file: string, size: number, chunk: number): Promise<void> =>
      new Promise((resolve) => {
        let left = size
        bytes = (count) => {
          left -= count
          if (left <= 0) resolve()
        }
        send({ file, chunk })
      })
  }
})

/** A gateway with the agent program and a peer that answers by hand, both dialed. */
const gateway = Effect.gen(function*() {
  const node = yield* b.serve(AgentGateway.layerTransport())
  const [real, cheap] = yield* b.enroll(2)
  if (real === undefined || cheap === undefined) return yield* Effect.die("no agents")
  const program = yield* b.startProgram(yield* b.programFile, node.url, real.token)
  const agents = yield* Peer.start<Agents.Command>("agents")
  yield* agents.ask({ _tag: "Dial", url: node.url, tokens: [cheap.token] })
  return {
    program: yield* node.transport.dial(real.agentId),
    byHand: yield* node.transport.dial(cheap.agentId),
    directory: program.directory
  }
}).pipe(Effect.provide(b.layerStores))

const megabytesPerSecond = (millis: number, transfer: Effect.Effect<number, unknown>) =>
  Effect.suspend(() => {
    const begin = performance.now()
    let bytes = 0
    return Effect.tap(transfer, (count) =>
      Effect.sync(() => {
        bytes += count
      })).pipe(
        Effect.repeat({ while: () => performance.now() - begin < millis }),
        Effect.map(() => bytes / (performance.now() - begin) / 1000)
      )
  })

/** Follows a command that writes without end, as long as it is followed. */
const outputPerSecond = (connection: AgentConnection, millis: number) =>
  Effect.gen(function*() {
    const id = b.operation()
    yield* connection.processes.start({ id, argv: ["yes", "a line of output that is as long as many are"] })
    let bytes = 0
    let dropped = 0
    const begin = performance.now()
    yield* Stream.runForEachWhile(connection.processes.follow(id), (event) =>
      Effect.sync(() => {
        if (event._tag === "Data") bytes += event.bytes.length
        if (event._tag === "Gap") dropped += event.to - event.from
        return performance.now() - begin < millis
      }))
    const taken = performance.now() - begin
    yield* connection.processes.signal(id, "SIGKILL")
    return { perSecond: bytes / taken / 1000, dropped: dropped / (bytes + dropped) }
  })

const calls = Effect.fnUntraced(function*(
  callers: number,
  { quick }: h.Options,
  raw: Effect.Success<typeof rawSocket>,
  { byHand, program }: Effect.Success<typeof gateway>
) {
  const millis = quick ? 300 : 1000
  const names = {
    raw: `raw ws, JSON and ids, ${callers} in flight`,
    byHand: "  stat, of a peer that answers by hand",
    list: "  list of processes, of the agent program",
    stat: "  stat, of the agent program"
  }
  const samples = yield* h.takeTurns(quick ? 3 : 9, {
    raw: h.loadPlain(callers, millis, () => raw.request({ path: fileName }, answer)),
    byHand: h.load(callers, millis, byHand.files.stat(fileName)),
    list: h.load(callers, millis, program.processes.list),
    stat: h.load(callers, millis, program.files.stat(fileName))
  })
  return (["raw", "byHand", "list", "stat"] as const).map((name) => [
    names[name],
    h.withSpread(h.spread(samples[name].map(({ perSecond }) => perSecond))),
    h.digits(h.median(samples[name].map(({ p50 }) => p50))),
    h.digits(h.median(samples[name].map(({ p99 }) => p99))),
    h.digits(h.median(samples[name].map(({ cpu }) => cpu))),
    name === "raw" ? "1" : h.withSpread(h.ratios(samples[name], samples.raw, ({ perSecond }) => perSecond))
  ])
})

const streams = Effect.fnUntraced(function*(
  { quick }: h.Options,
  raw: Effect.Success<typeof rawSocket>,
  { directory, program }: Effect.Success<typeof gateway>
) {
  const file = Path.join(directory, "mebibyte")
  writeFileSync(file, Buffer.alloc(mebibyte, "some text that is in a file\n"))
  const millis = quick ? 300 : 1000
  const read = Effect.map(program.files.read("mebibyte"), ({ bytes }) => bytes.length)
  const rawRead = Effect.as(Effect.promise(() => raw.receive(file, mebibyte, 256 * 1024)), mebibyte)
  const dropped: Array<number> = []
  const samples = yield* h.takeTurns(quick ? 3 : 9, {
    raw: megabytesPerSecond(millis, rawRead),
    read: megabytesPerSecond(millis, read),
    reads: megabytesPerSecond(
      millis,
      Effect.map(Effect.forEach([1, 2, 3, 4], () => read, { concurrency: "unbounded" }), (all) => all.length * mebibyte)
    ),
    output: Effect.map(outputPerSecond(program, millis), (output) => {
      dropped.push(output.dropped)
      return output.perSecond
    })
  })
  const row = (what: string, name: keyof typeof samples) => [
    what,
    h.withSpread(h.spread(samples[name])),
    name === "raw" ? "1" : h.withSpread(h.ratios(samples[name], samples.raw, (value) => value))
  ]
  return [
    row("raw ws, a file of 1 MiB in binary frames of 256 KiB", "raw"),
    row("  files.read of it", "read"),
    row("  four of them at once", "reads"),
    row(`  follow of a command that never stops writing (${h.digits(h.median(dropped) * 100)} % dropped)`, "output")
  ]
})

export const run = (options: h.Options): Effect.Effect<h.Report, unknown> =>
  Effect.scoped(Effect.gen(function*(): Effect.fn.Return<h.Report, unknown, Scope.Scope> {
    const raw = yield* rawSocket
    const through = yield* gateway
    writeFileSync(Path.join(through.directory, fileName), "content")
    // A line of the list is as long as the answer to a stat.
    yield* through.program.processes.run({ id: b.operation(), argv: ["true", fileName] })
    const blank = ["", "", "", "", "", ""]
    return {
      rows: [
        ["call, an answer of some 200 bytes", "calls/s", "p50 ms", "p99 ms", "CPU µs here", "of raw ws"],
        ...(yield* calls(1, options, raw, through)),
        ...(yield* calls(64, options, raw, through)),
        blank,
        ["stream", "MB/s", "", "", "", "of raw ws"],
        ...(yield* streams(options, raw, through)).map(([what, perSecond, ratio]) => [
          what ?? "",
          perSecond ?? "",
          "",
          "",
          "",
          ratio ?? ""
        ])
      ],
      notes: ["aim: 0.33 of raw ws at 64 in flight"],
      failures: []
    }
  }))
