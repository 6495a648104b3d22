/**
 * The tools that a chat has, for one turn: what an application hands to its model loop.
 *
 * Which tools there are is decided when the turn opens: by what the transport can do, by what the application composed
 * (with or without builds), and by whether the chat is the child of another, which shares that one's workspace and does
 * not decide over it. Errors name only tools that this chat has.
 *
 * @since 0.1.0
 */
import type * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { AgentTransport } from "../agent/AgentTransport.ts"
import type { Feature } from "../agent/Feature.ts"
import { ChatWorkspaces } from "../dial/ChatWorkspaces.ts"
import type { ChatWorkspace } from "../dial/ChatWorkspaces.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { ChatId, OwnerId } from "../domain/Ids.ts"
import type { Readiness } from "../provisioner/Readiness.ts"
import type { Workspaces } from "../provisioner/Workspaces.ts"
import type { Builds } from "../store/Builds.ts"
import type { ChatBindings } from "../store/ChatBindings.ts"
import type { WorkspaceAgents } from "../store/WorkspaceAgents.ts"
import * as ExecutionHandlers from "./ExecutionHandlers.ts"
import { ExecutionTools } from "./ExecutionTools.ts"
import * as FileHandlers from "./FileHandlers.ts"
import { FileTools } from "./FileTools.ts"
import * as LifecycleHandlers from "./LifecycleHandlers.ts"
import { LifecycleTools } from "./LifecycleTools.ts"
import * as PlainTools from "./PlainTools.ts"
import * as ToolCalls from "./ToolCalls.ts"
import type { ToolContext } from "./ToolContext.ts"

/**
 * A turn of a chat: its workspace, and its tools in two forms.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenChat {
  readonly workspace: ChatWorkspace
  /** For a model loop of Effect. */
  readonly toolkit: ToolCalls.ChatToolkit
  /** For any other: the same tools, as functions that answer promises. */
  readonly plain: ReadonlyArray<PlainTools.PlainTool>
}

/**
 * @since 0.1.0
 * @category services
 */
export class ChatTools extends Context.Service<ChatTools, {
  /**
   * Opens the workspace of a chat for one turn, with the tools for it. Reads the chat's binding, once. The tools go
   * through what `wrap` makes of the workspace.
   */
  readonly open: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
    readonly child?: boolean | undefined
    readonly wrap?: ((workspace: ChatWorkspace) => ChatWorkspace) | undefined
  }) => Effect.Effect<OpenChat, StoreError>
}>()("chat-workspace/tool/ChatTools") {}

/** Tools that come together, with their handlers for a turn. */
interface Part {
  readonly tools: ReadonlyArray<ToolCalls.ChatTool>
  readonly handlers: (context: ToolContext) => Effect.Effect<Context.Context<never>>
}

const part = <Tools extends Record<string, ToolCalls.ChatTool>>(
  toolkit: Toolkit.Toolkit<Tools>,
  handlers: (context: ToolContext) => Toolkit.HandlersFrom<Tools>
): Part => ({
  tools: Object.values(toolkit.tools),
  handlers: (context) => toolkit.toHandlers(handlers(context))
})

const make = Effect.fnUntraced(function*(lifecycle: ReadonlyArray<Part>): Effect.fn.Return<
  ChatTools["Service"],
  never,
  ChatWorkspaces | AgentTransport | SecureRandom.SecureRandom | Scope.Scope
> {
  const workspaces = yield* ChatWorkspaces
  const { features } = yield* AgentTransport
  const plain = yield* PlainTools.make
  const inside = [
    part(ExecutionTools, yield* ExecutionHandlers.make),
    part(FileTools, yield* FileHandlers.make)
  ]

  return ChatTools.of({
    open: Effect.fn("ChatTools.open")(function*({ chatId, child, owner, wrap }) {
      yield* Effect.annotateCurrentSpan({ "chat.id": chatId })
      const opened = yield* workspaces.open(chatId)
      const workspace = wrap === undefined ? opened : wrap(opened)
      const parts = child === true ? inside : [...lifecycle, ...inside]
      const tools = parts.flatMap(({ tools }) => tools).filter(({ name }) => {
        const feature = needs[name]
        return feature === undefined || features.has(feature)
      })
      const audience = { toolNames: tools.map(({ name }) => name), child }
      const context: ToolContext = { chatId, owner, workspace, audience }
      const handlers = yield* Effect.forEach(parts, (part) => part.handlers(context))
      const toolkit = yield* ToolCalls.make(tools, Context.mergeAll(...handlers))
      return { workspace, toolkit, plain: plain(toolkit) }
    })
  })
})

/** What a transport must be able to do for a tool to be of any use. */
const needs: Readonly<Record<string, Feature>> = {
  execute: "run",
  process_output: "processes",
  process_list: "processes",
  process_signal: "processes",
  read_file: "files",
  write_file: "files",
  edit_files: "files"
}

/**
 * All tools, over our builds.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  ChatTools,
  never,
  ChatWorkspaces | AgentTransport | Workspaces | Readiness | Builds | ChatBindings | WorkspaceAgents
> = Layer.effect(
  ChatTools,
  Effect.flatMap(LifecycleHandlers.make, (handlers) => make([part(LifecycleTools, handlers)]))
).pipe(Layer.provide(SecureRandom.layerWebCrypto))

/**
 * The tools on commands and files alone, for an application that makes its workspaces itself.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithoutBuilds: Layer.Layer<ChatTools, never, ChatWorkspaces | AgentTransport> = Layer.effect(
  ChatTools,
  make([])
).pipe(Layer.provide(SecureRandom.layerWebCrypto))
