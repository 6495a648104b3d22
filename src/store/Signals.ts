/**
 * Tells those who wait that something has changed, so that they look at once and not at their next poll. A hint only: the
 * database is the truth, and polling is what all waits rest on.
 *
 * `layer` reaches the fibers of this node. Over a carrier, as `SqlSignals` has one, those of other nodes are reached too:
 * a moment later, or not at all while the carrier is broken or has too much to carry.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Brand from "effect/Brand"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BuildId, TurnId } from "../domain/Ids.ts"

/**
 * What can change: a short text, the same on all nodes.
 *
 * @since 0.1.0
 * @category models
 */
export type Topic = Brand.Branded<string, "SignalTopic">

/**
 * @since 0.1.0
 * @category models
 */
export interface Subscription {
  /**
   * Waits until somebody notified, or for this long. What came since the wait before counts, so that nothing is lost that
   * comes while one looks. For one fiber at a time.
   */
  readonly changed: (within: Duration.Input) => Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Signals extends Context.Service<Signals, {
  /** Wakes those who wait for a topic. Waits for nothing itself, and never fails. */
  readonly notify: (topic: Topic) => Effect.Effect<void>
  /** Hears of a topic from now on, until the scope closes. */
  readonly subscribe: (topic: Topic) => Effect.Effect<Subscription, never, Scope.Scope>
}>()("chat-workspace/store/Signals") {}

const topic = Brand.nominal<Topic>()

const about = (kind: string) => (id: string): Topic => topic(`${kind} ${id}`)

/**
 * A build may wait for a runner, or a runner may have a place for it.
 *
 * @since 0.1.0
 * @category topics
 */
export const queue: Topic = topic("queue")

/**
 * A build has moved on, or has more to tell.
 *
 * @since 0.1.0
 * @category topics
 */
export const build: (buildId: BuildId) => Topic = about("build")

/**
 * Somebody wants a build canceled: for the node that runs it.
 *
 * @since 0.1.0
 * @category topics
 */
export const cancel: (buildId: BuildId) => Topic = about("cancel")

/**
 * A turn has more to tell, or has ended.
 *
 * @since 0.1.0
 * @category topics
 */
export const turn: (turnId: TurnId) => Topic = about("turn")

/**
 * Somebody wants a turn interrupted: for the node that runs it.
 *
 * @since 0.1.0
 * @category topics
 */
export const interrupt: (turnId: TurnId) => Topic = about("interrupt")

/**
 * What brings signals to other nodes. It may lose some, and may bring a node its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Carrier<out E> {
  /** Hands short messages to all who listen. Ends within a bound of its own. */
  readonly publish: (messages: Arr.NonEmptyReadonlyArray<string>) => Effect.Effect<void, E>
  /** Listens for the life of the scope: completes when messages are heard from then on. */
  readonly listen: Effect.Effect<Stream.Stream<string, E>, E, Scope.Scope>
}

/** The subscriptions of this node; a topic without any takes no memory. */
const makeHere = () => {
  const all = new Map<string, Set<Latch.Latch>>()
  return {
    wake: (topic: string): void => all.get(topic)?.forEach(Latch.openUnsafe),
    subscribe: (topic: Topic): Effect.Effect<Subscription, never, Scope.Scope> =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const latch = Latch.makeUnsafe(false)
          const latches = all.get(topic) ?? new Set()
          all.set(topic, latches.add(latch))
          return latch
        }),
        (latch) =>
          Effect.sync(() => {
            const latches = all.get(topic)
            latches?.delete(latch)
            if (latches?.size === 0) all.delete(topic)
          })
      ).pipe(Effect.map((latch) => ({
        changed: (within) => Effect.andThen(Effect.timeoutOption(latch.await, within), latch.close)
      })))
  }
}

const make = Effect.fnUntraced(function*<E>(carrier: Carrier<E>) {
  const random = yield* SecureRandom.SecureRandom
  const origin = `${yield* random.uuidV4()} `
  const { subscribe, wake } = makeHere()
  const pending = new Set<Topic>()
  const some = Latch.makeUnsafe(false)

  const publish = Effect.gen(function*() {
    let failures = 0
    while (true) {
      yield* some.await
      yield* some.close
      const [first, ...others] = Array.from(pending, (topic) => origin + topic)
      pending.clear()
      if (first === undefined) continue
      const exit = yield* Effect.exit(carrier.publish([first, ...others]))
      if (Exit.isFailure(exit)) {
        // Once per outage.
        if (failures === 0) yield* Effect.logWarning("Other nodes hear no signals", exit.cause)
        yield* Effect.sleep(pauseAfter(failures++))
      } else if (failures > 0) {
        failures = 0
        yield* Effect.logInfo("Other nodes hear signals again")
      }
    }
  })

  const listen = Effect.gen(function*() {
    let failures = 0
    const heard = Effect.flatMap(carrier.listen, (messages) => {
      const again = failures > 0
      failures = 0
      return Effect.andThen(
        again ? Effect.logInfo("Signals of other nodes are heard again") : Effect.void,
        Stream.runForEach(messages, (message) =>
          Effect.sync(() => {
            if (!message.startsWith(origin)) wake(message.slice(message.indexOf(" ") + 1))
          }))
      )
    })
    while (true) {
      const exit = yield* Effect.exit(Effect.scoped(heard))
      if (failures === 0) {
        yield* Effect.logWarning("Signals of other nodes are not heard", ...(Exit.isFailure(exit) ? [exit.cause] : []))
      }
      yield* Effect.sleep(pauseAfter(failures++))
    }
  })

  for (const [fiber, work] of [["publish", publish], ["listen", listen]] as const) {
    yield* work.pipe(
      Effect.annotateLogs({ module: "Signals", fiber }),
      Effect.withTracerEnabled(false),
      Effect.forkScoped
    )
  }

  return Signals.of({
    notify: (topic) =>
      Effect.sync(() => {
        wake(topic)
        if (pending.size >= mostPending) return
        pending.add(topic)
        some.openUnsafe()
      }),
    subscribe
  })
})

/** Topics that wait for a slow carrier, each once. What is beyond is not carried. */
const mostPending = 1000

/** Milliseconds before a carrier that failed is tried again. */
const pauseAfter = (failures: number): number => Math.min(200 * 2 ** failures, 5000)

/**
 * For one node, or where nothing carries signals between them: the others find everything at their next poll.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Signals> = Layer.sync(Signals, () => {
  const { subscribe, wake } = makeHere()
  return Signals.of({ notify: (topic) => Effect.sync(() => wake(topic)), subscribe })
})

/**
 * For many nodes, over what carries signals between them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = <E>(carrier: Carrier<E>): Layer.Layer<Signals> =>
  Layer.effect(Signals, make(carrier)).pipe(Layer.provide(SecureRandom.layerWebCrypto))
