/**
 * The entry point of the agent program; bundled into one file.
 *
 * Exit codes: 0 after SIGTERM or SIGINT, 2 when a setting is missing or wrong, 1 for everything else.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Memory from "./Memory.ts"
import * as Program from "./Program.ts"
import * as ProgramConfig from "./ProgramConfig.ts"
import * as Settings from "./Settings.ts"

const layerBounds = Layer.effect(
  ProgramConfig.ProgramConfig,
  Effect.mapError(
    ProgramConfig.config,
    (error) =>
      new Settings.SettingsError({ setting: "A bound in the environment", problem: `is wrong: ${error.message}` })
  )
)

const main = Memory.keepSmall.pipe(
  Effect.andThen(Layer.launch(Program.layer.pipe(Layer.provide([Settings.layerConfig(process.env), layerBounds])))),
  Effect.tapError((error) =>
    Effect.sync(() => {
      process.stderr.write(`chat-workspace agent: ${error.message.replaceAll(/\s*\n\s*/g, " ")}\n`)
    })
  ),
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
)

NodeRuntime.runMain(main, {
  disableErrorReporting: true,
  teardown: (exit, onExit) => {
    if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return onExit(0)
    const error = Cause.squash(exit.cause)
    if (error instanceof Settings.SettingsError) return onExit(2)
    process.stderr.write(`chat-workspace agent: ${Cause.pretty(exit.cause)}\n`)
    onExit(1)
  }
})
