/** What is our fault is never held against an agent: whole nodes on the virtual clock, and one store. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Exit, Option, type Scope } from "effect"
import { TestClock } from "effect/testing"
import type { ChatWorkspace } from "../../src/dial/ChatWorkspaces.ts"
import { statusAt } from "../../src/domain/AgentStatus.ts"
import { AgentDisconnected, type ConnectError } from "../../src/domain/Errors.ts"
import { ChatId, type WorkspaceId } from "../../src/domain/Ids.ts"
import { ChatBindings, WorkspaceAgents } from "../../src/store/index.ts"
import * as h from "./support/harness.ts"
import * as virtual from "./support/virtual.ts"

const clocks = [["right", 0], ["10 minutes fast", 600_000], ["10 minutes slow", -600_000]] as const

const bound = Effect.fnUntraced(function*(name: string, workspaceId: WorkspaceId) {
  const bindings = yield* ChatBindings.ChatBindings
  const chatId = ChatId.make(name)
  yield* bindings.bindWorkspace({ chatId, owner: h.owner, workspaceId })
  return chatId
})

/** A workspace with an agent that lives, one whose agent will go, and chats that work in them. */
const scene = Effect.fnUntraced(function*(offset: number) {
  // A slow clock must not have to count below zero.
  yield* TestClock.adjust("1 hour")
  const world = yield* virtual.world
  const node = yield* world.node(offset)
  const [living, doomed] = [yield* h.enroll(), yield* h.enroll()]
  const chats = {
    living: yield* bound("living", living.workspaceId),
    early: yield* bound("early", doomed.workspaceId),
    late: yield* bound("late", doomed.workspaceId)
  }
  const agents = { living: yield* virtual.attached(node, living), doomed: yield* virtual.attached(node, doomed) }
  const open = Effect.fnUntraced(function*(on: virtual.Node) {
    return {
      living: yield* on.chats.open(chats.living),
      early: yield* on.chats.open(chats.early),
      late: yield* on.chats.open(chats.late)
    }
  })
  const turns = yield* open(node)
  // Each has called once, and remembers its agent.
  for (const turn of [turns.living, turns.early, turns.late]) yield* Effect.scoped(turn.connect)
  yield* virtual.pass("1 minute")
  return { ...world, another: world.node, node, enrolled: { living, doomed }, agents, open, turns }
})

/** A call under way; ends with its scope. */
const calling = Effect.fnUntraced(function*(turn: ChatWorkspace) {
  const fiber = yield* Effect.forkScoped(Effect.scoped(turn.connect), { startImmediately: true })
  return () => fiber.pollUnsafe()
})

const errorOf = (exit: Exit.Exit<unknown, ConnectError> | undefined): ConnectError | undefined =>
  exit === undefined || Exit.isSuccess(exit)
    ? undefined
    : exit.cause.reasons.flatMap((reason) => reason._tag === "Fail" ? [reason.error] : [])[0]

const advisesRestart = (error: ConnectError | undefined): boolean => error instanceof AgentDisconnected && error.restart

/**
 * From `since` on silence counts. A timed-out dial looks once at its end, 30 s after its call: one looks a millisecond
 * before the advice is due, one when it is.
 */
const advisedAt90 = Effect.fnUntraced(function*(
  since: DateTime.Utc,
  turns: { readonly early: ChatWorkspace; readonly late: ChatWorkspace }
) {
  const now = DateTime.toEpochMillis(yield* DateTime.now)
  const before = DateTime.toEpochMillis(since) + 59_999 - now
  assert.isAbove(before, 0)
  yield* virtual.pass(before)
  const early = yield* calling(turns.early)
  yield* TestClock.adjust(1)
  const late = yield* calling(turns.late)
  yield* virtual.pass(29_998)
  assert.isUndefined(early())
  yield* TestClock.adjust(1)
  assert.isDefined(errorOf(early()))
  assert.isFalse(advisesRestart(errorOf(early())))
  assert.isUndefined(late())
  yield* TestClock.adjust(1)
  assert.isTrue(advisesRestart(errorOf(late())))
})

const test = (name: string, body: (offset: number) => Effect.Effect<void, unknown, virtual.Stores | Scope.Scope>) => {
  for (const [clock, offset] of clocks) {
    it.effect(
      `${name}; the node's clock is ${clock}`,
      () => body(offset).pipe(Effect.scoped, Effect.provide(virtual.layerStores)),
      30_000
    )
  }
}

