import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Data, Deferred, Effect, Fiber, Layer, Logger, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { BuildId, TurnId } from "../../src/domain/Ids.ts"
import * as Signals from "../../src/store/Signals.ts"
import { SignalsKit } from "../../src/testing/index.ts"
import * as s from "./signals.ts"

const build = Signals.build(BuildId.make("b"))
const turn = (id: number) => Signals.turn(TurnId.make(`t${id}`))

const pauses = [200, 400, 800, 1600, 3200, 5000, 5000]

class Broken extends Data.TaggedError("Broken") {}

/** What carries between the nodes that are made over it, and fails as a test says. */
const makeCarrier = () => {
  const listening = new Set<Queue.Queue<string, Broken>>()
  const published: Array<ReadonlyArray<string>> = []
  const state = { deaf: false, listens: 0, publish: Effect.void as Effect.Effect<void, Broken> }
  const say = (message: string): void => listening.forEach((queue) => Queue.offerUnsafe(queue, message))
  const carrier: Signals.Carrier<Broken> = {
    publish: (messages) =>
      Effect.suspend(() => {
        published.push(messages)
        return Effect.tap(state.publish, () => Effect.sync(() => messages.forEach(say)))
      }),
    listen: Effect.gen(function*() {
      state.listens++
      if (state.deaf) return yield* new Broken()
      const queue = yield* Effect.acquireRelease(
        Queue.unbounded<string, Broken>(),
        (queue) => Effect.sync(() => listening.delete(queue))
      )
      listening.add(queue)
      return Stream.fromQueue(queue)
    })
  }
  return {
    carrier,
    state,
    say,
    /** The topics of each message, without the name of the node. */
    published: () => published.map((messages) => messages.map((message) => message.slice(message.indexOf(" ") + 1))),
    /** Those who listen hear no more. */
    drop: () => listening.forEach((queue) => Queue.failCauseUnsafe(queue, Cause.fail(new Broken())))
  }
}

/** A node that is carried to others, and the lines that it logs. */
const node = Effect.fnUntraced(function*(carrier: Signals.Carrier<Broken>) {
  const logged: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => logged.push(`${logLevel} ${String(message)}`))
  const context = yield* Layer.build(Signals.layerWith(carrier)).pipe(Effect.provide(Logger.layer([logger])))
  yield* TestClock.adjust(0)
  return { ...Context.get(context, Signals.Signals), logged }
})

describe("signals of one node", () => {
  const nodes = Effect.map(Layer.build(Signals.layer), (context) => {
    const signals = Context.get(context, Signals.Signals)
    return { there: signals, here: signals }
  })
  for (const { name, run } of SignalsKit.casesFor({ nodes })) it.effect(name, () => run)

  it.effect("nobody is waited for longer than they say, and who was not told hears of it the next time", () =>
    Effect.gen(function*() {
      const { notify, subscribe } = yield* Signals.Signals
      const subscription = yield* subscribe(build)
      for (let times = 0; times < 2; times++) {
        const fiber = yield* Effect.forkChild(subscription.changed("10 seconds"), { startImmediately: true })
        yield* TestClock.adjust(9999)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.isDefined(fiber.pollUnsafe())
      }
      yield* notify(build)
      yield* subscription.changed("10 seconds")
    }).pipe(Effect.provide(Signals.layer)))
})

describe("signals of many nodes", () => {
  const nodes = Effect.suspend(() => {
    const { carrier } = makeCarrier()
    return Effect.all({ there: node(carrier), here: node(carrier) })
  })
  for (const { name, run } of SignalsKit.casesFor({ nodes })) it.effect(name, () => run)

  it.effect("a node hears itself once, and at once", () =>
    Effect.gen(function*() {
      const { carrier, published } = makeCarrier()
      const { notify, subscribe } = yield* node(carrier)
      const subscription = yield* subscribe(build)
      yield* notify(build)
      yield* subscription.changed("1 hour")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(published(), [[build]])
      const fiber = yield* s.waiting(subscription)
      yield* TestClock.adjust(0)
      assert.isUndefined(fiber.pollUnsafe())
    }))

  it.effect("nobody waits for a slow carrier, which carries each topic once, and not more than 1,000 of them", () =>
    Effect.gen(function*() {
      const { carrier, published, state } = makeCarrier()
      const { notify } = yield* node(carrier)
      const slow = Deferred.makeUnsafe<void>()
      state.publish = Deferred.await(slow)
      yield* notify(build)
      yield* TestClock.adjust(0)
      for (let times = 0; times < 3; times++) {
        for (let id = 0; id < 1001; id++) yield* notify(turn(id))
      }
      yield* Deferred.succeed(slow, undefined)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(published(), [[build], Array.from({ length: 1000 }, (_, id) => turn(id))])
    }))

  it.effect("a carrier that fails is left alone for 0.2, 0.4 … 5 s, and complained of once", () =>
    Effect.gen(function*() {
      const { carrier, published, state } = makeCarrier()
      const { logged, notify } = yield* node(carrier)
      state.publish = Effect.fail(new Broken())
      yield* notify(build)
      yield* TestClock.adjust(0)
      for (const [index, pause] of pauses.entries()) {
        yield* notify(turn(index))
        yield* TestClock.adjust(pause - 1)
        assert.lengthOf(published(), index + 1)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(published()[index + 1], [turn(index)])
      }
      state.publish = Effect.void
      yield* notify(build)
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(published().at(-1), [build])
      assert.deepStrictEqual(logged, ["Warn Other nodes hear no signals", "Info Other nodes hear signals again"])
    }))

  it.effect("who cannot listen tries again after 0.2, 0.4 … 5 s, complains once, and hears again", () =>
    Effect.gen(function*() {
      const { carrier, drop, state } = makeCarrier()
      const here = yield* node(carrier)
      const there = yield* node(carrier)
      for (let outage = 0; outage < 2; outage++) {
        state.deaf = true
        state.listens = 0
        drop()
        yield* TestClock.adjust(0)
        for (const pause of pauses) {
          const before = state.listens
          yield* TestClock.adjust(pause - 1)
          assert.strictEqual(state.listens, before)
          yield* TestClock.adjust(1)
          assert.strictEqual(state.listens, before + 2)
        }
        state.deaf = false
        yield* TestClock.adjust(5000)
      }
      const again = ["Warn Signals of other nodes are not heard", "Info Signals of other nodes are heard again"]
      assert.deepStrictEqual(here.logged, [...again, ...again])
      const fiber = yield* s.waiting(yield* here.subscribe(build))
      yield* there.notify(build)
      yield* Fiber.join(fiber)
    }))

  it.effect("what others say there wakes nobody", () =>
    Effect.gen(function*() {
      const { carrier, say } = makeCarrier()
      const { subscribe } = yield* node(carrier)
      const fiber = yield* s.waiting(yield* subscribe(build))
      for (const message of ["", " ", "build", `a b ${build}`]) say(message)
      yield* TestClock.adjust(0)
      assert.isUndefined(fiber.pollUnsafe())
      say(`another ${build}`)
      yield* Fiber.join(fiber)
    }))
})
