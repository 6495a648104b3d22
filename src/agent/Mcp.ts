/**
 * The tools of the servers that a workspace names in its `.mcp.json`, as its agent tells them.
 *
 * The agent hosts the servers, lists their tools and passes calls on. Everything here was written by a workspace or by a
 * server in it: names, texts and results are to be shown, bounded, and never to be trusted.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Nesting from "../domain/Nesting.ts"

/**
 * How many servers and tools an agent lists at most, and the bytes of a description, of a schema and of a result.
 *
 * @since 0.1.0
 * @category constants
 */
export const mcpLimits = {
  servers: 16,
  tools: 128,
  nameLength: 128,
  description: 2 * 1024,
  schema: 16 * 1024,
  result: 256 * 1024,
  reason: 512
} as const

const shallow = Schema.makeFilter((value: Schema.Json) =>
  Nesting.isWithin(value) || `Expected at most ${Nesting.limit} levels`
)

/**
 * - `starting`: it has not answered yet
 * - `ready`: its tools are listed
 * - `failed`: it cannot be used now; the reason says why, in the agent's words
 *
 * @since 0.1.0
 * @category models
 */
export const McpServerState = Schema.Literals(["starting", "ready", "failed"])

/**
 * @since 0.1.0
 * @category models
 */
export type McpServerState = typeof McpServerState.Type

/**
 * A tool of a server. `inputSchema` is JSON Schema as the server gave it; `readOnly` is what the server claims.
 *
 * @since 0.1.0
 * @category models
 */
export const McpTool = Schema.Struct({
  name: Schema.NonEmptyString,
  description: Schema.String,
  inputSchema: Schema.JsonObject.check(shallow),
  readOnly: Schema.Boolean
})

/**
 * @since 0.1.0
 * @category models
 */
export type McpTool = typeof McpTool.Type

/**
 * A server and its tools. A `ready` one has a reason where something of it was left out.
 *
 * @since 0.1.0
 * @category models
 */
export interface McpServer {
  readonly name: string
  readonly state: McpServerState
  readonly reason: string | null
  readonly tools: ReadonlyArray<McpTool>
}

/**
 * The servers in the order of their names. `reason` says what is wrong with the file that names them; null where nothing
 * is, also where there is no file.
 *
 * @since 0.1.0
 * @category models
 */
export interface McpListing {
  readonly servers: ReadonlyArray<McpServer>
  readonly reason: string | null
}

/**
 * A piece of a result. `Other` stands for what is neither text nor image, as a text.
 *
 * @since 0.1.0
 * @category models
 */
export const McpContent = Schema.Union([
  Schema.TaggedStruct("Text", { text: Schema.String }),
  Schema.TaggedStruct("Image", { mimeType: Schema.String, bytes: Schema.Uint8ArrayFromBase64 }),
  Schema.TaggedStruct("Other", { kind: Schema.String, text: Schema.String })
])

/**
 * @since 0.1.0
 * @category models
 */
export type McpContent = typeof McpContent.Type

/**
 * What a call came to. `isError`: the tool says that it failed. `truncated`: it was more than fits, the rest is lost.
 *
 * @since 0.1.0
 * @category models
 */
export const McpCallResult = Schema.Struct({
  content: Schema.Array(McpContent),
  isError: Schema.Boolean,
  structured: Schema.NullOr(Schema.Json.check(shallow)),
  truncated: Schema.Boolean
})

/**
 * @since 0.1.0
 * @category models
 */
export type McpCallResult = typeof McpCallResult.Type
