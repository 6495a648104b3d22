/** What a run should have taken away with it: processes, sockets, folders. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { isRunning } from "../../src/testing/ProcessFamily.ts"

/** Those that work in a folder, or were started for it. */
export const processesOf = (folder: string): ReadonlyArray<string> =>
  readdirSync("/proc").map(Number).filter((pid) => pid > 1 && pid !== process.pid).flatMap((pid) => {
    const isMeant = read(() => readlinkSync(`/proc/${pid}/cwd`)).startsWith(folder) ||
      read(() => readFileSync(`/proc/${pid}/environ`, "latin1")).includes(`=${folder}`)
    return isMeant && isRunning(pid)
      ? [`${pid} ${read(() => readFileSync(`/proc/${pid}/cmdline`, "latin1")).replaceAll("\0", " ")}`]
      : []
  })

/** Every one of them, in words. */
export const find = (were: {
  readonly pids: ReadonlyArray<number>
  readonly folders: ReadonlyArray<string>
  readonly sockets: ReadonlyArray<() => number>
}): ReadonlyArray<string> => [
  ...were.pids.filter(isRunning).map((pid) => `process ${pid} is left`),
  ...were.folders.flatMap(processesOf).map((process) => `process ${process} is left`),
  ...were.folders.filter((folder) => existsSync(folder)).map((folder) => `${folder} is left`),
  ...were.sockets.map((count) => count()).filter((count) => count > 0).map((count) => `${count} sockets are left`)
]

/** Empty for a process that has ended. */
const read = (look: () => string): string => {
  try {
    return look()
  } catch {
    return ""
  }
}
