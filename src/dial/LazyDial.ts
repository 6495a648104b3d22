/**
 * Lazy dial: reach a remembered id at once, and ask whether it is still the right one only when that is slow or fails.
 *
 * The idea: a memory of whom to dial is nearly always right, so looking it up first makes every call pay for the rare
 * case. Here the dial of the remembered id starts immediately; validation starts at the delay or at the dial's failure,
 * whichever is first, and runs once. A dial that succeeds before the answer wins. Otherwise the answer decides:
 *
 * | answer            | the dial has failed                       | the dial is pending                              |
 * |-------------------|-------------------------------------------|--------------------------------------------------|
 * | same id           | dial once more, that is final: `redialed` | wait for it, a failure is final: `confirmed`     |
 * | other id          | dial the other: `switched`                | abandon the stale dial, dial the other at once   |
 * | there is none     | fail with that answer                     | abandon the stale dial, fail with that answer    |
 * | validation failed | fail with `ValidationFailed`              | wait for it: nothing is proven                   |
 *
 * **Gotchas**
 *
 * - There is no bound on the whole: add `Effect.timeoutOrElse`.
 * - Every dial runs in a fiber of its own with resources of its own, and everything here waits for fibers, never for a
 *   dial: one that ignores its interruption delays nobody. What it still brings home is released in the background.
 * - A defect or an interruption of its own, of a dial or of the validation, is no answer: it ends the call as it is.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"

/**
 * The dial failed and so did the validation: whether the id is still right is unknown. Keeps both causes.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValidationFailed<E, EV> extends Data.TaggedError("ValidationFailed")<{
  readonly dial: Cause.Cause<unknown>
  readonly validation: Cause.Cause<unknown>
}> {
  declare readonly dial: Cause.Cause<E>
  declare readonly validation: Cause.Cause<EV>

  override get message(): string {
    return "The dial failed, and whether its id is still the right one could not be validated"
  }
}

/**
 * How a lazy dial came to its connection: by the first dial (`fast`), by the first dial after validation named the
 * same id (`confirmed`), by a second dial of that id (`redialed`), by a dial of another id (`switched`).
 *
 * @category models
 * @since 0.1.0
 */
export type Path = "fast" | "confirmed" | "redialed" | "switched"

/**
 * A connection, the id it leads to and the path it took; `switched` when that is another id than the remembered one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dialed<out Id, out C> {
  readonly connection: C
  readonly id: Id
  readonly switched: boolean
  readonly path: Path
}

/**
 * What a lazy dial works with. `dial` acquires into the `Scope` it is given and may wait for ever; `validate` answers
 * which id is right, or `Result.fail` with a definite "there is none". Ids compare with `Equal.equals`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<Id, C, E, N, EV, R> {
  readonly id: Id
  readonly dial: (id: Id) => Effect.Effect<C, E, R | Scope.Scope>
  readonly validate: Effect.Effect<Result.Result<Id, N>, EV, R>
  readonly validationDelay: Duration.Input
}

/**
 * Dials the remembered id and validates it only when that is slow or fails; waits without a bound of its own.
 *
 * The connection belongs to the caller's scope. Fails with the error of the dial that was final, with the answer that
 * there is none, or with `ValidationFailed`. Never more than two dials and one validation.
 *
 * **Example** (Around the client of a sandbox service)
 *
 * ```ts
 * import { dialWithLazyValidation } from "chat-workspace/lazy-dial"
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 *
 * declare const connect: (id: string) => Effect.Effect<{ readonly run: (command: string) => Effect.Effect<string> }>
 * declare const currentId: Effect.Effect<string | undefined>
 *
 * export const sandbox = dialWithLazyValidation({
 *   id: "remembered",
 *   dial: connect,
 *   validate: Effect.map(currentId, (id) => id === undefined ? Result.fail("gone" as const) : Result.succeed(id)),
 *   validationDelay: "1 second"
 * }).pipe(Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.fail("slow" as const) }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const dialWithLazyValidation = <Id, C, E, N, EV, R>(
  options: Options<Id, C, E, N, EV, R>
): Effect.Effect<Dialed<Id, C>, E | N | ValidationFailed<E, EV>, R | Scope.Scope> =>
  launch(options, options.id, "fast", settledOrLate)

/** One dial: whom it reaches and how, the fiber it runs in, and the scope that holds what it acquires. */
interface Attempt<Id, C, E> {
  readonly id: Id
  readonly path: Path
  readonly fiber: Fiber.Fiber<C, E>
  readonly acquired: Scope.Closeable
  readonly context: Context.Context<never>
}

const dialed = <Id, C>(id: Id, path: Path, connection: C): Dialed<Id, C> => ({
  connection,
  id,
  switched: path === "switched",
  path
})

const joined = <Id, C, E>(attempt: Attempt<Id, C, E>, path: Path): Effect.Effect<Dialed<Id, C>, E> =>
  Effect.map(Fiber.join(attempt.fiber), (connection) => dialed(attempt.id, path, connection))

/** A failure that says something about the id; a defect or an interruption says something about the program. */
const hasFailed = <A, E>(exit: Exit.Exit<A, E> | undefined): exit is Exit.Failure<A, E> =>
  exit !== undefined && Exit.isFailure(exit) && Cause.hasFails(exit.cause) && !Cause.hasDies(exit.cause)

const causeOf = <A, E>(fiber: Fiber.Fiber<A, E>): Cause.Cause<E> => {
  const exit = fiber.pollUnsafe()
  return exit !== undefined && Exit.isFailure(exit) ? exit.cause : Cause.empty
}

