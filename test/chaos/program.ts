/**
 * A backend in a process of its own, so that it can be killed and frozen: gateway, tools and turns over PostgreSQL, with
 * NATS where the environment names one, and a model that follows the script which the user's message is. It reads
 * requests as lines of JSON and writes what comes of them in the same way; it ends when nobody writes to it any more.
 * Database and bounds come from the environment, as for `serve`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Effect, FiberSet, Layer, Logger, Option, Result, Schema, type Scope, Stream } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createInterface } from "node:readline"
import { AgentGateway, AgentTransport } from "../../src/agent/index.ts"
import type { AgentConnection, Protocol } from "../../src/agent/index.ts"
import * as Bounds from "../../src/cli/Bounds.ts"
import * as Database from "../../src/cli/Database.ts"
import * as GatewayServer from "../../src/cli/GatewayServer.ts"
import * as NatsServerLink from "../../src/cli/NatsServerLink.ts"
import * as NatsTransport from "../../src/cluster/NatsTransport.ts"
import * as ChatWorkspaces from "../../src/dial/ChatWorkspaces.ts"
import type { WorkspaceError } from "../../src/domain/Errors.ts"
import { ChatId, MessageId, NodeId, OperationId, OwnerId } from "../../src/domain/Ids.ts"
import { NumberedEvent } from "../../src/domain/Turn.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import * as ChatTools from "../../src/tool/ChatTools.ts"
import { Turns, TurnSetup } from "../../src/turn/index.ts"

export const Options = Schema.Struct({ schema: Schema.String, owner: OwnerId })

/** What the model answers, request by request, as the text of a message. */
export const Script = Schema.fromJsonString(Schema.Array(Schema.Struct({
  text: Schema.optionalKey(Schema.String),
  calls: Schema.optionalKey(Schema.Array(Schema.Struct({ name: Schema.String, args: Schema.Json })))
})))

export const Request = Schema.Union([
  /** One call of a tool, in a turn of its own. */
  Schema.TaggedStruct("Tool", { id: Schema.String, chat: ChatId, tool: Schema.String, args: Schema.Json }),
  /** A command under an id that the caller made. */
  Schema.TaggedStruct("Run", {
    id: Schema.String,
    chat: ChatId,
    operation: OperationId,
    command: Schema.String,
    timeoutMillis: Schema.Finite
  }),
  /** What became of such a command. */
  Schema.TaggedStruct("Outcome", { id: Schema.String, chat: ChatId, operation: OperationId }),
  Schema.TaggedStruct("Send", { id: Schema.String, chat: ChatId, message: MessageId, text: Schema.String }),
  /** How much of all this is still under way. */
  Schema.TaggedStruct("Rest", { id: Schema.String })
])

export const Event = Schema.Union([
  Schema.TaggedStruct("Ready", { port: Schema.Int, nodeId: NodeId }),
  /** It hears nobody any more. */
  Schema.TaggedStruct("Gone", {}),
  Schema.TaggedStruct("Answer", { id: Schema.String, result: Schema.Json }),
  Schema.TaggedStruct("Told", { id: Schema.String, told: Schema.toEncoded(NumberedEvent) }),
  /** A turn tells nothing more. `error` says why, where that is not its end. */
  Schema.TaggedStruct("Over", { id: Schema.String, error: Schema.NullOr(Schema.String) })
])

type RequestOf<Tag extends typeof Request.Type["_tag"]> = Extract<typeof Request.Type, { readonly _tag: Tag }>

const host = "127.0.0.1"

const write = Schema.encodeSync(Schema.fromJsonString(Event))
const read = Schema.decodeUnknownSync(Schema.fromJsonString(Request))
const isJson = Schema.decodeUnknownSync(Schema.Json)
const stepsOf = Schema.decodeUnknownSync(Script)

const tell = (event: typeof Event.Type): void => {
  process.stdout.write(`${write(event)}\n`)
}

const model = ScriptedModel.layerChoosing(({ prompt: { content } }) => {
  const last = content.findLastIndex(({ role }) => role === "user")
  const text = content.slice(last, last + 1).flatMap((message) =>
    message.role === "user" ? message.content.flatMap((part) => part.type === "text" ? [part.text] : []) : []
  ).join("")
  const step = content.slice(last).filter(({ role }) => role === "assistant").length
  return ScriptedModel.reply(stepsOf(text)[step] ?? { text: "The script is over." })
})

const portOf = Effect.map(HttpServer.HttpServer, ({ address }) => "port" in address ? address.port : 0)

const failure = (error: WorkspaceError): Schema.Json => ({
  error: error.code,
  retry: error.recovery.retry,
  sent: "sent" in error ? error.sent : null
})

const outputOf = ({ pieces }: Protocol.ProcessOutput): string =>
  Buffer.concat(pieces.flatMap((piece) => piece._tag === "Data" ? [piece.bytes] : [])).toString()

