/**
 * A backend in a process of its own, so that it can be killed and frozen: all that `serve` is made of, over PostgreSQL and
 * with NATS where the environment names one; but with a model that follows the script which the user's message is, and
 * with builds that take their time. It reads requests as lines of JSON and writes what comes of them in the same way; it
 * ends when nobody writes to it any more. What it logs as an error goes to stderr. Database and bounds come from the
 * environment, as for `serve`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Effect, Layer, Logger, Redacted, References, Schema } from "effect"
import { AgentGateway } from "../../src/agent/index.ts"
import * as Application from "../../src/cli/Application.ts"
import * as Bounds from "../../src/cli/Bounds.ts"
import * as Authentication from "../../src/http/Authentication.ts"
import * as Provider from "../../src/provisioner/Provider.ts"
import * as Templates from "../../src/store/Templates.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import { Turns } from "../../src/turn/index.ts"
import * as Answering from "./Answering.ts"
import * as SlowProvider from "./SlowProvider.ts"
import { Options, Script } from "./Wire.ts"

const stepsOf = Schema.decodeUnknownSync(Script)

const model = ScriptedModel.layerChoosing(({ prompt: { content } }) => {
  const last = content.findLastIndex(({ role }) => role === "user")
  const text = content.slice(last, last + 1).flatMap((message) =>
    message.role === "user" ? message.content.flatMap((part) => part.type === "text" ? [part.text] : []) : []
  ).join("")
  const step = content.slice(last).filter(({ role }) => role === "assistant").length
  return ScriptedModel.reply(stepsOf(text)[step] ?? { text: "The script is over." })
})

const main = Effect.fnUntraced(function*({ building, owner, schema, token }: typeof Options.Type) {
  const url = yield* Config.Redacted("DATABASE_URL")
  const provided = building === null
    ? Layer.merge(Templates.layerMemory([]), Layer.succeed(Provider.Providers, Provider.make([])))
    : SlowProvider.layer(building.root)
  return yield* Layer.launch(
    // Released from the top, as in `serve`.
    Turns.layerDrain.pipe(
      Layer.provideMerge(AgentGateway.layerDrain()),
      Layer.provideMerge(Layer.effectDiscard(Answering.serve({ owner, agentUrl: building?.agentUrl }))),
      Layer.provide([
        Application.layerWith({ url, schema }, model),
        Authentication.layerToken({ token: Redacted.make(token), owner })
      ]),
      Layer.provide(provided),
      Layer.provide([Bounds.layer, NodeServices.layer, Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])]),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
    )
  )
})

NodeRuntime.runMain(Effect.flatMap(
  Schema.decodeUnknownEffect(Schema.fromJsonString(Options))(process.argv[2]),
  main
))
