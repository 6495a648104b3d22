/** A TCP proxy before the gateway whose links can be cut, muted, refused and led elsewhere. */
import { Effect } from "effect"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"

/** `cut` with `reset` is a RST, without it a FIN; both ends what goes through now. `mute` swallows what clients say. */
export const cuttable = Effect.fnUntraced(function*(target: number) {
  const pairs = new Set<readonly [Socket, Socket]>()
  let to = target
  let muted = false
  let blocked = false
  const server = createServer((client) => {
    if (blocked) {
      client.destroy()
      return
    }
    const upstream = connect(to, "127.0.0.1")
    const pair = [client, upstream] as const
    pairs.add(pair)
    client.on("data", (data) => {
      if (!muted) upstream.write(data)
    })
    upstream.on("data", (data) => client.write(data))
    for (const [one, other] of [pair, [upstream, client] as const]) {
      one.on("error", () => undefined)
      one.on("end", () => other.end())
      one.on("close", () => {
        pairs.delete(pair)
        other.destroy()
      })
    }
  })
  yield* Effect.callback<void>((resume) => {
    server.listen(0, "127.0.0.1", () => resume(Effect.void))
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const [client, upstream] of pairs) {
        client.destroy()
        upstream.destroy()
      }
      server.close()
    })
  )
  return {
    port: (server.address() as AddressInfo).port,
    cut: (reset: boolean) =>
      Effect.sync(() => {
        muted = false
        for (const pair of pairs) {
          for (const socket of pair) {
            if (reset) socket.resetAndDestroy()
            else socket.end()
          }
        }
      }),
    mute: (on: boolean) =>
      Effect.sync(() => {
        muted = on
      }),
    block: (on: boolean) =>
      Effect.sync(() => {
        blocked = on
      }),
    redirect: (port: number) =>
      Effect.sync(() => {
        to = port
      })
  }
})
