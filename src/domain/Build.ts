/**
 * One start, stop or delete of a workspace.
 *
 * Builds of a workspace are numbered; the *latest* is the one with the highest number, whatever its state.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { BuildId, WorkspaceId } from "./Ids.ts"

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
