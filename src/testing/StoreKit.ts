/**
 * How the kits of the stores are run, and the deaths of a database that each of them knows.
 *
 * There is a kit for each port of `store/`. A harness hands in a layer with the port (and with the ports that bring about
 * what it reads), built anew for each case. Where a database stands behind it, `restart` and `freeze` are the hands on
 * that: without them the cases about its death are left out, and `skippedFor` names them.
 *
 * **Gotchas**
 *
 * Cases have no bound of their own, since the clock of a store in memory may be virtual: the test runner's holds. Those
 * that need `restart` or `freeze` run in real time.
 *
 * **Example** (With any runner of tests)
 *
 * ```ts
 * import type { AgentEnrollments, ChatBindings } from "chat-workspace/store"
 * import { ChatBindingsKit } from "chat-workspace/testing"
 * import { Effect, type Layer } from "effect"
 *
 * declare const store: Layer.Layer<ChatBindings.ChatBindings | AgentEnrollments.AgentEnrollments>
 *
 * for (const { name, run } of ChatBindingsKit.casesFor({ store })) {
 *   test(name, () => Effect.runPromise(Effect.scoped(run)))
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { StoreError } from "../domain/Errors.ts"
import { assert } from "./Assertions.ts"
import { type Case, caught, type Skipped } from "./Kit.ts"

/**
 * The clock that a store reads, where a kit looks at time.
 *
 * @since 0.1.0
 * @category services
 */
export class StoreClock extends Context.Service<StoreClock, {
  /** Lets time pass for everything that is stored: moves a virtual clock, or makes the rows older. */
  readonly pass: (duration: Duration.Input) => Effect.Effect<void>
  /** How near to a bound a case can come: zero for a virtual clock. */
  readonly slack: Duration.Duration
}>()("chat-workspace/testing/StoreKit/StoreClock") {}

/**
 * A store and the hands on its database.
 *
 * @since 0.1.0
 * @category models
 */
export interface Harness<Ports, R = never> {
  /** An empty store. It is built for each case. */
  readonly store: Layer.Layer<Ports, unknown, R>
  /** Ends the database in an orderly way, and answers when it is there again. */
  readonly restart?: Effect.Effect<void, unknown, R> | undefined
  /** The database answers nothing until the scope closes, and breaks no connection. */
  readonly freeze?: Effect.Effect<void, unknown, R | Scope.Scope> | undefined
  /** What a call may take when the database does not answer (3 s). */
  readonly bound?: Duration.Input | undefined
}

/**
 * What a case may need.
 *
 * @since 0.1.0
 * @category models
 */
export type Verb = "restart" | "freeze"

interface Hands {
  readonly restart: Effect.Effect<void, unknown>
  readonly freeze: Effect.Effect<void, unknown, Scope.Scope>
  readonly bound: Duration.Duration
}

/**
 * A case of a kit, before there is a store to run it against.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<Ports> {
  readonly name: string
  readonly needs: ReadonlyArray<Verb>
  readonly run: (hands: Hands) => Effect.Effect<void, unknown, Ports | Scope.Scope>
}

/**
 * Every call of a port with what it needs before it, in an order that works, under names that end in the suffix.
 *
 * @since 0.1.0
 * @category models
 */
export type Calls<Ports> = (
  suffix: string
) => ReadonlyArray<readonly [name: string, call: Effect.Effect<unknown, unknown, Ports>]>

/**
 * A case that needs nothing but the store.
 *
 * @since 0.1.0
 * @category constructors
 */
export const definition = <Ports>(
  name: string,
  run: Effect.Effect<void, unknown, Ports | Scope.Scope>
): Definition<Ports> => ({ name, needs: [], run: () => run })

/**
 * A case in which the database dies.
 *
 * @since 0.1.0
 * @category constructors
 */
export const death = <Ports>(
  name: string,
  needs: ReadonlyArray<Verb>,
  run: Definition<Ports>["run"]
): Definition<Ports> => ({ name, needs, run })

