/**
 * What every `ChatBindings` has to keep, also one over the chats table of an application.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { Binding, BindResult, unbound } from "../domain/Binding.ts"
import { BindingRefused } from "../domain/Errors.ts"
import type { ChatId, OwnerId } from "../domain/Ids.ts"
import type { AgentEnrollments } from "../store/AgentEnrollments.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { assert } from "./Assertions.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { agentId, build, chat, owner, start, workspace } from "./StoreWords.ts"

/**
 * The port, and the one by which the cases bring about workspaces.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports = AgentEnrollments | ChatBindings

/**
 * A store whose chats are made by a binding, or by somebody else.
 *
 * @since 0.1.0
 * @category models
 */
export interface Harness<R = never> extends StoreKit.Harness<Ports, R> {
  readonly chats?: Chats<R> | undefined
}

/**
 * Chats that are made by somebody else, as in an application's own table.
 *
 * @since 0.1.0
 * @category models
 */
export interface Chats<R = never> {
  /** A new chat of this owner. */
  readonly make: (owner: OwnerId) => Effect.Effect<ChatId, unknown, R>
  /** An id as chats have it, of none. */
  readonly none: ChatId
}

/**
 * The cases for which the harness has the verbs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const casesFor = <R = never>(harness: Harness<R>): ReadonlyArray<Case<R>> =>
  StoreKit.casesFor(harness, definitionsFor(harness.chats))

/**
 * The cases for which it has not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skippedFor = <R = never>(harness: Harness<R>): ReadonlyArray<Skipped> =>
  StoreKit.skipped(harness, definitionsFor(harness.chats))

const calls: StoreKit.Calls<Ports> = (suffix) => [
  ["recordStart", start(`w${suffix}`, `b${suffix}`, `a${suffix}`)],
  ["bindWorkspace", bind(chat(`c${suffix}`), `w${suffix}`)],
  ...callsOn(chat(`c${suffix}`))
]

/** Those that make nothing, and do not mind whether the chat is there. */
const callsOn = (chatId: ChatId): ReturnType<StoreKit.Calls<ChatBindings>> => [
  ["get", ChatBindings.use((bindings) => bindings.get(chatId))],
  ["bindAgent", ChatBindings.use((bindings) => bindings.bindAgent(unbound(chatId), build("b"), agentId("a")))]
]

const ann = owner("ann")
const bob = owner("bob")

const row = (chatId: ChatId, generation: number, fields: Partial<Binding> = {}) =>
  new Binding({ ...unbound(chatId), ...fields, generation })

const bind = (chatId: ChatId, of: string | null, as: OwnerId = ann) =>
  ChatBindings.use((bindings) =>
    bindings.bindWorkspace({ chatId, owner: as, workspaceId: of === null ? null : workspace(of) })
  )

const definitionsFor = <R>(chats: Chats<R> | undefined): ReadonlyArray<StoreKit.Definition<Ports | R>> =>
  chats === undefined
    ? [...definitions(ownChats()), ...madeByBinding, ...StoreKit.deaths(calls)]
    : [...definitions(chats), ...madeElsewhere(chats), ...StoreKit.deaths(() => callsOn(chats.none))]

/** Each has a name that no other has; the first binding makes them. */
const ownChats = (): Chats => {
  let made = 0
  return { make: () => Effect.sync(() => chat(`c${++made}`)), none: chat("none") }
}

