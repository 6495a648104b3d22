import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Metric, Option, type Scope, Stream } from "effect"
import { AiError } from "effect/ai"
import { TestClock } from "effect/testing"
import { StoreError, TurnNotFound, TurnRefused } from "../../src/domain/Errors.ts"
import { OwnerId, TurnId } from "../../src/domain/Ids.ts"
import type { TurnEnd, TurnEvent } from "../../src/domain/Turn.ts"
import type { TurnStore } from "../../src/store/TurnStore.ts"
import * as ScriptedModel from "../../src/testing/ScriptedModel.ts"
import * as LoopMetrics from "../../src/turn/LoopMetrics.ts"
import * as t from "./support/turns.ts"

const { call, calls, say } = ScriptedModel

const test = (name: string, body: Effect.Effect<void, unknown, TurnStore | Scope.Scope>) =>
  it.effect(name, () => Effect.provide(Effect.scoped(body), t.memory))

const end = (status: TurnEnd["status"], reason: TurnEnd["reason"] = null): TurnEvent => ({
  _tag: "End",
  status,
  reason
})

describe("a turn", () => {
  test(
    "says what the model says, and ends with its answer in the history",
    Effect.gen(function*() {
      const node = yield* t.node("n", [say("Hello there.")])
      const { attached, events, turn } = yield* node.send("m1", "Hi!")
      assert.isFalse(attached)
      assert.deepInclude({ ...turn } as object, { status: "running", epoch: 1, nodeId: "n" })
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(events)), [
        { number: 1, event: { _tag: "Text", delta: "Hello " } },
        { number: 2, event: { _tag: "Text", delta: "there." } },
        { number: 3, event: { _tag: "End", status: "done", reason: null } }
      ])
      const history = yield* t.history
      t.assertAcceptable(history)
      assert.deepStrictEqual(history.map(t.textOf), ["Hi!", "Hello there."])
      assert.deepInclude({ ...(yield* t.latest) } as object, { status: "done", reason: null })
      assert.deepStrictEqual(node.turns.running(), [])
    })
  )

  test(
    "calls tools until the model answers, and shows it each result",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("echo", { id: "a" }), call("fails"), say("Done.")])
      const events = yield* t.told(node.send("m1"))
      assert.deepStrictEqual(events.slice(0, 4), [
        { _tag: "Call", callId: "call-1-1", name: "echo", params: { id: "a" } },
        { _tag: "Result", callId: "call-1-1", name: "echo", isFailure: false, result: { said: "a" } },
        { _tag: "Call", callId: "call-2-1", name: "fails", params: {} },
        {
          _tag: "Result",
          callId: "call-2-1",
          name: "fails",
          isFailure: true,
          result: { error: "refused", message: "No.", retry: "never" }
        }
      ])
      assert.deepStrictEqual(events.at(-1), end("done"))
      const requests = node.model.requests()
      assert.strictEqual(requests.length, 3)
      assert.deepInclude(ScriptedModel.results(requests[1] ?? assert.fail())[0], { result: { said: "a" } })
      const history = yield* t.history
      t.assertAcceptable(history)
      assert.strictEqual(history.length, 6)
    })
  )

  test(
    "the next message continues the history",
    Effect.gen(function*() {
      const node = yield* t.node("n", [say("One."), say("Two.")], { system: "Be short." })
      yield* t.told(node.send("m1"))
      yield* t.told(node.send("m2"))
      const prompt = node.model.requests()[1]?.prompt.content ?? []
      assert.deepStrictEqual(prompt.map(({ role }) => role), ["system", "user", "assistant", "user"])
      t.assertAcceptable(yield* t.history)
    })
  )

  test(
    "a long history is shown from a later turn, and stays whole in the store",
    Effect.gen(function*() {
      const node = yield* t.node("n", [say("x".repeat(2000)), say("Two."), say("Three.")], {
        limits: { historyBytes: 2000 }
      })
      for (const id of ["m1", "m2", "m3"]) yield* t.told(node.send(id))
      const shown = node.model.requests()[2]?.prompt.content ?? []
      assert.deepStrictEqual(shown.map(({ role }) => role), ["user", "assistant", "user"])
      assert.strictEqual((yield* t.history).length, 6)
    })
  )

  test(
    "a child chat opens its tools as a child",
    Effect.gen(function*() {
      const node = yield* t.node("n", [say("One."), say("Two.")])
      yield* t.told(node.send("m1"))
      yield* t.told(node.send("m2", "m2", true))
      assert.deepStrictEqual(node.opened, [false, true])
    })
  )

  test(
    "what its setup found comes before the history, or is told, and is not stored",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("echo"), say("Done.")], {
        system: "Be short.",
        setup: {
          prepare: ({ toolkit }) =>
            Effect.succeed({
              blocks: ["Of the workspace."],
              notices: ["A server did not start."],
              toolkit,
              plain: []
            })
        }
      })
      const events = yield* t.told(node.send("m1"))
      assert.deepStrictEqual(events[0], { _tag: "Notice", message: "A server did not start." })
      for (const { prompt } of node.model.requests()) {
        assert.deepInclude(prompt.content[0] as object, { role: "system", content: "Be short.\n\nOf the workspace." })
      }
      assert.strictEqual((yield* t.history)[0]?.role, "user")
    })
  )

  test(
    "a setup that breaks does not keep the model from running",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("echo"), say("Done.")], {
        setup: { prepare: () => Effect.die(new Error("planted")) }
      })
      assert.deepStrictEqual((yield* t.told(node.send("m1"))).at(-1), end("done"))
      assert.deepStrictEqual(node.hands.ran, ["echo"])
    })
  )

  test(
    "an answer that says nothing is said to be none",
    Effect.gen(function*() {
      const node = yield* t.node("n", [ScriptedModel.reply({})])
      assert.deepStrictEqual(yield* t.told(node.send("m1")), [end("done")])
      t.assertAcceptable(yield* t.history)
      assert.strictEqual(t.textOf((yield* t.history)[1]), "[No answer.]")
    })
  )
})

