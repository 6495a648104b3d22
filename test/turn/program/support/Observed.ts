/** What turns ask of the stores and of agents, counted where they ask it: over real stores and the real gateway. */
import { Context, Effect, Layer } from "effect"
import type { AgentConnection } from "../../../../src/agent/index.ts"
import { AgentTransport } from "../../../../src/agent/index.ts"
import type { AgentId } from "../../../../src/domain/Ids.ts"
import { InstructionStore } from "../../../../src/store/index.ts"
import { ScriptedStores } from "../../../../src/testing/index.ts"

/**
 * How often each was asked: the ports by which a chat connects, the store of instruction files (`storedFiles` reads,
 * `storeFiles` writes), and agents (`dials`, `lists` of their servers, `reads` of files).
 */
export type Cost = Readonly<Record<string, number>>

export class Observed extends Context.Service<Observed, {
  readonly seen: () => Cost
  /** Whom the dials were for, in order. */
  readonly dialed: () => ReadonlyArray<AgentId>
}>()("test/turn/program/Observed") {}

const make = Effect.gen(function*() {
  const transport = yield* AgentTransport.AgentTransport
  const instructions = yield* InstructionStore.InstructionStore
  const stores = yield* ScriptedStores.ScriptedStores
  const dialed: Array<AgentId> = []
  const count = { storedFiles: 0, storeFiles: 0, lists: 0, reads: 0 }

  const counted = <A, E, R>(what: keyof typeof count, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      count[what]++
      return effect
    })

  const connectionOf = ({ files, mcp, ...connection }: AgentConnection.AgentConnection) => ({
    ...connection,
    files: { ...files, read: (...args: Parameters<typeof files.read>) => counted("reads", files.read(...args)) },
    ...(mcp && {
      mcp: { ...mcp, tools: (...args: Parameters<typeof mcp.tools>) => counted("lists", mcp.tools(...args)) }
    })
  })

  return Context.make(
    Observed,
    Observed.of({
      seen: () => ({ ...stores.counts(), ...count, dials: dialed.length }),
      dialed: () => dialed.slice()
    })
  ).pipe(
    Context.add(
      AgentTransport.AgentTransport,
      AgentTransport.AgentTransport.of({
        ...transport,
        dial: (agentId) =>
          Effect.suspend(() => {
            dialed.push(agentId)
            return Effect.map(transport.dial(agentId), connectionOf)
          })
      })
    ),
    Context.add(
      InstructionStore.InstructionStore,
      InstructionStore.InstructionStore.of({
        get: (...args) => counted("storedFiles", instructions.get(...args)),
        put: (...args) => counted("storeFiles", instructions.put(...args))
      })
    )
  )
})

/** Between the gateway and the stores, and whoever turns consist of. */
export const layer = Layer.provideMerge(Layer.effectContext(make), ScriptedStores.layer)

/** What was asked meanwhile; what was not is not there. */
export const difference = (after: Cost, before: Cost): Cost =>
  Object.fromEntries(
    Object.entries(after).map(([what, count]) => [what, count - (before[what] ?? 0)] as const).filter(([, count]) =>
      count > 0
    )
  )
