/**
 * A real PostgreSQL for a test, a demo or one machine: started from npm packages, with verbs to break it.
 *
 * Programs, socket and (unless a directory is given) data live in a private directory below `/tmp`. The password is
 * random, asked for on every connection (scram) and kept in a file that only its owner reads. A shell between this
 * process and PostgreSQL holds a pipe to us: when this process dies, of whatever, the pipe closes, and the shell stops
 * PostgreSQL and removes the private directory. What even the shell could not remove, the next start removes.
 *
 * Node is used directly, since the platform's processes know neither another user nor such a pipe.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import { Socket } from "node:net"
import * as Path from "node:path"
import * as PostgresBinaries from "./PostgresBinaries.ts"
import * as ProcessFamily from "./ProcessFamily.ts"

/**
 * PostgreSQL did not do what was asked; `log` is the end of what it said.
 *
 * @since 0.1.0
 * @category errors
 */
export class PostgresServerError extends Schema.TaggedError<PostgresServerError>(
  "chat-workspace/testing/PostgresServer/PostgresServerError"
)("PostgresServerError", {
  step: Schema.Literals(["prepare", "initdb", "start"]),
  log: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `PostgreSQL failed at ${this.step}: ${this.log}`
  }
}

/**
 * A running PostgreSQL. The verbs run one after the other.
 *
 * @since 0.1.0
 * @category services
 */
export class PostgresServer extends Context.Service<PostgresServer, {
  /** For the superuser and the database `postgres`; the same after a restart. */
  readonly url: Redacted.Redacted<string>
  /** The private directory: it holds the socket, and goes when the server goes. */
  readonly directory: string
  /** The file with the password, mode 0600. */
  readonly passwordFile: string
  /** The ids of all processes of PostgreSQL, the first one first; empty when it does not run. */
  readonly processes: Effect.Effect<ReadonlyArray<number>>
  /** Ends it in an orderly way, when it runs, and starts it again. Fails when it does not come up within 60 s. */
  readonly restart: Effect.Effect<void, PostgresServerError>
  /** Freezes every process of PostgreSQL: connections stay open and nothing answers. */
  readonly pause: Effect.Effect<void>
  /** Lets the frozen processes go on. */
  readonly resume: Effect.Effect<void>
  /** Ends it in an orderly way: clients are told. Forced after 10 s. */
  readonly stop: Effect.Effect<void>
  /** Kills every process of PostgreSQL at once: clients see their connections break. */
  readonly kill: Effect.Effect<void>
}>()("chat-workspace/testing/PostgresServer") {}

/**
 * How to run the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Keeps data and password here, durable, from one run to the next. Default: nothing is kept, nothing is synced. */
  readonly directory?: string | undefined
  /** Listens on this port of 127.0.0.1 too, and `url` names it. Default: the unix socket alone. */
  readonly port?: number | undefined
  /** Settings of `postgresql.conf` that win over those of this module. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** Where the private directory is made; short, since the path of a socket has at most 103 bytes. Default `/tmp`. */
  readonly temporary?: string | undefined
}

