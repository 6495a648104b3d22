/**
 * The database of all nodes: the memory stores behind a network that can fail. Each node has its own way to it. What a
 * node waits for ends within the bound that the SQL layers keep; a statement that hung may still be carried out later.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { StoreError, TokenRefused } from "../../../src/domain/Errors.ts"
import * as AgentEnrollments from "../../../src/store/AgentEnrollments.ts"
import * as AgentPresence from "../../../src/store/AgentPresence.ts"
import * as Builds from "../../../src/store/Builds.ts"
import * as ChatBindings from "../../../src/store/ChatBindings.ts"
import * as MemoryStore from "../../../src/store/MemoryStore.ts"
import * as TurnStore from "../../../src/store/TurnStore.ts"
import * as WorkspaceAgents from "../../../src/store/WorkspaceAgents.ts"
import type { Machine } from "./Machines.ts"

export type Way =
  | { readonly way: "works" }
  /** Refused before anything was done. */
  | { readonly way: "fails" }
  /** Done, but the answer is lost. */
  | { readonly way: "forgets" }
  | { readonly way: "slow"; readonly millis: number }
  /** No answer until it works again; what was asked meanwhile is then done for nobody, or never. */
  | { readonly way: "hangs"; readonly done: boolean }

export type Ports =
  | ChatBindings.ChatBindings
  | WorkspaceAgents.WorkspaceAgents
  | AgentPresence.AgentPresence
  | TurnStore.TurnStore

const bound = 3_000

/** All that is asked, in the database itself. */
const layerStores = Layer.mergeAll(
  AgentEnrollments.layerMemory,
  AgentPresence.layerMemory,
  Builds.layerMemory,
  ChatBindings.layerMemory,
  TurnStore.layerMemory,
  WorkspaceAgents.layerMemory
).pipe(Layer.provideMerge(MemoryStore.layer))

export class Database {
  readonly context: Context.Context<Layer.Success<typeof layerStores>>
  readonly store: MemoryStore.MemoryStore["Service"]
  private readonly machine: Machine
  private readonly random: () => number
  private readonly violate: (text: string) => void

  constructor(machine: Machine, random: () => number, violate: (text: string) => void) {
    this.machine = machine
    this.random = random
    this.violate = violate
    this.context = Effect.runSyncWith(machine.context)(Effect.scoped(Layer.build(layerStores)))
    this.store = Context.get(this.context, MemoryStore.MemoryStore)
  }

  /** Asks as somebody whom nothing slows or counts. */
  now<A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> {
    return Effect.runSyncExitWith(this.machine.context)(effect)
  }

  connect(node: Machine): Connection {
    return new Connection(this, { machine: this.machine, node, random: this.random, violate: this.violate })
  }
}

/** The way of one node to the database. */
export class Connection {
  private way: Way = { way: "works" }
  private healed = Deferred.makeUnsafe<void>()
  private late: Array<Effect.Effect<unknown, unknown>> = []
  private readonly node: Machine
  private readonly machine: Machine
  private readonly random: () => number
  readonly layer: Layer.Layer<Ports>

  constructor(
    database: Database,
    options: {
      readonly machine: Machine
      readonly node: Machine
      readonly random: () => number
      readonly violate: (text: string) => void
    }
  ) {
    this.machine = options.machine
    this.node = options.node
    this.random = options.random
    this.layer = this.portsOf(database, options.violate)
  }

  set(way: Way): void {
    const before = this.way
    this.way = way
    if (before.way !== "hangs") return
    const { healed, late } = this
    this.healed = Deferred.makeUnsafe()
    this.late = []
    // Nobody waits for these any more, or they are answered by what they find now.
    for (const effect of before.done ? late : []) this.machine.post(() => this.machine.fork(Effect.ignore(effect)))
    this.node.post(() => Deferred.doneUnsafe(healed, Effect.void))
  }

  /** The process on the other side is gone. */
  cut(): void {
    this.late = []
  }

  private asked<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> {
    return Effect.suspend((): Effect.Effect<A, E | StoreError> => {
      const { way } = this
      switch (way.way) {
        case "works":
          return effect
        case "fails":
          return Effect.fail(new StoreError({ operation: "model" }))
        case "forgets":
          return Effect.andThen(Effect.exit(effect), Effect.fail(new StoreError({ operation: "model" })))
        case "slow":
          // The question is late, or the answer.
          return inTime(
            this.random() < 0.5
              ? Effect.delay(effect, way.millis)
              : Effect.flatMap(Effect.exit(effect), (exit) => Effect.delay(exit, way.millis))
          )
        case "hangs":
          this.late.push(effect)
          return inTime(
            Effect.andThen(Deferred.await(this.healed), Effect.fail(new StoreError({ operation: "model" })))
          )
      }
    })
  }

  private portsOf(database: Database, violate: (text: string) => void): Layer.Layer<Ports> {
    const { context, store } = database
    const bindings = Context.get(context, ChatBindings.ChatBindings)
    const agents = Context.get(context, WorkspaceAgents.WorkspaceAgents)
    const presence = Context.get(context, AgentPresence.AgentPresence)
    const turns = Context.get(context, TurnStore.TurnStore)
    const asked = <A, E>(effect: Effect.Effect<A, E>) => this.asked(effect)
    return Layer.mergeAll(
      Layer.succeed(ChatBindings.ChatBindings, {
        get: (chatId) => asked(bindings.get(chatId)),
        bindWorkspace: (options) => asked(bindings.bindWorkspace(options)),
        bindAgent: (seen, buildId, agentId) =>
          asked(Effect.suspend(() => {
            const before = store.chats.get(seen.chatId)?.binding.generation
            return Effect.tap(bindings.bindAgent(seen, buildId, agentId), (result) =>
              Effect.sync(() => {
                if (result._tag === "Bound" && before !== seen.generation) violate("a repair undid what was newer")
              }))
          }))
      }),
      Layer.succeed(WorkspaceAgents.WorkspaceAgents, {
        agent: (agentId) => asked(agents.agent(agentId)),
        latestBuild: (workspaceId) => asked(agents.latestBuild(workspaceId))
      }),
      Layer.succeed(AgentPresence.AgentPresence, {
        // The digest of a token takes real time.
        verify: ({ agentId }) =>
          asked(Effect.suspend(() => {
            const row = store.agents.get(agentId)
            return row !== undefined && store.isValid(row.agent)
              ? Effect.succeed(agentId)
              : Effect.fail(new TokenRefused({ reason: "revoked" }))
          })),
        attach: (options) => asked(presence.attach(options)),
        beat: (beat) => asked(presence.beat(beat)),
        report: (options) => asked(presence.report(options)),
        detach: (options) => asked(presence.detach(options))
      }),
      Layer.succeed(TurnStore.TurnStore, {
        begin: (options) => asked(turns.begin(options)),
        renew: (options) => asked(turns.renew(options)),
        append: (options) => asked(turns.append(options)),
        appendEvents: (options) => asked(turns.appendEvents(options)),
        finish: (options) => asked(turns.finish(options)),
        interrupt: (options) => asked(turns.interrupt(options)),
        sweep: (options) => asked(turns.sweep(options)),
        get: (options) => asked(turns.get(options)),
        latest: (options) => asked(turns.latest(options)),
        history: (options) => asked(turns.history(options)),
        events: (options) => asked(turns.events(options))
      })
    )
  }
}

const inTime = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
  Effect.timeoutOrElse(effect, {
    duration: bound,
    orElse: () => Effect.fail(new StoreError({ operation: "model", cause: new Cause.TimeoutError() }))
  })
