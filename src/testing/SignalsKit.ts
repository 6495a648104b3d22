/**
 * What every `Signals` has to keep, whatever carries them from one node to another.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { BuildId, TurnId } from "../domain/Ids.ts"
import * as Signals from "../store/Signals.ts"
import { assert } from "./Assertions.ts"
import { type Case, caught, type Skipped } from "./Kit.ts"

/**
 * Two nodes, of which one notifies and the other waits; they may be the same.
 *
 * @since 0.1.0
 * @category models
 */
export interface Nodes {
  readonly there: Signals.Signals["Service"]
  readonly here: Signals.Signals["Service"]
}

/**
 * Two nodes that hear each other, and the hands on what carries between them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Harness<R = never> {
  readonly nodes: Effect.Effect<Nodes, unknown, R | Scope.Scope>
  /** Ends what carries in an orderly way, and answers when it is there again. */
  readonly restart?: Effect.Effect<void, unknown, R> | undefined
  /** What carries answers nothing until the scope closes, and breaks no connection. */
  readonly freeze?: Effect.Effect<void, unknown, R | Scope.Scope> | undefined
}

/**
 * What a case may need.
 *
 * @since 0.1.0
 * @category models
 */
export type Verb = "restart" | "freeze"

/**
 * The cases for which the harness has the verbs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = <R = never>(harness: Harness<R>): ReadonlyArray<Case<R>> =>
  definitions.filter((definition) => missing(harness, definition).length === 0).map(({ name, run }) => ({
    name,
    run: Effect.gen(function*() {
      const nodes = yield* harness.nodes
      const context = yield* Effect.context<R>()
      const hands: Hands = {
        restart: Effect.updateContext(harness.restart ?? Effect.void, () => context),
        freeze: Effect.updateContext(
          harness.freeze ?? Effect.void,
          (outer: Context.Context<Scope.Scope>) => Context.merge(context, outer)
        )
      }
      yield* run({ ...nodes, ...hands })
    }).pipe(caught)
  }))

/**
 * The cases for which it has not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skippedFor = <R = never>(harness: Harness<R>): ReadonlyArray<Skipped> =>
  definitions.map((definition) => ({ name: definition.name, missing: missing(harness, definition) }))
    .filter(({ missing }) => missing.length > 0)

/**
 * Completes when what one notifies is heard by the other, in real time: until then it may not listen yet.
 *
 * @since 0.1.0
 * @category combinators
 */
export const connected = Effect.fnUntraced(function*({ here, there }: Nodes) {
  const probe = Signals.build(BuildId.make("probe"))
  const fiber = yield* waiting(yield* here.subscribe(probe))
  yield* Effect.repeat(there.notify(probe), { schedule: Schedule.spaced("50 millis") }).pipe(
    Effect.raceFirst(Fiber.join(fiber))
  )
}, Effect.scoped)

interface Hands {
  readonly restart: Effect.Effect<void, unknown>
  readonly freeze: Effect.Effect<void, unknown, Scope.Scope>
}

interface Definition {
  readonly name: string
  readonly needs: ReadonlyArray<Verb>
  readonly run: (nodes: Nodes & Hands) => Effect.Effect<void, unknown, Scope.Scope>
}

const definition = (name: string, needs: Definition["needs"], run: Definition["run"]): Definition => ({
  name,
  needs,
  run
})

const missing = <R>(harness: Harness<R>, { needs }: Definition): ReadonlyArray<Verb> =>
  needs.filter((need) => harness[need] === undefined)

const forEver = "1 hour"

/** Waits in a fiber of its own. */
const waiting = (subscription: Signals.Subscription) =>
  Effect.forkChild(subscription.changed(forEver), { startImmediately: true })

const build = Signals.build(BuildId.make("b"))

/** What should take next to nothing. */
const patience = "3 seconds"

// The longest, and what looks like a topic.
const odd = ["\u{1F600}".repeat(64), "build \"b\"", "ä'\\\"\n"]

const definitions: ReadonlyArray<Definition> = [
  definition("one who waits is woken", [], ({ here, there }) =>
    Effect.gen(function*() {
      const fiber = yield* waiting(yield* here.subscribe(build))
      yield* there.notify(build)
      yield* Fiber.join(fiber)
    })),
  definition(
    "and so are all others who wait for the same, but nobody who waits for something else",
    [],
    ({ here, there }) =>
      Effect.gen(function*() {
        const others = yield* Effect.forEach(
          [Signals.queue, Signals.cancel(BuildId.make("b")), Signals.build(BuildId.make("c"))],
          (topic) => Effect.flatMap(here.subscribe(topic), waiting)
        )
        const same = yield* Effect.forEach([1, 2, 3], () => Effect.flatMap(here.subscribe(build), waiting))
        yield* there.notify(build)
        yield* Fiber.joinAll(same)
        for (const other of others) assert.strictEqual(other.pollUnsafe(), undefined)
      })
  ),
  definition("what comes while one looks counts, once", [], ({ here, there }) =>
    Effect.gen(function*() {
      const subscription = yield* here.subscribe(build)
      const later = yield* here.subscribe(Signals.queue)
      for (let times = 0; times < 3; times++) yield* there.notify(build)
      yield* there.notify(Signals.queue)
      // What comes last is heard last.
      yield* Fiber.join(yield* waiting(later))
      yield* Fiber.join(yield* waiting(subscription))
      const fiber = yield* waiting(subscription)
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      yield* there.notify(build)
      yield* Fiber.join(fiber)
    })),
  definition("ids may hold anything, and none is taken for another", [], ({ here, there }) =>
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
    })),
  definition("many at once are all heard", [], ({ here, there }) =>
    Effect.gen(function*() {
      const topics = Array.from({ length: 500 }, (_, index) => Signals.turn(TurnId.make(`t${index}`)))
      const fibers = yield* Effect.forEach(topics, (topic) => Effect.flatMap(here.subscribe(topic), waiting))
      yield* Effect.forEach(topics, there.notify, { discard: true })
      yield* Fiber.joinAll(fibers)
    })),
  definition(
    "one who has left hears nothing, and one who comes does not hear what was before",
    [],
    ({ here, there }) =>
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
        assert.strictEqual(late.pollUnsafe(), undefined)
        const gone = yield* waiting(left)
        yield* both
        yield* Fiber.join(late)
        assert.strictEqual(gone.pollUnsafe(), undefined)
      })
  ),
  definition(
    "when what carries them restarts, signals are heard again",
    ["restart"],
    ({ here, restart, there }) =>
      Effect.gen(function*() {
        const subscription = yield* here.subscribe(build)
        yield* restart
        yield* connected({ here, there })
        // Also by those who listened before it.
        const fiber = yield* waiting(subscription)
        yield* there.notify(build)
        yield* Fiber.join(fiber)
      })
  ),
  definition(
    "while what carries them is frozen a notify is not held up, a wait ends in its time, and a node hears itself",
    ["freeze"],
    Effect.fnUntraced(function*({ freeze, here, there }) {
      const subscription = yield* here.subscribe(build)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* freeze
        for (let times = 0; times < 100; times++) yield* Effect.timeout(there.notify(build), patience)
        const own = yield* waiting(yield* here.subscribe(Signals.queue))
        yield* here.notify(Signals.queue)
        yield* Effect.timeout(Fiber.join(own), patience)
        yield* Effect.timeout(subscription.changed("100 millis"), patience)
      }))
      yield* connected({ here, there })
    })
  )
]
