import { layer } from "@effect/vitest"
import { Duration, Effect, Layer, Logger } from "effect"
import type { SqlClient } from "effect/sql"
import * as StoreConfig from "../../src/store/StoreConfig.ts"
import * as kits from "../../src/testing/index.ts"
import { PostgresServer } from "../../src/testing/PostgresServer.ts"
import * as Postgres from "../../src/testing/PostgresServer.ts"
import { databaseClient, databaseIn, type TestDatabase } from "../postgres.ts"
import * as signals from "./signals.ts"
import { sql, type StoreKitOf } from "./support.ts"

/** A server of its own, to be broken. */
const database = databaseClient().pipe(
  Layer.provideMerge(Layer.unwrap(Effect.map(PostgresServer, ({ url }) => databaseIn(url)))),
  Layer.provideMerge(Postgres.layer())
)

const bound = Duration.seconds(2)

const store = sql.pipe(Layer.provide(StoreConfig.layer({ callTimeout: bound })))

const all: Readonly<Record<string, StoreKitOf>> = {
  Activity: kits.ActivityKit,
  AgentEnrollments: kits.AgentEnrollmentsKit,
  AgentPresence: kits.AgentPresenceKit,
  Builds: kits.BuildsKit,
  "Running builds": kits.BuildRunsKit,
  ChatBindings: kits.ChatBindingsKit,
  Chats: kits.ChatsKit,
  Holders: kits.HoldersKit,
  InstructionStore: kits.InstructionStoreKit,
  TurnStore: kits.TurnStoreKit,
  WorkspaceAgents: kits.WorkspaceAgentsKit
}

const hands = {
  restart: PostgresServer.use(({ restart }) => restart),
  freeze: PostgresServer.use(({ pause, resume }) => Effect.acquireRelease(pause, () => resume))
}

let schemas = 0

const nodes = Effect.gen(function*() {
  const schema = `signals_${++schemas}`
  const both = { there: yield* signals.sqlNode(schema), here: yield* signals.sqlNode(schema) }
  yield* signals.connected(both)
  return both
})

layer(database, { excludeTestServices: true, timeout: "60 seconds" })("In a PostgreSQL that dies", (it) => {
  for (const [port, { casesFor, skippedFor }] of Object.entries(all)) {
    const skipped = new Set(skippedFor({ store }).map(({ name }) => name))
    const cases = casesFor<PostgresServer | SqlClient.SqlClient>({ ...hands, store, bound })
    for (const { name, run } of cases) {
      if (skipped.has(name)) it.effect(`${port}: ${name}`, () => run, 60_000)
    }
  }

  const skipped = new Set(kits.SignalsKit.skippedFor({ nodes }).map(({ name }) => name))
  for (const { name, run } of kits.SignalsKit.casesFor<PostgresServer | TestDatabase>({ ...hands, nodes })) {
    if (skipped.has(name)) it.effect(`Signals: ${name}`, () => Effect.provide(run, Logger.layer([])), 60_000)
  }
})