describe("the calls of a step", () => {
  test(
    "each has one result in the order of the calls, whatever happens",
    Effect.gen(function*() {
      const node = yield* t.node("n", [
        calls(
          ["slow", { millis: 2000 }],
          ["nothing", {}],
          ["echo", { id: 1 }],
          ["breaks", {}],
          ["odd", {}],
          ["leaves", {}],
          ["fails", {}],
          ["slow", { millis: 1000 }]
        ),
        say("Done.")
      ])
      const { events } = yield* node.send("m1")
      const listener = yield* t.listen(events)
      yield* node.hands.untilRan(6)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* listener.end, end("done"))
      const history = yield* t.history
      t.assertAcceptable(history)
      assert.deepStrictEqual(
        t.resultsIn(history).map(([id]) => id),
        Array.from({ length: 8 }, (_, i) => `call-1-${i + 1}`)
      )
      assert.deepStrictEqual(t.outcomes(history), [
        2000,
        "unknown_tool",
        "invalid_arguments",
        "internal",
        "internal",
        "interrupted",
        "refused",
        1000
      ])
      assert.strictEqual(listener.heard().filter(({ _tag }) => _tag === "Result").length, 8)
    })
  )

  test(
    "a tool that is not there is answered with the names of those that are",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("toString"), say("Done.")])
      yield* t.told(node.send("m1"))
      const [result] = t.resultsIn(yield* t.history)
      assert.include(JSON.stringify(result), "There is no tool toString. The tools are: echo, hold,")
    })
  )

  test(
    "progress is told as it comes, and is no result",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("reports"), say("Done.")])
      const events = yield* t.told(node.send("m1"))
      assert.deepStrictEqual(
        events.filter(({ _tag }) => _tag === "Progress").map((event) => event._tag === "Progress" && event.progress),
        [{ at: 1 }, { at: 2 }]
      )
      assert.deepStrictEqual(t.outcomes(yield* t.history), ["done"])
    })
  )

  test(
    "so many run at once, and the others wait",
    Effect.gen(function*() {
      const node = yield* t.node(
        "n",
        [calls(...Array.from({ length: 5 }, () => ["hold", {}] as const)), say("Done.")],
        {
          limits: { calls: 2 }
        }
      )
      const { events } = yield* node.send("m1")
      const listener = yield* t.listen(events)
      yield* node.hands.untilRan(2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(node.hands.ran.length, 2)
      yield* node.hands.open
      yield* listener.end
      assert.strictEqual(node.hands.ran.length, 5)
    })
  )

  test(
    "one that takes too long is given up at its bound, though it ignores that, and the turn goes on",
    Effect.gen(function*() {
      const node = yield* t.node("n", [calls(["deaf", {}], ["echo", {}]), say("Done.")], {
        limits: { callTime: "10 minutes" }
      })
      const { events } = yield* node.send("m1")
      const listener = yield* t.listen(events)
      yield* node.hands.untilRan(2)
      yield* TestClock.adjust("599999 millis")
      assert.strictEqual(node.model.requests().length, 1)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* listener.end, end("done"))
      assert.deepStrictEqual(t.outcomes(yield* t.history), ["timed_out", { said: null }])
      yield* node.hands.open
    })
  )
})

