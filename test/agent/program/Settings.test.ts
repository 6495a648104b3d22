import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import manifest from "../../../package.json" with { type: "json" }
import * as Program from "../../../src/agent/program/Program.ts"
import * as ProgramConfig from "../../../src/agent/program/ProgramConfig.ts"
import * as Settings from "../../../src/agent/program/Settings.ts"
import * as TestAgent from "./TestAgent.ts"
import { token } from "./TestGateway.ts"

const secret = Redacted.value(token)
const url = "wss://gateway.example/agent"

const read = (env: Record<string, string>) =>
  Effect.provideService(Settings.make(env), ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))

const problem = (env: Record<string, string>) => Effect.map(Effect.flip(read(env)), ({ message }) => message)

describe("Settings", () => {
  it.effect("come from the environment, with defaults for folders", () =>
    Effect.gen(function*() {
      const directory = yield* TestAgent.folder
      const plain = yield* read({ CW_AGENT_URL: url, CW_AGENT_TOKEN: secret })
      assert.strictEqual(plain.url, url)
      assert.strictEqual(Redacted.value(plain.token), secret)
      assert.strictEqual(plain.directory, process.cwd())
      assert.match(plain.stateDirectory, new RegExp(`^${tmpdir()}/chat-workspace-agent-\\d+-[0-9a-f]{16}$`))
      assert.notInclude(plain.stateDirectory, "agent-1")
      const full = yield* read({
        CW_AGENT_URL: "http://127.0.0.1:8080/agent?x=1",
        CW_AGENT_TOKEN: secret,
        CW_AGENT_DIR: directory,
        CW_AGENT_STATE_DIR: "/somewhere/state",
        CW_AGENT_STARTUP_SCRIPT: "npm ci\nnpm start &",
        CW_AGENT_SHUTDOWN_SCRIPT: ""
      })
      assert.strictEqual(full.url, "ws://127.0.0.1:8080/agent?x=1")
      assert.deepStrictEqual([full.directory, full.stateDirectory], [directory, "/somewhere/state"])
      assert.deepStrictEqual([plain.startupScript, plain.shutdownScript], [null, null])
      assert.deepStrictEqual([full.startupScript, full.shutdownScript], ["npm ci\nnpm start &", null])
    }))

  it.effect("take the token from its file rather than from the environment, and only from a private one", () =>
    Effect.gen(function*() {
      const directory = yield* TestAgent.folder
      const file = Path.join(directory, "token")
      const env = { CW_AGENT_URL: url, CW_AGENT_TOKEN: "other", CW_AGENT_TOKEN_FILE: file }
      assert.match(yield* problem(env), /^CW_AGENT_TOKEN_FILE cannot be read: ENOENT/)
      Fs.writeFileSync(file, `${secret}\n`, { mode: 0o600 })
      assert.strictEqual(Redacted.value((yield* read(env)).token), secret)
      Fs.chmodSync(file, 0o400)
      yield* read(env)
      for (const mode of [0o644, 0o640, 0o604]) {
        Fs.chmodSync(file, mode)
        assert.strictEqual(
          yield* problem(env),
          `CW_AGENT_TOKEN_FILE can be read by others (mode ${
            mode.toString(8).padStart(4, "0")
          }); run: chmod 600 ${file}`
        )
      }
      assert.strictEqual(
        yield* problem({ ...env, CW_AGENT_TOKEN_FILE: directory }),
        `CW_AGENT_TOKEN_FILE is not a regular file: ${directory}`
      )
    }))

  it.effect("say what is missing or wrong, and never the token", () =>
    Effect.gen(function*() {
      assert.match(yield* problem({ CW_AGENT_TOKEN: secret }), /^CW_AGENT_URL is missing/)
      assert.match(yield* problem({ CW_AGENT_URL: "", CW_AGENT_TOKEN: secret }), /^CW_AGENT_URL is missing/)
      for (const wrong of ["gateway.example", "ftp://gateway.example"]) {
        assert.match(yield* problem({ CW_AGENT_URL: wrong, CW_AGENT_TOKEN: secret }), /^CW_AGENT_URL is not an address/)
      }
      const user = yield* problem({ CW_AGENT_URL: "wss://me:hidden@gateway.example", CW_AGENT_TOKEN: secret })
      assert.strictEqual(user, "CW_AGENT_URL must not hold a user, a password or a fragment")
      assert.match(yield* problem({ CW_AGENT_URL: url }), /^CW_AGENT_TOKEN_FILE and CW_AGENT_TOKEN are missing/)
      for (const wrong of ["nonsense", secret.slice(0, -1)]) {
        const message = yield* problem({ CW_AGENT_URL: url, CW_AGENT_TOKEN: wrong })
        assert.strictEqual(message, "CW_AGENT_TOKEN holds no agent token (cwa1.…), or a mangled one")
      }
      assert.match(
        yield* problem({ CW_AGENT_URL: url, CW_AGENT_TOKEN: secret, CW_AGENT_DIR: "/no/such/folder" }),
        /^CW_AGENT_DIR is not a folder/
      )
    }))

  it("keep what is the agent's from the environment of commands", () => {
    assert.deepStrictEqual(
      Settings.childEnvironment({
        PATH: "/bin",
        CW_AGENT_TOKEN: "x",
        CW_AGENT_ANYTHING: "x",
        CW_PARAM_A: "1",
        B: undefined
      }),
      { PATH: "/bin", CW_PARAM_A: "1" }
    )
  })
})

describe("ProgramConfig", () => {
  it.effect("is the defaults, or what the environment says", () =>
    Effect.gen(function*() {
      const from = (env: Record<string, string>) =>
        Effect.provideService(ProgramConfig.config, ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))
      assert.deepStrictEqual(yield* from({}), ProgramConfig.defaults)
      for (const [key, value] of Object.entries(ProgramConfig.defaults)) {
        const name = `CW_AGENT_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
        const config: Record<string, unknown> = {
          ...yield* from({ [name]: typeof value === "number" ? "123" : "123 millis" })
        }
        assert.notDeepEqual(config[key], value, name)
        for (const wrong of typeof value === "number" ? ["0", "-1", "1.5", "x"] : ["x"]) {
          yield* Effect.flip(from({ [name]: wrong }))
        }
      }
    }))
})

describe("the program's version", () => {
  it("is the package's", () => {
    assert.strictEqual(Program.programVersion, manifest.version)
  })
})
