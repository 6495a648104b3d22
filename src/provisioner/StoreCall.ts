/**
 * Calls of the store that end in time, also where the port is the application's own and hangs.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { StoreError } from "../domain/Errors.ts"
import { StoreConfig } from "../store/StoreConfig.ts"
import * as Bounded from "./Bounded.ts"

/**
 * Makes a call within the bound of the store. One that takes longer is left behind.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.map(
  StoreConfig,
  ({ callTimeout }) => <A>(operation: string, call: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
    Effect.flatMap(
      Bounded.within(call, callTimeout),
      Option.match({
        onNone: () => Effect.fail(new StoreError({ operation, cause: new Cause.TimeoutError() })),
        onSome: Effect.succeed
      })
    )
)
