/**
 * The tools of a chat as an MCP server registers them.
 *
 * The server knows the contract of every tool; which of them a chat has, and what a call does, is asked of the chat that
 * the request is for. An answer is the one that the model of our own loop would read: a result as structured content and
 * as text, a failure as text with `isError`. While a call waits, a client that gave a token hears of its progress.
 *
 * @since 0.1.0
 */
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpSchema from "effect/ai/McpSchema"
import * as McpServer from "effect/ai/McpServer"
import * as Tool from "effect/ai/Tool"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BuildProgress } from "../domain/BuildProgress.ts"
import type { StoreError } from "../domain/Errors.ts"
import type { OpenChat } from "../tool/ChatTools.ts"
import { ExecutionTools } from "../tool/ExecutionTools.ts"
import { FileTools } from "../tool/FileTools.ts"
import { LifecycleTools } from "../tool/LifecycleTools.ts"
import type { ChatTool } from "../tool/ToolCalls.ts"
import * as ToolFailure from "../tool/ToolFailure.ts"
import { McpConfig } from "./McpConfig.ts"

/**
 * The chat that a request is for.
 *
 * @since 0.1.0
 * @category models
 */
export interface McpChat {
  /** Opens it, for the tools that it has now. */
  readonly open: Effect.Effect<OpenChat, StoreError>
  /** Takes a place for a call until the scope closes; false when there is none. */
  readonly admit: Effect.Effect<boolean, never, Scope.Scope>
  /** Completes when the client has gone away, where the transport does not end its calls itself. */
  readonly gone: Effect.Effect<void>
}

/**
 * Each transport says which chat its requests are for.
 *
 * @since 0.1.0
 * @category references
 */
export const CurrentChat: Context.Reference<McpChat> = Context.Reference("chat-workspace/http/McpTools/CurrentChat", {
  defaultValue: (): McpChat => {
    const open = Effect.die(new Error("The transport of the MCP server did not say which chat it serves"))
    return { open, admit: open, gone: Effect.never }
  }
})

/**
 * What the server says of itself, and the revisions of the protocol that it speaks. The version is that of the tools. A
 * client that asks for a revision we do not know is offered the first.
 *
 * @since 0.1.0
 * @category constants
 */
export const server = {
  name: "chat-workspace",
  version: "1",
  instructions: "Tools of one chat: they get it a workspace, run commands in it, and read and change its files. " +
    "A result with \"error\" says in \"message\" what to do next.",
  protocols: [
    McpProtocol.v2025_11_25,
    McpProtocol.v2025_06_18,
    McpProtocol.v2025_03_26,
    McpProtocol.v2024_11_05,
    McpProtocol.v2026_07_28
  ]
} as const

const tools: ReadonlyArray<ChatTool> = [LifecycleTools, ExecutionTools, FileTools].flatMap(
  (toolkit): ReadonlyArray<ChatTool> => Object.values(toolkit.tools)
)

/** A tool that the chat does not have is unknown to its clients. */
const offered = McpServer.visibility(({ method, target }) =>
  Effect.flatMap(CurrentChat, ({ open }) =>
    Effect.matchEffect(open, {
      onSuccess: ({ toolkit }) => Effect.succeed(Object.hasOwn(toolkit.tools, target)),
      // A call answers that to the model, in the words for it.
      onFailure: (error) =>
        method === "tools/call" ? Effect.succeed(true) : new McpSchema.InternalError({ message: error.message })
    }))
)

