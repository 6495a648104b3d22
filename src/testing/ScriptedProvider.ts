/**
 * A provider that does what a test says: builds succeed, fail, hang and print as scripted. Everything is counted.
 *
 * Templates choose it by the type `scripted`. Verbs are about one transition or, without one, about all; they hold for
 * calls to come until the next of their kind. A call that hangs ends as the next script says.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { Transition } from "../domain/Build.ts"
import * as Provider from "../provisioner/Provider.ts"
import { ProviderFailed, Providers } from "../provisioner/Provider.ts"
import type { ProviderRequest } from "../provisioner/Provider.ts"

/**
 * The name by which templates choose it.
 *
 * @since 0.1.0
 * @category constants
 */
export const type = "scripted"

/**
 * Calls that began, those that run, and those that ended: by their script, or by interruption.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  readonly calls: number
  readonly running: number
  readonly finished: number
  readonly interrupted: number
}

/**
 * What a call does in the workspace before it succeeds.
 *
 * @since 0.1.0
 * @category models
 */
export type Handler = (request: ProviderRequest) => Effect.Effect<void, ProviderFailed>

/**
 * The hands on the provider. Verbs take effect at once and never fail.
 *
 * @since 0.1.0
 * @category services
 */
export class ScriptedProvider extends Context.Service<ScriptedProvider, {
  /** Calls succeed. So they do before anything is said. */
  readonly succeed: (transition?: Transition | undefined) => Effect.Effect<void>
  /** Calls fail with this detail. */
  readonly fail: (detail: string, transition?: Transition | undefined) => Effect.Effect<void>
  /** Calls die. */
  readonly die: (defect: unknown, transition?: Transition | undefined) => Effect.Effect<void>
  /** Calls wait for the next script. */
  readonly hang: (transition?: Transition | undefined) => Effect.Effect<void>
  /** Calls take this long before they end as they should; no time unless said otherwise. */
  readonly takes: (duration: Duration.Input, transition?: Transition | undefined) => Effect.Effect<void>
  /** Calls run to their end whoever interrupts them, or hear it again. */
  readonly ignoreInterruption: (ignore: boolean, transition?: Transition | undefined) => Effect.Effect<void>
  /** What calls print when they begin. */
  readonly print: (lines: ReadonlyArray<string>, transition?: Transition | undefined) => Effect.Effect<void>
  /** What a start does before it succeeds, as to bring its agents alive. */
  readonly onStart: (handler: Handler) => Effect.Effect<void>
  /** What a stop or a delete does before it succeeds. */
  readonly onEnd: (handler: Handler) => Effect.Effect<void>
  /** Whether builds that are asked for from now on may be run again after their runner was lost; so it is at first. */
  readonly repeatable: (repeatable: boolean) => Effect.Effect<void>
  /** Of one transition, or of all together. */
  readonly counts: (transition?: Transition | undefined) => Counts
  /** What was asked, in order. */
  readonly requests: () => ReadonlyArray<ProviderRequest & { readonly transition: Transition }>
  /** Completes when so many calls have begun, counted from the beginning. */
  readonly untilCalled: (calls: number, transition?: Transition | undefined) => Effect.Effect<void>
}>()("chat-workspace/testing/ScriptedProvider") {}

type Ending = Exit.Exit<void, ProviderFailed> | "hang"

interface Scripted {
  readonly transition: Transition
  readonly counts: { -readonly [Key in keyof Counts]: Counts[Key] }
  /** Completed by the next script. */
  news: Deferred.Deferred<void>
  ending: Ending
  takes: Duration.Input
  ignores: boolean
  prints: ReadonlyArray<string>
  handler: Handler
}

