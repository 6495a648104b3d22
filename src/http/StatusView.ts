/**
 * What the status of a node holds, as data: ids, names, states and ages, and nothing of what was said, printed or sent.
 *
 * Ages are counted where the thing is known, by the store's clock or the node's, so that the reader's clock is of no
 * matter. They are milliseconds in JSON.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Lifecycle } from "../domain/Agent.ts"
import { BuildFailureCode, BuildStatus, Transition } from "../domain/Build.ts"
import { AgentId, ChatId, NodeId, OwnerId, TemplateId, TurnId, WorkspaceId } from "../domain/Ids.ts"
import { TurnEndReason, TurnStatus } from "../domain/Turn.ts"
import { WorkspaceName } from "../domain/Workspace.ts"
import * as ExplanationFinding from "../turn/ExplanationFinding.ts"
import { ExplanationView } from "../turn/ExplanationView.ts"

const Instant = Schema.DateTimeUtcFromString
const Millis = Schema.DurationFromMillis

/**
 * How a chat or a workspace is, for a reader who looks for what to do: something is wrong; it may be, or was; something
 * is under way; nothing is, and nothing can be called; all is well.
 *
 * @since 0.1.0
 * @category models
 */
export const Level = Schema.Literals(["wrong", "warn", "busy", "still", "well"])

/**
 * @since 0.1.0
 * @category models
 */
export type Level = typeof Level.Type

/** The code is null where the store of the module does not have the chat's binding. */
const found = {
  level: Level,
  code: Schema.NullOr(ExplanationFinding.FindingCode),
  message: Schema.String
}

const TurnPart = Schema.Struct({
  turnId: TurnId,
  nodeId: NodeId,
  status: TurnStatus,
  reason: Schema.NullOr(TurnEndReason),
  /** Since it began while it runs, and since it ended after. */
  age: Millis
})

/**
 * One line of a chat's past on the node: when it ended, counted from now, and what it came to.
 *
 * @since 0.1.0
 * @category models
 */
export const ConnectLine = Schema.Struct({
  endedAt: Instant,
  age: Millis,
  took: Millis,
  agentId: Schema.NullOr(AgentId),
  path: Schema.NullOr(Schema.String),
  outcome: Schema.String,
  cause: Schema.NullOr(Schema.String),
  calls: Schema.Int
})

/**
 * @since 0.1.0
 * @category models
 */
export type ConnectLine = typeof ConnectLine.Type

/**
 * A chat. `activeAge` is since something was last seen of it in the store, `waiters` the calls that wait here for its
 * connection, and `connect` its last one here.
 *
 * @since 0.1.0
 * @category models
 */
export const ChatLine = Schema.Struct({
  chatId: ChatId,
  owner: Schema.NullOr(OwnerId),
  workspaceId: Schema.NullOr(WorkspaceId),
  workspaceName: Schema.NullOr(WorkspaceName),
  ...found,
  turn: Schema.NullOr(TurnPart),
  waiters: Schema.Natural,
  connect: Schema.NullOr(ConnectLine),
  activeAge: Schema.NullOr(Millis)
})

/**
 * @since 0.1.0
 * @category models
 */
export type ChatLine = typeof ChatLine.Type

/**
 * An agent of a workspace's latest build, as the store and this node see it.
 *
 * @since 0.1.0
 * @category models
 */
export const AgentLine = Schema.Struct({
  agentId: AgentId,
  name: Schema.String,
  status: Schema.Literals(["timeout", "connecting", "disconnected", "connected"]),
  because: Schema.String,
  unreachableFor: Schema.NullOr(Millis),
  lifecycle: Lifecycle,
  nodeId: Schema.NullOr(NodeId),
  presence: Schema.Literals(["live", "absent", "unknown"])
})

/**
 * A workspace with its latest build. `age` is since the build ended, or since it was asked for while it has not.
 *
 * @since 0.1.0
 * @category models
 */
