/**
 * Where a workspace of this host keeps its files, and what is known of its agents from one backend process to the next.
 *
 * ```
 * <root>/<name of the workspace>/
 *   files/             what the workspace is: the home of its agents
 *   state.json         the agents of the last start, and the mark that everything in the workspace carries
 *   agents/<agent>/    the agent's token until it has read it, its log, and its own state; made anew by each start
 * ```
 *
 * `state.json` (mode 0600) is replaced whole, by rename. It need not outlive a crash of the machine, since no process does.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash, randomUUID } from "node:crypto"
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { readdir, rm } from "node:fs/promises"
import * as Path from "node:path"
import type { WorkspaceId } from "../../domain/Ids.ts"
import { ProviderFailed } from "../Provider.ts"

/**
 * An agent that was started: its process, and since when it is this one.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartedAgent {
  readonly name: string
  readonly pid: number
  readonly startedAt: string
}

/**
 * @since 0.1.0
 * @category models
 */
export interface WorkspaceFolder {
  readonly path: string
  readonly files: string
  readonly agent: (name: string) => {
    readonly path: string
    readonly token: string
    readonly log: string
    readonly state: string
  }
}

/**
 * The folder of a workspace, whether it is there or not. Its id may be any text: the name tells a part of it to people,
 * and has a hash that no other id has.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (root: string, workspaceId: WorkspaceId): WorkspaceFolder => {
  const readable = workspaceId.replaceAll(/[^A-Za-z0-9]+/g, "-").slice(0, 40)
  const hash = createHash("sha256").update(workspaceId, "utf16le").digest("hex").slice(0, 32)
  const path = Path.join(root, `${readable}.${hash}`)
  return {
    path,
    files: Path.join(path, "files"),
    agent: (name) => {
      const own = Path.join(path, "agents", name)
      return { path: own, token: Path.join(own, "token"), log: Path.join(own, "log"), state: Path.join(own, "state") }
    }
  }
}

const State = Schema.Struct({
  mark: Schema.NonEmptyString,
  machine: Schema.String,
  start: Schema.optionalKey(Schema.String),
  agents: Schema.Array(Schema.Struct({ name: Schema.String, pid: Schema.Int, startedAt: Schema.NonEmptyString }))
})

/**
 * The mark of the workspace, a name for the last start of it, and the agents that were started in it; those of another boot
 * of the machine, whose numbers belong to strangers now, are left out by whoever compares the machine.
 *
 * @since 0.1.0
 * @category models
 */
export type State = typeof State.Type

const StateFile = Schema.fromJsonString(State)

/**
 * What is known of a workspace; none when it was never started here, or its file cannot be read.
 *
 * @since 0.1.0
 * @category combinators
 */
export const load = (folder: WorkspaceFolder): Option.Option<State> => {
  try {
    return decode(readFileSync(stateFile(folder), "utf8"))
  } catch {
    return Option.none()
  }
}

/**
 * Replaces what is known. At once, since nothing may happen between the start of a process and the note of it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const save = (folder: WorkspaceFolder, state: State): void => {
  const file = stateFile(folder)
  writeFileSync(`${file}.new`, encode(state), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/**
 * Makes the folder for a start: files as they were left, nothing of earlier agents, the mark that it always had.
 *
 * @since 0.1.0
 * @category combinators
 */
export const prepare = Effect.fnUntraced(function*(
  folder: WorkspaceFolder,
  machine: string
): Effect.fn.Return<State, ProviderFailed> {
  yield* made(() => {
    mkdirSync(folder.files, { recursive: true, mode: 0o700 })
    // It may have been there before with another mode.
    chmodSync(folder.path, 0o700)
  })
  yield* removed(Path.join(folder.path, "agents"))
  const mark = Option.match(load(folder), { onNone: () => randomUUID(), onSome: ({ mark }) => mark })
  const state: State = { mark, machine, start: randomUUID(), agents: [] }
  yield* made(() => save(folder, state))
  return state
})

/**
 * Removes the folder with everything in it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const remove = (folder: WorkspaceFolder): Effect.Effect<void, ProviderFailed> => removed(folder.path)

const made = (make: () => void): Effect.Effect<void, ProviderFailed> =>
  Effect.try({ try: make, catch: (cause) => failed("The folder of the workspace cannot be made", cause) })

const removed = (path: string): Effect.Effect<void, ProviderFailed> =>
  Effect.tryPromise({
    try: async () => {
      try {
        await rm(path, { recursive: true, force: true })
      } catch {
        // Some tools take away the right to write from the folders of their caches.
        await openFolders(path)
        await rm(path, { recursive: true, force: true })
      }
    },
    catch: (cause) => failed("The files of the workspace cannot be removed", cause)
  })

const openFolders = async (path: string): Promise<void> => {
  chmodSync(path, 0o700)
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await openFolders(Path.join(path, entry.name))
  }
}

const stateFile = (folder: WorkspaceFolder): string => Path.join(folder.path, "state.json")

const decode = Schema.decodeOption(StateFile)

const encode = Schema.encodeSync(StateFile)

const failed = (what: string, cause: unknown): ProviderFailed => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown"
  return new ProviderFailed({ detail: `${what} (${code}).` })
}
