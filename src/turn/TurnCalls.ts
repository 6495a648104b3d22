/**
 * The calls of one step: each has exactly one result, in the order of the calls, whatever happens.
 *
 * Every call is a fiber of its own, so that a tool that does not end, or ignores that it is to end, holds up nobody beyond
 * a bound. What has no result when the turn ends gets one that says so.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { TurnEvent, TurnMessage } from "../domain/Turn.ts"
import type { ChatToolkit } from "../tool/ToolCalls.ts"
import type { ToolFailure } from "../tool/ToolFailure.ts"
import type { TurnLimits } from "./TurnLimits.ts"

/**
 * A call as the model wrote it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly id: string
  readonly name: string
  readonly params: unknown
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TurnCalls {
  /** Makes the calls, and waits for their results. */
  readonly run: Effect.Effect<void>
  /** Waits until the calls that were interrupted with `run` have ended, within the bound. */
  readonly ended: Effect.Effect<void>
  /** The results, as a message. Calls without one get theirs now. */
  readonly message: () => TurnMessage
}

/**
 * `mayBegin` is asked before each call; a call that may not begin waits for the end of the turn, which is near. Once
 * `isClosing`, those that have not begun are not made, and those that run are waited for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly calls: ReadonlyArray<Call>
  readonly toolkit: ChatToolkit
  readonly limits: TurnLimits
  readonly mayBegin: () => boolean
  readonly isClosing: () => boolean
  readonly tell: (event: TurnEvent) => void
}): TurnCalls => {
  const { calls, isClosing, limits, mayBegin, tell, toolkit } = options
  const results = new Map<Call, { readonly isFailure: boolean; readonly result: unknown }>()
  const begun = new Set<Call>()
  const fibers = new Set<Fiber.Fiber<void, unknown>>()

  const settle = (call: Call, result: unknown, isFailure: boolean): void => {
    if (results.has(call)) return
    results.set(call, { isFailure, result })
    tell({ _tag: "Result", callId: call.id, name: call.name, isFailure, result })
  }

  const failed = (call: Call, failure: ToolFailure): void => settle(call, failure, true)

  const answering = (call: Call) =>
    Stream.runForEach(
      Stream.unwrap(toolkit.handle(call.name, call.params, call.id)),
      ({ encodedResult, isFailure, preliminary }) =>
        Effect.sync(() => {
          const result = plain(encodedResult)
          if (preliminary) tell({ _tag: "Progress", callId: call.id, name: call.name, progress: result })
          else settle(call, result, isFailure)
        })
    )

  const start = (call: Call) =>
    Effect.map(Effect.forkDetach(answering(call), { startImmediately: true }), (fiber) => {
      fibers.add(fiber)
      fiber.addObserver(() => fibers.delete(fiber))
      return fiber
    })

  const conclude = (call: Call, exit: Option.Option<Exit.Exit<void, unknown>>): Effect.Effect<void> => {
    if (Option.isNone(exit)) return Effect.sync(() => failed(call, timedOut))
    if (results.has(call)) return Effect.void
    if (exit.value._tag === "Failure" && Cause.hasInterruptsOnly(exit.value.cause)) {
      return Effect.sync(() => failed(call, interrupted))
    }
    const cause = exit.value._tag === "Failure" ? exit.value.cause : Cause.die(new Error("A tool gave no result"))
    return Effect.logError("A tool failed", cause).pipe(
      Effect.annotateLogs({ "tool.name": call.name }),
      Effect.andThen(Effect.sync(() => failed(call, broken)))
    )
  }

  const one = (call: Call): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!Object.hasOwn(toolkit.tools, call.name)) {
        failed(call, noSuchTool(call.name, Object.keys(toolkit.tools)))
        return Effect.void
      }
      if (isClosing()) return Effect.void
      if (!mayBegin()) return Effect.never
      begun.add(call)
      return Effect.acquireUseRelease(
        start(call),
        (fiber) =>
          Effect.flatMap(
            Effect.timeoutOption(Fiber.await(fiber), limits.callTime),
            (exit) => conclude(call, exit)
          ),
        (fiber) => Effect.sync(() => fiber.interruptUnsafe())
      )
    })

  return {
    run: Effect.suspend(() => {
      for (const { id, name, params } of calls) tell({ _tag: "Call", callId: id, name, params })
      return Effect.forEach(calls, one, { concurrency: limits.calls, discard: true })
    }),
    ended: Effect.flatMap(
      Effect.timeoutOption(Effect.suspend(() => Fiber.awaitAll(fibers)), limits.callsEnd),
      (ended) =>
        Option.isSome(ended) ? Effect.void : Effect.logWarning("Calls did not end with their turn and were left")
    ),
    message: () => ({
      role: "tool",
      content: calls.map((call) => {
        if (!results.has(call)) failed(call, begun.has(call) ? interrupted : notMade)
        const { isFailure = true, result = null } = results.get(call) ?? {}
        return { type: "tool-result", id: call.id, name: call.name, isFailure, result }
      })
    })
  }
}

/** As it is stored and sent: what is not JSON is a defect of its tool. */
const plain = (result: unknown): unknown => JSON.parse(JSON.stringify(result ?? null))

const noSuchTool = (name: string, names: ReadonlyArray<string>): ToolFailure => ({
  error: "unknown_tool",
  message: `There is no tool ${name.slice(0, 128)}. ${
    names.length === 0 ? "There are none." : `The tools are: ${names.join(", ")}.`
  }`,
  retry: "never"
})

const broken: ToolFailure = {
  error: "internal",
  message:
    "The tool failed inside the server, which noted why. It may have had its effect: look before you repeat the " +
    "call, and tell the user if it fails again.",
  retry: "never"
}

const timedOut: ToolFailure = {
  error: "timed_out",
  message: "The call took too long and was given up. It may have had its effect: look before you repeat it.",
  retry: "never"
}

const interrupted: ToolFailure = {
  error: "interrupted",
  message: "The turn ended before this call did. It may have had its effect: look before you repeat it.",
  retry: "never"
}

const notMade: ToolFailure = {
  error: "not_made",
  message: "The turn ended before this call was made. It had no effect.",
  retry: "never"
}
