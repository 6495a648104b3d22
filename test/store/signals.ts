/** Nodes that are told of changes over PostgreSQL. */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import * as Signals from "../../src/store/Signals.ts"
import * as SqlSignals from "../../src/store/SqlSignals.ts"
import { databaseClient } from "../postgres.ts"

export { connected } from "../../src/testing/SignalsKit.ts"

/** Waits in a fiber of its own. */
export const waiting = (subscription: Signals.Subscription) =>
  Effect.forkChild(subscription.changed("1 hour"), { startImmediately: true })

/** A node with a pool of its own in the block's database, where it goes by the name of the schema. */
export const sqlNode = Effect.fnUntraced(function*(schema: string) {
  const context = yield* Layer.build(
    Layer.fresh(
      Layer.unwrap(Effect.map(PgClient.PgClient, ({ listen }) => SqlSignals.layer({ schema, listen }))).pipe(
        Layer.provide(databaseClient({ applicationName: schema, maxConnections: 2 }))
      )
    )
  )
  return Context.get(context, Signals.Signals)
})