describe("limits of a turn", () => {
  test(
    "after its steps it ends, with a history that can go on",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("echo"), call("echo"), say("Again.")], { limits: { steps: 2 } })
      assert.deepStrictEqual((yield* t.told(node.send("m1"))).at(-1), end("failed", "steps"))
      assert.strictEqual(node.model.requests().length, 2)
      const history = yield* t.history
      t.assertAcceptable(history)
      assert.include(t.textOf(history.at(-1)), "limit of steps")
      assert.deepStrictEqual((yield* t.told(node.send("m2"))).at(-1), end("done"))
    })
  )

  test(
    "it ends at its limit of time, not a moment before",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("hold")], { limits: { time: "10 minutes" } })
      const { events } = yield* node.send("m1")
      const listener = yield* t.listen(events)
      yield* node.hands.untilRan(1)
      yield* TestClock.adjust("599999 millis")
      assert.isFalse(listener.isOver())
      assert.deepStrictEqual(node.hands.interrupted, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* listener.end, end("failed", "time"))
      assert.deepStrictEqual(node.hands.interrupted, ["hold"])
      t.assertAcceptable(yield* t.history)
    })
  )

  test(
    "it ends when the model is silent for so long, not a moment before, and keeps what it had said",
    Effect.gen(function*() {
      const node = yield* t.node("n", [ScriptedModel.stuck(say("Well, "))], { limits: { silence: "2 minutes" } })
      const { events } = yield* node.send("m1")
      const listener = yield* t.listen(events)
      yield* node.model.untilAsked(1)
      yield* TestClock.adjust("119999 millis")
      assert.isFalse(listener.isOver())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* listener.end, end("failed", "silence"))
      const history = yield* t.history
      t.assertAcceptable(history)
      assert.strictEqual(t.textOf(history[1]), "Well, |[This turn ended because the model fell silent.]")
    })
  )

  test(
    "a model that goes on talking is not silent",
    Effect.gen(function*() {
      const node = yield* t.node("n", [ScriptedModel.slowly(say("a b c d"), "90 seconds")])
      const { events } = yield* node.send("m1")
      const listener = yield* t.listen(events)
      yield* node.model.untilAsked(1)
      for (let i = 0; i < 6; i++) yield* TestClock.adjust("90 seconds")
      assert.deepStrictEqual(yield* listener.end, end("done"))
    })
  )

  test(
    "a model that fails ends it, with what it had said",
    Effect.gen(function*() {
      const node = yield* t.node("n", [
        ScriptedModel.cut(say("Well, "), new AiError.InternalProviderError({ description: "planted" })),
        say("Again.")
      ])
      assert.deepStrictEqual((yield* t.told(node.send("m1"))).at(-1), end("failed", "model"))
      t.assertAcceptable(yield* t.history)
      assert.include(t.textOf((yield* t.history)[1]), "Well, |")
      assert.deepStrictEqual((yield* t.told(node.send("m2"))).at(-1), end("done"))
    })
  )

  test(
    "a model that breaks ends it too",
    Effect.gen(function*() {
      const node = yield* t.node("n", [])
      assert.deepStrictEqual((yield* t.told(node.send("m1"))).at(-1), end("failed", "internal"))
      t.assertAcceptable(yield* t.history)
    })
  )
})

