/**
 * What every `Chats` has to keep: repeated creations, children, and pages in order.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Binding, unbound } from "../domain/Binding.ts"
import type { Chat } from "../domain/Chat.ts"
import { BindingRefused } from "../domain/Errors.ts"
import type { AgentEnrollments } from "../store/AgentEnrollments.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { Chats } from "../store/Chats.ts"
import { assert } from "./Assertions.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { agentId, build, chat, owner, start, workspace } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports = AgentEnrollments | ChatBindings | Chats

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
  ["get", Chats.use((chats) => chats.get({ chatId: chat(`c${suffix}`), owner: ann }))],
  ["list", Chats.use((chats) => chats.list({ owner: ann, limit: 10 }))]
]

const ann = owner("ann")
const bob = owner("bob")

/** A chat of ann's, bound to an agent. */
const boundChat = Effect.fnUntraced(function*(name: string) {
  const bindings = yield* ChatBindings
  yield* start("w", "b1", "a1")
  const row = yield* bindings.bindWorkspace({ chatId: chat(name), owner: ann, workspaceId: workspace("w") })
  const { binding } = yield* bindings.bindAgent(row, build("b1"), agentId("a1"))
  return binding
})

const names = (chats: ReadonlyArray<Chat>): ReadonlyArray<string> => chats.map(({ chatId }) => chatId)

/** Errors count as equal by their messages alone. */
const assertRefused = (error: unknown, expected: BindingRefused): void => {
  assert(error instanceof BindingRefused)
  assert.deepStrictEqual({ ...error }, { ...expected })
}

