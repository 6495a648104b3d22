/** Workspaces that the backends build: folders of this host, with agents that all call by one gate. */
import { Effect, Option, type Scope } from "effect"
import type { ChatId, WorkspaceId } from "../../src/domain/Ids.ts"
import * as WorkspaceFolder from "../../src/provisioner/process/WorkspaceFolder.ts"
import * as ProcessFamily from "../../src/testing/ProcessFamily.ts"
import type { Backend } from "./Backends.ts"
import * as Proxy from "./Proxy.ts"
import * as Workspaces from "./Workspaces.ts"

/** Leads the agents of all of them to one node. */
export interface Gate {
  readonly link: Proxy.Proxy
  readonly home: () => Backend
  /** The next links lead to the next node. */
  readonly move: () => void
}

export const gate = (backends: () => ReadonlyArray<Backend>): Effect.Effect<Gate, never, Scope.Scope> =>
  Effect.gen(function*() {
    let home = 0
    const here = (): Backend | undefined => backends()[home % backends().length]
    const link = yield* Proxy.make(() => {
      const port = here()?.port()
      return port === undefined ? undefined : { port, host: "127.0.0.1" }
    })
    return {
      link,
      home: () => {
        const backend = here()
        if (backend === undefined) throw new Error("there are no backends")
        return backend
      },
      move: () => {
        home += 1
      }
    }
  })

export interface Built extends Workspaces.Place {
  readonly chatId: ChatId
  /** Once somebody was told of it. */
  readonly workspaceId: () => WorkspaceId | undefined
  readonly found: (workspaceId: WorkspaceId) => void
  readonly folder: () => WorkspaceFolder.WorkspaceFolder | undefined
  /** Of the agent that was started last, while it runs. */
  readonly agent: () => number | undefined
}

export const make = (root: string, chatId: ChatId): Built => {
  let workspaceId: WorkspaceId | undefined
  const folder = (): WorkspaceFolder.WorkspaceFolder | undefined =>
    workspaceId === undefined ? undefined : WorkspaceFolder.make(root, workspaceId)
  return {
    name: `the workspace of ${chatId}`,
    chatId,
    workspaceId: () => workspaceId,
    found: (id) => {
      workspaceId = id
    },
    folder,
    agent: () => {
      const at = folder()
      const pid = at === undefined ? undefined : Option.getOrUndefined(WorkspaceFolder.load(at))?.agents[0]?.pid
      return pid !== undefined && ProcessFamily.isRunning(pid) ? pid : undefined
    },
    ...Workspaces.ledger(() => folder()?.files)
  }
}
