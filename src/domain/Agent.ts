/**
 * The identity under which one agent program runs: one row per agent of a start build.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import type { Build } from "./Build.ts"
import { AgentId, BuildId, WorkspaceId } from "./Ids.ts"

/**
 * What the start-up scripts of an agent have come to. Connecting never looks at it.
 *
 * @since 0.1.0
 * @category models
 */
export const Lifecycle = Schema.Literals([
  "created",
  "starting",
  "ready",
  "start_timeout",
  "start_error",
  "shutting_down",
  "shutdown_error",
  "off"
])

/**
 * @since 0.1.0
 * @category models
 */
export type Lifecycle = typeof Lifecycle.Type

/**
 * An agent as the store holds it; every instant is of the store's clock.
 *
 * `startedAt` is the success of its build, null while that is still running. A `connectionTimeout` of zero waits for
 * ever. A root agent has no parent.
 *
 * @since 0.1.0
 * @category models
 */
export class Agent extends Schema.Class<Agent>("chat-workspace/domain/Agent")({
  agentId: AgentId,
  workspaceId: WorkspaceId,
  buildId: BuildId,
  parentId: Schema.NullOr(AgentId),
  name: Schema.NonEmptyString,
  displayOrder: Schema.Int,
  connectionTimeout: Schema.Duration,
  lifecycle: Lifecycle,
  startedAt: Schema.NullOr(Schema.DateTimeUtc),
  firstConnectedAt: Schema.NullOr(Schema.DateTimeUtc),
  lastConnectedAt: Schema.NullOr(Schema.DateTimeUtc),
  disconnectedAt: Schema.NullOr(Schema.DateTimeUtc)
}) {}

/**
 * One agent, with the instant of the read and the start of the span in which heartbeats were recorded without a gap,
 * all of one clock and one snapshot.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentSnapshot {
  readonly agent: Agent
  readonly asOf: DateTime.Utc
  readonly coveredSince: DateTime.Utc
}

/**
 * The latest build of a workspace and the agents of that build, in one snapshot.
 *
 * @since 0.1.0
 * @category models
 */
export interface BuildSnapshot {
  readonly build: Build
  readonly agents: ReadonlyArray<Agent>
  readonly asOf: DateTime.Utc
  readonly coveredSince: DateTime.Utc
}
