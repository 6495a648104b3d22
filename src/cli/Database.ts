/**
 * The database of the command line: the one that is named, or a PostgreSQL of its own in a local folder.
 *
 * @since 0.1.0
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Closing from "../store/Closing.ts"
import type { Signals } from "../store/Signals.ts"
import * as SqlAgentPresence from "../store/SqlAgentPresence.ts"
import * as SqlSignals from "../store/SqlSignals.ts"
import * as SqlStore from "../store/SqlStore.ts"
import * as PostgresServer from "../testing/PostgresServer.ts"

/**
 * The flags that name a database.
 *
 * @since 0.1.0
 * @category flags
 */
export const flags = {
  databaseUrl: Flag.Redacted("database-url").pipe(
    Flag.withDescription("PostgreSQL to use; also DATABASE_URL. Without it an own one is started in --data"),
    Flag.withFallbackConfig(Config.Redacted("DATABASE_URL")),
    Flag.optional
  ),
  schema: Flag.String("schema").pipe(
    Flag.withDescription("Schema in which all tables stand"),
    Flag.withDefault("chat_workspace")
  ),
  data: Flag.Path("data", { pathType: "directory", mustExist: false }).pipe(
    Flag.withDescription("Folder of the own database, kept from one run to the next"),
    Flag.withDefault(".chat-workspace/postgres")
  )
}

/**
 * What the flags say about where the database is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly databaseUrl: Option.Option<Redacted.Redacted<string>>
  readonly data: string
}

/**
 * No database was named, and none of our own runs.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoDatabase extends Schema.TaggedError<NoDatabase>()("NoDatabase", { data: Schema.String }) {
  override get message(): string {
    return `No database is named, and no server runs one in ${this.data}.`
  }
}

/**
 * Where the database is, of those that run already: the one that is named, or the own one of a server on this machine.
 *
 * @since 0.1.0
 * @category constructors
 */
export const find = Effect.fnUntraced(function*({ data, databaseUrl }: Options) {
  if (Option.isSome(databaseUrl)) return { url: databaseUrl.value, own: false }
  const fs = yield* FileSystem.FileSystem
  const running = yield* Effect.option(fs.readFileString(yield* addressIn(data)))
  if (Option.isSome(running) && (yield* answers(Redacted.make(running.value)))) {
    return { url: Redacted.make(running.value), own: true }
  }
  return yield* new NoDatabase({ data })
})

/**
 * Where the database is, which is started if there is none. One of our own lives as long as the scope of whoever starts
 * it, and others on this machine find it by the address in its folder, which only they can read who can read the folder.
 *
 * @since 0.1.0
 * @category constructors
 */
export const locate = Effect.fnUntraced(function*(options: Options) {
  const running = yield* Effect.option(find(options))
  if (Option.isSome(running)) return running.value
  const fs = yield* FileSystem.FileSystem
  const address = yield* addressIn(options.data)
  const server = yield* PostgresServer.make({ directory: options.data })
  yield* Effect.acquireRelease(
    fs.writeFileString(address, Redacted.value(server.url), { mode: 0o600 }),
    () => Effect.ignore(fs.remove(address))
  )
  return { url: server.url, own: true }
})

const addressIn = (data: string) => Effect.map(Path.Path, (path) => path.join(data, "url"))

/** An address whose server is gone may have been left by a process that was killed. */
const answers = (url: Redacted.Redacted<string>): Effect.Effect<boolean> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select 1`).pipe(
    Effect.provide(layerClient(url, { name: "probe", maxConnections: 1 })),
    Effect.timeout("3 seconds"),
    Effect.isSuccess
  )

/**
 * A pool. Statements that a server could not finish in time are ended by it too. The end of the layer waits a moment for
 * what is still under way: a server that is gone without a word would hold it up for ever.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  url: Redacted.Redacted<string>,
  options: { readonly name: string; readonly maxConnections: number }
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, SqlError> =>
  PgClient.layer({
    url,
    applicationName: `chat-workspace ${options.name}`,
    maxConnections: options.maxConnections,
    connectTimeout: "3 seconds",
    keepAlive: "10 seconds",
    startupParameters: {
      statement_timeout: "10s",
      lock_timeout: "3s",
      idle_in_transaction_session_timeout: "10s"
    }
  }).pipe(Closing.layerWithin(closeTimeout))

const closeTimeout = Duration.seconds(3)

/**
 * The stores over one database. Heartbeats have a small pool of their own, so that busy chats never hold them up.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStores = (
  url: Redacted.Redacted<string>,
  options: { readonly schema: string }
): Layer.Layer<Layer.Success<ReturnType<typeof SqlStore.layer>>, SqlError> =>
  // In this order: of the two stores of heartbeats it is the second that counts.
  Layer.merge(
    SqlStore.layer(options).pipe(Layer.provide(layerClient(url, { name: "chats", maxConnections: 10 }))),
    SqlAgentPresence.layer(options).pipe(Layer.provide(layerClient(url, { name: "presence", maxConnections: 3 })))
  )

/**
 * Signals between all processes that use the database. Their pool has one connection to listen with and one to notify.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSignals = (
  url: Redacted.Redacted<string>,
  options: { readonly schema: string }
): Layer.Layer<Signals, SqlError> =>
  Layer.unwrap(Effect.map(PgClient.PgClient, ({ listen }) => SqlSignals.layer({ ...options, listen }))).pipe(
    Layer.provide(layerClient(url, { name: "signals", maxConnections: 2 }))
  )
