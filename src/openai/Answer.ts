/**
 * From what an endpoint answers to the parts of a response, complete or piece by piece.
 *
 * Arguments that are no JSON, as they are after a cut, are passed on as the text that they are: a call that its tool
 * refuses, and the model reads why. Every answer ends with how it finished.
 *
 * @since 0.1.0
 */
import type * as Response from "effect/ai/Response"
import * as Tool from "effect/ai/Tool"
import type * as Wire from "./Wire.ts"

/**
 * Takes the pieces of an answer as they come.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  /** What a piece adds. */
  readonly take: (chunk: Wire.Chunk) => ReadonlyArray<Response.StreamPartEncoded>
  /** The end: the calls, and how it finished. */
  readonly end: () => ReadonlyArray<Response.StreamPartEncoded>
  /** Whether the endpoint said how it finished. */
  readonly isFinished: () => boolean
  /** Characters of text and arguments so far. */
  readonly size: () => number
}

interface Call {
  readonly index: number | undefined
  id: string
  name: string
  args: string
  isTold: boolean
}

/**
 * An answer that has not begun. `fallback` is what ids are made of where the endpoint gives none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (fallback: string): Answer => {
  const calls: Array<Call> = []
  let open: "text" | "reasoning" | undefined
  let blocks = 0
  let size = 0
  let reason: string | undefined
  let usage: Wire.Usage | undefined
  let isBegun = false

  const idOf = () => `${fallback}-${blocks}`

  const close = (): ReadonlyArray<Response.StreamPartEncoded> => {
    if (open === undefined) return []
    const part = { type: `${open}-end` as const, id: idOf() }
    open = undefined
    return [part]
  }

  const say = (kind: "text" | "reasoning", delta: string): ReadonlyArray<Response.StreamPartEncoded> => {
    if (delta === "") return []
    size += delta.length
    const closed = open === kind ? [] : close()
    const started: Array<Response.StreamPartEncoded> = []
    if (open === undefined) {
      open = kind
      blocks++
      started.push({ type: `${kind}-start`, id: idOf() })
    }
    return [...closed, ...started, { type: `${kind}-delta`, id: idOf(), delta }]
  }

  /** Some endpoints give every call the same index, or none; but then each begins with an id of its own. */
  const callOf = (piece: Wire.ToolCall): Call => {
    const index = piece.index ?? undefined
    const id = piece.id ?? ""
    const found = index === undefined ? calls.at(-1) : calls.findLast((call) => call.index === index)
    if (found !== undefined && (id === "" || id === found.id)) return found
    const call = { index, id: calls.some((other) => other.id === id) ? "" : id, name: "", args: "", isTold: false }
    if (call.id === "") call.id = `${fallback}-call-${calls.length + 1}`
    calls.push(call)
    return call
  }

  const request = (piece: Wire.ToolCall): ReadonlyArray<Response.StreamPartEncoded> => {
    const call = callOf(piece)
    const { arguments: args, name } = piece.function ?? {}
    if (call.name === "") call.name = name ?? ""
    const delta = typeof args === "string" ? args : args === undefined || args === null ? "" : JSON.stringify(args)
    call.args += delta
    size += delta.length
    if (call.name === "") return []
    const started: ReadonlyArray<Response.StreamPartEncoded> = call.isTold
      ? []
      : [{ type: "tool-params-start", id: call.id, name: call.name }]
    call.isTold = true
    return delta === "" ? started : [...started, { type: "tool-params-delta", id: call.id, delta }]
  }

  return {
    take: (chunk) => {
      const parts: Array<Response.StreamPartEncoded> = []
      if (!isBegun) {
        isBegun = true
        parts.push({ type: "response-metadata", id: chunk.id ?? undefined, modelId: chunk.model ?? undefined })
      }
      usage = chunk.usage ?? usage
      const choice = chunk.choices?.[0]
      reason = choice?.finish_reason ?? reason
      const delta = choice?.delta
      if (delta === undefined || delta === null) return parts
      parts.push(
        ...say("reasoning", delta.reasoning_content ?? delta.reasoning ?? ""),
        ...say("text", delta.content ?? delta.refusal ?? "")
      )
      for (const piece of delta.tool_calls ?? []) parts.push(...request(piece))
      return parts
    },
    end: () => [
      ...close(),
      ...calls.flatMap((call): ReadonlyArray<Response.StreamPartEncoded> => [
        ...(call.isTold ? [{ type: "tool-params-end" as const, id: call.id }] : []),
        { type: "tool-call", id: call.id, name: call.name, params: paramsOf(call.args) }
      ]),
      { type: "finish", reason: finishOf(reason, calls.length > 0), usage: usageOf(usage) }
    ],
    isFinished: () => reason !== undefined,
    size: () => size
  }
}

/**
 * The parts of an answer that came as a whole; `undefined` where it holds no message.
 *
 * @since 0.1.0
 * @category constructors
 */
export const complete = (
  { choices, ...about }: Wire.Completion,
  fallback: string
): Array<Response.PartEncoded> | undefined => {
  const choice = choices?.[0]
  if (choice === undefined) return undefined
  const answer = make(fallback)
  const { tool_calls: calls, ...message } = choice.message
  // Whole calls are apart, whatever they say of themselves.
  const delta = { ...message, tool_calls: (calls ?? []).map((call, index) => ({ ...call, index })) }
  const parts = [
    ...answer.take({ ...about, choices: [{ delta, finish_reason: choice.finish_reason ?? null }] }),
    ...answer.end()
  ]
  return parts.flatMap((part): ReadonlyArray<Response.PartEncoded> => {
    switch (part.type) {
      case "text-delta":
        return [{ type: "text", text: part.delta }]
      case "reasoning-delta":
        return [{ type: "reasoning", text: part.delta }]
      case "response-metadata":
      case "tool-call":
      case "finish":
        return [part]
      default:
        return []
    }
  })
}

const paramsOf = (args: string): unknown => {
  if (args.trim() === "") return {}
  try {
    return Tool.unsafeSecureJsonParse(args)
  } catch {
    return args
  }
}

const finishOf = (reason: string | undefined, calls: boolean): Response.FinishReason => {
  switch (reason) {
    case "stop":
      // Some endpoints do not say that they stopped for their calls.
      return calls ? "tool-calls" : "stop"
    case "tool_calls":
    case "function_call":
      return "tool-calls"
    case "length":
      return "length"
    case "content_filter":
      return "content-filter"
    case undefined:
      return "unknown"
    default:
      return "other"
  }
}

const usageOf = (usage: Wire.Usage | undefined): Response.FinishPartEncoded["usage"] => {
  const input = count(usage?.prompt_tokens)
  const cached = count(usage?.prompt_tokens_details?.cached_tokens)
  const output = count(usage?.completion_tokens)
  const reasoning = count(usage?.completion_tokens_details?.reasoning_tokens)
  return {
    inputTokens: {
      total: input,
      cacheRead: cached,
      uncached: input === undefined ? undefined : input - (cached ?? 0)
    },
    outputTokens: {
      total: output,
      reasoning,
      text: output === undefined ? undefined : output - (reasoning ?? 0)
    }
  }
}

const count = (tokens: number | null | undefined): number | undefined =>
  tokens === undefined || tokens === null ? undefined : Math.round(tokens)
