/**
 * The agent program: what runs inside a workspace under the identity of one agent and does what the gateway asks.
 *
 * Handlers own nothing. Processes and changes of files belong to the agent, a handler starts them, looks at them or waits
 * for them; so it does not matter why a handler was interrupted, and ending a process is a call of its own. A call of a
 * tool of the workspace's own servers is the exception: it ends with its handler.
 *
 * Calls that can take long count against a limit of calls in flight, over all links together. Those that look or end
 * something are always served: an agent at its limit must still be told to stop.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import {
  AgentBusy,
  AgentRpcs,
  type Feature,
  HelloAnswer,
  Incarnation,
  lifecycleWord,
  name,
  version
} from "../Protocol.ts"
import * as Files from "./Files.ts"
import * as Link from "./Link.ts"
import * as McpListingParts from "./McpListingParts.ts"
import * as McpServers from "./McpServers.ts"
import * as Operations from "./Operations.ts"
import * as Processes from "./Processes.ts"
import { ProgramConfig } from "./ProgramConfig.ts"
import * as Scripts from "./Scripts.ts"
import type { Settings, SettingsError } from "./Settings.ts"
import * as StateDirectory from "./StateDirectory.ts"

/**
 * The version of the program, as it says it in the hello.
 *
 * @since 0.1.0
 * @category constants
 */
export const programVersion = "0.1.0"

const features: ReadonlyArray<Feature> = ["run", "processes", "files", "directories", "mcp"]

/**
 * What the gateway may call, over this incarnation's processes and files.
 *
 * @since 0.1.0
 * @category handlers
 */
export const handlers = AgentRpcs.toLayer(Effect.gen(function*() {
  const config = yield* ProgramConfig
  const processes = yield* Processes.Processes
  const files = yield* Files.Files
  const operations = yield* Operations.Operations
  const servers = yield* McpServers.McpServers
  const { lifecycle } = yield* Scripts.Scripts
  const incarnation = Incarnation.make(randomUUID())
  let inFlight = 0

  const admitted: Effect.Effect<void, AgentBusy, Scope.Scope> = Effect.acquireRelease(
    Effect.suspend(() => {
      if (inFlight >= config.callsInFlight) return new AgentBusy({ limit: `${config.callsInFlight} calls in flight` })
      inFlight++
      return Effect.void
    }),
    () =>
      Effect.sync(() => {
        inFlight--
      })
  )
  const counted = Effect.flatMap(Link.CurrentLink, (link) => link === undefined ? Effect.void : link.call)

  const always = <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.scoped(Effect.andThen(counted, call))
  const limited = <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E | AgentBusy> =>
    Effect.scoped(Effect.andThen(Effect.andThen(counted, admitted), call))
  const limitedStream = <A, E>(stream: Stream.Stream<A, E>): Stream.Stream<A, E | AgentBusy> =>
    Stream.unwrap(Effect.as(Effect.andThen(counted, admitted), stream))

  return AgentRpcs.of({
    Hello: () =>
      Effect.flatMap(Link.CurrentLink, (link) =>
        Effect.as(
          link === undefined ? Effect.void : Deferred.succeed(link.greeted, undefined),
          new HelloAnswer({
            protocol: name,
            version,
            incarnation,
            features: [...features, lifecycleWord],
            program: `chat-workspace-agent/${programVersion} node/${process.versions.node}`
          })
        )),
    Move: ({ withinMillis }) =>
      Effect.flatMap(
        Link.CurrentLink,
        (link) => link === undefined ? Effect.void : Deferred.succeed(link.moving, Duration.millis(withinMillis))
      ),
    // Neither counted nor limited: it lasts as long as its link, which would never be left for it.
    Lifecycle: () =>
      Stream.unwrap(Effect.as(
        Effect.flatMap(
          Link.CurrentLink,
          (link) => link === undefined ? Effect.void : Deferred.succeed(link.used, undefined)
        ),
        lifecycle
      )),
    Start: (start) => limited(processes.start(start)),
    Follow: (options) => limitedStream(processes.follow(options)),
    Outcome: ({ id }) => always(operations.outcome(id)),
    Processes: () => always(processes.list),
    Signal: ({ id, signal }) => always(processes.signal(id, signal)),
    Kill: ({ id }) => always(processes.kill(id)),
    Read: (options) => limitedStream(files.read(options)),
    Put: (options) => limited(files.put(options)),
    Write: (options) => limited(files.write(options)),
    Edit: (options) => limited(files.edit(options)),
    Stat: ({ path }) => limited(files.stat(path)),
    List: ({ path }) => limited(files.list(path)),
    McpTools: ({ waitMillis }) =>
      limitedStream(Stream.unwrap(Effect.map(servers.list(waitMillis), McpListingParts.stream))),
    McpCall: (call) => limited(servers.call(call))
  })
}))

const server = RpcServer.layer(AgentRpcs, { disableFatalDefects: true, disableTracing: true }).pipe(
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide([Link.layer, RpcSerialization.layerNdjson]),
  Layer.provide(handlers)
)

/**
 * The whole program, for the settings and bounds in force. When its scope closes it runs the shutdown script, leaves the
 * gateway, then ends its processes. Fails when the folder for its state cannot be used.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, SettingsError, Settings> = Scripts.layerShutdown.pipe(
  Layer.provide(server),
  Layer.provide(Scripts.layer),
  Layer.provide([Processes.layer, Files.layer, McpServers.layer(programVersion)]),
  Layer.provide(Operations.layer),
  Layer.provide([StateDirectory.layer, FetchHttpClient.layer])
)
