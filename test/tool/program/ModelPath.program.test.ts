/** The way of a model through its tools, with both providers, over a real backend, database and agents. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as WorkspaceFolder from "../../../src/provisioner/process/WorkspaceFolder.ts"
import { emptyDatabase } from "../../postgres.ts"
import * as backends from "./support/Backends.ts"
import { Place } from "./support/Place.ts"
import * as world from "./support/World.ts"

class Node extends Context.Service<Node, backends.Backend>()("test/tool/program/ModelPath/Node") {}

// An agent that is lost is known to be so in seconds.
const bounds = { DIAL_TIMEOUT: "3 seconds", DIAL_RESTART_ADVICE: "1 second", TOOL_UNREACHABLE_DIAL: "1 second" }

const all = Layer.effect(Node, backends.start({ bounds })).pipe(
  Layer.provideMerge(world.layer),
  Layer.provideMerge(emptyDatabase())
)

/** A chat with a new workspace of a template. */
const created = Effect.fnUntraced(function*(template: string, parameters?: Readonly<Record<string, string>>) {
  const node = yield* Node
  const chat = backends.chat()
  const call = (tool: string, args?: Parameters<typeof node.call>[2]) => node.call(chat, tool, args)
  const result = yield* call("create_workspace", { template_id: template, ...(parameters && { parameters }) })
  return { chat, call, result }
})

/** The process of an agent of the process provider. */
const agentOf = Effect.fnUntraced(function*(result: backends.Result) {
  const { workspaces } = yield* Place
  const state = WorkspaceFolder.load(WorkspaceFolder.make(workspaces, world.workspaceIdOf(result)))
  return state._tag === "Some" ? state.value.agents[0]?.pid ?? assert.fail("no agent") : assert.fail("no state")
})

const isGone = (pid: number): boolean => {
  try {
    return Fs.readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ")
  } catch {
    return true
  }
}

