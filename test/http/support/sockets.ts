/** What goes over a socket, byte by byte, as no client should write it. */
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { connect } from "node:net"

export interface Link {
  readonly write: (piece: string | Uint8Array) => Effect.Effect<void>
  /** Nothing more is written; what comes is still read. */
  readonly end: Effect.Effect<void>
  readonly leave: Effect.Effect<void>
  /** All that came, when one of both has closed it. */
  readonly answer: Effect.Effect<string>
}

/** A socket to a server, for the life of the scope. One that does not read leaves what comes where it is. */
export const open = (
  base: string,
  { reads = true }: { readonly reads?: boolean } = {}
): Effect.Effect<Link, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const { hostname, port } = new URL(base)
        const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: false, noDelay: true })
        const closed = Deferred.makeUnsafe<string>()
        let text = ""
        if (reads) socket.on("data", (data) => (text += data.toString("latin1")))
        socket.on("error", () => undefined)
        socket.on("close", () => Deferred.doneUnsafe(closed, Effect.succeed(text)))
        return { socket, closed }
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    ),
    ({ closed, socket }) => ({
      write: (piece) => Effect.sync(() => socket.write(piece)),
      end: Effect.sync(() => socket.end()),
      leave: Effect.sync(() => reads ? socket.destroySoon() : socket.destroy()),
      answer: Deferred.await(closed)
    })
  )

export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