/**
 * The cases for which the harness has the verbs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = <Ports, R>(
  harness: Harness<Ports, R>,
  definitions: ReadonlyArray<Definition<Ports | R>>
): ReadonlyArray<Case<R>> =>
  definitions.filter((definition) => missing(harness, definition).length === 0).map(({ name, run }) => ({
    name,
    run: Effect.gen(function*() {
      const context = yield* Effect.context<R>()
      const store = yield* Layer.build(Layer.fresh(harness.store))
      const hands: Hands = {
        restart: Effect.updateContext(harness.restart ?? Effect.void, () => context),
        freeze: Effect.updateContext(
          harness.freeze ?? Effect.void,
          (outer: Context.Context<Scope.Scope>) => Context.merge(context, outer)
        ),
        bound: Duration.fromInputUnsafe(harness.bound ?? defaultBound)
      }
      yield* Effect.updateContext(run(hands), (outer: Context.Context<R | Scope.Scope>) => Context.merge(outer, store))
    }).pipe(caught)
  }))

/**
 * The cases for which it does not, by name.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skipped = <Ports, R>(
  harness: Harness<Ports, R>,
  definitions: ReadonlyArray<Definition<Ports | R>>
): ReadonlyArray<Skipped> =>
  definitions.map((definition) => ({ name: definition.name, missing: missing(harness, definition) }))
    .filter(({ missing }) => missing.length > 0)

const missing = <Ports, R>(harness: Harness<Ports, R>, { needs }: Definition<Ports | R>): ReadonlyArray<Verb> =>
  needs.filter((need) => harness[need] === undefined)

/**
 * What each port has to keep when its database restarts or freezes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const deaths = <Ports>(calls: Calls<Ports>): ReadonlyArray<Definition<Ports>> => [
  death(
    "a restart of the database between two calls is not noticed",
    ["restart"],
    Effect.fnUntraced(function*({ restart }) {
      // Half of them before, and what builds upon those after it.
      const all = calls("-before")
      const half = Math.ceil(all.length / 2)
      yield* allWork(all.slice(0, half))
      yield* restart
      yield* allWork(all.slice(half))
      yield* allWork(calls("-after"))
    })
  ),
  death(
    "calls that are under way while the database restarts answer or fail with StoreError, within the bound",
    ["restart"],
    Effect.fnUntraced(function*({ bound, restart }) {
      const restarted = yield* Deferred.make<void>()
      const worker = Effect.fnUntraced(function*(id: number, begun: Deferred.Deferred<void>) {
        for (let round = 0; !(yield* Deferred.isDone(restarted)); round++) {
          yield* untilFirstFailure(calls(`-${id}-${round}`), bound)
          yield* Deferred.succeed(begun, undefined)
        }
      })
      const workers = yield* Effect.forEach([1, 2, 3, 4], (id) =>
        Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkChild(worker(id, begun))
          // One that fails at once is not waited for.
          yield* Effect.raceFirst(Deferred.await(begun), Fiber.await(fiber))
          return fiber
        }))
      yield* restart
      yield* Deferred.succeed(restarted, undefined)
      yield* Fiber.joinAll(workers)
      yield* allWork(calls("-after"))
    })
  ),
  death(
    "calls to a frozen database fail with StoreError within the bound, and work when it is thawed",
    ["freeze"],
    Effect.fnUntraced(function*({ bound, freeze }) {
      yield* allWork(calls("-before"))
      yield* Effect.scoped(Effect.gen(function*() {
        const frozen = calls("-frozen")
        yield* freeze
        const results = yield* Effect.forEach(frozen, ([, call]) => Effect.timed(Effect.exit(call)), {
          concurrency: "unbounded"
        })
        for (const [index, [took, exit]] of results.entries()) {
          const name = frozen[index]?.[0] ?? ""
          assert(!Exit.isSuccess(exit), `${name} does not answer`)
          assertTyped(name, took, exit, bound)
        }
      }))
      yield* allWork(calls("-after"))
    })
  ),
  death(
    "a caller who is interrupted while the database is frozen leaves at once",
    ["freeze"],
    Effect.fnUntraced(function*({ bound, freeze }) {
      const all = calls("-left")
      yield* allWork(all)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* freeze
        const fibers = yield* Effect.forEach(
          all,
          ([, call]) => Effect.forkChild(Effect.exit(call), { startImmediately: true })
        )
        const [took] = yield* Effect.timed(Fiber.interruptAll(fibers))
        // It does not wait for what would end the call by itself.
        assert(Duration.isLessThan(took, bound), `the interruption took ${Duration.format(took)}`)
      }))
    })
  )
]

const defaultBound = Duration.seconds(3)

/** What a machine that is busy may add. */
const tolerance = Duration.seconds(2)

const allWork = Effect.fnUntraced(function*<Ports>(calls: ReturnType<Calls<Ports>>) {
  for (const [name, call] of calls) {
    const exit = yield* Effect.exit(call)
    assert(Exit.isSuccess(exit), `${name} works: ${String(exit)}`)
  }
})

/** Calls that build upon one that failed say nothing. */
const untilFirstFailure = Effect.fnUntraced(
  function*<Ports>(calls: ReturnType<Calls<Ports>>, bound: Duration.Duration) {
    for (const [name, call] of calls) {
      const [took, exit] = yield* Effect.timed(Effect.exit(call))
      assertTyped(name, took, exit, bound)
      // A database that refuses at once is not asked without end.
      if (Exit.isFailure(exit)) return yield* Effect.sleep("20 millis")
    }
  }
)

const assertTyped = (
  name: string,
  took: Duration.Duration,
  exit: Exit.Exit<unknown, unknown>,
  bound: Duration.Duration
): void => {
  assert.isAtMost(Duration.toMillis(took), Duration.toMillis(Duration.sum(bound, tolerance)), `${name} in milliseconds`)
  if (Exit.isSuccess(exit)) return
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  assert(Schema.is(StoreError)(error), `${name} fails with StoreError: ${String(exit)}`)
}
