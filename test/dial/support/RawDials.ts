/** Raw dials by script: what each does, when, and whether it listens to its interruption; with what became of it. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Script {
  /** Milliseconds until it comes to something; `Infinity` waits for ever. */
  readonly after: number
  readonly ends: "succeed" | "fail" | "die" | "interrupt"
  /** Ignores its interruption until then. */
  readonly stubborn?: boolean | undefined
  /** Acquires something on its way, before it waits. */
  readonly partial?: boolean | undefined
}

export interface Connection {
  readonly dial: number
  readonly id: string
}

export const make = (script: (id: string, dial: number) => Script) => {
  const world = {
    /** The ids dialed, in order. */
    dials: [] as Array<string>,
    /** Dials whose fiber has not ended. */
    running: new Set<number>(),
    interrupted: [] as Array<number>,
    acquired: [] as Array<string>,
    released: [] as Array<string>
  }
  const acquire = <A>(name: string, value: A): Effect.Effect<A, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        world.acquired.push(name)
        return value
      }),
      () => Effect.sync(() => world.released.push(name))
    )
  const dial = (id: string): Effect.Effect<Connection, string, Scope.Scope> =>
    Effect.suspend(() => {
      const number = world.dials.push(id)
      const { after, partial, stubborn, ends } = script(id, number)
      world.running.add(number)
      const wait = after === Infinity ? Effect.never : after === 0 ? Effect.void : Effect.sleep(after)
      const outcome = ends === "succeed"
        ? acquire(`connection ${number}`, { dial: number, id })
        : ends === "fail"
        ? Effect.fail(`refused ${number}`)
        : ends === "die"
        ? Effect.die(`defect ${number}`)
        : Effect.interrupt
      const whole = Effect.andThen(
        partial === true ? acquire(`part ${number}`, undefined) : Effect.void,
        Effect.andThen(wait, outcome)
      )
      return (stubborn === true ? Effect.uninterruptible(whole) : whole).pipe(
        Effect.onInterrupt(() => Effect.sync(() => world.interrupted.push(number))),
        Effect.ensuring(Effect.sync(() => world.running.delete(number)))
      )
    })
  return { world, dial }
}
