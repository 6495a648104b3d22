import { assert, describe, it } from "@effect/vitest"
import { ChatExplanation, ChatWorkspaces } from "chat-workspace/dial"
import { Ids } from "chat-workspace/domain"
import { TestWorkspaces } from "chat-workspace/testing"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"

const chatId = Ids.ChatId.make("chat-1")

const explained = Effect.gen(function*() {
  const explanations = yield* ChatExplanation.ChatExplanation
  return ChatExplanation.format(yield* explanations.explain(chatId))
}).pipe(Effect.provide(ChatExplanation.layer))

const finding = Effect.map(explained, (text) => text.split("\n")[0]?.replace(/^finding +/, ""))

/** What one call of the chat comes to, given all the time it may take. */
const call = Effect.gen(function*() {
  const chats = yield* ChatWorkspaces.ChatWorkspaces
  const workspace = yield* chats.open(chatId)
  const fiber = yield* Effect.forkChild(Effect.exit(workspace.use(() => Effect.void)), { startImmediately: true })
  yield* TestClock.adjust("40 seconds")
  return yield* Fiber.join(fiber)
})

describe("ChatExplanation", () => {
  it.effect("a chat without a workspace", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* finding, "The chat has no workspace.")
    }).pipe(TestWorkspaces.provide))

  it.effect("a chat with which nothing is wrong, and its last connects", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chatId)
      yield* call
      assert.strictEqual(yield* finding, "Nothing is wrong.")
      const text = yield* explained
      assert.include(text, "by rule 5: its heartbeats are recent")
      assert.include(text, "connected (fast)")
    }).pipe(TestWorkspaces.provide))

  it.effect("a stopped workspace, which the chat still remembers an agent of", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.stopped(chatId)
      yield* call
      assert.strictEqual(yield* finding, "The workspace is stopped.")
      assert.include(yield* explained, "stop succeeded")
    }).pipe(TestWorkspaces.provide))

  it.effect("an agent that was seen to go: since when, and the rule that decided it", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.agentDead(chatId)
      const text = yield* explained
      assert.include(text, "The workspace runs, but its agent is disconnected: its session was seen to end.")
      assert.include(text, "Unreachable for 120.0 s of recorded heartbeats.")
      assert.include(text, "by rule 3")
    }).pipe(TestWorkspaces.provide))

  it.effect("an agent that never came", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.neverConnects(chatId)
      const text = yield* explained
      assert.include(text, "its agent is missing: it never connected within its connection timeout")
      assert.include(text, "by rule 1")
    }).pipe(TestWorkspaces.provide))

  it.effect("an agent that is silent", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.agentFrozen(chatId, { for: "1 minute" })
      assert.include(yield* explained, "its agent is disconnected: its heartbeats stopped")
      assert.include(yield* explained, "by rule 4")
    }).pipe(TestWorkspaces.provide))

  it.effect("a workspace that is starting", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.slowStart(chatId)
      assert.strictEqual(yield* finding, "The workspace is starting and has no agent yet.")
    }).pipe(TestWorkspaces.provide))

  it.effect("a rebuilt workspace, whose new agent the chat does not know yet", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.rebuilt(chatId)
      assert.include(yield* finding, "The chat remembers another agent than the current one")
    }).pipe(TestWorkspaces.provide))

  it.effect("a started workspace to which the chat has not connected yet", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chatId, { remembers: "workspace" })
      assert.include(yield* finding, "Nothing is wrong; the chat has not connected since its workspace was started")
    }).pipe(TestWorkspaces.provide))

  it.effect("a database that does not answer, with what this node knows all the same", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chatId)
      yield* call
      yield* world.databaseDown()
      assert.include(yield* finding, "The database could not answer")
      assert.include(yield* explained, "connected (fast)")
    }).pipe(TestWorkspaces.provide))

  it.effect("calls that wait right now", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      const chats = yield* ChatWorkspaces.ChatWorkspaces
      yield* world.neverConnects(chatId, { for: "1 second" })
      const workspace = yield* chats.open(chatId)
      const waiting = yield* Effect.forkChild(
        Effect.all([Effect.scoped(workspace.connect), Effect.scoped(workspace.connect)], { concurrency: 2 }),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      assert.include(yield* explained, "waiting    2 calls of this chat on this node")
      yield* Fiber.interrupt(waiting)
      assert.include(yield* explained, "waiting    0 calls of this chat on this node")
    }).pipe(TestWorkspaces.provide))

  it.effect("from the store alone, and says that no node was asked", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(chatId)
      const explanations = yield* ChatExplanation.ChatExplanation
      const text = ChatExplanation.format(yield* explanations.explain(chatId))
      assert.include(text, "Nothing is wrong.")
      assert.include(text, "none was asked")
    }).pipe(Effect.provide(Layer.fresh(ChatExplanation.layerStored)), TestWorkspaces.provide))

  it.effect("explaining reads twice, and neither dials nor writes", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.rebuilt(chatId)
      const [, { dials, queries }] = yield* world.counted(explained)
      assert.deepStrictEqual({ ...queries, dials }, {
        binding: 1,
        agent: 0,
        latestBuild: 1,
        bindAgent: 0,
        bindWorkspace: 0,
        dials: 0
      })
    }).pipe(TestWorkspaces.provide))
})
