/**
 * What holds for each request that brings a body: it has a bound, and is JSON by its type.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import { HttpConfig } from "./HttpConfig.ts"
import { BodyTooLarge, UnsupportedMediaType } from "./HttpErrors.ts"
import * as Problems from "./Problems.ts"

/**
 * An endpoint with a body stands behind this before it comes into a group.
 *
 * @since 0.1.0
 * @category middleware
 */
export class Bodies extends HttpApiMiddleware.Service<Bodies>()("chat-workspace/http/Bodies", {
  error: [Problems.bodyTooLarge, Problems.unsupportedMediaType]
}) {}

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Bodies> = Layer.effect(
  Bodies,
  Effect.map(HttpConfig, ({ bodyBytes }) =>
    Bodies.of((httpEffect) =>
      httpEffect.pipe(
        Effect.catchDefect((defect): Effect.Effect<never, BodyTooLarge> =>
          isTooLarge(defect) ? Effect.fail(new BodyTooLarge({ limit: bodyBytes })) : Effect.die(defect)
        ),
        // By its content type a body is refused before anything else sees the request.
        Effect.filterOrFail(({ status }) => status !== 415, () => new UnsupportedMediaType()),
        Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(bodyBytes))
      )
    ))
)

const isTooLarge = (defect: unknown): boolean =>
  HttpServerError.isHttpServerError(defect) && defect.reason._tag === "RequestParseError" &&
  defect.reason.reason === "BodyTooLarge"
