/**
 * What holds for each request: what is wrong with it, or broken behind it, is told as problem details.
 *
 * It stands outside of all else of a group, so that nothing falls through: what a request gets wrong is named by its
 * field, a defect is a 500 that says nothing of itself, which is in the log, and what the end of the server interrupts
 * says so. What may be better soon has a `Retry-After`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { HttpApiSchemaError } from "effect/http-api/HttpApiError"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { unhandled } from "effect/Types"
import { BadRequest, InternalError, ServerEnding } from "./HttpErrors.ts"
import type { Place } from "./HttpErrors.ts"
import * as Problems from "./Problems.ts"

/**
 * @since 0.1.0
 * @category middleware
 */
export class Requests extends HttpApiMiddleware.Service<Requests>()("chat-workspace/http/Requests", {
  error: [Problems.badRequest, Problems.internalError, Problems.serverEnding]
}) {}

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Requests> = Layer.succeed(
  Requests,
  Requests.of((httpEffect, { endpoint, group }) =>
    httpEffect.pipe(
      Effect.catchIf(isSchemaError, refused),
      Effect.catchDefect((defect): Effect.Effect<never, BadRequest | InternalError> =>
        isUnreadable(defect)
          ? Effect.fail(new BadRequest({ problems: [] }))
          : Effect.logError("A request met a defect", defect).pipe(
            Effect.annotateLogs({ module: "Requests", endpoint: `${group.identifier}.${endpoint.identifier}` }),
            Effect.andThen(Effect.fail(new InternalError()))
          )
      ),
      HttpEffect.withPreResponseHandler((_, response) =>
        Effect.succeed(
          response.status === 503
            ? HttpServerResponse.setHeader(isInterrupted(response) ? ending : response, "retry-after", "1")
            : response
        )
      )
    )
  )
)

/** Not declared by any endpoint, and so not seen in the types. */
const isSchemaError = (error: unhandled): error is unhandled & HttpApiSchemaError => HttpApiSchemaError.is(error)

/** The server's own answer to a request that it interrupts: no effect of a fiber that ends could give another. */
const isInterrupted = ({ body }: HttpServerResponse.HttpServerResponse): boolean => body._tag === "Empty"

const ending = HttpServerResponse.jsonUnsafe(Schema.encodeSync(Problems.serverEnding)(new ServerEnding()), {
  status: 503,
  contentType: ProblemDetails.contentType
})

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** An answer that does not encode is not the request's fault. */
const refused = (error: HttpApiSchemaError): Effect.Effect<never, BadRequest> => {
  if (error.kind === "Body" || error.kind === "ResponseHeaders") return Effect.die(error)
  const place = places[error.kind]
  return Effect.fail(
    new BadRequest({
      problems: issuesOf(error.cause.issue).issues.map(({ message, path = [] }) => ({
        in: place,
        field: path.map((part) => String(typeof part === "object" ? part.key : part)).join("."),
        problem: message
      }))
    })
  )
}

const places = { Params: "path", Headers: "headers", Query: "query", Payload: "body" } as const satisfies Record<
  string,
  typeof Place.Type
>

const isUnreadable = (defect: unknown): boolean =>
  HttpServerError.isHttpServerError(defect) && defect.reason._tag === "RequestParseError"
