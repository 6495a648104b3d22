/** Nodes that run turns over one store, with a scripted model and tools that do what a test says. */
import { assert } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Schema, Scope, Stream } from "effect"
import { Prompt, Tool } from "effect/ai"
import type { StoreError } from "../../../src/domain/Errors.ts"
import { Binding, Ids } from "../../../src/domain/index.ts"
import type { NumberedEvent, Turn, TurnEvent, TurnMessage } from "../../../src/domain/Turn.ts"
import * as MemoryStore from "../../../src/store/MemoryStore.ts"
import * as Signals from "../../../src/store/Signals.ts"
import * as TurnStore from "../../../src/store/TurnStore.ts"
import * as ScriptedModel from "../../../src/testing/ScriptedModel.ts"
import * as VirtualTime from "../../../src/testing/VirtualTime.ts"
import * as ChatTools from "../../../src/tool/ChatTools.ts"
import * as ToolCalls from "../../../src/tool/ToolCalls.ts"
import { ToolFailure } from "../../../src/tool/ToolFailure.ts"
import * as TurnLimits from "../../../src/turn/TurnLimits.ts"
import * as Turns from "../../../src/turn/Turns.ts"
import * as TurnSetup from "../../../src/turn/TurnSetup.ts"

export const chatId = Ids.ChatId.make("c")
export const otherChat = Ids.ChatId.make("other")
export const ann = Ids.OwnerId.make("ann")
export const message = (id: string) => Ids.MessageId.make(id)

export const memory: Layer.Layer<TurnStore.TurnStore> = Layer.provide(TurnStore.layerMemory, MemoryStore.layer)

const tool = <const Name extends string>(name: Name) =>
  Tool.make(name, {
    parameters: Schema.Struct({ id: Schema.optionalKey(Schema.String), millis: Schema.optionalKey(Schema.Finite) }),
    success: Schema.Unknown,
    failure: ToolFailure,
    failureMode: "return"
  })

/** What the tools of a test did, and the gates of those that wait. */
export interface Hands {
  /** Which calls began, in their order: the tool, or its argument `id`. */
  readonly ran: Array<string>
  /** Which of them were interrupted. */
  readonly interrupted: Array<string>
  /** Opens `hold` and `deaf`. */
  readonly open: Effect.Effect<void>
  /** Completes when so many calls have begun. */
  readonly untilRan: (count: number) => Effect.Effect<void>
}

