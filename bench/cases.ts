/** The cases: each as an effect, and by hand over the same fakes. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AgentConnection } from "../src/agent/AgentConnection.ts"
import { AgentTransport } from "../src/agent/AgentTransport.ts"
import * as ChatWorkspaces from "../src/dial/ChatWorkspaces.ts"
import { dialWithLazyValidation } from "../src/dial/LazyDial.ts"
import { Binding } from "../src/domain/Binding.ts"
import { StoreError, Unsupported } from "../src/domain/Errors.ts"
import { AgentId, BuildId, ChatId, WorkspaceId } from "../src/domain/Ids.ts"
import { ChatBindings } from "../src/store/ChatBindings.ts"
import { WorkspaceAgents } from "../src/store/WorkspaceAgents.ts"
import { dialPlain, PlainConnections } from "./plain.ts"

/** One operation of a case, in both ways. */
export interface Case {
  readonly name: string
  readonly lazy: Effect.Effect<unknown>
  readonly plain: () => Promise<unknown>
  /** How many are under way together. */
  readonly atOnce: number
  /** Fibers and timers of one operation, besides its caller. */
  readonly limit: { readonly fibers: number; readonly timers: number }
  /** Waits until what it left to the background has ended. */
  readonly settled?: (() => Promise<void>) | undefined
}

interface Connection {
  readonly id: string
}

const connections: Readonly<Record<string, Connection>> = { a: { id: "a" }, b: { id: "b" } }
const connected = (id: string): Connection => connections[id] ?? { id }
const counters = { acquired: 0, released: 0 }
const release = () => {
  counters.released++
}

const hop = Effect.callback<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})
const hopPlain = () => new Promise<void>((resolve) => setImmediate(resolve))

const acquire = <E>(id: string, before: Effect.Effect<unknown, E>) =>
  Effect.acquireRelease(
    Effect.map(before, () => {
      counters.acquired++
      return connected(id)
    }),
    () => Effect.sync(release),
    { interruptible: true }
  )
const acquirePlain = (id: string): Connection => {
  counters.acquired++
  return connected(id)
}

// Made once: what a stack trace costs is not what is measured.
const refused = new Error("refused")
const delayMillis = 60_000

const lazy = (
  dial: (id: string) => Effect.Effect<Connection, Error, Scope.Scope>,
  current: string,
  validationDelay = delayMillis
): Effect.Effect<unknown> =>
  Effect.orDie(Effect.scoped(dialWithLazyValidation({
    id: "a",
    dial,
    validate: Effect.succeed(Result.succeed(current)),
    validationDelay
  })))

const plain = async (
  dial: (id: string, signal: AbortSignal) => Promise<Connection>,
  current: string,
  validationDelayMillis = delayMillis,
  signal = new AbortController().signal
) => {
  await dialPlain({ id: "a", dial, release, validate: async () => current, validationDelayMillis, signal })
  release()
}

const failOnce = () => {
  let first = true
  return () => {
    const fails = first
    first = !first
    return fails
  }
}

const sameFails = failOnce()
const sameFailsPlain = failOnce()

/** Ignores its interruption, and connects two hops after it was given up. */
const lateOriginal = (id: string) =>
  id === "a"
    ? Effect.uninterruptible(acquire(id, Effect.andThen(hop, hop)))
    : acquire(id, Effect.void)

const settled = async () => {
  while (counters.released < counters.acquired) await hopPlain()
}

const abortable = (signal: AbortSignal) =>
  new Promise<Connection>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })

/** A dial that hangs, for the cases about many in flight. */
export const hanging = {
  lazy: lazy((id) => acquire(id, Effect.callback<void>(() => Effect.void)), "a"),
  plain: (signal: AbortSignal) => plain((_, dial) => abortable(dial), "a", delayMillis, signal)
}

const agentId = AgentId.make("agent")
const chatId = ChatId.make("chat")

const agentConnection = (): AgentConnection => {
  const unsupported = Effect.suspend(() => new Unsupported({ feature: "benchmark" }))
  return {
    agentId,
    features: new Set(),
    liveness: () => "live",
    closed: Effect.never,
    processes: {
      run: () => unsupported,
      start: () => unsupported,
      output: () => unsupported,
      follow: () => Stream.fail(new Unsupported({ feature: "benchmark" })),
      list: unsupported,
      signal: () => unsupported
    },
    files: {
      read: () => unsupported,
      write: () => unsupported,
      edit: () => unsupported,
      stat: () => unsupported,
      list: () => unsupported
    }
  }
}

