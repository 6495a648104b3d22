/**
 * The tokens of agents as files that nobody but this user can read, in a folder that is gone with its scope.
 *
 * A process that is killed leaves its folder. Its name says whose it is, and the next one that needs a folder removes it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as ProcessGroups from "../../agent/program/ProcessGroups.ts"
import { type ProvidedAgent, ProviderFailed } from "../Provider.ts"

/**
 * The folder; the file of an agent has its name.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (agents: ReadonlyArray<ProvidedAgent>): Effect.Effect<string, ProviderFailed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        removeLeftOver()
        const folder = mkdtempSync(Path.join(tmpdir(), nameOf(process.pid, ProcessGroups.startTime(process.pid))))
        for (const { name, token } of agents) write(Path.join(folder, name), token)
        return folder
      },
      catch: () => new ProviderFailed({ detail: "The token of the agent cannot be written to a temporary file." })
    }),
    remove
  )

/**
 * How the folders of a process are called; random characters follow.
 *
 * @since 0.1.0
 * @category accessors
 */
export const nameOf = (pid: number, start: number | null): string => `${prefix()}${pid}-${start ?? "unknown"}-`

/**
 * A new file with a token, for this user alone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const write = (file: string, token: Redacted.Redacted<string>): void =>
  writeFileSync(file, Redacted.value(token), { mode: 0o600, flag: "wx" })

/**
 * Removes a file or a folder of tokens, where there is one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const remove = (path: string): Effect.Effect<void> =>
  Effect.ignore(Effect.try(() => rmSync(path, { recursive: true, force: true })), {
    log: "Warn",
    message: "A token that is not needed any more cannot be removed."
  })

/** The numbers of processes mean something within one boot and namespace only: folders of others are left alone. */
const prefix = (): string =>
  `chat-workspace-tokens-${createHash("sha256").update(ProcessGroups.machine()).digest("hex").slice(0, 12)}-`

const removeLeftOver = (): void => {
  const start = prefix()
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(start)) continue
    const [, pid, startedAt] = /^(\d+)-(\d+)-/.exec(name.slice(start.length)) ?? []
    if (pid === undefined || ProcessGroups.isAlive(Number(pid), Number(startedAt))) continue
    try {
      rmSync(Path.join(tmpdir(), name), { recursive: true, force: true })
    } catch {
      // It is of another user.
    }
  }
}
