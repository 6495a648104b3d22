/**
 * Process groups as the kernel knows them: who is alive, since when, and whether a group still is the one we started.
 *
 * A number of a process means nothing by itself, since it is used again; with the time of its start, the boot and the
 * namespace it is counted in, it does. A group's number is not used again while the group has members, so a group whose
 * leader is gone is ours when a member stands in the session that the leader opened.
 *
 * The facts are read from `/proc`, at once: it is memory, and a signal must follow its check without a step between.
 * Where there is no `/proc` nothing of an earlier incarnation is ever killed.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import type { OperationId, Signal } from "../Protocol.ts"

/**
 * The group that a start opened: the id of its leader and, where the kernel tells, the leader's time of start in ticks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Group {
  readonly id: OperationId
  readonly pid: number
  readonly start: number | null
}

/**
 * Boot and namespace in which the numbers of processes have their meaning.
 *
 * @since 0.1.0
 * @category accessors
 */
export const machine = (): string => {
  try {
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${readlinkSync("/proc/self/ns/pid")}`
  } catch {
    return "unknown"
  }
}

/**
 * When a process started, in ticks since boot; null when it is not there or the kernel does not tell.
 *
 * @since 0.1.0
 * @category accessors
 */
export const startTime = (pid: number): number | null => stat(pid)?.start ?? null

/**
 * Whether a process of this number and time of start is alive. Without a time only the number is compared.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAlive = (pid: number, start: number | null): boolean => {
  const found = stat(pid)
  if (found !== undefined) return found.state !== "Z" && (start === null || found.start === start)
  return start === null && signalled(pid, 0)
}

/**
 * Of these groups, those that have a member that runs and still are the groups that were started.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withMembers = (groups: ReadonlyArray<Group>): ReadonlyArray<Group> => {
  // Most groups are empty once their leader has ended: one question to the kernel instead of reading all of /proc.
  const possible = groups.filter((group) => signalled(-group.pid, 0))
  if (possible.every(({ start }) => start === null)) return possible
  const members = new Map<number, number>()
  for (const pid of processes()) {
    const found = stat(pid)
    if (found === undefined || found.state === "Z" || found.session !== found.group) continue
    members.set(found.group, Math.max(found.start, members.get(found.group) ?? 0))
  }
  return possible.filter(({ pid, start }) => {
    if (start === null) return true
    const leader = stat(pid)
    return (leader === undefined || leader.start === start) && (members.get(pid) ?? -1) >= start
  })
}

/**
 * Whether a group has a member that runs and still is the group that was started.
 *
 * @since 0.1.0
 * @category predicates
 */
export const hasMembers = (group: Group): boolean => withMembers([group]).length > 0

/**
 * Sends a signal to a group; false when nobody is there. The caller has made sure that the group is its own.
 *
 * @since 0.1.0
 * @category signals
 */
export const signal = (group: Group, signal: Signal): boolean => signalled(-group.pid, signal)

/**
 * Ends groups: TERM, and KILL for what is left after a while. Groups that are another's by now are left alone.
 *
 * @since 0.1.0
 * @category signals
 */
export const endAll = Effect.fnUntraced(function*(all: ReadonlyArray<Group>, killAfter: Duration.Duration) {
  const left = () => withMembers(all)
  const groups = left()
  for (const group of groups) signal(group, "SIGTERM")
  yield* Effect.sleep("20 millis").pipe(
    Effect.repeat({ while: () => left().length > 0 }),
    Effect.timeoutOrElse({ duration: killAfter, orElse: () => Effect.void }),
    Effect.when(Effect.succeed(groups.length > 0))
  )
  for (const group of left()) signal(group, "SIGKILL")
})

interface Stat {
  readonly state: string
  readonly group: number
  readonly session: number
  readonly start: number
}

const stat = (pid: number): Stat | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1")
    // The name of the command may hold spaces and parentheses: only what follows the last one can be split.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    return { state: fields[0] ?? "Z", group: Number(fields[2]), session: Number(fields[3]), start: Number(fields[19]) }
  } catch {
    return undefined
  }
}

const processes = (): ReadonlyArray<number> =>
  readdirSync("/proc").flatMap((name) => {
    const pid = Number(name)
    return Number.isInteger(pid) ? [pid] : []
  })

const signalled = (target: number, signal: Signal | 0): boolean => {
  try {
    process.kill(target, signal)
    return true
  } catch (cause) {
    // A member that changed its user cannot be signalled, but it is there.
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}
