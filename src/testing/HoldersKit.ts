/**
 * What every `Holders` has to keep: which node holds the turn, the build and the agents of a chat.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { MessageId, TurnId } from "../domain/Ids.ts"
import type * as AgentEnrollments from "../store/AgentEnrollments.ts"
import * as AgentPresence from "../store/AgentPresence.ts"
import * as Builds from "../store/Builds.ts"
import * as Holders from "../store/Holders.ts"
import * as TurnStore from "../store/TurnStore.ts"
import { assert } from "./Assertions.ts"
import { create, limit } from "./BuildWords.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { agentId, build, chat, incarnation, node, owner, start, workspace } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports =
  | AgentEnrollments.AgentEnrollments
  | AgentPresence.AgentPresence
  | Builds.Builds
  | Holders.Holders
  | TurnStore.TurnStore

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
  ["createWorkspace", create(suffix)],
  ["of", held(`c${suffix}`, `w${suffix}`)]
]

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

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "nobody holds anything of a chat that was never seen",
    Effect.gen(function*() {
      const { agents, build, turn } = yield* held("nobody")
      assert.deepStrictEqual({ agents, build, turn }, { agents: [], build: null, turn: null })
    })
  ),
  StoreKit.definition(
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
      assert.strictEqual(turn?.interrupting, false)
      const left = turn === null ? 0 : Duration.toMillis(DateTime.distance(asOf, turn.leaseUntil))
      assert(left > 20_000 && left <= 30_000, String(left))
      yield* turns.interrupt({ chatId: chat("c"), owner: owner("ann") })
      assert((yield* held("c")).turn?.interrupting)
      assert.strictEqual((yield* held("d")).turn, null)
    })
  ),
  StoreKit.definition(
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
      assert(left > 20_000 && left <= 30_000, String(left))
    })
  ),
  StoreKit.definition(
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
  ),
  ...StoreKit.deaths(calls)
]
