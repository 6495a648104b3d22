/**
 * Whether NATS, the other nodes and this node itself are alive.
 *
 * NATS tells nobody that the other side has died. So each node asks those that a tunnel leads to for a sign of life, many
 * times a second: the server answers for a node that is gone, and a node that does not answer is frozen: the tunnels to
 * either end. A node asks itself too, by the same way, and so finds out when NATS hangs.
 *
 * The answer counts the tunnels that ended at the node that answers, and whose other end may not know: when it has
 * changed, those that lead there are probed. So no end waits for an answer to what the other has given up.
 *
 * **Gotchas**
 *
 * A node that stood still reads, when it goes on, what was sent to it meanwhile, before any of its timers runs. So what is
 * read is checked against the last tick (`isStale`), and the first tick ends all tunnels that are older than it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { NodeId } from "../domain/Ids.ts"
import { ClusterConfig } from "./ClusterConfig.ts"
import type { Message, Nats } from "./Nats.ts"
import type { Subjects } from "./Subjects.ts"
import type { Cause, Tunnel } from "./Tunnel.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Pulse {
  /** Watches over a tunnel to this node, until what it answers is called. */
  readonly guard: (peer: NodeId, tunnel: Tunnel) => () => void
  /** Whether this node stood still, and has not found out yet. */
  readonly isStale: () => boolean
  /** Whether the connection is there at this moment. */
  readonly isConnected: () => boolean
  /** Whether NATS counts as lost. */
  readonly isLost: () => boolean
  /** Waits until NATS counts as lost. */
  readonly lost: Effect<void>
  /** Waits until it does not. */
  readonly back: Effect<void>
  /** A tunnel has ended here, and its other end may not know. */
  readonly untold: () => void
  /** The tunnels that are watched over. */
  readonly tunnels: () => number
}

type Effect<A> = Effect.Effect<A>

interface Peer {
  readonly tunnels: Set<Tunnel>
  readonly ask: string
  readonly answer: string
  heardAt: number
  /** Its count of ends that it could not tell of, as it was answered last. */
  untold: number | undefined
}

/**
 * Beats for the life of the scope. `onBack` is called when the connection is there again after it was lost, however
 * shortly: what was said meanwhile is lost.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly nodeId: NodeId
  readonly nats: Nats["Service"]
  readonly subjects: Subjects
  readonly onBack: () => void
}): Effect.fn.Return<Pulse, never, Scope.Scope> {
  const config = yield* ClusterConfig
  const clock = yield* Clock.Clock
  const { nats, nodeId, onBack, subjects } = options
  const frozen = Duration.toMillis(config.frozen)
  const brokerGrace = Duration.toMillis(config.brokerGrace)
  const now = () => clock.currentTimeMillisUnsafe()
  const peers = new Map<NodeId, Peer>()
  const byAnswer = new Map<string, Peer>()
  const lost = Latch.makeUnsafe(false)
  const back = Latch.makeUnsafe(true)
  let tickedAt = now()
  let disconnectedAt: number | undefined
  let isLost = false
  let untold = 0

  const peerOf = (peerId: NodeId): Peer => {
    const known = peers.get(peerId)
    if (known !== undefined) return known
    const answer = subjects.answer(nodeId, peerId)
    const peer: Peer = { tunnels: new Set(), ask: subjects.ask(peerId), answer, heardAt: now(), untold: undefined }
    peers.set(peerId, peer)
    byAnswer.set(answer, peer)
    return peer
  }
  const self = peerOf(nodeId)

  const endAll = (tunnels: Iterable<Tunnel>, cause: Cause, detail: string): void => {
    for (const tunnel of Array.from(tunnels)) tunnel.end({ reason: "lost", detail, cause })
  }
  const all = (): Iterable<Tunnel> => Array.from(peers.values()).flatMap(({ tunnels }) => Array.from(tunnels))

  /** From now on silence counts anew. */
  const refresh = (): void => {
    for (const peer of peers.values()) peer.heardAt = now()
  }

  const lose = (): void => {
    if (isLost) return
    isLost = true
    back.closeUnsafe()
    lost.openUnsafe()
    endAll(all(), "broker", "NATS cannot be reached")
  }

  const regain = (): void => {
    refresh()
    isLost = false
    lost.closeUnsafe()
    back.openUnsafe()
    for (const tunnel of all()) tunnel.probe()
    onBack()
  }

  const hear = (message: Message): void => {
    if (message.unheard) {
      // It hears nothing else either: what it subscribes first is this.
      const peer = byAnswer.get(message.subject)
      if (peer !== undefined) endAll(peer.tunnels, "unheard", "the other node is gone")
      return
    }
    if (message.reply !== undefined) return nats.publish(message.reply, encodeCount(untold))
    const peer = byAnswer.get(message.subject)
    if (peer === undefined) return
    peer.heardAt = now()
    const counted = decodeCount(message.data)
    if (counted !== peer.untold) {
      peer.untold = counted
      if (peer !== self) peer.tunnels.forEach((tunnel) => tunnel.probe())
    }
    if (peer === self && isLost && disconnectedAt === undefined) regain()
  }

  const tick = (): void => {
    const at = now()
    const stood = at - tickedAt > frozen
    tickedAt = at
    if (stood) {
      // What others have answered meanwhile is not read yet.
      refresh()
      endAll(all(), "stale", "this node stood still")
    }
    const gone = disconnectedAt === undefined ? at - self.heardAt > frozen : at - disconnectedAt >= brokerGrace
    if (gone) lose()
    if (disconnectedAt !== undefined) return
    nats.publish(self.ask, nothing, self.answer)
    if (isLost) return
    for (const peer of peers.values()) {
      if (peer === self) continue
      if (at - peer.heardAt > frozen) endAll(peer.tunnels, "silent", "the other node is silent")
      else nats.publish(peer.ask, nothing, peer.answer)
    }
  }

  yield* Effect.acquireRelease(
    Effect.sync(() => nats.subscribe(subjects.node(nodeId), hear)),
    (stop) => Effect.sync(stop)
  )
  yield* nats.changes.pipe(
    Stream.runForEach((change) =>
      Effect.sync(() => {
        if (change === "lost") disconnectedAt ??= now()
        else {
          disconnectedAt = undefined
          regain()
        }
      })
    ),
    Effect.forkScoped
  )
  yield* Effect.sync(tick).pipe(
    Effect.andThen(Effect.sleep(config.pulse)),
    Effect.forever,
    Effect.forkScoped
  )

  return {
    guard: (peerId, tunnel) => {
      const peer = peerOf(peerId)
      peer.tunnels.add(tunnel)
      return () => {
        peer.tunnels.delete(tunnel)
        if (peer === self || peer.tunnels.size > 0 || peers.get(peerId) !== peer) return
        peers.delete(peerId)
        byAnswer.delete(peer.answer)
      }
    },
    isStale: () => now() - tickedAt > frozen,
    isConnected: () => disconnectedAt === undefined,
    isLost: () => isLost,
    lost: lost.await,
    back: back.await,
    untold: () => {
      untold = (untold + 1) >>> 0
    },
    tunnels: () => Array.from(peers.values()).reduce((sum, { tunnels }) => sum + tunnels.size, 0)
  }
})

const nothing = new Uint8Array()

const encodeCount = (count: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, count)
  return bytes
}

/** A node of an earlier version counts nothing. */
const decodeCount = (bytes: Uint8Array): number =>
  bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) : 0
