import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect } from "effect"
import { ToolConfig } from "../../src/tool/index.ts"

const read = (env: Readonly<Record<string, string>>) =>
  ToolConfig.config.pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))))

describe("the configuration of the tools", () => {
  it.effect("has a default for everything", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read({}), ToolConfig.defaults)
      assert.deepStrictEqual(ToolConfig.make({}), ToolConfig.defaults)
    }))

  it.effect("is read from the environment, by the words of the bounds", () =>
    Effect.gen(function*() {
      const config = yield* read({
        TOOL_EXECUTE_TIMEOUT: "1 minute",
        TOOL_OUTPUT_BYTES: "1000",
        TOOL_ON_UNREACHABLE: "create"
      })
      assert.deepStrictEqual(
        config,
        ToolConfig.make({ executeTimeout: Duration.minutes(1), outputBytes: 1000, onUnreachable: "create" })
      )
      const error = yield* Effect.flip(read({ TOOL_ON_UNREACHABLE: "replace" }))
      assert.instanceOf(error, Config.ConfigError)
    }))
})