const definitions = <R>({ make, none }: Chats<R>): ReadonlyArray<StoreKit.Definition<Ports | R>> => [
  StoreKit.definition(
    "a chat that was never bound has generation 0 and nulls",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      for (const chatId of [yield* make(ann), none]) {
        assert.deepStrictEqual(yield* bindings.get(chatId), row(chatId, 0))
      }
    })
  ),
  StoreKit.definition(
    "binding a workspace makes the row, counts up and clears the agent",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const chatId = yield* make(ann)
      yield* start("w", "b1", "a1")
      const first = yield* bind(chatId, "w")
      assert.deepStrictEqual(first, row(chatId, 1, { workspaceId: workspace("w") }))
      const bound = yield* bindings.bindAgent(first, build("b1"), agentId("a1"))
      const withAgent = { workspaceId: workspace("w"), buildId: build("b1"), agentId: agentId("a1") }
      assert.deepStrictEqual(bound, BindResult.Bound({ binding: row(chatId, 2, withAgent) }))
      assert.deepStrictEqual(yield* bindings.get(chatId), row(chatId, 2, withAgent))
      const again = yield* bindings.bindWorkspace({
        chatId,
        owner: ann,
        workspaceId: workspace("w"),
        buildId: build("b2")
      })
      assert.deepStrictEqual(again, row(chatId, 3, { workspaceId: workspace("w"), buildId: build("b2") }))
      assert.deepStrictEqual(yield* bind(chatId, null), row(chatId, 4))
      assert.deepStrictEqual(yield* bindings.get(chatId), row(chatId, 4))
    })
  ),
  StoreKit.definition(
    "a chat of another owner is refused and stays as it is",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const chatId = yield* make(ann)
      yield* start("w", "b1", "a1")
      const before = yield* bind(chatId, "w")
      assert.deepStrictEqual(
        yield* Effect.flip(bind(chatId, null, bob)),
        new BindingRefused({ chatId, workspaceId: null })
      )
      assert.deepStrictEqual(yield* bindings.get(chatId), before)
    })
  ),
  StoreKit.definition(
    "a workspace of another owner, or none of that name, is refused and makes no row",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      for (const [as, of] of [[bob, "w"], [ann, "nowhere"]] as const) {
        const chatId = yield* make(as)
        const refused = yield* Effect.flip(bind(chatId, of, as))
        assert.deepStrictEqual(refused, new BindingRefused({ chatId, workspaceId: workspace(of) }))
        assert.deepStrictEqual(yield* bindings.get(chatId), row(chatId, 0))
      }
    })
  ),
  StoreKit.definition(
    "a late writer is superseded by the row that won, and changes nothing",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const chatId = yield* make(ann)
      yield* start("w", "b1", "a1")
      const seen = yield* bind(chatId, "w")
      yield* bindings.bindAgent(seen, build("b1"), agentId("a1"))
      const late = yield* bindings.bindAgent(seen, build("b0"), agentId("a0"))
      const won = row(chatId, 2, { workspaceId: workspace("w"), buildId: build("b1"), agentId: agentId("a1") })
      assert.deepStrictEqual(late, BindResult.Superseded({ binding: won }))
      assert.deepStrictEqual(yield* bindings.get(chatId), won)
    })
  ),
  StoreKit.definition(
    "nothing but the generation is compared: a row that was there before is not the one that is there again",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const chatId = yield* make(ann)
      yield* start("w", "b1", "a1")
      const seen = yield* bind(chatId, "w")
      yield* bind(chatId, null)
      const again = yield* bind(chatId, "w")
      assert.deepStrictEqual(
        yield* bindings.bindAgent(seen, build("b1"), agentId("a1")),
        BindResult.Superseded({ binding: again })
      )
      // Whatever else a writer believes of the row, it is the row that is written.
      const believed = row(chatId, again.generation, { workspaceId: workspace("other"), agentId: agentId("other") })
      assert.deepStrictEqual(
        yield* bindings.bindAgent(believed, build("b1"), agentId("a1")),
        BindResult.Bound({
          binding: row(chatId, 4, { workspaceId: workspace("w"), buildId: build("b1"), agentId: agentId("a1") })
        })
      )
    })
  ),
  StoreKit.definition(
    "binding an agent to a chat that is not there is superseded by the row never bound",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const result = yield* bindings.bindAgent(unbound(none), build("b1"), agentId("a1"))
      assert.deepStrictEqual(result, BindResult.Superseded({ binding: row(none, 0) }))
      assert.deepStrictEqual(yield* bindings.get(none), row(none, 0))
    })
  ),
  StoreKit.definition(
    "of many writers at once exactly one binds each generation, and all see its row",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const chatId = yield* make(ann)
      yield* start("w", "b1", "a1")
      let seen = yield* bind(chatId, "w")
      for (let round = 0; round < 25; round++) {
        const results = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, index) => agentId(`a${round}-${index}`)),
          (id) => bindings.bindAgent(seen, build("b1"), id),
          { concurrency: "unbounded" }
        )
        const winners = results.filter((result) => result._tag === "Bound")
        assert.strictEqual(winners.length, 1)
        for (const result of results) assert.deepStrictEqual(result.binding, winners[0]?.binding)
        seen = yield* bindings.get(chatId)
        assert.strictEqual(seen.generation, round + 2)
      }
    })
  ),
  StoreKit.definition(
    "a repair beside a change of the workspace never undoes it",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const chatId = yield* make(ann)
      yield* start("w", "b1", "a1")
      yield* start("next", "b2", "a2")
      for (let round = 0; round < 20; round++) {
        const seen = yield* bind(chatId, "w")
        const [repair, moved] = yield* Effect.all(
          [bindings.bindAgent(seen, build("b1"), agentId("a1")), bind(chatId, "next")],
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          moved,
          row(chatId, seen.generation + (repair._tag === "Bound" ? 2 : 1), { workspaceId: workspace("next") })
        )
        assert.deepStrictEqual(yield* bindings.get(chatId), moved)
      }
    })
  ),
  StoreKit.definition(
    "writes of many chats at once do not touch each other",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      const ids = yield* Effect.forEach(Array.from({ length: 20 }), () => make(ann))
      yield* Effect.forEach(
        ids,
        (chatId, index) =>
          Effect.flatMap(bind(chatId, "w"), (seen) => bindings.bindAgent(seen, build("b1"), agentId(`a${index}`))),
        { concurrency: "unbounded" }
      )
      for (const [index, chatId] of ids.entries()) {
        const binding = { workspaceId: workspace("w"), buildId: build("b1"), agentId: agentId(`a${index}`) }
        assert.deepStrictEqual(yield* bindings.get(chatId), row(chatId, 2, binding))
      }
    })
  ),
  StoreKit.death(
    "of two writers on one binding while the database restarts none loses what it was answered",
    ["restart"],
    Effect.fnUntraced(function*({ restart }) {
      const bindings = yield* ChatBindings
      const chatId = yield* make(ann)
      yield* start("w", "b1", "a1")
      const first = yield* bind(chatId, "w")
      const bound: Array<Binding> = []
      const restarted = yield* Deferred.make<void>()
      const write = Effect.fnUntraced(function*(writer: number, begun: Deferred.Deferred<void>) {
        let seen: Binding = first
        for (let times = 0; !(yield* Deferred.isDone(restarted)); times++) {
          const result = yield* Effect.exit(bindings.bindAgent(seen, build("b1"), agentId(`a${writer}.${times}`)))
          if (Exit.isSuccess(result)) {
            if (result.value._tag === "Bound") bound.push(result.value.binding)
            seen = result.value.binding
          } else {
            yield* Effect.sleep("20 millis")
          }
          yield* Deferred.succeed(begun, undefined)
        }
      })
      const writers = yield* Effect.forEach([1, 2], (writer) =>
        Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkChild(write(writer, begun))
          yield* Deferred.await(begun)
          return fiber
        }))
      yield* restart
      yield* Deferred.succeed(restarted, undefined)
      yield* Fiber.joinAll(writers)
      const last = yield* bindings.get(chatId)
      const generations = bound.map(({ generation }) => generation)
      assert.strictEqual(new Set(generations).size, generations.length, "each generation is of one writer")
      assert.isAtLeast(last.generation, Math.max(...generations))
      const same = bound.find(({ generation }) => generation === last.generation)
      if (same !== undefined) assert.deepStrictEqual(last, same)
    })
  )
]

