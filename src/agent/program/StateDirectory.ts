/**
 * What the agent program leaves for its next incarnation: which process groups it opened, and for whom.
 *
 * `lock` names the program that uses the directory, by process and time of start: two programs with one directory would
 * kill each other's groups. `state.json` (mode 0600) is replaced whole, by rename, and holds the groups with the boot and
 * the namespace in which their numbers mean something. It also hands on the ids that already ended with an earlier
 * incarnation, so that they are still answered after the next one.
 *
 * It need not outlive a crash of the machine, since its groups do not: nothing is synced to the disk.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { existsSync, linkSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { rename, writeFile } from "node:fs/promises"
import * as Path from "node:path"
import { OperationId } from "../Protocol.ts"
import type { Group } from "./ProcessGroups.ts"
import * as ProcessGroups from "./ProcessGroups.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import { Settings, SettingsError } from "./Settings.ts"

/**
 * What the incarnation before left: groups that may still run, and the ids that ended with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Earlier {
  readonly groups: ReadonlyArray<Group>
  readonly operations: ReadonlyArray<OperationId>
}

/**
 * Whose groups they are: those of commands, unless said otherwise, or those of the workspace's MCP servers.
 *
 * @since 0.1.0
 * @category models
 */
export type Owner = "commands" | "servers"

/**
 * The id under which groups of servers are noted. No operation: nobody can ask for it.
 *
 * @since 0.1.0
 * @category constants
 */
export const serverGroupId = OperationId.make("mcp-server")

/**
 * @since 0.1.0
 * @category services
 */
export class StateDirectory extends Context.Service<StateDirectory, {
  readonly earlier: Earlier
  /**
   * Succeeds once a file with these groups, or with those of a later call of the same owner, is in place, beside the
   * groups of the other owner; saves that wait share one write. A full disk is logged and not an error: the command that
   * frees it must still be able to start.
   */
  readonly save: (groups: () => ReadonlyArray<Group>, owner?: Owner) => Effect.Effect<void>
}>()("chat-workspace/agent/program/StateDirectory") {}

const State = Schema.fromJsonString(Schema.Struct({
  machine: Schema.String,
  groups: Schema.Array(Schema.Struct({ id: OperationId, pid: Schema.Int, start: Schema.NullOr(Schema.Int) })),
  ended: Schema.Array(Schema.Struct({ id: OperationId, atMillis: Schema.Finite }))
}))

const Holder = Schema.fromJsonString(Schema.Struct({
  machine: Schema.String,
  pid: Schema.Int,
  start: Schema.NullOr(Schema.Int)
}))

const make = Effect.gen(function*() {
  const { stateDirectory } = yield* Settings
  const config = yield* ProgramConfig
  const file = Path.join(stateDirectory, "state.json")
  const machine = ProcessGroups.machine()
  yield* own(stateDirectory)
  yield* Effect.acquireRelease(
    lock(stateDirectory, machine),
    (path) => Effect.sync(() => rmSync(path, { force: true }))
  )

  const now = yield* Clock.currentTimeMillis
  const before = yield* load(file)
  const retention = Duration.toMillis(config.operationRetention)
  const ended = [
    ...before.ended.filter(({ atMillis }) => now - atMillis < retention),
    ...before.groups.filter(({ id }) => id !== serverGroupId).map(({ id }) => ({ id, atMillis: now }))
  ].slice(-config.operations)

  const writing = yield* Semaphore.make(1)
  const present = new Map<Owner, () => ReadonlyArray<Group>>()
  let wanted = 0
  let written = 0
  const write = (groups: ReadonlyArray<Group>) =>
    Schema.encodeEffect(State)({ machine, groups, ended }).pipe(
      Effect.flatMap((text) => Effect.tryPromise(() => replace(file, text))),
      Effect.catch((error) => Effect.logWarning("The state of the agent cannot be saved.", error.message))
    )

  return StateDirectory.of({
    earlier: {
      // The numbers of another boot or namespace belong to strangers now.
      groups: before.machine === machine ? before.groups : [],
      operations: ended.map(({ id }) => id)
    },
    save: (groups, owner = "commands") =>
      Effect.suspend(() => {
        const own = ++wanted
        present.set(owner, groups)
        return writing.withPermit(Effect.suspend(() => {
          if (written >= own) return Effect.void
          const covers = wanted
          return Effect.map(write([...present.values()].flatMap((groups) => groups())), () => {
            written = covers
          })
        }))
      })
  })
})

