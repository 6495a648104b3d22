import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Metric, Scope } from "effect"
import { TestClock } from "effect/testing"
import { ChatId, OwnerId } from "../../src/domain/Ids.ts"
import * as HttpMetrics from "../../src/http/HttpMetrics.ts"
import * as McpConfig from "../../src/http/McpConfig.ts"
import * as McpSessions from "../../src/http/McpSessions.ts"

const ann: McpSessions.Holder = { owner: OwnerId.make("ann"), chatId: ChatId.make("chat"), child: false }
const bob: McpSessions.Holder = { owner: OwnerId.make("bob"), chatId: ChatId.make("chat"), child: true }

/** Sessions, and those that they ended. */
const made = (options: McpConfig.Options = {}) =>
  Effect.gen(function*() {
    const ended: Array<string> = []
    const sessions = yield* McpSessions.make((id) => Effect.sync(() => ended.push(id)))
    return { sessions, ended, known: (id: string) => Effect.isSuccess(Effect.scoped(sessions.enter(id, ann))) }
  }).pipe(Effect.provide(McpConfig.layer(options)))

describe("the sessions of an MCP endpoint", () => {
  it.effect("are known to their own chat and owner alone", () =>
    Effect.gen(function*() {
      const { sessions } = yield* made()
      yield* sessions.begin("a", ann)
      yield* sessions.begin("b", bob)
      const enter = (id: string, of: Partial<McpSessions.Holder> = {}) => sessions.enter(id, { ...ann, ...of })
      assert.deepInclude(yield* enter("a"), ann)
      assert.deepInclude(yield* sessions.enter("b", bob), { child: true })
      assert.isTrue(yield* Effect.isFailure(enter("a", { owner: bob.owner })))
      assert.isTrue(yield* Effect.isFailure(enter("a", { chatId: ChatId.make("other") })))
      assert.isTrue(yield* Effect.isFailure(enter("c")))
    }).pipe(Effect.scoped))

  it.effect("end when nothing was asked in them for so long, and not a millisecond before", () =>
    Effect.gen(function*() {
      const { ended, known, sessions } = yield* made({ sessionIdle: "1 minute" })
      yield* sessions.begin("a", ann)
      yield* TestClock.adjust("59999 millis")
      assert.isTrue(yield* known("a"))
      yield* TestClock.adjust("59999 millis")
      assert.deepStrictEqual(ended, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(ended, ["a"])
      assert.isFalse(yield* known("a"))
    }).pipe(Effect.scoped))

  it.effect("are kept by what is under way in them, until the last of it has ended", () =>
    Effect.gen(function*() {
      const { ended, sessions } = yield* made({ sessionIdle: "1 minute" })
      yield* sessions.begin("a", ann)
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      for (const scope of [first, second]) yield* Scope.provide(sessions.enter("a", ann), scope)
      yield* TestClock.adjust("1 hour")
      yield* Scope.close(first, Exit.void)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(ended, [])
      yield* Scope.close(second, Exit.void)
      yield* TestClock.adjust("59999 millis")
      assert.deepStrictEqual(ended, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(ended, ["a"])
    }).pipe(Effect.scoped))

  it.effect("for one too many, the one of its owner that was not used for the longest time is ended", () =>
    Effect.gen(function*() {
      const { ended, known, sessions } = yield* made({ sessionsPerOwner: 2 })
      yield* sessions.begin("other", bob)
      for (const id of ["a", "b"]) yield* sessions.begin(id, ann)
      assert.isTrue(yield* known("a"))
      yield* sessions.begin("c", ann)
      assert.deepStrictEqual(ended, ["b"])
      assert.isTrue(yield* known("a"))
      assert.isTrue(yield* known("c"))
    }).pipe(Effect.scoped))

  it.effect("one too many is ended itself while all others are in use", () =>
    Effect.gen(function*() {
      const { ended, known, sessions } = yield* made({ sessionsPerOwner: 1 })
      yield* sessions.begin("a", ann)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* sessions.enter("a", ann)
        assert.deepInclude(yield* Effect.flip(sessions.begin("b", ann)), { _tag: "TooManySessions", limit: 1 })
        assert.deepStrictEqual(ended, ["b"])
      }))
      assert.isTrue(yield* known("a"))
      assert.isFalse(yield* known("b"))
    }).pipe(Effect.scoped))

  it.effect("one that its client ended is not ended again", () =>
    Effect.gen(function*() {
      const { ended, known, sessions } = yield* made({ sessionIdle: "1 minute" })
      yield* sessions.begin("a", ann)
      yield* Effect.scoped(Effect.andThen(sessions.enter("a", ann), sessions.forget("a")))
      assert.isFalse(yield* known("a"))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(ended, [])
    }).pipe(Effect.scoped))
})

describe("the calls of an owner", () => {
  it.effect("are so many at once, and each that ends makes room", () =>
    Effect.gen(function*() {
      const { sessions } = yield* made({ callsPerOwner: 2 })
      const scope = yield* Scope.make()
      assert.isTrue(yield* Scope.provide(sessions.admit(ann.owner), scope))
      assert.isTrue(yield* sessions.admit(ann.owner))
      assert.isFalse(yield* sessions.admit(ann.owner))
      assert.isTrue(yield* sessions.admit(bob.owner))
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(yield* sessions.admit(ann.owner))
      assert.isFalse(yield* sessions.admit(ann.owner))
    }).pipe(Effect.scoped))
})

describe("the gauges of sessions and calls", () => {
  const gauges = Effect.map(
    Effect.all([Metric.value(HttpMetrics.mcpSessions), Metric.value(HttpMetrics.mcpCalls)]),
    (values) => values.map(({ value }) => value)
  )

  it.effect("show what is open, however it ends", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const { ended, sessions } = yield* made({ sessionsPerOwner: 2, sessionIdle: "1 minute" })
        assert.deepStrictEqual(yield* gauges, [0, 0])
        yield* Effect.scoped(Effect.gen(function*() {
          for (const id of ["a", "b"]) yield* sessions.begin(id, ann)
          yield* sessions.begin("other", bob)
          yield* sessions.enter("a", ann)
          yield* sessions.enter("b", ann)
          yield* sessions.admit(ann.owner)
          yield* Effect.flip(sessions.begin("c", ann))
          assert.deepStrictEqual(yield* gauges, [3, 1])
        }))
        assert.deepStrictEqual(yield* gauges, [3, 0])
        yield* sessions.forget("a")
        yield* sessions.forget("a")
        assert.deepStrictEqual(yield* gauges, [2, 0])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([ended, yield* gauges], [["c", "other", "b"], [0, 0]])
        // One takes the place of another, and the endpoint ends with two of them.
        for (const id of ["d", "e", "f"]) yield* sessions.begin(id, ann)
        assert.deepStrictEqual(yield* gauges, [2, 0])
      }))
      assert.deepStrictEqual(yield* gauges, [0, 0])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
