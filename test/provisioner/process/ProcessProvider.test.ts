import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, type Duration, Effect, Fiber, Redacted } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { AgentConnection } from "../../../src/agent/AgentConnection.ts"
import { OperationId } from "../../../src/domain/Ids.ts"
import type { Template } from "../../../src/domain/Template.ts"
import { ProvisionerConfig } from "../../../src/provisioner/index.ts"
import { ProcessProvider } from "../../../src/provisioner/process/index.ts"
import * as WorkspaceFolder from "../../../src/provisioner/process/WorkspaceFolder.ts"
import * as WorkspaceProcesses from "../../../src/provisioner/process/WorkspaceProcesses.ts"
import type { Provider, ProviderRequest } from "../../../src/provisioner/Provider.ts"
import { ProviderKit } from "../../../src/testing/index.ts"
import * as s from "../support/providing.ts"

const backend = {
  PATH: process.env["PATH"] ?? "",
  LANG: "C.UTF-8",
  HOME: "/home/backend",
  DATABASE_URL: "postgres://user:password@host/database",
  SSH_AUTH_SOCK: "/run/ssh"
}

const make = (options: ProcessProvider.Options, config: ProvisionerConfig.Options = {}) =>
  ProcessProvider.make(options).pipe(
    Effect.provide([
      ProvisionerConfig.layer({ kill: "3 seconds", ...config }),
      ConfigProvider.layer(ConfigProvider.fromEnvRecord(backend))
    ])
  )

const template = (settings: Template["provider"]["settings"] = {}, fields: Partial<Template> = {}) =>
  s.template({ type: "process", directory: null, settings }, fields)

/** A provider over a folder of its own, and a gateway for its agents. Nothing of it survives the test. */
const world = Effect.fnUntraced(function*(options: Partial<ProcessProvider.Options> = {}, kill?: Duration.Input) {
  const root = yield* s.folder
  const provider = yield* make({ root, ...options }, { kill })
  const gateway = yield* ProviderKit.gateway
  const used = new Map<string, ProviderRequest>()
  yield* Effect.addFinalizer(() =>
    Effect.forEach(used.values(), (request) => Effect.ignore(provider.delete(request)), { discard: true })
  )
  const asked = Effect.fnUntraced(function*(fields: Partial<ProviderRequest> = {}) {
    const { lines, request } = s.request({
      template: template(),
      agents: [yield* gateway.enroll("main")],
      gatewayUrl: gateway.url,
      ...fields
    })
    used.set(request.workspace.workspaceId, request)
    return { lines, request, folder: WorkspaceFolder.make(root, request.workspace.workspaceId) }
  })
  /** A workspace whose agent has come. */
  const started = Effect.fnUntraced(function*(fields: Partial<ProviderRequest> = {}) {
    const { folder, lines, request } = yield* asked(fields)
    yield* provider.start(request)
    const connection = yield* Effect.timeout(gateway.dial(agentOf(request).agentId), "30 seconds")
    return { folder, lines, request, connection, pid: agentPid(folder) }
  })
  return { root, provider, gateway, asked, started }
})

const agentOf = (request: ProviderRequest) => request.agents[0] ?? assert.fail("no agent")

const state = (folder: WorkspaceFolder.WorkspaceFolder) =>
  WorkspaceFolder.load(folder).pipe((state) => state._tag === "Some" ? state.value : assert.fail("no state"))

const agentPid = (folder: WorkspaceFolder.WorkspaceFolder): number => state(folder).agents[0]?.pid ?? assert.fail()

const run = Effect.fnUntraced(function*(connection: AgentConnection, script: string) {
  const id = OperationId.make(s.fresh("op"))
  const { output } = yield* connection.processes.run({ id, argv: ["sh", "-c", script] }, { timeout: "30 seconds" })
  return Buffer.concat(output.pieces.flatMap((piece) => piece._tag === "Data" ? [piece.bytes] : [])).toString()
})

const begin = (connection: AgentConnection, script: string) =>
  connection.processes.start({ id: OperationId.make(s.fresh("op")), argv: ["sh", "-c", script] })

const kill = (pid: number) => Effect.sync(() => process.kill(pid, "SIGKILL"))

const stopped = (provider: Provider, request: ProviderRequest) => Effect.timeout(provider.stop(request), "30 seconds")

