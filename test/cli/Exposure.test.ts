import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Ids } from "../../src/domain/index.ts"
import { ScriptedModel, TestBuilds, TestWorkspaces } from "../../src/testing/index.ts"
import { Turns } from "../../src/turn/index.ts"
import { collecting, secret } from "./support/collecting.ts"

const chatId = Ids.ChatId.make("chat-1")
const { owner } = TestWorkspaces

/** Calls of all kinds, well and failing, with something planted in each argument. */
const script: ReadonlyArray<ScriptedModel.Step> = [
  ScriptedModel.call("create_workspace", {
    template_id: TestWorkspaces.templateId,
    name: "planted-name",
    parameters: { size: 2 }
  }),
  ScriptedModel.calls(
    ["execute", { command: `echo ${secret("command")}`, workdir: `/${secret("workdir")}` }],
    ["execute", { command: secret("background"), background: true }],
    ["write_file", { path: `/${secret("path")}`, content: secret("content") }],
    ["read_file", { path: `/${secret("missing")}` }],
    ["edit_files", { files: [{ path: `/${secret("edited")}`, edits: [{ search: secret("search"), replace: "x" }] }] }],
    ["process_output", { process_id: secret("process") }],
    ["process_signal", { process_id: secret("signalled"), signal: "terminate" }],
    ["execute", { command: { [secret("wrong")]: secret("type") } }],
    ["read_template", { template_id: secret("template") }],
    [secret("tool"), { a: secret("unknown") }]
  ),
  ScriptedModel.call("create_workspace", { template_id: secret("other"), replace: true }),
  ScriptedModel.call("start_workspace", { parameters: { [secret("key")]: secret("value") } }),
  ScriptedModel.call("stop_workspace"),
  ScriptedModel.call("execute", { command: secret("stopped") }),
  ScriptedModel.say(secret("answer"))
]

describe("spans, metrics and logs of a turn", () => {
  it.effect("hold nothing of what the user, the model, the tools, the builds or the workspace said", () => {
    const collected = collecting()
    return Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      const builds = yield* TestBuilds.TestBuilds
      const turns = yield* Turns.Turns
      yield* builds.onBuild({ prints: [secret("log")] })
      yield* world.onExecute(() => Effect.succeed({ code: 1, stdout: secret("stdout"), stderr: secret("stderr") }))
      const { events } = yield* turns.send({
        chatId,
        owner,
        messageId: Ids.MessageId.make("m"),
        text: secret("message")
      })
      const fiber = yield* Effect.forkChild(Stream.runCollect(events), { startImmediately: true })
      yield* TestClock.adjust("5 minutes")
      assert.isDefined(fiber.pollUnsafe(), "the turn goes on")
      const told = Array.from(yield* Fiber.join(fiber))
      const all = JSON.stringify(told)
      // It went through everything that was planted.
      for (const place of ["command", "content", "stdout", "unknown", "answer"]) assert.include(all, secret(place))
      assert.isTrue(collected.names().has("Turns.turn"))
      const found = (yield* collected.all).filter((text) => text.includes("PLANTED"))
      assert.deepStrictEqual(found, [])
    }).pipe(
      TestWorkspaces.provideWith(
        Turns.layerWithoutSetup().pipe(
          Layer.provideMerge(ScriptedModel.layer(script)),
          Layer.provideMerge(TestBuilds.layer)
        ),
        { drain: "20 seconds" }
      ),
      collected.exported
    )
  })
})
