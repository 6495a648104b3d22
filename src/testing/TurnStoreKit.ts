/**
 * What every `TurnStore` has to keep: one turn at a time, fenced writes, and a history that a model provider accepts.
 *
 * @since 0.1.0
 */
import * as Prompt from "effect/ai/Prompt"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Binding from "../domain/Binding.ts"
import { BindingRefused, TurnLost, TurnRunning } from "../domain/Errors.ts"
import { MessageId, TurnId } from "../domain/Ids.ts"
import type { Turn, TurnEnd, TurnEvent, TurnMessage } from "../domain/Turn.ts"
import { ChatBindings } from "../store/ChatBindings.ts"
import { BeginResult, TurnStore } from "../store/TurnStore.ts"
import { assert } from "./Assertions.ts"
import { aroundBound } from "./BuildWords.ts"
import type { Case, Skipped } from "./Kit.ts"
import * as StoreKit from "./StoreKit.ts"
import { StoreClock } from "./StoreKit.ts"
import { chat, node, owner } from "./StoreWords.ts"

/**
 * The port, and those by which the cases bring about what it reads.
 *
 * @since 0.1.0
 * @category models
 */
export type Ports = ChatBindings | StoreClock | TurnStore

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

const calls: StoreKit.Calls<Ports> = (suffix) => {
  const chatId = chat(`c${suffix}`)
  const fence = { turnId: TurnId.make(`t${suffix}`), epoch: 1 }
  return [
    ["begin", begin(`t${suffix}`, { chat: chatId })],
    ["renew", TurnStore.use((turns) => turns.renew({ ...fence, lease }))],
    ["append", TurnStore.use((turns) => turns.append({ ...fence, from: 2, messages: [says("Hello.")] }))],
    ["appendEvents", TurnStore.use((turns) => turns.appendEvents({ ...fence, from: 1, events: [text("Hello.")] }))],
    ["interrupt", TurnStore.use((turns) => turns.interrupt({ chatId, owner: ann }))],
    ["sweep", sweep()],
    ["get", TurnStore.use((turns) => turns.get({ turnId: fence.turnId, owner: ann }))],
    ["latest", TurnStore.use((turns) => turns.latest({ chatId, owner: ann }))],
    ["history", TurnStore.use((turns) => turns.history({ chatId, owner: ann }))],
    ["events", TurnStore.use((turns) => turns.events({ turnId: fence.turnId, owner: ann, after: 0 }))],
    ["finish", TurnStore.use((turns) => turns.finish({ ...fence, ...done, from: 3, messages: [] }))]
  ]
}

const ann = owner("ann")
const bob = owner("bob")
const lease = Duration.seconds(30)
const done: TurnEnd = { status: "done", reason: null }

const user = (text: string): TurnMessage => ({ role: "user", content: [{ type: "text", text }] })
const says = (text: string): TurnMessage => ({ role: "assistant", content: [{ type: "text", text }] })
const asks = (...ids: ReadonlyArray<string>): TurnMessage => ({
  role: "assistant",
  content: ids.map((id) => ({ type: "tool-call", id, name: "execute", params: { command: id } }))
})
const text = (delta: string): TurnEvent => ({ _tag: "Text", delta })

const begin = Effect.fnUntraced(function*(id: string, options?: {
  readonly chat?: string
  readonly owner?: typeof ann
  readonly message?: string
  readonly node?: string
  readonly says?: TurnMessage
}) {
  const turns = yield* TurnStore
  const message = options?.message ?? `message of ${id}`
  return yield* turns.begin({
    turnId: TurnId.make(id),
    chatId: chat(options?.chat ?? "c"),
    owner: options?.owner ?? ann,
    messageId: MessageId.make(message),
    message: options?.says ?? user(message),
    nodeId: node(options?.node ?? "n"),
    lease
  })
})

const begun = (...args: Parameters<typeof begin>) =>
  Effect.map(begin(...args), (result) => {
    assert(BeginResult.$is("Begun")(result))
    return result
  })

const attached = (...args: Parameters<typeof begin>) =>
  Effect.map(begin(...args), (result) => {
    assert(BeginResult.$is("Attached")(result))
    return result.turn
  })

const plain = (turn: Turn): Readonly<Record<string, unknown>> => ({ ...turn })

const fence = ({ epoch, turnId }: Turn) => ({ turnId, epoch })

