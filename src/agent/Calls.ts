/**
 * Calls that outlive the link they were made on.
 *
 * A call whose link is lost waits, within its own deadline, for the next session of its agent and asks again. That is
 * safe because its effect is remembered under its id by the incarnation that ran it: sent again, it answers what the
 * first came to. What cannot be asked again is reported: when the incarnation changed, when the deadline passed, when a
 * build revoked the agent or when the gateway ends. A call that only reads has no effect to ask for: it is reported as
 * not sent, so that it may be repeated.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import * as Schema from "effect/Schema"
import { CallInterrupted, CallTimedOut } from "../domain/Errors.ts"
import type { Sent } from "../domain/Errors.ts"
import type { AgentId, OperationId } from "../domain/Ids.ts"
import * as GatewayMetrics from "./GatewayMetrics.ts"
import type { Client, Handing } from "./Link.ts"
import { CloseCode } from "./Protocol.ts"
import type { Session, Sessions } from "./Sessions.ts"

/**
 * The session ended under the call; the next one can be asked.
 *
 * @since 0.1.0
 * @category errors
 */
export class LinkLost extends Data.TaggedError("LinkLost") {}

/**
 * The agent gave no usable answer, and would give none to the same call on another session.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unanswered extends Data.TaggedError("Unanswered") {}

/**
 * @since 0.1.0
 * @category models
 */
export type Method =
  | "run"
  | "start"
  | "output"
  | "follow"
  | "processes"
  | "signal"
  | "read"
  | "write"
  | "edit"
  | "stat"
  | "list"
  | "mcpTools"
  | "mcpCall"

/**
 * One call. `repeat` says what a second sending of it does: nothing more than the first (`always`), or, after the first
 * was handed to a socket, only within the incarnation that remembers it (`byId`), or harm (`never`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly method: Method
  /** The session that the caller's connection was lent with. */
  readonly home: Session
  readonly operationId: OperationId | null
  readonly deadline: Duration.Duration
  /** Bounds each wait for the agent to come back, where the deadline does not. */
  readonly patience?: Duration.Duration | undefined
  readonly repeat: "always" | "byId" | "never"
}

/**
 * A call in flight, for those who ask what hangs.
 *
 * @since 0.1.0
 * @category models
 */
export interface InFlight {
  readonly agentId: AgentId
  readonly method: Method
  readonly since: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Calls {
  /** Makes the attempt on one session after the other until it is answered. */
  readonly make: <A, E>(
    call: Call,
    attempt: (session: Session, handing: Handing) => Effect.Effect<A, E | LinkLost | Unanswered>,
    onInterrupt?: (handing: Handing) => Effect.Effect<void>
  ) => Effect.Effect<A, E | CallInterrupted | CallTimedOut>
  readonly inFlight: () => ReadonlyArray<InFlight>
}

/**
 * Sends one request over a session, with its failures told apart: lost links, answers that break the protocol (they end
 * the session) and the errors of the call itself. `size` is what the request takes of the session's buffer.
 *
 * @since 0.1.0
 * @category combinators
 */
export const ask = <A, E>(
  session: Session,
  request: (client: Client) => Effect.Effect<A, E>,
  size = 0
): Effect.Effect<A, Exclude<E, RpcClientError> | LinkLost | Unanswered> =>
  session.link.withRoom(size)(request(session.link.client)).pipe(
    Effect.catchCause((cause) => toldApart(session, cause))
  )

/**
 * The failure of a request, told apart.
 *
 * @since 0.1.0
 * @category combinators
 */
export const toldApart = <E>(
  session: Session,
  cause: Cause.Cause<E>
): Effect.Effect<never, Exclude<E, RpcClientError> | LinkLost | Unanswered> => {
  // An agent that stops answers what is in flight with an interruption; the caller's own does not come by here.
  if (Cause.hasInterruptsOnly(cause)) return Effect.fail(new LinkLost())
  const defect = cause.reasons.find(Cause.isDieReason)?.defect
  if (defect === undefined) {
    return Effect.failCause(
      Cause.map(cause, (error) => isRpcClientError(error) ? new LinkLost() : error as Exclude<E, RpcClientError>)
    )
  }
  if (session.closeReason !== undefined) return Effect.fail(new LinkLost())
  if (Schema.isSchemaError(defect)) return violated(session, "an answer that does not decode")
  return Effect.andThen(
    // What an agent says of its failure may hold what it worked on.
    Effect.logWarning("The agent failed inside a call", { "agent.id": session.agentId }),
    Effect.fail(new Unanswered())
  )
}

/**
 * Ends a session whose agent broke the protocol, and the call that found out.
 *
 * @since 0.1.0
 * @category combinators
 */
export const violated = (session: Session, detail: string): Effect.Effect<never, Unanswered> =>
  Effect.suspend(() => {
    session.link.end({ reason: "violation", code: CloseCode.violation, detail })
    return Effect.fail(new Unanswered())
  })

/**
 * Calls over the sessions of a node.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  sessions: Pick<Sessions, "current" | "next">
): Effect.fn.Return<Calls> {
  const clock = yield* Clock.Clock
  const inFlight = new Set<InFlight>()

  /** The session to ask now; fails when there is none that could know of the call. */
  const target = (call: Call, last: Session, handing: Handing): Effect.Effect<Session, CallInterrupted> =>
    Effect.suspend(() => {
      const { agentId } = call.home
      if (handing.handed && call.repeat === "never") return interrupted(call, handing)
      if (sessions.current(agentId) === undefined && last.closeReason === "revoked") return interrupted(call, handing)
      return sessions.next(agentId, "call").pipe(
        Effect.timeout(call.patience ?? Duration.infinity),
        Effect.catch(() => interrupted(call, handing)),
        Effect.flatMap((session) => {
          const known = call.repeat === "always" || !handing.handed || handing.incarnation === session.incarnation
          return known ? Effect.succeed(session) : interrupted(call, handing)
        })
      )
    })

