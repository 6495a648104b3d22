/**
 * What the kernel shows of this process's own environment, with a secret wiped from it.
 *
 * `/proc/<pid>/environ` is the memory in which the process was given its environment, and every process of the same user
 * can read it; to remove a variable changes nothing there. So its value is overwritten where it stands, through
 * `/proc/self/mem`, at the addresses that the kernel names. Elsewhere than on Linux nothing is done.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs"

/**
 * Wipes the value of a variable. Who needs it has read it before; afterwards it is gone for good.
 *
 * @since 0.1.0
 * @category combinators
 */
export const wipe = (name: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (process.env[name] === undefined) return Effect.void
    try {
      overwrite(`${name}=`)
    } catch (cause) {
      // Where there is no /proc, or the kernel forbids it: the file for the token is the way that always works.
      return Effect.logDebug("The token cannot be wiped from the environment.", cause)
    } finally {
      delete process.env[name]
    }
    return Effect.void
  })

const overwrite = (start: string): void => {
  const stat = readFileSync("/proc/self/stat", "latin1")
  // The name of the command may hold spaces and parentheses: only what follows the last one can be split.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const [from, to] = [Number(fields[47]), Number(fields[48])]
  const memory = openSync("/proc/self/mem", "r+")
  try {
    const bytes = Buffer.alloc(to - from)
    readSync(memory, bytes, 0, bytes.length, from)
    let at = from
    for (const entry of bytes.toString("latin1").split("\0")) {
      const length = entry.length - start.length
      if (entry.startsWith(start)) writeSync(memory, Buffer.alloc(length), 0, length, at + start.length)
      at += entry.length + 1
    }
  } finally {
    closeSync(memory)
  }
}
