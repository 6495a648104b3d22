/** Plays one execution after the other, each from its own chance, until the time is over or one finds something. */
import { Duration, Effect, Exit } from "effect"
import type { Cause, Scope } from "effect"
import * as Chance from "./Chance.ts"

/** One execution. It has found something when it dies, fails or does not end. */
export type Play = (chance: Chance.Chance) => Effect.Effect<void, unknown>

/** Something that takes hostile input. `within` makes what its executions have in common, for as long as they are played. */
export interface Target {
  readonly name: string
  readonly within: <A, E>(use: (play: Play) => Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** A target whose common part lives in a scope. */
export const scoped = (name: string, make: Effect.Effect<Play, never, Scope.Scope>): Target => ({
  name,
  within: (use) => Effect.scoped(Effect.flatMap(make, use))
})

export interface Found {
  readonly target: string
  readonly execution: number
  readonly cause: Cause.Cause<unknown>
}

export interface Report {
  readonly target: string
  readonly executions: number
  readonly perSecond: number
}

export interface Options {
  readonly seed: number
  readonly duration: Duration.Duration
  /** The first execution; others of the same seed are played again with it. */
  readonly from?: number | undefined
  /** How many at most. */
  readonly count?: number | undefined
  /** Told before each execution. */
  readonly onExecution?: ((target: string, execution: number) => void) | undefined
}

/** The most that one execution may take, in real time. */
const patience = Duration.seconds(20)

/** Fuzzes one target. Its common part is made anew now and then, so that nothing piles up. */
export const run = Effect.fnUntraced(function*(
  { name, within }: Target,
  { count = Infinity, duration, from = 0, onExecution = () => undefined, seed }: Options
): Effect.fn.Return<Report, Found> {
  const began = performance.now()
  let execution = from
  const isOver = (last: number) => execution >= last || performance.now() - began > Duration.toMillis(duration)
  while (!isOver(from + count)) {
    const last = Math.min(execution + renewal, from + count)
    yield* within(Effect.fnUntraced(function*(play) {
      while (!isOver(last)) {
        onExecution(name, execution)
        const exit = yield* Effect.exit(play(Chance.make(name, seed, execution))).pipe(patiently)
        if (Exit.isFailure(exit)) return yield* Effect.fail<Found>({ target: name, execution, cause: exit.cause })
        execution += 1
      }
    }))
  }
  const seconds = (performance.now() - began) / 1000
  return { target: name, executions: execution - from, perSecond: Math.round((execution - from) / seconds) }
})

/**
 * Executions that have a common part. One that found something is played again behind those before it.
 */
export const renewal = 500

const patiently = <A, E>(exit: Effect.Effect<Exit.Exit<A, E>>): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.timeoutOrElse(exit, {
    duration: patience,
    orElse: () => Effect.succeed(Exit.die(new Error(`It did not end in ${Duration.format(patience)}`)))
  })
