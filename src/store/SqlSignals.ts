/**
 * Signals between nodes, carried by PostgreSQL's NOTIFY: whoever uses one database hears each other.
 *
 * Several signals at once are one statement. The layer listens with what the application passes in, which is
 * `PgClient.listen`, and takes a lost connection up again.
 *
 * **Gotchas**
 *
 * Listening holds a connection for good, and a pool that hands out connections by transaction cannot do it: give `listen` a
 * client that reaches the server itself, or take `Signals.layer`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type * as SqlClient from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import type { StoreError } from "../domain/Errors.ts"
import * as Closing from "./Closing.ts"
import * as Migrations from "./Migrations.ts"
import * as Signals from "./Signals.ts"
import * as SqlCalls from "./SqlCalls.ts"
import { StoreConfig } from "./StoreConfig.ts"

/**
 * Which nodes hear each other, those of one schema, and how this one listens: what comes on a channel, from when the effect
 * completes, for the life of the scope.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out E> extends Migrations.Options {
  readonly listen: (
    channel: string
  ) => Effect.Effect<Queue.Dequeue<{ readonly payload: string }, E>, E, Scope.Scope>
}

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = <E>(options: Options<E>): Layer.Layer<Signals.Signals, never, SqlClient.SqlClient> =>
  Layer.unwrap(Effect.gen(function*() {
    const { call, sql } = yield* SqlCalls.make(options)
    const { callTimeout } = yield* StoreConfig
    const channel = channelOf(Migrations.schemaOf(options))
    return Signals.layerWith<E | StoreError>({
      publish: (messages) =>
        // Without a span, there too: a turn that streams notifies several times a second.
        sql`select pg_notify(${channel}, message) from unnest(${messages}::text[]) as message`.pipe(
          Effect.withTracerEnabled(false),
          (notify) => call("Signals.publish", notify),
          Effect.asVoid
        ),
      // Leaving a channel is a statement without a bound.
      listen: Effect.map(
        Closing.within(options.listen(channel), callTimeout),
        (queue) => Stream.map(Stream.fromQueue(queue), ({ payload }) => payload)
      )
    })
  }))

/** The name of a channel has at most 63 characters. Schemas whose names are longer, and alike to there, share one. */
const channelOf = (schema: string): string => `cw_signals_${schema}`.slice(0, 63)
