/**
 * What an endpoint answers, as far as it is looked at. Endpoints differ in what they leave out and in what they add, so
 * that nearly everything may be missing.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const optional = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const Count = optional(Schema.Finite)

const Usage = Schema.Struct({
  prompt_tokens: Count,
  completion_tokens: Count,
  prompt_tokens_details: optional(Schema.Struct({ cached_tokens: Count })),
  completion_tokens_details: optional(Schema.Struct({ reasoning_tokens: Count }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type Usage = typeof Usage.Type

/**
 * A call of a tool, or in a stream a piece of one.
 *
 * @since 0.1.0
 * @category models
 */
export const ToolCall = Schema.Struct({
  index: optional(Schema.Int),
  id: optional(Schema.String),
  function: optional(Schema.Struct({
    name: optional(Schema.String),
    // Some endpoints answer the object itself.
    arguments: optional(Schema.Union([Schema.String, Schema.Record(Schema.String, Schema.Unknown)]))
  }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type ToolCall = typeof ToolCall.Type

const Message = Schema.Struct({
  content: optional(Schema.String),
  reasoning_content: optional(Schema.String),
  reasoning: optional(Schema.String),
  refusal: optional(Schema.String),
  tool_calls: optional(Schema.Array(ToolCall))
})

/**
 * A message, or in a stream a piece of one.
 *
 * @since 0.1.0
 * @category models
 */
export type Message = typeof Message.Type

/**
 * What went wrong, in the forms that are in use.
 *
 * @since 0.1.0
 * @category models
 */
export const Problem = Schema.Union([
  Schema.Struct({
    message: optional(Schema.String),
    code: optional(Schema.Union([Schema.String, Schema.Finite])),
    type: optional(Schema.String),
    param: optional(Schema.String)
  }),
  Schema.String
])

/**
 * @since 0.1.0
 * @category models
 */
export type Problem = typeof Problem.Type

/**
 * The body of an answer that is none.
 *
 * @since 0.1.0
 * @category models
 */
export const Refusal = Schema.fromJsonString(Schema.Struct({
  error: optional(Problem),
  message: optional(Schema.String)
}))

const answer = {
  id: optional(Schema.String),
  model: optional(Schema.String),
  usage: optional(Usage),
  // Some endpoints tell errors with status 200, and in the middle of a stream there is no other way.
  error: optional(Problem)
}

/**
 * The whole answer to a request.
 *
 * @since 0.1.0
 * @category models
 */
export const Completion = Schema.fromJsonString(Schema.Struct({
  ...answer,
  choices: optional(Schema.Array(Schema.Struct({ message: Message, finish_reason: optional(Schema.String) })))
}))

/**
 * @since 0.1.0
 * @category models
 */
export type Completion = typeof Completion.Type

/**
 * A piece of an answer that is streamed.
 *
 * @since 0.1.0
 * @category models
 */
export const Chunk = Schema.fromJsonString(Schema.Struct({
  ...answer,
  choices: optional(Schema.Array(Schema.Struct({ delta: optional(Message), finish_reason: optional(Schema.String) })))
}))

/**
 * @since 0.1.0
 * @category models
 */
export type Chunk = typeof Chunk.Type
