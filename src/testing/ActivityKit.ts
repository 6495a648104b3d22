/**
 * What every `Activity` has to keep: which chats and workspaces it shows, and in which order.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { MessageId, TurnId } from "../domain/Ids.ts"
import { Activity } from "../store/Activity.ts"
import type { ActiveWorkspace } from "../store/Activity.ts"
import { AgentEnrollments } from "../store/AgentEnrollments.ts"
import { AgentPresence } from "../store/AgentPresence.ts"
import { Builds } from "../store/Builds.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { Chats } from "../store/Chats.ts"
import { TurnStore } from "../store/TurnStore.ts"
import { assert } from "./Assertions.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { StoreClock } from "./StoreKit.ts"
import { agentId, build, chat, incarnation, node, owner, start, stop, workspace } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports =
  | Activity
  | AgentEnrollments
  | AgentPresence
  | Builds
  | ChatBindings
  | Chats
  | StoreClock
  | TurnStore

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
  ["create", Chats.use((chats) => chats.create({ chatId: chat(`c${suffix}`), owner: ann }))],
  ["look", look({ chats: [chat(`c${suffix}`)] })]
]

const ann = owner("ann")
const bob = owner("bob")
const lease = Duration.seconds(30)

const later = Effect.flatMap(StoreClock, ({ pass }) => pass("1 second"))

const look = (options: Partial<Parameters<Activity["Service"]["look"]>[0]> = {}) =>
  Effect.flatMap(Activity, (activity) => activity.look({ chats: [], agents: [], limit: 10, ...options }))

const made = (...names: ReadonlyArray<string>) =>
  Effect.forEach(
    names,
    (name) => Effect.flatMap(Chats, (chats) => Effect.andThen(chats.create({ chatId: chat(name), owner: ann }), later)),
    { discard: true }
  )

const begin = Effect.fnUntraced(function*(name: string, of = ann) {
  const turns = yield* TurnStore
  yield* turns.begin({
    turnId: TurnId.make(`turn of ${name}`),
    chatId: chat(name),
    owner: of,
    messageId: MessageId.make("m"),
    message: { role: "user", content: [{ type: "text", text: "Go on" }] },
    nodeId: node("n"),
    lease
  })
  yield* later
})

const finish = Effect.fnUntraced(function*(name: string) {
  const turns = yield* TurnStore
  const turnId = TurnId.make(`turn of ${name}`)
  yield* turns.finish({ turnId, epoch: 1, from: 2, messages: [], status: "done", reason: null })
  yield* later
})

const ids = (all: ReadonlyArray<ActiveWorkspace>) => all.map(({ workspace }): string => workspace.workspaceId)

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "nothing is there",
    Effect.gen(function*() {
      const { asOf, chats, coveredSince, workspaces } = yield* look()
      assert.deepStrictEqual([chats, workspaces], [[], []])
      assert.deepStrictEqual(coveredSince, asOf)
    })
  ),
  StoreKit.definition(
    "chats of all owners come with their latest turn: running ones first, then those asked for, then the newest",
    Effect.gen(function*() {
      yield* made("old", "asked", "idle")
      yield* begin("worked", bob)
      yield* finish("worked")
      yield* begin("old")
      yield* made("new")
      const { chats } = yield* look({ chats: [chat("asked"), chat("unknown")] })
      assert.deepStrictEqual(
        chats.map(({ chatId, owner, turn }): ReadonlyArray<string | undefined> => [chatId, owner, turn?.turn.status]),
        [
          ["old", "ann", "running"],
          ["asked", "ann", undefined],
          ["new", "ann", undefined],
          ["worked", "bob", "done"],
          ["idle", "ann", undefined]
        ]
      )
      const [old] = chats
      assert.deepStrictEqual([old?.turn?.interrupting, old?.turn?.turn.epoch], [false, 1])
      const few = yield* look({ chats: [chat("asked")], limit: 2 })
      assert.deepStrictEqual(few.chats.map(({ chatId }): string => chatId), ["old", "asked"])
    })
  ),
  StoreKit.definition(
    "a chat has the row that it remembers",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      yield* made("c")
      const before = yield* bindings.get(chat("c"))
      yield* bindings.bindWorkspace({ chatId: chat("c"), owner: ann, workspaceId: workspace("w") })
      const { chats } = yield* look()
      assert.strictEqual(before.workspaceId, null)
      assert.deepStrictEqual(chats.map(({ binding }) => binding), [yield* bindings.get(chat("c"))])
      assert.strictEqual(chats[0]?.binding?.workspaceId, "w")
    })
  ),
  StoreKit.definition(
    "a workspace has its latest build, who holds that, and its agents with the nodes where they were last",
    Effect.gen(function*() {
      const presence = yield* AgentPresence
      const builds = yield* Builds
      yield* start("w", "b1", "a1", "a2")
      yield* presence.attach({ agentId: agentId("a2"), incarnation: incarnation("i"), nodeId: node("n1") })
      yield* start("x", "b2", "a3")
      yield* stop("x", "b3")
      yield* builds.request({
        owner: ann,
        workspaceId: workspace("x"),
        transition: "start",
        after: 2,
        build: { buildId: build("b4"), parameters: {}, repeatable: true },
        chat: null
      })
      const waiting = (yield* look()).workspaces.find(({ workspace: { workspaceId } }) => workspaceId === "x")
      assert.deepStrictEqual([waiting?.build?.build.status, waiting?.held?.nodeId], ["pending", null])
      yield* builds.take({ nodeId: node("n2"), lease, limit: Duration.minutes(15), attempts: 3 })
      const { asOf, workspaces } = yield* look()
      assert.deepStrictEqual(ids(workspaces), ["x", "w"])
      const [x, w] = workspaces
      assert.deepStrictEqual(
        [x?.workspace.owner, x?.build?.build.number, x?.build?.build.status, x?.held?.nodeId, x?.held?.canceling],
        [ann, 3, "running", node("n2"), false]
      )
      const left = Duration.toMillis(DateTime.distance(asOf, x?.held?.leaseUntil ?? asOf))
      assert(left > 0 && left <= 30_000, String(left))
      assert.deepStrictEqual(w?.agents.map(({ agent, held }) => [agent.agentId, held.nodeId, held.epoch]), [
        [agentId("a1"), null, 0],
        [agentId("a2"), node("n1"), 1]
      ])
      assert(w?.agents[1]?.agent.lastConnectedAt !== null)
    })
  ),
  StoreKit.definition(
    "workspaces of chats and of agents that are asked for come first, then those that are built, then the newest",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const builds = yield* Builds
      for (const name of ["bound", "linked", "other", "building"]) {
        yield* start(name, `start of ${name}`, `agent of ${name}`)
        yield* later
      }
      yield* made("c")
      yield* bindings.bindWorkspace({ chatId: chat("c"), owner: ann, workspaceId: workspace("bound") })
      yield* builds.request({
        owner: ann,
        workspaceId: workspace("building"),
        transition: "stop",
        after: 1,
        build: { buildId: build("stop"), parameters: {}, repeatable: true },
        chat: null
      })
      const { workspaces } = yield* look({ agents: [agentId("agent of linked"), agentId("unknown")] })
      assert.deepStrictEqual(ids(workspaces), ["linked", "bound", "building", "other"])
      const few = yield* look({ agents: [agentId("agent of linked")], limit: 1 })
      assert.deepStrictEqual(ids(few.workspaces), ["linked", "bound"])
    })
  ),
  StoreKit.definition(
    "a deleted workspace is there only for a chat that still remembers it",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const enrollments = yield* AgentEnrollments
      yield* start("w", "b1", "a1")
      yield* start("x", "b2", "a2")
      yield* made("c")
      yield* bindings.bindWorkspace({ chatId: chat("c"), owner: ann, workspaceId: workspace("w") })
      for (const [name, buildId] of [["w", "b3"], ["x", "b4"]] as const) {
        yield* enrollments.recordEnd({
          workspaceId: workspace(name),
          owner: ann,
          buildId: build(buildId),
          transition: "delete"
        })
      }
      const { workspaces } = yield* look()
      assert.deepStrictEqual(
        workspaces.map(({ build, workspace }): ReadonlyArray<string | undefined> => [
          workspace.workspaceId,
          build?.build.transition
        ]),
        [["w", "delete"]]
      )
    })
  ),
  ...StoreKit.deaths(calls)
]