describe("what a node says of its turns", () => {
  test(
    "which run here and for how long, how many, and how they ended",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("hold"), say("Done.")])
      const { turn } = yield* node.send("m1")
      yield* node.hands.untilRan(1)
      yield* TestClock.adjust("7 seconds")
      const runningFor = Duration.seconds(7)
      assert.deepStrictEqual(node.turns.running(), [
        { turn, runningFor, calls: [{ name: "hold", runningFor }], quietFor: runningFor }
      ])
      assert.strictEqual((yield* Metric.value(LoopMetrics.running)).value, 1)
      yield* node.hands.open
      yield* t.told(node.send("m1"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Metric.value(LoopMetrics.running)).value, 0)
      assert.strictEqual((yield* Metric.value(LoopMetrics.turns("done"))).count, 1)
      assert.strictEqual((yield* Metric.value(LoopMetrics.duration("done"))).max, 7)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})

describe("who sends a message", () => {
  test(
    "may leave: the turn goes on",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("hold"), say("Done.")])
      const listener = yield* Effect.forkChild(t.told(node.send("m1")))
      yield* node.hands.untilRan(1)
      yield* Fiber.interrupt(listener)
      assert.strictEqual(node.turns.running().length, 1)
      yield* node.hands.open
      assert.deepStrictEqual((yield* t.told(node.send("m1"))).at(-1), end("done"))
      assert.strictEqual((yield* t.history).length, 4)
    })
  )

  test(
    "and leaves while it is being sent, leaves a turn that runs",
    Effect.gen(function*() {
      const node = yield* t.node("n", [say("Done.")], {
        meddle: (store) => ({
          ...store,
          begin: (options) => Effect.tap(store.begin(options), Effect.sleep("1 second"))
        })
      })
      const sender = yield* Effect.forkChild(node.send("m1"), { startImmediately: true })
      yield* Fiber.interrupt(sender)
      yield* TestClock.adjust("1 second")
      const again = yield* Effect.forkChild(t.told(node.send("m1")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* Fiber.join(again)).at(-1), end("done"))
      assert.strictEqual(node.model.requests().length, 1)
    })
  )

  test(
    "twice, runs one turn, and hears all of it both times, also afterwards",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("hold"), say("Done.")])
      const first = yield* t.listen((yield* node.send("m1")).events)
      yield* node.hands.untilRan(1)
      const again = yield* node.send("m1")
      assert.isTrue(again.attached)
      const second = yield* t.listen(again.events)
      yield* node.hands.open
      assert.deepStrictEqual(yield* first.end, end("done"))
      yield* second.end
      assert.deepStrictEqual(second.heard(), first.heard())
      const late = yield* t.listen((yield* node.send("m1")).events)
      yield* late.end
      assert.deepStrictEqual(late.heard(), first.heard())
      assert.deepStrictEqual(node.hands.ran, ["hold"])
    })
  )

  test(
    "during a turn, another message, is told that it runs",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("hold"), say("Done.")])
      const { turn } = yield* node.send("m1")
      const error = yield* Effect.flip(node.send("m2"))
      assert.deepInclude({ ...error } as object, { _tag: "TurnRunning", turnId: turn.turnId })
    })
  )

  test(
    "goes on hearing behind a number, and hears of no turn of somebody else",
    Effect.gen(function*() {
      const node = yield* t.node("n", [say("a b c"), ScriptedModel.hang])
      const { turn } = yield* node.send("m1")
      yield* t.told(node.send("m1"))
      const heard = yield* t.listen(node.turns.follow({ turnId: turn.turnId, owner: t.ann, after: 2 }))
      yield* heard.end
      assert.deepStrictEqual(heard.numbers(), [3, 4])
      const running = yield* node.send("m2")
      const foreign = [
        [turn.turnId, OwnerId.make("bob")],
        [running.turn.turnId, OwnerId.make("bob")],
        [TurnId.make("none"), t.ann]
      ] as const
      for (const [turnId, owner] of foreign) {
        const error = yield* Effect.flip(Stream.runDrain(node.turns.follow({ turnId, owner })))
        assert.deepStrictEqual(error, new TurnNotFound({ turnId }))
      }
    })
  )

  test(
    "begins a turn though the answer of the store was lost the first time",
    Effect.gen(function*() {
      let lost = 0
      const node = yield* t.node("n", [say("Done.")], {
        meddle: (store) => ({
          ...store,
          begin: (options) =>
            Effect.filterOrFail(store.begin(options), () => lost++ > 0, () => new StoreError({ operation: "planted" }))
        })
      })
      assert.deepStrictEqual((yield* t.told(node.send("m1"))).at(-1), end("done"))
    })
  )
})

