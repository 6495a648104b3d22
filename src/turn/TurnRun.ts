/**
 * One turn on this node, from its beginning to its end: the work beside everything that may end it early.
 *
 * Whatever comes first decides: the answer, a limit, somebody who interrupts, the lease, the end of the node. The work is
 * a fiber of its own that is interrupted and waited for within a bound. Then the history is closed, so that every call
 * has a result, and written in one step with the end of the turn; all writes are fenced by the turn's epoch.
 *
 * @since 0.1.0
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { TurnLost } from "../domain/Errors.ts"
import type { Turn, TurnEnd, TurnEndReason, TurnMessage } from "../domain/Turn.ts"
import * as Bounded from "../provisioner/Bounded.ts"
import * as Lease from "../provisioner/Lease.ts"
import * as StoreAnswers from "../provisioner/StoreAnswers.ts"
import * as Signals from "../store/Signals.ts"
import { StoreConfig } from "../store/StoreConfig.ts"
import * as TurnClosing from "../store/TurnClosing.ts"
import { TurnStore } from "../store/TurnStore.ts"
import type { ChatTools } from "../tool/ChatTools.ts"
import * as TurnCalls from "./TurnCalls.ts"
import type { TurnEvents } from "./TurnEvents.ts"
import * as TurnHistory from "./TurnHistory.ts"
import { TurnLimits } from "./TurnLimits.ts"
import * as TurnModel from "./TurnModel.ts"
import type { ModelFailed } from "./TurnModel.ts"
import * as TurnPreparation from "./TurnPreparation.ts"
import type { TurnSetup } from "./TurnSetup.ts"

/**
 * A turn that has begun, by a call at `beganAt` in milliseconds of the clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Begun {
  readonly turn: Turn
  readonly history: ReadonlyArray<TurnMessage>
  readonly beganAt: number
  readonly child: boolean
  readonly events: TurnEvents
  /** Done when somebody wants it interrupted. */
  readonly interrupted: Deferred.Deferred<void>
}

/**
 * Runs a turn and answers how it ended.
 *
 * @since 0.1.0
 * @category models
 */
export type TurnRun = (begun: Begun) => Effect.Effect<TurnEnd>

/** The end of a turn, with the answer that is not in the history yet. */
interface Ending extends TurnEnd {
  readonly answer?: TurnMessage | undefined
}

