/**
 * One acquisition for each key, shared by all who want it at the same time.
 *
 * The first user of a key starts the acquisition in a fiber of the layer, the others join it, and each holds it until
 * its own scope closes. The last one to leave a pending acquisition takes it out of the map and interrupts it in one
 * step, so nobody can join what is dying. Failures are never kept. What was acquired either stays for an idle time
 * (connections) or is let go with its last user (flights).
 *
 * `RcMap` is not this: it keeps failures, runs a lookup with its first caller's context, and lets the last waiter wait
 * for a lookup that ignores its interruption.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Detached } from "./Detached.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Shared<K extends string, A, E> {
  /** Joins the acquisition of a key or starts it. Held until the scope closes; a wait that does not succeed leaves. */
  readonly get: (key: K, acquire: Effect.Effect<A, E, Scope.Scope>) => Effect.Effect<A, E, Scope.Scope>
  /** Holds what is acquired; never acquires, and answers `undefined` where nothing is. */
  readonly lend: (key: K) => Effect.Effect<A | undefined, never, Scope.Scope>
  /** What is acquired and would be lent. */
  readonly peek: (key: K) => A | undefined
  /** Takes what is acquired out of the map; it is released when its last user leaves. */
  readonly forget: (key: K) => void
  /** How many hold or wait for a key. */
  readonly users: (key: K) => number
  /** Ends every entry and refuses all who come later, in one step. */
  readonly close: () => void
}

/**
 * `idle` is how long an acquired value stays without users; without it, it goes with the last one. A release that takes
 * longer than `release` is logged. `onInterrupt` is the error of those who wait when the map closes, or when an
 * acquisition interrupts itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<K extends string, E> {
  readonly detached: Detached
  readonly idle?: Duration.Input | undefined
  readonly release: Duration.Input
  readonly onInterrupt: (key: K, closed: boolean) => E
}

interface Entry<K, A, E> {
  readonly key: K
  readonly scope: Scope.Closeable
  readonly result: Deferred.Deferred<A, E>
  fiber: Fiber.Fiber<A, E> | undefined
  users: number
  idle: Fiber.Fiber<void> | undefined
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = <K extends string, A, E>(options: Options<K, E>): Shared<K, A, E> => {
  const { detached, idle, onInterrupt } = options
  const entries = new Map<K, Entry<K, A, E>>()
  // With those that are forgotten and still held: the end of the layer ends them too.
  const owned = new Set<Entry<K, A, E>>()
  let closed = false

  const remove = (entry: Entry<K, A, E>) => {
    if (entries.get(entry.key) === entry) entries.delete(entry.key)
  }

  const start = (key: K, acquire: Effect.Effect<A, E, Scope.Scope>): Entry<K, A, E> => {
    const entry: Entry<K, A, E> = {
      key,
      scope: Scope.makeUnsafe(),
      result: Deferred.makeUnsafe(),
      fiber: undefined,
      users: 1,
      idle: undefined
    }
    entries.set(key, entry)
    owned.add(entry)
    // It may run to its end before `run` returns, and into callers of the same key: those find `result`, not `fiber`.
    const fiber = detached.run(Scope.provide(acquire, entry.scope))
    entry.fiber = fiber
    // Out of the map before anybody hears of a failure: who tries again at once must not join it.
    fiber.addObserver((exit) => {
      if (Exit.isFailure(exit) || idle === undefined) remove(entry)
      Deferred.doneUnsafe(entry.result, exit)
    })
    entry.users--
    return entry
  }

  /** Out of the map and interrupted in one step. Who still waits must not wait for a fiber that ignores that. */
  const end = (entry: Entry<K, A, E>) => {
    remove(entry)
    entry.idle?.interruptUnsafe()
    Deferred.doneUnsafe(entry.result, Exit.interrupt())
    if (entry.fiber === undefined) return
    entry.fiber.interruptUnsafe()
    release(entry, entry.fiber)
  }

  const release = (entry: Entry<K, A, E>, fiber: Fiber.Fiber<A, E>) => {
    if (!owned.delete(entry)) return
    detached.run(Effect.andThen(Fiber.await(fiber), Effect.suspend(() => close(entry))), { uninterruptible: true })
  }

  const close = (entry: Entry<K, A, E>) => {
    const closing = detached.run(
      Effect.ignoreCause(Scope.close(entry.scope, Exit.void), { log: "Error" }),
      { uninterruptible: true }
    )
    return closing.pollUnsafe() !== undefined ?
      Effect.void :
      Effect.timeoutOrElse(Effect.asVoid(Fiber.await(closing)), {
        duration: options.release,
        orElse: () => Effect.logWarning(`The release of ${entry.key} takes too long and is left to itself`)
      })
  }

  const leave = (entry: Entry<K, A, E>) => {
    if (--entry.users > 0) return
    if (idle === undefined || lendable(entry) === undefined) return end(entry)
    entry.idle = detached.run(Effect.andThen(Effect.sleep(idle), Effect.sync(() => end(entry))))
  }

  /** One more user, from this step on until the effect that is returned has run. */
  const hold = (entry: Entry<K, A, E>): Effect.Effect<void> => {
    entry.users++
    entry.idle?.interruptUnsafe()
    entry.idle = undefined
    let holds = true
    return Effect.sync(() => {
      if (!holds) return
      holds = false
      leave(entry)
    })
  }

  const join = (entry: Entry<K, A, E>, restore: <B, E2>(effect: Effect.Effect<B, E2>) => Effect.Effect<B, E2>) => {
    const leaves = hold(entry)
    return Effect.addFinalizer(() => leaves).pipe(
      Effect.andThen(restore(Effect.exit(Deferred.await(entry.result)))),
      Effect.flatMap((exit) => Exit.hasInterrupts(exit) ? Effect.fail(onInterrupt(entry.key, closed)) : exit),
      Effect.onError(() => leaves)
    )
  }

  const lendable = (entry: Entry<K, A, E> | undefined): A | undefined => {
    if (entry === undefined || entries.get(entry.key) !== entry) return undefined
    const exit = entry.fiber?.pollUnsafe()
    return exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
  }

  return {
    get: (key, acquire) =>
      Effect.uninterruptibleMask((restore) =>
        closed ? Effect.fail(onInterrupt(key, true)) : join(entries.get(key) ?? start(key, acquire), restore)
      ),
    lend: (key) =>
      Effect.uninterruptible(Effect.contextWith((context: Context.Context<Scope.Scope>) => {
        const entry = entries.get(key)
        const value = lendable(entry)
        if (entry === undefined || value === undefined) return Effect.undefined
        return Effect.as(Scope.addFinalizer(Context.get(context, Scope.Scope), hold(entry)), value)
      })),
    peek: (key) => lendable(entries.get(key)),
    forget: (key) => {
      const entry = entries.get(key)
      if (entry === undefined || lendable(entry) === undefined) return
      if (entry.users > 0) remove(entry)
      else end(entry)
    },
    users: (key) => entries.get(key)?.users ?? 0,
    close: () => {
      closed = true
      for (const entry of Array.from(owned)) end(entry)
    }
  }
}