/**
 * Waits for the first news: the dial settled, or the delay is over. This is the one wait of every dial that takes
 * time, so it is written as a callback: a timeout over the dial's fiber costs twice the time and the memory.
 */
const settledOrLate = <Id, C, E, N, EV, R>(
  options: Options<Id, C, E, N, EV, R>,
  original: Attempt<Id, C, E>
): Effect.Effect<Dialed<Id, C>, E | N | ValidationFailed<E, EV>, R | Scope.Scope> =>
  original.fiber.pollUnsafe() !== undefined ? settled(options, original) : Effect.callback((resume) => {
    const timer = Effect.runForkWith(original.context)(Effect.sleep(options.validationDelay))
    // Of all that resumes only the first counts, so the dial resumes before it ends the timer.
    original.fiber.addObserver(() => {
      resume(settled(options, original))
      timer.interruptUnsafe()
    })
    timer.addObserver(() => resume(validated(options, original)))
    return Effect.sync(() => timer.interruptUnsafe())
  })

const settled = <Id, C, E, N, EV, R>(options: Options<Id, C, E, N, EV, R>, original: Attempt<Id, C, E>) =>
  hasFailed(original.fiber.pollUnsafe()) ? validated(options, original) : joined(original, "fast")

/**
 * The race between dial and answer. A failure of one is no news, and only when both failed is the race lost. A
 * validation nobody needs any more is interrupted and not waited for.
 */
const validated = <Id, C, E, N, EV, R>(options: Options<Id, C, E, N, EV, R>, original: Attempt<Id, C, E>) =>
  Effect.acquireUseRelease(
    Effect.forkDetach(options.validate, { startImmediately: true }),
    (validation) =>
      Effect.race(
        Effect.as(decisive(original.fiber), joined(original, "fast")),
        Effect.map(decisive(validation), Effect.flatMap((answer) => decide(options, original, answer)))
      ).pipe(
        Effect.mapError(() =>
          new ValidationFailed<E, EV>({ dial: causeOf(original.fiber), validation: causeOf(validation) })
        ),
        Effect.flatten
      ),
    (validation) => Effect.sync(() => validation.interruptUnsafe())
  )

/** What to go on with once the fiber came to anything but a failure: its success, its defect, its interruption. */
const decisive = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<Effect.Effect<A>, E> =>
  Effect.flatMap(
    Fiber.await(fiber),
    (exit) => hasFailed(exit) ? Effect.failCause(exit.cause) : Effect.succeed(Effect.orDie(exit))
  )

/** The answer decides. */
const decide = Effect.fnUntraced(function*<Id, C, E, N, EV, R>(
  options: Options<Id, C, E, N, EV, R>,
  original: Attempt<Id, C, E>,
  answer: Result.Result<Id, N>
) {
  if (Result.isFailure(answer)) return yield* Effect.fail(answer.failure)
  if (!Equal.equals(answer.success, options.id)) return yield* redial(options, original, answer.success, "switched")
  return hasFailed(original.fiber.pollUnsafe())
    ? yield* redial(options, original, options.id, "redialed")
    : yield* joined(original, "confirmed")
})

const redial = <Id, C, E, N, EV, R>(
  options: Options<Id, C, E, N, EV, R>,
  original: Attempt<Id, C, E>,
  id: Id,
  path: Path
): Effect.Effect<Dialed<Id, C>, E, R | Scope.Scope> =>
  Effect.suspend(() => {
    abandon(original)
    return launch(options, id, path, (_, second) => joined(second, path))
  })

/**
 * Starts a dial. If it has succeeded by the time it first waits, that is the answer; else `wait` waits for its fiber,
 * and unless that succeeds the dial is abandoned.
 */
const launch = <Id, C, E, N, EV, R, E2, R2>(
  options: Options<Id, C, E, N, EV, R>,
  id: Id,
  path: Path,
  wait: (options: Options<Id, C, E, N, EV, R>, attempt: Attempt<Id, C, E>) => Effect.Effect<Dialed<Id, C>, E2, R2>
): Effect.Effect<Dialed<Id, C>, E2, R | R2 | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.contextWith((context: Context.Context<R | Scope.Scope>) => {
      const acquired = Scope.makeUnsafe()
      const fiber = Effect.runForkWith(Context.add(context, Scope.Scope, acquired))(options.dial(id))
      const attempt: Attempt<Id, C, E> = { id, path, fiber, acquired, context }
      return Effect.flatMap(
        Scope.addFinalizerExit(Context.get(context, Scope.Scope), (exit) => release(attempt, exit)),
        () => {
          const exit = fiber.pollUnsafe()
          return exit !== undefined && Exit.isSuccess(exit)
            ? Effect.succeed(dialed(id, path, exit.value))
            : Effect.onError(restore(wait(options, attempt)), () => Effect.sync(() => abandon(attempt)))
        }
      )
    })
  )

/** The end of the caller's scope: closes the connection, or gives up a dial that never came to one. */
const release = <Id, C, E>(attempt: Attempt<Id, C, E>, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  attempt.fiber.pollUnsafe() === undefined
    ? Effect.sync(() => abandon(attempt))
    : Scope.close(attempt.acquired, exit)

/** Interrupts a dial without waiting for it; what it acquired is released in the background when its fiber has ended. */
const abandon = <Id, C, E>(attempt: Attempt<Id, C, E>): void => {
  attempt.fiber.interruptUnsafe()
  attempt.fiber.addObserver(() => {
    const closing = Scope.closeUnsafe(attempt.acquired, Exit.void)
    if (closing !== undefined) Effect.runForkWith(attempt.context)(Effect.ignoreCause(closing, { log: "Error" }))
  })
}
