/**
 * What the end of a wait, and an error that is an answer, come to in the words of the tools.
 *
 * @since 0.1.0
 */
import { isFinished } from "../domain/Build.ts"
import type { Build, Transition } from "../domain/Build.ts"
import type { NoAgentReason } from "../domain/Errors.ts"
import type { WorkspaceId } from "../domain/Ids.ts"
import type { Workspace } from "../domain/Workspace.ts"
import type { Ready } from "../provisioner/Readiness.ts"
import type { CreateWorkspaceResult, StartWorkspaceResult } from "./LifecycleTools.ts"
import type { Failed } from "./LifecycleWaits.ts"

/**
 * The workspace that a result is about.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  readonly workspace_name: string
  readonly workspace_id: WorkspaceId
}

/**
 * One that was made elsewhere has no name, and goes by its id.
 *
 * @since 0.1.0
 * @category constructors
 */
export const placeOf = ({ name, workspaceId }: Pick<Workspace, "name" | "workspaceId">): Place => ({
  workspace_name: name ?? workspaceId,
  workspace_id: workspaceId
})

/**
 * The end of the log of a build, if one was kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const logTail = ({ logTail }: Build): { readonly log_tail?: string } =>
  logTail === null || logTail === "" ? {} : { log_tail: logTail }

/**
 * What came of a wait for a start: the failure of the build, or what is wrong with its agent, or nothing to say.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofWait = (
  ready: Ready
): Pick<
  StartWorkspaceResult,
  "agent_error" | "agent_status" | "error" | "lifecycle_state" | "log_tail" | "message" | "startup_scripts"
> => {
  const { failure } = ready
  if (failure !== null) return ofFailure({ ...ready, failure })
  return {
    ...(ready.agentStatus === null ? {} : { agent_status: ready.agentStatus }),
    ...(ready.agentError === null ? {} : { agent_error: ready.agentError }),
    ...(ready.startupScripts === null ? {} : { startup_scripts: ready.startupScripts }),
    ...(ready.startupScripts === null || ready.lifecycle === null ? {} : { lifecycle_state: ready.lifecycle })
  }
}

/**
 * A build that failed, or that did not end in its time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofFailure = (
  { failure, record: { build } }: Failed
): Pick<StartWorkspaceResult, "error" | "log_tail" | "message"> => ({
  error: `The ${build.transition} build failed: ${failure}`,
  message: isFinished(build) ? afterFailure[build.transition] : "The build has not ended; a later call waits for it.",
  ...logTail(build)
})

/**
 * The answer to a wish for a new workspace of a chat whose workspace gives no agent and is not built either; `undefined`
 * where it is to be built, or awaited.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofNoAgent = (
  reason: NoAgentReason,
  build: Build
): Pick<CreateWorkspaceResult, "agent_status" | "build_id" | "log_tail" | "message" | "status"> | undefined => {
  switch (reason) {
    case "stopped":
      return { status: "stopped", message: "The workspace is stopped. Call start_workspace to use it again." }
    case "failed":
    case "stopFailed":
    case "deleteFailed":
      return {
        status: "failed",
        build_id: build.buildId,
        message: `The last ${build.transition} of the workspace failed. ${afterFailure[build.transition]}`,
        ...logTail(build)
      }
    case "noAgents":
      return {
        status: "already_exists",
        message: "The workspace runs, but its template defines no agent. Tell the user.",
        agent_status: "no_agent"
      }
    default:
      return undefined
  }
}

const afterFailure: Readonly<Record<Transition, string>> = {
  start: "Call start_workspace to build the same workspace again, with other parameters if these were the reason.",
  stop: "Call stop_workspace to try again, or start_workspace to use the workspace.",
  delete: "Tell the user."
}
