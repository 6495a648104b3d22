/**
 * The queue of builds: what is asked for, who runs it, and what became of it.
 *
 * A workspace has one unfinished build at a time. Whoever asks for one says what it looked at before (the chat's row, the
 * latest build); if that is not so any more, nothing is written and it decides again. Runners hold a build under a lease
 * with an epoch, and everything they write is fenced by it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type { Binding } from "../domain/Binding.ts"
import type { Build, BuildOutcome, BuildRecord, LogLine, Transition } from "../domain/Build.ts"
import type {
  BindingRefused,
  LeaseLost,
  StoreError,
  TooManyWorkspaces,
  WorkspaceNameTaken,
  WorkspaceRefused
} from "../domain/Errors.ts"
import type { AgentId, BuildId, NodeId, OwnerId, TemplateId, WorkspaceId } from "../domain/Ids.ts"
import type { Workspace, WorkspaceName } from "../domain/Workspace.ts"
import type { EnrolledAgent } from "./AgentEnrollments.ts"
import * as MemoryBuilds from "./MemoryBuilds.ts"
import type { MemoryStore } from "./MemoryStore.ts"

/**
 * What a build is to do. `repeatable` says that it may be run again after its runner was lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface NewBuild {
  readonly buildId: BuildId
  readonly parameters: Readonly<Record<string, string>>
  readonly repeatable: boolean
}

/**
 * What became of the wish for a new workspace: it is there with its first build, and the chat, if there is one, is bound
 * to it; or the chat's row had changed meanwhile.
 *
 * @since 0.1.0
 * @category models
 */
