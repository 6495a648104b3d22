/**
 * Everything that can go wrong between a chat and its workspace, one flat error per outcome that a caller or a model
 * branches on.
 *
 * Each error that a chat can meet has a stable `code` for dashboards and a `recovery` that says what to do next;
 * `Recovery.explain` makes the text for a model of it and `forUser` is the short one for a person. They are results of a
 * tool call, never the end of a turn.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { AgentId, BuildId, ChatId, OperationId, OwnerId, TemplateId, TurnId, WorkspaceId } from "./Ids.ts"
import * as Recovery from "./Recovery.ts"

/**
 * The chat has no workspace, or it was deleted.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoWorkspace extends Schema.TaggedError<NoWorkspace>()("NoWorkspace", {
  workspaceId: Schema.NullOr(WorkspaceId)
}, { httpApiStatus: 409 }) {
  readonly code = "no_workspace"
  readonly recovery: Recovery.Recovery = Recovery.create
  override get message(): string {
    return this.workspaceId === null ? "This chat has no workspace." : "The workspace of this chat was deleted."
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Why the latest build of a workspace gives no agent.
 *
 * @since 0.1.0
 * @category models
 */
export const NoAgentReason = Schema.Literals([
  "starting",
  "failed",
  "noAgents",
  "stopping",
  "stopped",
  "stopFailed",
  "deleting",
  "deleteFailed",
  "neverBuilt"
])

/**
 * @since 0.1.0
 * @category models
 */
export type NoAgentReason = typeof NoAgentReason.Type

const noAgent: Readonly<Record<NoAgentReason, { readonly message: string; readonly recovery: Recovery.Recovery }>> = {
  starting: { message: "The workspace is starting and has no agent yet.", recovery: Recovery.start },
  failed: { message: "The last start of the workspace failed.", recovery: Recovery.start },
  noAgents: { message: "The workspace runs, but its template defines no agent.", recovery: Recovery.tellUser },
  stopping: { message: "The workspace is stopping.", recovery: Recovery.start },
  stopped: { message: "The workspace is stopped.", recovery: Recovery.start },
  stopFailed: { message: "The last stop of the workspace failed.", recovery: Recovery.start },
  deleting: { message: "The workspace is being deleted.", recovery: Recovery.wait },
  deleteFailed: { message: "The deletion of the workspace failed.", recovery: Recovery.tellUser },
  neverBuilt: { message: "The workspace was never started.", recovery: Recovery.start }
}

/**
 * The latest build of the workspace gives no agent; `reason` says why and `logTail` is the end of a failed build's log.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoWorkspaceAgent extends Schema.TaggedError<NoWorkspaceAgent>()(
  "NoWorkspaceAgent",
  {
    workspaceId: WorkspaceId,
    buildId: Schema.NullOr(BuildId),
    reason: NoAgentReason,
    logTail: Schema.NullOr(Schema.String)
  },
  { httpApiStatus: 409 }
) {
  readonly code = "no_workspace_agent"
  get recovery(): Recovery.Recovery {
    return noAgent[this.reason].recovery
  }
  override get message(): string {
    return noAgent[this.reason].message
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * What proves that an agent is not there: it never came, its link was seen to end, or its heartbeats stopped.
 *
 * @since 0.1.0
 * @category models
 */
export const Evidence = Schema.Literals(["neverConnected", "disconnected", "silent"])

/**
 * @since 0.1.0
 * @category models
 */
export type Evidence = typeof Evidence.Type

/**
 * The agent of a running workspace is gone, or it never came.
 *
 * `restart` is set once it has been unreachable for so long (90 s by default) that a restart is the advice; before that
 * the next call may find it again.
 *
 * @since 0.1.0
 * @category errors
 */
