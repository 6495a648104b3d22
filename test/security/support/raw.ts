/** Clients that speak bytes: what a stranger sends is not what a library would. */
import { Context, Deferred, Effect, Layer, Redacted } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { connect } from "node:net"
import type { Socket } from "node:net"
import { AgentGateway, Protocol } from "../../../src/agent/index.ts"
import * as GatewayServer from "../../../src/cli/GatewayServer.ts"
import type * as h from "../../agent/support/harness.ts"

/** The gateway behind the server that the command line makes, with its limits; answers its port. */
export const serve = Effect.fnUntraced(function*(gateway: Context.Context<AgentGateway.AgentGateway>) {
  const context = yield* Layer.build(
    HttpRouter.serve(AgentGateway.layerRoute(), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(GatewayServer.layer({ host: "127.0.0.1", port: 0 })),
      Layer.provide(Layer.succeedContext(gateway))
    )
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  return "port" in address ? address.port : yield* Effect.die(new Error("no port"))
})

/** The head of a request for the upgrade, whole. */
export const upgrade = (token: string | undefined, more = ""): string =>
  [
    "GET /agent HTTP/1.1",
    "host: gateway",
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    `sec-websocket-protocol: ${Protocol.subprotocol}`,
    ...(token === undefined ? [] : [`authorization: Bearer ${token}`]),
    `${more}\r\n`
  ].join("\r\n")

export interface Raw {
  readonly socket: Socket
  /** What came so far, a character for each byte. */
  readonly text: () => string
  readonly closed: Effect.Effect<void>
}

/** Opens a socket and sends what is given; it is destroyed with the scope, without waiting in the system. */
export const open = Effect.fnUntraced(function*(port: number, ...bytes: ReadonlyArray<string | Uint8Array>) {
  const closed = Deferred.makeUnsafe<void>()
  let text = ""
  const socket = connect({ port, host: "127.0.0.1", noDelay: true })
  socket.on("data", (data) => {
    text += data.toString("latin1")
  })
  socket.on("error", () => undefined)
  socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.resetAndDestroy()))
  for (const each of bytes) socket.write(each)
  return { socket, text: () => text, closed: Deferred.await(closed) } satisfies Raw
})

/** The status that a request is answered with; its socket is gone when this returns. */
export const statusOf = (port: number, request: string): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true })
    let text = ""
    const done = (status: number): void => {
      socket.resetAndDestroy()
      resume(Effect.succeed(status))
    }
    socket.on("error", () => done(0))
    socket.on("close", () => done(0))
    socket.on("data", (data) => {
      text += String(data)
      const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]
      if (status !== undefined) done(Number(status))
    })
    socket.write(request)
    return Effect.sync(() => socket.destroy())
  })

export const tokenOf = ({ token }: h.Enrolled): string => Redacted.value(token)
