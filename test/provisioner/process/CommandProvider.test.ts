import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Fiber, Redacted } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Template } from "../../../src/domain/Template.ts"
import { ProvisionerConfig } from "../../../src/provisioner/index.ts"
import { CommandProvider } from "../../../src/provisioner/process/index.ts"
import type { ProviderRequest } from "../../../src/provisioner/Provider.ts"
import { peak } from "../../memory.ts"
import * as s from "../support/providing.ts"

const backend = {
  PATH: process.env["PATH"] ?? "",
  HOME: "/home/backend",
  LANG: "C.UTF-8",
  DATABASE_URL: "postgres://user:password@host/database",
  DOCKER_HOST: "unix:///run/docker.sock",
  CLOUD_TOKEN: "token-of-the-cloud"
}

const make = (options: CommandProvider.Options = {}, config: ProvisionerConfig.Options = {}) =>
  CommandProvider.make({ outputDrain: "500 millis", ...options }).pipe(
    Effect.provide([
      ProvisionerConfig.layer({ kill: "500 millis", ...config }),
      ConfigProvider.layer(ConfigProvider.fromEnvRecord(backend))
    ])
  )

type Given = Template["provider"]["settings"]

const template = (settings: Given, directory: string | null = null, fields: Partial<Template> = {}) =>
  s.template({
    type: "command",
    directory,
    settings: { start: ":", stop: ":", delete: ":", ...settings }
  }, fields)

/** A start by this line in a folder of its own. */
const start = Effect.fnUntraced(function*(
  line: string,
  more: {
    readonly settings?: Given
    readonly fields?: Partial<ProviderRequest>
    readonly config?: ProvisionerConfig.Options
    readonly template?: Partial<Template>
  } = {}
) {
  const directory = yield* s.folder
  const provider = yield* make({ agentProgram: "/opt/agent.mjs" }, more.config)
  const { lines, request } = s.request({
    template: template({ start: line, ...more.settings }, directory, more.template),
    ...more.fields
  })
  return { directory, lines, request, run: provider.start(request), provider }
})

const inside = (directory: string, name: string): string => Path.join(directory, name)

const read = (directory: string, name: string): string => Fs.readFileSync(inside(directory, name), "utf8")