/**
 * Starts PostgreSQL; the end of the scope stops it and removes what was private to it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<
  PostgresServer["Service"],
  PostgresServerError | PostgresBinaries.PostgresUnavailable,
  Scope.Scope
> => onRealTime(acquire(options))

/**
 * A PostgreSQL for the life of the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<PostgresServer, PostgresServerError | PostgresBinaries.PostgresUnavailable> =>
  Layer.effect(PostgresServer, make(options))

const acquire = Effect.fnUntraced(function*(options: Options) {
  const temporary = options.temporary ?? "/tmp"
  const account = yield* PostgresBinaries.account
  yield* removeAbandoned(temporary, account)
  const directory = yield* Effect.acquireRelease(
    prepare(() => makePrivate(temporary, account)),
    remove
  )
  const { bin } = yield* PostgresBinaries.make({ directory, account })
  const home = options.directory === undefined ? directory : Path.resolve(options.directory)
  const passwordFile = Path.join(home, "password")
  const data = Path.join(home, "data")
  const kept = options.directory !== undefined
  yield* initialize({ bin, account, home, data, passwordFile, sync: kept })
  const password = yield* prepare(() => Fs.readFileSync(passwordFile, "utf8").trim())

  const program = [Path.join(bin, "postgres"), "-D", data, ...settingsOf(options, directory)]
  const launched = launch({ directory, account, program, lastSignal: kept ? "INT" : "QUIT" })
  const lock = Semaphore.makeUnsafe(1)
  let running: Running | undefined

  const ended = (signal: NodeJS.Signals) =>
    Effect.suspend(() => {
      const ending = running
      running = undefined
      return ending === undefined ? Effect.void : end(ending, signal)
    })
  // Taken down with its last state, whichever verbs ran: hence before the first start, and not beside it.
  yield* Effect.addFinalizer(() => lock.withPermit(ended(kept ? "SIGINT" : "SIGQUIT")))
  const start = Effect.map(launched, (started) => {
    running = started
  })
  yield* Effect.uninterruptible(start)

  const verb = <A, E>(self: Effect.Effect<A, E>) => Effect.uninterruptible(lock.withPermit(onRealTime(self)))
  return PostgresServer.of({
    url: Redacted.make(urlOf(password, options.port, directory)),
    directory,
    passwordFile,
    processes: Effect.sync(() => running === undefined ? [] : ProcessFamily.members(running.postmaster)),
    restart: verb(Effect.andThen(ended("SIGINT"), start)),
    pause: verb(Effect.sync(() => running === undefined ? undefined : ProcessFamily.freeze(running.postmaster))),
    resume: verb(Effect.sync(() => running === undefined ? undefined : ProcessFamily.thaw(running.postmaster))),
    stop: verb(ended("SIGINT")),
    kill: verb(ended("SIGKILL"))
  })
})

interface Running {
  readonly shell: ChildProcess
  readonly postmaster: number
}

const prefix = "cwpg-"
const path = "/usr/local/bin:/usr/bin:/bin"
const environment = { PATH: path, TZ: "UTC", LC_ALL: "C" }
const startTimeout = Duration.seconds(60)
const stopTimeout = Duration.seconds(10)

// Processes live in real time, also where a test has a clock of its own.
const onRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())

const prepare = <A>(evaluate: () => A): Effect.Effect<A, PostgresServerError> =>
  Effect.try({
    try: evaluate,
    catch: (cause) => new PostgresServerError({ step: "prepare", log: String(cause), cause })
  })

const own = (file: string, account: PostgresBinaries.Account | undefined): void => {
  if (account !== undefined) Fs.chownSync(file, account.uid, account.gid)
}

const makePrivate = (temporary: string, account: PostgresBinaries.Account | undefined): string => {
  const directory = Fs.mkdtempSync(Path.join(temporary, prefix))
  Fs.writeFileSync(Path.join(directory, "owner"), `${process.pid} ${ProcessFamily.startOf(process.pid)}`)
  own(directory, account)
  return directory
}

const initialize = Effect.fnUntraced(function*(options: {
  readonly bin: string
  readonly account: PostgresBinaries.Account | undefined
  readonly home: string
  readonly data: string
  readonly passwordFile: string
  readonly sync: boolean
}) {
  const { account, data, home, passwordFile } = options
  if (Fs.existsSync(data)) return
  const unfinished = `${data}.new`
  yield* prepare(() => {
    // The mode is for this folder alone: the account must still be able to pass through those above it.
    Fs.mkdirSync(Path.dirname(home), { recursive: true })
    Fs.mkdirSync(home, { recursive: true, mode: 0o700 })
    own(home, account)
    Fs.rmSync(unfinished, { recursive: true, force: true })
    Fs.rmSync(passwordFile, { force: true })
    Fs.writeFileSync(passwordFile, randomBytes(32).toString("base64url"), { mode: 0o600, flag: "wx" })
    own(passwordFile, account)
  })
  yield* run(options.bin, "initdb", home, account, [
    `--pgdata=${unfinished}`,
    "--username=postgres",
    "--auth=scram-sha-256",
    `--pwfile=${passwordFile}`,
    "--encoding=UTF8",
    "--locale=C",
    "--no-instructions",
    ...(options.sync ? [] : ["--no-sync"])
  ])
  // The last step: a directory of that name is always a whole one.
  yield* prepare(() => Fs.renameSync(unfinished, data))
})

const run = (
  bin: string,
  step: "initdb",
  cwd: string,
  account: PostgresBinaries.Account | undefined,
  args: ReadonlyArray<string>
): Effect.Effect<void, PostgresServerError> =>
  Effect.callback((resume) => {
    // In a group of its own: it starts servers, which would go on writing when it alone was killed.
    const child = spawn(Path.join(bin, step), args, {
      ...account,
      cwd,
      env: environment,
      stdio: ["ignore", "ignore", "pipe"],
      detached: true
    })
    let log = ""
    child.stderr.on("data", (chunk) => {
      log = `${log}${chunk}`.slice(-4000)
    })
    child.once("error", (cause) => resume(Effect.fail(new PostgresServerError({ step, log: cause.message, cause }))))
    child.once(
      "close",
      (code) => resume(code === 0 ? Effect.void : Effect.fail(new PostgresServerError({ step, log })))
    )
    return Effect.callback((resume) => {
      // Closed only when the last of the group has let go of its standard error.
      child.once("close", () => resume(Effect.void))
      if (child.pid === undefined || child.exitCode !== null) return resume(Effect.void)
      process.kill(-child.pid, "SIGKILL")
    })
  })

// What is thrown away need not survive a loss of power.
const fleeting = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_connections: "200",
  shared_buffers: "64MB",
  jit: "off"
}

const settingsOf = (options: Options, directory: string): ReadonlyArray<string> =>
  Object.entries({
    listen_addresses: options.port === undefined ? "" : "127.0.0.1",
    port: String(options.port ?? 5432),
    unix_socket_directories: directory,
    // Between ERROR and FATAL: what the server itself says, and no statement of a client.
    log_min_messages: "log",
    ...(options.directory === undefined ? fleeting : {}),
    ...options.settings
  }).flatMap(([key, value]) => ["-c", `${key}=${value}`])

const urlOf = (password: string, port: number | undefined, directory: string): string =>
  port === undefined
    ? `postgres://postgres:${password}@localhost/postgres?host=${encodeURIComponent(directory)}`
    : `postgres://postgres:${password}@127.0.0.1:${port}/postgres`

// The read ends when our end of the pipe is closed, that is: when this process is gone. A frozen process takes no
// other signal, so all are woken after the one that ends them.
const shell = `
directory=$1 signal=$2; shift 2
exec 3<&0
"$@" 3<&- </dev/null & p=$!
echo "$p"
(
  read -r _ <&3
  trap "" TERM
  kill -s "$signal" "$p"
  kill -s CONT $(cat "/proc/$p/task/$p/children" || pgrep -P "$p") "$p"
  exit 0
) 2>/dev/null & w=$!
exec 3<&-
wait "$p"; code=$?
kill "$w" 2>/dev/null
wait "$w" && rm -rf "$directory"
exit "$code"
`

const launch = (options: {
  readonly directory: string
  readonly account: PostgresBinaries.Account | undefined
  readonly program: ReadonlyArray<string>
  readonly lastSignal: "INT" | "QUIT"
}): Effect.Effect<Running, PostgresServerError> =>
  Effect.callback<Running, PostgresServerError>((resume) => {
    const { account, directory, lastSignal, program } = options
    // A group of its own: an interrupt typed at the terminal is for us, and we end it in order.
    const child = spawn("/bin/sh", ["-c", shell, "postgres", directory, lastSignal, ...program], {
      ...account,
      cwd: directory,
      env: environment,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"]
    })
    let postmaster = 0
    let log = ""
    const failed = (cause?: Error) =>
      resume(Effect.fail(
        new PostgresServerError({ step: "start", log: cause?.message ?? log.trim(), ...(cause && { cause }) })
      ))
    const ready = () => {
      if (postmaster === 0 || !log.includes("ready to accept connections")) return
      child.off("close", onClose)
      // A server never keeps its owner alive.
      child.unref()
      for (const stream of child.stdio) if (stream instanceof Socket) stream.unref()
      resume(Effect.succeed({ shell: child, postmaster }))
    }
    const onClose = () => failed()
    child.once("error", failed)
    child.once("close", onClose)
    child.stdin.on("error", () => undefined)
    child.stdout.once("data", (chunk) => {
      postmaster = Number(String(chunk))
      ready()
    })
    child.stderr.on("data", (chunk) => {
      log = `${log}${chunk}`.slice(-4000)
      ready()
    })
    return Effect.suspend(() => {
      child.stdin.end()
      return postmaster === 0 ? Effect.void : end({ shell: child, postmaster }, "SIGKILL")
    })
  }).pipe(
    Effect.timeoutOrElse({
      duration: startTimeout,
      orElse: () =>
        Effect.fail(
          new PostgresServerError({ step: "start", log: `not ready within ${Duration.format(startTimeout)}` })
        )
    })
  )

const end = (running: Running, signal: NodeJS.Signals): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (signal === "SIGKILL") return ProcessFamily.kill(running.postmaster)
    ProcessFamily.send(running.postmaster, signal)
    ProcessFamily.thaw(running.postmaster)
    return Effect.void
  }).pipe(
    Effect.andThen(exited(running.shell)),
    Effect.timeoutOrElse({
      duration: stopTimeout,
      orElse: () => Effect.andThen(ProcessFamily.kill(running.postmaster), exited(running.shell))
    }),
    onRealTime
  )

const exited = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const done = () => resume(Effect.void)
    child.ref()
    child.once("exit", done)
    return Effect.sync(() => child.off("exit", done))
  })

const removeAbandoned = Effect.fnUntraced(
  function*(temporary: string, account: PostgresBinaries.Account | undefined) {
    const uid = account?.uid ?? process.getuid?.()
    for (const name of Fs.readdirSync(temporary).filter((name) => name.startsWith(prefix))) {
      const directory = Path.join(temporary, name)
      // Without the file it is being made right now, or was just removed, by another process.
      const owner = ProcessFamily.textOf(Path.join(directory, "owner"))
      const stat = Fs.lstatSync(directory, { throwIfNoEntry: false })
      if (owner === undefined || stat?.isDirectory() !== true || stat.uid !== uid) continue
      const [pid, start] = owner.split(" ")
      if (ProcessFamily.isRunning(Number(pid)) && ProcessFamily.startOf(Number(pid)) === start) continue
      yield* killAbandoned(directory, stat.uid)
      yield* remove(directory)
    }
  }
)

// Its shell is gone too. Only a process of the directory's own user that names the directory is meant.
const killAbandoned = (directory: string, uid: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const pid = Number(ProcessFamily.textOf(Path.join(directory, "data", "postmaster.pid"))?.split("\n")[0])
    const stat = Fs.statSync(`/proc/${pid}`, { throwIfNoEntry: false })
    const command = ProcessFamily.textOf(`/proc/${pid}/cmdline`)
    return stat?.uid === uid && command?.includes(`=${directory}\0`) === true
      ? ProcessFamily.kill(pid)
      : Effect.void
  })

// Another process may be removing it as well; what one leaves, the next start finds.
const remove = (directory: string): Effect.Effect<void> =>
  Effect.ignore(Effect.try(() => Fs.rmSync(directory, { recursive: true, force: true, maxRetries: 5 })))
