/**
 * Tells the fibers of this node that something about builds has changed, so that they look at once and not at their next
 * poll. A hint only: other nodes do not hear it, and polling is what all waits rest on.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * @since 0.1.0
 * @category services
 */
export class BuildSignal extends Context.Service<BuildSignal, {
  /** Wakes whoever waits. */
  readonly notify: Effect.Effect<void>
  /** A mark of now, to be taken before a look. */
  readonly mark: () => Mark
  /** Waits until somebody notified after the mark, or for this long. */
  readonly changed: (since: Mark, within: Duration.Input) => Effect.Effect<void>
}>()("chat-workspace/provisioner/BuildSignal") {}

/**
 * @since 0.1.0
 * @category models
 */
export type Mark = Deferred.Deferred<void>

const make = Effect.sync(() => {
  let next = Deferred.makeUnsafe<void>()
  return BuildSignal.of({
    notify: Effect.sync(() => {
      const woken = next
      next = Deferred.makeUnsafe()
      Deferred.doneUnsafe(woken, Effect.void)
    }),
    mark: () => next,
    changed: (since, within) => Effect.ignore(Effect.timeout(Deferred.await(since), within))
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<BuildSignal> = Layer.effect(BuildSignal, make)
