/**
 * A request in the words of the chat completions protocol: messages, tools, tool choice, and the form of the answer.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as OpenAiStructuredOutput from "effect/ai/OpenAiStructuredOutput"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"

type Body = Readonly<Record<string, unknown>>

/** What cannot be said in this protocol. */
type Unsayable = AiError.InvalidUserInputError | AiError.UnsupportedSchemaError

/**
 * The body of a request, but for the model and for how it is answered.
 *
 * @since 0.1.0
 * @category constructors
 */
export const body = (
  { prompt, responseFormat, toolChoice, tools }: LanguageModel.ProviderOptions
): Result.Result<Body, Unsayable> =>
  Result.gen(function*() {
    const messages: Array<Body> = []
    for (const message of prompt.content) messages.push(...(yield* messagesOf(message)))
    return {
      messages,
      ...(tools.length === 0 ? {} : { tools: tools.map(toolOf), tool_choice: choiceOf(toolChoice) }),
      ...(responseFormat.type === "text" ? {} : {
        response_format: { type: "json_schema", json_schema: yield* formatOf(responseFormat) }
      })
    }
  })

const messagesOf = (message: Prompt.Message): Result.Result<ReadonlyArray<Body>, AiError.InvalidUserInputError> => {
  switch (message.role) {
    case "system":
      return Result.succeed([{ role: "system", content: message.content }])
    case "user":
      return Result.map(userContent(message.content), (content) => [{ role: "user", content }])
    case "assistant":
      return Result.succeed(assistant(message))
    case "tool":
      return Result.succeed(
        message.content.filter((part) => part.type === "tool-result").map((part) => ({
          role: "tool",
          tool_call_id: part.id,
          content: part.modelOutput === undefined
            ? written(part.result)
            : Prompt.toolModelOutputToText(part.modelOutput)
        }))
      )
  }
}

const assistant = (message: Prompt.AssistantMessage): ReadonlyArray<Body> => {
  const text = message.content.filter((part) => part.type === "text").map(({ text }) => text).join("")
  const calls = message.content.filter((part) => part.type === "tool-call" && !part.providerExecuted).map((part) =>
    part.type === "tool-call" ? callOf(part) : part
  )
  // Endpoints refuse a message that says nothing, as one of thoughts alone would.
  return text === "" && calls.length === 0 ? [] : [{
    role: "assistant",
    content: text === "" ? null : text,
    ...(calls.length === 0 ? {} : { tool_calls: calls })
  }]
}

/** Endpoints refuse a history with arguments that are no object, and no message of the chat would be answered again. */
const callOf = ({ id, name, params }: Prompt.ToolCallPart): Body => ({
  id,
  type: "function",
  function: { name, arguments: JSON.stringify(Predicate.isReadonlyObject(params) ? params : { malformed: params }) }
})

const written = (result: unknown): string => typeof result === "string" ? result : JSON.stringify(result) ?? ""

const userContent = (
  parts: ReadonlyArray<Prompt.UserMessagePart>
): Result.Result<string | ReadonlyArray<Body>, AiError.InvalidUserInputError> => {
  const texts = parts.filter((part) => part.type === "text")
  return texts.length === parts.length
    ? Result.succeed(texts.map(({ text }) => text).join("\n"))
    : Result.gen(function*() {
      const content: Array<Body> = []
      for (const part of parts) {
        content.push(part.type === "text" ? { type: "text", text: part.text } : yield* imageOf(part))
      }
      return content
    })
}

const imageOf = ({ data, mediaType }: Prompt.FilePart): Result.Result<Body, AiError.InvalidUserInputError> => {
  if (!mediaType.startsWith("image/")) {
    return Result.fail(
      new AiError.InvalidUserInputError({ description: `Files of the type ${mediaType} cannot be sent to this model` })
    )
  }
  const url = data instanceof URL
    ? data.href
    : `data:${mediaType};base64,${typeof data === "string" ? data : Base64.encode(data)}`
  return Result.succeed({ type: "image_url", image_url: { url } })
}

const toolOf = (tool: Tool.Any): Body => ({
  type: "function",
  function: {
    name: tool.name,
    description: Tool.getDescription(tool),
    parameters: Tool.getJsonSchema(tool),
    ...(Tool.getStrictMode(tool) === true ? { strict: true } : {})
  }
})

/** Where it is some of the tools, the others were left out of the request. */
const choiceOf = (choice: LanguageModel.ToolChoice<string>): unknown =>
  typeof choice === "string"
    ? choice
    : "tool" in choice
    ? { type: "function", function: { name: choice.tool } }
    : choice.mode ?? "auto"

const formatOf = (
  { objectName, schema }: { readonly objectName: string; readonly schema: Schema.Top }
): Result.Result<Body, AiError.UnsupportedSchemaError> =>
  Result.try({
    try: () => ({
      name: objectName.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64),
      schema: OpenAiStructuredOutput.toCodecOpenAI(schema).jsonSchema,
      strict: true
    }),
    catch: (error) => new AiError.UnsupportedSchemaError({ description: String(error) })
  })