export type CreateResult = Data.TaggedEnum<{
  readonly Created: { readonly workspace: Workspace; readonly build: Build; readonly binding: Binding | null }
  readonly Superseded: { readonly binding: Binding }
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const CreateResult = Data.taggedEnum<CreateResult>()

/**
 * What became of the wish for a build: it waits for a runner, and the chat, if there is one, is bound to it; or another
 * build came first, or the chat has left the workspace, and nothing was written.
 *
 * @since 0.1.0
 * @category models
 */
export type RequestResult = Data.TaggedEnum<{
  readonly Queued: { readonly build: Build; readonly binding: Binding | null }
  readonly Superseded: {}
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const RequestResult = Data.taggedEnum<RequestResult>()

/**
 * A build that a runner has taken. It may run for `remaining` from now.
 *
 * @since 0.1.0
 * @category models
 */
export interface TakenBuild {
  readonly build: Build
  readonly workspace: Workspace
  readonly parameters: Readonly<Record<string, string>>
  readonly epoch: number
  readonly attempt: number
  readonly remaining: Duration.Duration
}

/**
 * What a runner hears when it renews: go on, somebody wants it canceled, or it is not its build any more.
 *
 * @since 0.1.0
 * @category models
 */
export type Renewal = "held" | "canceling" | "lost"

/**
 * The workspaces of an owner, each with its latest build.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkspaceOverview {
  readonly workspace: Workspace
  readonly latest: BuildRecord | null
}

/**
 * @since 0.1.0
 * @category services
 */
export class Builds extends Context.Service<Builds, {
  /**
   * Makes a workspace and its first build, a start, and binds the chat to both, in one step. The ids have to be new. Of
   * the names, the first that no workspace of the owner has is taken, whatever its case; deleted ones have none. Fails with `BindingRefused` when the chat is
   * of another owner (or, in an application's own table, not there), and with `TooManyWorkspaces` when the chat made
   * `limit.count` workspaces within `limit.within`.
   */
  readonly createWorkspace: (options: {
    readonly owner: OwnerId
    readonly workspaceId: WorkspaceId
    readonly templateId: TemplateId
    readonly names: readonly [WorkspaceName, ...Array<WorkspaceName>]
    readonly build: NewBuild
    /** The chat's row as it was seen; null for a workspace without a chat. */
    readonly chat: Binding | null
    readonly limit: { readonly count: number; readonly within: Duration.Duration }
  }) => Effect.Effect<CreateResult, BindingRefused | WorkspaceNameTaken | TooManyWorkspaces | StoreError>
  /**
   * Asks for a build of a workspace whose latest build is still the one with the number `after`, finished. A start
   * revokes the agents of earlier starts in the same step. Fails with `WorkspaceRefused` when the workspace is not of
   * this owner, or was deleted.
   */
  readonly request: (options: {
    readonly owner: OwnerId
    readonly workspaceId: WorkspaceId
    readonly transition: Transition
    readonly after: number
    readonly build: NewBuild
    /** The chat's row as it was seen; it is bound to the build, unless it left the workspace meanwhile. */
    readonly chat: Binding | null
  }) => Effect.Effect<RequestResult, WorkspaceRefused | StoreError>
  /**
   * Ends the unfinished build of a workspace: at once while nobody runs it, otherwise its runner is told when it renews.
   * Answers the build, or none when nothing was unfinished.
   */
  readonly cancel: (options: {
    readonly owner: OwnerId
    readonly workspaceId: WorkspaceId
  }) => Effect.Effect<Option.Option<Build>, WorkspaceRefused | StoreError>

  /**
   * Takes the oldest build that waits, or a repeatable one whose lease ended, if it was taken fewer than `attempts`
   * times. Before, it ends what nobody runs and nobody may run any more: lost ones that are not repeatable or were taken
   * too often (`runner_lost`), or are to be canceled, and those as old as `limit` (`timed_out`).
   */
  readonly take: (options: {
    readonly nodeId: NodeId
    readonly lease: Duration.Duration
    readonly limit: Duration.Duration
    readonly attempts: number
  }) => Effect.Effect<Option.Option<TakenBuild>, StoreError>
  /** Keeps a build for another `lease` from now, also when its lease has ended and nobody has taken it yet. */
  readonly renew: (options: {
    readonly buildId: BuildId
    readonly epoch: number
    readonly lease: Duration.Duration
  }) => Effect.Effect<Renewal, StoreError>
  /**
   * Makes the agents of a start build. Those of the same name that an earlier runner of it made keep their ids, get the
   * new secrets, and lose their sessions; others that it made are removed. Answers the ids by name.
   */
  readonly prepareAgents: (options: {
    readonly buildId: BuildId
    readonly epoch: number
    readonly agents: ReadonlyArray<EnrolledAgent>
  }) => Effect.Effect<ReadonlyMap<string, AgentId>, LeaseLost | StoreError>
  /** Writes lines to the log of a build, under their numbers from 1. Those that are there already stay as they are. */
  readonly appendLog: (options: {
    readonly buildId: BuildId
    readonly epoch: number
    readonly lines: ReadonlyArray<{ readonly number: number; readonly text: string }>
  }) => Effect.Effect<void, LeaseLost | StoreError>
  /** The number of the last line in the log of a build, 0 for none: where the next runner of it goes on. */
  readonly lastLine: (buildId: BuildId) => Effect.Effect<number, StoreError>
  /**
   * Ends a build, in one step with what follows from it: the agents of a start that succeeded have from now to connect, and
   * a stop or delete that succeeded revokes those of the workspace. One that failed keeps the end of its log.
   */
  readonly finish: (options: {
    readonly buildId: BuildId
    readonly epoch: number
    readonly outcome: BuildOutcome
  }) => Effect.Effect<Build, LeaseLost | StoreError>
  /**
   * Gives a build back, for another runner to take at once if it is repeatable. Otherwise it ends: `runner_lost`, or
   * canceled if somebody wanted that. Nothing when it was lost already.
   */
  readonly release: (options: {
    readonly buildId: BuildId
    readonly epoch: number
  }) => Effect.Effect<void, StoreError>

  /** One build. */
  readonly get: (buildId: BuildId) => Effect.Effect<Option.Option<BuildRecord>, StoreError>
  /** The build of a workspace with the highest number. */
  readonly latest: (workspaceId: WorkspaceId) => Effect.Effect<Option.Option<BuildRecord>, StoreError>
  /** At most 1,000 lines of a build's log behind the line with the number `after`. */
  readonly log: (options: {
    readonly buildId: BuildId
    readonly after: number
  }) => Effect.Effect<ReadonlyArray<LogLine>, StoreError>
  /** One workspace, whoever owns it. */
  readonly workspace: (workspaceId: WorkspaceId) => Effect.Effect<Option.Option<Workspace>, StoreError>
  /** The workspaces of an owner that are not deleted, by the time at which they were made. */
  readonly workspaces: (owner: OwnerId) => Effect.Effect<ReadonlyArray<WorkspaceOverview>, StoreError>
}>()("chat-workspace/store/Builds") {}

/**
 * Keeps the queue in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Builds, never, MemoryStore> = Layer.effect(Builds, MemoryBuilds.make)