describe("CommandProvider", () => {
  it.live("runs in the template's folder with the environment that is documented, and nothing else", () =>
    Effect.gen(function*() {
      const { directory, request, run } = yield* start("env -0 > environment; pwd > folder", {
        settings: { environment: ["DOCKER_HOST", "NOT_SET"], secrets: ["CLOUD_TOKEN"] },
        fields: { parameters: { region: "eu west; rm -rf /", Size: "3" } },
        template: { startupScript: "echo up\necho again", shutdownScript: "echo down" }
      })
      yield* run
      assert.strictEqual(read(directory, "folder").trim(), directory)
      const environment = Object.fromEntries(
        read(directory, "environment").split("\0").filter((entry) => entry !== "").map((entry) => {
          const at = entry.indexOf("=")
          return [entry.slice(0, at), entry.slice(at + 1)]
        })
      )
      const { CW_AGENT_TOKEN_DIR: tokens = "", CW_AGENT_TOKEN_FILE: token, PWD: _, ...rest } = environment
      assert.strictEqual(token, `${tokens}/main`)
      assert.deepStrictEqual(rest, {
        PATH: backend.PATH,
        HOME: backend.HOME,
        LANG: backend.LANG,
        DOCKER_HOST: backend.DOCKER_HOST,
        CLOUD_TOKEN: backend.CLOUD_TOKEN,
        CW_WORKSPACE_ID: request.workspace.workspaceId,
        CW_WORKSPACE_NAME: "name",
        CW_OWNER: "ann",
        CW_BUILD_ID: request.buildId,
        CW_TRANSITION: "start",
        CW_GATEWAY_URL: "ws://127.0.0.1:1/agent",
        CW_AGENT_PROGRAM: "/opt/agent.mjs",
        CW_AGENT_STARTUP_SCRIPT: "echo up\necho again",
        CW_AGENT_SHUTDOWN_SCRIPT: "echo down",
        CW_PARAM_REGION: "eu west; rm -rf /",
        CW_PARAM_SIZE: "3"
      })
    }))

  it.live("each transition has its command; without agents there are no tokens", () =>
    Effect.gen(function*() {
      const directory = yield* s.folder
      const provider = yield* make()
      const line = "echo $CW_TRANSITION ${CW_AGENT_TOKEN_DIR-none} >> done"
      const { request } = s.request({ template: template({ stop: line, delete: line }, directory), agents: [] })
      yield* provider.start(request)
      yield* provider.stop(request)
      yield* provider.delete(request)
      assert.strictEqual(read(directory, "done"), "stop none\ndelete none\n")
    }))

  it.live("the tokens are files for this user alone, and gone when the command has ended", () =>
    Effect.gen(function*() {
      const agents = [s.agent("one"), s.agent("two")]
      const line = "cp -rp \"$CW_AGENT_TOKEN_DIR\" tokens; stat -c %a \"$CW_AGENT_TOKEN_DIR\" > mode; " +
        "echo \"$CW_AGENT_TOKEN_DIR\" > path; echo \"$CW_AGENT_TOKEN_FILE\" > first; exit $CW_PARAM_CODE"
      for (const code of ["0", "1"]) {
        const { directory, run } = yield* start(line, { fields: { agents, parameters: { code } } })
        yield* Effect.exit(run)
        assert.strictEqual(read(directory, "mode").trim(), "700")
        const path = read(directory, "path").trim()
        assert.strictEqual(read(directory, "first").trim(), `${path}/one`)
        assert.isFalse(Fs.existsSync(path))
        for (const { name, token } of agents) {
          assert.strictEqual(read(directory, `tokens/${name}`), Redacted.value(token))
          assert.strictEqual(Fs.statSync(inside(directory, `tokens/${name}`)).mode & 0o777, 0o600)
        }
      }
    }))

  it.live("what it prints goes to the log line by line, from both streams", () =>
    Effect.gen(function*() {
      const { lines, run } = yield* start("echo grüße; echo trouble >&2; printf 'no end'")
      yield* run
      assert.sameMembers(lines, ["grüße", "trouble", "no end"])
    }))

  it.live("a secret and a token are in no line and in no message, also one that a chunk cuts in two", () =>
    Effect.gen(function*() {
      const line =
        "printf 'a %s' \"${CLOUD_TOKEN%-cloud}\"; sleep 0.2; echo -cloud; cat \"$CW_AGENT_TOKEN_FILE\"; echo; exit 1"
      const { lines, request, run } = yield* start(line, { settings: { secrets: ["CLOUD_TOKEN"] } })
      const { detail } = yield* Effect.flip(run)
      assert.deepStrictEqual(lines, ["a ***", "***"])
      assert.include(detail, "a ***\n***")
      for (const { token } of request.agents) assert.notInclude(detail, Redacted.value(token))
    }))

  it.live("a command that fails says its code and what it printed last", () =>
    Effect.gen(function*() {
      const failing = yield* start("seq 1 100; echo no such image >&2; exit 7")
      const { detail } = yield* Effect.flip(failing.run)
      assert.match(detail, /^The start command exited with code 7\. Its last lines:\n/)
      assert.include(detail, "no such image")
      assert.notInclude(detail, "\n50\n")
      const silent = yield* start("exit 3")
      assert.strictEqual(
        (yield* Effect.flip(silent.run)).detail,
        "The start command exited with code 3, and printed nothing."
      )
      const killed = yield* start("kill -9 $$")
      assert.include((yield* Effect.flip(killed.run)).detail, "was ended by SIGKILL")
    }))

  it.live("a command that is not there, a folder that is not there, what the system cannot run: typed, and said", () =>
    Effect.gen(function*() {
      const missing = yield* start("chat-workspace-no-such-program --flag")
      const { detail } = yield* Effect.flip(missing.run)
      assert.include(detail, "exited with code 127")
      assert.include(detail, "chat-workspace-no-such-program")
      const provider = yield* make()
      const nowhere = s.request({ template: template({}, "/nowhere/at/all") })
      assert.include((yield* Effect.flip(provider.start(nowhere.request))).detail, "/nowhere/at/all (ENOENT)")
      for (const value of ["x".repeat(200_000), "with \0 inside"]) {
        const impossible = yield* start("true", { fields: { parameters: { value } } })
        assert.strictEqual((yield* Effect.flip(impossible.run))._tag, "ProviderFailed")
      }
    }))

  it.live("there is nothing to read for it", () =>
    Effect.gen(function*() {
      const { lines, run } = yield* start("cat; read x || echo nothing")
      yield* run
      assert.deepStrictEqual(lines, ["nothing"])
    }))

  it.live("binary output is readable lines, and no failure", () =>
    Effect.gen(function*() {
      const { lines, run } = yield* start("head -c 300000 /dev/urandom; echo; echo end")
      yield* run
      assert.strictEqual(lines.at(-1), "end")
      for (const line of lines) assert.notMatch(line, /[^\P{Cc}\t]/u)
    }))

  it.live(
    "a flood of 50 MB neither fills memory nor holds up the end, even when nobody takes the log",
    () =>
      Effect.gen(function*() {
        let taken = 0
        const log = () => Effect.andThen(Effect.sync(() => void taken++), Effect.never)
        const { run } = yield* start("yes 'a line of the flood' | head -c 50000000; echo the last; exit 1", {
          config: { logLines: 100 },
          fields: { log }
        })
        const [held, { detail }] = yield* peak(Effect.timeout(Effect.flip(run), "30 seconds"))
        assert.isTrue(detail.endsWith("\nthe last"))
        assert.strictEqual(taken, 1)
        assert.isBelow(held, 16 * 2 ** 20)
      }),
    40_000
  )

  it.live("of a flood the log gets its share, and is told that there was more", () =>
    Effect.gen(function*() {
      const { lines, run } = yield* start("yes | head -n 100000", { config: { logLines: 50 } })
      yield* run
      assert.strictEqual(lines.length, 51)
      assert.include(lines.at(-1) ?? "", "printed more")
    }))

  it.live(
    "one that hangs is ended when it is interrupted: the whole group, also what ignores TERM",
    () =>
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const line = "echo $$ >> pids; sleep 600 & echo $! >> pids; echo \"$CW_AGENT_TOKEN_DIR\" > path; " +
          "(trap '' TERM; sh -c 'echo $$ >> pids; sleep 600'; sleep 600) & trap '' TERM; echo begun; while :; do sleep 600; done"
        const { directory, run } = yield* start(line, {
          fields: { log: () => Effect.asVoid(Deferred.succeed(begun, undefined)) }
        })
        const fiber = yield* Effect.forkChild(run)
        yield* Deferred.await(begun)
        const pids = yield* s.numbers(inside(directory, "pids"), 3)
        yield* s.killedAfter(pids)
        assert.deepStrictEqual(pids.map(s.isAlive), [true, true, true])
        yield* Effect.timeout(Fiber.interrupt(fiber), "10 seconds")
        assert.deepStrictEqual(pids.map(s.isAlive), [false, false, false])
        assert.isFalse(Fs.existsSync(read(directory, "path").trim()))
      }),
    30_000
  )

  it.live("one that is ended clears up first, and may print what it does", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const line = "trap 'echo clearing; echo cleared > cleared; exit 1' TERM; echo begun; while :; do sleep 0.1; done"
      const { directory, run } = yield* start(line, {
        fields: { log: () => Effect.asVoid(Deferred.succeed(begun, undefined)) },
        config: { kill: "10 seconds" }
      })
      const fiber = yield* Effect.forkChild(run)
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(read(directory, "cleared"), "cleared\n")
    }), 30_000)

  it.live(
    "a background child that holds the output does not hold up the end; after a success it runs on",
    () =>
      Effect.gen(function*() {
        const { directory, lines, run } = yield* start("sleep 600 & echo $! > pid; echo started")
        yield* Effect.timeout(run, "20 seconds")
        assert.deepStrictEqual(lines, ["started"])
        const [pid = 0] = yield* s.numbers(inside(directory, "pid"), 1)
        yield* s.killedAfter([pid])
        assert.isTrue(s.isAlive(pid))
      }),
    30_000
  )

  it.live("of a command that failed nothing is left running", () =>
    Effect.gen(function*() {
      const { directory, run } = yield* start("sleep 600 & echo $! > pid; exit 1")
      yield* Effect.timeout(Effect.flip(run), "20 seconds")
      const [pid = 0] = yield* s.numbers(inside(directory, "pid"), 1)
      yield* s.killedAfter([pid])
      assert.isFalse(s.isAlive(pid))
    }), 30_000)

  it.effect("settings are looked at field by field", () =>
    Effect.gen(function*() {
      const provider = yield* make()
      const refused = (settings: Given, fields: Partial<Template> = {}) =>
        Effect.map(Effect.flip(provider.check(template(settings, null, fields))), ({ message }) => message)
      yield* provider.check(template({ repeatable: true, environment: ["DOCKER_HOST"], secrets: ["CLOUD_TOKEN"] }))
      assert.strictEqual(yield* refused({ stop: 7 }), "settings.stop is wrong: Expected string")
      assert.strictEqual(yield* refused({ start: " " }), "settings.start is wrong: Expected a command")
      assert.strictEqual(yield* refused({ strat: "x" }), "settings.strat is not a setting of this provider")
      assert.match(yield* refused({ environment: ["FINE", "CW_OWNER"] }), /^settings\.environment\.1 is wrong: .*CW_/)
      assert.match(yield* refused({ secrets: ["NOT A NAME"] }), /^settings\.secrets\.0 is wrong/)
      assert.match(
        yield* refused({}, { startupScript: "ä".repeat(65 * 1024) }),
        /^startupScript is longer than 122880 bytes/
      )
      const { delete: _, ...incomplete } = template({}).provider.settings
      const error = yield* Effect.flip(
        provider.check(s.template({ type: "command", directory: null, settings: incomplete }))
      )
      assert.strictEqual(error.message, "settings.delete is missing")
    }))

  it.effect("a template may be run again if it says so", () =>
    Effect.gen(function*() {
      const provider = yield* make()
      assert.isTrue(provider.isRepeatable(template({ repeatable: true })))
      assert.isFalse(provider.isRepeatable(template({ repeatable: false })))
      assert.isFalse(provider.isRepeatable(template({})))
    }))
})
