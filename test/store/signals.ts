/** What holds of signals, whatever carries them from one node to another. */
import { PgClient } from "@effect/sql-pg"
import { assert } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schedule, type Scope } from "effect"
import { BuildId, TurnId } from "../../src/domain/Ids.ts"
import * as Signals from "../../src/store/Signals.ts"
import * as SqlSignals from "../../src/store/SqlSignals.ts"
import { databaseClient } from "../postgres.ts"

type Service = Signals.Signals["Service"]

/** Two nodes, of which one notifies and the other waits; they may be the same. */
export interface Nodes {
  readonly there: Service
  readonly here: Service
}

/** Registers a test on two nodes. */
export type Test = (name: string, body: (nodes: Nodes) => Effect.Effect<void, unknown, Scope.Scope>) => void

const forEver = "1 hour"

/** Waits in a fiber of its own. */
export const waiting = (subscription: Signals.Subscription) =>
  Effect.forkChild(subscription.changed(forEver), { startImmediately: true })

/** A node with a pool of its own in the block's database, where it goes by the name of the schema. */
export const sqlNode = Effect.fnUntraced(function*(schema: string) {
  const context = yield* Layer.build(
    Layer.fresh(
      Layer.unwrap(Effect.map(PgClient.PgClient, ({ listen }) => SqlSignals.layer({ schema, listen }))).pipe(
        Layer.provide(databaseClient({ applicationName: schema, maxConnections: 2 }))
      )
    )
  )
  return Context.get(context, Signals.Signals)
})

/** Completes when what one notifies is heard by the other, in real time: until then it may not listen yet. */
export const connected = Effect.fnUntraced(function*({ here, there }: Nodes) {
  const probe = Signals.build(BuildId.make("probe"))
  const fiber = yield* waiting(yield* here.subscribe(probe))
  yield* Effect.repeat(there.notify(probe), { schedule: Schedule.spaced("50 millis") }).pipe(
    Effect.raceFirst(Fiber.join(fiber))
  )
}, Effect.scoped)

const build = Signals.build(BuildId.make("b"))

// The longest, and what looks like a topic.
const odd = ["\u{1F600}".repeat(64), "build \"b\"", "ä'\\\"\n"]

export const suite = (test: Test): void => {
  test("one who waits is woken", ({ here, there }) =>
    Effect.gen(function*() {
      const fiber = yield* waiting(yield* here.subscribe(build))
      yield* there.notify(build)
      yield* Fiber.join(fiber)
    }))

  test("and so are all others who wait for the same, but nobody who waits for something else", ({ here, there }) =>
    Effect.gen(function*() {
      const others = yield* Effect.forEach(
        [Signals.queue, Signals.cancel(BuildId.make("b")), Signals.build(BuildId.make("c"))],
        (topic) => Effect.flatMap(here.subscribe(topic), waiting)
      )
      const same = yield* Effect.forEach([1, 2, 3], () => Effect.flatMap(here.subscribe(build), waiting))
      yield* there.notify(build)
      yield* Fiber.joinAll(same)
      for (const other of others) assert.isUndefined(other.pollUnsafe())
    }))

  test("what comes while one looks counts, once", ({ here, there }) =>
    Effect.gen(function*() {
      const subscription = yield* here.subscribe(build)
      const later = yield* here.subscribe(Signals.queue)
      for (let times = 0; times < 3; times++) yield* there.notify(build)
      yield* there.notify(Signals.queue)
      // What comes last is heard last.
      yield* Fiber.join(yield* waiting(later))
      yield* Fiber.join(yield* waiting(subscription))
      const fiber = yield* waiting(subscription)
      assert.isUndefined(fiber.pollUnsafe())
      yield* there.notify(build)
      yield* Fiber.join(fiber)
    }))

  test("ids may hold anything, and none is taken for another", ({ here, there }) =>
    Effect.gen(function*() {
      const heard: Array<string> = []
      const fibers = yield* Effect.forEach(odd, (id) =>
        Effect.gen(function*() {
          const subscription = yield* here.subscribe(Signals.turn(TurnId.make(id)))
          return yield* Effect.forkChild(
            Effect.andThen(subscription.changed(forEver), Effect.sync(() => heard.push(id))),
            { startImmediately: true }
          )
        }))
      for (const [index, fiber] of fibers.entries()) {
        yield* there.notify(Signals.turn(TurnId.make(odd[index] ?? "")))
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(heard, odd.slice(0, index + 1))
      }
    }))

  test("many at once are all heard", ({ here, there }) =>
    Effect.gen(function*() {
      const topics = Array.from({ length: 500 }, (_, index) => Signals.turn(TurnId.make(`t${index}`)))
      const fibers = yield* Effect.forEach(topics, (topic) => Effect.flatMap(here.subscribe(topic), waiting))
      yield* Effect.forEach(topics, there.notify, { discard: true })
      yield* Fiber.joinAll(fibers)
    }))

  test("one who has left hears nothing, and one who comes does not hear what was before", ({ here, there }) =>
    Effect.gen(function*() {
      const left = yield* Effect.scoped(here.subscribe(build))
      const queue = yield* here.subscribe(Signals.queue)
      const both = Effect.gen(function*() {
        yield* there.notify(build)
        yield* there.notify(Signals.queue)
        yield* Fiber.join(yield* waiting(queue))
      })
      yield* both
      const late = yield* waiting(yield* here.subscribe(build))
      assert.isUndefined(late.pollUnsafe())
      const gone = yield* waiting(left)
      yield* both
      yield* Fiber.join(late)
      assert.isUndefined(gone.pollUnsafe())
    }))
}
