/**
 * Errors as problem details (RFC 9457), and back.
 *
 * An endpoint declares `Problem.of(TheError)` and its handler fails with `TheError`. On the wire it is
 * `application/problem+json`: type, title, status, `detail` (its message), its code, its fields, what to do next and the
 * words for a person; never a cause. The derived client reads the same error from it.
 *
 * @since 0.1.0
 */
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Str from "effect/String"
import type { Recovery } from "../domain/Recovery.ts"

/**
 * What an error tells beside its fields; those that a chat can meet have all of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure {
  readonly _tag: string
  readonly message: string
  readonly code?: string
  readonly recovery?: Recovery
  readonly forUser?: string
}

/**
 * The class of an error.
 *
 * @since 0.1.0
 * @category models
 */
export interface FailureClass<Self extends Failure> extends Schema.Codec<Self, unknown> {
  readonly fields: Schema.Struct.Fields
  readonly make: (fields: never) => Self
}

/**
 * An error on the wire. The fields of the error stand beside these.
 *
 * @since 0.1.0
 * @category models
 */
export interface Encoded {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly forUser?: string
  readonly recovery?: { readonly action: string; readonly retry: string }
}

/**
 * The schema of an error in an answer. Its status is the error's own. The description is for documents.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = <Self extends Failure>(
  error: FailureClass<Self>,
  description?: string | undefined
): Schema.Codec<Self, Encoded> => {
  const tag = SchemaAST.resolveIdentifier(error.ast) ?? "Error"
  const code = Str.camelToSnake(Str.uncapitalize(tag))
  const status = statusOf(error.ast) ?? 500
  const envelope = {
    type: Schema.tag(`urn:chat-workspace:${code}`),
    title: Schema.String,
    status: Schema.tag(status),
    detail: Schema.String,
    code: Schema.tag(code),
    forUser: Schema.optionalKey(Schema.String),
    recovery: Schema.optionalKey(Schema.Struct({ action: Schema.String, retry: Schema.String }))
  }
  // A field that is named like a member of problem details stands beside that.
  const told = Object.entries(error.fields).filter(([name]) => !causes.includes(name))
    .map(([name, schema]) => [name, name in envelope ? `own${Str.capitalize(name)}` : name, schema] as const)
  const wire = Schema.Struct({
    ...Object.fromEntries(told.map(([, member, schema]) => [member, schema])),
    ...envelope
  }).annotate({ identifier: `${tag}Problem`, description })
  return wire.pipe(
    Schema.decodeTo(
      Schema.toType(error),
      SchemaTransformation.transform({
        decode: (problem) => error.make(renamed(problem, told.map(([name, member]) => [member, name])) as never),
        encode: (failure) => ({
          ...renamed(failure, told),
          type: `urn:chat-workspace:${code}`,
          title: Str.capitalize(code.replaceAll("_", " ")),
          status,
          detail: failure.message,
          code,
          ...(failure.forUser === undefined ? {} : { forUser: failure.forUser }),
          ...(failure.recovery === undefined ? {} : { recovery: failure.recovery })
        })
      })
    ),
    HttpApiSchema.asJson({ contentType: ProblemDetails.contentType })
  ).annotate({ description })
}

/** These members, under other names. */
const renamed = (
  from: object,
  names: ReadonlyArray<readonly [from: string, to: string, ...rest: ReadonlyArray<unknown>]>
): Record<string, unknown> => {
  const members = new Map<string, unknown>(Object.entries(from))
  return Object.fromEntries(names.flatMap(([from, to]) => members.has(from) ? [[to, members.get(from)]] : []))
}

/** An error may carry what it came from, which is for the log of the server alone. */
const causes = ["cause", "validation"]

const statusOf = SchemaAST.resolveAt<number>("httpApiStatus")