/**
 * Registers the tools with an MCP server.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, McpServer.McpServer> = Layer.effectDiscard(
  Effect.gen(function*() {
    const mcp = yield* McpServer.McpServer
    const { progress } = yield* McpConfig
    const services = yield* Effect.context<never>()
    yield* Effect.forEach(tools, (tool) =>
      Effect.flatMap(described(tool), (description) =>
        mcp.addTool({
          tool: description,
          annotations: tool.annotations,
          services,
          handle: (args: unknown) => called({ mcp, every: progress, name: tool.name, args })
        })), { discard: true })
  })
).pipe(Layer.provide(offered.layer))

const described = (tool: ChatTool): Effect.Effect<McpSchema.Tool> =>
  Effect.gen(function*() {
    const title = Context.getOrUndefined(tool.annotations, Tool.Title)
    return new McpSchema.Tool({
      name: tool.name,
      ...(title === undefined ? {} : { title }),
      description: Tool.getDescription(tool),
      inputSchema: yield* Schema.decodeUnknownEffect(McpSchema.ToolJson)(Tool.getJsonSchema(tool)),
      outputSchema: yield* Schema.decodeEffect(McpSchema.ToolOutputJson)(
        Tool.getJsonSchemaFromSchema(tool.successSchema)
      ),
      annotations: {
        ...(title === undefined ? {} : { title }),
        readOnlyHint: Context.get(tool.annotations, Tool.Readonly),
        destructiveHint: Context.get(tool.annotations, Tool.Destructive),
        idempotentHint: Context.get(tool.annotations, Tool.Idempotent),
        openWorldHint: Context.get(tool.annotations, Tool.OpenWorld)
      }
    })
    // Every tool of ours takes and gives an object.
  }).pipe(Effect.orDie)

interface Call {
  readonly mcp: McpServer.McpServer["Service"]
  readonly every: Duration.Duration
  readonly name: string
  readonly args: unknown
}

const called = Effect.fnUntraced(function*({ args, every, mcp, name }: Call) {
  const { requestMetadata } = yield* McpSchema.McpRequestContext
  const { admit, gone, open } = yield* CurrentChat
  let phase = name
  const started = yield* Clock.currentTimeMillis
  const report = reporter(mcp, requestMetadata)
  // A client that does not read holds up no tool.
  const told = report === undefined ? Effect.void : Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => report(`${phase}, ${Math.round((now - started) / 1000)} s`)),
    Effect.timeoutOption(every),
    Effect.asVoid
  )
  const answered = Effect.gen(function*() {
    if (!(yield* admit)) return failed(tooMany)
    const { toolkit } = yield* open
    let answer: McpSchema.CallToolResult | undefined
    yield* Stream.unwrap(toolkit.handle(name, args)).pipe(
      Stream.runForEach(({ encodedResult, isFailure, preliminary, result }) => {
        if (!preliminary) {
          answer = isFailure ? failed(encodedResult) : succeeded(encodedResult)
          return Effect.void
        }
        phase = phaseOf(result) ?? phase
        return told
      })
    )
    return answer ?? failed(interrupted)
  }).pipe(
    Effect.catchTag("StoreError", (error) => Effect.succeed(failed(ToolFailure.fromError(error, { toolNames: [] })))),
    // The only failure left is that there is no such tool, and such a call does not come here.
    Effect.orDie,
    Effect.scoped,
    Effect.raceFirst(Effect.andThen(gone, Effect.interrupt))
  )
  return report === undefined
    ? yield* answered
    : yield* Effect.raceFirst(answered, Effect.forever(Effect.andThen(Effect.sleep(every), told)))
})

const Meta = Schema.Struct({ progressToken: McpSchema.ProgressToken })

const decodeMeta = Schema.decodeUnknownOption(Meta)

/** Tells of progress, where the client gave a token for it. */
const reporter = (
  mcp: McpServer.McpServer["Service"],
  metadata: unknown
): ((message: string) => Effect.Effect<void>) | undefined => {
  const meta = decodeMeta(metadata)
  if (meta._tag === "None") return undefined
  const { progressToken } = meta.value
  let progress = 0
  return (message) =>
    Effect.suspend(() => mcp.notifications["notifications/progress"]({ progressToken, progress: ++progress, message }))
}

const isWaiting = Schema.is(Schema.Struct({ progress: BuildProgress }))

/** What a call waits for, in a few words. */
const phaseOf = (result: unknown): string | undefined => {
  if (!isWaiting(result)) return undefined
  const { progress } = result
  switch (progress._tag) {
    case "Queued":
      return progress.ahead === 0
        ? `${progress.transition}: waits for a server to take it`
        : `${progress.transition}: waits behind ${progress.ahead} other builds`
    case "Building":
      return `${progress.transition}: builds`
    case "AwaitingAgent":
      return `${progress.transition}: waits for its agent`
    case "AwaitingScripts":
      return `${progress.transition}: waits for its start-up scripts`
  }
}

const text = (value: unknown) => [McpSchema.TextContent.make({ type: "text", text: JSON.stringify(value) })]

const succeeded = (value: unknown): McpSchema.CallToolResult =>
  new McpSchema.CallToolResult({ content: text(value), structuredContent: value, isError: false })

const failed = (failure: unknown): McpSchema.CallToolResult =>
  new McpSchema.CallToolResult({ content: text(failure), isError: true })

const interrupted: ToolFailure.ToolFailure = {
  error: "interrupted",
  message: "The call ended without an answer. It may have had its effect: look before you repeat it.",
  retry: "never"
}

const tooMany: ToolFailure.ToolFailure = {
  error: "too_many_calls",
  message: "As many calls are under way as there may be at once. Wait until one of them has ended, then call again.",
  retry: "later"
}
