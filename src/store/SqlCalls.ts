/**
 * How the SQL layers of all ports reach the database: bounded, apart from their callers, and with typed failures.
 *
 * Each call is a fiber of the layer, with the services of the layer: a caller's open transaction, tenant or clock are
 * not in it, only its span is. The caller waits for the result of that fiber, and the bound stands over this wait, since
 * a statement to a silent server can be interrupted only after seconds. What lost against another transaction changed
 * nothing and is tried again.
 *
 * **Gotchas**
 *
 * A write that ended at its bound is withdrawn when the server hears of it; until then it may still be done. Every write
 * of the stores is fenced, by a generation, an epoch or an owner, so that a late one does no harm.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError } from "effect/sql/SqlError"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment, Identifier } from "effect/sql/Statement"
import * as Tracer from "effect/Tracer"
import { StoreError } from "../domain/Errors.ts"
import * as Migrations from "./Migrations.ts"
import * as Pace from "./Pace.ts"
import { StoreConfig } from "./StoreConfig.ts"

/**
 * The tables of one schema and the three ways to use them.
 *
 * @since 0.1.0
 * @category models
 */
export interface SqlCalls {
  /** The application's client, without its transforms of names. */
  readonly sql: SqlClient.SqlClient
  /** A table of the schema. */
  readonly table: (name: Migrations.Table) => Identifier
  /** Runs statements of one operation, within the bound of a store call. */
  readonly call: <A, E>(
    operation: string,
    self: Effect.Effect<A, E>
  ) => Effect.Effect<A, Exclude<E, SqlError> | StoreError>
  /** As `call`, in one transaction of its own. */
  readonly transact: <A, E>(
    operation: string,
    self: Effect.Effect<A, E>
  ) => Effect.Effect<A, Exclude<E, SqlError> | StoreError>
  /**
   * A function whose concurrent calls, by whichever fibers, become one call of `execute`. With `paced` those of a crowd
   * wait for each other, less than half a second.
   */
  readonly batched: <In, A, E = never>(
    operation: string,
    execute: (inputs: Arr.NonEmptyReadonlyArray<In>) => Effect.Effect<(input: In) => Exit.Exit<A, E>, SqlError>,
    options?: { readonly paced?: boolean | undefined }
  ) => (input: In) => Effect.Effect<A, E | StoreError>
}

/**
 * Reads client and bound once. The end of the scope ends what still runs, waiting no longer than the bound for it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  options?: Migrations.Options
): Effect.fn.Return<SqlCalls, never, SqlClient.SqlClient | Scope.Scope> {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  yield* sql.onDialectOrElse({ pg: () => Effect.void, orElse: () => Effect.die("The SQL stores need PostgreSQL") })
  const schema = Migrations.schemaOf(options)
  const { callTimeout } = yield* StoreConfig
  const clock = yield* Clock.Clock
  // Without the transaction as well, in case the layer itself was built inside one.
  const context = Context.omit(sql.transactionService)(yield* Effect.context<never>())
  const fork = Effect.runForkWith(context)
  const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  let closed = false

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      for (const fiber of fibers) fiber.interruptUnsafe()
      return Effect.timeoutOption(Fiber.awaitAll(fibers), callTimeout)
    })
  )

  const start = <A, E>(self: Effect.Effect<A, E>, span: Option.Option<Tracer.AnySpan>): Fiber.Fiber<A, E> => {
    const fiber = fork(Option.match(span, {
      onNone: () => self,
      onSome: (span) => Effect.provideService(self, Tracer.ParentSpan, span)
    }))
    fibers.add(fiber)
    fiber.addObserver(() => fibers.delete(fiber))
    return fiber
  }

  const call = Effect.fnUntraced(function*<A, E>(
    operation: string,
    self: Effect.Effect<A, E>
  ): Effect.fn.Return<A, Exclude<E, SqlError> | StoreError> {
    if (closed) return yield* new StoreError({ operation, cause: new Error("The store is closed") })
    const span = yield* Effect.serviceOption(Tracer.ParentSpan)
    const exit = yield* Effect.acquireUseRelease(
      Effect.sync(() => start(typed(operation, Effect.retry(self, again)), span)),
      (fiber) => Effect.timeoutOption(Fiber.await(fiber), callTimeout),
      (fiber) => Effect.sync(() => fiber.interruptUnsafe())
    ).pipe(Effect.provideService(Clock.Clock, clock))
    if (Option.isNone(exit)) return yield* new StoreError({ operation, cause: new Cause.TimeoutError() })
    return yield* Exit.isSuccess(exit.value) ? exit.value : refail(operation, exit.value.cause)
  })

  return {
    sql,
    table: (name) => sql(`${schema}.${name}`),
    call,
    transact: (operation, self) =>
      call(
        operation,
        Effect.provideService(
          sql.withTransaction(self),
          SqlClient.BeginTransaction,
          "BEGIN ISOLATION LEVEL READ COMMITTED"
        )
      ),
    batched: <In, A, E>(
      operation: string,
      execute: (inputs: Arr.NonEmptyReadonlyArray<In>) => Effect.Effect<(input: In) => Exit.Exit<A, E>, SqlError>,
      options?: { readonly paced?: boolean | undefined }
    ) => {
      interface Batched extends Request.Request<A, E | StoreError> {
        readonly _tag: "Batched"
        readonly input: In
      }
      const Batched = Request.tagged<Batched>("Batched")
      const pace = options?.paced === true ? Pace.make(clock) : undefined
      const atOnce = RequestResolver.make<Batched>(([first, ...others]) =>
        Effect.suspend(() => {
          pace?.went(1 + others.length)
          return Effect.map(
            call(operation, execute([first.request.input, ...others.map((entry) => entry.request.input)])),
            (answer) => {
              for (const entry of [first, ...others]) entry.completeUnsafe(answer(entry.request.input))
            }
          )
        })
      )
      const resolver = pace === undefined ? atOnce : RequestResolver.setDelayEffect(atOnce, pace.wait)
      return (input: In) =>
        Effect.callback<A, E | StoreError>((resume) => {
          const cancel = Effect.requestUnsafe(Batched({ input }), { resolver, context, onExit: resume })
          return Effect.sync(cancel)
        })
    }
  }
})

/**
 * Reads the rows of an answer. Rows that do not decode are a defect: the tables are not what the migrations made.
 *
 * @since 0.1.0
 * @category getters
 */
