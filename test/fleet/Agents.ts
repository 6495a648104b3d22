/** Workspaces with an agent each: some in processes of their own, the others many to a process; and their ledgers. */
import { Effect, Redacted, Schema } from "effect"
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import type { WorkspaceId } from "../../src/domain/Ids.ts"
import * as h from "../agent/support/harness.ts"
import * as Child from "../chaos/Child.ts"
import * as Host from "./host.ts"

export interface Workspace {
  readonly name: string
  readonly workspaceId: WorkspaceId
  readonly agent: string
  readonly directory: string
  /** How often each operation began, and ended. */
  readonly begun: () => ReadonlyMap<string, number>
  readonly ended: () => ReadonlyMap<string, number>
}

/** How many agents share a process, at most. */
const shared = 50

export const make = Effect.fnUntraced(function*(options: {
  readonly count: number
  /** So many of them in processes of their own. */
  readonly own: number
  readonly port: number
  readonly root: string
  readonly env: Readonly<Record<string, string>>
}) {
  const { count, env, own, port, root } = options
  const made = yield* Effect.forEach(
    Array.from({ length: count }, (_, index) => index + 1),
    (number) =>
      Effect.map(h.enroll(), ({ agentId, token, workspaceId }) => {
        const name = `workspace-${number}`
        const directory = Path.join(root, name)
        mkdirSync(directory)
        const workspace: Workspace = {
          name,
          workspaceId,
          agent: agentId,
          directory,
          begun: () => linesOf(Path.join(directory, "begun")),
          ended: () => linesOf(Path.join(directory, "ended"))
        }
        const variables = {
          CW_AGENT_URL: `ws://127.0.0.1:${port}/agent`,
          CW_AGENT_TOKEN: Redacted.value(token),
          CW_AGENT_DIR: directory,
          CW_AGENT_STATE_DIR: Path.join(directory, ".state")
        }
        return { workspace, variables }
      }),
    { concurrency: 8 }
  )

  const alone = made.slice(0, own)
  const others = made.slice(own)
  const hosts = Math.ceil(others.length / shared)
  const groups = Array.from({ length: hosts }, (_, host) => others.filter((_, index) => index % hosts === host))
  const children = yield* Effect.forEach([
    ...alone.map(({ variables, workspace }) =>
      Child.make({
        name: `the agent of ${workspace.name}`,
        args: [program],
        env: () => ({ ...env, ...variables }),
        isReady: () => true
      })
    ),
    ...groups.map((group, index) =>
      Effect.map(
        Child.make({ name: `host ${index + 1}`, args: [host], env: () => env, isReady: () => true }),
        (child) => ({
          ...child,
          start: Effect.andThen(
            child.start,
            Effect.sync(() => child.write(encode(group.map(({ variables }) => variables))))
          )
        })
      )
    )
  ], (child) => child)
  yield* Effect.forEach(children, ({ start }) => start, { discard: true })
  return { workspaces: made.map(({ workspace }) => workspace), children, hosts }
})

const linesOf = (path: string): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1)
  return counts
}

const encode = Schema.encodeSync(Host.Agents)

const program = new URL("../../src/agent/program/main.ts", import.meta.url).pathname
const host = new URL("./host.ts", import.meta.url).pathname
