/**
 * The MCP servers of an agent in memory: what they offer, and what calls of their tools come to, as a test says.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Mcp } from "../agent/AgentConnection.ts"
import type { McpCallResult, McpServer, McpTool } from "../agent/Mcp.ts"
import { McpRefused } from "../domain/Errors.ts"
import type { McpError } from "../domain/Errors.ts"

/**
 * A call of a tool.
 *
 * @since 0.1.0
 * @category models
 */
export type McpCall = Omit<Parameters<Mcp["call"]>[0], "timeout">

/**
 * Plays the tools of an agent's servers.
 *
 * @since 0.1.0
 * @category models
 */
export type OnMcpCall = (call: McpCall) => Effect.Effect<McpCallResult, McpError>

/**
 * @since 0.1.0
 * @category models
 */
export type McpScript =
  | { readonly _tag: "Serve"; readonly servers: ReadonlyArray<McpServer>; readonly onCall: OnMcpCall }
  | { readonly _tag: "Fail"; readonly error: Exclude<McpError, McpRefused> }
  | { readonly _tag: "Hang" }

/**
 * A server that is ready and has tools of these names, or as they are given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const server = (
  name: string,
  tools: ReadonlyArray<string | (Partial<McpTool> & Pick<McpTool, "name">)>
): McpServer => ({
  name,
  state: "ready",
  reason: null,
  tools: tools.map((tool) => ({
    description: "",
    inputSchema: { type: "object" },
    readOnly: false,
    ...(typeof tool === "string" ? { name: tool } : tool)
  }))
})

/**
 * A result of one text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const text = (text: string, options?: { readonly isError?: boolean | undefined }): McpCallResult => ({
  content: [{ _tag: "Text", text }],
  isError: options?.isError === true,
  structured: null,
  truncated: false
})

/**
 * Servers that answer each call with the name of the tool, unless a handler says otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serve = (servers: ReadonlyArray<McpServer>, onCall?: OnMcpCall): McpScript => ({
  _tag: "Serve",
  servers,
  onCall: onCall ?? (({ tool }) => Effect.succeed(text(tool)))
})

/**
 * The calls of an agent whose script is asked anew for each. What holds for a real agent holds here: a tool that is not
 * listed cannot be called.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (script: () => McpScript): Mcp => ({
  tools: () =>
    Effect.suspend(() => {
      const now = script()
      return now._tag === "Serve" ? Effect.succeed({ servers: now.servers, reason: null }) : unanswered(now)
    }),
  call: ({ arguments: given, server, tool }) =>
    Effect.suspend(() => {
      const now = script()
      if (now._tag !== "Serve") return unanswered(now)
      const refused = (reason: McpRefused["reason"], detail: string | null = null) =>
        new McpRefused({ server, tool, reason, detail })
      const found = now.servers.find(({ name }) => name === server)
      if (found === undefined) return refused("noServer")
      if (found.state !== "ready") return refused("notRunning", found.reason)
      if (!found.tools.some(({ name }) => name === tool)) return refused("noTool")
      return now.onCall({ server, tool, arguments: given })
    })
})

const unanswered = (
  script: Exclude<McpScript, { readonly _tag: "Serve" }>
): Effect.Effect<never, Exclude<McpError, McpRefused>> =>
  script._tag === "Fail" ? Effect.fail(script.error) : Effect.never
