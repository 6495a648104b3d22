/**
 * The sessions of the MCP endpoint: whose they are, how many there may be, and when they end.
 *
 * A session belongs to one chat of one owner; under any other it is not known. It ends when its client ends it, when
 * nothing was asked in it for long, or when its owner begins too many others; what is under way in a session keeps it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { ChatId, OwnerId } from "../domain/Ids.ts"
import * as HttpMetrics from "./HttpMetrics.ts"
import { McpConfig } from "./McpConfig.ts"

/**
 * This chat has no such session, or has it no more; its client has to begin another. Nothing was done.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownSession extends Schema.TaggedError<UnknownSession>()("UnknownSession", {}, {
  httpApiStatus: 404
}) {
  readonly code = "unknown_session"
  override get message(): string {
    return "There is no such session; begin another."
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * This owner has as many sessions of MCP in use on this node as one may.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManySessions extends Schema.TaggedError<TooManySessions>()("TooManySessions", {
  limit: Schema.Natural
}, { httpApiStatus: 429 }) {
  readonly code = "too_many_sessions"
  override get message(): string {
    return `There are ${this.limit} sessions of this owner in use, which is the limit.`
  }
  get forUser(): string {
    return `${this.message} End one.`
  }
}

/**
 * The chat that a session is for. The child of another shares that one's workspace and does not decide over it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Holder {
  readonly owner: OwnerId
  readonly chatId: ChatId
  readonly child: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface McpSessions {
  /** Counts a call until the scope closes; false when this owner has as many under way as one may. */
  readonly admit: (owner: OwnerId) => Effect.Effect<boolean, never, Scope.Scope>
  /** Keeps a session until the scope closes and answers its chat. */
  readonly enter: (
    id: string,
    of: Pick<Holder, "owner" | "chatId">
  ) => Effect.Effect<Holder, UnknownSession, Scope.Scope>
  /** Takes in a session that began; it is ended, and this fails, when all that the owner may have are in use. */
  readonly begin: (id: string, holder: Holder) => Effect.Effect<void, TooManySessions>
  /** Forgets a session that its client ended. */
  readonly forget: (id: string) => Effect.Effect<void>
}

interface Session extends Holder {
  requests: number
}

/**
 * Makes the sessions of one endpoint; `end` ends one in the server itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  end: (id: string) => Effect.Effect<void>
): Effect.fn.Return<McpSessions, never, Scope.Scope> {
  const { callsPerOwner, sessionIdle, sessionsPerOwner } = yield* McpConfig
  const calls = new Map<OwnerId, number>()
  // The one that was in use last stands last.
  const sessions = new Map<string, Session>()
  const idle = yield* FiberMap.make<string>()

  const gauge = (by: number) => Metric.modify(HttpMetrics.mcpSessions, by)

  const remove = (id: string) =>
    Effect.suspend(() => sessions.delete(id) ? Effect.as(gauge(-1), true) : Effect.succeed(false))

  const over = (id: string) => Effect.flatMap(remove(id), (removed) => removed ? end(id) : Effect.void)

  const rest = (id: string) => FiberMap.run(idle, id, Effect.delay(over(id), sessionIdle))

  // Who begins one session after the other would leave a timer for each.
  const forget = (id: string) => Effect.andThen(remove(id), FiberMap.remove(idle, id))

  const count = (owner: OwnerId, by: number) =>
    Effect.suspend(() => {
      const now = (calls.get(owner) ?? 0) + by
      if (now === 0) calls.delete(owner)
      else calls.set(owner, now)
      return Metric.modify(HttpMetrics.mcpCalls, by)
    })

  // Zero, and not nothing, is shown before the first of them; and those that end with the endpoint are gone.
  yield* Effect.acquireRelease(
    Effect.andThen(gauge(0), Metric.modify(HttpMetrics.mcpCalls, 0)),
    () => Effect.suspend(() => gauge(-sessions.size))
  )

  return {
    admit: (owner) =>
      Effect.uninterruptible(Effect.suspend(() => {
        if ((calls.get(owner) ?? 0) >= callsPerOwner) return Effect.succeed(false)
        return Effect.as(Effect.acquireRelease(count(owner, 1), () => count(owner, -1)), true)
      })),

    enter: (id, { chatId, owner }) =>
      Effect.uninterruptible(Effect.suspend(() => {
        const session = sessions.get(id)
        if (session === undefined || session.owner !== owner || session.chatId !== chatId) {
          return Effect.fail(new UnknownSession())
        }
        session.requests++
        const left = Effect.suspend(() => {
          // It may have been ended meanwhile.
          if (--session.requests > 0 || sessions.get(id) !== session) return Effect.void
          sessions.delete(id)
          sessions.set(id, session)
          return rest(id)
        })
        return FiberMap.remove(idle, id).pipe(
          Effect.andThen(Effect.addFinalizer(() => left)),
          Effect.as(session)
        )
      })),

    begin: (id, holder) =>
      Effect.uninterruptible(Effect.suspend(() => {
        const own = Array.from(sessions).filter(([, { owner }]) => owner === holder.owner)
        const unused = own.find(([, { requests }]) => requests === 0)?.[0]
        const full = own.length >= sessionsPerOwner
        if (full && unused === undefined) {
          return Effect.andThen(end(id), new TooManySessions({ limit: sessionsPerOwner }))
        }
        sessions.set(id, { ...holder, requests: 0 })
        return gauge(1).pipe(
          Effect.andThen(full && unused !== undefined ? Effect.andThen(forget(unused), end(unused)) : Effect.void),
          Effect.andThen(rest(id))
        )
      })),

    forget
  }
})
