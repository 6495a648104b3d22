/**
 * What can be wrong with a request itself, before anything behind the API is asked, or about whose things they are.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The request names nobody: no token, or one that is not known.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unauthenticated extends Schema.TaggedError<Unauthenticated>()("Unauthenticated", {}, {
  httpApiStatus: 401
}) {
  readonly code = "unauthenticated"
  override get message(): string {
    return "The request has no valid token."
  }
  get forUser(): string {
    return "Sign in again."
  }
}

/**
 * The things that belong to somebody.
 *
 * @since 0.1.0
 * @category models
 */
export const Kind = Schema.Literals(["chat", "turn", "workspace", "build", "agent"])

/**
 * @since 0.1.0
 * @category models
 */
export type Kind = typeof Kind.Type

/**
 * It is not there, or it is somebody else's. Deliberately says no more.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { kind: Kind, id: Schema.String }, {
  httpApiStatus: 404
}) {
  readonly code = "not_found"
  override get message(): string {
    return `There is no such ${this.kind}.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Where in a request something is wrong.
 *
 * @since 0.1.0
 * @category models
 */
export const Place = Schema.Literals(["path", "headers", "query", "body"])

/**
 * The request does not read as its endpoint wants it; `problems` names each field.
 *
 * @since 0.1.0
 * @category errors
 */
export class BadRequest extends Schema.TaggedError<BadRequest>()("BadRequest", {
  problems: Schema.Array(Schema.Struct({ in: Place, field: Schema.String, problem: Schema.String }))
}, { httpApiStatus: 400 }) {
  readonly code = "bad_request"
  override get message(): string {
    return this.problems.length === 0
      ? "The request cannot be read."
      : this.problems.map(({ field, in: place, problem }) => `${[place, field].join(" ").trim()}: ${problem}`).join(
        "; "
      )
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The body of the request has more bytes than `limit`.
 *
 * @since 0.1.0
 * @category errors
 */
export class BodyTooLarge extends Schema.TaggedError<BodyTooLarge>()("BodyTooLarge", { limit: Schema.Natural }, {
  httpApiStatus: 413
}) {
  readonly code = "body_too_large"
  override get message(): string {
    return `The request is larger than ${this.limit} bytes.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The text of a message has more bytes than `limit`.
 *
 * @since 0.1.0
 * @category errors
 */
export class MessageTooLarge
  extends Schema.TaggedError<MessageTooLarge>()("MessageTooLarge", { limit: Schema.Natural }, { httpApiStatus: 413 })
{
  readonly code = "message_too_large"
  override get message(): string {
    return `The message is larger than ${this.limit} bytes.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The body of the request is not JSON by its content type.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnsupportedMediaType extends Schema.TaggedError<UnsupportedMediaType>()("UnsupportedMediaType", {}, {
  httpApiStatus: 415
}) {
  readonly code = "unsupported_media_type"
  override get message(): string {
    return "The body has to be application/json."
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * This owner has as many streams open on this node as one may.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyStreams extends Schema.TaggedError<TooManyStreams>()("TooManyStreams", { limit: Schema.Natural }, {
  httpApiStatus: 429
}) {
  readonly code = "too_many_streams"
  override get message(): string {
    return `There are ${this.limit} open streams of this owner, which is the limit.`
  }
  get forUser(): string {
    return `${this.message} Close one.`
  }
}

/**
 * The server ended, or let go of the request, before there was an answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class ServerEnding extends Schema.TaggedError<ServerEnding>()("ServerEnding", {}, { httpApiStatus: 503 }) {
  readonly code = "server_ending"
  override get message(): string {
    return "The server ends, and did not come to an answer. What was asked for may have been done."
  }
  get forUser(): string {
    return "Try again."
  }
}

/**
 * The server is broken here. What it was stands in its log and not in the answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class InternalError extends Schema.TaggedError<InternalError>()("InternalError", {}, { httpApiStatus: 500 }) {
  readonly code = "internal_error"
  override get message(): string {
    return "The server could not answer this request; its log says why."
  }
  get forUser(): string {
    return "Something is broken here."
  }
}