describe("a database that is frozen for five minutes", () => {
  for (const mode of ["hangs", "fails"] as const) {
    test(`(${mode}) drops no living connection, and restarts are advised 90 s after it is back, not before`, (offset) =>
      Effect.gen(function*() {
        const { agents, database, node, store, turns } = yield* scene(offset)
        const held = yield* turns.living.connect
        database.mode = mode
        agents.doomed.vanish()
        for (let step = 0; step < 30; step++) {
          const living = yield* calling(turns.living)
          const early = yield* calling(turns.early)
          yield* virtual.pass("10 seconds")
          const exit = living()
          assert.isTrue(exit !== undefined && Exit.isSuccess(exit) && exit.value === held)
          assert.isFalse(advisesRestart(errorOf(early())))
        }
        assert.strictEqual(agents.living.closed, undefined)
        assert.notStrictEqual(held.liveness(), "closed")
        assert.strictEqual(node.transport.describe?.(held.agentId).session?.epoch, 1)

        const thawed = yield* DateTime.now
        database.mode = "works"
        yield* virtual.pass("20 seconds")
        assert.strictEqual(held.liveness(), "live")
        assert.strictEqual(yield* Effect.scoped(turns.living.connect), held)
        const since = store.coverage?.since ?? assert.fail()
        assert.isTrue(DateTime.isGreaterThanOrEqualTo(since, thawed))
        yield* advisedAt90(since, turns)
        assert.strictEqual(yield* Effect.scoped(turns.living.connect), held)
      }))
  }
})

describe("all backends down for five minutes", () => {
  test("no restart is advised before 90 s of renewed cover, and an agent that comes back serves", (offset) =>
    Effect.gen(function*() {
      const { agents, another, database, enrolled, node, open, store } = yield* scene(offset)
      // Killed: nothing of the end of its sessions is written.
      database.mode = "fails"
      yield* node.close
      assert.notStrictEqual(agents.living.closed, undefined)
      yield* virtual.pass("5 minutes")
      database.mode = "works"
      const next = yield* another(offset)
      const started = yield* DateTime.now
      const turns = yield* open(next)
      const early = yield* calling(turns.early)
      const living = yield* calling(turns.living)
      yield* virtual.pass("4 seconds")
      assert.isUndefined(living())
      yield* virtual.attached(next, enrolled.living)
      yield* TestClock.adjust(0)
      const exit = living()
      assert.isTrue(exit !== undefined && Exit.isSuccess(exit) && exit.value.liveness() === "live")
      yield* virtual.pass("30 seconds")
      assert.isDefined(errorOf(early()))
      assert.isFalse(advisesRestart(errorOf(early())))
      const since = store.coverage?.since ?? assert.fail()
      assert.isTrue(DateTime.isGreaterThanOrEqualTo(since, DateTime.subtractDuration(started, "1 second")))
      yield* advisedAt90(since, turns)
    }))
})

describe("a node whose clock is off", () => {
  test("its agents are connected to every reader, its calls cost no query, and advice comes at 90 s of silence", (offset) =>
    Effect.gen(function*() {
      const { agents, database, enrolled, turns } = yield* scene(offset)
      const rows = yield* WorkspaceAgents.WorkspaceAgents
      const held = yield* turns.living.connect
      const before = database.calls
      for (let step = 0; step < 60; step++) {
        yield* virtual.pass("5 seconds")
        assert.strictEqual(yield* Effect.scoped(turns.living.connect), held)
        const row = Option.getOrThrow(yield* rows.agent(enrolled.living.agentId))
        assert.strictEqual(statusAt(row.agent, row.asOf, Duration.seconds(30)).status, "connected")
      }
      assert.strictEqual(database.calls, before)
      assert.strictEqual(agents.living.closed, undefined)
      agents.doomed.vanish()
      yield* TestClock.adjust(0)
      const row = Option.getOrThrow(yield* rows.agent(enrolled.doomed.agentId))
      assert.deepStrictEqual(row.agent.disconnectedAt, row.asOf)
      yield* advisedAt90(row.asOf, turns)
      assert.strictEqual(yield* Effect.scoped(turns.living.connect), held)
    }))
})
