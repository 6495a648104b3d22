/** All parts of a run, from the database to the gate of the agents that the backends start themselves. */
import { Effect, type Scope, Semaphore } from "effect"
import { SqlClient } from "effect/sql"
import { mkdirSync } from "node:fs"
import * as Path from "node:path"
import { ChatId } from "../../src/domain/Ids.ts"
import type { AgentEnrollments } from "../../src/store/index.ts"
import type { PostgresServer } from "../../src/testing/PostgresServer.ts"
import * as ProcessFamily from "../../src/testing/ProcessFamily.ts"
import * as NatsServer from "../cluster/support/server.ts"
import * as Backends from "./Backends.ts"
import type { Book } from "./Book.ts"
import * as Builds from "./Builds.ts"
import * as Built from "./Built.ts"
import type { World } from "./Hurting.ts"
import * as Leftovers from "./Leftovers.ts"
import { Outages } from "./Outages.ts"
import * as Workspaces from "./Workspaces.ts"

const backendCount = 2
const builtCount = 2

export const make = Effect.fnUntraced(function*(options: {
  readonly book: Book
  readonly root: string
  readonly database: PostgresServer["Service"]
  readonly workspaces: number
  readonly nats: boolean
}): Effect.fn.Return<World, never, AgentEnrollments.AgentEnrollments | SqlClient.SqlClient | Scope.Scope> {
  const { book, database, root } = options
  const sql = yield* SqlClient.SqlClient
  const nats = options.nats ? yield* NatsServer.start() : undefined
  let backends: ReadonlyArray<Backends.Backend> = []
  const gate = yield* Built.gate(() => backends)
  const building = { root: Path.join(root, "built"), agentUrl: `ws://127.0.0.1:${gate.link.port}/agent` }
  mkdirSync(building.root)
  // Agents of backends belong to no process of ours: a run that broke off would leave them.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const left of Leftovers.processesOf(building.root)) ProcessFamily.send(Number.parseInt(left), "SIGKILL")
    })
  )
  backends = yield* Effect.forEach(
    Array.from({ length: backendCount }, (_, index) => `backend ${index + 1}`),
    (name) =>
      Backends.make({
        name,
        url: database.url,
        env: nats === undefined ? {} : { NATS_URL: `127.0.0.1:${nats.port}` },
        building,
        // What nobody receives is logged as an error, and there should be nothing.
        onError: (line) => book.violate(`${name} wrote ${line}`)
      }),
    { concurrency: backendCount }
  )
  const workspaces = yield* Effect.forEach(
    Array.from({ length: options.workspaces }, (_, index) => index),
    (index) => Workspaces.make({ name: `workspace-${index + 1}`, root, backends, home: index }),
    { concurrency: options.workspaces }
  )
  const built = Array.from(
    { length: builtCount },
    (_, index) => Built.make(building.root, ChatId.make(`chat-${index + 1}-that-builds`))
  )
  const locks = new Map<string, Semaphore.Semaphore>()
  return {
    database,
    backends,
    workspaces,
    built,
    gate,
    users: [],
    nats,
    // The database may be away just then.
    runners: Effect.orElseSucceed(Effect.provideService(Builds.runners, SqlClient.SqlClient, sql), () => []),
    outages: new Outages(),
    lockOf: (part, index) => {
      const key = `${part} ${index}`
      const lock = locks.get(key) ?? Semaphore.makeUnsafe(1)
      locks.set(key, lock)
      return lock
    },
    violate: (text) => book.violate(text)
  }
})

/** How the processes are, for whoever asks why nothing works. */
export const report = ({ backends, workspaces }: World): string =>
  [...backends, ...workspaces].map(({ child }) =>
    `${child.name} ${child.isRunning() ? "runs" : "does not run"}: ${child.errors()}`
  ).join("\n")
