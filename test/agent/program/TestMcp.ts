/**
 * MCP servers without programs: each is opened as a test says and counted, and the file that names them is a real one.
 */
import { Context, Deferred, Effect, Layer, Schema, type Scope } from "effect"
import { writeFileSync } from "node:fs"
import * as Path from "node:path"
import { McpServers } from "../../../src/agent/program/McpServers.ts"
import * as McpServersModule from "../../../src/agent/program/McpServers.ts"
import { McpFailed, McpTransports, type Transport } from "../../../src/agent/program/McpTransport.ts"
import * as ProgramConfig from "../../../src/agent/program/ProgramConfig.ts"
import * as TestAgent from "./TestAgent.ts"

/** How a server answers; a request that is not answered waits for ever. */
export interface Script {
  tools: ReadonlyArray<unknown>
  /** Whether it answers the handshake, and lists of tools. */
  answers: boolean
  lists: boolean
  /** Why it cannot be opened. */
  refuses: string | undefined
  call: Effect.Effect<unknown, McpFailed>
}

export interface Fake {
  readonly script: Script
  readonly counts: { opened: number; open: number; lists: number; canceled: number }
  /** Completes when it was opened so often. */
  readonly untilOpened: (times: number) => Effect.Effect<void>
  /** Completes when its tools were asked for so often. */
  readonly untilListed: (times: number) => Effect.Effect<void>
  /** Completes when a tool was called. */
  readonly called: Effect.Effect<void>
  /** Ends the program, or the session, that is open. */
  readonly end: (why: string) => void
}

export const tool = (name: string) => ({ name, inputSchema: { type: "object" } })

const makeFake = (): Fake & { readonly open: Effect.Effect<Transport, McpFailed, Scope.Scope> } => {
  const counts = { opened: 0, open: 0, lists: 0, canceled: 0 }
  const called = Deferred.makeUnsafe<void>()
  let news = Deferred.makeUnsafe<void>()
  const tell = (): void => {
    const before = news
    news = Deferred.makeUnsafe()
    Deferred.doneUnsafe(before, Effect.void)
  }
  const until = (holds: () => boolean): Effect.Effect<void> =>
    Effect.suspend(() => holds() ? Effect.void : Effect.andThen(Deferred.await(news), until(holds)))
  let ended = Deferred.makeUnsafe<string>()
  const script: Script = {
    tools: [tool("a"), tool("b")],
    answers: true,
    lists: true,
    refuses: undefined,
    call: Effect.succeed({ content: [{ type: "text", text: "done" }] })
  }
  const answer = (method: string): Effect.Effect<unknown, McpFailed> => {
    if (!script.answers) return Effect.never
    switch (method) {
      case "initialize":
        return Effect.succeed({ protocolVersion: "2025-06-18", capabilities: { tools: {} } })
      case "tools/list":
        counts.lists++
        tell()
        return script.lists ? Effect.succeed({ tools: script.tools }) : Effect.never
      default:
        Deferred.doneUnsafe(called, Effect.void)
        return script.call
    }
  }
  const opening = Effect.suspend(() => {
    counts.opened++
    const { refuses } = script
    if (refuses === undefined) counts.open++
    tell()
    if (refuses !== undefined) return Effect.fail(new McpFailed({ reason: "ended", detail: refuses }))
    const own = Deferred.makeUnsafe<string>()
    ended = own
    const transport: Transport = {
      request: (method) =>
        Effect.suspend(() => answer(method)).pipe(
          Effect.raceFirst(Effect.flatMap(Deferred.await(own), (detail) => new McpFailed({ reason: "ended", detail }))),
          Effect.onInterrupt(() =>
            Effect.sync(() => {
              counts.canceled++
            })
          )
        ),
      notify: () => Effect.void,
      agree: () => undefined,
      ended: Deferred.await(own)
    }
    return Effect.succeed(transport)
  })
  const fake = {
    script,
    counts,
    called: Deferred.await(called),
    untilOpened: (times: number) => until(() => counts.opened >= times),
    untilListed: (times: number) => until(() => counts.lists >= times),
    end: (why: string) => void Deferred.doneUnsafe(ended, Effect.succeed(why)),
    open: Effect.acquireRelease(opening, () =>
      Effect.sync(() => {
        counts.open--
      }))
  }
  return fake
}

const encodeFile = Schema.encodeSync(Schema.fromJsonString(Schema.Json))

/** The servers of a folder whose file names these; a server is made by its first mention. */
export const make = Effect.fnUntraced(function*(
  names: ReadonlyArray<string>,
  config: Partial<ProgramConfig.ProgramConfig> = {}
) {
  const directory = yield* TestAgent.folder
  const fakes = new Map<string, ReturnType<typeof makeFake>>()
  const named = (name: string): ReturnType<typeof makeFake> => {
    const fake = fakes.get(name) ?? makeFake()
    fakes.set(name, fake)
    return fake
  }
  const write = (entries: Readonly<Record<string, Schema.Json>>): void =>
    writeFileSync(Path.join(directory, ".mcp.json"), encodeFile({ mcpServers: entries }))
  write(Object.fromEntries(names.map((name) => [name, { command: name }])))
  const context = yield* Layer.build(
    McpServersModule.layerWith("1").pipe(
      Layer.provide([
        Layer.succeed(McpTransports, { open: ({ name }) => named(name).open }),
        TestAgent.settings({ directory, stateDirectory: directory }),
        ProgramConfig.layer(config)
      ])
    )
  )
  const fake = (name: string): Fake => named(name)
  return { servers: Context.get(context, McpServers), fake, write, directory }
})
