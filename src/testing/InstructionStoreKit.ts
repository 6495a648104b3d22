/**
 * What every `InstructionStore` has to keep.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as InstructionStore from "../store/InstructionStore.ts"
import { assert } from "./Assertions.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { agentId, chat } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports = InstructionStore.InstructionStore

/**
 * The cases for which the harness has the verbs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = <R = never>(harness: StoreKit.Harness<Ports, R>): ReadonlyArray<Case<R>> =>
  StoreKit.casesFor(harness, definitions)

/**
 * The cases for which it has not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skippedFor = <R = never>(harness: StoreKit.Harness<Ports, R>): ReadonlyArray<Skipped> =>
  StoreKit.skipped(harness, definitions)

const calls: StoreKit.Calls<Ports> = (suffix) => [
  ["put", InstructionStore.InstructionStore.use((store) => store.put(chat(`c${suffix}`), agentId("a"), [agents]))],
  ["get", InstructionStore.InstructionStore.use((store) => store.get(chat(`c${suffix}`), agentId("a")))]
]

const agents: InstructionStore.InstructionFile = {
  path: "AGENTS.md",
  content: "# Rules\n\"quoted\", 'single', \\ and ümläut 🎈\n",
  size: 43,
  truncated: false
}

const cut: InstructionStore.InstructionFile = { path: "CLAUDE.md", content: "", size: 300_000, truncated: true }

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "a chat for which nothing was read has nothing",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.none())
    })
  ),
  StoreKit.definition(
    "what was read comes back as it was, in its order",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      yield* store.put(chat("c"), agentId("a"), [cut, agents])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.some([cut, agents]))
      assert.deepStrictEqual(yield* store.get(chat("d"), agentId("a")), Option.none())
    })
  ),
  StoreKit.definition(
    "that there were no files is kept too",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      yield* store.put(chat("c"), agentId("a"), [])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.some([]))
    })
  ),
  StoreKit.definition(
    "another agent has nothing, until it was read from that one, and then the first has not",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      yield* store.put(chat("c"), agentId("a"), [agents])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("b")), Option.none())
      yield* store.put(chat("c"), agentId("b"), [cut])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("b")), Option.some([cut]))
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.none())
    })
  ),
  StoreKit.definition(
    "what is read again takes the place of what was",
    Effect.gen(function*() {
      const store = yield* InstructionStore.InstructionStore
      yield* store.put(chat("c"), agentId("a"), [agents, cut])
      yield* store.put(chat("c"), agentId("a"), [])
      assert.deepStrictEqual(yield* store.get(chat("c"), agentId("a")), Option.some([]))
    })
  ),
  ...StoreKit.deaths(calls)
]
