import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { vi } from "vitest"
import { ChatId, OwnerId, WorkspaceId } from "../../src/domain/Ids.ts"
import { ChatBindings } from "../../src/store/ChatBindings.ts"
import * as SqlChatBindings from "../../src/store/SqlChatBindings.ts"
import * as Postgres from "../postgres.ts"
import { assertClear, closedPort, folder, get, run, serve, start, until } from "./support/commandLine.ts"

// A process takes half a second to start, and here are up to seven in a test.
vi.setConfig({ testTimeout: 90_000 })

const real = { excludeTestServices: true, timeout: "60 seconds" } as const

/** The environment that names the database of the block. */
const database = Effect.map(Postgres.TestDatabase, ({ url }) => ({ DATABASE_URL: Redacted.value(url) }))

const gone = { DATABASE_URL: "postgres://ann:hunter2@127.0.0.1:1/none" }

describe("chat-workspace", () => {
  it.live("--help names every command", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run(["--help"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      for (
        const name of [
          "serve",
          "chat",
          "agent",
          "template",
          "workspace",
          "enroll",
          "migrate",
          "explain",
          "mcp",
          "demo"
        ]
      ) {
        assert.match(stdout, new RegExp(`^  ${name} +\\w`, "m"))
      }
    }))

  it.live("an unknown command is an error that names it", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* run(["frobnicate"])
      assert.strictEqual(code, 1)
      assert.include(stderr, "frobnicate")
      assert.notInclude(stderr, "node_modules")
    }))

  it.live("migrate --print needs no database, and prints the schema that is asked for", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* run(["migrate", "--print", "--schema", "elsewhere"], { env: gone })
      assert.strictEqual(code, 0)
      assert.match(stdout, /^begin;[^]*create table "elsewhere"\.builds [^]*commit;\s*$/)
    }))

  it.live("a database that is gone is one clear message, without the password, and exit code 1", () =>
    Effect.gen(function*() {
      const ended = yield* Effect.all([
        run(["migrate"], { env: gone }),
        run(["enroll", "w1", "--owner", "ann"], { env: gone })
      ], { concurrency: 2 })
      for (const { code, stderr, stdout } of ended) {
        assert.deepStrictEqual([code, stdout], [1, ""])
        assertClear(stderr, "Is the database there")
      }
    }))

  it.live("agent: a token file that others can read is refused, and the remedy named", () =>
    Effect.gen(function*() {
      const file = Path.join(yield* folder, "agent.token")
      writeFileSync(file, "cwa1.not-looked-at")
      chmodSync(file, 0o640)
      const { code, stderr } = yield* run(["agent", "--url", "ws://127.0.0.1:1/agent", "--token-file", file])
      assert.strictEqual(code, 1)
      assertClear(stderr, `chmod 600 ${file}`)
    }))
})

layer(Postgres.emptyDatabase(), real)("chat-workspace migrate", (it) => {
  it.effect("makes the tables once, and says the second time that there is nothing to do", () =>
    Effect.gen(function*() {
      const env = yield* database
      const sql = yield* SqlClient.SqlClient
      const tables = sql`select 1 from information_schema.tables where table_schema = 'chat_workspace'`
      assert.lengthOf(yield* tables, 0)
      const first = yield* run(["migrate"], { env })
      assert.deepStrictEqual([first.code, first.stderr], [0, ""])
      assert.match(first.stdout, /^Schema chat_workspace: ran .+\.\n$/)
      const made = (yield* tables).length
      assert.isAbove(made, 5)
      const second = yield* run(["migrate"], { env })
      assert.deepStrictEqual(second, { code: 0, stdout: "Schema chat_workspace is up to date.\n", stderr: "" })
      assert.lengthOf(yield* tables, made)
    }))
})