/**
 * `closing` is done when the node ends; `system` are the application's words to the model, before those of `setup`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: {
  readonly system: string
  readonly setup: TurnSetup["Service"] | undefined
  readonly closing: Deferred.Deferred<void>
}): Effect.fn.Return<TurnRun, never, TurnStore | Signals.Signals | ChatTools | LanguageModel.LanguageModel> {
  const store = yield* TurnStore
  const signals = yield* Signals.Signals
  const ask = yield* TurnModel.make
  const leaseOf = yield* Lease.make
  const prepare = yield* TurnPreparation.make(options.setup)
  const limits = yield* TurnLimits
  const { callTimeout } = yield* StoreConfig

  const isClosing = (): boolean => Deferred.isDoneUnsafe(options.closing)
  const grace = Duration.divideUnsafe(limits.drain, 2)

  const awaited = <A, E>(effect: Effect.Effect<A, E>) => StoreAnswers.awaited(effect, limits.poll)

  /** How a turn ended that was not seen to be written: a write whose answer was lost was done all the same. */
  const recorded = ({ owner, turnId }: Turn): Effect.Effect<TurnEnd> =>
    Effect.map(
      Bounded.within(Effect.option(store.get({ turnId, owner })), callTimeout),
      (found) => {
        const turn = Option.getOrUndefined(Option.flatten(Option.flatten(found)))
        return turn === undefined || turn.status === "running"
          ? TurnClosing.lost
          : { status: turn.status, reason: turn.reason }
      }
    )

  return Effect.fnUntraced(function*(begun) {
    const { beganAt, child, events, interrupted, turn } = begun
    const { chatId, owner } = turn
    const fence = { turnId: turn.turnId, epoch: turn.epoch }
    const wanted = yield* signals.subscribe(Signals.interrupt(turn.turnId))
    const lease = leaseOf({
      of: "turn",
      renew: store.renew({ ...fence, lease: limits.lease }),
      since: beganAt,
      lease: limits.lease,
      every: limits.renew,
      poll: limits.poll,
      pause: wanted.changed
    })
    const history = TurnHistory.make(
      TurnHistory.recent(begun.history, limits.historyBytes),
      (messages) => awaited(store.append({ ...fence, ...messages }))
    )
    /** Of the step that is under way: what the model has said, or the calls whose results are not in the history. */
    let text = ""
    let step: TurnCalls.TurnCalls | undefined

    const work = Effect.gen(function*(): Effect.fn.Return<Ending, ModelFailed | TurnLost> {
      const { notices, step: before, system, toolkit } = yield* awaited(
        prepare({ chatId, owner, child, isHeld: lease.isHeld })
      )
      for (const message of notices) events.tell({ _tag: "Notice", message })
      const words = [options.system, ...system].filter((text) => text !== "").join("\n\n")
      for (let steps = 0; steps < limits.steps; steps++) {
        // The end of the turn is near then.
        if (!lease.isHeld()) return yield* Effect.never
        if (isClosing()) return atShutdown
        yield* before
        const answer = yield* ask({
          system: words,
          history: history.messages(),
          toolkit,
          onText: (delta) => {
            text += delta
            events.tell({ _tag: "Text", delta })
          }
        })
        if (answer.calls.length === 0) return { status: "done", reason: null, answer: answer.message }
        // Written before anything is called: whoever finds this turn crashed sees which calls may have been made.
        step = TurnCalls.make({
          calls: answer.calls,
          toolkit,
          limits,
          mayBegin: lease.isHeld,
          isClosing,
          tell: events.tell
        })
        history.add(answer.message)
        text = ""
        yield* history.save
        yield* step.run
        history.add(step.message())
        step = undefined
        yield* history.save
      }
      return failed("steps")
    })

    /** The node ends: the model is not asked any more, and calls that are under way get a while. */
    const closed = Deferred.await(options.closing).pipe(
      Effect.andThen(Effect.suspend(() => step === undefined ? Effect.void : Effect.sleep(grace))),
      Effect.as(atShutdown)
    )

    const ending = (fiber: Fiber.Fiber<Ending, ModelFailed | TurnLost>): Effect.Effect<Ending> =>
      Effect.raceAllFirst<Effect.Effect<Ending>>([
        Effect.flatMap(Fiber.await(fiber), endingOf),
        Effect.as(Deferred.await(interrupted), byUser),
        closed,
        Effect.map(lease.keep, (verdict) => verdict === "interrupting" ? byUser : TurnClosing.lost),
        Effect.as(Effect.sleep(limits.time), failed("time")),
        Effect.catchTag(events.flushing, "TurnLost", () => Effect.succeed(TurnClosing.lost))
      ])

    const { answer, ...end } = yield* Effect.acquireUseRelease(
      Effect.forkDetach(work, { startImmediately: true }),
      ending,
      (fiber) => Effect.sync(() => fiber.interruptUnsafe())
    )
    // The work is not waited for: what it may have begun are the calls, and the model has no effects.
    if (step !== undefined) yield* step.ended

    const open: ReadonlyArray<TurnMessage> = step === undefined ? [] : [step.message()]
    const last = history.unsaved(...open, answer ?? TurnClosing.lastWord(end, text))
    // In this order: whoever follows from another node hears all of it before its end.
    const finished = awaited(Effect.andThen(events.flush, store.finish({ ...fence, ...last, ...end })))
    const bound: Duration.Duration = end.status === "crashed" ? callTimeout : lease.left()
    const written = yield* Bounded.within(Effect.option(finished), bound)
    const known = Option.isSome(Option.flatten(written)) ? end : yield* recorded(turn)
    events.end({ _tag: "End", ...known })
    yield* signals.notify(Signals.turn(turn.turnId))
    return known
  }, Effect.scoped)
})

const failed = (reason: TurnEndReason): TurnEnd => ({ status: "failed", reason })
const byUser: TurnEnd = { status: "interrupted", reason: "user" }
const atShutdown: TurnEnd = { status: "interrupted", reason: "shutdown" }

const endingOf = (exit: Exit.Exit<Ending, ModelFailed | TurnLost>): Effect.Effect<Ending> => {
  if (exit._tag === "Success") return Effect.succeed(exit.value)
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  switch (error?._tag) {
    case "TurnLost":
      return Effect.succeed(TurnClosing.lost)
    case "ModelFailed":
      // Not the error itself: it may hold the request.
      return Effect.as(
        Effect.logWarning("The model of a turn failed", { reason: error.reason, error: error.cause?.reason._tag }),
        failed(error.reason)
      )
    case undefined:
      return Effect.as(Effect.logError("A turn broke", exit.cause), failed("internal"))
  }
}