describe("ProcessProvider", () => {
  it.live(
    "agent and commands get the environment that is documented; no secret is in it, nor in the folder",
    () =>
      Effect.gen(function*() {
        const { started } = yield* world()
        const { connection, folder, pid, request } = yield* started({
          template: template({ environment: { EDITOR: "vi" } }),
          parameters: { region: "eu" }
        })
        const entries = (environ: string): Readonly<Record<string, string>> =>
          Object.fromEntries(
            environ.split("\0").filter((entry) => entry !== "").map((entry) => {
              const at = entry.indexOf("=")
              return [entry.slice(0, at), entry.slice(at + 1)]
            })
          )
        const common = {
          PATH: backend.PATH,
          LANG: backend.LANG,
          HOME: folder.files,
          TERM: "dumb",
          EDITOR: "vi",
          CW_PARAM_REGION: "eu",
          [WorkspaceProcesses.markVariable]: state(folder).mark
        }
        const own = folder.agent("main")
        assert.deepStrictEqual(entries(Fs.readFileSync(`/proc/${pid}/environ`, "utf8")), {
          ...common,
          CW_AGENT_URL: request.gatewayUrl,
          CW_AGENT_DIR: folder.files,
          CW_AGENT_STATE_DIR: own.state,
          CW_AGENT_TOKEN_FILE: own.token
        })
        const { OLDPWD: _, PWD: __, SHLVL: ___, ...seen } = entries(yield* run(connection, "env -0"))
        assert.deepStrictEqual(seen, common)
        const secret = Redacted.value(agentOf(request).token)
        const search =
          `grep -rl -e '${secret}' -e 'user:password' "$HOME/.." /proc/$PPID/environ /proc/$PPID/cmdline; echo done`
        assert.strictEqual(yield* run(connection, search), "done\n")
      }),
    60_000
  )

  it.live(
    "the agent works in the folder of the workspace, in a session of its own, and says so in the log",
    () =>
      Effect.gen(function*() {
        const { started } = yield* world()
        const { connection, folder, lines, pid } = yield* started()
        assert.strictEqual((yield* run(connection, "pwd")).trim(), folder.files)
        assert.deepStrictEqual(lines, [`The agent main runs as process ${pid}.`])
        const [, session] = /\) \S+ \d+ \d+ (\d+)/.exec(Fs.readFileSync(`/proc/${pid}/stat`, "latin1")) ?? []
        assert.strictEqual(Number(session), pid)
        assert.strictEqual(Fs.statSync(folder.path).mode & 0o777, 0o700)
      }),
    60_000
  )

  it.live("a start brings up every agent of the template, each under its own token", () =>
    Effect.gen(function*() {
      const { asked, gateway, provider } = yield* world()
      const agents = yield* Effect.forEach(["one", "two"], gateway.enroll)
      const { folder, request } = yield* asked({ agents })
      yield* provider.start(request)
      yield* Effect.forEach(agents, ({ agentId }) => Effect.timeout(gateway.dial(agentId), "30 seconds"))
      const pids = state(folder).agents.map(({ pid }) => pid)
      assert.deepStrictEqual(pids.map(s.isAlive), [true, true])
      yield* stopped(provider, request)
      assert.deepStrictEqual(pids.map(s.isAlive), [false, false])
    }), 60_000)

  it.live(
    "after the agent was killed a stop leaves nothing: no session of its own, no tree of 50 generations",
    () =>
      Effect.gen(function*() {
        const { provider, started } = yield* world()
        const { connection, folder, pid, request } = yield* started()
        const nested = "n=$1; echo $$ >> pids; [ $n -eq 0 ] || sh \"$0\" $((n - 1)) & sleep 600"
        yield* connection.files.write({
          id: OperationId.make(s.fresh("op")),
          path: "nested.sh",
          bytes: new TextEncoder().encode(nested)
        })
        yield* begin(connection, "exec sh nested.sh 49")
        yield* begin(
          connection,
          "setsid sh -c 'echo $$ >> pids; exec sleep 600' & (setsid sh -c \"trap '' TERM; echo \\$\\$ >> pids; sleep 600; sleep 600\" &) ; wait"
        )
        const pids = yield* s.numbers(Path.join(folder.files, "pids"), 52)
        yield* s.killedAfter(pids)
        assert.isTrue(pids.every(s.isAlive))
        yield* kill(pid)
        yield* s.eventually("the agent is dead", () => !s.isAlive(pid))
        assert.isTrue(pids.some(s.isAlive))
        yield* stopped(provider, request)
        assert.deepStrictEqual(pids.filter(s.isAlive), [])
      }),
    90_000
  )

  it.live(
    "what cleared its environment is ended with the group that the agent had noted",
    () =>
      Effect.gen(function*() {
        const { provider, started } = yield* world()
        const { connection, folder, pid, request } = yield* started()
        yield* begin(connection, "exec env -i /bin/sh -c 'echo $$ >> pids; sleep 600; sleep 600'")
        const pids = yield* s.numbers(Path.join(folder.files, "pids"), 1)
        yield* s.killedAfter(pids)
        yield* kill(pid)
        yield* stopped(provider, request)
        assert.deepStrictEqual(pids.filter(s.isAlive), [])
      }),
    60_000
  )

  it.live("a stop lets the agent end what it runs: a command hears TERM", () =>
    Effect.gen(function*() {
      const { provider, started } = yield* world()
      const { connection, folder, pid, request } = yield* started()
      yield* begin(connection, "trap 'echo heard > heard; exit' TERM; echo ready > ready; while :; do sleep 0.05; done")
      yield* s.eventually("it runs", () => Fs.existsSync(Path.join(folder.files, "ready")))
      yield* stopped(provider, request)
      assert.isFalse(s.isAlive(pid))
      assert.isTrue(Fs.existsSync(Path.join(folder.files, "heard")))
    }), 60_000)

  it.live("an agent that does not end is killed in time", () =>
    Effect.gen(function*() {
      const { provider, started } = yield* world({}, "300 millis")
      const { pid, request } = yield* started()
      yield* Effect.sync(() => process.kill(pid, "SIGSTOP"))
      yield* stopped(provider, request)
      assert.isFalse(s.isAlive(pid))
    }), 60_000)

  it.live(
    "another provider over the same root stops what one started, and one over another root does not",
    () =>
      Effect.gen(function*() {
        const { provider, root, started } = yield* world()
        const { connection, folder, pid, request } = yield* started()
        yield* begin(connection, "setsid sh -c 'echo $$ >> pids; exec sleep 600'")
        const pids = [pid, ...(yield* s.numbers(Path.join(folder.files, "pids"), 1))]
        yield* s.killedAfter(pids)
        const next = yield* make({ root })
        const other = yield* world()
        yield* other.provider.stop(request)
        assert.isTrue(pids.every(s.isAlive))
        yield* stopped(next, request)
        assert.deepStrictEqual(pids.filter(s.isAlive), [])
        yield* stopped(provider, request)
      }),
    60_000
  )

  it.live("the agents outlive a backend that is killed, and the next one stops them", () =>
    Effect.gen(function*() {
      const { asked, gateway, provider, root } = yield* world()
      const { folder, request } = yield* asked()
      const { agentId, name, token } = agentOf(request)
      // A backend of its own, killed as soon as the start has succeeded.
      const script = `
        import { Effect, Redacted } from "effect"
        import * as ProcessProvider from ${JSON.stringify(source)}
        const { token, ...request } = ${JSON.stringify({ ...request, agents: [], token: Redacted.value(token) })}
        const agents = [{ agentId: ${JSON.stringify(agentId)}, name: ${
        JSON.stringify(name)
      }, token: Redacted.make(token) }]
        await Effect.runPromise(Effect.flatMap(
          ProcessProvider.make({ root: ${JSON.stringify(root)} }),
          (provider) => provider.start({ ...request, agents, log: () => Effect.void })
        ))
        process.kill(process.pid, "SIGKILL")
      `
      const ended = yield* Effect.callback<NodeJS.Signals | null>((resume) => {
        const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
          stdio: ["ignore", "ignore", "inherit"]
        })
        child.on("exit", (_, signal) => resume(Effect.succeed(signal)))
      })
      assert.strictEqual(ended, "SIGKILL")
      const connection = yield* Effect.timeout(gateway.dial(agentId), "30 seconds")
      assert.strictEqual((yield* run(connection, "echo alive")).trim(), "alive")
      const pid = agentPid(folder)
      yield* stopped(provider, request)
      assert.isFalse(s.isAlive(pid))
    }), 60_000)

  it.live(
    "a process that has the number of the agent, and not the time of its start, is a stranger and is not ended",
    () =>
      Effect.gen(function*() {
        const { asked, provider } = yield* world()
        const { folder, request } = yield* asked()
        const stranger = spawn("sleep", ["600"], { detached: true, stdio: "ignore" })
        const pid = stranger.pid ?? assert.fail()
        yield* s.killedAfter([pid])
        const startedAt = WorkspaceProcesses.startedAt(pid) ?? assert.fail()
        yield* provider.start(request)
        const { machine } = state(folder)
        yield* stopped(provider, request)
        for (
          const [when, where] of [[String(Number(startedAt) - 1), machine], [startedAt, "another boot"]] as const
        ) {
          const agents = [{ name: "main", pid, startedAt: when }]
          WorkspaceFolder.save(folder, { mark: "mark", machine: where, agents })
          yield* stopped(provider, request)
          assert.isTrue(s.isAlive(pid))
        }
        WorkspaceFolder.save(folder, { mark: "mark", machine, agents: [{ name: "main", pid, startedAt }] })
        yield* stopped(provider, request)
        assert.isFalse(s.isAlive(pid))
      }),
    60_000
  )

  it.live(
    "an interrupted start leaves no process and no token, whenever it is interrupted",
    () =>
      Effect.gen(function*() {
        const { asked, provider } = yield* world()
        for (const delay of [0, 5, 20, 60, 120]) {
          const { folder, request } = yield* asked()
          const start = yield* Effect.forkChild(provider.start(request))
          yield* Effect.sleep(delay)
          yield* Fiber.interrupt(start)
          if (start.pollUnsafe()?._tag === "Success") continue
          const noted = WorkspaceFolder.load(folder)
          const pids = noted._tag === "Some" ? noted.value.agents.map(({ pid }) => pid) : []
          assert.deepStrictEqual(pids.filter(s.isAlive), [])
          assert.isFalse(Fs.existsSync(folder.agent("main").token))
        }
      }),
    60_000
  )

  it.live("an interrupted start leaves alone what a later one has brought up", () =>
    Effect.gen(function*() {
      const { asked, gateway, started } = yield* world()
      const first = yield* asked()
      const isUp = Deferred.makeUnsafe<void>()
      const { provider } = yield* world({ root: Path.dirname(first.folder.path) })
      // As a runner that was frozen here, and lost its build to another one.
      const log = () => Effect.andThen(Deferred.succeed(isUp, undefined), Effect.never)
      const lost = yield* Effect.forkChild(provider.start({ ...first.request, log }))
      yield* Deferred.await(isUp)
      const earlier = agentPid(first.folder)
      const { pid, request } = yield* started({
        workspace: first.request.workspace,
        agents: [yield* gateway.enroll("main")]
      })
      yield* Fiber.interrupt(lost)
      assert.deepStrictEqual([earlier, pid].map(s.isAlive), [false, true])
      yield* stopped(provider, request)
      assert.isFalse(s.isAlive(pid))
    }), 60_000)

  it.live("an agent that cannot come up fails the start with what it said", () =>
    Effect.gen(function*() {
      const { asked, provider, root } = yield* world()
      const { folder, request } = yield* asked({ gatewayUrl: "ftp://127.0.0.1/agent" })
      const { detail } = yield* Effect.flip(provider.start(request))
      assert.match(detail, /^The agent main ended at once:\n/)
      assert.include(detail, "CW_AGENT_URL")
      assert.isFalse(Fs.existsSync(folder.agent("main").token))
      const missing = yield* make({ root, agentProgram: "/no/such/program.mjs" })
      assert.include((yield* Effect.flip(missing.start(request))).detail, "/no/such/program.mjs")
      const silent = Path.join(root, "silent.mjs")
      Fs.writeFileSync(silent, "setInterval(() => {}, 1000)")
      const slow = yield* make({ root, agentProgram: silent, startTimeout: "500 millis" })
      assert.strictEqual(
        (yield* Effect.flip(slow.start(request))).detail,
        "The agent main did not come up in time."
      )
      assert.isFalse(s.isAlive(agentPid(folder)))
      const occupied = Path.join(root, "occupied")
      Fs.writeFileSync(occupied, "")
      const nowhere = yield* make({ root: occupied })
      assert.strictEqual((yield* Effect.flip(nowhere.start(request)))._tag, "ProviderFailed")
    }), 60_000)

  it.live("the start-up script of the template is run by the agent, with the parameters", () =>
    Effect.gen(function*() {
      const { started } = yield* world()
      const { folder } = yield* started({
        template: template({}, { startupScript: "echo $CW_PARAM_NAME >> begun" }),
        parameters: { name: "value" }
      })
      const begun = Path.join(folder.files, "begun")
      yield* s.eventually("the script ran", () => Fs.existsSync(begun) && Fs.statSync(begun).size > 0)
      assert.strictEqual(Fs.readFileSync(begun, "utf8"), "value\n")
    }), 60_000)

  it.live("a shutdown script has its time before the agent is killed", () =>
    Effect.gen(function*() {
      const { provider, started } = yield* world({}, "500 millis")
      const { folder, request } = yield* started({
        template: template({}, { shutdownScript: "sleep 1; echo done > done" })
      })
      yield* stopped(provider, request)
      assert.isTrue(Fs.existsSync(Path.join(folder.files, "done")))
    }), 60_000)

  it.live("a gateway that others can reach is refused unless that is allowed", () =>
    Effect.gen(function*() {
      const { asked, provider, root } = yield* world()
      for (const host of ["10.0.0.7", "gateway.example.org", "0.0.0.0", "127.0.0.1.example.org", "[2001:db8::1]"]) {
        const { folder, request } = yield* asked({ gatewayUrl: `ws://${host}:3000/agent` })
        const { detail } = yield* Effect.flip(provider.start(request))
        assert.include(detail, host)
        assert.include(detail, "allowRemote")
        assert.isFalse(Fs.existsSync(folder.path))
      }
      const { request } = yield* asked({ gatewayUrl: "not an address" })
      assert.include((yield* Effect.flip(provider.start(request))).detail, "address of the gateway")
      for (const host of ["localhost", "127.0.0.2", "[::1]"]) {
        const { request } = yield* asked({ gatewayUrl: `ws://${host}:1/agent` })
        yield* provider.start(request)
      }
      const allowing = yield* make({ root, allowRemote: true })
      const remote = yield* asked({ gatewayUrl: "ws://10.0.0.7:1/agent" })
      yield* allowing.start(remote.request)
    }), 60_000)

  it.live(
    "a delete removes the folder, also one without the right to write in it, and follows no link out of it",
    () =>
      Effect.gen(function*() {
        const { provider, root, started } = yield* world()
        const outside = Path.join(root, "outside")
        Fs.mkdirSync(outside)
        Fs.writeFileSync(Path.join(outside, "kept"), "kept")
        const { connection, folder, pid, request } = yield* started()
        yield* run(
          connection,
          `ln -s '${outside}' link; mkdir -p cache/deep; touch cache/deep/file; chmod -R a-w cache`
        )
        yield* provider.delete(request)
        assert.isFalse(s.isAlive(pid))
        assert.isFalse(Fs.existsSync(folder.path))
        assert.isTrue(Fs.existsSync(Path.join(outside, "kept")))
      }),
    60_000
  )

  it.effect("settings are looked at field by field", () =>
    Effect.gen(function*() {
      const provider = yield* make({ root: "/nowhere" })
      const refused = (settings: Template["provider"]["settings"]) =>
        Effect.map(Effect.flip(provider.check(template(settings))), ({ message }) => message)
      yield* provider.check(template())
      yield* provider.check(template({ environment: { EDITOR: "vi" } }))
      assert.strictEqual(yield* refused({ start: "x" }), "settings.start is not a setting of this provider")
      assert.strictEqual(yield* refused({ environment: { A: 1 } }), "settings.environment.A is wrong: Expected string")
      assert.match(yield* refused({ environment: { CW_AGENT_URL: "x" } }), /^settings\.environment\.CW_AGENT_URL is/)
      assert.isTrue(provider.isRepeatable(template()))
    }))
})

const source = new URL("../../../src/provisioner/process/ProcessProvider.ts", import.meta.url).pathname