layer(Postgres.freshDatabase(), real)("chat-workspace with a database", (it) => {
  it.effect("enroll prints the token alone, and refuses another owner", () =>
    Effect.gen(function*() {
      const env = yield* database
      const { code, stderr, stdout } = yield* run(["enroll", "owned", "--owner", "ann"], { env })
      assert.strictEqual(code, 0)
      assert.match(stdout, /^cwa1\.\S+\n$/)
      assert.notInclude(stderr, stdout.trim())
      const other = yield* run(["enroll", "owned", "--owner", "bob"], { env })
      assert.deepStrictEqual([other.code, other.stdout], [1, ""])
      assertClear(other.stderr, "another owner")
    }))

  it.effect("an agent connects with its token, and explain tells of it, with the server and without", () =>
    Effect.gen(function*() {
      const env = yield* database
      const server = yield* serve({ env })
      const directory = yield* folder
      const tokenFile = Path.join(directory, "agent.token")
      writeFileSync(tokenFile, (yield* run(["enroll", "w1", "--owner", "ann"], { env })).stdout, { mode: 0o600 })
      const bindings = yield* ChatBindings
      const chatId = ChatId.make("chat 1/ä")
      yield* bindings.bindWorkspace({ chatId, owner: OwnerId.make("ann"), workspaceId: WorkspaceId.make("w1") })
      const before = yield* run(["explain", chatId, "--operator-port", server.operatorPort], { env: gone })
      assert.include(before.stdout, "The agent has not connected yet and still has time to.")
      assert.include(before.stdout, "no session on this node")

      const agent = yield* start(
        ["agent", "--url", server.agents, "--token-file", tokenFile, "--state-dir", Path.join(directory, "state")],
        { cwd: directory }
      )
      const url = `${server.operators}/explain/${encodeURIComponent(chatId)}`
      const explained = yield* until("the agent attaches", async () => {
        const text = await (await fetch(url)).text()
        return text.includes("session epoch 1,") ? text : undefined
      })
      assert.include(explained, "Nothing is wrong; the chat has not connected since its workspace was started")
      // Whoever asks the server needs no database of his own.
      const asked = yield* run(["explain", chatId, "--operator-port", server.operatorPort], { env: gone })
      assert.strictEqual(asked.code, 0)
      assert.include(asked.stdout, "session epoch 1,")
      const alone = yield* run(["explain", chatId, "--operator-port", yield* closedPort], { env })
      assert.strictEqual(alone.code, 0)
      assert.include(alone.stdout, "workspace  w1")
      assert.include(alone.stdout, "node       none was asked")

      // Agents have five seconds to move to another node; the one that stays does not hold the server up for longer.
      yield* server.signal("SIGTERM")
      const leaving = yield* until("not ready any more", async () => {
        const response = await fetch(`${server.health}/readyz`)
        return response.status === 503 ? response.json() : undefined
      })
      assert.deepStrictEqual(leaving, { ready: false, reasons: ["this node shuts down"] })
      const { code, stderr } = yield* Effect.timeout(server.ended, "30 seconds")
      assert.deepStrictEqual([code, stderr], [130, ""])
      yield* agent.signal("SIGTERM")
      yield* Effect.timeout(agent.ended, "20 seconds")
    }).pipe(Effect.provide(SqlChatBindings.layer())))

  it.effect("serve: alive and ready, its metrics on the operators' address alone", () =>
    Effect.gen(function*() {
      const server = yield* serve({ env: yield* database })
      assert.deepStrictEqual(yield* get(`${server.health}/healthz`), { status: 200, text: "ok\n" })
      const ready = yield* get(`${server.health}/readyz`)
      assert.deepStrictEqual([ready.status, JSON.parse(ready.text)], [200, { ready: true, reasons: [] }])
      const metrics = yield* until("the first heartbeat", async () => {
        const text = await (await fetch(`${server.operators}/metrics`)).text()
        return /^chat_workspace_gateway_heartbeats_total\{outcome="ok"\} [1-9]/m.test(text) ? text : undefined
      })
      assert.match(metrics, /^chat_workspace_gateway_sessions 0$/m)
      assert.match(metrics, /^chat_workspace_dial_waiters 0$/m)
      for (const path of ["metrics", "explain/chat"]) {
        assert.strictEqual((yield* get(`${server.health}/${path}`)).status, 404)
      }
      const explain = (id: string) => get(`${server.operators}/explain/${encodeURIComponent(id)}`)
      const longest = "€".repeat(128)
      assert.include((yield* explain(longest)).text, `chat       ${longest}`)
      assert.strictEqual((yield* explain("x".repeat(129))).status, 400)
    }))
})

