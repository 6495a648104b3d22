/**
 * A store that fails is asked again until it answers.
 *
 * It has no bound of its own: whoever uses it ends it, as a lease or a limit does.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { LeaseLost, StoreError } from "../domain/Errors.ts"

/**
 * What the store answers at last, with a pause before each new question.
 *
 * @since 0.1.0
 * @category combinators
 */
export const awaited = <A>(
  effect: Effect.Effect<A, LeaseLost | StoreError>,
  pause: Duration.Duration
): Effect.Effect<A, LeaseLost> =>
  Effect.catchTag(
    effect,
    "StoreError",
    (error) =>
      Effect.logDebug("The store is asked again", error).pipe(
        Effect.andThen(Effect.sleep(pause)),
        Effect.andThen(Effect.suspend(() => awaited(effect, pause)))
      )
  )