export const rowsOf = <S extends Schema.Constraint>(
  rows: S
): (answer: ReadonlyArray<unknown>) => Effect.Effect<S["Type"], never, S["DecodingServices"]> => {
  const decode = Schema.decodeUnknownEffect(rows)
  return (answer) => Effect.orDie(decode(answer))
}

/**
 * A duration as a parameter for `double precision`: milliseconds, as text, since an array of numbers has one type for whole
 * ones and another for the rest. A year is for ever.
 *
 * @since 0.1.0
 * @category getters
 */
export const millisOf = (duration: Duration.Duration): string =>
  String(Math.min(Math.max(Duration.toMillis(duration), 0), 31_536_000_000))

/**
 * A duration as an interval.
 *
 * @since 0.1.0
 * @category getters
 */
export const interval = (sql: SqlClient.SqlClient, duration: Duration.Duration): Fragment =>
  sql`${millisOf(duration)}::text::double precision * interval '1 millisecond'`

// A whole statement or transaction was undone because of another one: nothing of it was done.
const again = {
  while: (error: unknown) =>
    isSqlError(error) && (error.reason._tag === "SerializationError" || error.reason._tag === "DeadlockError"),
  times: 3,
  schedule: Schedule.jittered(Schedule.exponential("10 millis"))
}

const typed = <A, E>(
  operation: string,
  self: Effect.Effect<A, E>
): Effect.Effect<A, Exclude<E, SqlError> | StoreError> =>
  Effect.mapError(self, (error) => isOwn(error) ? error : new StoreError({ operation, cause: error }))

const isOwn = <E>(error: E): error is Exclude<E, SqlError> => !isSqlError(error)

// A lost connection makes the end of a transaction die of the error of SQL, and the end of the layer, or of the pool
// beneath it, interrupts the fiber: to a caller both are failures of the store.
const refail = <E>(operation: string, cause: Cause.Cause<E>): Effect.Effect<never, E | StoreError> => {
  const lost = cause.reasons.filter(Cause.isDieReason).find((reason) => isSqlError(reason.defect))
  if (lost !== undefined) return Effect.fail(new StoreError({ operation, cause: lost.defect }))
  return Cause.hasInterruptsOnly(cause)
    ? Effect.fail(new StoreError({ operation, cause: Cause.squash(cause) }))
    : Effect.failCause(cause)
}
