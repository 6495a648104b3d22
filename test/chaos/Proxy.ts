/** A TCP proxy whose links can be cut, refused, delayed, and silenced in the ways in which real ones fall silent. */
import { Effect, Redacted, type Scope } from "effect"
import { connect, createServer } from "node:net"
import type { AddressInfo, NetConnectOpts, Socket } from "node:net"

export interface Proxy {
  readonly port: number
  /** Ends what goes through now: with `reset` a RST, without it a FIN. */
  readonly cut: (reset: boolean) => void
  /** Ends every new link at once. */
  readonly refuse: (on: boolean) => void
  /** Holds everything back so much longer, in its order. */
  readonly delay: (millis: number) => void
  /** The links that are whole fall silent for ever, and neither side hears that the other has left. New ones go through. */
  readonly halfOpen: () => void
  /** All links are silent, new ones too; in the end they are reset, since what was sent meanwhile is lost. */
  readonly silence: (on: boolean) => void
  /** Sockets that are open. */
  readonly sockets: () => number
}

/** A link that is `deaf` stays so until one of its ends is gone; one that is `silenced` is reset in the end. */
interface Link {
  readonly sockets: Set<Socket>
  state: "whole" | "deaf" | "silenced"
}

/** Where to is asked at each new link; nowhere is a refusal. Everything takes `distance` milliseconds, also without a fault. */
export const make = (to: () => NetConnectOpts | undefined, distance = 0): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const links = new Set<Link>()
    const sockets = new Set<Socket>()
    let held = distance
    let refusing = false
    let silent = false

    const own = (socket: Socket): Socket => {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => undefined)
      return socket.on("close", () => sockets.delete(socket))
    }

    const pump = (link: Link, from: Socket, into: Socket): void => {
      const queue: Array<{ readonly at: number; readonly act: () => void }> = []
      const drain = (): void => {
        while (queue[0] !== undefined && queue[0].at <= performance.now()) queue.shift()?.act()
        if (queue[0] !== undefined) setTimeout(drain, Math.ceil(queue[0].at - performance.now()))
      }
      const pass = (act: () => void): void => {
        if (link.state !== "whole") return
        const at = held === 0 && queue.length === 0 ? 0 : performance.now() + held
        queue.push({ at, act: () => link.state === "whole" && act() })
        if (queue.length === 1) drain()
      }
      from.on("data", (data) => pass(() => into.writable && into.write(data)))
      from.on("end", () => pass(() => into.end()))
      from.on("close", () => pass(() => into.destroy()))
    }

    const server = createServer({ allowHalfOpen: true }, (client) => {
      own(client)
      const target = refusing ? undefined : to()
      if (target === undefined) {
        reset(client)
        return
      }
      const link: Link = { sockets: new Set([client]), state: silent ? "silenced" : "whole" }
      links.add(link)
      const leave = (socket: Socket) => () => {
        link.sockets.delete(socket)
        if (link.sockets.size === 0) links.delete(link)
      }
      client.on("close", leave(client))
      // Read, so that its end is seen.
      if (silent) {
        client.resume().on("end", () => client.destroy())
        return
      }
      const upstream = own(connect({ ...target, allowHalfOpen: true }))
      link.sockets.add(upstream)
      upstream.on("close", leave(upstream))
      pump(link, client, upstream)
      pump(link, upstream, client)
    })

    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )

    const cut = (which: Link["state"], abrupt: boolean): void => {
      for (const { sockets, state } of links) {
        if (state !== which) continue
        for (const socket of sockets) {
          if (abrupt) reset(socket)
          else socket.end().destroySoon()
        }
      }
    }
    const hush = (state: Link["state"]): void => {
      for (const link of links) {
        if (link.state !== "whole") continue
        link.state = state
        // What one side hears of the other ends here; its own end still frees it.
        for (const socket of link.sockets) socket.on("end", () => socket.destroy())
      }
    }
    return {
      port: (server.address() as AddressInfo).port,
      cut: (abrupt) => cut("whole", abrupt),
      refuse: (on) => {
        refusing = on
      },
      delay: (millis) => {
        held = distance + millis
      },
      halfOpen: () => hush("deaf"),
      silence: (on) => {
        silent = on
        if (on) hush("silenced")
        else cut("silenced", true)
      },
      sockets: () => sockets.size
    }
  })

/** A socket of the file system knows no reset. */
const reset = (socket: Socket): unknown => socket.localPort === undefined ? socket.destroy() : socket.resetAndDestroy()

/** Where the server of a PostgreSQL url listens. */
export const databaseAt = (url: Redacted.Redacted<string>): NetConnectOpts => {
  const { hostname, port, searchParams } = new URL(Redacted.value(url))
  const folder = searchParams.get("host")
  const at = port === "" ? 5432 : Number(port)
  return folder?.startsWith("/") === true ? { path: `${folder}/.s.PGSQL.${at}` } : { host: hostname, port: at }
}

/** The same database, through a proxy. */
export const through = (url: Redacted.Redacted<string>, { port }: Proxy): Redacted.Redacted<string> => {
  const led = new URL(Redacted.value(url))
  led.host = `127.0.0.1:${port}`
  led.search = ""
  return Redacted.make(led.toString())
}
