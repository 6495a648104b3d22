import { assert, describe, it, layer } from "@effect/vitest"
import { DateTime, Duration, Effect, Layer, type Scope } from "effect"
import type { SqlClient } from "effect/sql"
import { MessageId, TurnId } from "../../src/domain/Ids.ts"
import * as AgentEnrollments from "../../src/store/AgentEnrollments.ts"
import * as AgentPresence from "../../src/store/AgentPresence.ts"
import * as Builds from "../../src/store/Builds.ts"
import * as Holders from "../../src/store/Holders.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlStore from "../../src/store/SqlStore.ts"
import * as TurnStore from "../../src/store/TurnStore.ts"
import { emptyDatabase } from "../postgres.ts"
import { create, limit } from "./queue.ts"
import { agentId, build, chat, incarnation, node, owner, start, workspace } from "./support.ts"

type Ports =
  | AgentEnrollments.AgentEnrollments
  | AgentPresence.AgentPresence
  | Builds.Builds
  | Holders.Holders
  | TurnStore.TurnStore

type Test = (name: string, body: Effect.Effect<void, unknown, Ports | Scope.Scope>) => void

const lease = Duration.seconds(30)

const held = (chatName: string, of: string | null = null) =>
  Effect.flatMap(
    Holders.Holders,
    (holders) => holders.of({ chatId: chat(chatName), workspaceId: of === null ? null : workspace(of) })
  )

const begin = (id: string) =>
  Effect.flatMap(TurnStore.TurnStore, (turns) =>
    turns.begin({
      turnId: TurnId.make(id),
      chatId: chat("c"),
      owner: owner("ann"),
      messageId: MessageId.make(id),
      message: { role: "user", content: id },
      nodeId: node("a"),
      lease
    }))

const contract = (test: Test): void => {
  test(
    "nobody holds anything of a chat that was never seen",
    Effect.gen(function*() {
      const { agents, build, turn } = yield* held("nobody")
      assert.deepStrictEqual({ agents, build, turn }, { agents: [], build: null, turn: null })
    })
  )

  test(
    "the newest turn, with its node, its lease, and whether somebody wants it interrupted",
    Effect.gen(function*() {
      const turns = yield* TurnStore.TurnStore
      yield* begin("one")
      yield* turns.finish({
        turnId: TurnId.make("one"),
        epoch: 1,
        from: 2,
        messages: [],
        status: "done",
        reason: null
      })
      yield* begin("two")
      const { asOf, turn } = yield* held("c")
      const { epoch, nodeId, status, turnId } = turn?.turn ?? {}
      assert.deepStrictEqual([turnId, epoch, nodeId, status], ["two", 2, "a", "running"])
      assert.isFalse(turn?.interrupting)
      const left = turn === null ? 0 : Duration.toMillis(DateTime.distance(asOf, turn.leaseUntil))
      assert.isTrue(left > 20_000 && left <= 30_000, String(left))
      yield* turns.interrupt({ chatId: chat("c"), owner: owner("ann") })
      assert.isTrue((yield* held("c")).turn?.interrupting)
      assert.isNull((yield* held("d")).turn)
    })
  )

  test(
    "a build that waits has no node; one that runs has its runner, and whether somebody wants it canceled",
    Effect.gen(function*() {
      const builds = yield* Builds.Builds
      yield* create("1")
      assert.deepStrictEqual((yield* held("c", "w1")).build, {
        buildId: build("b1"),
        nodeId: null,
        leaseUntil: null,
        canceling: false
      })
      yield* builds.take({ nodeId: node("b"), lease, limit, attempts: 3 })
      yield* builds.cancel({ owner: owner("ann"), workspaceId: workspace("w1") })
      const { asOf, build: running } = yield* held("c", "w1")
      assert.deepStrictEqual([running?.nodeId, running?.canceling], ["b", true])
      const left = Duration.toMillis(DateTime.distance(asOf, running?.leaseUntil ?? asOf))
      assert.isTrue(left > 20_000 && left <= 30_000, String(left))
    })
  )

  test(
    "the agents of the latest build, each with the node at which it was last",
    Effect.gen(function*() {
      const presence = yield* AgentPresence.AgentPresence
      yield* start("w", "a", "old")
      yield* start("w", "b", "one", "two")
      yield* presence.attach({ agentId: agentId("two"), nodeId: node("a"), incarnation: incarnation("i") })
      const { agents } = yield* held("c", "w")
      assert.deepStrictEqual(Array.from(agents).sort((a, b) => a.agentId < b.agentId ? -1 : 1), [
        { agentId: agentId("one"), nodeId: null, epoch: 0 },
        { agentId: agentId("two"), nodeId: node("a"), epoch: 1 }
      ])
    })
  )
}

describe("in memory", () => {
  const stores = Layer.mergeAll(
    AgentEnrollments.layerMemory,
    AgentPresence.layerMemory,
    Builds.layerMemory,
    Holders.layerMemory,
    TurnStore.layerMemory
  ).pipe(Layer.provide(MemoryStore.layer))
  contract((name, body) => it.effect(name, () => Effect.provide(body, stores)))
})

let schemas = 0

layer(emptyDatabase(), { excludeTestServices: true, timeout: "1 minute" })("in PostgreSQL", (it) => {
  const stores: Layer.Layer<Ports, unknown, SqlClient.SqlClient> = Layer.unwrap(Effect.sync(() => {
    const schema = `holders_${++schemas}`
    return Layer.provideMerge(SqlStore.layer({ schema }), Migrations.layerMigrations({ schema }))
  }))
  contract((name, body) => it.effect(name, () => Effect.provide(body, stores), 20_000))
})
