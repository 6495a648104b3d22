/**
 * What a turn does before the model runs: instruction files and the workspace's own tools, beside each other.
 *
 * It never fails and never takes longer than its bound: what is not there by then is left out and said. So a chat whose
 * workspace is stopped starts its model at once, with the tools it always has.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AgentTransport } from "../agent/AgentTransport.ts"
import type { ChatWorkspace } from "../dial/ChatWorkspaces.ts"
import type { InstructionStore } from "../store/InstructionStore.ts"
import * as ModelText from "../tool/ModelText.ts"
import * as PlainTools from "../tool/PlainTools.ts"
import * as ToolCalls from "../tool/ToolCalls.ts"
import * as InstructionBlock from "./InstructionBlock.ts"
import * as InstructionFiles from "./InstructionFiles.ts"
import * as PromptBlock from "./PromptBlock.ts"
import * as WorkspaceMcp from "./WorkspaceMcp.ts"

/**
 * What a loop starts with. `blocks` go into the system prompt: the instruction files, and what is missing and why.
 * `notices` are the lines of the latter, for whoever follows the turn. `toolkit` holds the tools that were given and those
 * of the workspace, and `plain` the same for loops that are not Effect.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prepared {
  readonly blocks: ReadonlyArray<string>
  readonly notices: ReadonlyArray<string>
  readonly toolkit: ToolCalls.ChatToolkit
  readonly plain: ReadonlyArray<PlainTools.PlainTool>
}

/**
 * @since 0.1.0
 * @category services
 */
export class TurnSetup extends Context.Service<TurnSetup, {
  /** Prepares a turn with the tools that the chat has anyway. */
  readonly prepare: (options: {
    readonly workspace: ChatWorkspace
    readonly toolkit: ToolCalls.ChatToolkit
    readonly child?: boolean | undefined
  }) => Effect.Effect<Prepared>
}>()("chat-workspace/turn/TurnSetup") {}

const make = Effect.gen(function*() {
  const instructionFiles = yield* InstructionFiles.InstructionFiles
  const mcp = yield* WorkspaceMcp.WorkspaceMcp
  const plain = yield* PlainTools.make

  return TurnSetup.of({
    prepare: Effect.fn("TurnSetup.prepare")(function*({ child, toolkit, workspace }) {
      const audience = { toolNames: Object.keys(toolkit.tools), child }
      const [instructions, discovery] = yield* Effect.all(
        [instructionFiles.read(workspace), mcp.discover({ workspace, audience })],
        { concurrency: 2 }
      )
      const merged = ToolCalls.merge(toolkit, discovery.toolkit)
      const notices = Array.from(new Set([...aboutInstructions(instructions), ...aboutTools(discovery)]))
      return {
        // What changes from turn to turn comes last, so that a provider can keep what is before it.
        blocks: [InstructionBlock.make(instructions.files), missing(notices)].filter((block) => block !== undefined),
        notices,
        toolkit: merged,
        plain: plain(merged)
      }
    })
  })
})

/**
 * Over the two services that do the work.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoDeps: Layer.Layer<
  TurnSetup,
  never,
  InstructionFiles.InstructionFiles | WorkspaceMcp.WorkspaceMcp
> = Layer.effect(TurnSetup, make)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  TurnSetup | InstructionFiles.InstructionFiles | WorkspaceMcp.WorkspaceMcp,
  never,
  AgentTransport | InstructionStore
> = Layer.provideMerge(layerNoDeps, Layer.merge(InstructionFiles.layer, WorkspaceMcp.layer))

const missing = (notices: ReadonlyArray<string>): string | undefined =>
  notices.length === 0 ? undefined : PromptBlock.make("workspace_notices", [
    "What the workspace does not give in this turn. What a server says of itself is in its own words.",
    ...notices.map((notice) => `- ${PromptBlock.inert(notice)}`)
  ])

const aboutInstructions = ({ error, outcome }: InstructionFiles.Instructions): ReadonlyArray<string> => {
  switch (outcome) {
    case "late":
      return ["The instruction files of the workspace could not be read in time; they are read for the next turn."]
    case "failed":
      return [`The instruction files of the workspace could not be read${because(error)}`]
    case "none":
      return error === null ? [] : [error.message]
    case "read":
    case "stored":
      return []
  }
}

const aboutTools = ({ error, listing, outcome }: WorkspaceMcp.Discovery): ReadonlyArray<string> => {
  switch (outcome) {
    case "late":
      return [
        "The tools of the workspace's MCP servers could not be listed in time; they are listed for the next turn."
      ]
    case "failed":
      return [`The tools of the workspace's MCP servers could not be listed${because(error)}`]
    case "none":
      return error === null ? [] : [error.message]
    case "hit":
    case "listed":
      return [
        ...(listing.reason === null
          ? []
          : [`The workspace's .mcp.json cannot be used as it is: ${line(listing.reason)}`]),
        ...listing.servers.flatMap(({ name, reason, state }) =>
          state === "ready" && reason === null ? [] : [
            `The workspace's MCP server ${JSON.stringify(line(name))} ${states[state]}${
              reason === null ? "." : `: ${line(reason)}`
            }`
          ]
        )
      ]
    case "off":
      return []
  }
}

const states = {
  starting: "has not started yet",
  ready: "gives only some of its tools",
  failed: "gives no tools"
} as const

const because = (error: { readonly message: string } | null): string =>
  error === null ? "." : `: ${line(error.message)}`

/** Words of a workspace in a line of ours. */
const line = (text: string): string => ModelText.shortened(text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim(), 300)
