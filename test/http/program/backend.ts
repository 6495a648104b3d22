/**
 * A backend with the API of chats and turns, in a process of its own, over PostgreSQL. Its model says slowly what the
 * user's message says. It writes when it is ready, and each time that the model is asked; it ends when nobody writes to
 * it any more. The database comes from the environment, as for `serve`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Effect, Layer, Logger, Redacted, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import * as Bounds from "../../../src/cli/Bounds.ts"
import * as Database from "../../../src/cli/Database.ts"
import * as GatewayServer from "../../../src/cli/GatewayServer.ts"
import * as ChatWorkspaces from "../../../src/dial/ChatWorkspaces.ts"
import { OwnerId } from "../../../src/domain/Ids.ts"
import * as Authentication from "../../../src/http/Authentication.ts"
import * as ChatsHandlers from "../../../src/http/ChatsHandlers.ts"
import * as EventStream from "../../../src/http/EventStream.ts"
import * as Owned from "../../../src/http/Owned.ts"
import * as TurnsHandlers from "../../../src/http/TurnsHandlers.ts"
import * as SqlStore from "../../../src/store/SqlStore.ts"
import { ScriptedModel, ScriptedTransport } from "../../../src/testing/index.ts"
import { ChatTools } from "../../../src/tool/index.ts"
import { Turns } from "../../../src/turn/index.ts"

export const schema = "api"
export const owner = "ann"
export const token = "token-of-ann"

export const Event = Schema.Union([
  Schema.TaggedStruct("Ready", { port: Schema.Int }),
  /** The model was asked to answer this message. */
  Schema.TaggedStruct("Asked", { text: Schema.String })
])

const write = Schema.encodeSync(Schema.fromJsonString(Event))

const tell = (event: typeof Event.Type): void => {
  process.stdout.write(`${write(event)}\n`)
}

const model = ScriptedModel.layerChoosing(({ prompt: { content } }) => {
  const text = content.slice(-1).flatMap((message) =>
    message.role === "user" ? message.content.flatMap((part) => part.type === "text" ? [part.text] : []) : []
  ).join("")
  tell({ _tag: "Asked", text })
  return ScriptedModel.slowly(ScriptedModel.say(text), "10 millis")
})

const ready = Layer.effectDiscard(
  Effect.map(
    HttpServer.HttpServer,
    ({ address }) => tell({ _tag: "Ready", port: "port" in address ? address.port : 0 })
  )
)

const main = Effect.gen(function*() {
  const url = yield* Config.Redacted("DATABASE_URL")
  process.stdin.resume().on("close", () => process.exit(0))
  return yield* Layer.launch(
    ready.pipe(
      Layer.provide(HttpRouter.serve(
        Layer.merge(ChatsHandlers.layerRoutes, TurnsHandlers.layerRoutes),
        { disableListenLog: true, disableLogger: true }
      )),
      Layer.provide([
        Turns.layerWithoutSetup(),
        Owned.layer,
        EventStream.layer,
        Authentication.layerToken({ token: Redacted.make(token), owner: OwnerId.make(owner) }),
        GatewayServer.layer({ host: "127.0.0.1", port: 0 }),
        HttpServer.layerServices
      ]),
      Layer.provide([ChatTools.layerWithoutBuilds, model]),
      Layer.provide(ChatWorkspaces.layer),
      Layer.provide([
        ScriptedTransport.layer,
        Database.layerSignals(url, { schema }),
        SqlStore.layer({ schema }).pipe(Layer.provide(Database.layerClient(url, { name: "api", maxConnections: 5 })))
      ]),
      Layer.provide([Bounds.layer, Logger.layer([])])
    )
  )
})

// Imported for its names it only declares, run as a program it serves.
if (process.argv[1] === import.meta.filename) NodeRuntime.runMain(main)
