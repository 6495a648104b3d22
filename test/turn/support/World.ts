/** Turns of one chat in a world of its own, with an agent whose files and servers a test describes. */
import { Context, type Duration, Effect, type Fiber, Layer, Option } from "effect"
import { AgentTransport } from "../../../src/agent/AgentTransport.ts"
import type { AgentConnection, Feature, Mcp, Protocol } from "../../../src/agent/index.ts"
import { ChatWorkspaces } from "../../../src/dial/ChatWorkspaces.ts"
import type { ChatWorkspace } from "../../../src/dial/ChatWorkspaces.ts"
import { type CallError, type McpError, StoreError } from "../../../src/domain/Errors.ts"
import { ChatId } from "../../../src/domain/Ids.ts"
import * as InstructionStore from "../../../src/store/InstructionStore.ts"
import { ScriptedTransport, TestWorkspaces } from "../../../src/testing/index.ts"
import { type InstructionFiles, TurnConfig, TurnSetup, type WorkspaceMcp } from "../../../src/turn/index.ts"

export const chatId = ChatId.make("chat-1")

type Call = Parameters<AgentConnection.Mcp["call"]>[0]

/** What stands in the workspace, and how often it was looked at. */
export class Inside extends Context.Service<Inside, {
  /** What stands at a path instead of a file: a link to something that can be read. */
  readonly types: Map<string, Protocol.FileStat["type"]>
  /** What the agent cannot do. */
  readonly lacks: Set<Feature.Feature>
  /** The paths that were read. */
  readonly reads: Array<string>
  list: Effect.Effect<Mcp.McpListing, CallError>
  lists: number
  /** How long the agent was asked to wait for its servers. */
  readonly waits: Array<Duration.Input | undefined>
  onCall: (call: Call) => Effect.Effect<Mcp.McpCallResult, McpError>
  readonly calls: Array<Call>
  /** What the store of instruction files does not do now. */
  readonly down: Set<"get" | "put">
  gets: number
  puts: number
}>()("test/turn/Inside") {}

export const noServers: Mcp.McpListing = { servers: [], reason: null }

export const text = (said: string): Mcp.McpCallResult => ({
  content: [{ _tag: "Text", text: said }],
  isError: false,
  structured: null,
  truncated: false
})

const layerInside = Layer.sync(Inside, () =>
  Inside.of({
    types: new Map(),
    lacks: new Set(),
    reads: [],
    list: Effect.succeed(noServers),
    lists: 0,
    waits: [],
    onCall: () => Effect.succeed(text("done")),
    calls: [],
    down: new Set(),
    gets: 0,
    puts: 0
  }))

/** The store, counted, and down when a test says so. */
const layerStore = Layer.effect(
  InstructionStore.InstructionStore,
  Effect.gen(function*() {
    const inside = yield* Inside
    const store = yield* InstructionStore.InstructionStore
    const unless = <A>(what: "get" | "put", effect: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
      Effect.suspend(() => inside.down.has(what) ? Effect.fail(new StoreError({ operation: what })) : effect)
    return InstructionStore.InstructionStore.of({
      get: (...args) => {
        inside.gets++
        return unless("get", store.get(...args))
      },
      put: (...args) => {
        inside.puts++
        return unless("put", store.put(...args))
      }
    })
  })
).pipe(Layer.provide(InstructionStore.layerMemory))

/** The transport as one that knows servers. */
const layerTransport = Layer.effect(
  AgentTransport,
  Effect.map(
    AgentTransport,
    (transport) => AgentTransport.of({ ...transport, features: new Set([...transport.features, "mcp"]) })
  )
)

const connectionOf =
  (inside: Inside["Service"]) => (connection: AgentConnection.AgentConnection): AgentConnection.AgentConnection => ({
    ...connection,
    features: new Set(
      [...connection.features, "mcp" as const].filter((feature) => !inside.lacks.has(feature))
    ),
    files: {
      ...connection.files,
      stat: (path) =>
        Effect.map(connection.files.stat(path), (found) => ({ ...found, type: inside.types.get(path) ?? found.type })),
      read: (path, options) => {
        inside.reads.push(path)
        return connection.files.read(path, options)
      }
    },
    mcp: {
      tools: (options) =>
        Effect.suspend(() => {
          inside.lists++
          inside.waits.push(options?.wait)
          return inside.list
        }),
      call: (call) =>
        Effect.suspend(() => {
          inside.calls.push(call)
          return inside.onCall(call)
        })
    }
  })

/** The workspace of a chat for a new turn. */
export const openOf = Effect.fnUntraced(function*(chat: ChatId) {
  const inside = yield* Inside
  const workspace = yield* Effect.flatMap(ChatWorkspaces, (workspaces) => workspaces.open(chat))
  const as = connectionOf(inside)
  const opened: ChatWorkspace = {
    ...workspace,
    connect: Effect.map(workspace.connect, as),
    use: (f) => workspace.use((connection) => f(as(connection)))
  }
  return opened
})

export const open = openOf(chatId)

export type Services =
  | TestWorkspaces.Services
  | Inside
  | InstructionStore.InstructionStore
  | InstructionFiles.InstructionFiles
  | WorkspaceMcp.WorkspaceMcp
  | TurnSetup.TurnSetup

export const inWorldWith = (options: TurnConfig.Options) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    TestWorkspaces.provideWith(
      TurnSetup.layer.pipe(
        Layer.provide(layerTransport),
        Layer.provideMerge(layerStore),
        Layer.provideMerge(layerInside),
        Layer.provide(TurnConfig.layer(options)),
        Layer.provideMerge(TestWorkspaces.layer)
      )
    )
  )

export const inWorld = inWorldWith({ workspaceMcp: "all" })

/** What most tests have in hand. */
export const hands = Effect.gen(function*() {
  return {
    inside: yield* Inside,
    world: yield* TestWorkspaces.TestWorkspaces,
    transport: yield* ScriptedTransport.ScriptedTransport
  }
})

/** The answer of a fiber, if it has ended by now. */
export const answered = <A, E>(fiber: Fiber.Fiber<A, E>): Option.Option<A> => {
  const exit = fiber.pollUnsafe()
  return exit?._tag === "Success" ? Option.some(exit.value) : Option.none()
}

/** What connecting asked of the stores beside the binding, and how often it dialed. */
export const costOf = ({ dials, queries }: TestWorkspaces.Counts) => ({
  agent: queries.agent,
  latestBuild: queries.latestBuild,
  dials
})
