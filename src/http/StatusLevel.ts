/**
 * How bad a finding is, and what the first line of a status says.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as ChatFinding from "../dial/ChatFinding.ts"
import type { DialConfig } from "../dial/DialConfig.ts"
import type { Explanation } from "../turn/Explanation.ts"
import type { Finding, FindingCode } from "../turn/ExplanationFinding.ts"
import type { Level, Problem, StatusView } from "./StatusView.ts"

const levels: Readonly<Record<FindingCode, Level>> = {
  database_down: "wrong",
  no_workspace: "still",
  workspace_deleted: "still",
  workspace_starting: "busy",
  workspace_stopping: "busy",
  workspace_stopped: "still",
  workspace_deleting: "busy",
  workspace_never_built: "still",
  workspace_without_agents: "wrong",
  start_failed: "wrong",
  stop_failed: "wrong",
  delete_failed: "wrong",
  agents_ambiguous: "wrong",
  no_root_agent: "wrong",
  agent_refused: "wrong",
  agent_missing: "wrong",
  agent_disconnected: "wrong",
  agent_silent: "wrong",
  agent_connecting: "busy",
  agent_elsewhere: "warn",
  not_connected_yet: "well",
  other_agent_remembered: "well",
  well: "well",
  turn_lost: "wrong",
  build_waiting: "busy",
  build_running: "busy",
  build_lost: "wrong",
  scripts_running: "busy",
  scripts_failed: "warn",
  agent_conflict: "warn",
  turn_in_call: "busy",
  turn_at_model: "busy",
  turn_elsewhere: "busy",
  turn_failed: "warn"
}

/** A build that is next and still not taken after many polls of the runners: nobody runs builds. */
const noRunner = Duration.seconds(30)

/**
 * The level of what was found. An agent that is gone for a moment mostly comes back by itself, and a build that nobody
 * takes is not merely waiting.
 *
 * @since 0.1.0
 * @category getters
 */
export const levelOf = (
  explanation: Explanation,
  { code }: Finding,
  { restartAdvice }: Pick<DialConfig, "restartAdvice">
): Level => {
  if (code === "agent_disconnected" || code === "agent_silent") {
    const unreachableFor = ChatFinding.currentView(explanation.connection)?.unreachableFor ?? null
    return unreachableFor !== null && Duration.isLessThan(unreachableFor, restartAdvice) ? "warn" : "wrong"
  }
  if (code === "build_waiting" && Result.isSuccess(explanation.beside)) {
    const { build, held } = explanation.beside.success
    const waits = build === null ? 0 : held.asOf.epochMilliseconds - build.createdAt.epochMilliseconds
    return build?.ahead === 0 && waits >= Duration.toMillis(noRunner) ? "wrong" : "busy"
  }
  return levels[code]
}

/**
 * The first line: whether something is wrong, and what. What is to be looked at later comes after what holds up somebody.
 *
 * @since 0.1.0
 * @category getters
 */
export const headline = (
  { chats, database, problems, unready }: {
    readonly database: Pick<StatusView["database"], "reachable">
    readonly unready: ReadonlyArray<string>
    readonly problems: ReadonlyArray<Problem>
    readonly chats: ReadonlyArray<{ readonly level: Level }>
  }
): Pick<StatusView, "level" | "headline"> => {
  if (!database.reachable) return { level: "wrong", headline: "The database does not answer." }
  const [first, ...others] = problems
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` And ${others.length} more.`
    return { level: "wrong", headline: `${first.message}${more}` }
  }
  if (unready.length > 0) return { level: "wrong", headline: `This node is not ready: ${unready.join("; ")}.` }
  const warned = chats.filter(({ level }) => level === "warn").length
  if (warned === 0) return { level: "well", headline: "Nothing is wrong." }
  return {
    level: "warn",
    headline: `Nothing is stuck; ${warned === 1 ? "one chat wants" : `${warned} chats want`} a look.`
  }
}