  const attempts = Effect.fnUntraced(function*<A, E>(
    call: Call,
    handing: Handing,
    attempt: (session: Session, handing: Handing) => Effect.Effect<A, E | LinkLost | Unanswered>
  ): Effect.fn.Return<A, E | CallInterrupted> {
    let session = call.home
    while (true) {
      session = yield* target(call, session, handing)
      if (!handing.handed) handing.incarnation = session.incarnation
      const answer = yield* Effect.catch(
        Effect.asSome(attempt(session, handing)),
        (error): Effect.Effect<Option.Option<A>, E | CallInterrupted> =>
          error instanceof LinkLost
            ? Effect.as(untilEnded(session), Option.none())
            : error instanceof Unanswered
            ? interrupted(call, handing)
            : Effect.fail(error)
      )
      if (Option.isSome(answer)) return answer.value
    }
  })

  return {
    make: (call, attempt, onInterrupt) =>
      Effect.suspend(() => {
        const handing: Handing = { handed: false, incarnation: undefined }
        const { home: { agentId }, operationId } = call
        const entry: InFlight = { agentId, method: call.method, since: clock.currentTimeMillisUnsafe() }
        inFlight.add(entry)
        return attempts(call, handing, attempt).pipe(
          Effect.timeoutOrElse({
            duration: call.deadline,
            orElse: () =>
              Effect.fail(
                new CallTimedOut({ agentId, operationId, sent: sentOf(call, handing), after: call.deadline })
              )
          }),
          // Outside the deadline: that interrupts too, and must leave a process running.
          Effect.onInterrupt(() => onInterrupt === undefined ? Effect.void : onInterrupt(handing)),
          Effect.onExit((exit) => {
            inFlight.delete(entry)
            return count(call.method, exit)
          })
        )
      }),
    inFlight: () => Array.from(inFlight)
  }
})

const isRpcClientError = (error: unknown): error is RpcClientError =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "RpcClientError"

const interrupted = (call: Call, handing: Handing): Effect.Effect<never, CallInterrupted> =>
  Effect.fail(
    new CallInterrupted({ agentId: call.home.agentId, operationId: call.operationId, sent: sentOf(call, handing) })
  )

const sentOf = (call: Call, handing: Handing): Sent =>
  call.repeat !== "always" && handing.handed ? "mayHaveRun" : "notSent"

/**
 * An agent that stops fails its calls before its link closes; asking it again at once would only spin.
 */
const untilEnded = (session: Session): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(Deferred.await(session.closed), respite))

const respite = Duration.millis(100)

const count = (method: Method, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  const outcome = Exit.isSuccess(exit)
    ? "ok"
    : typeof error === "object" && error !== null && "_tag" in error
    ? String(error._tag)
    : Cause.hasInterruptsOnly(exit.cause)
    ? "interrupted"
    : "defect"
  return Metric.update(GatewayMetrics.calls(method, outcome), 1)
}
