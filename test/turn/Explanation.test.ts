import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { Ids } from "../../src/domain/index.ts"
import * as Builds from "../../src/store/Builds.ts"
import * as Holders from "../../src/store/Holders.ts"
import { TestWorkspaces } from "../../src/testing/index.ts"
import { Explanation, ExplanationFinding } from "../../src/turn/index.ts"

const chatId = Ids.ChatId.make("chat-1")

const inWorld = TestWorkspaces.provideWith(
  Layer.merge(Builds.layerMemory, Holders.layerMemory).pipe(Layer.provideMerge(TestWorkspaces.layer)),
  { drain: "20 seconds" }
)

const explain = Effect.flatMap(Explanation.Explanations, (explanations) => explanations.explain(chatId))

describe("an explanation", () => {
  it.effect("from the stores alone says that no node was asked", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chatId)
      const text = Explanation.format(yield* Effect.provide(explain, Explanation.layerStored))
      assert.include(text, "Nothing is wrong.")
      assert.include(text, "node       none was asked")
      assert.include(text, "turns      no node was asked")
      assert.include(text, "turn       none yet")
    }).pipe(inWorld))

  it.effect("reads each store once, and neither dials nor writes", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.rebuilt(chatId)
      const [, { dials, queries }] = yield* world.counted(Effect.provide(explain, Explanation.layerWithoutTurns))
      assert.deepStrictEqual({ ...queries, dials }, {
        binding: 1,
        agent: 0,
        latestBuild: 1,
        bindAgent: 0,
        bindWorkspace: 0,
        dials: 0
      })
    }).pipe(inWorld))

  it.effect("comes within the bound of a store call when the database hangs, and says so", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chatId)
      yield* world.databaseDown({ hangs: true })
      const fiber = yield* Effect.forkChild(explain, { startImmediately: true })
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(ExplanationFinding.finding(yield* Fiber.join(fiber)).code, "database_down")
    }).pipe(Effect.provide(Explanation.layerWithoutTurns), inWorld))

  it.effect("comes within that bound too when only the holders hang, with what the other stores say", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      const fiber = yield* Effect.forkChild(explain, { startImmediately: true })
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const explanation = yield* Fiber.join(fiber)
      assert.isTrue(Result.isFailure(explanation.beside))
      assert.strictEqual(ExplanationFinding.finding(explanation).code, "workspace_stopped")
    }).pipe(
      Effect.provide(
        Layer.provide(
          Explanation.layerWithoutTurns,
          Layer.succeed(Holders.Holders, Holders.Holders.of({ of: () => Effect.uninterruptible(Effect.never) }))
        )
      ),
      inWorld
    ))
})
