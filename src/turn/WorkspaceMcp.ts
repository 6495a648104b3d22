/**
 * The tools that a workspace brings itself: those of the MCP servers which its agent hosts.
 *
 * What an agent listed is remembered for as long as the agent is, and then costs no query and no dial. An empty list is
 * not: the next turn asks again. Nor does one last in which a server was still starting: the next turn takes it as it is,
 * waits for nobody, and has it listed anew for the turn after. A list that has grown old fails when it is used, and a call
 * that finds no such tool makes it forgotten.
 *
 * Off unless the application says otherwise, see `TurnConfig`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { AgentConnection } from "../agent/AgentConnection.ts"
import { AgentTransport } from "../agent/AgentTransport.ts"
import { mcpLimits } from "../agent/Mcp.ts"
import type { McpListing, McpServer } from "../agent/Mcp.ts"
import type { ChatWorkspace } from "../dial/ChatWorkspaces.ts"
import type { Binding } from "../domain/Binding.ts"
import { Unsupported } from "../domain/Errors.ts"
import type { CallError, ConnectError } from "../domain/Errors.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { Audience } from "../domain/Recovery.ts"
import type { ChatToolkit } from "../tool/ToolCalls.ts"
import * as McpToolkit from "./McpToolkit.ts"
import * as NoAgent from "./NoAgent.ts"
import * as SharedWork from "./SharedWork.ts"
import { TurnConfig } from "./TurnConfig.ts"
import * as TurnMetrics from "./TurnMetrics.ts"

/**
 * The tools, with the servers as the agent told them (each with its reason where something is missing), or why there are
 * none: `error` says it where there is one to tell, not of a chat without a workspace or of a failure that was logged.
 *
 * @since 0.1.0
 * @category models
 */
export interface Discovery {
  readonly toolkit: ChatToolkit
  readonly listing: McpListing
  readonly outcome: TurnMetrics.DiscoveryOutcome
  readonly error: ConnectError | CallError | null
}

/**
 * @since 0.1.0
 * @category services
 */
export class WorkspaceMcp extends Context.Service<WorkspaceMcp, {
  /** What is remembered of the workspace's agent, or else what the agent lists in time. */
  readonly discover: (options: {
    readonly workspace: ChatWorkspace
    readonly audience: Audience
  }) => Effect.Effect<Discovery>
}>()("chat-workspace/turn/WorkspaceMcp") {}

type Found = Omit<Discovery, "toolkit">

const noServers: McpListing = { servers: [], reason: null }

const without = (outcome: Found["outcome"], error: Found["error"] = null): Found => ({
  listing: noServers,
  outcome,
  error
})

const make = Effect.gen(function*(): Effect.fn.Return<WorkspaceMcp["Service"], never, AgentTransport | Scope.Scope> {
  const { features } = yield* AgentTransport
  const config = yield* TurnConfig
  const work = yield* SharedWork.make<Found>({
    name: "workspace mcp",
    limit: config.setupLimit,
    otherwise: without("failed")
  })
  const lists = new Map<AgentId, McpListing>()
  const isOff = config.workspaceMcp === "off" || !features.has("mcp")
  // The agent answers before the turn goes on, so that one slow server does not hide the others.
  const serverWait = Duration.divideUnsafe(config.setupWait, 2)

  const remember = (agentId: AgentId, listing: McpListing): void => {
    lists.delete(agentId)
    if (listing.servers.every(({ tools }) => tools.length === 0)) return
    lists.set(agentId, listing)
    // A map keeps the order of insertion: the first key is the list that was used longest ago.
    const oldest = lists.size > config.mcpAgents ? lists.keys().next().value : undefined
    if (oldest !== undefined) lists.delete(oldest)
  }

  const remembered = (agentId: AgentId | null): Found | undefined => {
    const listing = agentId === null ? undefined : lists.get(agentId)
    if (agentId === null || listing === undefined) return undefined
    remember(agentId, listing)
    return { listing, outcome: "hit", error: null }
  }

  const list = Effect.fnUntraced(function*({ agentId, features, mcp }: AgentConnection) {
    if (mcp === undefined || !features.has("mcp")) return yield* new Unsupported({ feature: "mcp" })
    const listing = allowed(yield* mcp.tools({ wait: serverWait }), config)
    remember(agentId, listing)
    return listing
  })

  const look = ({ agentId, chatId }: Binding, workspace: ChatWorkspace): Effect.Effect<Found> =>
    Effect.gen(function*() {
      const current = yield* workspace.currentAgent
      const hit = remembered(current.agentId)
      if (hit !== undefined && isSettled(hit.listing)) return hit
      const found: Found = { listing: yield* workspace.use(list), outcome: "listed", error: null }
      return found
    }).pipe(Effect.catch((error): Effect.Effect<Found> => {
      if (NoAgent.isNoAgent(error)) {
        return Effect.sync(() => {
          // Another chat may have listed it meanwhile, before it was gone.
          if (agentId !== null) lists.delete(agentId)
          return without("none", error)
        })
      }
      return Effect.as(
        Effect.annotateLogs(Effect.logWarning("The tools of a workspace could not be listed", error), {
          "chat.id": chatId
        }),
        without("failed", error)
      )
    }))

  const find = (row: Binding, workspace: ChatWorkspace): Effect.Effect<Found> => {
    if (isOff) return Effect.succeed(without("off"))
    if (row.workspaceId === null) return Effect.succeed(without("none"))
    const hit = remembered(row.agentId)
    if (hit !== undefined && isSettled(hit.listing)) return Effect.succeed(hit)
    const key = `${row.chatId}/${row.generation}`
    const looking = look(row, workspace)
    return hit === undefined
      ? Effect.map(work.join(key, looking, config.setupWait), Option.getOrElse(() => without("late")))
      : Effect.as(work.begin(key, looking), hit)
  }

  return WorkspaceMcp.of({
    discover: Effect.fn("WorkspaceMcp.discover")(function*({ audience, workspace }) {
      const row = yield* workspace.binding
      yield* Effect.annotateCurrentSpan({ "chat.id": row.chatId })
      const found = yield* find(row, workspace)
      yield* Metric.update(TurnMetrics.discovery(found.outcome), 1)
      const toolkit = yield* McpToolkit.make({
        listing: found.listing,
        workspace,
        audience,
        config,
        onStale: (agentId) => lists.delete(agentId)
      })
      return { ...found, toolkit }
    })
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<WorkspaceMcp, never, AgentTransport> = Layer.effect(WorkspaceMcp, make)

const isSettled = ({ servers }: McpListing): boolean => servers.every(({ state }) => state !== "starting")

const allowed = ({ reason, servers }: McpListing, { mcpServers, workspaceMcp }: TurnConfig): McpListing => ({
  servers: servers
    .filter(({ name }: McpServer) => workspaceMcp === "all" || mcpServers.includes(name))
    .slice(0, mcpLimits.servers),
  reason
})
