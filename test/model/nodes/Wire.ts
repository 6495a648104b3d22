/**
 * A socket between an agent and a node. Frames arrive in order, each as a step of the machine they arrive at; the network
 * can lose the socket for both sides, or swallow everything and tell nobody.
 */
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type { Machine } from "./Machines.ts"

const gone = Effect.fail(
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1006, closeReason: "gone" }) })
)

type Pull = Effect.Effect<readonly [string], Socket.SocketError>

/** The side of the agent. */
export interface Peer {
  readonly onFrame: (line: string) => void
  /** The socket is gone; the code is there when the node said why. */
  readonly onClosed: (code: number | undefined) => void
}

export class Wire {
  /** Nothing arrives any more, and neither side is told. */
  silent = false
  /** The same, but only for what the agent sends. */
  mute = false
  /** As the agent sees it. */
  open = true
  private nodeOpen = true
  private reading = true
  private readonly toAgent: Array<string> = []
  private readonly toNode: Array<string> = []
  private readonly arrived: Array<string> = []
  private waiting: ((pull: Pull) => void) | undefined
  private readonly peer: Peer
  private readonly agent: Machine
  readonly node: Machine

  constructor(agent: Machine, node: Machine, peer: Peer) {
    this.agent = agent
    this.node = node
    this.peer = peer
  }

  /** The side of the node. */
  readonly socket: Socket.Socket = Socket.make({
    reader: Effect.as(
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          this.reading = false
          this.closedByNode(undefined)
        })
      ),
      { pull: Effect.suspend(() => this.pull()), upgrade: () => Effect.void }
    ),
    // As a socket of `effect`: where nobody reads any more, a write waits for its next opening.
    writer: Effect.succeed({
      write: (chunk) => Effect.suspend(() => this.write(chunk) ? Effect.void : Effect.never),
      writeAll: (chunks) =>
        Effect.suspend(() => chunks.every((chunk) => this.write(chunk)) ? Effect.void : Effect.never)
    })
  })

  /** The agent sends a message. */
  send(message: unknown): void {
    if (!this.open || this.silent || this.mute) return
    this.toNode.push(`${JSON.stringify(message)}\n`)
    this.node.post(() => this.arrive())
  }

  /** The agent lets go of the socket. */
  close(): void {
    if (!this.open) return
    this.open = false
    if (!this.silent) this.node.post(() => this.lost())
  }

  /** The network resets the socket, or the process of the node is gone. */
  cut(): void {
    if (this.silent) return
    this.agent.post(() => this.closed(undefined))
    this.node.post(() => this.lost())
  }

  /** The node answered the upgrade with an error, or the gateway closed the socket. */
  closedByNode(code: number | undefined): void {
    if (!this.nodeOpen) return
    this.nodeOpen = false
    this.lost()
    if (!this.silent) this.agent.post(() => this.closed(code))
  }

  private pull(): Pull {
    return this.next() ?? Effect.callback((resume) => {
      // A reader that yielded after it had looked would not hear of what came meanwhile.
      const next = this.next()
      if (next !== undefined) return resume(next)
      this.waiting = resume
      return Effect.sync(() => {
        this.waiting = undefined
      })
    })
  }

  /** What there is to read. */
  private next(): Pull | undefined {
    const frame = this.arrived.shift()
    if (frame !== undefined) return Effect.succeed([frame])
    return this.nodeOpen ? undefined : gone
  }

  private arrive(): void {
    const frame = this.toNode.shift()
    if (frame === undefined || !this.nodeOpen) return
    const { waiting } = this
    this.waiting = undefined
    if (waiting === undefined) this.arrived.push(frame)
    else waiting(Effect.succeed([frame]))
  }

  /** What was sent before is read before the end is seen. */
  private lost(): void {
    if (this.toNode.length > 0) return this.node.post(() => this.lost())
    this.nodeOpen = false
    const { waiting } = this
    this.waiting = undefined
    waiting?.(gone)
  }

  private write(chunk: Uint8Array | string | Socket.CloseEvent): boolean {
    if (!this.reading) return false
    if (Socket.isCloseEvent(chunk)) {
      this.closedByNode(chunk.code)
      return true
    }
    if (this.silent || !this.nodeOpen) return true
    const text = typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)
    for (const line of text.split("\n")) {
      if (line === "") continue
      this.toAgent.push(line)
      this.agent.post(() => {
        const next = this.toAgent.shift()
        if (next !== undefined && this.open) this.peer.onFrame(next)
      })
    }
    return true
  }

  private closed(code: number | undefined): void {
    if (this.toAgent.length > 0 && this.open) return this.agent.post(() => this.closed(code))
    if (!this.open) return
    this.open = false
    this.peer.onClosed(code)
  }
}