const madeByBinding: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "a chat that nobody owns yet is of whoever binds it first",
    Effect.gen(function*() {
      yield* start("w", "b1", "a1")
      yield* Effect.flip(bind(chat("c"), "w", bob))
      yield* bind(chat("c"), "w")
      assert.deepStrictEqual(
        yield* Effect.flip(bind(chat("c"), null, bob)),
        new BindingRefused({ chatId: chat("c"), workspaceId: null })
      )
    })
  ),
  StoreKit.definition(
    "what could break a statement is only a name",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      const name = `'; drop table chats; -- " \\ \u{1F600} $1`
      yield* start(name, "b1", "a1")
      const bound = yield* bind(chat(name), name)
      assert.deepStrictEqual(yield* bindings.get(chat(name)), bound)
      assert(Schema.is(Binding)(bound))
    })
  )
]

const madeElsewhere = <R>({ none }: Chats<R>): ReadonlyArray<StoreKit.Definition<Ports>> => [
  StoreKit.definition(
    "a chat that is not there is refused and not made",
    Effect.gen(function*() {
      const bindings = yield* ChatBindings
      yield* start("w", "b1", "a1")
      for (const  of of["w", null]) {
        assert.deepStrictEqual(
          yield* Effect.flip(bind(none, of)),
          new BindingRefused({ chatId: none, workspaceId: of === null ? null : workspace(of) })
        )
      }
      assert.deepStrictEqual(yield* bindings.get(none), row(none, 0))
    })
  )
]
