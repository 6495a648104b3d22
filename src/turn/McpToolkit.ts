/**
 * The tools of a workspace's own servers as tools of a chat.
 *
 * Nothing of a server is trusted: its texts are bounded and said to be its own, its results are cut to what a model should
 * read, and arguments are checked by the server alone. Each call goes through the workspace of the turn, like any other.
 *
 * @since 0.1.0
 */
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { mcpLimits } from "../agent/Mcp.ts"
import type { McpCallResult, McpContent, McpListing, McpTool } from "../agent/Mcp.ts"
import type { ChatWorkspace } from "../dial/ChatWorkspaces.ts"
import { Unsupported } from "../domain/Errors.ts"
import type { ConnectError, McpError } from "../domain/Errors.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { Audience } from "../domain/Recovery.ts"
import * as ModelText from "../tool/ModelText.ts"
import * as ToolCalls from "../tool/ToolCalls.ts"
import * as ToolFailure from "../tool/ToolFailure.ts"
import * as McpNames from "./McpNames.ts"
import type { TurnConfig } from "./TurnConfig.ts"

/**
 * What a call came to, as the model reads it. With `is_error` the tool says that it failed; what it says is `output`.
 *
 * @since 0.1.0
 * @category models
 */
export const McpResult = Schema.Struct({
  output: Schema.String,
  is_error: Schema.optionalKey(Schema.Boolean),
  truncated: Schema.optionalKey(Schema.Boolean)
})

/**
 * @since 0.1.0
 * @category models
 */
export type McpResult = typeof McpResult.Type

/**
 * What a kit is made of. `onStale` hears of an agent whose servers do not offer what the list says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly listing: McpListing
  readonly workspace: ChatWorkspace
  readonly audience: Audience
  readonly onStale: (agentId: AgentId) => void
  readonly config: TurnConfig
}

interface Offered extends McpNames.Route {
  readonly about: McpTool
}

/**
 * The tools of all servers in a list. None takes the name of one that the audience has already.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<ToolCalls.ChatToolkit> {
  const offered = options.listing.servers.flatMap((server) =>
    server.tools.filter(isUsable).map((about): Offered => ({ server: server.name, tool: about.name, about }))
  )
  const named = McpNames.assign(offered, options.audience.toolNames).slice(0, mcpLimits.tools)
  const tools = named.map(([name, route]) => describe(name, route))
  const toolkit = Toolkit.make(...tools)
  const handlers = yield* toolkit.toHandlers(
    Object.fromEntries(named.map(([name, route]) => [name, (args: unknown) => call(route, args, options)]))
  )
  return yield* ToolCalls.make(tools, handlers, { label: "mcp" })
})

/** Providers refuse a whole request for one schema that is no object, and a huge one crowds out everything else. */
const isUsable = ({ inputSchema }: McpTool): boolean =>
  inputSchema["type"] === "object" && JSON.stringify(inputSchema).length <= mcpLimits.schema

const describe = (name: string, { about, server }: Offered): ToolCalls.ChatTool => {
  const text = about.description.trim()
  return Tool.dynamic(name, {
    description: `Tool of the workspace's MCP server ${JSON.stringify(ModelText.shortened(server, 64))}.${
      text === "" ? "" : ` It says: ${ModelText.shortened(text, mcpLimits.description)}`
    }`,
    parameters: about.inputSchema,
    success: McpResult,
    failure: ToolFailure.ToolFailure,
    failureMode: "return"
    // That it only reads is the server's own claim, which nobody should act on.
  }).annotate(Tool.Strict, false).annotate(Tool.Readonly, false)
}

const decodeArguments = Schema.decodeUnknownOption(Schema.JsonObject)

const call = Effect.fnUntraced(function*(
  route: Offered,
  args: unknown,
  { audience, config, onStale, workspace }: Options
): Effect.fn.Return<McpResult, ToolFailure.ToolFailure> {
  const decoded = decodeArguments(args ?? {})
  if (Option.isNone(decoded)) return yield* Effect.fail(noObject)
  const { server, tool } = route
  return yield* workspace.use(({ agentId, mcp }) =>
    mcp === undefined
      ? Effect.fail(new Unsupported({ feature: "mcp" }))
      : Effect.tapError(
        mcp.call({ server, tool, arguments: decoded.value, timeout: config.mcpCall }),
        (error) => Effect.sync(() => isStale(error) ? onStale(agentId) : undefined)
      )
  ).pipe(
    Effect.map((result) => resultOf(result, config.mcpResultBytes)),
    Effect.mapError((error) => failureOf(error, audience))
  )
})

const isStale = (error: McpError): boolean =>
  error._tag === "McpRefused" && (error.reason === "noTool" || error.reason === "noServer")

const noObject: ToolFailure.ToolFailure = {
  error: "invalid_arguments",
  message: "The arguments do not fit the tool: they are not an object. Correct the call.",
  retry: "never"
}

const failureOf = (error: ConnectError | McpError, audience: Audience): ToolFailure.ToolFailure => {
  const failure = ToolFailure.fromError(error, audience)
  const isOpen = (error._tag === "CallInterrupted" || error._tag === "CallTimedOut") && error.sent === "mayHaveRun"
  // Such a call has no process whose output could be asked for.
  return isOpen ? { ...failure, message: `${error.message} ${lookFirst}` } : failure
}

const lookFirst = "Look whether it took effect before you repeat the call."

const resultOf = (result: McpCallResult, limit: number): McpResult => {
  const content = result.content.map(textOf).filter((text) => text !== "")
  const said = content.length > 0 || result.structured === null ? content : [JSON.stringify(result.structured)]
  const bytes = new TextEncoder().encode(said.join("\n"))
  const { leftOut, text } = ModelText.fromOutput([{ _tag: "Data", offset: 0, stream: "stdout", bytes }], limit)
  return {
    output: text,
    ...(result.isError ? { is_error: true } : {}),
    ...(leftOut > 0 || result.truncated ? { truncated: true } : {})
  }
}

const textOf = (content: McpContent): string => {
  switch (content._tag) {
    case "Text":
      return content.text
    case "Other":
      return content.text
    case "Image":
      return `[an image (${content.mimeType}, ${content.bytes.length} bytes), which cannot be shown here]`
  }
}