/**
 * Fails when the directory cannot be used, or another agent uses it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<StateDirectory, SettingsError, Settings> = Layer.effect(StateDirectory, make)

/**
 * The groups that a program noted in a directory, for whoever ends it from outside; none of another boot or namespace.
 *
 * @since 0.1.0
 * @category accessors
 */
export const groups = (directory: string): ReadonlyArray<Group> => {
  const state = Option.flatMap(
    Option.fromUndefinedOr(read(Path.join(directory, "state.json"))),
    Schema.decodeOption(State)
  )
  return Option.getOrElse(
    Option.map(state, ({ groups, machine }) => machine === ProcessGroups.machine() ? groups : []),
    () => []
  )
}

/**
 * The name of the file in a directory that is there while a program uses it.
 *
 * @since 0.1.0
 * @category constants
 */
export const lockName = "lock"

const replace = async (file: string, text: string): Promise<void> => {
  await writeFile(`${file}.new`, text, { mode: 0o600 })
  await rename(`${file}.new`, file)
}

const load = (file: string): Effect.Effect<typeof State.Type> =>
  Effect.suspend(() => {
    const text = read(file)
    if (text === undefined) return Effect.succeed(nothing)
    return Effect.catch(
      Schema.decodeEffect(State)(text),
      () => Effect.as(Effect.logWarning("The state of the agent's last run cannot be read.", file), nothing)
    )
  })

const nothing: typeof State.Type = { machine: "", groups: [], ended: [] }

const refused = (problem: string): SettingsError => new SettingsError({ setting: "CW_AGENT_STATE_DIR", problem })

const attempt = <A>(directory: string, act: () => A): Effect.Effect<A, SettingsError> =>
  Effect.try({
    try: act,
    catch: (cause) =>
      cause instanceof SettingsError
        ? cause
        : refused(`cannot be used: ${cause instanceof Error ? cause.message : directory}`)
  })

const own = (directory: string): Effect.Effect<void, SettingsError> =>
  attempt(directory, () => {
    makeFolder(directory)
    const stat = lstatSync(directory)
    if (!stat.isDirectory()) throw refused(`is not a folder: ${directory}`)
    // Who can write here chooses which processes the next incarnation kills.
    if (stat.uid !== (process.getuid?.() ?? stat.uid) || (stat.mode & 0o022) !== 0) {
      throw refused(`belongs to another user, or others may write to it: ${directory}`)
    }
  })

/** Node's own recursion does not end where a folder exists that takes no new one, as in /proc. */
const makeFolder = (path: string): void => {
  if (existsSync(path)) return
  makeFolder(Path.dirname(path))
  mkdirSync(path, { mode: 0o700 })
}

const lock = (directory: string, machine: string): Effect.Effect<string, SettingsError> =>
  attempt(directory, () => {
    const path = Path.join(directory, lockName)
    const mine = `${path}.${process.pid}`
    writeFileSync(mine, JSON.stringify({ machine, pid: process.pid, start: ProcessGroups.startTime(process.pid) }))
    try {
      for (let tries = 0; tries < 10; tries++) {
        if (linked(mine, path)) return path
        const text = read(path)
        if (text === undefined) continue
        const holder = Option.getOrUndefined(Schema.decodeOption(Holder)(text))
        if (holder !== undefined && holder.machine === machine && ProcessGroups.isAlive(holder.pid, holder.start)) {
          throw refused(`is in use by another agent (process ${holder.pid}): ${directory}`)
        }
        removeStale(path, text)
      }
      throw refused(`is being taken by another agent: ${directory}`)
    } finally {
      rmSync(mine, { force: true })
    }
  })

/** Removes the lock that was found stale. One that another agent made meanwhile is given back. */
const removeStale = (path: string, text: string): void => {
  const aside = `${path}.${process.pid}.stale`
  try {
    renameSync(path, aside)
  } catch {
    return
  }
  if (read(aside) !== text) linked(aside, path)
  rmSync(aside, { force: true })
}

/** A hard link is made whole or not at all, and never over a name that is taken. */
const linked = (from: string, to: string): boolean => {
  try {
    linkSync(from, to)
    return true
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return false
    throw cause
  }
}

const read = (file: string): string | undefined => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}
