import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Option, type Scope } from "effect"
import type { SqlClient } from "effect/sql"
import * as InstructionStore from "../../src/store/InstructionStore.ts"
import * as Migrations from "../../src/store/Migrations.ts"
import * as SqlInstructionStore from "../../src/store/SqlInstructionStore.ts"
import { emptyDatabase } from "../postgres.ts"
import { agentId, chat } from "./support.ts"

type Test = (
  name: string,
  body: Effect.Effect<void, unknown, InstructionStore.InstructionStore | Scope.Scope>
) => void

const agents: InstructionStore.InstructionFile = {
  path: "AGENTS.md",
  content: "# Rules\n\"quoted\", 'single', \\ and ümläut 🎈\n",
  size: 43,
  truncated: false
}

const cut: InstructionStore.InstructionFile = { path: "CLAUDE.md", content: "", size: 300_000, truncated: true }

const contract = (test: Test): void => {
  test(
    "a chat for which nothing was read has nothing",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.none())
    })
  )

  test(
    "what was read comes back as it was, in its order",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      yield* store.put(chat("c"), agentId("a"), [cut, agents])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.some([cut, agents]))
      assert.deepStrictEqual(yield* store.get(chat("d"), agentId("a")), Option.none())
    })
  )

  test(
    "that there were no files is kept too",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      yield* store.put(chat("c"), agentId("a"), [])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.some([]))
    })
  )

  test(
    "another agent has nothing, until it was read from that one, and then the first has not",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      yield* store.put(chat("c"), agentId("a"), [agents])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("b")), Option.none())
      yield* store.put(chat("c"), agentId("b"), [cut])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("b")), Option.some([cut]))
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.none())
    })
  )

  test(
    "what is read again takes the place of what was",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      yield* store.put(chat("c"), agentId("a"), [agents, cut])
      yield* store.put(chat("c"), agentId("a"), [])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.some([]))
    })
  )
}

describe("InstructionStore in memory", () =>
  contract((name, body) => it.effect(name, () => Effect.provide(body, InstructionStore.layerMemory))))

let schemas = 0

/** A schema of its own in the database of the block. */
const sql: Layer.Layer<InstructionStore.InstructionStore, unknown, SqlClient.SqlClient> = Layer.unwrap(
  Effect.sync(() => {
    const schema = `instructions_${++schemas}`
    return Layer.provideMerge(SqlInstructionStore.layer({ schema }), Migrations.layerMigrations({ schema }))
  })
)

layer(emptyDatabase(), { excludeTestServices: true, timeout: "60 seconds" })(
  "InstructionStore in PostgreSQL",
  (it) => contract((name, body) => it.effect(name, () => Effect.provide(body, sql), 20_000))
)
