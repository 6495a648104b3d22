/**
 * What runs in a workspace of this host, found again by whoever comes later.
 *
 * An agent is known by the number of its process and the time of its start. What it started is found in two ways: by the
 * groups that the agent noted in its own state, and on Linux by a variable in the environment that everything started in
 * the workspace inherits, also what opened a session of its own or has lost its agent.
 *
 * **Gotchas.** A process that cleared its environment and opened its own session is not found: a folder on a host is no
 * sandbox.
 *
 * @since 0.1.0
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import type { Group } from "../../agent/program/ProcessGroups.ts"
import * as ProcessGroups from "../../agent/program/ProcessGroups.ts"
import * as StateDirectory from "../../agent/program/StateDirectory.ts"
import type { Find, Running } from "./Ending.ts"
import type { StartedAgent, WorkspaceFolder } from "./WorkspaceFolder.ts"

/**
 * The variable by which everything in a workspace is known.
 *
 * @since 0.1.0
 * @category constants
 */
export const markVariable = "CW_WORKSPACE_MARK"

/**
 * When a process started, in words that no later process of this number has; null when there is no such process.
 *
 * @since 0.1.0
 * @category accessors
 */
export const startedAt = (pid: number): string | null => {
  if (!hasProc) return startedAtByPs(pid)
  const start = ProcessGroups.startTime(pid)
  return start !== null && ProcessGroups.isAlive(pid, start) ? String(start) : null
}

/**
 * The same where the kernel has no `/proc`, to the second.
 *
 * @since 0.1.0
 * @category accessors
 */
export const startedAtByPs = (pid: number): string | null => {
  const { stdout } = spawnSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8", timeout: 5_000 })
  const [state = "Z", ...start] = (stdout ?? "").trim().split(/\s+/)
  return start.length === 0 || state.startsWith("Z") ? null : start.join(" ")
}

/**
 * The agents that still are the ones that were started.
 *
 * @since 0.1.0
 * @category accessors
 */
export const agents = (started: ReadonlyArray<StartedAgent>): Find => () =>
  started.filter((agent) => startedAt(agent.pid) === agent.startedAt).map(({ pid }) => signalTo(pid))

/**
 * Everything else in a workspace, and what is left of its agents.
 *
 * @since 0.1.0
 * @category accessors
 */
export const others = (folder: WorkspaceFolder, mark: string, started: ReadonlyArray<StartedAgent>): Find => () => [
  ...agents(started)(),
  ...ProcessGroups.withMembers(started.flatMap(({ name }) => StateDirectory.groups(folder.agent(name).state)))
    .map(signalToGroup),
  ...marked(mark).map(signalTo)
]

const marked = (mark: string): ReadonlyArray<number> => {
  if (!hasProc) return []
  const entry = Buffer.from(`\0${markVariable}=${mark}\0`)
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name)
    return Number.isInteger(pid) && pid !== process.pid && environment(pid).includes(entry) ? [pid] : []
  })
}

/** Empty for a process that has ended, and for one of somebody else. */
const environment = (pid: number): Buffer => {
  try {
    return Buffer.concat([Buffer.of(0), readFileSync(`/proc/${pid}/environ`)])
  } catch {
    return Buffer.alloc(0)
  }
}

const hasProc = existsSync("/proc/self/environ")

const signalTo = (pid: number): Running => (signal) => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended in this moment, or it is somebody else's by now.
  }
}

const signalToGroup = (group: Group): Running => (signal) => void ProcessGroups.signal(group, signal)