export const tools = Effect.fnUntraced(function*() {
  const gate = Deferred.makeUnsafe<void>()
  const ran: Array<string> = []
  const interrupted: Array<string> = []
  let next = Deferred.makeUnsafe<void>()
  const hands: Hands = {
    ran,
    interrupted,
    open: Effect.sync(() => Deferred.doneUnsafe(gate, Effect.void)),
    untilRan: (count) =>
      Effect.suspend(() =>
        ran.length >= count ? Effect.void : Effect.andThen(Deferred.await(next), hands.untilRan(count))
      )
  }
  const runs = <A, E>(name: string, body: Effect.Effect<A, E>) => ({ id }: { readonly id?: string }) =>
    Effect.suspend(() => {
      ran.push(id ?? name)
      const woken = next
      next = Deferred.makeUnsafe()
      Deferred.doneUnsafe(woken, Effect.void)
      return Effect.onInterrupt(body, () => Effect.sync(() => interrupted.push(id ?? name)))
    })
  const refused: ToolFailure = { error: "refused", message: "No.", retry: "never" }
  const all = [
    tool("echo"),
    tool("hold"),
    tool("deaf"),
    tool("slow"),
    tool("fails"),
    tool("breaks"),
    tool("odd"),
    tool("leaves"),
    tool("reports")
  ]
  type Params = { readonly id?: string; readonly millis?: number }
  const handlers: Record<
    string,
    (
      params: Params,
      context: { readonly preliminary: (a: unknown) => Effect.Effect<void> }
    ) => Effect.Effect<unknown, ToolFailure>
  > = {
    echo: (params) => runs("echo", Effect.succeed({ said: params.id ?? null }))(params),
    hold: (params) => runs("hold", Effect.as(Deferred.await(gate), "held"))(params),
    deaf: (params) => runs("deaf", Effect.uninterruptible(Effect.as(Deferred.await(gate), "deaf")))(params),
    slow: (params) => runs("slow", Effect.as(Effect.sleep(params.millis ?? 0), params.millis))(params),
    fails: (params) => runs("fails", Effect.fail(refused))(params),
    breaks: (params) => runs("breaks", Effect.die(new Error("planted")))(params),
    odd: (params) => runs("odd", Effect.succeed(1n))(params),
    leaves: (params) => runs("leaves", Effect.interrupt)(params),
    reports: (params, { preliminary }) =>
      runs(
        "reports",
        Effect.andThen(Effect.andThen(preliminary({ at: 1 }), preliminary({ at: 2 })), Effect.succeed("done"))
      )(params)
  }
  const contexts = yield* Effect.forEach(all, (tool) =>
    Effect.succeed(Context.makeUnsafe<never>(
      new Map([[tool.id, {
        name: tool.name,
        handler: handlers[tool.name],
        context: Context.empty()
      }]])
    )))
  const toolkit = yield* ToolCalls.make(all, Context.mergeAll(...contexts))
  const opened: Array<boolean | undefined> = []
  const layer = Layer.succeed(
    ChatTools.ChatTools,
    ChatTools.ChatTools.of({
      open: ({ child }) =>
        Effect.sync(() => {
          opened.push(child)
          return {
            toolkit,
            plain: [],
            workspace: {
              connect: Effect.never,
              use: () => Effect.never,
              binding: Effect.succeed(Binding.unbound(chatId)),
              currentAgent: Effect.never,
              select: () => Effect.void
            }
          }
        })
    })
  )
  return { hands, layer, opened, toolkit }
})

/** What a node's store may do on the way: all is well unless a test says otherwise. */
export type Meddle = (store: TurnStore.TurnStore["Service"]) => TurnStore.TurnStore["Service"]

/** The node is lost, as to its store: nothing of it comes through any more, or all of it fails. */
export const silenced =
  (when: () => boolean, instead: Effect.Effect<never, StoreError> = Effect.never): Meddle => (store) => ({
    ...store,
    renew: (options) => Effect.suspend(() => when() ? instead : store.renew(options)),
    append: (options) => Effect.suspend(() => when() ? instead : store.append(options)),
    appendEvents: (options) => Effect.suspend(() => when() ? instead : store.appendEvents(options)),
    finish: (options) => Effect.suspend(() => when() ? instead : store.finish(options)),
    sweep: (options) => Effect.suspend(() => when() ? instead : store.sweep(options))
  })

/** A node, which ends with the test or when it is closed. */
export const node = Effect.fnUntraced(function*(
  name: string,
  script: ReadonlyArray<ScriptedModel.Step>,
  options?: {
    readonly limits?: TurnLimits.Options
    readonly meddle?: Meddle
    readonly system?: string
    readonly setup?: TurnSetup.TurnSetup["Service"]
    /** What it hears of other nodes: nothing unless said otherwise. */
    readonly signals?: Layer.Layer<Signals.Signals>
  }
) {
  const shared = yield* TurnStore.TurnStore
  const { hands, layer, opened } = yield* tools()
  const scope = yield* Scope.make()
  const own = { nodeId: Ids.NodeId.make(name), system: options?.system }
  const context = yield* (options?.setup === undefined
    ? Turns.layerWithoutSetup(own)
    : Layer.provide(Turns.layer(own), Layer.succeed(TurnSetup.TurnSetup, options.setup))).pipe(
      Layer.provide([
        layer,
        Layer.succeed(TurnStore.TurnStore, options?.meddle?.(shared) ?? shared),
        options?.signals ?? Signals.layer,
        TurnLimits.layer(options?.limits ?? {})
      ]),
      Layer.provideMerge(ScriptedModel.layer(script)),
      (all) => Layer.buildWithMemoMap(all, Layer.makeMemoMapUnsafe(), scope)
    )
  const close = VirtualTime.close(scope, Exit.void, { drain: "10 seconds" })
  yield* Effect.addFinalizer(() => close)
  const turns = Context.get(context, Turns.Turns)
  const model = Context.get(context, ScriptedModel.ScriptedModel)
  const send = (id: string, text = id, child?: boolean) =>
    turns.send({ chatId, owner: ann, messageId: message(id), text, child })
  return { turns, model, hands, opened, close, send, interrupt: turns.interrupt({ chatId, owner: ann }) }
})

