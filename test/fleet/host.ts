/**
 * Many agents in one process: each is the whole agent program, with settings, folders and links of its own. It reads what
 * they are from the first line of its input, and ends when nobody writes to it any more.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { ConfigProvider, Effect, Layer, Logger, Schema } from "effect"
import { createInterface } from "node:readline"
import * as Memory from "../../src/agent/program/Memory.ts"
import * as Program from "../../src/agent/program/Program.ts"
import * as ProgramConfig from "../../src/agent/program/ProgramConfig.ts"
import * as Settings from "../../src/agent/program/Settings.ts"

/** The variables that each agent would have in a process of its own. */
export const Agents = Schema.fromJsonString(Schema.Array(Schema.Record(Schema.String, Schema.String)))

const agent = (variables: Readonly<Record<string, string>>) =>
  Layer.launch(Program.layer.pipe(Layer.provide([
    Layer.effect(Settings.Settings, Settings.make(process.env)).pipe(
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(variables)))
    ),
    Layer.effect(ProgramConfig.ProgramConfig, ProgramConfig.config)
  ])))

const firstLine = Effect.callback<string>((resume) => {
  createInterface({ input: process.stdin })
    .once("line", (line) => resume(Effect.succeed(line)))
    .on("close", () => process.exit(0))
})

const main = Effect.gen(function*() {
  yield* Memory.keepSmall
  const agents = yield* Effect.flatMap(firstLine, Schema.decodeUnknownEffect(Agents))
  yield* Effect.forEach(agents, agent, { concurrency: "unbounded", discard: true })
})

if (process.argv[1] === import.meta.filename) {
  NodeRuntime.runMain(Effect.provide(main, Logger.layer([])))
}
