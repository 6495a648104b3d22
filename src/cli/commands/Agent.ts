/**
 * `chat-workspace agent`: the agent program, for a workspace that has Node and this package.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Memory from "../../agent/program/Memory.ts"
import * as Program from "../../agent/program/Program.ts"
import * as ProgramConfig from "../../agent/program/ProgramConfig.ts"
import * as Settings from "../../agent/program/Settings.ts"

const setting = (name: string, variable: string, description: string) =>
  Flag.optional(Flag.withDescription(Flag.String(name), `${description}; also ${variable}`))

/**
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "agent",
  {
    url: setting("url", "CW_AGENT_URL", "Address of the gateway, wss://…"),
    tokenFile: setting("token-file", "CW_AGENT_TOKEN_FILE", "File with the agent's token, mode 0600"),
    dir: setting("dir", "CW_AGENT_DIR", "Folder to work in"),
    stateDir: setting("state-dir", "CW_AGENT_STATE_DIR", "Folder for the agent's own state")
  },
  Effect.fn(function*({ dir, stateDir, tokenFile, url }) {
    const given = {
      CW_AGENT_URL: Option.getOrUndefined(url),
      CW_AGENT_TOKEN_FILE: Option.getOrUndefined(tokenFile),
      CW_AGENT_DIR: Option.getOrUndefined(dir),
      CW_AGENT_STATE_DIR: Option.getOrUndefined(stateDir)
    }
    const flags = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    yield* Memory.keepSmall
    return yield* Layer.launch(
      Program.layer.pipe(
        Layer.provide(Settings.layerConfig(process.env)),
        Layer.provide(Layer.effect(ProgramConfig.ProgramConfig, ProgramConfig.config))
      )
    ).pipe(
      Effect.updateService(
        ConfigProvider.ConfigProvider,
        (environment) => ConfigProvider.orElse(ConfigProvider.fromUnknown(flags), environment)
      )
    )
  })
).pipe(
  Command.withDescription("Run the agent of a workspace"),
  Command.withExamples([{
    command: "chat-workspace agent --url wss://example.com/agent --token-file ./agent.token",
    description: "The image needs only dist/agent.mjs, see the README"
  }])
)