const make = Effect.sync(() => {
  const scripted: Readonly<Record<Transition, Scripted>> = {
    start: initial("start"),
    stop: initial("stop"),
    delete: initial("delete")
  }
  const requests: Array<ProviderRequest & { readonly transition: Transition }> = []
  let repeatable = true
  /** Completed by the next call. */
  let called = Deferred.makeUnsafe<void>()

  const of = (transition: Transition | undefined): ReadonlyArray<Scripted> =>
    transition === undefined ? Object.values(scripted) : [scripted[transition]]

  const on = (transition: Transition | undefined, change: (script: Scripted) => void): Effect.Effect<void> =>
    Effect.sync(() => of(transition).forEach(change))

  const end = (transition: Transition | undefined, ending: Ending): Effect.Effect<void> =>
    on(transition, (script) => {
      script.ending = ending
      const { news } = script
      script.news = Deferred.makeUnsafe()
      Deferred.doneUnsafe(news, Effect.void)
    })

  const control = ScriptedProvider.of({
    succeed: (transition) => end(transition, Exit.void),
    fail: (detail, transition) => end(transition, Exit.fail(new ProviderFailed({ detail }))),
    die: (defect, transition) => end(transition, Exit.die(defect)),
    hang: (transition) => end(transition, "hang"),
    takes: (duration, transition) =>
      on(transition, (script) => {
        script.takes = duration
      }),
    ignoreInterruption: (ignore, transition) =>
      on(transition, (script) => {
        script.ignores = ignore
      }),
    print: (lines, transition) =>
      on(transition, (script) => {
        script.prints = lines
      }),
    onStart: (handler) =>
      on("start", (script) => {
        script.handler = handler
      }),
    onEnd: (handler) =>
      Effect.sync(() => {
        scripted.stop.handler = handler
        scripted.delete.handler = handler
      }),
    repeatable: (value) =>
      Effect.sync(() => {
        repeatable = value
      }),
    counts: (transition) => total(of(transition)),
    requests: () => requests.slice(),
    untilCalled: (calls, transition) =>
      Effect.suspend(() =>
        control.counts(transition).calls >= calls
          ? Effect.void
          : Effect.andThen(Deferred.await(called), control.untilCalled(calls, transition))
      )
  })

  const call = (script: Scripted) => (request: ProviderRequest): Effect.Effect<void, ProviderFailed> =>
    Effect.uninterruptibleMask((restore) => {
      requests.push({ ...request, transition: script.transition })
      script.counts.calls++
      script.counts.running++
      const waiting = called
      called = Deferred.makeUnsafe()
      Deferred.doneUnsafe(waiting, Effect.void)
      const played = play(script, request)
      return Effect.onExit(script.ignores ? played : restore(played), (exit) =>
        Effect.sync(() => {
          script.counts.running--
          if (Exit.hasInterrupts(exit)) script.counts.interrupted++
          else script.counts.finished++
        }))
    })

  const provider: Provider.Provider = {
    type,
    isRepeatable: () => repeatable,
    check: () => Effect.void,
    start: call(scripted.start),
    stop: call(scripted.stop),
    delete: call(scripted.delete)
  }

  return Context.make(ScriptedProvider, control).pipe(Context.add(Providers, Provider.make([provider])))
})

/**
 * The provider alone among the providers, and the hands on it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ScriptedProvider | Providers> = Layer.effectContext(make)

const initial = (transition: Transition): Scripted => ({
  transition,
  counts: { calls: 0, running: 0, finished: 0, interrupted: 0 },
  news: Deferred.makeUnsafe(),
  ending: Exit.void,
  takes: 0,
  ignores: false,
  prints: [],
  handler: () => Effect.void
})

const play = Effect.fnUntraced(function*(script: Scripted, request: ProviderRequest) {
  for (const line of script.prints) yield* request.log(line)
  // Without a wait there is no step in which time could pass.
  if (script.takes !== 0) yield* Effect.sleep(script.takes)
  while (script.ending === "hang") yield* Deferred.await(script.news)
  yield* script.ending
  yield* script.handler(request)
})

const total = (scripts: ReadonlyArray<Scripted>): Counts => {
  const sum = { calls: 0, running: 0, finished: 0, interrupted: 0 }
  for (const { counts } of scripts) {
    sum.calls += counts.calls
    sum.running += counts.running
    sum.finished += counts.finished
    sum.interrupted += counts.interrupted
  }
  return sum
}