describe("interrupting a turn", () => {
  test(
    "ends its calls at once, each with a result, and the history can go on",
    Effect.gen(function*() {
      const looking = ScriptedModel.reply({
        text: "Let me look.",
        calls: ["echo", "hold", "hold"].map((name) => ({ name, args: {} }))
      })
      const node = yield* t.node("n", [looking, say("Again.")], { limits: { calls: 2 } })
      const listener = yield* t.listen((yield* node.send("m1")).events)
      yield* node.hands.untilRan(3)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isSome(yield* node.interrupt))
      assert.deepStrictEqual(yield* listener.end, end("interrupted", "user"))
      assert.deepStrictEqual(node.hands.interrupted, ["hold", "hold"])
      const history = yield* t.history
      t.assertAcceptable(history)
      assert.deepStrictEqual(t.outcomes(history), [{ said: null }, "interrupted", "interrupted"])
      assert.strictEqual(t.textOf(history.at(-1)), "[The user interrupted this turn.]")
      assert.deepStrictEqual((yield* t.told(node.send("m2"))).at(-1), end("done"))
    })
  )

  test(
    "says of calls that were not made that they had no effect",
    Effect.gen(function*() {
      const node = yield* t.node("n", [calls(["hold", {}], ["echo", {}])], { limits: { calls: 1 } })
      const listener = yield* t.listen((yield* node.send("m1")).events)
      yield* node.hands.untilRan(1)
      yield* TestClock.adjust("1 second")
      yield* node.interrupt
      yield* listener.end
      assert.deepStrictEqual(t.outcomes(yield* t.history), ["interrupted", "not_made"])
      assert.deepStrictEqual(node.hands.ran, ["hold"])
    })
  )

  test(
    "keeps what the model had said",
    Effect.gen(function*() {
      const node = yield* t.node("n", [ScriptedModel.stuck(say("Well, "))])
      const listener = yield* t.listen((yield* node.send("m1")).events)
      yield* node.model.untilAsked(1)
      yield* TestClock.adjust("1 second")
      yield* node.interrupt
      assert.deepStrictEqual(yield* listener.end, end("interrupted", "user"))
      t.assertAcceptable(yield* t.history)
      assert.include(t.textOf((yield* t.history)[1]), "Well, |[The user interrupted")
    })
  )

  test(
    "waits no longer than the bound for a call that ignores it",
    Effect.gen(function*() {
      const node = yield* t.node("n", [call("deaf")])
      const listener = yield* t.listen((yield* node.send("m1")).events)
      yield* node.hands.untilRan(1)
      yield* TestClock.adjust("1 second")
      yield* node.interrupt
      yield* TestClock.adjust("3999 millis")
      assert.isFalse(listener.isOver())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* listener.end, end("interrupted", "user"))
      yield* node.hands.open
      assert.deepStrictEqual(t.outcomes(yield* t.history), ["interrupted"])
    })
  )

  test(
    "of a chat that answers nothing interrupts nothing",
    Effect.gen(function*() {
      const node = yield* t.node("n", [])
      assert.isTrue(Option.isNone(yield* node.interrupt))
    })
  )

  test(
    "from another node ends it within ten seconds, and the other node hears its end",
    Effect.gen(function*() {
      const one = yield* t.node("one", [call("deaf")])
      const two = yield* t.node("two", [])
      yield* one.send("m1")
      yield* one.hands.untilRan(1)
      const attached = yield* two.send("m1")
      assert.isTrue(attached.attached)
      const listener = yield* t.listen(attached.events)
      assert.isTrue(Option.isSome(yield* two.interrupt))
      yield* TestClock.adjust("9 seconds")
      assert.deepInclude({ ...(yield* t.latest) } as object, { status: "interrupted", reason: "user" })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* listener.end, end("interrupted", "user"))
      yield* one.hands.open
    })
  )
})

