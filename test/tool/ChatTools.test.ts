import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { LanguageModel } from "effect/ai"
import { AgentTransport } from "../../src/agent/index.ts"
import type { Feature } from "../../src/agent/index.ts"
import { Readiness, Workspaces } from "../../src/provisioner/index.ts"
import { Builds } from "../../src/store/index.ts"
import { TestWorkspaces } from "../../src/testing/index.ts"
import { ChatTools } from "../../src/tool/index.ts"
import { LifecycleTools } from "../../src/tool/LifecycleTools.ts"
import * as t from "./support/calls.ts"

/** The names of the tools that are offered over a transport with these features. */
const offered = (...features: ReadonlyArray<Feature.Feature>) =>
  Effect.gen(function*() {
    const transport = yield* AgentTransport.AgentTransport
    const limited = Layer.succeed(AgentTransport.AgentTransport, { ...transport, features: new Set(features) })
    const { plain, toolkit } = yield* Effect.provide(t.opened(), Layer.provide(ChatTools.layerWithoutBuilds, limited))
    assert.deepStrictEqual(plain.map(({ name }) => name), Object.keys(toolkit.tools))
    return Object.keys(toolkit.tools)
  }).pipe(TestWorkspaces.provide)

const files = ["read_file", "write_file", "edit_files"]

describe("which tools a chat has", () => {
  it.effect("is decided by what the transport can do", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* offered("run", "processes", "files"), [
        "execute",
        "process_output",
        "process_list",
        "process_signal",
        ...files
      ])
      assert.deepStrictEqual(yield* offered("run", "files"), ["execute", ...files])
      assert.deepStrictEqual(yield* offered("files"), files)
      assert.deepStrictEqual(yield* offered(), [])
    }))

  it.effect("those on templates and builds are the parent's alone", () =>
    Effect.gen(function*() {
      const own = Object.keys((yield* t.opened()).toolkit.tools)
      assert.includeMembers(own, Object.keys(LifecycleTools.tools))
      const child = Object.keys((yield* t.opened(true)).toolkit.tools)
      assert.deepStrictEqual(child, own.filter((name) => !Object.hasOwn(LifecycleTools.tools, name)))
      assert.includeMembers(child, ["execute", ...files])
    }).pipe(
      Effect.provide(ChatTools.layer.pipe(Layer.provide([
        Layer.mock(Workspaces.Workspaces, {}),
        Layer.mock(Readiness.Readiness, {}),
        Layer.mock(Builds.Builds, {})
      ]))),
      TestWorkspaces.provide
    ))

  it.effect("a chat without tools for builds is told to ask, and the child of another to report", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(t.chatId)
      const own = yield* t.call((yield* t.opened()).toolkit, "execute", { command: "ls" })
      assert.include(own.result.message, "ask the user to start the workspace")
      const child = yield* t.call((yield* t.opened(true)).toolkit, "execute", { command: "ls" })
      assert.include(child.result.message, "report to the parent chat that it has to start the workspace")
    }).pipe(t.inWorld))
})

describe("a turn", () => {
  it.effect("opens with one look at the binding, and costs no query once its agent is connected", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(t.chatId)
      const [{ toolkit, workspace }, counts] = yield* world.counted(t.opened())
      assert.deepInclude(counts.queries, { binding: 1, agent: 0, latestBuild: 0 })
      assert.strictEqual(counts.dials, 0)
      yield* t.call(toolkit, "execute", { command: "ls" })
      const [, after] = yield* world.counted(Effect.forEach(
        [["execute", { command: "ls" }], ["process_list", {}]] as const,
        ([tool, args]) => t.call(toolkit, tool, args)
      ))
      assert.deepInclude({ ...after.queries, dials: after.dials }, { binding: 0, agent: 0, latestBuild: 0, dials: 0 })
      assert.strictEqual((yield* workspace.binding).chatId, t.chatId)
    }).pipe(t.inWorld))

  it.effect("fails to open only when the database does", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(t.chatId)
      yield* world.databaseDown()
      assert.strictEqual((yield* Effect.flip(t.opened()))._tag, "StoreError")
    }).pipe(t.inWorld))

  it.effect("a model loop of Effect takes the toolkit as it is", () =>
    Effect.gen(function*() {
      const { toolkit, world } = yield* t.running
      yield* world.onExecute(() => Effect.succeed({ stdout: "Linux\n" }))
      const model = yield* LanguageModel.make({
        generateText: ({ tools }) => {
          assert.include(tools.map(({ name }) => name), "execute")
          return Effect.succeed([
            { type: "tool-call", id: "call-1", name: "execute", params: { command: "uname" } },
            { type: "tool-call", id: "call-2", name: "read_file", params: { path: "nowhere" } },
            { type: "finish", reason: "tool-calls", usage }
          ])
        },
        streamText: () => {
          throw new Error("not played")
        }
      })
      const { toolResults } = yield* model.generateText({ prompt: "Where are we?", toolkit })
      const of = (name: string) => toolResults.find((result) => result.name === name)
      assert.deepInclude(of("execute")?.result, { success: true, output: "Linux\n" })
      assert.deepInclude(of("read_file"), { isFailure: true })
      assert.deepInclude(of("read_file")?.result, { error: "file_error" })
    }).pipe(t.inWorld))
})

const usage = {
  inputTokens: { uncached: undefined, total: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: undefined, reasoning: undefined }
}
