import { assert, describe, it } from "@effect/vitest"
import { MockLanguageModelV4 } from "ai/test"
import { Ids } from "chat-workspace/domain"
import { TestWorkspaces } from "chat-workspace/testing"
import { ChatTools } from "chat-workspace/tool"
import { Deferred, Effect, Fiber } from "effect"
import { answer } from "../../examples/vercel-ai-sdk.ts"

const chatId = Ids.ChatId.make("chat-1")

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: 1, reasoning: undefined }
}

const call = (toolName: string, input: unknown) => ({
  content: [{ type: "tool-call" as const, toolCallId: "call", toolName, input: JSON.stringify(input) }],
  finishReason: { unified: "tool-calls" as const, raw: undefined },
  usage,
  warnings: []
})

const say = (text: string) => ({
  content: [{ type: "text" as const, text }],
  finishReason: { unified: "stop" as const, raw: undefined },
  usage,
  warnings: []
})

/** What the model was told that its calls came to. */
const results = (model: MockLanguageModelV4): ReadonlyArray<unknown> =>
  (model.doGenerateCalls.at(-1)?.prompt ?? []).flatMap((message) =>
    message.role === "tool"
      ? message.content.flatMap((part) =>
        part.type === "tool-result" && part.output.type === "json" ? [part.output.value] : []
      )
      : []
  )

const ask = (model: MockLanguageModelV4) =>
  answer({ chatId, owner: TestWorkspaces.owner, model, prompt: "Which system is this?" })

const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provide(ChatTools.layerWithoutBuilds), TestWorkspaces.provide)

describe("a loop of the Vercel AI SDK", () => {
  it.live("works in the chat's workspace", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chatId)
      yield* world.onExecute(() => Effect.succeed({ stdout: "Linux\n" }))
      const model = new MockLanguageModelV4({
        doGenerate: [call("execute", { command: "uname" }), call("execute", { cmd: "uname" }), say("It is Linux.")]
      })
      assert.strictEqual(yield* ask(model), "It is Linux.")
      const [good, bad] = results(model)
      assert.deepInclude(good, { success: true, output: "Linux\n", exit_code: 0 })
      assert.deepInclude(bad, { error: "invalid_arguments", retry: "never" })
    }).pipe(inWorld))

  it.live("reads what is wrong with a stopped workspace", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const model = new MockLanguageModelV4({
        doGenerate: [call("execute", { command: "ls" }), say("Please start it.")]
      })
      assert.strictEqual(yield* ask(model), "Please start it.")
      assert.deepInclude(results(model)[0], { error: "no_workspace_agent", retry: "after-recovery" })
    }).pipe(inWorld))

  it.live("that is interrupted ends the command that runs", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chatId)
      const begun = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      yield* world.onExecute(() =>
        Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
        )
      )
      const asking = yield* Effect.forkChild(
        ask(new MockLanguageModelV4({ doGenerate: [call("execute", { command: "server" })] }))
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(asking)
      yield* Deferred.await(ended)
    }).pipe(inWorld))
})
