import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { InstructionFiles } from "../../src/turn/InstructionFiles.ts"
import { answered, chatId, costOf, hands, inWorld, inWorldWith, open } from "./support/World.ts"

/** Reads for a new turn of the chat; with what it cost. */
const turn = Effect.gen(function*() {
  const { world } = yield* hands
  const files = yield* InstructionFiles
  const workspace = yield* open
  const [answer, counts] = yield* world.counted(files.read(workspace))
  return { ...answer, cost: costOf(counts) }
})

/** A running workspace with these files. */
const holding = Effect.fnUntraced(function*(files: Readonly<Record<string, string>>) {
  const all = yield* hands
  const place = yield* all.world.running(chatId)
  for (const [path, content] of Object.entries(files)) all.transport.files(place.agentId).set(path, content)
  return { ...all, place }
})

const free = { agent: 0, latestBuild: 0, dials: 0 }

const agents = { path: "AGENTS.md", content: "Use tabs.\n", size: 10, truncated: false }

describe("instruction files", () => {
  it.effect("are read through the agent once, and from then on cost neither a dial nor a query", () =>
    Effect.gen(function*() {
      const { inside } = yield* holding({ "AGENTS.md": agents.content })
      const first = yield* turn
      assert.deepStrictEqual(first, {
        files: [agents],
        outcome: "read",
        error: null,
        cost: { agent: 1, latestBuild: 1, dials: 1 }
      })
      const second = yield* turn
      assert.deepStrictEqual(second, { files: [agents], outcome: "stored", error: null, cost: free })
      assert.deepStrictEqual(inside.reads, ["AGENTS.md"])
      assert.deepStrictEqual([inside.gets, inside.puts], [2, 1])
    }).pipe(inWorld))

  it.effect("that are none are known to be none", () =>
    Effect.gen(function*() {
      yield* holding({})
      assert.deepInclude(yield* turn, { files: [], outcome: "read" })
      assert.deepStrictEqual(yield* turn, { files: [], outcome: "stored", error: null, cost: free })
    }).pipe(inWorld))

  it.effect("that could not be read are not stored, and the next turn tries again", () =>
    Effect.gen(function*() {
      const { inside, place, transport } = yield* holding({ "AGENTS.md": agents.content })
      yield* transport.refuse(place.agentId)
      const failed = yield* turn
      assert.deepInclude(failed, { files: [], outcome: "failed" })
      assert.strictEqual(failed.error?._tag, "DialFailed")
      assert.strictEqual(inside.puts, 0)
      yield* transport.accept(place.agentId)
      assert.deepInclude(yield* turn, { files: [agents], outcome: "read" })
    }).pipe(inWorld))

  it.effect("that the agent does not answer for are not stored either", () =>
    Effect.gen(function*() {
      const { inside, place, transport } = yield* holding({ "AGENTS.md": agents.content })
      const files = yield* InstructionFiles
      const workspace = yield* open
      yield* workspace.use(() => Effect.void)
      yield* transport.freeze(place.agentId)
      const reading = yield* Effect.forkChild(files.read(workspace), { startImmediately: true })
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude(yield* Fiber.join(reading), { outcome: "late" })
      assert.strictEqual(inside.puts, 0)
      yield* transport.thaw(place.agentId)
      assert.deepInclude(yield* turn, { outcome: "read" })
      assert.strictEqual(inside.puts, 1)
    }).pipe(inWorld))

  it.effect("are read again from another agent", () =>
    Effect.gen(function*() {
      const { transport, world } = yield* holding({ "AGENTS.md": agents.content })
      yield* turn
      const { agentId } = yield* world.rebuilt(chatId)
      transport.files(agentId).set("CLAUDE.md", "Use spaces.")
      // The chat does not know of the other agent yet.
      assert.deepInclude(yield* turn, { files: [agents], outcome: "stored", cost: free })
      yield* (yield* open).use(() => Effect.void)
      const again = yield* turn
      assert.deepStrictEqual(again.files.map(({ path }) => path), ["CLAUDE.md"])
      assert.deepStrictEqual([again.outcome, again.cost.dials], ["read", 0])
      assert.deepInclude(yield* turn, { outcome: "stored", cost: free })
    }).pipe(inWorld))

  it.effect("of a workspace that was started again are those of its new agent", () =>
    Effect.gen(function*() {
      const { world } = yield* holding({ "AGENTS.md": agents.content })
      yield* turn
      yield* world.running(chatId, { remembers: "workspace" })
      // Who the agent is was asked for, and what is stored is its own.
      assert.deepInclude(yield* turn, {
        files: [agents],
        outcome: "stored",
        cost: { agent: 0, latestBuild: 1, dials: 0 }
      })
    }).pipe(inWorld))

  it.effect("of a stopped workspace cost one query and no dial", () =>
    Effect.gen(function*() {
      const { world } = yield* holding({})
      yield* world.stopped(chatId)
      const answer = yield* turn
      assert.deepInclude(answer, { files: [], outcome: "none", cost: { agent: 0, latestBuild: 1, dials: 0 } })
      assert.strictEqual(answer.error?._tag, "NoWorkspaceAgent")
    }).pipe(inWorld))

  it.effect("of a stopped workspace are still those that are stored", () =>
    Effect.gen(function*() {
      const { world } = yield* holding({ "AGENTS.md": agents.content })
      yield* turn
      yield* world.stopped(chatId)
      assert.deepInclude(yield* turn, { files: [agents], outcome: "stored", cost: free })
    }).pipe(inWorld))

  it.effect("of a chat without a workspace cost nothing", () =>
    Effect.gen(function*() {
      const { inside } = yield* hands
      assert.deepStrictEqual(yield* turn, { files: [], outcome: "none", error: null, cost: free })
      assert.strictEqual(inside.gets, 0)
    }).pipe(inWorld))

  it.effect("of an agent that cannot tell a link from a file are none, and that is no failure", () =>
    Effect.gen(function*() {
      const { inside } = yield* holding({ "AGENTS.md": agents.content })
      inside.lacks.add("directories")
      const answer = yield* turn
      assert.deepInclude(answer, { files: [], outcome: "none" })
      assert.strictEqual(answer.error?._tag, "Unsupported")
      assert.deepStrictEqual([inside.reads, inside.puts], [[], 0])
    }).pipe(inWorld))

  it.effect("are waited for 5 seconds, and what comes later is there for the next turn", () =>
    Effect.gen(function*() {
      const { inside, place, transport } = yield* holding({ "AGENTS.md": agents.content })
      yield* transport.accept(place.agentId, { after: "10 seconds" })
      const reading = yield* Effect.forkChild(turn, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isTrue(Option.isNone(answered(reading)))
      yield* TestClock.adjust("1 millis")
      const late = yield* Fiber.join(reading)
      assert.deepInclude(late, { files: [], outcome: "late", error: null })
      // The next turn comes before the answer, and waits for the same work.
      const next = yield* Effect.forkChild(turn, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isTrue(Option.isNone(answered(next)))
      yield* TestClock.adjust("1 millis")
      const { cost, files } = yield* Fiber.join(next)
      assert.deepStrictEqual([files, cost.dials], [[agents], 0])
      assert.deepInclude(yield* turn, { outcome: "stored", cost: free })
      assert.strictEqual(inside.puts, 1)
    }).pipe(inWorld))

  it.effect("go on being read when the turn is interrupted", () =>
    Effect.gen(function*() {
      const { place, transport } = yield* holding({ "AGENTS.md": agents.content })
      yield* transport.accept(place.agentId, { after: "2 seconds" })
      const reading = yield* Effect.forkChild(turn, { startImmediately: true })
      yield* transport.untilDialed(place.agentId, 1)
      yield* Fiber.interrupt(reading)
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(yield* turn, { files: [agents], outcome: "stored", cost: free })
    }).pipe(inWorld))

  it.effect("are given up at the limit of the work", () =>
    Effect.gen(function*() {
      const { place, transport } = yield* holding({ "AGENTS.md": agents.content })
      yield* transport.accept(place.agentId, { after: "10 seconds" })
      const first = yield* Effect.forkChild(turn, { startImmediately: true })
      yield* TestClock.adjust("7999 millis")
      yield* Fiber.join(first)
      assert.strictEqual(transport.counts().pending, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(transport.counts().pending, 0)
    }).pipe(inWorldWith({ setupLimit: "8 seconds" })))

  it.effect("are none for now where the store does not answer", () =>
    Effect.gen(function*() {
      const { inside } = yield* holding({ "AGENTS.md": agents.content })
      inside.down.add("get")
      const failed = yield* turn
      assert.deepInclude(failed, { files: [], outcome: "failed", cost: free })
      assert.strictEqual(failed.error?._tag, "StoreError")
    }).pipe(inWorld))

  it.effect("serve the turn that read them also where they cannot be stored", () =>
    Effect.gen(function*() {
      const { inside } = yield* holding({ "AGENTS.md": agents.content })
      inside.down.add("put")
      assert.deepInclude(yield* turn, { files: [agents], outcome: "read" })
      inside.down.delete("put")
      assert.deepInclude(yield* turn, { files: [agents], outcome: "read" })
      assert.deepInclude(yield* turn, { files: [agents], outcome: "stored" })
    }).pipe(inWorld))
})