const finish = (turn: Turn, end: TurnEnd, from: number, ...messages: ReadonlyArray<TurnMessage>) =>
  Effect.flatMap(TurnStore, (turns) => turns.finish({ ...fence(turn), ...end, from, messages }))

const append = (turn: Turn, from: number, ...messages: ReadonlyArray<TurnMessage>) =>
  Effect.flatMap(TurnStore, (turns) => turns.append({ ...fence(turn), from, messages }))

const history = (after?: { readonly epoch: number; readonly number: number }, as = ann) =>
  Effect.flatMap(TurnStore, (turns) => turns.history({ chatId: chat("c"), owner: as, after }))

const messages = Effect.map(history(), (rows) => rows.map(({ message }) => message))

const renew = (turn: Turn) => Effect.flatMap(TurnStore, (turns) => turns.renew({ ...fence(turn), lease }))

const sweep = (keepEvents: Duration.Input = "1 day") =>
  Effect.flatMap(TurnStore, (turns) => turns.sweep({ keepEvents: Duration.fromInputUnsafe(keepEvents) }))

const eventsOf = (turn: Turn, after = 0) =>
  Effect.flatMap(TurnStore, (turns) => turns.events({ turnId: turn.turnId, owner: ann, after }))

const pass = (duration: Duration.Input) => Effect.flatMap(StoreClock, (clock) => clock.pass(duration))

/** What a provider insists on: each call has its result in the next message, and user and assistant take turns. */
const assertAcceptable = (all: ReadonlyArray<TurnMessage>) => {
  assert(Exit.isSuccess(Schema.decodeExit(Schema.Array(Prompt.Message))(all)))
  all.forEach((message, index) => {
    const next = all[index + 1]
    const open = message.role !== "assistant" || typeof message.content === "string"
      ? []
      : message.content.flatMap((part) => part.type === "tool-call" ? [part.id] : [])
    const answered = next?.role === "tool"
      ? next.content.flatMap((part) => part.type === "tool-result" ? [part.id] : [])
      : []
    assert.deepStrictEqual(answered, open)
    if (message.role === "user") assert.notStrictEqual(next?.role, "user")
  })
}

