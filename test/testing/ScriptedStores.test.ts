import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { BindResult, unbound } from "../../src/domain/Binding.ts"
import { type BindingRefused, StoreError } from "../../src/domain/Errors.ts"
import { AgentId, BuildId, ChatId, OwnerId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as ChatBindings from "../../src/store/ChatBindings.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import * as WorkspaceAgents from "../../src/store/WorkspaceAgents.ts"
import * as ScriptedStores from "../../src/testing/ScriptedStores.ts"

const layer = ScriptedStores.layer.pipe(
  Layer.provide([ChatBindings.layerMemory, WorkspaceAgents.layerMemory]),
  Layer.provide(MemoryStore.layer)
)

const chatId = ChatId.make("chat")

/** Every call of the ports, by its name. */
const calls = Effect.gen(function*() {
  const bindings = yield* ChatBindings.ChatBindings
  const agents = yield* WorkspaceAgents.WorkspaceAgents
  return {
    binding: bindings.get(chatId),
    bindWorkspace: bindings.bindWorkspace({ chatId, owner: OwnerId.make("owner"), workspaceId: null }),
    bindAgent: bindings.bindAgent(unbound(chatId), BuildId.make("build"), AgentId.make("agent")),
    agent: agents.agent(AgentId.make("agent")),
    latestBuild: agents.latestBuild(WorkspaceId.make("workspace"))
  }
})

const queries = ["binding", "bindWorkspace", "bindAgent", "agent", "latestBuild"] as const

const none = { binding: 0, bindWorkspace: 0, bindAgent: 0, agent: 0, latestBuild: 0 }

describe("ScriptedStores", () => {
  it.effect.each(queries)("counts and breaks %s alone", (query) =>
    Effect.gen(function*() {
      const hands = yield* ScriptedStores.ScriptedStores
      const call: Effect.Effect<unknown, BindingRefused | StoreError> = (yield* calls)[query]
      yield* hands.fail([query])
      const error = yield* Effect.flip(call)
      assert.deepInclude(error, { _tag: "StoreError", operation: query })
      yield* hands.heal([query])
      yield* call
      assert.deepStrictEqual(hands.counts(), { ...none, [query]: 2 })
      yield* hands.fail(queries.filter((other) => other !== query))
      yield* call
    }).pipe(Effect.provide(layer)))

  it.effect("answers as the port does, when it is not broken", () =>
    Effect.gen(function*() {
      const { bindAgent, binding, bindWorkspace } = yield* calls
      assert.deepStrictEqual(yield* binding, unbound(chatId))
      const bound = yield* bindWorkspace
      assert.strictEqual(bound.generation, 1)
      assert.deepStrictEqual(yield* bindAgent, BindResult.Superseded({ binding: bound }))
    }).pipe(Effect.provide(layer)))

  it.effect("a slow call answers with what is true when it answers", () =>
    Effect.gen(function*() {
      const hands = yield* ScriptedStores.ScriptedStores
      const { binding, bindWorkspace } = yield* calls
      yield* hands.delay("2 seconds", ["binding"])
      const reading = yield* Effect.forkChild(binding, { startImmediately: true })
      yield* bindWorkspace
      yield* TestClock.adjust(1_999)
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(reading)).generation, 1)
    }).pipe(Effect.provide(layer)))

  it.effect("a failure may take its time", () =>
    Effect.gen(function*() {
      const hands = yield* ScriptedStores.ScriptedStores
      yield* hands.fail(undefined, { after: 3_000 })
      const reading = yield* Effect.forkChild((yield* calls).agent, { startImmediately: true })
      yield* TestClock.adjust(2_999)
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.instanceOf(yield* Effect.flip(Fiber.join(reading)), StoreError)
    }).pipe(Effect.provide(layer)))

  it.effect("a call that hangs is answered when the database is healed, or refused when it fails", () =>
    Effect.gen(function*() {
      const hands = yield* ScriptedStores.ScriptedStores
      const { agent, binding } = yield* calls
      yield* hands.hang()
      const [first, second] = [yield* Effect.forkChild(binding), yield* Effect.forkChild(agent)]
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual([first.pollUnsafe(), second.pollUnsafe()], [undefined, undefined])
      yield* hands.heal(["binding"])
      yield* Fiber.join(first)
      yield* hands.fail(["agent"])
      assert.isTrue(Exit.isFailure(yield* Fiber.await(second)))
      assert.deepStrictEqual(hands.counts(), { ...none, binding: 1, agent: 1 })
    }).pipe(Effect.provide(layer)))
})
