import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect } from "effect"
import { TurnConfig } from "../../src/turn/index.ts"

const read = (env: Readonly<Record<string, string>>) =>
  TurnConfig.config.pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))))

describe("the configuration of a turn", () => {
  it.effect("has a default for everything, and takes no tools of a workspace", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read({}), TurnConfig.defaults)
      assert.deepStrictEqual(TurnConfig.make({}), TurnConfig.defaults)
      assert.strictEqual(TurnConfig.defaults.workspaceMcp, "off")
    }))

  it.effect("is read from the environment, lists with commas", () =>
    Effect.gen(function*() {
      const config = yield* read({
        TURN_SETUP_WAIT: "1 second",
        TURN_WORKSPACE_MCP: "listed",
        TURN_MCP_SERVERS: "files, git,,",
        TURN_INSTRUCTION_NAMES: "RULES.md",
        TURN_INSTRUCTION_BYTES: "1000"
      })
      assert.deepStrictEqual(
        config,
        TurnConfig.make({
          setupWait: Duration.seconds(1),
          workspaceMcp: "listed",
          mcpServers: ["files", "git"],
          instructionNames: ["RULES.md"],
          instructionBytes: 1000
        })
      )
      assert.instanceOf(yield* Effect.flip(read({ TURN_WORKSPACE_MCP: "some" })), Config.ConfigError)
    }))
})