layer(all, { excludeTestServices: true, timeout: "60 seconds" })("the tools of a chat on a real backend", (it) => {
  for (const template of ["local", "shell"]) {
    it.effect(
      `template ${template}: create, work, stop, start, and go on with the same files`,
      () =>
        Effect.gen(function*() {
          const { call, chat, result } = yield* created(template)
          assert.deepStrictEqual(Object.keys(result).sort(), ["build_id", "created", "workspace_id", "workspace_name"])
          assert.strictEqual(result["created"], true)
          const { buildId, workspaceId } = yield* world.binding(chat)
          assert.deepStrictEqual([buildId, workspaceId], [world.buildIdOf(result), world.workspaceIdOf(result)])

          yield* call("write_file", { path: "greeting", content: "good day\n" })
          yield* call("edit_files", { files: [{ path: "greeting", edits: [{ find: "day", replace: "night" }] }] })
          assert.deepInclude(yield* call("read_file", { path: "greeting" }), { content: "good night\n" })
          assert.deepInclude(yield* call("execute", { command: "cat greeting; sleep 300 & echo $! > sleeper" }), {
            success: true,
            output: "good night\n"
          })
          const sleeper = Number((yield* call("read_file", { path: "sleeper" }))["content"])
          assert.isFalse(isGone(sleeper))
          const before = yield* world.binding(chat)

          assert.deepInclude(yield* call("stop_workspace"), { stopped: true })
          assert.isTrue(isGone(sleeper))
          assert.deepInclude(yield* call("execute", { command: "true" }), { error: "no_workspace_agent" })
          assert.deepInclude(yield* call("create_workspace", { template_id: template }), { status: "stopped" })

          assert.deepInclude(yield* call("start_workspace"), { started: true, workspace_id: workspaceId })
          assert.deepInclude(yield* call("execute", { command: "cat greeting" }), { output: "good night\n" })
          const after = yield* world.binding(chat)
          assert.strictEqual(after.workspaceId, workspaceId)
          assert.strictEqual((yield* world.agentOf(after)).buildId, after.buildId)
          assert.notStrictEqual(after.agentId, before.agentId)
          assert.deepInclude(yield* call("start_workspace"), { started: true, no_build: true })
        }),
      60_000
    )
  }

  it.effect(
    "an agent that was killed: the error says what to do, and that brings the same files with a new agent",
    () =>
      Effect.gen(function*() {
        const { call, chat, result } = yield* created("local")
        assert.deepInclude(yield* call("execute", { command: "echo kept > file" }), { success: true })
        const before = yield* world.binding(chat)
        const pid = yield* agentOf(result)
        process.kill(pid, "SIGKILL")
        yield* backends.until("the agent is gone", () => isGone(pid))
        yield* backends.eventually("its link is seen to end", world.agentOf(before), ({ disconnectedAt }) =>
          disconnectedAt !== null)
        const lost = yield* call("execute", { command: "true" })
        assert.deepInclude(lost, { error: "agent_disconnected", retry: "after-recovery" })
        assert.include(String(lost["message"]), "Call stop_workspace, then start_workspace; start_workspace alone")
        assert.deepInclude(yield* call("create_workspace", { template_id: "local" }), {
          created: false,
          status: "unreachable"
        })
        assert.deepInclude(yield* call("stop_workspace"), { stopped: true })
        const started = yield* call("start_workspace")
        assert.deepInclude(started, { started: true, workspace_id: world.workspaceIdOf(result) })
        assert.deepInclude(yield* call("execute", { command: "cat file" }), { output: "kept\n" })
        const after = yield* world.binding(chat)
        assert.strictEqual(after.buildId, world.buildIdOf(started))
        assert.strictEqual((yield* world.agentOf(after)).buildId, after.buildId)
        assert.notStrictEqual(after.agentId, before.agentId)
        assert.isAbove(after.generation, before.generation)
      }),
    60_000
  )

  it.effect("start-up scripts are waited for, and one that fails is said", () =>
    Effect.gen(function*() {
      const slow = yield* created("scripted", { script: "sleep 2; echo done > done" })
      assert.deepStrictEqual(
        Object.keys(slow.result).sort(),
        ["build_id", "created", "workspace_id", "workspace_name"]
      )
      assert.deepInclude(yield* slow.call("execute", { command: "cat done" }), { output: "done\n" })
      const failed = yield* created("scripted", { script: "echo no; exit 4" })
      assert.deepInclude(failed.result, {
        created: true,
        startup_scripts: "startup_scripts_failed",
        lifecycle_state: "start_error"
      })
      assert.deepInclude(yield* failed.call("execute", { command: "echo usable" }), { output: "usable\n" })
    }), 60_000)

  it.effect("a start that fails says why, shows no secret, and can be tried again", () =>
    Effect.gen(function*() {
      const { call, chat, result } = yield* created("broken")
      assert.deepInclude(result, { created: true, status: "failed" })
      assert.match(String(result["error"]), /^The start build failed: The start command exited with code 3\. /)
      const tail = String(result["log_tail"])
      for (const line of ["one", "***", "last"]) assert.include(tail.split("\n"), line)
      const lines = (yield* world.log(world.buildIdOf(result))).join("\n")
      for (const text of [tail, lines, JSON.stringify(result)]) {
        assert.notMatch(text, hidden)
      }
      assert.include(lines, "CW_WORKSPACE_ID=")
      assert.deepInclude(yield* call("execute", { command: "true" }), { error: "no_workspace_agent" })
      const again = yield* call("start_workspace")
      assert.deepInclude(again, { started: false, workspace_id: world.workspaceIdOf(result) })
      assert.notStrictEqual(again["build_id"], result["build_id"])
      assert.strictEqual((yield* world.binding(chat)).buildId, world.buildIdOf(again))
    }), 60_000)

  it.effect(
    "commands see no token, and nothing of the server's environment, also where the agent's is read",
    () =>
      Effect.gen(function*() {
        for (const template of ["local", "shell"]) {
          const { call } = yield* created(template)
          const own = String((yield* call("execute", { command: "env" }))["output"])
          const agents = String(
            (yield* call("execute", { command: "tr '\\0' '\\n' < /proc/$PPID/environ" }))["output"]
          )
          assert.match(own, /^CHAT_WORKSPACE=1$/m)
          assert.match(agents, /^CW_AGENT_DIR=/m)
          for (const text of [own, agents]) assert.notMatch(text, hidden)
        }
      }),
    60_000
  )
})

/** Tokens of agents, and what stands in the environment of the backend. */
const hidden = new RegExp(`cwa1\\.|DATABASE_URL|postgres(ql)?://|SERVER_SECRET|${backends.secret}|BUILD_LEASE`)