const serve = Effect.fnUntraced(function*(owner: OwnerId): Effect.fn.Return<
  void,
  never,
  | Turns.Turns
  | ChatTools.ChatTools
  | ChatWorkspaces.ChatWorkspaces
  | AgentTransport.AgentTransport
  | HttpServer.HttpServer
  | Scope.Scope
> {
  const turns = yield* Turns.Turns
  const tools = yield* ChatTools.ChatTools
  const workspaces = yield* ChatWorkspaces.ChatWorkspaces
  const transport = yield* AgentTransport.AgentTransport
  // After all that is under way has ended with the fibers below.
  yield* Effect.addFinalizer(() => Effect.sync(() => tell({ _tag: "Gone" })))
  const run = yield* FiberSet.makeRuntime()

  const using = (
    { chat, id }: { readonly chat: ChatId; readonly id: string },
    f: (connection: AgentConnection.AgentConnection) => Effect.Effect<Schema.Json, WorkspaceError>
  ) =>
    Effect.flatMap(workspaces.open(chat), ({ use }) => use(f)).pipe(
      Effect.catch((error) => Effect.succeed(failure(error))),
      Effect.map((result) => tell({ _tag: "Answer", id, result }))
    )

  const tool = Effect.fnUntraced(function*({ args, chat, id, tool }: RequestOf<"Tool">) {
    const opened = yield* Effect.result(tools.open({ chatId: chat, owner }))
    const result = Result.isFailure(opened)
      ? failure(opened.failure)
      : yield* Effect.promise(() =>
        opened.success.plain.find(({ name }) => name === tool)?.execute(args, {}) ??
          Promise.reject(new Error(`no tool ${tool}`))
      )
    tell({ _tag: "Answer", id, result: isJson(result) })
  })

  const send = Effect.fnUntraced(function*({ chat, id, message, text }: RequestOf<"Send">) {
    const sent = yield* Effect.result(turns.send({ chatId: chat, owner, messageId: message, text }))
    if (Result.isFailure(sent)) return tell({ _tag: "Answer", id, result: { error: sent.failure.code } })
    const { attached, events, turn } = sent.success
    tell({ _tag: "Answer", id, result: { turn: turn.turnId, attached } })
    const end = yield* Effect.result(
      Stream.runForEach(events, (told) => Effect.sync(() => tell({ _tag: "Told", id, told })))
    )
    tell({ _tag: "Over", id, error: Result.isFailure(end) ? end.failure.code : null })
  })

  const answer = (request: typeof Request.Type): Effect.Effect<void> => {
    switch (request._tag) {
      case "Tool":
        return tool(request)
      case "Run":
        return using(request, ({ processes }) =>
          Effect.map(
            processes.run({ id: request.operation, argv: ["sh", "-c", request.command] }, {
              timeout: request.timeoutMillis
            }),
            ({ code, output }) => ({ success: code === 0, output: outputOf(output) })
          ))
      case "Outcome":
        return using(request, ({ processes }) =>
          Effect.map(processes.output(request.operation), (output) => ({
            running: output.state._tag === "Running",
            success: output.state._tag === "Exited" && output.state.code === 0,
            output: outputOf(output)
          })))
      case "Send":
        return send(request)
      case "Rest":
        return Effect.sync(() => {
          const { calls = 0, waiters = 0 } = transport.overview?.(0) ?? {}
          const chats = workspaces.known(1000).filter((chat) => workspaces.describe(chat).waiters > 0).length
          tell({
            _tag: "Answer",
            id: request.id,
            result: { turns: turns.running().length, calls, dials: waiters, chats }
          })
        })
    }
  }

  createInterface({ input: process.stdin })
    .on("line", (line) => run(answer(read(line))))
    .on("close", () => process.exit(0))

  tell({ _tag: "Ready", port: yield* portOf, nodeId: turns.nodeId })
})

const main = Effect.fnUntraced(function*({ owner, schema }: typeof Options.Type) {
  const url = yield* Config.Redacted("DATABASE_URL")
  const nats = yield* NatsServerLink.config
  const transport = Option.match(nats, {
    onNone: () => AgentGateway.layerTransport(),
    onSome: (options) =>
      NatsTransport.layer.pipe(
        Layer.provideMerge(AgentGateway.layerTransport()),
        Layer.provide(NatsServerLink.layer(options))
      )
  })
  return yield* Layer.launch(
    // Released from the top, as in `serve`.
    Turns.layerDrain.pipe(
      Layer.provideMerge(AgentGateway.layerDrain()),
      Layer.provideMerge(Layer.effectDiscard(serve(owner))),
      Layer.provide(
        HttpRouter.serve(AgentGateway.layerRoute(), { disableListenLog: true, disableLogger: true }).pipe(
          Layer.provideMerge(GatewayServer.layer({ host, port: 0 }))
        )
      ),
      Layer.provideMerge(Turns.layer()),
      Layer.provide([TurnSetup.layer, model]),
      Layer.provideMerge(ChatTools.layerWithoutBuilds),
      Layer.provideMerge(ChatWorkspaces.layer),
      Layer.provideMerge(transport),
      Layer.provide([Database.layerStores(url, { schema }), Database.layerSignals(url, { schema })]),
      Layer.provide([Bounds.layer, NodeServices.layer, Logger.layer([])])
    )
  )
})

// Imported for its schemas it only declares, run as a program it serves.
if (process.argv[1] === import.meta.filename) {
  NodeRuntime.runMain(Effect.flatMap(
    Schema.decodeUnknownEffect(Schema.fromJsonString(Options))(process.argv[2]),
    main
  ))
}
