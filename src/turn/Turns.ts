/**
 * Turns of chats on this node: a user's message begins one, and it goes on to its end whoever leaves.
 *
 * A turn belongs to the layer and not to the caller who sent the message. The same message again attaches to its turn,
 * on this node or another. When the layer ends, its turns are ended within a bound, so that the history of each is one
 * that every provider accepts; the turns of a node that was lost are ended by the others.
 *
 * @since 0.1.0
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { StoreError, TurnRefused } from "../domain/Errors.ts"
import type { BindingRefused, TurnNotFound, TurnRunning } from "../domain/Errors.ts"
import { NodeId, TurnId } from "../domain/Ids.ts"
import type { ChatId, MessageId, OwnerId } from "../domain/Ids.ts"
import type { NumberedEvent, Turn } from "../domain/Turn.ts"
import * as Signals from "../store/Signals.ts"
import { TurnStore } from "../store/TurnStore.ts"
import type { ChatTools } from "../tool/ChatTools.ts"
import * as LoopMetrics from "./LoopMetrics.ts"
import * as TurnEvents from "./TurnEvents.ts"
import * as TurnFollow from "./TurnFollow.ts"
import { TurnLimits } from "./TurnLimits.ts"
import * as TurnProgress from "./TurnProgress.ts"
import * as TurnRun from "./TurnRun.ts"
import { TurnSetup } from "./TurnSetup.ts"

/**
 * A turn that runs on this node, and what it waits for.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunningTurn extends TurnProgress.TurnProgress {
  readonly turn: Turn
  readonly runningFor: Duration.Duration
}

/**
 * The turn of a message, and everything it tells from its first event to its `End`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SentMessage {
  readonly turn: Turn
  /** Whether the message had come before. */
  readonly attached: boolean
  readonly events: Stream.Stream<NumberedEvent, StoreError>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Turns extends Context.Service<Turns, {
  readonly nodeId: NodeId
  /**
   * Begins the turn of a user's message, or attaches to it when the message had come before. The turn goes on when the
   * caller leaves. Fails with `TurnRunning` when the chat answers another message, and with `TurnRefused` when this node
   * is about to end. A child chat has no tools on templates and builds.
   */
  readonly send: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
    readonly messageId: MessageId
    readonly text: string
    readonly child?: boolean | undefined
  }) => Effect.Effect<SentMessage, TurnRunning | TurnRefused | BindingRefused | StoreError>
  /** What a turn tells behind the event with the number `after`, wherever it runs, to its `End`. */
  readonly follow: (options: {
    readonly turnId: TurnId
    readonly owner: OwnerId
    readonly after?: number | undefined
  }) => Stream.Stream<NumberedEvent, TurnNotFound | StoreError>
  /**
   * Interrupts the running turn of a chat, wherever it runs: here at once, elsewhere when a signal reaches that node, or
   * when it renews its lease. Answers the turn, or none when there is none. Its end is told by its events.
   */
  readonly interrupt: (options: {
    readonly chatId: ChatId
    readonly owner: OwnerId
  }) => Effect.Effect<Option.Option<Turn>, StoreError>
  /** What runs here now, oldest first. */
  readonly running: () => ReadonlyArray<RunningTurn>
  /**
   * Begins no more turns, and ends those that run: `interrupted`, for `shutdown`, with a result for each call. Returns when
   * none runs, or after a bound. The end of the layer does the same.
   */
  readonly drain: Effect.Effect<void>
  /** Why this node should get no messages now, for a readiness check: it shuts down. */
  readonly unready: () => ReadonlyArray<string>
}>()("chat-workspace/turn/Turns") {}