/** The calls of the ports: a hit makes none. */
export const queries = { count: 0 }

const counted = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    queries.count++
    return effect
  })

const noStore = counted(Effect.fail(new StoreError({ operation: "benchmark" })))

const ports = Layer.mergeAll(
  Layer.succeed(
    AgentTransport,
    AgentTransport.of({ dial: () => Effect.sync(agentConnection), presence: () => "live", features: new Set() })
  ),
  Layer.succeed(
    ChatBindings,
    ChatBindings.of({
      get: () =>
        counted(Effect.succeed(
          new Binding({
            chatId,
            workspaceId: WorkspaceId.make("workspace"),
            buildId: BuildId.make("build"),
            agentId,
            generation: 1
          })
        )),
      bindWorkspace: () => noStore,
      bindAgent: () => noStore
    })
  ),
  Layer.succeed(WorkspaceAgents, WorkspaceAgents.of({ agent: () => noStore, latestBuild: () => noStore }))
)

/** A hit on a connection that is open. Another call holds it, as in a turn with several. */
const cacheHit: Effect.Effect<Case, unknown, Scope.Scope> = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.provide(ChatWorkspaces.layer, ports))
  const turn = yield* Context.get(context, ChatWorkspaces.ChatWorkspaces).open(chatId)
  yield* turn.connect
  const plainConnections = new PlainConnections(agentConnection(), 300_000)
  plainConnections.lend(agentId)
  return {
    name: "cache hit",
    lazy: Effect.orDie(Effect.scoped(turn.connect)),
    plain: () => plainConnections.use(agentId, async (connection) => connection),
    atOnce: 1,
    limit: { fibers: 0, timers: 0 }
  }
})

/** All cases that are timed. */
export const cases: Effect.Effect<ReadonlyArray<Case>, unknown, Scope.Scope> = Effect.map(cacheHit, (cacheHit) => [
  {
    name: "immediate dial",
    lazy: lazy((id) => acquire(id, Effect.void), "a"),
    plain: () => plain(async (id) => acquirePlain(id), "a"),
    atOnce: 1,
    limit: { fibers: 1, timers: 0 }
  },
  {
    name: "one hop",
    lazy: lazy((id) => acquire(id, hop), "a"),
    plain: () => plain(async (id) => (await hopPlain(), acquirePlain(id)), "a"),
    atOnce: 1,
    limit: { fibers: 2, timers: 1 }
  },
  {
    name: "fails, then same",
    lazy: lazy((id) => sameFails() ? Effect.fail(refused) : acquire(id, Effect.void), "a"),
    plain: () =>
      plain(async (id) => {
        if (sameFailsPlain()) throw refused
        return acquirePlain(id)
      }, "a"),
    atOnce: 1,
    limit: { fibers: 5, timers: 0 }
  },
  {
    name: "fails, then other",
    lazy: lazy((id) => id === "a" ? Effect.fail(refused) : acquire(id, Effect.void), "b"),
    plain: () =>
      plain(async (id) => {
        if (id === "a") throw refused
        return acquirePlain(id)
      }, "b"),
    atOnce: 1,
    limit: { fibers: 5, timers: 0 }
  },
  {
    name: "late original, 1,000 at once",
    lazy: lazy(lateOriginal, "b", 0),
    plain: () =>
      plain(
        async (id) => {
          if (id === "a") {
            await hopPlain()
            await hopPlain()
          }
          return acquirePlain(id)
        },
        "b",
        0
      ),
    atOnce: 1000,
    // The dial, the delay, the validation, the two waits, the second dial, and the release of the late connection.
    limit: { fibers: 7, timers: 1 },
    settled
  },
  {
    name: "one hop, 1,000 at once",
    lazy: lazy((id) => acquire(id, hop), "a"),
    plain: () => plain(async (id) => (await hopPlain(), acquirePlain(id)), "a"),
    atOnce: 1000,
    limit: { fibers: 2, timers: 1 }
  },
  cacheHit
])
