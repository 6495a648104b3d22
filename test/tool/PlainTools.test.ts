import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Logger, Schema, Scope } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import { PlainTools, ToolCalls, ToolFailure } from "../../src/tool/index.ts"
import * as t from "./support/calls.ts"

const Build = Tool.make("build", {
  description: "Builds something",
  parameters: Schema.Struct({ what: Schema.String }),
  success: Schema.Struct({ built: Schema.Boolean, at: Schema.optionalKey(Schema.DateTimeUtcFromString) }),
  failure: ToolFailure.ToolFailure,
  failureMode: "return"
})

const Tools = Toolkit.make(Build)

type Handler = Toolkit.HandlersFrom<Toolkit.Tools<typeof Tools>>["build"]

const plain = Effect.fnUntraced(function*(build: Handler) {
  const toolkit = yield* ToolCalls.make(Object.values(Tools.tools), yield* Tools.toHandlers({ build }))
  const [tool] = (yield* PlainTools.make)(toolkit)
  return tool ?? (yield* Effect.die(new Error("no tool")))
})

const answer = (promise: Promise<unknown>) => Effect.promise(() => promise)

/** As a loop that is not Effect makes it. */
const aborting = () => new AbortController()

describe("a plain tool", () => {
  it.effect("is the tool of the toolkit: name, description, arguments", () =>
    Effect.gen(function*() {
      const tool = yield* plain(() => Effect.never)
      assert.deepInclude(tool, { name: "build", description: "Builds something" })
      assert.deepStrictEqual(tool.jsonSchema, Tool.getJsonSchema(Build))
    }))

  it.effect("answers its result, or the failure, and is never rejected", () =>
    Effect.gen(function*() {
      const refusal: ToolFailure.ToolFailure = { error: "agent_busy", message: "Later.", retry: "later" }
      const tool = yield* plain(({ what }) =>
        what === "bug" ? Effect.die("a bug") : what === "no" ? Effect.fail(refusal) : Effect.succeed({ built: true })
      )
      assert.deepStrictEqual(yield* answer(tool.execute({ what: "house" })), { built: true })
      assert.deepStrictEqual(yield* answer(tool.execute({ what: "no" })), refusal)
      for (const args of [{ what: 1 }, {}, undefined, null, "what"]) {
        assert.deepInclude(yield* answer(tool.execute(args)), { error: "invalid_arguments", retry: "never" })
      }
      assert.deepInclude(yield* answer(tool.execute({ what: "bug" })), { error: "internal" })
    }).pipe(Effect.provide(Logger.layer([]))))

  it.effect("runs on the clock and the services of who made it", () =>
    Effect.gen(function*() {
      const tool = yield* plain(() => Effect.delay(Effect.succeed({ built: true }), "1 hour"))
      const promise = tool.execute({ what: "house" })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* answer(promise), { built: true })
    }))

  it.effect("is interrupted by its signal, and answers when it has ended", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      let ended = false
      const tool = yield* plain(() =>
        Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
          Effect.onInterrupt(() =>
            Effect.sync(() => {
              ended = true
            })
          )
        )
      )
      const controller = aborting()
      const promise = tool.execute({ what: "house" }, { signal: controller.signal })
      yield* Deferred.await(begun)
      controller.abort()
      assert.deepInclude(yield* answer(promise), { error: "interrupted", retry: "never" })
      assert.isTrue(ended)
    }))

  it.effect("does nothing when its signal was given before", () =>
    Effect.gen(function*() {
      let calls = 0
      const tool = yield* plain(() =>
        Effect.sync(() => {
          calls++
          return { built: true }
        })
      )
      const promise = tool.execute({ what: "house" }, { signal: AbortSignal.abort() })
      assert.deepInclude(yield* answer(promise), { error: "interrupted" })
      assert.strictEqual(calls, 0)
    }))

  it.effect("tells its progress, and goes on when the listener throws", () =>
    Effect.gen(function*() {
      const tool = yield* plain(
        Effect.fnUntraced(function*(_, { preliminary }) {
          yield* preliminary({ built: false })
          yield* preliminary({ built: false })
          return { built: true }
        })
      )
      const heard: Array<unknown> = []
      const promise = tool.execute({ what: "house" }, {
        onProgress: (progress) => {
          heard.push(progress)
          throw new Error("the listener's own")
        }
      })
      assert.deepStrictEqual(yield* answer(promise), { built: true })
      assert.deepStrictEqual(heard, [{ built: false }, { built: false }])
    }).pipe(Effect.provide(Logger.layer([]))))

  it.effect("ends with the scope of who made it, and answers that it was interrupted from then on", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const tool = yield* plain(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)).pipe(
        Scope.provide(scope)
      )
      const promise = tool.execute({ what: "house" })
      yield* Deferred.await(begun)
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* answer(promise), { error: "interrupted" })
      assert.deepInclude(yield* answer(tool.execute({ what: "house" })), { error: "interrupted" })
    }))
})

describe("the plain tools of a chat", () => {
  it.effect("are those of its toolkit, and work on its workspace", () =>
    Effect.gen(function*() {
      const { plain, toolkit, world } = yield* t.running
      assert.deepStrictEqual(plain.map(({ name }) => name), Object.keys(toolkit.tools))
      yield* world.onExecute(() => Effect.succeed({ stdout: "hello\n" }))
      const execute = plain.find(({ name }) => name === "execute")
      const result = yield* Effect.promise(async () => execute?.execute({ command: "echo hello" }))
      assert.deepInclude(result, { success: true, output: "hello\n" })
    }).pipe(t.inWorld))
})
