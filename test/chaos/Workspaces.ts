/** Workspaces with a real agent behind a link of its own, and the ledgers that their commands write. */
import { Effect, Redacted, Schedule } from "effect"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import type { AgentId, WorkspaceId } from "../../src/domain/Ids.ts"
import { AgentEnrollments } from "../../src/store/index.ts"
import * as h from "../agent/support/harness.ts"
import type { Backend } from "./Backends.ts"
import * as Bounds from "./Bounds.ts"
import * as Child from "./Child.ts"
import * as Proxy from "./Proxy.ts"

/** Where operations are noted. */
export interface Place {
  readonly name: string
  /** How often each operation began, in the order of the lines. */
  readonly begun: () => ReadonlyMap<string, number>
  readonly ended: () => ReadonlyMap<string, number>
  readonly written: (operation: string) => string | undefined
}

export interface Workspace extends Place {
  readonly workspaceId: WorkspaceId
  /** Of the latest build. */
  readonly agentId: () => AgentId
  readonly directory: string
  readonly child: Child.Child
  /** Between the agent and its node. */
  readonly link: Proxy.Proxy
  readonly home: () => Backend
  /** The agent is gone, and in its place is that of a new build, which writes in the same folder. */
  readonly rebuild: (millis: number) => Effect.Effect<void>
  /** The next links of the agent lead to the next node. */
  readonly move: () => void
}

/** The file whose edits are counted, and the line before which each puts its own. */
export const edited = "edits"
export const lastLine = "the end"

export const fileOf = (operation: string): string => `${operation}.txt`

/** Notes its begin and its end, which is so much later; what it says names it. */
export const command = (operation: string, millis: number): string =>
  `echo ${operation} >> begun; sleep ${millis / 1000}; echo ${operation} >> ended; echo ${operation}`

/** What is noted in a folder; nothing while there is none. */
export const ledger = (folder: () => string | undefined): Pick<Place, "begun" | "ended" | "written"> => {
  const text = (name: string): string | undefined => {
    const directory = folder()
    const path = directory === undefined ? undefined : Path.join(directory, name)
    return path !== undefined && existsSync(path) ? readFileSync(path, "utf8") : undefined
  }
  const count = (...names: ReadonlyArray<string>): ReadonlyMap<string, number> => {
    const counts = new Map<string, number>()
    for (const line of names.flatMap((name) => (text(name) ?? "").split("\n").slice(0, -1))) {
      counts.set(line, (counts.get(line) ?? 0) + 1)
    }
    return counts
  }
  return {
    begun: () => count("begun", edited),
    ended: () => count("ended", edited),
    written: (operation) => text(fileOf(operation))
  }
}

export const make = Effect.fnUntraced(function*(options: {
  readonly name: string
  readonly root: string
  readonly backends: ReadonlyArray<Backend>
  readonly home: number
}) {
  const { backends, name } = options
  const enrollments = yield* AgentEnrollments.AgentEnrollments
  // The database may be away just then.
  const enroll = (workspaceId?: WorkspaceId) =>
    h.enroll(workspaceId).pipe(
      Effect.provideService(AgentEnrollments.AgentEnrollments, enrollments),
      Effect.retry({ while: ({ _tag }) => _tag === "StoreError", schedule: Schedule.spaced("300 millis") }),
      Effect.orDie
    )
  let enrolled = yield* enroll()
  const { workspaceId } = enrolled
  const directory = Path.join(options.root, name)
  mkdirSync(directory)
  writeFileSync(Path.join(directory, edited), `${lastLine}\n`)
  writeFileSync(Path.join(directory, "AGENTS.md"), "Be brief.\n")
  let home = options.home
  const here = (): Backend => backends[home % backends.length] ?? nowhere()
  const link = yield* Proxy.make(() => {
    const port = here().port()
    return port === undefined ? undefined : { port, host: "127.0.0.1" }
  }, distance)
  const child = yield* Child.make({
    name,
    args: [file],
    env: () => ({
      ...Bounds.agent,
      CW_AGENT_URL: `ws://127.0.0.1:${link.port}/agent`,
      CW_AGENT_TOKEN: Redacted.value(enrolled.token),
      CW_AGENT_DIR: directory,
      CW_AGENT_STATE_DIR: Path.join(directory, ".state")
    }),
    // It has no word for whoever starts it: that it came is seen by the first call.
    isReady: () => true
  })
  yield* child.start
  const workspace: Workspace = {
    name,
    workspaceId,
    agentId: () => enrolled.agentId,
    directory,
    child,
    link,
    home: here,
    rebuild: (millis) =>
      child.kill.pipe(
        Effect.andThen(Effect.sleep(millis)),
        Effect.andThen(enroll(workspaceId)),
        Effect.andThen((next) =>
          Effect.suspend(() => {
            enrolled = next
            return child.start
          })
        )
      ),
    move: () => {
      home += 1
    },
    ...ledger(() => directory)
  }
  return workspace
})

/** So that a link that breaks meets calls that were sent and not yet acknowledged. */
const distance = 50

const nowhere = (): never => {
  throw new Error("there are no backends")
}

const file = new URL("../../src/agent/program/main.ts", import.meta.url).pathname
