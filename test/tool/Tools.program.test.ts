import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger } from "effect"
import type { Scope } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import type { AgentTransport } from "../../src/agent/index.ts"
import { ChatWorkspaces } from "../../src/dial/index.ts"
import { Ids } from "../../src/domain/index.ts"
import { ChatBindings, WorkspaceAgents } from "../../src/store/index.ts"
import { ChatTools } from "../../src/tool/index.ts"
import * as h from "../agent/support/harness.ts"
import * as t from "./support/calls.ts"

const layerStores = Layer.mergeAll(ChatBindings.layerMemory, WorkspaceAgents.layerMemory).pipe(
  Layer.provideMerge(h.layerStores)
)

const live = (
  name: string,
  test: () => Effect.Effect<void, unknown, Layer.Success<typeof layerStores> | Scope.Scope>
): void => {
  it.live(name, () => test().pipe(Effect.scoped, Effect.provide([layerStores, Logger.layer([])])), 120_000)
}

/** The tools of a chat, over the gateway of one backend. */
const toolsOf = Effect.fnUntraced(function*(
  backend: Context.Context<AgentTransport.AgentTransport>,
  chatId: Ids.ChatId
) {
  const tools = yield* Layer.build(
    ChatTools.layerWithoutBuilds.pipe(
      Layer.provide(ChatWorkspaces.layer),
      Layer.provide(Layer.succeedContext(backend))
    )
  )
  const { toolkit } = yield* Context.get(tools, ChatTools.ChatTools).open({ chatId, owner: h.owner })
  return (name: string, args: unknown) => Effect.map(t.call(toolkit, name, args), ({ result }) => result)
})

/** A chat that is bound to a workspace, and the token of its agent. */
const bound = Effect.gen(function*() {
  const { token, workspaceId } = yield* h.enroll()
  const chatId = Ids.ChatId.make(h.fresh("chat"))
  const bindings = yield* ChatBindings.ChatBindings
  yield* bindings.bindWorkspace({ chatId, owner: h.owner, workspaceId })
  return { chatId, token }
})

/** The tools of a chat that is bound to the workspace of a real program. */
const connected = Effect.gen(function*() {
  const server = yield* h.start()
  const { chatId, token } = yield* bound
  const program = yield* h.startProgram(server.port, token)
  return {
    path: (name: string) => Path.join(program.directory, name),
    call: yield* toolsOf(server.context, chatId)
  }
})

const bytes = (text: string): number => new TextEncoder().encode(text).length

