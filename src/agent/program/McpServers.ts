/**
 * The MCP servers of the workspace: those that its `.mcp.json` names now.
 *
 * They sleep until somebody asks what they offer. The file is read at each list: a server that it names no more is ended,
 * one whose entry changed is ended and begun anew, the others go on. A server that is slow or broken hides no other.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { type McpCallResult, mcpLimits, type McpListing, McpRefused, type McpServer as Listed } from "../Protocol.ts"
import type { Entry } from "./McpFile.ts"
import * as McpFile from "./McpFile.ts"
import * as McpHttp from "./McpHttp.ts"
import * as McpResult from "./McpResult.ts"
import * as McpServer from "./McpServer.ts"
import * as McpStdio from "./McpStdio.ts"
import { McpTransports } from "./McpTransport.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import { Settings } from "./Settings.ts"
import type { StateDirectory } from "./StateDirectory.ts"

/**
 * @since 0.1.0
 * @category services
 */
export class McpServers extends Context.Service<McpServers, {
  /** What the servers offer, after waiting at most so long for those that start. */
  readonly list: (waitMillis: number) => Effect.Effect<McpListing>
  /** Calls a tool, once. Interrupted, the call is canceled at its server. */
  readonly call: (options: {
    readonly server: string
    readonly tool: string
    readonly arguments: Schema.JsonObject
  }) => Effect.Effect<McpCallResult, McpRefused>
}>()("chat-workspace/agent/program/McpServers") {}

interface Kept {
  /** What the entry says, to see when it changes. */
  readonly key: string
  readonly server: McpServer.McpServer
  readonly scope: Scope.Closeable
}

const make = Effect.fnUntraced(function*(version: string) {
  const config = yield* ProgramConfig
  const { directory } = yield* Settings
  const transports = yield* McpTransports
  const layerScope = yield* Effect.scope
  // Together: each may take its time to end.
  const scope = yield* Scope.fork(layerScope, "parallel")
  const syncing = yield* Semaphore.make(1)
  const kept = new Map<string, Kept>()
  let problem: string | null = null
  let read = false

  const begin = Effect.fnUntraced(function*(entry: Entry, key: string) {
    const own = yield* Scope.fork(scope)
    const server = yield* McpServer.make(entry, version).pipe(
      Scope.provide(own),
      Effect.provideService(McpTransports, transports)
    )
    kept.set(entry.name, { key, server, scope: own })
  })

  const end = (name: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const found = kept.get(name)
      kept.delete(name)
      return found === undefined ? Effect.void : Scope.close(found.scope, Exit.void)
    })

  const sync = syncing.withPermit(Effect.gen(function*() {
    const file = yield* McpFile.read(directory, config.mcpFileBytes)
    problem = file.problem
    read = true
    const keys = new Map(file.entries.map((entry) => [entry.name, JSON.stringify(entry.spec)]))
    const over = Array.from(kept).filter(([name, { key }]) => keys.get(name) !== key)
    yield* Effect.forEach(over, ([name]) => end(name), { concurrency: "unbounded", discard: true })
    for (const entry of file.entries) {
      if (!kept.has(entry.name)) yield* begin(entry, keys.get(entry.name) ?? "")
    }
  }))

  const inOrder = (): ReadonlyArray<McpServer.McpServer> =>
    Array.from(kept).sort(([a], [b]) => a < b ? -1 : 1).map(([, { server }]) => server)

  return McpServers.of({
    list: (waitMillis) =>
      Effect.gen(function*() {
        // A caller that leaves must not leave a server between its end and its beginning.
        yield* Effect.uninterruptible(sync)
        yield* Effect.forEach(inOrder(), ({ settled, wake }) => Effect.andThen(wake, settled), {
          concurrency: "unbounded",
          discard: true
        }).pipe(Effect.timeoutOption(waitMillis))
        return { servers: limited(inOrder().map((server) => server.look())), reason: problem }
      }),
    call: ({ arguments: given, server, tool }) =>
      Effect.gen(function*() {
        if (!read) yield* Effect.uninterruptible(sync)
        const found = kept.get(server)
        return found === undefined
          ? yield* new McpRefused({ server, tool, reason: "noServer", detail: null })
          : yield* found.server.call(tool, given)
      })
  })
})

/**
 * The servers over given ways to reach them. `version` is what the program says of itself.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (version: string): Layer.Layer<McpServers, never, McpTransports | Settings> =>
  Layer.effect(McpServers, make(version))

/**
 * Programs are started and addresses called; all of it ends with the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  version: string
): Layer.Layer<McpServers, never, HttpClient.HttpClient | Settings | StateDirectory> =>
  Layer.provide(layerWith(version), layerTransports)

const layerTransports: Layer.Layer<McpTransports, never, HttpClient.HttpClient | Settings | StateDirectory> = Layer
  .effect(
    McpTransports,
    Effect.gen(function*() {
      const context = yield* Effect.context<HttpClient.HttpClient>()
      const stdio = yield* McpStdio.make
      return McpTransports.of({
        open: ({ name, spec }) =>
          spec._tag === "Stdio" ? stdio(name, spec) : Effect.provideContext(McpHttp.open(spec), context)
      })
    })
  )

/** The tools of all servers together are limited; the first servers by name have them first. */
const limited = (servers: ReadonlyArray<Listed>): ReadonlyArray<Listed> => {
  let left: number = mcpLimits.tools
  return servers.map((server) => {
    const tools = server.tools.slice(0, left)
    const over = server.tools.length - tools.length
    left -= tools.length
    if (over === 0) return server
    const said = `${over} tools are left out: the limit is ${mcpLimits.tools} of all servers`
    const reason = server.reason === null ? said : `${server.reason}; ${said}`
    return { ...server, tools, reason: McpResult.shortened(reason, mcpLimits.reason) }
  })
}
