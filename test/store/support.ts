/** The stores that the kits run against. */
import { describe, it, layer } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as Activity from "../../src/store/Activity.ts"
import * as AgentEnrollments from "../../src/store/AgentEnrollments.ts"
import * as AgentPresence from "../../src/store/AgentPresence.ts"
import * as Builds from "../../src/store/Builds.ts"
import * as ChatBindings from "../../src/store/ChatBindings.ts"
import * as Chats from "../../src/store/Chats.ts"
import * as Holders from "../../src/store/Holders.ts"
import * as InstructionStore from "../../src/store/InstructionStore.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import * as TurnStore from "../../src/store/TurnStore.ts"
import * as WorkspaceAgents from "../../src/store/WorkspaceAgents.ts"
import type { Kit, StoreKit } from "../../src/testing/index.ts"
import { StoreClock } from "../../src/testing/StoreKit.ts"
import { emptyDatabase } from "../postgres.ts"

export type Ports =
  | Activity.Activity
  | AgentEnrollments.AgentEnrollments
  | AgentPresence.AgentPresence
  | Builds.Builds
  | ChatBindings.ChatBindings
  | Chats.Chats
  | Holders.Holders
  | InstructionStore.InstructionStore
  | TurnStore.TurnStore
  | WorkspaceAgents.WorkspaceAgents

export const memory: Layer.Layer<Ports | StoreClock> = Layer.mergeAll(
  Activity.layerMemory,
  AgentEnrollments.layerMemory,
  AgentPresence.layerMemory,
  Builds.layerMemory,
  ChatBindings.layerMemory,
  Chats.layerMemory,
  Holders.layerMemory,
  InstructionStore.layerMemory,
  TurnStore.layerMemory,
  WorkspaceAgents.layerMemory,
  Layer.succeed(StoreClock, { pass: (duration) => TestClock.adjust(duration), slack: Duration.zero })
).pipe(Layer.provide(MemoryStore.layer))

let schemas = 0

/** A schema of its own in the database of the block. */
export const sql: Layer.Layer<Ports | StoreClock, unknown, SqlClient.SqlClient> = Layer.unwrap(Effect.sync(() => {
  const schema = `store_${++schemas}`
  return Layer.provideMerge(
    Layer.mergeAll(SqlStore.layer({ schema }), clockOf(schema)),
    Migrations.layerMigrations({ schema })
  )
}))

// The store's clock is the database's. What is stored becomes older instead.
const clockOf = (schema: string): Layer.Layer<StoreClock, never, SqlClient.SqlClient> =>
  Layer.effect(
    StoreClock,
    Effect.map(SqlClient.SqlClient, (client) => {
      const sql = client.withoutTransforms()
      return StoreClock.of({
        slack: Duration.seconds(2),
        pass: Effect.fnUntraced(function*(duration) {
          const back = sql`${String(Duration.toMillis(Duration.fromInputUnsafe(duration)))}::float8 * interval '1 ms'`
          yield* sql`update ${sql(`${schema}.agents`)} set started_at = started_at - ${back}`
          yield* sql`
            update ${sql(`${schema}.agent_presence`)} set
              first_connected_at = first_connected_at - ${back}, last_connected_at = last_connected_at - ${back},
              disconnected_at = disconnected_at - ${back}, heard_at = heard_at - ${back}`
          yield* sql`
            update ${sql(`${schema}.heartbeats`)} set
              covered_since = covered_since - ${back}, last_beat_at = last_beat_at - ${back}`
          yield* sql`update ${sql(`${schema}.workspaces`)} set created_at = created_at - ${back}`
          yield* sql`
            update ${sql(`${schema}.builds`)} set
              created_at = created_at - ${back}, started_at = started_at - ${back},
              finished_at = finished_at - ${back}, lease_until = lease_until - ${back}`
          yield* sql`update ${sql(`${schema}.build_logs`)} set at = at - ${back}`
          yield* sql`
            update ${sql(`${schema}.turns`)} set
              started_at = started_at - ${back}, ended_at = ended_at - ${back}, lease_until = lease_until - ${back}`
        }, Effect.orDie)
      })
    })
  )

/** A kit of a store. */
export interface StoreKitOf {
  readonly casesFor: <R>(harness: StoreKit.Harness<Ports | StoreClock, R>) => ReadonlyArray<Kit.Case<R>>
  readonly skippedFor: <R>(harness: StoreKit.Harness<Ports | StoreClock, R>) => ReadonlyArray<Kit.Skipped>
}

/** Runs a kit in memory on the virtual clock, and on the real clock in PostgreSQL. */
export const suite = (name: string, { casesFor }: StoreKitOf): void => {
  describe(`${name} in memory`, () => {
    for (const { name, run } of casesFor({ store: memory })) it.effect(name, () => run)
  })
  layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })(`${name} in PostgreSQL`, (it) => {
    for (const { name, run } of casesFor({ store: sql })) it.effect(name, () => run, 20_000)
  })
}
