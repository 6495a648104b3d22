/**
 * A backend that runs turns, in a process of its own, so that it can be killed and frozen: gateway, tools and turns over
 * PostgreSQL, and a model that follows the script which the user's message is. It reads requests as lines of JSON and
 * writes what comes of them in the same way; it ends when nobody writes to it any more. Database and bounds come from
 * the environment, as for `serve`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Effect, FiberSet, Layer, Logger, Result, Schema, type Scope, Stream } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createInterface } from "node:readline"
import { AgentGateway } from "../../../../src/agent/index.ts"
import * as Bounds from "../../../../src/cli/Bounds.ts"
import * as Database from "../../../../src/cli/Database.ts"
import * as GatewayServer from "../../../../src/cli/GatewayServer.ts"
import * as ChatWorkspaces from "../../../../src/dial/ChatWorkspaces.ts"
import { ChatId, MessageId, NodeId, OwnerId, TurnId } from "../../../../src/domain/Ids.ts"
import { NumberedEvent } from "../../../../src/domain/Turn.ts"
import * as Signals from "../../../../src/store/Signals.ts"
import * as SqlStore from "../../../../src/store/SqlStore.ts"
import * as ScriptedModel from "../../../../src/testing/ScriptedModel.ts"
import { ChatTools, ToolConfig } from "../../../../src/tool/index.ts"
import { TurnConfig, TurnLimits, Turns, TurnSetup } from "../../../../src/turn/index.ts"

/** With `hints` the nodes tell each other what has changed, and do not find it at their next poll alone. */
export const Options = Schema.Struct({ schema: Schema.String, hints: Schema.Boolean })

/** What the model answers, request by request, as the text of a message. */
export const Script = Schema.fromJsonString(Schema.Array(Schema.Struct({
  text: Schema.optionalKey(Schema.String),
  calls: Schema.optionalKey(Schema.Array(Schema.Struct({ name: Schema.String, args: Schema.Json })))
})))

export const Request = Schema.Union([
  Schema.TaggedStruct("Send", {
    id: Schema.String,
    chat: ChatId,
    owner: OwnerId,
    message: MessageId,
    text: Schema.String
  }),
  Schema.TaggedStruct("Interrupt", { chat: ChatId, owner: OwnerId })
])

export const Event = Schema.Union([
  Schema.TaggedStruct("Ready", { port: Schema.Int, nodeId: NodeId }),
  Schema.TaggedStruct("Sent", { id: Schema.String, turn: TurnId, nodeId: NodeId, attached: Schema.Boolean }),
  Schema.TaggedStruct("Refused", { id: Schema.String, code: Schema.String }),
  Schema.TaggedStruct("Told", { id: Schema.String, told: Schema.toEncoded(NumberedEvent) }),
  /** The model was asked to answer this message, after so many of its own. */
  Schema.TaggedStruct("Asked", { text: Schema.String, step: Schema.Int })
])

const host = "127.0.0.1"

const write = Schema.encodeSync(Schema.fromJsonString(Event))
const read = Schema.decodeUnknownSync(Schema.fromJsonString(Request))
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
  tell({ _tag: "Asked", text, step })
  return ScriptedModel.reply(stepsOf(text)[step] ?? { text: "The script is over." })
})

const portOf = Effect.map(HttpServer.HttpServer, ({ address }) => "port" in address ? address.port : 0)

const serve = Effect.gen(function*(): Effect.fn.Return<void, never, Turns.Turns | HttpServer.HttpServer | Scope.Scope> {
  const turns = yield* Turns.Turns
  const run = yield* FiberSet.makeRuntime()

  const send = Effect.fnUntraced(function*({ chat, id, message, owner, text }: typeof Request.members[0]["Type"]) {
    const sent = yield* Effect.result(turns.send({ chatId: chat, owner, messageId: message, text }))
    if (Result.isFailure(sent)) return tell({ _tag: "Refused", id, code: sent.failure.code })
    const { attached, events, turn } = sent.success
    tell({ _tag: "Sent", id, turn: turn.turnId, nodeId: turn.nodeId, attached })
    yield* Stream.runForEach(events, (told) => Effect.sync(() => tell({ _tag: "Told", id, told })))
  })

  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const request = read(line)
      if (request._tag === "Send") run(send(request))
      else run(turns.interrupt({ chatId: request.chat, owner: request.owner }))
    })
    .on("close", () => process.exit(0))

  tell({ _tag: "Ready", port: yield* portOf, nodeId: turns.nodeId })
})

const layerBounds = Layer.mergeAll(
  Bounds.layer,
  Layer.effect(ToolConfig.ToolConfig, ToolConfig.config),
  Layer.effect(TurnConfig.TurnConfig, TurnConfig.config),
  Layer.effect(TurnLimits.TurnLimits, TurnLimits.config)
)

const main = Effect.fnUntraced(function*({ hints, schema }: typeof Options.Type) {
  const url = yield* Config.Redacted("DATABASE_URL")
  return yield* Layer.launch(
    Layer.effectDiscard(serve).pipe(
      Layer.provide(Turns.layer()),
      Layer.provide([ChatTools.layerWithoutBuilds, TurnSetup.layer, model]),
      Layer.provide(
        HttpRouter.serve(AgentGateway.layerRoute(), { disableListenLog: true, disableLogger: true }).pipe(
          Layer.provideMerge(GatewayServer.layer({ host, port: 0 }))
        )
      ),
      Layer.provide(ChatWorkspaces.layer),
      Layer.provide(AgentGateway.layerTransport()),
      Layer.provide([
        hints ? Database.layerSignals(url, { schema }) : Signals.layer,
        SqlStore.layer({ schema }).pipe(Layer.provide(Database.layerClient(url, { name: "node", maxConnections: 10 })))
      ]),
      Layer.provide([layerBounds, Logger.layer([])])
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
