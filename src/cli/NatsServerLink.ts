/**
 * The connection to NATS of a node, by what the environment says.
 *
 * It is opened when the node starts, which fails where no server can be reached, and from then on comes back by itself.
 * NATS carries calls into every workspace: its servers belong to the private network of the nodes, with credentials that
 * nobody else has.
 *
 * @since 0.1.0
 */
import type { NatsConnection, TlsOptions } from "@nats-io/transport-node"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Nats from "../cluster/Nats.ts"

/**
 * Where NATS is and who this node is to it. `credentials` is a file as `nsc` makes them; the files of `tls` are in PEM.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly servers: ReadonlyArray<string>
  readonly user?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  readonly token?: Redacted.Redacted<string> | undefined
  readonly credentials?: string | undefined
  readonly tls?: {
    readonly ca?: string | undefined
    readonly certificate?: string | undefined
    readonly key?: string | undefined
  } | undefined
}

/**
 * No server could be reached, or none took the credentials.
 *
 * @since 0.1.0
 * @category errors
 */
export class NatsUnreachable extends Schema.TaggedError<NatsUnreachable>()("NatsUnreachable", {
  cause: Schema.Defect()
}) {
  override get message(): string {
    const { cause } = this
    return `NATS cannot be reached at NATS_URL: ${cause instanceof Error ? cause.message : "no reason given"}`
  }
}

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

/**
 * Reads `NATS_URL`, servers with commas between them, and with it `NATS_USER`, `NATS_PASSWORD`, `NATS_TOKEN`,
 * `NATS_CREDS`, `NATS_TLS_CA`, `NATS_TLS_CERT` and `NATS_TLS_KEY`. None where there is no `NATS_URL`.
 *
 * @since 0.1.0
 * @category configs
 */
export const config: Config.Config<Option.Option<Options>> = Config.map(
  Config.all({
    servers: Config.option(Config.NonEmptyString("NATS_URL")),
    user: optional(Config.NonEmptyString("NATS_USER")),
    password: optional(Config.Redacted("NATS_PASSWORD")),
    token: optional(Config.Redacted("NATS_TOKEN")),
    credentials: optional(Config.NonEmptyString("NATS_CREDS")),
    ca: optional(Config.NonEmptyString("NATS_TLS_CA")),
    certificate: optional(Config.NonEmptyString("NATS_TLS_CERT")),
    key: optional(Config.NonEmptyString("NATS_TLS_KEY"))
  }),
  ({ ca, certificate, credentials, key, password, servers, token, user }) =>
    Option.map(servers, (list) => ({
      servers: list.split(",").map((server) => server.trim()).filter((server) => server !== ""),
      user,
      password,
      token,
      credentials,
      tls: ca === undefined && certificate === undefined && key === undefined ? undefined : { ca, certificate, key }
    }))
)

const open = Effect.fnUntraced(function*(
  { credentials, password, servers, tls, token, user }: Options
): Effect.fn.Return<NatsConnection, NatsUnreachable | PlatformError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  // A package that only those install who have NATS.
  const { connect, credsAuthenticator } = yield* Effect.tryPromise({
    try: () => import("@nats-io/transport-node"),
    catch: (cause) => new NatsUnreachable({ cause })
  })
  const creds = credentials === undefined ? undefined : yield* fs.readFile(credentials)
  return yield* Effect.tryPromise({
    try: () =>
      connect({
        name: "chat-workspace",
        servers: Array.from(servers),
        // For ever and soon: calls of other nodes wait for it.
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
        reconnectJitter: 100,
        reconnectJitterTLS: 100,
        // Credentials that are being renewed are refused for a while.
        ignoreAuthErrorAbort: true,
        pingInterval: Duration.toMillis(pingInterval),
        maxPingOut: 2,
        timeout: Duration.toMillis(openTimeout),
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { pass: Redacted.value(password) }),
        ...(token === undefined ? {} : { token: Redacted.value(token) }),
        ...(creds === undefined ? {} : { authenticator: credsAuthenticator(creds) }),
        ...(tls === undefined ? {} : { tls: tlsOf(tls) })
      }),
    catch: (cause) => new NatsUnreachable({ cause })
  })
})

const tlsOf = ({ ca, certificate, key }: NonNullable<Options["tls"]>): TlsOptions => ({
  ...(ca === undefined ? {} : { caFile: ca }),
  ...(certificate === undefined ? {} : { certFile: certificate }),
  ...(key === undefined ? {} : { keyFile: key })
})

/** What nobody receives: a lost server, and subjects that the credentials do not allow. */
const log = (connection: NatsConnection): Effect.Effect<void> =>
  Stream.suspend(() => Stream.fromAsyncIterable(connection.status(), (cause) => cause)).pipe(
    Stream.runForEach((status) => {
      switch (status.type) {
        case "disconnect":
          return Effect.logWarning("The connection to NATS was lost")
        case "reconnect":
          return Effect.logInfo("The connection to NATS is back")
        case "error":
          return Effect.logError("NATS refused something", status.error)
        case "slowConsumer":
          return Effect.logWarning("This node reads too slowly what comes over NATS")
        default:
          return Effect.void
      }
    }),
    Effect.ignore,
    Effect.annotateLogs({ module: "NatsServerLink", fiber: "status" })
  )

/**
 * The connection, for the life of the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Nats.Nats, NatsUnreachable | PlatformError, FileSystem.FileSystem> =>
  Layer.effect(
    Nats.Nats,
    Effect.gen(function*() {
      const connection = yield* Effect.acquireRelease(
        open(options),
        // What was said last should still go out, but a server that is gone must hold nobody up.
        (connection) =>
          Effect.promise(() => connection.drain().catch(() => undefined)).pipe(
            Effect.timeoutOption(closeTimeout),
            Effect.andThen(Effect.promise(() => connection.close().catch(() => undefined)))
          )
      )
      yield* Effect.forkScoped(log(connection))
      return Nats.fromConnection(connection)
    })
  )

/**
 * By what the environment says; fails where it names no servers. One connection for all parts of a node, since a layer is
 * built once.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: Layer.Layer<
  Nats.Nats,
  Config.ConfigError | NatsUnreachable | PlatformError,
  FileSystem.FileSystem
> = Layer.unwrap(
  Effect.flatMap(config, (options) =>
    Option.isSome(options)
      ? Effect.succeed(layer(options.value))
      : Effect.fail(new NatsUnreachable({ cause: new Error("it is not set") })))
)

/**
 * The one over NATS where the environment names servers, and else the other.
 *
 * @since 0.1.0
 * @category layers
 */
export const choose = <A, E, R, E2, R2>(
  over: Layer.Layer<A, E, R | Nats.Nats>,
  without: Layer.Layer<A, E2, R2>
): Layer.Layer<
  A,
  E | E2 | Config.ConfigError | NatsUnreachable | PlatformError,
  Exclude<R, Nats.Nats> | R2 | FileSystem.FileSystem
> => {
  const overConfig: Layer.Layer<
    A,
    E | E2 | Config.ConfigError | NatsUnreachable | PlatformError,
    Exclude<R, Nats.Nats> | R2 | FileSystem.FileSystem
  > = Layer.provide(over, layerConfig)
  return Layer.unwrap(Effect.map(config, (options) => Option.isSome(options) ? overConfig : without))
}

const openTimeout = Duration.seconds(5)

const pingInterval = Duration.seconds(2)

const closeTimeout = Duration.seconds(1)
