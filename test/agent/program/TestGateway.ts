/**
 * A gateway on a real port that takes every agent: what arrives is a session with a client, and verbs to break it.
 */
import * as NodeWS from "@effect/platform-node/NodeWS"
import { Deferred, Effect, Exit, Queue, Redacted, Schedule, Scope } from "effect"
import { RpcClient, type RpcClientError, RpcSerialization } from "effect/rpc"
import { Socket } from "effect/socket"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { AgentRpcs, frameLimit, type HelloAnswer, NodeId, subprotocol } from "../../../src/agent/Protocol.ts"
import * as AgentToken from "../../../src/domain/AgentToken.ts"
import { AgentId } from "../../../src/domain/Ids.ts"

export type Client = RpcClient.FromGroup<typeof AgentRpcs, RpcClientError.RpcClientError>

export interface Session {
  readonly client: Client
  readonly hello: HelloAnswer
  readonly headers: IncomingHttpHeaders
  readonly protocol: string
  /** The code with which the socket ended. */
  readonly closed: Effect.Effect<number>
  readonly close: (code: number, reason?: string) => Effect.Effect<void>
  /** Ends the connection without a word (RST or FIN, as the system likes). */
  readonly cut: Effect.Effect<void>
  /** Sends a frame as it is. */
  readonly send: (frame: string) => Effect.Effect<void>
}

export interface TestGateway {
  readonly url: string
  /** Agents that said hello, in order. */
  readonly next: Effect.Effect<Session>
  /** Handshakes so far. */
  readonly attempts: () => number
  /** Answers handshakes with this status from now on. */
  readonly refuse: (answer: { readonly status: number; readonly retryAfter?: number } | undefined) => void
  /** Whether it says hello. */
  greet: boolean
}

export const token = AgentToken.format({
  agentId: AgentId.make("agent-1"),
  secret: Redacted.make(new Uint8Array(AgentToken.secretLength).fill(7))
})

export const make: Effect.Effect<TestGateway, never, Scope.Scope> = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const sessions = yield* Queue.unbounded<Session>()
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  let attempts = 0
  let refusal: { readonly status: number; readonly retryAfter?: number } | undefined
  const http = createServer((_, response) => response.writeHead(404).end())
  const sockets = new NodeWS.WebSocketServer({
    noServer: true,
    maxPayload: frameLimit,
    handleProtocols: (offered) => offered.has(subprotocol) && subprotocol
  })
  const gateway: { greet: boolean } = { greet: true }

  const accept = Effect.fnUntraced(function*(ws: NodeWS.WebSocket, headers: IncomingHttpHeaders) {
    const closed = yield* Deferred.make<number>()
    const ready = yield* Deferred.make<void>()
    const own = yield* Scope.fork(scope)
    ws.on("close", (code) => Deferred.doneUnsafe(closed, Exit.succeed(code)))
    yield* Effect.gen(function*() {
      const socket = yield* Socket.fromWebSocket(Effect.succeed(ws as Socket.WebSocketLike))
      const protocol = yield* RpcClient.makeProtocolSocket({
        pingInterval: "300 millis",
        pingTimeout: "30 seconds",
        retryPolicy: Schedule.recurs(0)
      }).pipe(
        Effect.provideService(Socket.Socket, socket),
        Effect.provideService(RpcClient.ConnectionHooks, {
          onConnect: Deferred.succeed(ready, undefined),
          onDisconnect: Effect.void
        }),
        Effect.provide(RpcSerialization.layerNdjson)
      )
      const client = yield* RpcClient.make(AgentRpcs).pipe(Effect.provideService(RpcClient.Protocol, protocol))
      yield* Deferred.await(ready)
      if (!gateway.greet) return yield* Deferred.await(closed)
      const hello = yield* client.Hello({
        protocol: "chat-workspace",
        version: 1,
        node: NodeId.make("node-1"),
        features: []
      })
      yield* Queue.offer(sessions, {
        client,
        hello,
        headers,
        protocol: ws.protocol,
        closed: Deferred.await(closed),
        close: (code, reason) => Effect.sync(() => ws.close(code, reason)),
        cut: Effect.sync(() => ws.terminate()),
        send: (frame) => Effect.sync(() => ws.send(frame))
      })
      return yield* Deferred.await(closed)
    }).pipe(
      Effect.ensuring(Effect.yieldNow),
      Scope.provide(own),
      Effect.onExit((exit) => Scope.close(own, exit)),
      Effect.ignoreCause
    )
  })

  http.on("upgrade", (request, socket, head) => {
    attempts++
    socket.on("error", () => socket.destroy())
    if (refusal !== undefined) {
      const retry = refusal.retryAfter === undefined ? "" : `retry-after: ${refusal.retryAfter}\r\n`
      socket.end(`HTTP/1.1 ${refusal.status} No\r\n${retry}content-length: 0\r\nconnection: close\r\n\r\n`)
      return
    }
    sockets.handleUpgrade(request, socket, head, (ws) => fork(Effect.forkIn(accept(ws, request.headers), scope)))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void http.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        for (const ws of sockets.clients) ws.terminate()
        http.closeAllConnections()
        http.close(() => resume(Effect.void))
      })
  )
  const address = http.address()
  const port = typeof address === "object" && address !== null ? address.port : 0

  return Object.assign(gateway, {
    url: `ws://127.0.0.1:${port}/agent`,
    next: Queue.take(sessions),
    attempts: () => attempts,
    refuse: (answer: typeof refusal) => {
      refusal = answer
    }
  })
})