/** Listens to a turn from now on. */
export const listen = <E>(events: Stream.Stream<NumberedEvent, E>) =>
  Effect.gen(function*() {
    const heard: Array<NumberedEvent> = []
    const fiber = yield* Effect.forkChild(
      Stream.runForEach(events, (event) => Effect.sync(() => heard.push(event))),
      { startImmediately: true }
    )
    return {
      heard: (): ReadonlyArray<TurnEvent> => heard.map(({ event }) => event),
      numbers: (): ReadonlyArray<number> => heard.map(({ number }) => number),
      end: Effect.map(Fiber.join(fiber), () => heard.at(-1)?.event),
      isOver: () => fiber.pollUnsafe() !== undefined
    }
  })

/** Sends a message and hears its turn to the end. */
export const told = <E>(sent: Effect.Effect<Turns.SentMessage, E>) =>
  Effect.flatMap(sent, ({ events }) => Effect.map(Stream.runCollect(events), (all) => all.map(({ event }) => event)))

export const history = Effect.flatMap(
  TurnStore.TurnStore,
  (store) => Effect.map(store.history({ chatId, owner: ann }), (rows) => rows.map(({ message }) => message))
)

export const latest = Effect.flatMap(
  TurnStore.TurnStore,
  (store) => Effect.map(store.latest({ chatId, owner: ann }), Option.getOrThrow)
)

/** Another node ends a turn, as if its lease had ended. */
export const endElsewhere = ({ epoch, turnId }: Turn) =>
  Effect.flatMap(
    TurnStore.TurnStore,
    (store) => store.finish({ turnId, epoch, from: 100, messages: [], status: "crashed", reason: "lost" })
  )

/** The results of the calls in a history, in their order: the ids of the calls, and what they came to. */
export const resultsIn = (messages: ReadonlyArray<TurnMessage>) =>
  messages.flatMap((message) =>
    message.role === "tool"
      ? message.content.flatMap((part) => part.type === "tool-result" ? [[part.id, part.result] as const] : [])
      : []
  )

/** The codes of those that failed, and the others as they are. */
export const outcomes = (messages: ReadonlyArray<TurnMessage>) =>
  resultsIn(messages).map(([, result]) =>
    Schema.is(Schema.Struct({ error: Schema.String }))(result) ? result.error : result
  )

export const textOf = (message: TurnMessage | undefined): string => {
  const content: string | ReadonlyArray<{ readonly type: string; readonly text?: string }> = message?.content ?? ""
  return typeof content === "string"
    ? content
    : content.flatMap(({ text, type }) => type === "text" && text !== undefined ? [text] : []).join("|")
}

/** What a provider insists on: each call has its result in the next message, and user and assistant take turns. */
export const assertAcceptable = (all: ReadonlyArray<TurnMessage>) => {
  assert.isTrue(Exit.isSuccess(Schema.decodeExit(Schema.Array(Prompt.Message))(all)))
  all.forEach((message, index) => {
    const next = all[index + 1]
    const open = message.role !== "assistant" || typeof message.content === "string"
      ? []
      : message.content.flatMap((part) => part.type === "tool-call" ? [part.id] : [])
    const answered = next?.role === "tool"
      ? next.content.flatMap((part) => part.type === "tool-result" ? [part.id] : [])
      : []
    assert.deepStrictEqual(answered, open)
    if (message.role === "user") assert.strictEqual(next?.role, "assistant")
  })
  assert.strictEqual(all.at(-1)?.role, "assistant")
}