layer(Postgres.freshDatabase(), real)("chat-workspace serve, its database stopped and back", (it) => {
  it.effect("is alive and not ready meanwhile, and says why", () =>
    Effect.gen(function*() {
      const env = yield* database
      const server = yield* serve({ env })
      const name = new URL(env.DATABASE_URL).pathname.slice(1)
      const ready = async () => {
        const response = await fetch(`${server.health}/readyz`)
        return { status: response.status, body: await response.json() }
      }
      yield* Effect.gen(function*() {
        const admin = yield* SqlClient.SqlClient
        yield* admin`alter database ${admin(name)} with allow_connections false`
        yield* admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`
        assert.deepStrictEqual(yield* Effect.promise(ready), {
          status: 503,
          body: { ready: false, reasons: ["the database does not answer"] }
        })
        assert.strictEqual((yield* get(`${server.health}/healthz`)).status, 200)
        yield* admin`alter database ${admin(name)} with allow_connections true`
      }).pipe(Effect.provide(Postgres.client({ url: Postgres.serverUrl(), maxConnections: 1 })))
      yield* until("ready again", async () => (await ready()).status === 200 ? true : undefined)
    }))
})

describe("chat-workspace serve without DATABASE_URL", () => {
  it.live(
    "has a migrated PostgreSQL of its own, which others find and SIGTERM takes away",
    () =>
      Effect.gen(function*() {
        const cwd = yield* folder
        const own = Path.join(cwd, ".chat-workspace", "postgres")
        const server = yield* serve({ cwd })
        assert.strictEqual((yield* get(`${server.health}/readyz`)).status, 200)
        const enrolled = yield* run(["enroll", "w1", "--owner", "ann"], { cwd })
        assert.match(enrolled.stdout, /^cwa1\./)
        const postgres = Number(readFileSync(Path.join(own, "data", "postmaster.pid"), "utf8").split("\n")[0])
        assert.isTrue(isAlive(postgres))
        yield* server.signal("SIGTERM")
        yield* Effect.timeout(server.ended, "30 seconds")
        assert.isFalse(isAlive(postgres), "PostgreSQL outlived the server")
        assert.isFalse(existsSync(Path.join(own, "url")))
        assert.isTrue(existsSync(Path.join(own, "data", "PG_VERSION")), "what was stored is gone")
      }),
    90_000
  )
})

describe("chat-workspace demo", () => {
  it.live("--only --json plays one scenario and prints one document", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run(["demo", "--only", "new-chat", "--json"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      const { ok, scenarios } = JSON.parse(stdout)
      assert.deepStrictEqual([ok, scenarios.length], [true, 1])
      const { millis, timeline, ...rest } = scenarios[0]
      assert.deepStrictEqual(rest, {
        name: "new-chat",
        group: "fine",
        title: "New chat on a running workspace",
        settings: null,
        got: "hello",
        queries: 3,
        dials: 1,
        failures: []
      })
      assert.isAbove(millis, 0)
      assert.deepInclude(timeline.map(({ what }: { readonly what: string }) => what), "dial of agent 1 started")
    }))

  it.live("a scenario that does not go as promised makes exit code 1, and is printed", () =>
    Effect.gen(function*() {
      const program = fileURLToPath(new URL("fixtures/disappointed.ts", import.meta.url))
      const { code, stderr, stdout } = yield* run(["demo", "--only", "new-chat"], { program })
      assert.deepStrictEqual([code, stderr], [1, ""])
      assert.include(stdout, "expected: a miracle")
      assert.include(stdout, "expected at most 0 queries")
      assert.include(stdout, "0 of 1 scenarios as expected")
    }))
})

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
