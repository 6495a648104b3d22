/** What the contract suites of the ports share: the subjects they run against, and ids. */
import { it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Redacted, type Scope } from "effect"
import * as Digest from "effect/crypto/Digest"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { AgentId, BuildId, ChatId, Incarnation, NodeId, OwnerId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as Activity from "../../src/store/Activity.ts"
import * as AgentEnrollments from "../../src/store/AgentEnrollments.ts"
import * as AgentPresence from "../../src/store/AgentPresence.ts"
import * as Builds from "../../src/store/Builds.ts"
import * as ChatBindings from "../../src/store/ChatBindings.ts"
import * as Chats from "../../src/store/Chats.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SecretHash from "../../src/store/SecretHash.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import * as TurnStore from "../../src/store/TurnStore.ts"
import * as WorkspaceAgents from "../../src/store/WorkspaceAgents.ts"

/** The clock that the store reads. */
export class StoreClock extends Context.Service<StoreClock, {
  /** Lets time pass for everything that is stored. */
  readonly pass: (duration: Duration.Input) => Effect.Effect<void>
  /** How near to a bound a test can come: zero for a virtual clock. */
  readonly slack: Duration.Duration
}>()("test/StoreClock") {}

export type Ports =
  | Activity.Activity
  | AgentEnrollments.AgentEnrollments
  | AgentPresence.AgentPresence
  | Builds.Builds
  | ChatBindings.ChatBindings
  | Chats.Chats
  | TurnStore.TurnStore
  | WorkspaceAgents.WorkspaceAgents

/** Registers a test that has a store of its own. */
export type Test = (name: string, body: Effect.Effect<void, unknown, Ports | StoreClock | Scope.Scope>) => void

export const memory: Layer.Layer<Ports | StoreClock> = Layer.mergeAll(
  Activity.layerMemory,
  AgentEnrollments.layerMemory,
  AgentPresence.layerMemory,
  Builds.layerMemory,
  ChatBindings.layerMemory,
  Chats.layerMemory,
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

/** On the virtual clock. */
export const onMemory: Test = (name, body) => it.effect(name, () => Effect.provide(body, memory))

/** On the real clock, in the database of the block. */
export const onSql = (it: {
  readonly effect: (
    name: string,
    body: () => Effect.Effect<void, unknown, SqlClient.SqlClient | Scope.Scope>,
    timeout: number
  ) => void
}): Test =>
(name, body) => it.effect(name, () => Effect.provide(body, sql), 20_000)

export const chat = (name: string) => ChatId.make(name)
export const owner = (name: string) => OwnerId.make(name)
export const workspace = (name: string) => WorkspaceId.make(name)
export const build = (name: string) => BuildId.make(name)
export const agentId = (name: string) => AgentId.make(name)
export const node = (name: string) => NodeId.make(name)
export const incarnation = (name: string) => Incarnation.make(name)

/** An agent to be recorded with a start. */
export const enrolled = (name: string, options?: Partial<AgentEnrollments.EnrolledAgent>) => ({
  agentId: agentId(name),
  parentId: null,
  name: "main",
  displayOrder: 0,
  connectionTimeout: Duration.seconds(120),
  secretHash: new Uint8Array(32),
  ...options
})

/** Records a start of a workspace with agents of these names. */
export const start = Effect.fnUntraced(function*(of: string, buildName: string, ...agents: ReadonlyArray<string>) {
  const enrollments = yield* AgentEnrollments.AgentEnrollments
  return yield* enrollments.recordStart({
    workspaceId: workspace(of),
    owner: owner("ann"),
    buildId: build(buildName),
    agents: agents.map((name) => enrolled(name))
  })
})

/** Records a stop of a workspace. */
export const stop = Effect.fnUntraced(function*(of: string, buildName: string) {
  const enrollments = yield* AgentEnrollments.AgentEnrollments
  return yield* enrollments.recordEnd({
    workspaceId: workspace(of),
    owner: owner("ann"),
    buildId: build(buildName),
    transition: "stop"
  })
})

/** What is stored for the secret whose bytes all have this value. */
export const secretOf = (byte: number) =>
  Effect.flatMap(SecretHash.make, (hash) => hash.hash(Redacted.make(new Uint8Array(32).fill(byte)))).pipe(
    Effect.provide(Digest.layerWebCrypto)
  )
