/**
 * The calls of other nodes to an agent of this one: each is made over the session, and its answer goes back.
 *
 * What an agent is asked for is decided by the node that asks: this one neither repeats a call nor gives it up, and knows
 * of no deadline. A call whose session is lost is answered as interrupted, and the caller asks again by its operation.
 * Streams pass one chunk at a time, so a reader that takes nothing holds up its agent and nobody else.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as Calls from "../agent/Calls.ts"
import type { Client } from "../agent/Link.ts"
import { AgentRpcs } from "../agent/Protocol.ts"
import { sizeOf } from "../agent/SessionProcesses.ts"
import type { Session } from "../agent/Sessions.ts"

/** Greeting an agent and moving it is for the node that holds it. */
const NodeRpcs = AgentRpcs.omit("Hello", "Move", "Lifecycle")

/**
 * Serves the calls that come by this socket; returns when it has ended.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serve = Effect.fnUntraced(
  function*(session: Session, socket: Socket.Socket): Effect.fn.Return<void, never, Scope.Scope> {
    const ended = yield* Deferred.make<void>()
    const protocol = yield* RpcServer.makeProtocolSocketServer.pipe(
      Effect.provideService(RpcSerialization.RpcSerialization, RpcSerialization.makeNdjson()),
      Effect.provideService(SocketServer.SocketServer, {
        // Required by the type; nobody can connect to it.
        address: NetAddress.unixPathAddress("tunnel"),
        run: (handler) =>
          Effect.exit(handler(socket)).pipe(
            Effect.andThen(Deferred.succeed(ended, undefined)),
            Effect.andThen(Effect.never)
          )
      })
    )
    const handlers = yield* NodeRpcs.toHandlers(handlersOf(session))
    yield* RpcServer.make(NodeRpcs, { disableFatalDefects: true, disableTracing: true }).pipe(
      Effect.provideService(RpcServer.Protocol, protocol),
      Effect.provideContext(handlers),
      Effect.raceFirst(Deferred.await(ended))
    )
  },
  Effect.scoped
)

const handlersOf = (session: Session) => {
  const ask = <A, E>(request: (client: Client) => Effect.Effect<A, E | RpcClientError>, size = 0) =>
    Calls.ask(session, request, size).pipe(Effect.catchCause((cause) => answer(cause)))
  const stream = <A, E>(request: (client: Client) => Stream.Stream<A, E | RpcClientError>) =>
    request(session.link.client).pipe(
      Stream.catchCause((cause) =>
        Stream.fromEffect(Calls.toldApart(session, cause).pipe(Effect.catchCause((cause) => answer(cause))))
      )
    )
  return NodeRpcs.of({
    Start: (payload) => ask((client) => client.Start(payload), sizeOf(payload)),
    Follow: (payload) => stream((client) => client.Follow(payload, oneAtATime)),
    Outcome: (payload) => ask((client) => client.Outcome(payload)),
    Processes: () => ask((client) => client.Processes()),
    Signal: (payload) => ask((client) => client.Signal(payload)),
    Kill: (payload) => ask((client) => client.Kill(payload)),
    Read: (payload) => stream((client) => client.Read(payload, oneAtATime)),
    Put: (payload) => ask((client) => client.Put(payload), Math.ceil(payload.bytes.length * 4 / 3)),
    Write: (payload) => ask((client) => client.Write(payload)),
    Edit: (payload) => ask((client) => client.Edit(payload), sizeOf(payload)),
    Stat: (payload) => ask((client) => client.Stat(payload)),
    List: (payload) => ask((client) => client.List(payload)),
    McpTools: (payload) => stream((client) => client.McpTools(payload, oneAtATime)),
    McpCall: (payload) => ask((client) => client.McpCall(payload), sizeOf(payload))
  })
}

const oneAtATime = { streamBufferSize: 1 }

/** What is no answer of the agent has no words in the protocol: a lost link is an interruption, no answer a defect. */
const answer = <E>(
  cause: Cause.Cause<E | Calls.LinkLost | Calls.Unanswered>
): Effect.Effect<never, Exclude<E, Calls.LinkLost | Calls.Unanswered>> => {
  const error = cause.reasons.find(Cause.isFailReason)?.error
  if (error instanceof Calls.LinkLost) return Effect.interrupt
  if (error instanceof Calls.Unanswered) return Effect.die("the agent gave no usable answer")
  return Effect.failCause(Cause.map(cause, (error) => error as Exclude<E, Calls.LinkLost | Calls.Unanswered>))
}
