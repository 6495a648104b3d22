/**
 * What the model is told of the tools that get a chat its workspace: their names, arguments and results. The handlers
 * are in `LifecycleHandlers`.
 *
 * A build that failed or an agent that does not come is a result, with fields that say so; `ToolFailure` is for what kept
 * a tool from acting at all. Optional keys are there only when they say something. `progress` is only in the preliminary
 * results of a call that waits, which hold what is known by then.
 *
 * @since 0.1.0
 */
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Schema from "effect/Schema"
import { scriptIds } from "../agent/Protocol.ts"
import { Lifecycle } from "../domain/Agent.ts"
import { BuildProgress } from "../domain/BuildProgress.ts"
import { BuildId, TemplateId, WorkspaceId } from "../domain/Ids.ts"
import { ToolFailure } from "./ToolFailure.ts"

/**
 * Values for the parameters of a template, by name.
 *
 * @since 0.1.0
 * @category models
 */
export const ParameterValues = Schema.Record(
  Schema.String,
  Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])
)

/** What a result says of the agent and of its start-up scripts, where something is wrong with them. */
const readiness = {
  agent_status: Schema.optionalKey(Schema.Literals(["not_ready", "no_agent", "selection_error"])),
  agent_error: Schema.optionalKey(Schema.String),
  startup_scripts: Schema.optionalKey(
    Schema.Literals(["startup_scripts_failed", "startup_scripts_timeout", "startup_scripts_unknown"])
  ),
  lifecycle_state: Schema.optionalKey(Lifecycle)
}

/** What every result about a workspace has. */
const about = {
  workspace_name: Schema.String,
  workspace_id: WorkspaceId,
  build_id: Schema.optionalKey(BuildId),
  message: Schema.optionalKey(Schema.String),
  error: Schema.optionalKey(Schema.String),
  log_tail: Schema.optionalKey(Schema.String),
  progress: Schema.optionalKey(Schema.toCodecJson(BuildProgress))
}

/**
 * A page of the templates.
 *
 * @since 0.1.0
 * @category models
 */
export const ListTemplatesResult = Schema.Struct({
  templates: Schema.Array(Schema.Struct({
    id: TemplateId,
    name: Schema.String,
    description: Schema.optionalKey(Schema.String)
  })),
  count: Schema.Natural,
  page: Schema.Natural,
  total_pages: Schema.Natural,
  total_count: Schema.Natural
})

/**
 * @since 0.1.0
 * @category models
 */
export type ListTemplatesResult = typeof ListTemplatesResult.Type

/**
 * One template, with what its parameters take.
 *
 * @since 0.1.0
 * @category models
 */
export const ReadTemplateResult = Schema.Struct({
  template: Schema.Struct({
    id: TemplateId,
    name: Schema.String,
    description: Schema.optionalKey(Schema.String),
    readme: Schema.optionalKey(Schema.String)
  }),
  parameters: Schema.Array(Schema.Struct({
    name: Schema.String,
    type: Schema.Literals(["string", "number", "boolean"]),
    required: Schema.Boolean,
    description: Schema.optionalKey(Schema.String),
    default: Schema.optionalKey(Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])),
    options: Schema.optionalKey(Schema.Array(Schema.Union([Schema.String, Schema.Finite]))),
    validation_regex: Schema.optionalKey(Schema.String),
    validation_min: Schema.optionalKey(Schema.Finite),
    validation_max: Schema.optionalKey(Schema.Finite)
  }))
})

/**
 * @since 0.1.0
 * @category models
 */
export type ReadTemplateResult = typeof ReadTemplateResult.Type

/**
 * `created` says whether the workspace is new: the call made it, or waited for its first build beside the one that did.
 *
 * @since 0.1.0
 * @category models
 */
export const CreateWorkspaceResult = Schema.Struct({
  created: Schema.Boolean,
  ...about,
  status: Schema.optionalKey(Schema.Literals(["already_exists", "stopped", "unreachable", "failed"])),
  ...readiness
})

/**
 * @since 0.1.0
 * @category models
 */
export type CreateWorkspaceResult = typeof CreateWorkspaceResult.Type

/**
 * `no_build` is true where the workspace ran already.
 *
 * @since 0.1.0
 * @category models
 */
export const StartWorkspaceResult = Schema.Struct({
  started: Schema.Boolean,
  ...about,
  no_build: Schema.optionalKey(Schema.Boolean),
  ...readiness
})

/**
 * @since 0.1.0
 * @category models
 */
export type StartWorkspaceResult = typeof StartWorkspaceResult.Type

/**
 * `no_build` is true where the workspace was stopped already.
 *
 * @since 0.1.0
 * @category models
 */
export const StopWorkspaceResult = Schema.Struct({
  stopped: Schema.Boolean,
  ...about,
  no_build: Schema.optionalKey(Schema.Boolean)
})

/**
 * @since 0.1.0
 * @category models
 */
export type StopWorkspaceResult = typeof StopWorkspaceResult.Type

/**
 * @since 0.1.0
 * @category tools
 */
