/**
 * The first phase of a wait: a build, from the queue to its end.
 *
 * The deadline is the one that runners keep, so a build that nobody takes ends the wait too. A store that answered before
 * and does not now is asked again until then.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { isFinished } from "../domain/Build.ts"
import type { BuildRecord, LogLine } from "../domain/Build.ts"
import type { BuildProgress } from "../domain/BuildProgress.ts"
import { StoreError } from "../domain/Errors.ts"
import { Builds } from "../store/Builds.ts"
import * as Signals from "../store/Signals.ts"
import { ProvisionerConfig } from "./ProvisionerConfig.ts"
import * as StoreCall from "./StoreCall.ts"
import { elapsed } from "./Watch.ts"
import type { Watch } from "./Watch.ts"

/**
 * How the phase ended: `failure` says why the build did not succeed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Built {
  readonly record: BuildRecord
  readonly failure: string | null
}

/**
 * Fails only when the first question is not answered, or nobody knows the build.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  (watch: Watch) => Effect.Effect<Built, StoreError>,
  never,
  Builds | Signals.Signals
> = Effect.gen(function*() {
  const builds = yield* Builds
  const signals = yield* Signals.Signals
  const { limit, poll } = yield* ProvisionerConfig
  const ask = yield* StoreCall.make

  /** What is new in the log, page by page, for those who listen; lines that cannot be read now come later. */
  const tell = Effect.fnUntraced(function*({ buildId, listening, note }: Watch, record: BuildRecord, after: number) {
    let last = after
    while (listening()) {
      const lines = yield* Effect.orElseSucceed(ask("Builds.log", builds.log({ buildId, after: last })), () => [])
      if (lines.length > 0 || !isFinished(record.build)) note(building(record, lines))
      if (lines.length === 0) break
      last = lines.at(-1)?.number ?? last
    }
    return last
  })

  return Effect.fnUntraced(function*(watch): Effect.fn.Return<Built, StoreError, Scope.Scope> {
    const news = yield* signals.subscribe(Signals.build(watch.buildId))
    let record: BuildRecord | undefined
    let line = 0
    while (true) {
      const looked = yield* Effect.result(ask("Builds.get", builds.get(watch.buildId)))
      const found = Result.getOrElse(looked, () => Option.none())
      if (Option.isSome(found)) {
        record = found.value
        watch.heard(record.asOf)
        if (record.build.status === "pending") watch.note(queued(record))
        else line = yield* tell(watch, record, line)
      } else if (record === undefined) {
        return yield* Result.isFailure(looked) ? looked.failure : new StoreError({ operation: "Builds.get" })
      }
      if (isFinished(record.build)) return { record, failure: failureOf(record) }
      const left = Duration.toMillis(limit) - watch.since(record.createdAt)
      if (left <= 0) return { record, failure: overdue(record, limit) }
      yield* news.changed(Math.min(Duration.toMillis(poll), left))
    }
  }, Effect.scoped)
})

const common = ({ build: { buildId, transition } }: BuildRecord) => ({ buildId, transition })

const queued = (record: BuildRecord): BuildProgress => ({
  _tag: "Queued",
  ...common(record),
  elapsed: elapsed(record.createdAt, record.asOf),
  ahead: record.ahead
})

const building = (record: BuildRecord, lines: ReadonlyArray<LogLine>): BuildProgress => ({
  _tag: "Building",
  ...common(record),
  elapsed: elapsed(record.startedAt ?? record.createdAt, record.asOf),
  attempt: record.attempt,
  lines
})

const failureOf = ({ build, failure }: BuildRecord): string | null =>
  build.status === "succeeded" ?
    null :
    build.status === "canceled" ?
    "The build was canceled." :
    failure?.message ?? "The build failed."

const overdue = ({ build }: BuildRecord, limit: Duration.Duration): string =>
  build.status === "pending"
    ? `No runner took the build within ${Duration.format(limit)}.`
    : `The build did not end within ${Duration.format(limit)}.`
