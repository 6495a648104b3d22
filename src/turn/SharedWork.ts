/**
 * Work that many may wait for, each no longer than it likes, and that goes on when none of them does.
 *
 * What a turn cannot wait for is there for the next one. The work runs in fibers of the layer, one for each key, ends at
 * its limit, and is ended with the layer.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Detached from "../dial/Detached.ts"
import { DialConfig } from "../dial/DialConfig.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface SharedWork<A> {
  /** Waits for the work of a key, starting it if nobody has. None when the wait is over. */
  readonly join: (key: string, work: Effect.Effect<A>, wait: Duration.Duration) => Effect.Effect<Option.Option<A>>
  /** Starts the work of a key if nobody has, for whoever comes later. */
  readonly begin: (key: string, work: Effect.Effect<A>) => Effect.Effect<void>
}

/**
 * `otherwise` is what work comes to that passed its limit, had a defect, or was ended with the layer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<A> {
  readonly name: string
  readonly limit: Duration.Duration
  readonly otherwise: A
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*<A>({ limit, name, otherwise }: Options<A>): Effect.fn.Return<SharedWork<A>, never, Scope.Scope> {
    const detached = yield* Detached.make((yield* DialConfig).drain)
    const running = new Map<string, Fiber.Fiber<A>>()

    const started = (key: string, work: Effect.Effect<A>): Fiber.Fiber<A> => {
      const known = running.get(key)
      if (known !== undefined) return known
      const fiber = detached.run(
        Effect.timeoutOrElse(work, {
          duration: limit,
          orElse: () => Effect.as(Effect.logWarning("Work for a turn did not end in time"), otherwise)
        }).pipe(
          Effect.catchDefect((defect) => Effect.as(Effect.logError("Work for a turn failed", defect), otherwise)),
          Effect.annotateLogs({ module: "turn", fiber: name })
        )
      )
      running.set(key, fiber)
      fiber.addObserver(() => running.delete(key))
      return fiber
    }

    return {
      join: (key, work, wait) =>
        Effect.suspend(() => Fiber.await(started(key, work))).pipe(
          Effect.map((exit) => exit._tag === "Success" ? exit.value : otherwise),
          Effect.timeoutOption(wait)
        ),
      begin: (key, work) => Effect.sync(() => void started(key, work))
    }
  }
)