export const WorkspaceLine = Schema.Struct({
  workspaceId: WorkspaceId,
  name: Schema.NullOr(WorkspaceName),
  owner: OwnerId,
  templateId: Schema.NullOr(TemplateId),
  ...found,
  build: Schema.NullOr(Schema.Struct({
    number: Schema.Int,
    transition: Transition,
    status: BuildStatus,
    failure: Schema.NullOr(BuildFailureCode),
    age: Millis,
    nodeId: Schema.NullOr(NodeId)
  })),
  agents: Schema.Array(AgentLine)
})

/**
 * @since 0.1.0
 * @category models
 */
export type WorkspaceLine = typeof WorkspaceLine.Type

/**
 * A live session of an agent on this node.
 *
 * @since 0.1.0
 * @category models
 */
export const SessionLine = Schema.Struct({
  agentId: AgentId,
  workspaceId: Schema.NullOr(WorkspaceId),
  epoch: Schema.Int,
  openFor: Millis,
  silentFor: Millis,
  calls: Schema.Natural
})

/**
 * @since 0.1.0
 * @category models
 */
export type SessionLine = typeof SessionLine.Type

/**
 * Something that has not ended: a dial or a call of this node, a build, a turn. `what` says which, or what it waits for.
 *
 * @since 0.1.0
 * @category models
 */
export const WaitLine = Schema.Struct({
  kind: Schema.Literals(["dial", "call", "build", "turn"]),
  what: Schema.String,
  age: Millis,
  chatId: Schema.NullOr(ChatId),
  workspaceId: Schema.NullOr(WorkspaceId),
  agentId: Schema.NullOr(AgentId)
})

/**
 * @since 0.1.0
 * @category models
 */
export type WaitLine = typeof WaitLine.Type

/**
 * What is wrong, once for all chats that it holds up: how many these are, and the first of them.
 *
 * @since 0.1.0
 * @category models
 */
export const Problem = Schema.Struct({
  message: Schema.String,
  chats: Schema.Natural,
  chatId: Schema.NullOr(ChatId),
  workspaceId: Schema.NullOr(WorkspaceId)
})

/**
 * @since 0.1.0
 * @category models
 */
export type Problem = typeof Problem.Type

/**
 * The status of a node. While the database does not answer, what came from it is as it was at `seenAt`. The lists are
 * bounded; the counts of sessions, dials and calls are of all. They are null where the transport does not keep them, as
 * `turns` where the node runs none.
 *
 * @since 0.1.0
 * @category models
 */
export const StatusView = Schema.Struct({
  at: Instant,
  node: Schema.Struct({ nodeId: Schema.NullOr(NodeId), upFor: Millis, unready: Schema.Array(Schema.String) }),
  database: Schema.Struct({
    reachable: Schema.Boolean,
    seenAt: Schema.NullOr(Instant),
    seenAge: Schema.NullOr(Millis)
  }),
  level: Level,
  headline: Schema.String,
  problems: Schema.Array(Problem),
  counts: Schema.Struct({
    sessions: Schema.NullOr(Schema.Natural),
    dials: Schema.NullOr(Schema.Natural),
    calls: Schema.NullOr(Schema.Natural),
    turns: Schema.NullOr(Schema.Natural)
  }),
  waits: Schema.Array(WaitLine),
  chats: Schema.Array(ChatLine),
  workspaces: Schema.Array(WorkspaceLine),
  sessions: Schema.Array(SessionLine)
})

/**
 * @since 0.1.0
 * @category models
 */
export type StatusView = typeof StatusView.Type

const { connects: _, ...explained } = ExplanationView.fields

/**
 * One chat: its explanation, with the last connects on this node and their causes.
 *
 * @since 0.1.0
 * @category models
 */
export const ChatStatusView = Schema.Struct({
  ...explained,
  at: Instant,
  level: Level,
  waiters: Schema.Natural,
  timeline: Schema.Array(ConnectLine)
})

/**
 * @since 0.1.0
 * @category models
 */
export type ChatStatusView = typeof ChatStatusView.Type
