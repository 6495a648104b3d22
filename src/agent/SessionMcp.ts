/**
 * The tools of a workspace's own servers, called over the sessions of its agent.
 *
 * A list has no effect and is asked for again over a new link. A call may have any, and no server remembers it: once it
 * was handed to a socket it is never sent again.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { McpRefused } from "../domain/Errors.ts"
import type { AgentBusy } from "../domain/Errors.ts"
import type { Mcp } from "./AgentConnection.ts"
import * as Calls from "./Calls.ts"
import { Handed } from "./Link.ts"
import { mcpLimits } from "./Mcp.ts"
import type { McpListing, McpServer, McpTool } from "./Mcp.ts"
import type { McpPart } from "./Protocol.ts"
import { fits, needs, sizeOf } from "./SessionProcesses.ts"
import type { Means } from "./SessionProcesses.ts"
import type { Session } from "./Sessions.ts"

/**
 * The servers of the agent of this session.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (home: Session, { calls, config }: Means): Mcp => {
  const tools: Mcp["tools"] = (options) => {
    const wait = options?.wait === undefined ? config.mcpWait : Duration.fromInputUnsafe(options.wait)
    const waitMillis = Math.floor(Duration.toMillis(Duration.min(wait, config.mcpCall)))
    return calls.make(
      { method: "mcpTools", home, operationId: null, deadline: config.mcpCall, repeat: "always" },
      (session) => listing(session, waitMillis)
    )
  }

  const call: Mcp["call"] = ({ arguments: given, server, timeout, tool }) =>
    Effect.suspend(() => {
      const payload = { server, tool, arguments: given }
      const size = sizeOf(payload)
      if (!fits(size)) {
        return new McpRefused({
          server: server.slice(0, 256),
          tool: tool.slice(0, 256),
          reason: "tooLarge",
          detail: null
        })
      }
      return calls.make(
        {
          method: "mcpCall",
          home,
          operationId: null,
          deadline: timeout === undefined ? config.mcpCall : Duration.fromInputUnsafe(timeout),
          repeat: "never"
        },
        (session, handing) =>
          Calls.ask(
            session,
            (client) => Effect.provideService(client.McpCall(payload), Handed, handing),
            size
          )
      )
    })

  return {
    tools: (options) => needs(home, "mcp", tools(options)),
    call: (options) => needs(home, "mcp", call(options))
  }
}

/** Each server is followed by its tools; more than an agent may list breaks the protocol. */
const listing = Effect.fnUntraced(function*(
  session: Session,
  waitMillis: number
): Effect.fn.Return<McpListing, AgentBusy | Calls.LinkLost | Calls.Unanswered> {
  const servers: Array<McpServer & { readonly tools: Array<McpTool> }> = []
  let reason: string | null = null
  let tools = 0
  const violated = Calls.violated(session, "a list of tools that breaks its limits")
  const take = (part: McpPart): Effect.Effect<void, Calls.Unanswered> => {
    if (part._tag === "Tool") {
      const server = servers.at(-1)
      tools += 1
      if (server === undefined || tools > mcpLimits.tools || !isWithin(part.tool)) return violated
      server.tools.push(part.tool)
      return Effect.void
    }
    if ((part.reason?.length ?? 0) > mcpLimits.reason) return violated
    if (part._tag === "File") {
      reason = part.reason
      return Effect.void
    }
    if (servers.length === mcpLimits.servers || part.name.length > mcpLimits.nameLength) return violated
    servers.push({ name: part.name, state: part.state, reason: part.reason, tools: [] })
    return Effect.void
  }
  yield* Calls.ask(
    session,
    (client) => Stream.runForEach(client.McpTools({ waitMillis }, { streamBufferSize: 1 }), take)
  )
  return { servers, reason }
})

const isWithin = ({ description, inputSchema, name }: McpTool): boolean =>
  name.length <= mcpLimits.nameLength &&
  description.length <= mcpLimits.description &&
  JSON.stringify(inputSchema).length <= mcpLimits.schema