/** Chats of ann's, made one after another. */
const made = Effect.fnUntraced(function*(all: ReadonlyArray<string>, parent?: string) {
  const chats = yield* Chats
  for (const name of all) {
    yield* chats.create({ chatId: chat(name), owner: ann, parent: parent === undefined ? undefined : chat(parent) })
  }
})

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "a new chat has generation 1 and no workspace",
    Effect.gen(function*() {
      const chats = yield* Chats
      const bindings = yield* ChatBindings
      const { binding, createdAt, ...created } = yield* chats.create({ chatId: chat("c"), owner: ann })
      assert.deepStrictEqual(binding, new Binding({ ...unbound(chat("c")), generation: 1 }))
      assert.deepStrictEqual(yield* bindings.get(chat("c")), binding)
      assert.deepInclude(created, { chatId: chat("c"), owner: ann, parentId: null })
      assert(DateTime.isDateTime(createdAt))
    })
  ),
  StoreKit.definition(
    "a repeat by its owner answers the row as it is now and changes nothing",
    Effect.gen(function*() {
      const chats = yield* Chats
      yield* chats.create({ chatId: chat("c"), owner: ann })
      const bound = yield* boundChat("c")
      const repeated = yield* chats.create({ chatId: chat("c"), owner: ann })
      assert.deepStrictEqual(repeated.binding, bound)
      // Also where the repeat names a parent, or a workspace, that is gone.
      for (const gone of [{ parent: chat("gone") }, { workspaceId: workspace("gone") }]) {
        assert.deepStrictEqual(yield* chats.create({ chatId: chat("c"), owner: ann, ...gone }), repeated)
      }
      assert.deepStrictEqual(yield* (yield* ChatBindings).get(chat("c")), bound)
    })
  ),
  StoreKit.definition(
    "a chat of another owner is refused",
    Effect.gen(function*() {
      const chats = yield* Chats
      const created = yield* chats.create({ chatId: chat("c"), owner: ann })
      yield* start("w", "b1", "a1")
      for (const options of [{}, { workspaceId: workspace("w") }]) {
        const error = yield* Effect.flip(chats.create({ chatId: chat("c"), owner: bob, ...options }))
        assertRefused(error, new BindingRefused({ chatId: chat("c"), workspaceId: null }))
      }
      assert.deepStrictEqual(yield* chats.create({ chatId: chat("c"), owner: ann }), created)
    })
  ),
  StoreKit.definition(
    "a child copies its parent's row as it is now, and goes its own way from there",
    Effect.gen(function*() {
      const chats = yield* Chats
      const bindings = yield* ChatBindings
      const parent = yield* boundChat("parent")
      const child = yield* chats.create({ chatId: chat("child"), owner: ann, parent: chat("parent") })
      assert.deepStrictEqual(child.binding, new Binding({ ...parent, chatId: chat("child"), generation: 1 }))
      assert.strictEqual(child.parentId, chat("parent"))
      yield* bindings.bindWorkspace({ chatId: chat("parent"), owner: ann, workspaceId: null })
      assert.deepStrictEqual(yield* bindings.get(chat("child")), child.binding)
      const late = yield* chats.create({ chatId: chat("late"), owner: ann, parent: chat("parent") })
      assert.deepStrictEqual(late.binding, new Binding({ ...unbound(chat("late")), generation: 1 }))
    })
  ),
  StoreKit.definition(
    "a parent of another owner, or none of that name, is refused and makes no row",
    Effect.gen(function*() {
      const chats = yield* Chats
      const bindings = yield* ChatBindings
      yield* boundChat("parent")
      for (const [owner, parent] of [[bob, chat("parent")], [ann, chat("nobody")]] as const) {
        const error = yield* Effect.flip(chats.create({ chatId: chat("child"), owner, parent }))
        assertRefused(error, new BindingRefused({ chatId: chat("child"), workspaceId: null }))
      }
      assert.deepStrictEqual(yield* bindings.get(chat("child")), unbound(chat("child")))
    })
  ),
  StoreKit.definition(
    "of many creations at once all answer the same row",
    Effect.gen(function*() {
      const chats = yield* Chats
      const rows = yield* Effect.all(
        Array.from({ length: 20 }, () => chats.create({ chatId: chat("c"), owner: ann })),
        { concurrency: "unbounded" }
      )
      for (const row of rows) {
        assert.deepStrictEqual(row.binding, new Binding({ ...unbound(chat("c")), generation: 1 }))
      }
    })
  ),
  StoreKit.definition(
    "a chat is made with a workspace of its owner's, and not with another's or none",
    Effect.gen(function*() {
      const chats = yield* Chats
      const bindings = yield* ChatBindings
      yield* boundChat("other")
      const { binding } = yield* chats.create({ chatId: chat("c"), owner: ann, workspaceId: workspace("w") })
      assert.deepStrictEqual(
        binding,
        new Binding({ ...unbound(chat("c")), workspaceId: workspace("w"), generation: 1 })
      )
      assert.deepStrictEqual(yield* bindings.get(chat("c")), binding)
      for (const [owner, workspaceId] of [[bob, workspace("w")], [ann, workspace("none")]] as const) {
        const error = yield* Effect.flip(chats.create({ chatId: chat("d"), owner, workspaceId }))
        assertRefused(error, new BindingRefused({ chatId: chat("d"), workspaceId }))
      }
      assert.deepStrictEqual(yield* chats.get({ chatId: chat("d"), owner: ann }), Option.none())
      // Its own workspace, not what its parent remembers of another.
      const child = yield* chats.create({
        chatId: chat("child"),
        owner: ann,
        parent: chat("other"),
        workspaceId: workspace("w")
      })
      assert.deepStrictEqual(
        child.binding,
        new Binding({ ...unbound(chat("child")), workspaceId: workspace("w"), generation: 1 })
      )
    })
  ),
  StoreKit.definition(
    "a chat is read by its owner, as it is now, and by nobody else",
    Effect.gen(function*() {
      const chats = yield* Chats
      const created = yield* chats.create({ chatId: chat("c"), owner: ann })
      const bound = yield* boundChat("c")
      const found = Option.getOrThrow(yield* chats.get({ chatId: chat("c"), owner: ann }))
      assert.deepStrictEqual(found.binding, bound)
      assert.deepStrictEqual(found.createdAt, created.createdAt)
      assert.deepStrictEqual(yield* chats.get({ chatId: chat("c"), owner: bob }), Option.none())
      assert.deepStrictEqual(yield* chats.get({ chatId: chat("none"), owner: ann }), Option.none())
    })
  ),
  StoreKit.definition(
    "a chat that came to be by its binding is one like the others",
    Effect.gen(function*() {
      const chats = yield* Chats
      const bound = yield* boundChat("c")
      const found = Option.getOrThrow(yield* chats.get({ chatId: chat("c"), owner: ann }))
      assert.deepStrictEqual(found.binding, bound)
      assert.strictEqual(found.parentId, null)
      assert.deepStrictEqual(yield* chats.list({ owner: ann, limit: 10 }), [found])
    })
  ),
  StoreKit.definition(
    "the chats of an owner are listed a page at a time, the newest first, and nobody else's",
    Effect.gen(function*() {
      const chats = yield* Chats
      yield* made(["a", "b", "c", "d"])
      yield* chats.create({ chatId: chat("z"), owner: bob })
      assert.deepStrictEqual(names(yield* chats.list({ owner: ann, limit: 10 })), ["d", "c", "b", "a"])
      assert.deepStrictEqual(names(yield* chats.list({ owner: ann, limit: 3 })), ["d", "c", "b"])
      assert.deepStrictEqual(names(yield* chats.list({ owner: ann, limit: 3, after: chat("b") })), ["a"])
      assert.deepStrictEqual(names(yield* chats.list({ owner: ann, limit: 3, after: chat("a") })), [])
      // Behind what is not there, or another's, is nothing.
      for (const after of [chat("none"), chat("z")]) {
        assert.deepStrictEqual(names(yield* chats.list({ owner: ann, limit: 3, after })), [])
      }
    })
  ),
  StoreKit.definition(
    "the children of a chat are listed apart, and among all chats",
    Effect.gen(function*() {
      const chats = yield* Chats
      yield* made(["p", "q"])
      yield* made(["p1", "p2", "p3"], "p")
      yield* made(["q1"], "q")
      const children = { owner: ann, parent: chat("p"), limit: 2 }
      assert.deepStrictEqual(names(yield* chats.list(children)), ["p3", "p2"])
      assert.deepStrictEqual(names(yield* chats.list({ ...children, after: chat("p2") })), ["p1"])
      assert.deepStrictEqual(names(yield* chats.list({ ...children, parent: chat("p1") })), [])
      assert.deepStrictEqual(names(yield* chats.list({ ...children, owner: bob })), [])
      assert.deepStrictEqual(names(yield* chats.list({ owner: ann, limit: 10 })), ["q1", "p3", "p2", "p1", "q", "p"])
    })
  ),
  ...StoreKit.deaths(calls)
]
