/**
 * A process and its children taken as one: frozen, thawed, killed.
 *
 * Node only knows processes that it started itself; a server's own children have to be asked of the system.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"

/**
 * The parent and its children; nothing when the parent has ended.
 *
 * @since 0.1.0
 * @category getters
 */
export const members = (parent: number): ReadonlyArray<number> =>
  isRunning(parent) ? [parent, ...childrenOf(parent)] : []

/**
 * Whether there is such a process that has not ended, whoever owns it.
 *
 * @since 0.1.0
 * @category getters
 */
export const isRunning = (pid: number): boolean => send(pid, 0) && startOf(pid) !== ended

/**
 * When a process began, in ticks since the system did: an id alone may have been given to another one since. Empty where
 * the system does not tell.
 *
 * @since 0.1.0
 * @category getters
 */
export const startOf = (pid: number): string => {
  const fields = textOf(`/proc/${pid}/stat`)?.split(") ").at(-1)?.split(" ") ?? []
  return fields[0] === "Z" ? ended : fields[19] ?? ""
}

/**
 * Sends a signal. False when there is no such process.
 *
 * @since 0.1.0
 * @category combinators
 */
export const send = (pid: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    // One that belongs to somebody else is there.
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/**
 * Stops every member where it is. The parent goes first, and the rest until nothing new is found: it may have been about
 * to start another one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const freeze = (parent: number): void => {
  const frozen = new Set<number>()
  for (let found = members(parent); found.some((pid) => !frozen.has(pid)); found = members(parent)) {
    for (const pid of found) {
      send(pid, "SIGSTOP")
      frozen.add(pid)
    }
  }
}

/**
 * Lets every member go on.
 *
 * @since 0.1.0
 * @category combinators
 */
export const thaw = (parent: number): void => {
  for (const pid of members(parent).toReversed()) send(pid, "SIGCONT")
}

/**
 * Kills every member, and waits until the system has ended them, for 5 s at most.
 *
 * @since 0.1.0
 * @category combinators
 */
export const kill = (parent: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    freeze(parent)
    const all = members(parent)
    for (const pid of all.toReversed()) send(pid, "SIGKILL")
    return Effect.repeat(Effect.sync(() => all.some(isRunning)), {
      until: (left) => !left,
      schedule: Schedule.spaced("5 millis"),
      times: 1000
    })
  })

/**
 * The text of a file; `undefined` where there is nothing to read (any more).
 *
 * @since 0.1.0
 * @category getters
 */
export const textOf = (file: string): string | undefined => {
  try {
    return Fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

// Its parent has not collected it yet.
const ended = "ended"

const childrenOf = (pid: number): ReadonlyArray<number> => {
  const text = textOf(`/proc/${pid}/task/${pid}/children`) ??
    spawnSync("pgrep", ["-P", String(pid)], { encoding: "utf8" }).stdout ?? ""
  return text.split(/\s+/).filter((word) => word !== "").map(Number)
}