const definitions: ReadonlyArray<StoreKit.Definition<Ports>> = [
  StoreKit.definition(
    "the first message of a chat begins its first turn, with this message as its history",
    Effect.gen(function*() {
      const { history, turn } = yield* begun("t1")
      assert.deepInclude(plain(turn), {
        turnId: "t1",
        chatId: "c",
        owner: "ann",
        epoch: 1,
        nodeId: "n",
        status: "running",
        reason: null,
        endedAt: null
      })
      assert.deepStrictEqual(history, [user("message of t1")])
      assert.deepStrictEqual(Option.getOrNull(yield* (yield* TurnStore).get({ turnId: turn.turnId, owner: ann })), turn)
    })
  ),
  StoreKit.definition(
    "a chat that nobody has bound is made, and can be bound afterwards",
    Effect.gen(function*() {
      yield* begun("t1")
      const bindings = yield* ChatBindings
      assert.deepStrictEqual(yield* bindings.get(chat("c")), Binding.unbound(chat("c")))
      const bound = yield* bindings.bindWorkspace({ chatId: chat("c"), owner: ann, workspaceId: null })
      assert.strictEqual(bound.generation, 1)
    })
  ),
  StoreKit.definition(
    "a chat of another owner is refused, and shows nothing",
    Effect.gen(function*() {
      const turns = yield* TurnStore
      const { turn } = yield* begun("t1")
      const error = yield* Effect.flip(begin("t2", { owner: bob }))
      assert.deepStrictEqual(error, new BindingRefused({ chatId: chat("c"), workspaceId: null }))
      assert.deepStrictEqual(yield* history(undefined, bob), [])
      assert(Option.isNone(yield* turns.get({ turnId: turn.turnId, owner: bob })))
      assert(Option.isNone(yield* turns.latest({ chatId: chat("c"), owner: bob })))
      assert(Option.isNone(yield* turns.events({ turnId: turn.turnId, owner: bob, after: 0 })))
      assert(Option.isNone(yield* turns.interrupt({ chatId: chat("c"), owner: bob })))
      assert.strictEqual(yield* renew(turn), "held")
    })
  ),
  StoreKit.definition(
    "the same message again attaches to its turn, while it runs and after it has ended",
    Effect.gen(function*() {
      const { turn } = yield* begun("t1")
      assert.deepStrictEqual(yield* attached("t2", { message: "message of t1" }), turn)
      const ended = yield* finish(turn, done, 2, says("Hello."))
      assert.deepStrictEqual(yield* attached("t3", { message: "message of t1" }), ended)
      const second = yield* begun("t4")
      assert.deepStrictEqual(yield* attached("t5", { message: "message of t1" }), ended)
      assert.strictEqual(second.turn.epoch, 2)
    })
  ),
  StoreKit.definition(
    "a beginning that is repeated under its own id, because its answer was lost, is the same beginning",
    Effect.gen(function*() {
      const first = yield* begun("t1")
      assert.deepStrictEqual(yield* begun("t1"), first)
      yield* finish(first.turn, done, 2, says("Hello."))
      assert.strictEqual((yield* attached("t1")).status, "done")
    })
  ),
  StoreKit.definition(
    "another message is refused while a turn runs, and begins the next when it has ended, with all that was said",
    Effect.gen(function*() {
      const { turn } = yield* begun("t1")
      const error = yield* Effect.flip(begin("t2"))
      assert.deepStrictEqual(error, new TurnRunning({ chatId: chat("c"), turnId: turn.turnId }))
      yield* finish(turn, done, 2, says("Hello."))
      const next = yield* begun("t2")
      assert.strictEqual(next.turn.epoch, 2)
      assert.deepStrictEqual(next.history, [user("message of t1"), says("Hello."), user("message of t2")])
    })
  ),
  StoreKit.definition(
    "of many messages at once one begins a turn",
    Effect.gen(function*() {
      const results = yield* Effect.all(
        Array.from({ length: 10 }, (_, index) => Effect.result(begin(`t${index}`))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(results.filter(({ _tag }) => _tag === "Success").length, 1)
      assert.strictEqual((yield* history()).length, 1)
    })
  ),
  StoreKit.definition(
    "of many repeats of a message at once one begins its turn, and the others attach to that",
    Effect.gen(function*() {
      const results = yield* Effect.all(
        Array.from({ length: 10 }, (_, index) => begin(`t${index}`, { message: "m" })),
        { concurrency: "unbounded" }
      )
      const [first, ...others] = results.filter(BeginResult.$is("Begun"))
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual(new Set(results.map(({ turn }) => turn.turnId)), new Set([first?.turn.turnId]))
    })
  ),
  StoreKit.definition(
    "steps are written under their numbers, once",
    Effect.gen(function*() {
      const { turn } = yield* begun("t1")
      yield* append(turn, 2, asks("a"))
      yield* append(turn, 2, says("something else"), says("more"))
      assert.deepStrictEqual(yield* history(), [
        { epoch: 1, number: 1, message: user("message of t1") },
        { epoch: 1, number: 2, message: asks("a") },
        { epoch: 1, number: 3, message: says("more") }
      ])
      assert.deepStrictEqual((yield* history({ epoch: 1, number: 2 })).map(({ number }) => number), [3])
      assert.deepStrictEqual(yield* history({ epoch: 1, number: 3 }), [])
    })
  ),
  StoreKit.definition(
    "texts come back as they were, whatever is in them",
    Effect.gen(function*() {
      const strange = "NUL \0, half a pair \ud800, \"quotes\" \\ and 🎈"
      const { turn } = yield* begun("t1", { says: user(strange) })
      yield* append(turn, 2, says(strange))
      yield* (yield* TurnStore).appendEvents({ ...fence(turn), from: 1, events: [text(strange)] })
      assert.deepStrictEqual(yield* messages, [user(strange), says(strange)])
      const { events } = Option.getOrThrow(yield* eventsOf(turn))
      assert.deepStrictEqual(events, [{ number: 1, event: text(strange) }])
    })
  ),
  StoreKit.definition(
    "nothing is written to a turn that has ended, or under another epoch",
    Effect.gen(function*() {
      const turns = yield* TurnStore
      const { turn } = yield* begun("t1")
      const refused = Effect.fnUntraced(function*(fence: { readonly turnId: TurnId; readonly epoch: number }) {
        const writes = [
          turns.append({ ...fence, from: 2, messages: [says("late")] }),
          turns.appendEvents({ ...fence, from: 1, events: [text("late")] }),
          turns.finish({ ...fence, ...done, from: 2, messages: [says("late")] })
        ]
        for (const write of writes) {
          assert.deepStrictEqual(yield* Effect.flip(write), new TurnLost({ turnId: turn.turnId }))
        }
        assert.strictEqual(yield* turns.renew({ ...fence, lease }), "lost")
      })
      yield* refused({ turnId: turn.turnId, epoch: 2 })
      yield* finish(turn, done, 2, says("Hello."))
      yield* refused(fence(turn))
      assert.deepStrictEqual(yield* messages, [user("message of t1"), says("Hello.")])
    })
  ),
  StoreKit.definition(
    "a turn ends in one step with its last messages",
    Effect.gen(function*() {
      const { turn } = yield* begun("t1")
      const ended = yield* finish(turn, { status: "failed", reason: "steps" }, 2, says("a"), says("b"))
      assert.deepInclude(plain(ended), { status: "failed", reason: "steps" })
      assert(ended.endedAt !== null)
      assert.deepStrictEqual(yield* messages, [user("message of t1"), says("a"), says("b")])
      assert.deepStrictEqual(
        Option.getOrNull(yield* (yield* TurnStore).latest({ chatId: chat("c"), owner: ann })),
        ended
      )
    })
  ),
  StoreKit.definition(
    "somebody who wants it interrupted is heard at the next renewal",
    Effect.gen(function*() {
      const turns = yield* TurnStore
      assert(Option.isNone(yield* turns.interrupt({ chatId: chat("c"), owner: ann })))
      const { turn } = yield* begun("t1")
      assert.strictEqual(yield* renew(turn), "held")
      const wanted = yield* turns.interrupt({ chatId: chat("c"), owner: ann })
      assert.strictEqual(Option.getOrThrow(wanted).turnId, turn.turnId)
      assert.strictEqual(yield* renew(turn), "interrupting")
      yield* finish(turn, { status: "interrupted", reason: "user" }, 2, says("[interrupted]"))
      assert(Option.isNone(yield* turns.interrupt({ chatId: chat("c"), owner: ann })))
      const next = yield* begun("t2")
      assert.strictEqual(yield* renew(next.turn), "held")
    })
  ),
  StoreKit.definition(
    "a lease that is renewed lasts from then; one that has ended can be renewed while nobody ended the turn",
    Effect.gen(function*() {
      const { turn } = yield* begun("t1")
      yield* pass("20 seconds")
      assert.strictEqual(yield* renew(turn), "held")
      yield* pass("20 seconds")
      assert.strictEqual((yield* Effect.flip(begin("t2")))._tag, "TurnRunning")
      yield* pass("20 seconds")
      assert.strictEqual(yield* renew(turn), "held")
      assert.deepStrictEqual(yield* sweep(), [])
    })
  ),
  StoreKit.definition(
    "the next message ends a turn whose lease has ended, not a moment before, and every open call has an answer then",
    Effect.gen(function*() {
      const { turn } = yield* begun("t1")
      yield* append(turn, 2, asks("a", "b"))
      yield* aroundBound(
        lease,
        Effect.map(Effect.flip(begin("t2")), (error) => assert.strictEqual(error._tag, "TurnRunning")),
        Effect.gen(function*() {
          const { history, turn: next } = yield* begun("t2", { node: "m" })
          assert.deepInclude(plain(next), { epoch: 2, nodeId: "m" })
          assertAcceptable(history)
          assert.deepStrictEqual(history.slice(0, 2), [user("message of t1"), asks("a", "b")])
          const [answers, word] = history.slice(2)
          assert.deepStrictEqual(
            answers?.role === "tool" ? answers.content.map((part) => part.type === "tool-result" && part.result) : [],
            Array.from({ length: 2 }, () => ({
              error: "outcome_unknown",
              message:
                "The server that made this call was lost, and the outcome of the call is unknown. It may have had its " +
                "effect: look before you repeat it.",
              retry: "never"
            }))
          )
          assert(JSON.stringify(word).includes("the server that ran it was lost"))
          const crashed = Option.getOrThrow(yield* (yield* TurnStore).get({ turnId: turn.turnId, owner: ann }))
          assert.deepInclude(plain(crashed), { status: "crashed", reason: "lost" })
          assert.strictEqual(yield* renew(turn), "lost")
        })
      )
    })
  ),
  StoreKit.definition(
    "the message of a turn that crashed attaches to it, and does not run it again",
    Effect.gen(function*() {
      const { turn } = yield* begun("t1")
      yield* pass("31 seconds")
      const again = yield* attached("t2", { message: "message of t1" })
      assert.deepInclude(plain(again), { turnId: turn.turnId, status: "crashed" })
      assertAcceptable(yield* messages)
    })
  ),
  StoreKit.definition(
    "a sweep ends the turns whose lease has ended, and no other",
    Effect.gen(function*() {
      const { turn } = yield* begun("t1")
      yield* append(turn, 2, asks("a"))
      yield* pass("31 seconds")
      const { turn: young } = yield* begun("t2", { chat: "d" })
      const swept = yield* sweep()
      assert.deepStrictEqual(swept.map(({ status, turnId }) => [turnId, status]), [["t1", "crashed"]])
      assert.deepStrictEqual(yield* sweep(), [])
      assert.strictEqual(yield* renew(young), "held")
      assertAcceptable(yield* messages)
      assert.strictEqual((yield* history()).length, 4)
    })
  ),
  StoreKit.definition(
    "events are read in order behind a number, page by page, and stay under their first numbers",
    Effect.gen(function*() {
      const turns = yield* TurnStore
      const { turn } = yield* begun("t1")
      const all = Array.from({ length: 1001 }, (_, index) => text(`${index + 1}`))
      yield* turns.appendEvents({ ...fence(turn), from: 1, events: all })
      yield* turns.appendEvents({ ...fence(turn), from: 1001, events: [text("other"), text("1002")] })
      const first = Option.getOrThrow(yield* eventsOf(turn))
      assert.strictEqual(first.events.length, 1000)
      const rest = Option.getOrThrow(yield* eventsOf(turn, 1000))
      assert.deepStrictEqual(rest.events, [
        { number: 1001, event: text("1001") },
        { number: 1002, event: text("1002") }
      ])
      assert.deepStrictEqual(rest.turn, turn)
    })
  ),
  StoreKit.definition(
    "the events of a turn are forgotten when it ended long ago, its messages are not",
    Effect.gen(function*() {
      const turns = yield* TurnStore
      const { turn } = yield* begun("t1")
      yield* turns.appendEvents({ ...fence(turn), from: 1, events: [text("Hello.")] })
      yield* finish(turn, done, 2, says("Hello."))
      yield* pass("59 minutes")
      yield* sweep("1 hour")
      assert.strictEqual(Option.getOrThrow(yield* eventsOf(turn)).events.length, 1)
      yield* pass("2 minutes")
      yield* sweep("1 hour")
      assert.deepStrictEqual(Option.getOrThrow(yield* eventsOf(turn)).events, [])
      assert.strictEqual((yield* history()).length, 2)
    })
  ),
  StoreKit.definition(
    "a long history is read from the beginning in pages, and a turn begins with its end, from the beginning of a turn",
    Effect.gen(function*() {
      const big = "x".repeat(1024 * 1024)
      for (const id of ["t1", "t2", "t3"]) {
        const { turn } = yield* begun(id)
        yield* finish(turn, done, 2, says(big), says("and more"))
      }
      const first = yield* begun("t4", { says: user(big) })
      // Of 4 MiB, the big message of the first turn has no place any more.
      assert.deepStrictEqual(first.history[0], user("message of t2"))
      assert.strictEqual(first.history.length, 7)
      const page = yield* history()
      assert.deepInclude(page[0], { epoch: 1, number: 1 })
      const last = page.at(-1)
      assert(last !== undefined)
      assert.deepInclude(last, { epoch: 3, number: 3 })
      assert.deepStrictEqual((yield* history(last)).map(({ epoch, number }) => [epoch, number]), [[4, 1]])
    })
  ),
  StoreKit.definition(
    "a message that is larger than a page comes alone",
    Effect.gen(function*() {
      const huge = user("x".repeat(5 * 1024 * 1024))
      const { history: seen, turn } = yield* begun("t1", { says: huge })
      assert.deepStrictEqual(seen, [huge])
      yield* finish(turn, done, 2, says("Long."))
      assert.strictEqual((yield* history()).length, 1)
      assert.deepStrictEqual((yield* history({ epoch: 1, number: 1 })).map(({ message }) => message), [says("Long.")])
    })
  ),
  ...StoreKit.deaths(calls)
]
