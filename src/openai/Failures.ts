/**
 * What went wrong with a request, as a reason of `AiError`.
 *
 * What an endpoint says of it is passed on, without the key and not at any length; of the request nothing is.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Wire from "./Wire.ts"

/**
 * A request that failed, and when the endpoint wants to be asked again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure {
  readonly reason: AiError.AiErrorReason
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * Names the failures of one endpoint.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failures {
  /** The endpoint could not be reached, or the connection broke. */
  readonly broken: (error: HttpClientError.HttpClientError) => AiError.AiErrorReason
  /** The same without an error that says more. */
  readonly lost: (description: string) => AiError.AiErrorReason
  /** The endpoint answered something that is not of the protocol. */
  readonly malformed: (description: string) => AiError.AiErrorReason
  /** The endpoint refused the request with this status. */
  readonly refused: (status: number, headers: Headers.Headers, body: string) => Effect.Effect<Failure>
  /** The endpoint answered a problem instead of a message. */
  readonly problem: (problem: Wire.Problem) => AiError.AiErrorReason
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly url: string
  readonly apiKey: Redacted.Redacted | undefined
}): Failures => {
  const key = options.apiKey === undefined ? "" : Redacted.value(options.apiKey)

  const told = (text: string): string => {
    const hidden = key === "" ? text : text.replaceAll(key, "<redacted>")
    return hidden.length <= longest ? hidden : `${hidden.slice(0, longest)}…`
  }

  const lost = (description: string) =>
    new AiError.NetworkError({
      reason: "TransportError",
      method: "POST",
      url: options.url,
      description: told(description)
    })

  return {
    broken: ({ reason }) =>
      reason._tag === "InvalidUrlError"
        ? new AiError.NetworkError({ reason: reason._tag, method: "POST", url: options.url })
        : lost(rootOf(reason)),
    lost,
    malformed: (description) => new AiError.InvalidResponseError({ description: told(description) }),
    refused: Effect.fnUntraced(function*(status, headers, body) {
      const problem = Option.match(decodeRefusal(body), {
        onNone: () => detailOf(body === "" ? `HTTP ${status}` : body),
        onSome: ({ error, message }) => detailOf(error ?? message ?? body)
      })
      const retryAfter = yield* waitOf(headers)
      const reason = reasonOf(status, { ...problem, description: told(problem.description) }, retryAfter)
      return { reason, retryAfter: waits.has(status) && reason.isRetryable ? retryAfter : undefined }
    }),
    problem: (problem) => {
      const detail = detailOf(problem)
      const status = statuses.get(detail.code) ?? Number(detail.code)
      return reasonOf(status >= 400 ? status : 500, { ...detail, description: told(detail.description) }, undefined)
    }
  }
}

/** Of the words of an endpoint. */
const longest = 1000

/** Statuses that say "later". */
const waits = new Set([429, 503, 529])

/** Codes and types that come without a status, in the middle of a stream. */
const statuses: ReadonlyMap<unknown, number> = new Map([
  ["rate_limit_exceeded", 429],
  ["rate_limit_error", 429],
  ["insufficient_quota", 429],
  ["invalid_api_key", 401],
  ["authentication_error", 401],
  ["model_not_found", 404],
  ["invalid_request_error", 400],
  ["context_length_exceeded", 400],
  ["content_filter", 400]
])

interface Detail {
  readonly description: string
  readonly code: string | number | undefined
  readonly parameter: string | undefined
}

const decodeRefusal = Schema.decodeOption(Wire.Refusal)

const detailOf = (problem: Wire.Problem): Detail =>
  typeof problem === "string" ? { description: problem, code: undefined, parameter: undefined } : {
    description: problem.message ?? "The endpoint did not say why.",
    code: problem.code ?? problem.type ?? undefined,
    parameter: problem.param ?? undefined
  }

const reasonOf = (
  status: number,
  { code, description, parameter }: Detail,
  retryAfter: Duration.Duration | undefined
): AiError.AiErrorReason => {
  if (code === "insufficient_quota" || status === 402) {
    return new AiError.QuotaExhaustedError({ metadata: { description } })
  }
  if (code === "content_filter" || code === "content_policy_violation") {
    return new AiError.ContentPolicyError({ description })
  }
  switch (status) {
    case 401:
      return new AiError.AuthenticationError({ kind: "InvalidKey", description })
    case 403:
      return new AiError.AuthenticationError({ kind: "InsufficientPermissions", description })
    case 404:
      return new AiError.InvalidRequestError({
        description: `There is no such model, or nothing at this address: ${description}`
      })
    case 408:
      return new AiError.InternalProviderError({ description })
    case 429:
      return new AiError.RateLimitError({ retryAfter, metadata: { description } })
    default:
      return status >= 500
        ? new AiError.InternalProviderError({ description })
        : status >= 400
        ? new AiError.InvalidRequestError({ parameter, description })
        : new AiError.InvalidResponseError({ description: `Status ${status}: ${description}` })
  }
}

/** In milliseconds, in seconds, or as a date. */
const waitOf = (headers: Headers.Headers): Effect.Effect<Duration.Duration | undefined> =>
  Effect.map(DateTime.now, (now) => {
    const millis = headers["retry-after-ms"]
    if (millis !== undefined && isNumber(millis)) return Duration.millis(Number(millis))
    const text = headers["retry-after"]
    if (text === undefined) return undefined
    if (isNumber(text)) return Duration.seconds(Number(text))
    return Option.match(DateTime.make(text), {
      onNone: () => undefined,
      onSome: (at) => Duration.max(Duration.zero, DateTime.distance(now, at))
    })
  })

const isNumber = (text: string): boolean => /^\s*\d+(\.\d+)?\s*$/.test(text)

/** What lies at the bottom says most, such as "connect ECONNREFUSED"; what lies above may hold the request. */
const rootOf = (error: { readonly message: string; readonly cause?: unknown }): string => {
  let root: unknown = error
  while (root instanceof Error && root.cause instanceof Error) root = root.cause
  return root instanceof Error ? root.message : error.message
}
