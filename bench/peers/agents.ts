/**
 * Agents of the cheapest kind: sockets that speak the protocol by hand. Many in one process, each with the back-off of the
 * agent program.
 */
import { WebSocket } from "@effect/platform-node/NodeWS"
import * as Protocol from "../../src/agent/Protocol.ts"
import * as Lines from "./lines.ts"

/** `Dial` comes back when it has begun; `Drop` ends all sockets at once, as when a network was lost. */
export type Command =
  | { readonly _tag: "Dial"; readonly url: string; readonly tokens: ReadonlyArray<string>; readonly mute?: boolean }
  | { readonly _tag: "Drop" }
  | { readonly _tag: "Seen" }

export interface Seen {
  readonly open: number
  readonly attempts: number
}

const sockets = new Set<WebSocket>()
const seen = { open: 0, attempts: 0 }

const stat = { name: "", type: "file", size: 12_345, modifiedAtMillis: 1_764_000_000_000.5, mode: 0o644 }

const valueOf = (tag: string, payload: { readonly path?: string }, incarnation: string): unknown => {
  switch (tag) {
    case "Hello":
      return {
        protocol: Protocol.name,
        version: Protocol.version,
        incarnation,
        features: ["run", "processes", "files", "directories", "mcp", Protocol.lifecycleWord],
        program: "bench"
      }
    case "Stat":
      return { ...stat, name: payload.path }
    case "Processes":
      return []
    default:
      return undefined
  }
}

const backOff = { first: 200, cap: 5000 }

const dial = (url: string, token: string, mute: boolean, incarnation: string, failures: number): void => {
  seen.attempts += 1
  const socket = new WebSocket(url, Protocol.subprotocol, { headers: { authorization: `Bearer ${token}` } })
  let greeted = false
  const send = (message: unknown): void => socket.send(`${JSON.stringify(message)}\n`)
  sockets.add(socket)
  socket.on("error", () => undefined)
  socket.on("unexpected-response", () => socket.terminate())
  socket.on("close", () => {
    sockets.delete(socket)
    if (greeted) seen.open -= 1
    const after = greeted ? 0 : failures + 1
    const delay = Math.random() * Math.min(backOff.cap, backOff.first * 2 ** after)
    setTimeout(() => dial(url, token, mute, incarnation, after), delay)
  })
  socket.on("message", (data: Buffer) => {
    for (const line of data.toString().split("\n")) {
      if (line === "") continue
      const message: {
        readonly _tag: string
        readonly id: number
        readonly tag: string
        readonly payload: { readonly path?: string }
      } = JSON.parse(line)
      if (message._tag === "Ping") send({ _tag: "Pong" })
      if (message._tag !== "Request" || (mute && message.tag !== "Hello")) continue
      if (message.tag === "Hello") {
        greeted = true
        seen.open += 1
      }
      // A stream that stays open as long as the link, as that of the agent program does.
      if (message.tag === "Lifecycle") {
        send({ _tag: "Chunk", requestId: message.id, values: [{ lifecycle: "ready" }] })
        continue
      }
      const value = valueOf(message.tag, message.payload, incarnation)
      send({ _tag: "Exit", requestId: message.id, exit: { _tag: "Success", value } })
    }
  })
}

Lines.serve<Command>(async (command) => {
  if (command._tag === "Dial") {
    command.tokens.forEach((token, index) =>
      dial(command.url, token, command.mute === true, `${process.pid}-${index}`, 0)
    )
  }
  if (command._tag === "Drop") { for (const socket of sockets) socket.terminate() }
  return seen
})
