import { assert, describe, it } from "@effect/vitest"
import { type Cause, Effect, Exit, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import { GatewayConfig } from "../../src/agent/index.ts"
import * as LifecycleReports from "../../src/agent/LifecycleReports.ts"
import type { Client } from "../../src/agent/Link.ts"
import { StoreError } from "../../src/domain/Errors.ts"
import { AgentPresence } from "../../src/store/index.ts"
import { agent, fakeSession } from "./support/sessions.ts"

const failing = Effect.fail(new StoreError({ operation: "test" }))

/** A store whose answer the test gives, and sessions of agents that say what the test says. */
const make = Effect.fnUntraced(function*(options?: GatewayConfig.Options) {
  const store: { asked: Array<string>; written: Array<string>; answer: Effect.Effect<void, StoreError> } = {
    asked: [],
    written: [],
    answer: Effect.void
  }
  const reports = yield* LifecycleReports.make.pipe(
    Effect.provideService(AgentPresence.AgentPresence, {
      verify: () => Effect.die("not asked"),
      attach: () => Effect.die("not asked"),
      beat: () => Effect.die("not asked"),
      detach: () => Effect.die("not asked"),
      report: ({ agentId, epoch, lifecycle }) =>
        Effect.suspend(() => {
          store.asked.push(lifecycle)
          return Effect.map(store.answer, () => {
            store.written.push(`${agentId} ${epoch} ${lifecycle}`)
          })
        })
    }),
    Effect.provideService(GatewayConfig.GatewayConfig, GatewayConfig.make(options ?? {}))
  )
  const session = Effect.fnUntraced(function*(name = "one", tells = true) {
    const words = yield* Queue.unbounded<{ readonly lifecycle: string }, string | Cause.Done>()
    const streams = { opened: 0 }
    const client = {
      Lifecycle: () =>
        Effect.sync(() => {
          streams.opened++
          return words
        })
    }
    const fake = fakeSession(agent(name), { epoch: 7 })
    const scope = yield* Scope.make()
    const { finish } = yield* Scope.provide(
      reports({ ...fake, tellsLifecycle: tells, link: { ...fake.link, client: client as unknown as Client } }),
      scope
    )
    return {
      words,
      streams,
      say: (...lifecycles: ReadonlyArray<string>) =>
        Effect.andThen(Queue.offerAll(words, lifecycles.map((lifecycle) => ({ lifecycle }))), TestClock.adjust(0)),
      end: Effect.andThen(Scope.close(scope, Exit.void), finish)
    }
  })
  return { store, session }
})

describe("what an agent tells of its lifecycle", () => {
  it.effect("is written under the epoch of its session, each change once", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { say } = yield* session()
      for (const lifecycle of ["created", "starting", "starting", "ready"]) yield* say(lifecycle)
      assert.deepStrictEqual(store.written, ["one 7 created", "one 7 starting", "one 7 ready"])
    }))

  it.effect("is ready, once, where it does not tell", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { streams } = yield* session("one", false)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(store.written, ["one 7 ready"])
      assert.strictEqual(streams.opened, 0)
    }))

  it.effect("is passed over where the word is not known", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { say } = yield* session()
      yield* say("starting")
      yield* say("pondering")
      yield* say("ready")
      assert.deepStrictEqual(store.written, ["one 7 starting", "one 7 ready"])
    }))

  it.effect("that is overtaken while the store is slow is never written", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { say } = yield* session()
      store.answer = Effect.sleep("1 second")
      yield* say("created")
      yield* say("starting")
      yield* say("ready")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(store.written, ["one 7 created", "one 7 ready"])
    }))

  it.effect("is tried again while the session lives, the last word at each attempt, ever more slowly to 10 s", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { end, say } = yield* session()
      store.answer = failing
      yield* say("starting")
      assert.deepStrictEqual(store.asked, ["starting"])
      yield* say("ready")
      // Jitter takes a fifth of the first second at most.
      yield* TestClock.adjust("799 millis")
      assert.deepStrictEqual(store.asked, ["starting"])
      yield* TestClock.adjust("401 millis")
      assert.deepStrictEqual(store.asked, ["starting", "ready"])
      yield* TestClock.adjust("5 minutes")
      const before = store.asked.length
      yield* TestClock.adjust("10 minutes")
      assert.isAtLeast(store.asked.length - before, 49)
      assert.isAtMost(store.asked.length - before, 76)
      store.answer = Effect.void
      let seconds = 0
      for (; store.written.length === 0 && seconds < 13; seconds++) yield* TestClock.adjust("1 second")
      assert.isAtMost(seconds, 12)
      assert.deepStrictEqual(store.written, ["one 7 ready"])
      // A failed attempt may still be done after this one, so the word is written once more.
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(store.written, ["one 7 ready", "one 7 ready"])
      const after = store.asked.length
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(store.asked.length, after)
      store.answer = failing
      yield* say("off")
      yield* end
      const ended = store.asked.length
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(store.asked.length, ended)
    }))

  it.effect("survives a store that dies or hangs: an attempt takes 5 s at most", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { say } = yield* session()
      store.answer = Effect.die("broken")
      yield* say("ready")
      store.answer = Effect.never
      yield* TestClock.adjust("1200 millis")
      assert.strictEqual(store.asked.length, 2)
      store.answer = Effect.void
      // From its start, within the last 400 ms, the second attempt takes 5 s; 2 s and a fifth later comes the third.
      yield* TestClock.adjust("4599 millis")
      assert.strictEqual(store.asked.length, 2)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(store.written, ["one 7 ready"])
    }))

  it.effect("is written once more 10 s after a failed attempt was followed by a good one, which it may have overtaken", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { say } = yield* session()
      store.answer = failing
      yield* say("starting")
      yield* say("ready")
      store.answer = Effect.void
      yield* TestClock.adjust("1200 millis")
      assert.deepStrictEqual(store.asked, ["starting", "ready"])
      // The good attempt was within the last 400 ms.
      yield* TestClock.adjust("9599 millis")
      assert.deepStrictEqual(store.asked, ["starting", "ready"])
      yield* TestClock.adjust("401 millis")
      assert.deepStrictEqual(store.asked, ["starting", "ready", "ready"])
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(store.asked.length, 3)
    }))

  it.effect("is written six times a minute at most, of more the last", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { say } = yield* session()
      const flip = (count: number) =>
        Effect.forEach(Array.from({ length: count }), (_, index) => say(index % 2 === 0 ? "starting" : "ready"))
      yield* flip(6)
      assert.strictEqual(store.written.length, 6)
      yield* flip(1000)
      yield* say("start_error")
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual(store.written.length, 6)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(store.written.slice(6), ["one 7 start_error"])
      for (let minute = 0; minute < 3; minute++) {
        const before = store.written.length
        yield* flip(100)
        yield* TestClock.adjust("1 minute")
        assert.isAtMost(store.written.length - before, 6)
      }
    }))

  it.effect("is written once more after the end of its session where it was not yet, and only then", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const first = yield* session("first")
      yield* first.say("ready")
      store.answer = Effect.sleep("1 second")
      yield* first.say("shutting_down")
      yield* first.say("off")
      yield* Effect.forkChild(first.end, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(store.written, ["first 7 ready", "first 7 off"])
      store.answer = Effect.void
      const second = yield* session("second")
      yield* second.say("ready")
      yield* second.end
      assert.deepStrictEqual(store.written.slice(2), ["second 7 ready"])
    }))

  it.effect("holds up the end of its session for 5 s at most when the store hangs", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { end, say } = yield* session()
      store.answer = Effect.never
      yield* say("ready")
      const ending = yield* Effect.forkChild(end, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(ending.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(ending.pollUnsafe())
    }))

  it.effect("of many agents takes so many places at the store, and the others wait their turn", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make({ lifecycleWriters: 16 })
      store.answer = Effect.sleep("1 second")
      for (let index = 0; index < 17; index++) yield* (yield* session(`agent-${index}`)).say("ready")
      assert.strictEqual(store.asked.length, 16)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(store.asked.length, 17)
    }))

  it.effect("is asked for again, slowly, when the agent answers with an error", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { say, streams, words } = yield* session()
      yield* say("starting")
      yield* Queue.fail(words, "broken")
      yield* TestClock.adjust("10 minutes")
      assert.isAtLeast(streams.opened, 40)
      assert.isAtMost(streams.opened, 90)
      assert.deepStrictEqual(store.written, ["one 7 starting"])
    }))

  it.effect("has an end, after which nothing is asked any more", () =>
    Effect.gen(function*() {
      const { session, store } = yield* make()
      const { say, streams, words } = yield* session()
      yield* say("off")
      yield* Queue.end(words)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(streams.opened, 1)
      assert.deepStrictEqual(store.written, ["one 7 off"])
    }))
})