export const ListTemplates = Tool.make("list_templates", {
  description: [
    "List the templates from which a workspace can be made, a page at a time.",
    "Use it before create_workspace when you do not know which template fits. Do not use it when the chat has a",
    "workspace already.",
    "Give words to search for as \"query\"; without it all templates are listed.",
    "Returns templates with id and description, and total_pages. Then call read_template with the id of the one that",
    "fits best."
  ].join(" "),
  parameters: Schema.Struct({
    query: Schema.optionalKey(Schema.String.annotate({
      description: "Words that must all stand in the name, the id or the description"
    })),
    page: Schema.optionalKey(Schema.Int.annotate({ description: "The page, from 1" }))
  }),
  success: ListTemplatesResult,
  failure: ToolFailure,
  failureMode: "return"
})
  .annotate(Tool.Title, "List templates")
  .annotate(Tool.Readonly, true)
  .annotate(Tool.Destructive, false)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, false)

/**
 * @since 0.1.0
 * @category tools
 */
export const ReadTemplate = Tool.make("read_template", {
  description: [
    "Show one template: what it is for, and the parameters that it takes.",
    "Use it before create_workspace, and again when create_workspace or start_workspace refused the parameters.",
    "Returns each parameter with its type, default, options and limits; give a value for those that are required, and",
    "leave the others out unless the user wants something else."
  ].join(" "),
  parameters: Schema.Struct({
    template_id: Schema.String.annotate({ description: "An id from list_templates" })
  }),
  success: ReadTemplateResult,
  failure: ToolFailure,
  failureMode: "return"
})
  .annotate(Tool.Title, "Read template")
  .annotate(Tool.Readonly, true)
  .annotate(Tool.Destructive, false)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, false)

/**
 * @since 0.1.0
 * @category tools
 */
export const CreateWorkspace = Tool.make("create_workspace", {
  description:
    `Makes the workspace of this chat from a template, and waits until it can be used, which may take minutes.
Use it when another tool says that the chat has no workspace. Calling it again is safe: a chat has one workspace, and one that exists is reused. Do not use it to repair or restart a workspace: that is start_workspace, or stop_workspace and then start_workspace.
Returns "created": true when the workspace is new. Otherwise "status" says what is there: "already_exists" is ready to use; "stopped" or "failed" needs start_workspace; "unreachable" has lost its agent, do what "message" says.
On "error" the build failed; "log_tail" is the end of its log. If the parameters were the reason, call start_workspace with others, which builds the same workspace again; otherwise tell the user.
"agent_status" or "startup_scripts" say that the workspace runs but something in it is not as it should be. "not_ready": the agent inside did not answer yet, a later call may find it. "startup_scripts_*": commands can be run, but what the scripts install may be missing; what they printed is under process_output with process_id "${scriptIds.startup}".`,
  parameters: Schema.Struct({
    template_id: Schema.String.annotate({ description: "An id from list_templates" }),
    name: Schema.optionalKey(Schema.String.annotate({
      description:
        "Letters and digits with single dashes inside, at most 32; made up when it is missing or cannot be used"
    })),
    parameters: Schema.optionalKey(
      ParameterValues.annotate({ description: "Values for the parameters that read_template shows" })
    ),
    replace: Schema.optionalKey(Schema.Boolean.annotate({
      description: "Make a new workspace although the chat has one, which is kept but left. Only after the user agreed"
    }))
  }),
  success: CreateWorkspaceResult,
  failure: ToolFailure,
  failureMode: "return"
})
  .annotate(Tool.Title, "Create workspace")
  .annotate(Tool.Readonly, false)
  .annotate(Tool.Destructive, false)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, true)

/**
 * @since 0.1.0
 * @category tools
 */
export const StartWorkspace = Tool.make("start_workspace", {
  description:
    `Starts the workspace of this chat, and waits until it can be used, which may take minutes. Its files are as they were left.
Use it when the workspace is stopped, or when its last start or stop failed. Do not use it alone when the agent of a running workspace is lost: it changes nothing there; call stop_workspace first.
Returns "started": true when the workspace runs, with "no_build": true when it did before. On "error" the build failed; "log_tail" is the end of its log. Call it again with other parameters if they were the reason; after the same failure twice tell the user.
"agent_status" and "startup_scripts" read as those of create_workspace.`,
  parameters: Schema.Struct({
    parameters: Schema.optionalKey(ParameterValues.annotate({
      description: "Values to change; the others stay as they were at the last build"
    }))
  }),
  success: StartWorkspaceResult,
  failure: ToolFailure,
  failureMode: "return"
})
  .annotate(Tool.Title, "Start workspace")
  .annotate(Tool.Readonly, false)
  .annotate(Tool.Destructive, false)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, true)

/**
 * @since 0.1.0
 * @category tools
 */
export const StopWorkspace = Tool.make("stop_workspace", {
  description:
    `Stops the workspace of this chat and waits for that. Everything that runs in it ends; its files are kept.
Use it when the user asks for it, or when another tool says to stop and start the workspace because its agent is lost. Do not use it to end a single command: that is process_signal.
Returns "stopped": true, with "no_build": true when it was stopped before. To go on working, call start_workspace. On "error" the stop failed; calling it again tries once more, and if that fails too, tell the user.`,
  success: StopWorkspaceResult,
  failure: ToolFailure,
  failureMode: "return"
})
  .annotate(Tool.Title, "Stop workspace")
  .annotate(Tool.Readonly, false)
  .annotate(Tool.Destructive, true)
  .annotate(Tool.Idempotent, true)
  .annotate(Tool.OpenWorld, true)

/**
 * The tools by which a chat gets, starts and stops its workspace. A child chat does not have them.
 *
 * @since 0.1.0
 * @category toolkits
 */
export const LifecycleTools = Toolkit.make(ListTemplates, ReadTemplate, CreateWorkspace, StartWorkspace, StopWorkspace)
