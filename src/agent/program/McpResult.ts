/**
 * What a tool answered, made small enough to be passed on.
 *
 * Pieces are taken in order as long as there is room; a text that does not fit is cut, anything else is named and left
 * out. Sizes are those on the wire, where a character may take six bytes.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Nesting from "../../domain/Nesting.ts"
import { type McpCallResult, type McpContent, mcpLimits } from "../Protocol.ts"

/**
 * The result that an answer holds, within the limit of one result; none when it is no result.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (answer: unknown): Option.Option<McpCallResult> =>
  Option.map(decodeAnswer(answer), ({ content = [], isError = false, structuredContent }) => {
    const kept: Array<McpContent> = []
    let left: number = mcpLimits.result - margin
    let truncated = false
    for (const piece of content.slice(0, piecesLimit).map(pieceOf)) {
      const size = sizeOf(piece)
      if (size <= left) {
        kept.push(piece)
        left -= size
        continue
      }
      truncated = true
      const rest = piece._tag === "Text" ? cut(piece.text, left) : ""
      if (rest !== "") kept.push({ _tag: "Text", text: rest })
      if (piece._tag !== "Text" && left > 2 * margin) {
        kept.push({ _tag: "Other", kind: kindOf(piece), text: `left out: ${size} bytes are more than fit` })
      }
      break
    }
    const fits = structuredContent !== undefined && Nesting.isWithin(structuredContent) &&
      sizeOf(structuredContent) <= left
    return {
      content: kept,
      isError,
      structured: fits ? structuredContent : null,
      truncated: truncated || content.length > piecesLimit || (structuredContent !== undefined && !fits)
    }
  })

/**
 * A text of at most so many bytes, that says when it was cut.
 *
 * @since 0.1.0
 * @category combinators
 */
export const shortened = (text: string, limit: number): string => {
  if (Buffer.byteLength(text) <= limit) return text
  // A character that was cut through decodes to a replacement, which takes its room too.
  const bytes = Buffer.from(text).subarray(0, limit - 6)
  return `${bytes.toString("utf8").replace(/\uFFFD+$/, "")}…`
}

const margin = 1024

/** Small pieces cost more than their bytes. */
const piecesLimit = 1000

const Answer = Schema.Struct({
  content: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  isError: Schema.optionalKey(Schema.Boolean),
  structuredContent: Schema.optionalKey(Schema.Json)
})

const Piece = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text"), text: Schema.String }),
  Schema.Struct({ type: Schema.Literal("image"), mimeType: Schema.String, data: Schema.Uint8ArrayFromBase64 }),
  Schema.Struct({
    type: Schema.Literal("resource"),
    resource: Schema.Struct({ uri: Schema.String, text: Schema.String })
  }),
  Schema.Struct({ type: Schema.Literal("resource_link"), uri: Schema.String })
])

const decodeAnswer = Schema.decodeUnknownOption(Answer)
const decodePiece = Schema.decodeUnknownOption(Piece)
const decodeType = Schema.decodeUnknownOption(Schema.Struct({ type: Schema.String }))

const pieceOf = (value: unknown): McpContent => {
  const piece = Option.getOrUndefined(decodePiece(value))
  switch (piece?.type) {
    case "text":
      return { _tag: "Text", text: piece.text }
    case "image":
      return { _tag: "Image", mimeType: piece.mimeType.slice(0, 256), bytes: piece.data }
    case "resource":
      return { _tag: "Other", kind: "resource", text: `${piece.resource.uri}\n${piece.resource.text}` }
    case "resource_link":
      return { _tag: "Other", kind: "resource_link", text: piece.uri }
    case undefined: {
      const type = Option.getOrUndefined(decodeType(value))?.type ?? "unknown"
      return { _tag: "Other", kind: type.slice(0, 64), text: "is not shown" }
    }
  }
}

const kindOf = (piece: McpContent): string => piece._tag === "Other" ? piece.kind : piece._tag.toLowerCase()

const sizeOf = (piece: McpContent | Schema.Json): number => {
  if (typeof piece === "object" && piece !== null && "bytes" in piece && piece.bytes instanceof Uint8Array) {
    return Math.ceil(piece.bytes.length * 4 / 3) + margin
  }
  return Buffer.byteLength(JSON.stringify(piece))
}

/** The beginning of a text that takes no more than so many bytes on the wire. */
const cut = (text: string, limit: number): string => {
  let taken = text.slice(0, limit)
  while (taken !== "" && sizeOf(taken) > limit) taken = taken.slice(0, Math.floor(taken.length * 0.9))
  // Half of a pair of code units is no character.
  return /[\uD800-\uDBFF]$/.test(taken) ? taken.slice(0, -1) : taken
}
