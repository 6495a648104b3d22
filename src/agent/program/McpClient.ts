/**
 * What is said to an MCP server: the handshake, the list of its tools, a call.
 *
 * Servers of all revisions from 2024-11-05 on are taken: each of them lists and calls tools in the same words. A tool
 * that cannot be understood, or is too large to be passed on, is left out alone.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Nesting from "../../domain/Nesting.ts"
import { type McpCallResult, mcpLimits, type McpTool } from "../Protocol.ts"
import * as McpResult from "./McpResult.ts"
import { McpFailed, type Transport } from "./McpTransport.ts"

/**
 * The tools of a server, and how many were left out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Found {
  readonly tools: ReadonlyArray<McpTool>
  readonly leftOut: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface McpClient {
  readonly tools: Effect.Effect<Found, McpFailed>
  readonly call: (tool: string, given: Schema.JsonObject) => Effect.Effect<McpCallResult, McpFailed>
}

/**
 * Shakes hands. Fails when the server speaks no revision that is known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect = Effect.fnUntraced(function*(
  transport: Transport,
  version: string
): Effect.fn.Return<McpClient, McpFailed> {
  const answer = yield* transport.request("initialize", {
    protocolVersion: revisions[0],
    capabilities: {},
    clientInfo: { name: "chat-workspace-agent", version }
  })
  const hello = Option.getOrUndefined(decodeHello(answer))
  if (hello === undefined) return yield* notUnderstood
  if (!revisions.includes(hello.protocolVersion)) {
    return yield* new McpFailed({ reason: "refused", detail: "it speaks another revision of the protocol" })
  }
  transport.agree(hello.protocolVersion)
  yield* transport.notify("notifications/initialized")
  return {
    tools: hello.capabilities.tools === undefined ? Effect.succeed({ tools: [], leftOut: 0 }) : list(transport),
    call: (tool, given) =>
      Effect.flatMap(
        transport.request("tools/call", { name: tool, arguments: given }),
        (answer) => Option.match(McpResult.decode(answer), { onNone: () => notUnderstood, onSome: Effect.succeed })
      )
  }
})

const revisions: readonly [string, ...Array<string>] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]

const list = Effect.fnUntraced(function*(transport: Transport): Effect.fn.Return<Found, McpFailed> {
  const tools = new Map<string, McpTool>()
  let leftOut = 0
  let cursor: string | undefined
  for (let page = 0; page < pages; page++) {
    const answer = yield* transport.request("tools/list", cursor === undefined ? {} : { cursor })
    const found = Option.getOrUndefined(decodePage(answer))
    if (found === undefined) return yield* notUnderstood
    for (const each of found.tools) {
      const tool = toolOf(each)
      if (tool === undefined || tools.has(tool.name) || tools.size === mcpLimits.tools) leftOut += 1
      else tools.set(tool.name, tool)
    }
    cursor = found.nextCursor
    if (cursor === undefined || tools.size === mcpLimits.tools) break
  }
  return { tools: Array.from(tools.values()), leftOut }
})

/** So that a server that always has one more page comes to an end. */
const pages = 100

const Hello = Schema.Struct({
  protocolVersion: Schema.String,
  capabilities: Schema.Struct({ tools: Schema.optionalKey(Schema.Unknown) })
})

const Page = Schema.Struct({
  tools: Schema.Array(Schema.Unknown),
  nextCursor: Schema.optionalKey(Schema.String)
})

const Tool = Schema.Struct({
  name: Schema.NonEmptyString.check(Schema.isMaxLength(mcpLimits.nameLength)),
  description: Schema.optionalKey(Schema.NullOr(Schema.String)),
  inputSchema: Schema.JsonObject,
  annotations: Schema.optionalKey(Schema.Struct({ readOnlyHint: Schema.optionalKey(Schema.Boolean) }))
})

const decodeHello = Schema.decodeUnknownOption(Hello)
const decodePage = Schema.decodeUnknownOption(Page)
const decodeTool = Schema.decodeUnknownOption(Tool)

const toolOf = (value: unknown): McpTool | undefined => {
  const tool = Option.getOrUndefined(decodeTool(value))
  if (tool === undefined || !Nesting.isWithin(tool.inputSchema)) return undefined
  if (Buffer.byteLength(JSON.stringify(tool.inputSchema)) > mcpLimits.schema) return undefined
  return {
    name: tool.name,
    description: McpResult.shortened(tool.description ?? "", mcpLimits.description),
    inputSchema: tool.inputSchema,
    readOnly: tool.annotations?.readOnlyHint === true
  }
}

const notUnderstood = Effect.fail(
  new McpFailed({ reason: "refused", detail: "its answer is not what the protocol says" })
)