describe("commands in a real workspace", () => {
  live("output: a character in two pieces, bytes that are no text, and 100 MB", () =>
    Effect.gen(function*() {
      const { call } = yield* connected
      const split = yield* call("execute", { command: "printf 'a\\342\\202'; sleep 0.3; printf '\\254b'" })
      assert.deepInclude(split, { success: true, output: "a€b", exit_code: 0 })
      assert.notProperty(split, "note")

      const binary = yield* call("execute", { command: "head -c 100000 /dev/zero; echo text" })
      assert.deepInclude(binary, { success: true, exit_code: 0 })
      assert.match(binary.output, /^[\uFFFD\n]*text\n$/)
      assert.include(binary.note, "not text")

      const long = yield* call("execute", {
        command: "echo first; yes line | head -c 100000000; echo last",
        timeout: 100
      })
      assert.deepInclude(long, { success: true, truncated: true })
      assert.isAtMost(bytes(long.output), 32 * 1024)
      assert.isTrue(long.output.startsWith("first\nline\n") && long.output.endsWith("last\n"))
      const [mark, leftOut] = /\n\[… (\d+) bytes left out …\]\n/.exec(long.output) ?? []
      assert.strictEqual(bytes(long.output.replace(mark, "")) + Number(leftOut), 100_000_011)
    }))

  live(
    "nothing waits for a person: no input, no pager, no editor; a failure is a result",
    () =>
      Effect.gen(function*() {
        const { call, path } = yield* connected
        assert.deepInclude(yield* call("execute", { command: "cat; read line; echo \"end $?\"" }), {
          output: "end 1\n"
        })
        const env = yield* call("execute", { command: "echo $TERM $PAGER $EDITOR $CHAT_WORKSPACE; test -t 0; exit 7" })
        assert.deepInclude(env, { success: false, exit_code: 7, output: "dumb cat true 1\n" })
        yield* call("execute", { command: "mkdir sub && cd sub && touch here" })
        assert.deepInclude(yield* call("execute", { command: "ls", workdir: "sub" }), { output: "here\n" })
        assert.isTrue(existsSync(path("sub/here")))
        const nowhere = yield* call("execute", { command: "ls", workdir: "nowhere" })
        assert.deepInclude(nowhere, { error: "command_not_found" })
      })
  )

  live("a command that does not end in time goes on, and its output can be read later", () =>
    Effect.gen(function*() {
      const { call, path } = yield* connected
      const wait = `until [ -e ${path("go")} ]; do sleep 0.1; done`
      const first = yield* call("execute", { command: `echo begun; ${wait}; echo done; exit 3`, timeout: 3 })
      assert.deepInclude(first, { success: false, timed_out: true, output: "begun\n", exit_code: null })
      const { process_id } = first
      const waiting = yield* Effect.forkChild(call("process_output", { process_id, wait: 40, offset: 6 }))
      writeFileSync(path("go"), "")
      assert.deepStrictEqual(yield* Fiber.join(waiting), {
        running: false,
        exit_code: 3,
        output: "done\n",
        next_offset: 11
      })
    }))

  live("also when the backend was restarted meanwhile", () =>
    Effect.gen(function*() {
      const { chatId, token } = yield* bound
      const backend = (port?: number) =>
        h.inScope(Effect.gen(function*() {
          const context = yield* Layer.build(h.layerGateway())
          return { port: yield* h.listen(context, port), call: yield* toolsOf(context, chatId) }
        }))
      const { close, value: { call, port } } = yield* backend()
      const { directory } = yield* h.startProgram(port, token)
      const go = Path.join(directory, "go")
      const command = `echo begun; until [ -e ${go} ]; do sleep 0.1; done; echo done`
      const { process_id } = yield* call("execute", { command, timeout: 3 })
      yield* close
      const { value: second } = yield* backend(port)
      writeFileSync(go, "")
      assert.deepInclude(yield* second.call("process_output", { process_id, wait: 60 }), {
        running: false,
        exit_code: 0,
        output: "begun\ndone\n"
      })
    }))

  live("the background: & answers at once, and a signal ends all of it", () =>
    Effect.gen(function*() {
      const { call } = yield* connected
      const { process_id, success } = yield* call("execute", { command: "sleep 300 | sleep 301 &" })
      assert.isTrue(success)
      const { processes } = yield* call("process_list", {})
      assert.deepInclude(processes[0], { process_id, command: "sleep 300 | sleep 301 ", running: true })
      yield* call("process_signal", { process_id, signal: "SIGKILL" })
      assert.deepInclude(yield* call("process_output", { process_id, wait: 30 }), { running: false, signal: "SIGKILL" })
    }))

  live("interrupting the call ends the command", () =>
    Effect.gen(function*() {
      const { call, path } = yield* connected
      const calling = yield* Effect.forkChild(call("execute", { command: "echo $$ > pid; exec sleep 300" }))
      yield* h.until(() => existsSync(path("pid")) && readFileSync(path("pid"), "utf8").endsWith("\n"), "20 seconds")
      yield* Fiber.interrupt(calling)
      const pid = readFileSync(path("pid"), "utf8").trim()
      yield* h.until(() => !existsSync(`/proc/${pid}`), "20 seconds")
    }))
})

describe("files in a real workspace", () => {
  live("are written, read and edited; what does not fit is refused and said", () =>
    Effect.gen(function*() {
      const { call, path } = yield* connected
      assert.deepStrictEqual(yield* call("write_file", { path: "a.txt", content: "one\ntwo\ntwo\n" }), {
        path: "a.txt",
        size_bytes: 12
      })
      assert.deepInclude(yield* call("read_file", { path: "a.txt", offset: 2 }), {
        content: "two\ntwo\n",
        total_lines: 3
      })
      const edits = [{ find: "one", replace: "1" }, { find: "two", replace: "2" }]
      const many = yield* call("edit_files", { files: [{ path: "a.txt", edits }] })
      assert.include(many.message, "a.txt: edit 2 of 2: the text to find is in the file more than once.")
      const none = yield* call("edit_files", { files: [{ path: "a.txt", edits: [{ find: "three", replace: "3" }] }] })
      assert.include(none.message, "a.txt: the text to find is not in the file.")
      assert.strictEqual(readFileSync(path("a.txt"), "utf8"), "one\ntwo\ntwo\n")
      const [first] = edits
      yield* call("edit_files", {
        files: [{ path: "a.txt", edits: [first, { find: "two", replace: "2", all: true }] }]
      })
      assert.strictEqual(readFileSync(path("a.txt"), "utf8"), "1\n2\n2\n")
      const lost = yield* call("write_file", { path: "no/such/file", content: "" })
      assert.include(lost.message, "Its folder is not there: make it with execute (mkdir -p).")
      const folder = yield* call("read_file", { path: "." })
      assert.include(folder.message, "list a folder with execute (ls)")

      yield* call("execute", { command: "seq 1 1000000 > numbers" })
      const far = yield* call("read_file", { path: "numbers", offset: 999_999 })
      assert.deepInclude(far, { content: "999999\n1000000\n", total_lines: 1_000_000, size_bytes: 6_888_896 })
    }))
})
