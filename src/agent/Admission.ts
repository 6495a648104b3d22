/**
 * Who may open a link: an agent that proves its identity, while there is room for it.
 *
 * A token that is malformed costs no query, a crowd asks the store a few at a time, and an agent that comes and goes
 * without a pause is asked to wait. Overload is answered with 503, before the upgrade, and such an agent with 429, so that
 * they come back later.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Semaphore from "effect/Semaphore"
import * as AgentToken from "../domain/AgentToken.ts"
import { StoreError } from "../domain/Errors.ts"
import type { AgentId } from "../domain/Ids.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import { GatewayConfig } from "./GatewayConfig.ts"
import { name } from "./Protocol.ts"
import * as Returns from "./Returns.ts"

/**
 * A request that is turned away before its upgrade.
 *
 * @since 0.1.0
 * @category errors
 */
export class Denied extends Data.TaggedError("Denied")<{
  readonly status: 400 | 401 | 429 | 503
  readonly reason:
    | "notAnAgent"
    | "malformed"
    | "unknown"
    | "revoked"
    | "tooOften"
    | "overloaded"
    | "storeFailed"
    | "shutdown"
  readonly agentId?: AgentId | undefined
  /** When it may come again, in milliseconds. */
  readonly retryAfter?: number | undefined
}> {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Admission {
  /** Whose request this is. */
  readonly verify: Effect.Effect<AgentId, Denied, HttpServerRequest.HttpServerRequest>
  /** Bounds a question to the store: its time, and how many are asked at once. */
  readonly asked: <A, E>(question: Effect.Effect<A, E | StoreError>) => Effect.Effect<A, E | StoreError>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function*() {
  const config = yield* GatewayConfig
  const presence = yield* AgentPresence
  const clock = yield* Clock.Clock
  const lookups = yield* Semaphore.make(config.lookups)
  const returns = Returns.make(config)

  const asked: Admission["asked"] = (question) =>
    lookups.withPermit(question).pipe(
      Effect.timeoutOrElse({
        duration: config.storeTimeout,
        orElse: () => Effect.fail(new StoreError({ operation: "gateway" }))
      })
    )

  const inTime = (agentId: AgentId, waits: Returns.Returns["wait"]): Effect.Effect<void, Denied> =>
    Effect.suspend(() => {
      const retryAfter = waits(agentId, Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n))
      return retryAfter === 0 ? Effect.void : new Denied({ status: 429, reason: "tooOften", agentId, retryAfter })
    })

  const verify = Effect.gen(function*() {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const offered = headers["sec-websocket-protocol"]?.split(",") ?? []
    // A server may upgrade to anything, and the limits on frames are those of a WebSocket.
    const isWebSocket = (headers["upgrade"] ?? "websocket").toLowerCase() === "websocket"
    // Any version: which of them is spoken is for the hello to say.
    if (!isWebSocket || !offered.some((protocol) => protocol.trim().startsWith(`${name}.`))) {
      return yield* new Denied({ status: 400, reason: "notAnAgent" })
    }
    const token = Option.flatMap(bearer(headers["authorization"]), AgentToken.parse)
    if (Option.isNone(token)) return yield* new Denied({ status: 401, reason: "malformed" })
    const { agentId } = token.value
    yield* inTime(agentId, returns.wait)
    const verified = yield* asked(presence.verify(token.value)).pipe(
      Effect.catchTags({
        TokenRefused: ({ reason }) => new Denied({ status: 401, reason, agentId }),
        StoreError: () => new Denied({ status: 503, reason: "storeFailed", agentId })
      })
    )
    // Only now: who knows but the id of an agent must not use up what that one may.
    yield* inTime(verified, returns.count)
    return verified
  })

  return { asked, verify } satisfies Admission
})

/**
 * The answer to a request that is turned away. It says no more than the status: who is asked for a token learns nothing
 * about agents.
 *
 * @since 0.1.0
 * @category constructors
 */
export const deny = ({ retryAfter, status }: Denied): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.empty({
    status,
    headers: status === 401
      ? { "www-authenticate": "Bearer" }
      : status === 429 || status === 503
      ? { "retry-after": String(Math.ceil(Duration.toSeconds(retryAfter ?? soon))) }
      : {}
  })

const soon = Duration.seconds(1)

const bearer = (header: string | undefined): Option.Option<Redacted.Redacted<string>> => {
  const [scheme, token, ...rest] = header?.split(" ") ?? []
  return scheme?.toLowerCase() === "bearer" && token !== undefined && rest.length === 0
    ? Option.some(Redacted.make(token))
    : Option.none()
}
