/**
 * A store that fails is asked again until it answers.
 *
 * It has no bound of its own: whoever uses it ends it, as a lease or a limit does.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { StoreError } from "../domain/Errors.ts"

/**
 * What the store answers at last, with a pause before each new question.
 *
 * @since 0.1.0
 * @category combinators
 */
export const awaited = <A, E>(
  effect: Effect.Effect<A, E>,
  pause: Duration.Duration
): Effect.Effect<A, Exclude<E, StoreError>> =>
  Effect.retry(
    Effect.tapError(effect, (error) =>
      isAnswer(error)
        ? Effect.void
        : Effect.andThen(Effect.logDebug("The store is asked again", error), Effect.sleep(pause))),
    { until: (error: E) => isAnswer(error) }
  )

const isAnswer = <E>(error: E): error is Exclude<E, StoreError> => !(error instanceof StoreError)
