/**
 * A whole backend in a process of its own, so that it can be killed and frozen: gateway, runner, both providers and the
 * tools of chats, over PostgreSQL. It reads requests as lines of JSON and writes what comes of them in the same way; it
 * ends when nobody writes to it any more. Database and bounds come from the environment, as for `serve`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Effect, FiberSet, Layer, Logger, Result, Schedule, Schema, type Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createInterface } from "node:readline"
import { AgentConnection, AgentGateway, AgentTransport } from "../../../src/agent/index.ts"
import * as Bounds from "../../../src/cli/Bounds.ts"
import * as Database from "../../../src/cli/Database.ts"
import * as GatewayServer from "../../../src/cli/GatewayServer.ts"
import * as Provisioning from "../../../src/cli/Provisioning.ts"
import * as ChatWorkspaces from "../../../src/dial/ChatWorkspaces.ts"
import { Unsupported } from "../../../src/domain/Errors.ts"
import { AgentId, ChatId, NodeId, OwnerId } from "../../../src/domain/Ids.ts"
import * as BuildRunner from "../../../src/provisioner/BuildRunner.ts"
import * as Readiness from "../../../src/provisioner/Readiness.ts"
import * as Workspaces from "../../../src/provisioner/Workspaces.ts"
import * as ChatTools from "../../../src/tool/ChatTools.ts"
import * as ToolConfig from "../../../src/tool/ToolConfig.ts"

export const Options = Schema.Struct({
  schema: Schema.String,
  templates: Schema.String,
  workspaces: Schema.String
})

export const Request = Schema.Union([
  Schema.TaggedStruct("Call", {
    id: Schema.String,
    chat: ChatId,
    owner: OwnerId,
    tool: Schema.String,
    args: Schema.Json
  }),
  Schema.TaggedStruct("Interrupt", { id: Schema.String }),
  /** Where another backend listens, which may hold the agents that are asked for here. */
  Schema.TaggedStruct("Peer", { port: Schema.Int })
])

export const Event = Schema.Union([
  Schema.TaggedStruct("Ready", { port: Schema.Int, nodeId: NodeId }),
  Schema.TaggedStruct("Progress", { id: Schema.String, result: Schema.Json }),
  Schema.TaggedStruct("Answer", { id: Schema.String, result: Schema.Json })
])

const host = "127.0.0.1"

let peer: number | undefined

/**
 * What a transport for many nodes does, as far as waiting for an agent goes: one that is connected to the other backend
 * is there.
 */
const across = ({ dial, ...local }: AgentTransport.AgentTransport["Service"]) => {
  const isThere = (agentId: AgentId) =>
    Effect.promise(() =>
      peer === undefined
        ? Promise.resolve(false)
        : fetch(`http://${host}:${peer}/presence/${agentId}`).then(
          (response) => response.text().then((presence) => presence === "live"),
          () => false
        )
    )
  const there = (agentId: AgentId) =>
    Effect.as(
      Effect.repeat(isThere(agentId), { until: (live) => live, schedule: Schedule.spaced("100 millis") }),
      AgentConnection.fromExec(agentId, {
        exec: () => Effect.fail(new Unsupported({ feature: "run" })),
        readFile: () => Effect.fail(new Unsupported({ feature: "files" })),
        writeFile: () => Effect.fail(new Unsupported({ feature: "files" }))
      })
    )
  return AgentTransport.AgentTransport.of({
    ...local,
    dial: (agentId) => Effect.race(dial(agentId), there(agentId))
  })
}

const layerTransport = Layer.effect(
  AgentTransport.AgentTransport,
  Effect.map(AgentTransport.AgentTransport, across)
).pipe(Layer.provideMerge(AgentGateway.layerTransport()))

const layerPresence = Layer.unwrap(Effect.map(AgentTransport.AgentTransport, ({ presence }) =>
  HttpRouter.add(
    "GET",
    "/presence/:agent",
    Effect.map(HttpRouter.params, ({ agent }) => HttpServerResponse.text(presence(AgentId.make(agent ?? "?"))))
  )))

const portOf = Effect.map(HttpServer.HttpServer, ({ address }) => "port" in address ? address.port : 0)

const layerRunner = Layer.unwrap(
  Effect.map(portOf, (port) => BuildRunner.layer({ gatewayUrl: `ws://${host}:${port}/agent` }))
)

const layerBounds = Layer.merge(Bounds.layer, Layer.effect(ToolConfig.ToolConfig, ToolConfig.config))

const write = Schema.encodeSync(Schema.fromJsonString(Event))
const isJson = Schema.decodeUnknownSync(Schema.Json)
const read = Schema.decodeUnknownSync(Schema.fromJsonString(Request))

const tell = (event: typeof Event.Type): void => {
  process.stdout.write(`${write(event)}\n`)
}

const calls = new Map<string, AbortController>()

const interruptible = (id: string): AbortSignal => {
  const controller = new AbortController()
  calls.set(id, controller)
  return controller.signal
}

const serve = Effect.gen(function*(): Effect.fn.Return<
  void,
  never,
  ChatTools.ChatTools | BuildRunner.BuildRunner | HttpServer.HttpServer | Scope.Scope
> {
  const tools = yield* ChatTools.ChatTools
  const run = yield* FiberSet.makeRuntime()

  const call = Effect.fnUntraced(function*({ args, chat, id, owner, tool }: typeof Request.members[0]["Type"]) {
    const signal = interruptible(id)
    const opened = yield* Effect.result(tools.open({ chatId: chat, owner }))
    const onProgress = (result: unknown): void => tell({ _tag: "Progress", id, result: isJson(result) })
    const result = yield* Effect.promise(() =>
      Result.isFailure(opened)
        ? Promise.resolve({ error: opened.failure.code })
        : opened.success.plain.find(({ name }) => name === tool)?.execute(args, {
          signal,
          onProgress
        }) ?? Promise.reject(new Error(`no tool ${tool}`))
    )
    calls.delete(id)
    tell({ _tag: "Answer", id, result: isJson(result) })
  })

  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const request = read(line)
      switch (request._tag) {
        case "Call":
          run(call(request))
          break
        case "Interrupt":
          calls.get(request.id)?.abort()
          break
        case "Peer":
          peer = request.port
      }
    })
    .on("close", () => process.exit(0))

  tell({ _tag: "Ready", port: yield* portOf, nodeId: (yield* BuildRunner.BuildRunner).nodeId })
})

const main = Effect.fnUntraced(function*({ schema, templates, workspaces }: typeof Options.Type) {
  const url = yield* Config.Redacted("DATABASE_URL")
  return yield* Layer.launch(
    Layer.effectDiscard(serve).pipe(
      Layer.provide([ChatTools.layer, layerRunner]),
      Layer.provide(
        HttpRouter.serve(Layer.merge(AgentGateway.layerRoute(), layerPresence), {
          disableListenLog: true,
          disableLogger: true
        }).pipe(Layer.provideMerge(GatewayServer.layer({ host, port: 0 })))
      ),
      Layer.provide([Workspaces.layer, Readiness.layer, ChatWorkspaces.layer]),
      Layer.provide([
        Database.layerSignals(url, { schema }),
        Provisioning.layerTemplates({ templates, workspaces }),
        layerTransport
      ]),
      Layer.provide([Database.layerStores(url, { schema }), NodeServices.layer]),
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