describe("the end of a node", () => {
  test(
    "ends its turns so that their histories can go on on another",
    Effect.gen(function*() {
      const one = yield* t.node("one", [calls(["echo", {}], ["hold", {}])])
      const two = yield* t.node("two", [say("Again.")])
      const listener = yield* t.listen((yield* one.send("m1")).events)
      yield* one.hands.untilRan(2)
      yield* one.close
      assert.deepStrictEqual(yield* listener.end, end("interrupted", "shutdown"))
      t.assertAcceptable(yield* t.history)
      assert.deepStrictEqual((yield* t.told(two.send("m2"))).at(-1), end("done"))
    })
  )

  test(
    "waits no longer than its bound, for a call that ignores it nor for a store that hangs",
    Effect.gen(function*() {
      const one = yield* t.node("one", [call("deaf")], {
        meddle: (store) => ({ ...store, finish: () => Effect.never })
      })
      yield* one.send("m1")
      yield* one.hands.untilRan(1)
      const closing = yield* Effect.forkChild(one.close, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      yield* one.hands.open
    })
  )

  test(
    "leaves nobody waiting whose message was on its way",
    Effect.gen(function*() {
      const one = yield* t.node("one", [], { meddle: (store) => ({ ...store, begin: () => Effect.never }) })
      const sending = yield* Effect.forkChild(one.send("m1"), { startImmediately: true })
      yield* one.close
      assert.isTrue(Exit.isFailure(yield* Fiber.await(sending)))
    })
  )

  test(
    "begins no turn any more",
    Effect.gen(function*() {
      const one = yield* t.node("one", [])
      yield* one.close
      assert.deepStrictEqual(yield* Effect.flip(one.send("m1")), new TurnRefused({ chatId: t.chatId }))
      assert.isTrue(Option.isNone(yield* Effect.flatMap(t.history, () => one.interrupt)))
    })
  )
})

describe("a node that is lost", () => {
  test(
    "leaves a turn that another ends when the lease has, with an answer to each open call, and runs nothing of it again",
    Effect.gen(function*() {
      let dead = false
      const one = yield* t.node("one", [calls(["echo", {}], ["hold", {}])], { meddle: t.silenced(() => dead) })
      const two = yield* t.node("two", [say("Again.")])
      yield* one.send("m1")
      yield* one.hands.untilRan(2)
      yield* TestClock.adjust("1 second")
      dead = true
      const listener = yield* t.listen((yield* two.send("m1")).events)
      yield* TestClock.adjust("24 seconds")
      assert.strictEqual((yield* Effect.flip(two.send("m2")))._tag, "TurnRunning")
      // It was last confirmed at its beginning, and the sweep of the other comes within ten seconds of its end.
      yield* TestClock.adjust("16 seconds")
      assert.deepStrictEqual(yield* listener.end, end("crashed", "lost"))
      const history = yield* t.history
      t.assertAcceptable(history)
      assert.deepStrictEqual(t.outcomes(history), ["outcome_unknown", "outcome_unknown"])
      assert.deepStrictEqual((yield* t.told(two.send("m2"))).at(-1), end("done"))
      assert.deepStrictEqual(two.hands.ran, [])
    })
  )

  test(
    "that cannot renew stops its calls before its lease ends, and begins none any more",
    Effect.gen(function*() {
      let dead = false
      const one = yield* t.node("one", [calls(["hold", {}], ["echo", {}])], {
        meddle: t.silenced(() => dead),
        limits: { calls: 1 }
      })
      const listener = yield* t.listen((yield* one.send("m1")).events)
      yield* one.hands.untilRan(1)
      dead = true
      yield* TestClock.adjust("24999 millis")
      assert.deepStrictEqual(one.hands.interrupted, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(one.hands.interrupted, ["hold"])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* listener.end, end("crashed", "lost"))
      assert.deepStrictEqual(one.hands.ran, ["hold"])
    })
  )

  test(
    "whose lease is over at the same moment as a call asks the model nothing more",
    Effect.gen(function*() {
      const one = yield* t.node("one", [call("slow", { millis: 25_000 }), say("Never.")], {
        meddle: (store) => ({ ...store, renew: () => Effect.fail(new StoreError({ operation: "planted" })) })
      })
      const listener = yield* t.listen((yield* one.send("m1")).events)
      yield* one.hands.untilRan(1)
      yield* TestClock.adjust("25 seconds")
      assert.strictEqual(one.model.requests().length, 1)
      assert.deepStrictEqual(yield* listener.end, end("crashed", "lost"))
      t.assertAcceptable(yield* t.history)
    })
  )

  test(
    "that comes back to a turn which was ended meanwhile hears so, and makes no request and no call",
    Effect.gen(function*() {
      const one = yield* t.node("one", [call("hold"), say("Never.")], {
        meddle: (store) => ({ ...store, renew: () => Effect.fail(new StoreError({ operation: "planted" })) }),
        limits: { lease: "1 hour" }
      })
      const { turn, events } = yield* one.send("m1")
      const listener = yield* t.listen(events)
      yield* one.hands.untilRan(1)
      yield* t.endElsewhere(turn)
      yield* one.hands.open
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* listener.end, end("crashed", "lost"))
      assert.strictEqual(one.model.requests().length, 1)
    })
  )

  test(
    "a store that fails for a while is asked again, and the turn goes on",
    Effect.gen(function*() {
      let failing = true
      const fails = new StoreError({ operation: "planted" })
      const one = yield* t.node("one", [call("echo"), say("Done.")], {
        meddle: (store) => ({
          ...store,
          renew: (options) => Effect.suspend(() => failing ? fails : store.renew(options)),
          append: (options) => Effect.suspend(() => failing ? fails : store.append(options)),
          appendEvents: (options) => Effect.suspend(() => failing ? fails : store.appendEvents(options)),
          finish: (options) => Effect.suspend(() => failing ? fails : store.finish(options))
        })
      })
      const listener = yield* t.listen((yield* one.send("m1")).events)
      yield* one.model.untilAsked(1)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(one.hands.ran, [])
      failing = false
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* listener.end, end("done"))
      assert.strictEqual((yield* t.history).length, 4)
    })
  )
})

