/**
 * Resources whose end is waited for so long, and then left to itself.
 *
 * A server that is gone without a word, as behind a link that is half open, never answers: a pool of connections waits for
 * ever for what is under way in it, and with it the end of the whole application.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

/**
 * Acquires in a scope of its own. Its end goes on in the background when the time is over.
 *
 * @since 0.1.0
 * @category combinators
 */
export const within: {
  (duration: Duration.Input): <A, E, R>(acquire: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | Scope.Scope>
  <A, E, R>(acquire: Effect.Effect<A, E, R>, duration: Duration.Input): Effect.Effect<A, E, R | Scope.Scope>
} = dual(
  2,
  <A, E, R>(acquire: Effect.Effect<A, E, R>, duration: Duration.Input): Effect.Effect<A, E, R | Scope.Scope> =>
    Effect.flatMap(
      Effect.acquireRelease(
        Scope.make(),
        // Above the result of a fiber of its own: what does not end cannot be interrupted either.
        (scope) =>
          Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true }).pipe(
            Effect.flatMap((closing) => Effect.timeoutOption(Fiber.await(closing), duration))
          )
      ),
      (scope) => Effect.provideService(acquire, Scope.Scope, scope)
    )
)

/**
 * The same for a layer: `PgClient.layer({ … }).pipe(Closing.layerWithin("3 seconds"))` for a pool of one's own.
 *
 * @since 0.1.0
 * @category combinators
 */
export const layerWithin: {
  (duration: Duration.Input): <A, E, R>(layer: Layer.Layer<A, E, R>) => Layer.Layer<A, E, R>
  <A, E, R>(layer: Layer.Layer<A, E, R>, duration: Duration.Input): Layer.Layer<A, E, R>
} = dual(
  2,
  <A, E, R>(layer: Layer.Layer<A, E, R>, duration: Duration.Input): Layer.Layer<A, E, R> =>
    Layer.effectContext(within(Layer.build(layer), duration))
)
