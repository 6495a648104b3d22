import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { vi } from "vitest"
import * as Postgres from "../../postgres.ts"
import { assertClear, folder, run, serve } from "../support/commandLine.ts"
import { command, templates } from "../support/templates.ts"

vi.setConfig({ testTimeout: 90_000 })

const gone = { DATABASE_URL: "postgres://ann:hunter2@127.0.0.1:1/none" }

describe("chat-workspace serve where others can reach it", () => {
  it.live("refuses templates whose workspaces run on this host, before it looks for its database", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.forEach(
        [
          ["--host", "0.0.0.0"],
          ["--agent-url", "wss://gateway.example.com/agent"]
        ],
        (args) => run(["serve", ...args], { env: gone }),
        { concurrency: 2 }
      )
      for (const { code, stderr, stdout } of refused) {
        assert.deepStrictEqual([code, stdout], [1, ""])
        assertClear(stderr, "no sandbox: local\n", "--templates", "--allow-unsandboxed")
      }
      assert.deepStrictEqual(
        refused.map(({ stderr }) => /can reach (\S+),/.exec(stderr)?.[1]),
        ["0.0.0.0", "gateway.example.com"]
      )
    }))

  it.live("a variable of the environment that is wrong is named", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* run(["serve"], { env: { ...gone, BUILD_LIMIT: "soon" } })
      assert.strictEqual(code, 1)
      assert.include(stderr, "BUILD_LIMIT")
      assert.notMatch(stderr, /node_modules|hunter2/)
    }))
})

layer(Postgres.freshDatabase(), { excludeTestServices: true, timeout: "60 seconds" })(
  "chat-workspace serve where others can reach it, with a database",
  (it) => {
    it.effect("serves such templates when it is told to, and says what they are not; shows its token when it is asked to", () =>
      Effect.gen(function*() {
        const { url } = yield* Postgres.TestDatabase
        const env = { DATABASE_URL: Redacted.value(url), API_TOKEN: "a token" }
        const server = yield* serve({ env, args: ["--host", "0.0.0.0", "--allow-unsandboxed", "--show-token"] })
        assert.match(server.output().stdout, /^Workspaces +of local run on this host in \S+: this is no sandbox$/m)
        assert.include(server.output().stdout, "--agent-url")
        assert.lengthOf(server.output().stdout.match(/^TLS .*$/gm) ?? [], 1)
        assert.include(server.output().stdout, "Token       a token\n            was given\n")
      }))

    it.effect("serves other ones without a word", () =>
      Effect.gen(function*() {
        const { url } = yield* Postgres.TestDatabase
        const env = { DATABASE_URL: Redacted.value(url), API_TOKEN: "hunter2" }
        const path = yield* templates({ elsewhere: { provider: command("true") } }, { local: false })
        const args = ["--host", "0.0.0.0", "--templates", path, "--agent-url", "wss://gateway.example.com/agent"]
        const server = yield* serve({ env, args, cwd: yield* folder })
        assert.notMatch(server.output().stdout, /sandbox|--agent-url/)
        assert.match(server.output().stdout, /^Token +was given$/m)
        assert.notInclude(server.output().stdout, "hunter2")
      }))
  }
)
