/**
 * One start, stop or delete of a workspace.
 *
 * Builds of a workspace are numbered; the *latest* is the one with the highest number, whatever its state.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { BuildId, TemplateId, WorkspaceId } from "./Ids.ts"

/**
 * What a build does to its workspace.
 *
 * @since 0.1.0
 * @category models
 */
export const Transition = Schema.Literals(["start", "stop", "delete"])

/**
 * @since 0.1.0
 * @category models
 */
export type Transition = typeof Transition.Type

/**
 * How far a build is. The last three are final.
 *
 * @since 0.1.0
 * @category models
 */
export const BuildStatus = Schema.Literals(["pending", "running", "succeeded", "failed", "canceled"])

/**
 * @since 0.1.0
 * @category models
 */
export type BuildStatus = typeof BuildStatus.Type

/**
 * A build as the store holds it. `logTail` is the end of the log of a build that failed.
 *
 * @since 0.1.0
 * @category models
 */
export class Build extends Schema.Class<Build>("chat-workspace/domain/Build")({
  buildId: BuildId,
  workspaceId: WorkspaceId,
  number: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  transition: Transition,
  status: BuildStatus,
  logTail: Schema.NullOr(Schema.String)
}) {}

/**
 * Why a build failed: its provider said so, its runner was lost and it may not be run again, it took longer than its
 * limit, or its template or provider is not there any more.
 *
 * @since 0.1.0
 * @category models
 */
export const BuildFailureCode = Schema.Literals(["provider_failed", "runner_lost", "timed_out", "template_missing"])

/**
 * @since 0.1.0
 * @category models
 */
export type BuildFailureCode = typeof BuildFailureCode.Type

/**
 * What became of a build that ended.
 *
 * @since 0.1.0
 * @category models
 */
export const BuildOutcome = Schema.Union([
  Schema.TaggedStruct("Succeeded", {}),
  Schema.TaggedStruct("Failed", { code: BuildFailureCode, message: Schema.String }),
  Schema.TaggedStruct("Canceled", {})
])

/**
 * @since 0.1.0
 * @category models
 */
export type BuildOutcome = typeof BuildOutcome.Type

/**
 * A build as the queue holds it, read at `asOf`; every instant is of the store's clock.
 *
 * `parameters` are the resolved ones, as texts. `failure` is set once it failed. `attempt` counts how often it was taken
 * by a runner, and `ahead` the builds that wait before it while it is pending. A build that was recorded and not run here
 * has no template.
 *
 * @since 0.1.0
 * @category models
 */
export class BuildRecord extends Schema.Class<BuildRecord>("chat-workspace/domain/BuildRecord")({
  build: Build,
  templateId: Schema.NullOr(TemplateId),
  parameters: Schema.Record(Schema.String, Schema.String),
  failure: Schema.NullOr(Schema.Struct({ code: BuildFailureCode, message: Schema.String })),
  attempt: Schema.Natural,
  ahead: Schema.Natural,
  createdAt: Schema.DateTimeUtc,
  startedAt: Schema.NullOr(Schema.DateTimeUtc),
  finishedAt: Schema.NullOr(Schema.DateTimeUtc),
  asOf: Schema.DateTimeUtc
}) {}

/**
 * Whether a build has come to its end.
 *
 * @since 0.1.0
 * @category getters
 */
export const isFinished = (build: { readonly status: BuildStatus }): boolean =>
  build.status !== "pending" && build.status !== "running"

/**
 * One line of a build's log. Lines are numbered from 1 in the order in which they were written; a gap in the numbers is
 * lines that were not kept.
 *
 * @since 0.1.0
 * @category models
 */
export const LogLine = Schema.Struct({
  number: Schema.Int,
  at: Schema.DateTimeUtc,
  text: Schema.String
})

/**
 * @since 0.1.0
 * @category models
 */
export type LogLine = typeof LogLine.Type