/**
 * The application's words to the model, before all others, and the name of this node (random unless given).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly system?: string | undefined
  readonly nodeId?: NodeId | undefined
}

interface Entry {
  readonly turn: Turn
  readonly beganAt: number
  readonly events: TurnEvents.TurnEvents
  readonly interrupted: Deferred.Deferred<void>
  readonly progress: () => TurnProgress.TurnProgress
}

const make = Effect.fnUntraced(function*(options: Options = {}, setup?: TurnSetup["Service"]) {
  const store = yield* TurnStore
  const signals = yield* Signals.Signals
  const limits = yield* TurnLimits
  const clock = yield* Clock.Clock
  const random = yield* SecureRandom.SecureRandom
  const nodeId = options.nodeId ?? NodeId.make(yield* random.uuidV4())
  const closing = Deferred.makeUnsafe<void>()
  const run = yield* TurnRun.make({ system: options.system ?? "", setup, closing })

  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  const running = new Map<TurnId, Entry>()

  const own = (effect: Effect.Effect<void>): void => {
    const fiber = fork(effect)
    if (fiber.pollUnsafe() !== undefined) return
    fibers.add(fiber)
    fiber.addObserver(() => fibers.delete(fiber))
  }

  const isClosing = (): boolean => Deferred.isDoneUnsafe(closing)

  const drain = Effect.suspend(() => {
    Deferred.doneUnsafe(closing, Effect.void)
    return Effect.timeoutOrElse(Effect.asVoid(Fiber.awaitAll(fibers)), {
      duration: limits.drain,
      orElse: () => {
        for (const fiber of fibers) fiber.interruptUnsafe()
        return Effect.logWarning("Turns did not end with their node in time and were left", {
          "turn.ids": Array.from(running.keys())
        })
      }
    })
  })

  yield* Effect.addFinalizer(() => drain)

  const followStored = TurnFollow.make(store, signals, limits)

  const counted = Effect.suspend(() => Metric.update(LoopMetrics.running, running.size))

  const perform = Effect.fnUntraced(function*(begun: TurnRun.Begun) {
    const { beganAt, turn } = begun
    const ids = { "chat.id": turn.chatId, "turn.id": turn.turnId }
    yield* counted
    yield* run(begun).pipe(
      // What is broken here must not look like a turn that goes on.
      Effect.catchDefect((defect) => Effect.as(Effect.logError("A turn broke", defect), internal)),
      Effect.flatMap(Effect.fnUntraced(function*(end) {
        begun.events.end({ _tag: "End", ...end })
        const seconds = (clock.currentTimeMillisUnsafe() - beganAt) / 1000
        yield* Metric.update(LoopMetrics.turns(end.status), 1)
        yield* Metric.update(LoopMetrics.duration(end.status), seconds)
        yield* Effect.annotateCurrentSpan({ "turn.status": end.status })
        yield* end.status === "crashed"
          ? Effect.logWarning("A turn is not this node's any more", { seconds })
          : Effect.logInfo("A turn ended", { ...end, seconds })
      })),
      Effect.withSpan("Turns.turn", { root: true, attributes: ids }),
      Effect.annotateLogs({ module: "Turns", fiber: "turn", ...ids }),
      Effect.ensuring(Effect.suspend(() => {
        running.delete(turn.turnId)
        return counted
      }))
    )
  })

  const follow: Turns["Service"]["follow"] = ({ after = 0, owner, turnId }) =>
    Stream.suspend((): Stream.Stream<NumberedEvent, TurnNotFound | StoreError> => {
      const entry = running.get(turnId)
      return entry?.turn.owner === owner ? entry.events.follow(after) : followStored({ turnId, owner, after })
    })

  const attachedTo = (turn: Turn): SentMessage => ({
    turn,
    attached: true,
    events: Stream.catchTag(
      follow({ turnId: turn.turnId, owner: turn.owner }),
      "TurnNotFound",
      (cause) => Stream.fail(new StoreError({ operation: "TurnStore.events", cause }))
    )
  })

  const sweep = Effect.gen(function*() {
    let failing = false
    while (true) {
      const exit = yield* Effect.exit(store.sweep({ keepEvents: limits.keepEvents }))
      // Once per outage.
      if (Exit.isFailure(exit) && !failing) yield* Effect.logWarning("Lost turns cannot be looked for", exit.cause)
      failing = Exit.isFailure(exit)
      if (Exit.isSuccess(exit)) {
        for (const { chatId, nodeId, turnId } of exit.value) {
          yield* signals.notify(Signals.turn(turnId))
          yield* Effect.logWarning("A turn of a lost node was ended", {
            "chat.id": chatId,
            "turn.id": turnId,
            "node.id": nodeId
          })
        }
      }
      const now = clock.currentTimeMillisUnsafe()
      const first = Array.from(running.values()).reduce((first, { beganAt }) => Math.min(first, beganAt), now)
      yield* Metric.update(LoopMetrics.oldest, (now - first) / 1000)
      yield* Effect.sleep(limits.sweep)
    }
  })

  own(
    Effect.raceFirst(sweep, Deferred.await(closing)).pipe(
      Effect.annotateLogs({ module: "Turns", fiber: "sweep", "node.id": nodeId }),
      Effect.withTracerEnabled(false)
    )
  )

  return Turns.of({
    nodeId,
    send: Effect.fn("Turns.send")(function*({ chatId, child = false, messageId, owner, text }) {
      yield* Effect.annotateCurrentSpan({ "chat.id": chatId })
      if (isClosing()) return yield* new TurnRefused({ chatId })
      const turnId = TurnId.make(yield* random.uuidV4())
      const answer = Deferred.makeUnsafe<SentMessage, TurnRunning | BindingRefused | StoreError>()
      const begin = store.begin({
        turnId,
        chatId,
        owner,
        messageId,
        message: { role: "user", content: [{ type: "text", text }] },
        nodeId,
        lease: limits.lease
      })
      // A fiber of the layer: a caller that leaves in the middle leaves no turn without a runner.
      own(Effect.asVoid(
        Effect.gen(function*() {
          let beganAt = clock.currentTimeMillisUnsafe()
          const result = yield* Effect.exit(Effect.catchTag(begin, "StoreError", () => {
            // It may have begun without our knowing, and the second time tells.
            beganAt = clock.currentTimeMillisUnsafe()
            return begin
          }))
          if (Exit.isFailure(result)) return yield* Deferred.failCause(answer, result.cause)
          const { value } = result
          if (value._tag === "Attached") return yield* Deferred.succeed(answer, attachedTo(value.turn))
          const { history, turn } = value
          const fence = { turnId, epoch: turn.epoch }
          const told = signals.notify(Signals.turn(turnId))
          const { events, progress } = TurnProgress.observe(
            TurnEvents.make(
              (from, events) => Effect.andThen(store.appendEvents({ ...fence, from, events }), told),
              limits
            ),
            clock
          )
          const begun = { turn, history, beganAt, child, events, progress, interrupted: Deferred.makeUnsafe<void>() }
          running.set(turnId, begun)
          yield* Deferred.succeed(answer, { turn, attached: false, events: events.follow(0) })
          yield* perform(begun)
        }).pipe(Effect.ensuring(Deferred.interrupt(answer)))
      ))
      return yield* Deferred.await(answer)
    }),
    follow,
    interrupt: Effect.fn("Turns.interrupt")(function*({ chatId, owner }) {
      yield* Effect.annotateCurrentSpan({ "chat.id": chatId })
      const here = Array.from(running.values()).find(({ turn }) => turn.chatId === chatId && turn.owner === owner)
      if (here === undefined) {
        const there = yield* store.interrupt({ chatId, owner })
        if (Option.isSome(there)) yield* signals.notify(Signals.interrupt(there.value.turnId))
        return there
      }
      Deferred.doneUnsafe(here.interrupted, Effect.void)
      return Option.some(here.turn)
    }),
    running: () =>
      Array.from(running.values(), ({ beganAt, progress, turn }) => ({
        turn,
        runningFor: Duration.millis(clock.currentTimeMillisUnsafe() - beganAt),
        ...progress()
      })),
    drain,
    unready: () => isClosing() ? ["this node shuts down"] : []
  })
})

const internal = { status: "failed", reason: "internal" } as const

/**
 * Turns over any model, with instruction files and the workspace's own tools.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<Turns, never, TurnStore | Signals.Signals | ChatTools | TurnSetup | LanguageModel.LanguageModel> =>
  Layer.effect(Turns, Effect.flatMap(TurnSetup, (setup) => make(options, setup))).pipe(
    Layer.provide(SecureRandom.layerWebCrypto)
  )

/**
 * Turns over any model, with the tools of the chat alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithoutSetup = (
  options?: Options
): Layer.Layer<Turns, never, TurnStore | Signals.Signals | ChatTools | LanguageModel.LanguageModel> =>
  Layer.effect(Turns, make(options)).pipe(Layer.provide(SecureRandom.layerWebCrypto))

/**
 * Ends the turns when it is released. Merged above the HTTP server it is released before it, so that those who follow a
 * turn are told how it ended.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDrain: Layer.Layer<never, never, Turns> = Layer.effectDiscard(
  Effect.flatMap(Turns, ({ drain }) => Effect.addFinalizer(() => drain))
)