export class AgentDisconnected extends Schema.TaggedError<AgentDisconnected>()(
  "AgentDisconnected",
  {
    workspaceId: WorkspaceId,
    agentId: AgentId,
    unreachableFor: Schema.DurationFromMillis,
    evidence: Evidence,
    restart: Schema.Boolean
  },
  { httpApiStatus: 503 }
) {
  readonly code = "agent_disconnected"
  get recovery(): Recovery.Recovery {
    return this.restart ? Recovery.stopThenStart : Recovery.retryNowOnce
  }
  override get message(): string {
    const seconds = Math.round(Duration.toSeconds(this.unreachableFor))
    switch (this.evidence) {
      case "neverConnected":
        return `The workspace runs, but its agent has not connected once in ${seconds} s.`
      case "disconnected":
        return `The workspace runs, but its agent disconnected ${seconds} s ago.`
      case "silent":
        return `The workspace runs, but its agent has been silent for ${seconds} s.`
    }
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Connecting took longer than its bound; the agent may be fine.
 *
 * @since 0.1.0
 * @category errors
 */
export class DialTimeout extends Schema.TaggedError<DialTimeout>()("DialTimeout", {
  workspaceId: Schema.NullOr(WorkspaceId),
  agentId: Schema.NullOr(AgentId),
  after: Schema.DurationFromMillis
}, { httpApiStatus: 504 }) {
  readonly code = "dial_timeout"
  readonly recovery: Recovery.Recovery = Recovery.retryThenTellUser
  override get message(): string {
    return `No answer from the workspace's agent within ${Math.round(Duration.toSeconds(this.after))} s.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Why a transport gave up on a dial.
 *
 * @since 0.1.0
 * @category models
 */
export const DialFailedReason = Schema.Literals([
  "refused",
  "incompatible",
  "overloaded",
  "sessionOnOtherNode",
  "shutdown"
])

/**
 * @since 0.1.0
 * @category models
 */
export type DialFailedReason = typeof DialFailedReason.Type

const dialFailed: Readonly<
  Record<DialFailedReason, { readonly message: string; readonly recovery: Recovery.Recovery }>
> = {
  refused: { message: "The connection to the workspace's agent was refused.", recovery: Recovery.retryNowOnce },
  incompatible: {
    message: "The workspace's agent speaks a version that this server does not.",
    recovery: Recovery.tellUser
  },
  overloaded: { message: "Too many calls wait for this workspace's agent.", recovery: Recovery.retryLater },
  sessionOnOtherNode: {
    message: "The workspace's agent is connected to another server of this application.",
    recovery: Recovery.tellUser
  },
  shutdown: { message: "The server is shutting down.", recovery: Recovery.retryLater }
}

/**
 * The transport gave up; `cause` is what it said. When the store could not be asked either, `validation` is why.
 *
 * @since 0.1.0
 * @category errors
 */
export class DialFailed extends Schema.TaggedError<DialFailed>()("DialFailed", {
  agentId: Schema.NullOr(AgentId),
  reason: DialFailedReason,
  cause: Schema.optionalKey(Schema.Defect()),
  validation: Schema.optionalKey(Schema.Defect())
}, { httpApiStatus: 503 }) {
  readonly code = "dial_failed"
  get recovery(): Recovery.Recovery {
    return dialFailed[this.reason].recovery
  }
  override get message(): string {
    return dialFailed[this.reason].message
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Other writers moved the chat to other workspaces twice while this call was connecting.
 *
 * @since 0.1.0
 * @category errors
 */
export class WorkspaceChanged extends Schema.TaggedError<WorkspaceChanged>()(
  "WorkspaceChanged",
  { chatId: ChatId },
  { httpApiStatus: 409 }
) {
  readonly code = "workspace_changed"
  readonly recovery: Recovery.Recovery = Recovery.retryNowOnce
  override get message(): string {
    return "The workspace of this chat was changed while the call was connecting."
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The template's agents are ambiguous: several root agents carry the preferred suffix, or none is a root agent.
 *
 * @since 0.1.0
 * @category errors
 */
export class AgentSelectionFailed extends Schema.TaggedError<AgentSelectionFailed>()(
  "AgentSelectionFailed",
  { reason: Schema.Literals(["ambiguous", "noRootAgent"]), names: Schema.Array(Schema.String) },
  { httpApiStatus: 409 }
) {
  readonly code = "agent_selection_failed"
  readonly recovery: Recovery.Recovery = Recovery.tellUser
  override get message(): string {
    return this.reason === "ambiguous"
      ? `The workspace's template names several agents for chats: ${this.names.join(", ")}.`
      : `The workspace's template has no root agent, only: ${this.names.join(", ")}.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Whether a call with a side effect may have reached its agent.
 *
 * `notSent` is a proof that it did not run; `mayHaveRun` asks for the outcome of the operation.
 *
 * @since 0.1.0
 * @category models
 */
export const Sent = Schema.Literals(["notSent", "mayHaveRun"])

/**
 * @since 0.1.0
 * @category models
 */
export type Sent = typeof Sent.Type

const bySent = (sent: Sent): Recovery.Recovery => sent === "notSent" ? Recovery.retryNowOnce : Recovery.checkOutcome

/**
 * The link was lost during a call and the call could not be taken up again.
 *
 * @since 0.1.0
 * @category errors
 */
export class CallInterrupted extends Schema.TaggedError<CallInterrupted>()("CallInterrupted", {
  agentId: AgentId,
  operationId: Schema.NullOr(OperationId),
  sent: Sent
}, { httpApiStatus: 503 }) {
  readonly code = "call_interrupted"
  get recovery(): Recovery.Recovery {
    return bySent(this.sent)
  }
  override get message(): string {
    return this.sent === "notSent"
      ? "The connection to the workspace was lost before the call was sent; it did not run."
      : "The connection to the workspace was lost during the call; it may have run."
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The deadline of the call passed. A process that it started runs on under its operation id.
 *
 * @since 0.1.0
 * @category errors
 */
export class CallTimedOut extends Schema.TaggedError<CallTimedOut>()("CallTimedOut", {
  agentId: AgentId,
  operationId: Schema.NullOr(OperationId),
  sent: Sent,
  after: Schema.DurationFromMillis
}, { httpApiStatus: 504 }) {
  readonly code = "call_timed_out"
  get recovery(): Recovery.Recovery {
    return bySent(this.sent)
  }
  override get message(): string {
    const seconds = Math.round(Duration.toSeconds(this.after))
    return this.sent === "notSent"
      ? `The workspace could not be reached within ${seconds} s; the call did not run.`
      : `The workspace did not answer the call within ${seconds} s; it may still be running.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * A limit of the agent is reached: `limit` names it.
 *
 * @since 0.1.0
 * @category errors
 */
export class AgentBusy extends Schema.TaggedError<AgentBusy>()("AgentBusy", {
  limit: Schema.String
}, { httpApiStatus: 429 }) {
  readonly code = "agent_busy"
  readonly recovery: Recovery.Recovery = Recovery.retryLater
  override get message(): string {
    return `The workspace's agent is at its limit (${this.limit}).`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Why the agent refused to touch a file.
 *
 * @since 0.1.0
 * @category models
 */
export const FileErrorReason = Schema.Literals([
  "notFound",
  "notRegular",
  "notDirectory",
  "tooLarge",
  "denied",
  "noSpace",
  "noMatch",
  "manyMatches",
  "invalid"
])

/**
 * @since 0.1.0
 * @category models
 */
export type FileErrorReason = typeof FileErrorReason.Type

/**
 * The agent refused a call on a file. `changed` names the files that an edit had already changed when it failed.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileError extends Schema.TaggedError<FileError>()("FileError", {
  path: Schema.String,
  reason: FileErrorReason,
  detail: Schema.String,
  changed: Schema.Array(Schema.String)
}, { httpApiStatus: 422 }) {
  readonly code = "file_error"
  readonly recovery: Recovery.Recovery = Recovery.correctCall
  override get message(): string {
    const changed = this.changed.length === 0 ? "" : ` Already changed: ${this.changed.join(", ")}.`
    return `${this.path}: ${this.detail}.${changed}`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The file is not the one that was read: somebody changed it since.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileChanged extends Schema.TaggedError<FileChanged>()("FileChanged", {
  path: Schema.String
}, { httpApiStatus: 409 }) {
  readonly code = "file_changed"
  readonly recovery: Recovery.Recovery = Recovery.correctCall
  override get message(): string {
    return `${this.path} changed since it was read; read it again.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The command, or its working directory, does not exist in the workspace.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommandNotFound extends Schema.TaggedError<CommandNotFound>()("CommandNotFound", {
  command: Schema.String,
  detail: Schema.String
}, { httpApiStatus: 422 }) {
  readonly code = "command_not_found"
  readonly recovery: Recovery.Recovery = Recovery.correctCall
  override get message(): string {
    return `${this.command}: ${this.detail}.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The connected agent or transport lacks this ability.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unsupported extends Schema.TaggedError<Unsupported>()("Unsupported", {
  feature: Schema.String
}, { httpApiStatus: 501 }) {
  readonly code = "unsupported"
  readonly recovery: Recovery.Recovery = Recovery.correctCall
  override get message(): string {
    return `The workspace's agent does not support ${this.feature}.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Why an operation id gives nothing: never seen by this agent, used for another call, ended before it could start, or
 * lost with the run of the agent program that knew it.
 *
 * @since 0.1.0
 * @category models
 */
export const OperationRefusedReason = Schema.Literals(["unknown", "conflict", "killed", "agentRestarted"])

/**
 * @since 0.1.0
 * @category models
 */
export type OperationRefusedReason = typeof OperationRefusedReason.Type

const operationRefused: Readonly<
  Record<OperationRefusedReason, { readonly message: string; readonly recovery: Recovery.Recovery }>
> = {
  unknown: {
    message: "is not known to the workspace's agent; it did not run there, or was forgotten",
    recovery: Recovery.lookAtEffect
  },
  conflict: { message: "was already used for another call", recovery: Recovery.correctCall },
  killed: { message: "was ended before it could start", recovery: Recovery.retryNowOnce },
  agentRestarted: {
    message: "ended when the workspace's agent restarted; its output is lost",
    recovery: Recovery.lookAtEffect
  }
}

/**
 * The agent cannot act on this operation id; `reason` says why.
 *
 * @since 0.1.0
 * @category errors
 */
export class OperationRefused extends Schema.TaggedError<OperationRefused>()(
  "OperationRefused",
  { operationId: OperationId, reason: OperationRefusedReason },
  { httpApiStatus: 409 }
) {
  readonly code = "operation_refused"
  get recovery(): Recovery.Recovery {
    return operationRefused[this.reason].recovery
  }
  override get message(): string {
    return `Operation ${this.operationId} ${operationRefused[this.reason].message}.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Why a tool of a workspace's own server gives nothing: the workspace names no such server, the server has no such tool,
 * it does not run now, it ended or stayed silent during the call, or it, or the agent, refused the call.
 *
 * @since 0.1.0
 * @category models
 */
export const McpRefusedReason = Schema.Literals([
  "noServer",
  "noTool",
  "notRunning",
  "ended",
  "noAnswer",
  "refused",
  "tooLarge"
])

/**
 * @since 0.1.0
 * @category models
 */
export type McpRefusedReason = typeof McpRefusedReason.Type

const mcpRefused: Readonly<
  Record<McpRefusedReason, { readonly message: string; readonly recovery: Recovery.Recovery }>
> = {
  noServer: { message: "is not among the workspace's servers", recovery: Recovery.correctCall },
  noTool: { message: "has no such tool", recovery: Recovery.correctCall },
  notRunning: { message: "does not run now; the call did not run", recovery: Recovery.retryLater },
  ended: { message: "ended during the call, which may have run", recovery: Recovery.tellUser },
  noAnswer: { message: "did not answer the call, which may have run", recovery: Recovery.tellUser },
  refused: { message: "refused the call", recovery: Recovery.correctCall },
  tooLarge: { message: "was not called: the arguments are too large", recovery: Recovery.correctCall }
}

/**
 * A tool of a workspace's own server could not be called, or did not answer. `detail` is in the words of the agent or of
 * the server.
 *
 * @since 0.1.0
 * @category errors
 */
export class McpRefused extends Schema.TaggedError<McpRefused>()("McpRefused", {
  server: Schema.String,
  tool: Schema.String,
  reason: McpRefusedReason,
  detail: Schema.NullOr(Schema.String)
}, { httpApiStatus: 422 }) {
  readonly code = "mcp_refused"
  get recovery(): Recovery.Recovery {
    return mcpRefused[this.reason].recovery
  }
  override get message(): string {
    const detail = this.detail === null ? "" : ` (${this.detail})`
    return `${this.tool}: the server ${this.server} ${mcpRefused[this.reason].message}${detail}.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The database could not answer; says nothing about the workspace. `cause` is what it said.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  operation: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}, { httpApiStatus: 503 }) {
  readonly code = "store_error"
  readonly recovery: Recovery.Recovery = Recovery.retryLater
  override get message(): string {
    return `The database could not answer (${this.operation}).`
  }
  get forUser(): string {
    return "The server's database is not available."
  }
}

/**
 * The chat or the workspace does not belong to this owner, or the chat is not there. Deliberately says no more.
 *
 * @since 0.1.0
 * @category errors
 */
export class BindingRefused extends Schema.TaggedError<BindingRefused>()("BindingRefused", {
  chatId: ChatId,
  workspaceId: Schema.NullOr(WorkspaceId)
}, { httpApiStatus: 404 }) {
  readonly code = "binding_refused"
  readonly recovery: Recovery.Recovery = Recovery.tellUser
  override get message(): string {
    return "There is no such chat or workspace of this owner."
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The workspace does not belong to this owner, or is not there.
 *
 * @since 0.1.0
 * @category errors
 */
export class WorkspaceRefused extends Schema.TaggedError<WorkspaceRefused>()(
  "WorkspaceRefused",
  { workspaceId: WorkspaceId, owner: OwnerId },
  { httpApiStatus: 404 }
) {
  readonly code = "workspace_refused"
  readonly recovery: Recovery.Recovery = Recovery.tellUser
  override get message(): string {
    return "There is no such workspace of this owner."
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * An agent's token is malformed, unknown, or no longer valid: its workspace was rebuilt, stopped or deleted since.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenRefused extends Schema.TaggedError<TokenRefused>()("TokenRefused", {
  reason: Schema.Literals(["malformed", "unknown", "revoked"])
}, { httpApiStatus: 401 }) {
  override get message(): string {
    return `The agent's token is ${this.reason}.`
  }
}

/**
 * There is no such template that this owner may use; or the workspace was not made from one, and cannot be built here.
 *
 * @since 0.1.0
 * @category errors
 */
export class TemplateNotFound extends Schema.TaggedError<TemplateNotFound>()("TemplateNotFound", {
  templateId: Schema.NullOr(Schema.String)
}, { httpApiStatus: 404 }) {
  readonly code = "template_not_found"
  get recovery(): Recovery.Recovery {
    return this.templateId === null ? Recovery.tellUser : Recovery.correctCall
  }
  override get message(): string {
    return this.templateId === null
      ? "This workspace was not made from a template here, so it cannot be started or stopped here."
      : `There is no template "${this.templateId}".`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Parameters are missing, unknown, of the wrong type or outside of what the template allows; `problems` names each.
 *
 * @since 0.1.0
 * @category errors
 */
export class ParametersRefused extends Schema.TaggedError<ParametersRefused>()("ParametersRefused", {
  templateId: TemplateId,
  problems: Schema.Array(Schema.Struct({ parameter: Schema.String, problem: Schema.String }))
}, { httpApiStatus: 422 }) {
  readonly code = "parameters_refused"
  readonly recovery: Recovery.Recovery = Recovery.correctCall
  override get message(): string {
    const problems = this.problems.map(({ parameter, problem }) => `${parameter} ${problem}`)
    return `The parameters do not fit the template "${this.templateId}": ${problems.join("; ")}.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * Another workspace of this owner has this name, and all that were proposed instead of it.
 *
 * @since 0.1.0
 * @category errors
 */
export class WorkspaceNameTaken extends Schema.TaggedError<WorkspaceNameTaken>()("WorkspaceNameTaken", {
  name: Schema.String
}, { httpApiStatus: 409 }) {
  readonly code = "workspace_name_taken"
  readonly recovery: Recovery.Recovery = Recovery.correctCall
  override get message(): string {
    return `Another workspace is named "${this.name}".`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The chat has made as many new workspaces as it may within this time.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyWorkspaces extends Schema.TaggedError<TooManyWorkspaces>()("TooManyWorkspaces", {
  limit: Schema.Natural,
  within: Schema.DurationFromMillis
}, { httpApiStatus: 429 }) {
  readonly code = "too_many_workspaces"
  readonly recovery: Recovery.Recovery = Recovery.tellUser
  override get message(): string {
    const minutes = Math.round(Duration.toMinutes(this.within))
    return `This chat made ${this.limit} new workspaces within ${minutes} minutes, which is the limit.`
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * The application's policy refused a build; `detail` is what it said.
 *
 * @since 0.1.0
 * @category errors
 */
export class BuildRefused extends Schema.TaggedError<BuildRefused>()("BuildRefused", {
  detail: Schema.String
}, { httpApiStatus: 403 }) {
  readonly code = "build_refused"
  readonly recovery: Recovery.Recovery = Recovery.tellUser
  override get message(): string {
    return this.detail
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * A runner wrote to a build that is not its own any more: its lease ended and another runner has it, or it was ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {
  buildId: BuildId
}) {
  override get message(): string {
    return "The lease on this build was lost."
  }
}

/**
 * The chat answers another message: a turn of it runs. The same message again attaches to its turn instead.
 *
 * @since 0.1.0
 * @category errors
 */
export class TurnRunning extends Schema.TaggedError<TurnRunning>()("TurnRunning", {
  chatId: ChatId,
  turnId: TurnId
}, { httpApiStatus: 409 }) {
  readonly code = "turn_running"
  override get message(): string {
    return "This chat still answers an earlier message."
  }
  get forUser(): string {
    return `${this.message} Wait for its end, or interrupt it.`
  }
}

/**
 * There is no such turn of this owner.
 *
 * @since 0.1.0
 * @category errors
 */
export class TurnNotFound extends Schema.TaggedError<TurnNotFound>()("TurnNotFound", {
  turnId: TurnId
}, { httpApiStatus: 404 }) {
  readonly code = "turn_not_found"
  override get message(): string {
    return "There is no such turn of this owner."
  }
  get forUser(): string {
    return this.message
  }
}

/**
 * This node begins no turns any more, because it ends. Another one does.
 *
 * @since 0.1.0
 * @category errors
 */
export class TurnRefused extends Schema.TaggedError<TurnRefused>()("TurnRefused", {
  chatId: ChatId
}, { httpApiStatus: 503 }) {
  readonly code = "turn_refused"
  override get message(): string {
    return "The server restarts and begins no turn."
  }
  get forUser(): string {
    return "The server restarts. Send the message again."
  }
}

/**
 * A node wrote to a turn that is not its own any more: the turn was ended because its lease had, or by this node itself.
 *
 * @since 0.1.0
 * @category errors
 */
export class TurnLost extends Schema.TaggedError<TurnLost>()("TurnLost", {
  turnId: TurnId
}) {
  override get message(): string {
    return "The lease on this turn was lost."
  }
}

/**
 * Why the current agent of a workspace cannot be named.
 *
 * @since 0.1.0
 * @category unions
 */
export type NoCurrentAgent = NoWorkspace | NoWorkspaceAgent | AgentSelectionFailed

/**
 * Everything that `connect` can fail with.
 *
 * @since 0.1.0
 * @category unions
 */
export type ConnectError =
  | NoCurrentAgent
  | AgentDisconnected
  | DialTimeout
  | DialFailed
  | WorkspaceChanged
  | StoreError

/**
 * Everything that can end a call on a connection without an answer of the agent.
 *
 * @since 0.1.0
 * @category unions
 */
export type CallError = CallInterrupted | CallTimedOut | AgentBusy | Unsupported

/**
 * Everything that a call on a process can fail with.
 *
 * @since 0.1.0
 * @category unions
 */
export type ProcessError = CallError | CommandNotFound | OperationRefused

/**
 * Everything that a call on files can fail with.
 *
 * @since 0.1.0
 * @category unions
 */
export type FilesError = CallError | FileError | FileChanged | OperationRefused

/**
 * Everything that a call of a workspace's own tool can fail with.
 *
 * @since 0.1.0
 * @category unions
 */
export type McpError = CallError | McpRefused

/**
 * Everything that keeps a build from being asked for.
 *
 * @since 0.1.0
 * @category unions
 */
export type BuildRequestError =
  | TemplateNotFound
  | ParametersRefused
  | WorkspaceNameTaken
  | TooManyWorkspaces
  | BuildRefused
  | BindingRefused
  | WorkspaceRefused
  | StoreError

/**
 * Everything that a tool call on a workspace can fail with, as a schema.
 *
 * @since 0.1.0
 * @category unions
 */
export const WorkspaceError = Schema.Union([
  NoWorkspace,
  NoWorkspaceAgent,
  AgentDisconnected,
  DialTimeout,
  DialFailed,
  WorkspaceChanged,
  AgentSelectionFailed,
  CallInterrupted,
  CallTimedOut,
  AgentBusy,
  FileError,
  FileChanged,
  CommandNotFound,
  Unsupported,
  OperationRefused,
  McpRefused,
  TemplateNotFound,
  ParametersRefused,
  WorkspaceNameTaken,
  TooManyWorkspaces,
  BuildRefused,
  BindingRefused,
  WorkspaceRefused,
  StoreError
])

/**
 * @since 0.1.0
 * @category unions
 */
export type WorkspaceError = typeof WorkspaceError.Type