describe("the end of a turn", () => {
  test(
    "is told as it is stored, also when the answer of the store was lost",
    Effect.gen(function*() {
      let lost = true
      const one = yield* t.node("one", [say("Done.")], {
        meddle: (store) => ({
          ...store,
          finish: (options) =>
            Effect.flatMap(store.finish(options), (turn) => {
              if (!lost) return Effect.succeed(turn)
              lost = false
              return new StoreError({ operation: "planted" })
            })
        })
      })
      const listener = yield* t.listen((yield* one.send("m1")).events)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* listener.end, end("done"))
      assert.strictEqual((yield* t.latest).status, "done")
    })
  )
})

describe("the events of a turn", () => {
  test(
    "are all there for who follows from another node, also when the store failed while they were written last",
    Effect.gen(function*() {
      let failures = 1
      const fails = new StoreError({ operation: "planted" })
      const one = yield* t.node("one", [call("echo"), say("Done.")], {
        meddle: (store) => ({
          ...store,
          appendEvents: (options) => Effect.suspend(() => failures-- > 0 ? fails : store.appendEvents(options))
        })
      })
      const two = yield* t.node("two", [])
      const { events, turn } = yield* one.send("m1")
      const here = yield* t.listen(events)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* here.end, end("done"))
      const there = yield* t.listen(two.turns.follow({ turnId: turn.turnId, owner: t.ann }))
      yield* there.end
      assert.deepStrictEqual(there.heard(), here.heard())
    })
  )

  test(
    "are read from another node while it runs, all of them and in order",
    Effect.gen(function*() {
      const one = yield* t.node("one", [call("hold"), say("a b c")])
      const two = yield* t.node("two", [])
      const here = yield* t.listen((yield* one.send("m1")).events)
      yield* one.hands.untilRan(1)
      const there = yield* t.listen((yield* two.send("m1")).events)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(there.heard().map(({ _tag }) => _tag), ["Call"])
      yield* one.hands.open
      yield* here.end
      yield* TestClock.adjust("1 second")
      yield* there.end
      assert.deepStrictEqual(there.heard(), here.heard())
      assert.deepStrictEqual(there.numbers(), here.numbers())
    })
  )

  test(
    "are bounded: text is not told any more beyond, but the history has it, and calls are told",
    Effect.gen(function*() {
      const node = yield* t.node("n", [
        ScriptedModel.reply({ text: "a b c d ", calls: [{ name: "echo", args: {} }] }),
        say("e f")
      ], { limits: { events: 2 } })
      const events = yield* t.told(node.send("m1"))
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Text", "Text", "Notice", "Call", "Result", "End"])
      assert.deepStrictEqual((yield* t.history).map(t.textOf), ["m1", "a b c d ", "", "e f"])
    })
  )
})
