import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { vi } from "vitest"
import { ChatId, OwnerId } from "../../../src/domain/Ids.ts"
import { ChatBindings } from "../../../src/store/ChatBindings.ts"
import * as SqlChatBindings from "../../../src/store/SqlChatBindings.ts"
import * as Postgres from "../../postgres.ts"
import { assertClear, folder, run, serve, start, until, workingIn } from "../support/commandLine.ts"
import { command, templates } from "../support/templates.ts"

// A process takes half a second to start, and here are up to ten in a test.
vi.setConfig({ testTimeout: 60_000 })

const real = { excludeTestServices: true, timeout: "60 seconds" } as const

/** How processes of a block are started: all in one folder, on one database, with one set of templates. */
class Place extends Context.Service<Place, {
  readonly options: { readonly env: Readonly<Record<string, string>>; readonly cwd: string }
  readonly args: ReadonlyArray<string>
}>()("test/cli/Place") {}

const layerPlace = Layer.effect(
  Place,
  Effect.gen(function*() {
    const { url } = yield* Postgres.TestDatabase
    const path = yield* templates({
      sized: { provider: command("true"), parameters: [{ name: "size", type: "number", max: 8 }] },
      failing: { provider: command("echo one; echo two >&2; exit 3") },
      endless: { provider: command("echo begun; sleep 600", { repeatable: true }) }
    }, { local: true })
    return {
      options: {
        cwd: yield* folder,
        env: { DATABASE_URL: Redacted.value(url), BUILD_POLL: "100 millis", BUILD_RENEW: "500 millis" }
      },
      args: ["--templates", path]
    }
  })
)

const workspace = (...args: ReadonlyArray<string>) =>
  Effect.flatMap(Place, (place) => run(["workspace", ...args, ...place.args], place.options))

const begun = (...args: ReadonlyArray<string>) =>
  Effect.flatMap(Place, (place) => start(["workspace", ...args, ...place.args], place.options))

const serving = Effect.flatMap(Place, ({ args, options }) => serve({ ...options, args }))

layer(layerPlace.pipe(Layer.provideMerge(Postgres.freshDatabase())), real)(
  "chat-workspace workspace, with a server",
  (it) => {
    it.effect("is created for a chat, listed, stopped, started and deleted", () =>
      Effect.gen(function*() {
        yield* serving
        const { cwd } = (yield* Place).options
        const agents = () => workingIn(cwd).length
        const before = agents()

        const created = yield* workspace("create", "local", "--name", "web", "--chat", "chat-1")
        assert.deepStrictEqual([created.code, created.stdout], [0, "web is running.\n"])
        assert.match(created.stderr, /^… start: builds$[^]*^ {2}│ The agent main /m)
        const bindings = yield* ChatBindings
        const { buildId, workspaceId } = yield* bindings.get(ChatId.make("chat-1"))
        assert.isNotNull(buildId)
        const [listed, log, elsewhere] = yield* Effect.all([
          workspace("list"),
          workspace("log", "web"),
          workspace("list", "--owner", "bob")
        ], { concurrency: 3 })
        assert.match(
          listed.stdout,
          new RegExp(`^NAME +TEMPLATE +STATE +ID\nweb +local +running for \\d+ s +${workspaceId}\n$`)
        )
        assert.match(log.stdout, /^The agent main [^\n]+\n$/)
        assert.match(log.stderr, /^— running for \d+ s\n$/)
        assert.include(elsewhere.stdout, "No workspaces.")
        assert.isAbove(agents(), before)

        const stopped = yield* workspace("stop", "WEB")
        assert.deepStrictEqual([stopped.code, stopped.stdout], [0, "web is stopped.\n"])
        assert.strictEqual(agents(), before, "its agent has not ended")
        const started = yield* workspace("start", String(workspaceId))
        assert.deepStrictEqual([started.code, started.stdout], [0, "web is running.\n"])
        const again = yield* workspace("start", "web")
        assert.deepStrictEqual([again.code, again.stdout, again.stderr.includes("│")], [0, "web is running.\n", false])
        const deleted = yield* workspace("delete", "web")
        assert.deepStrictEqual([deleted.code, deleted.stdout], [0, "web is deleted.\n"])
        assert.strictEqual(agents(), before)
        assert.include((yield* workspace("list")).stdout, "No workspaces.")
      }).pipe(Effect.scoped, Effect.provide(SqlChatBindings.layer())))

    it.effect("what cannot be done is said clearly, and nothing is made", () =>
      Effect.gen(function*() {
        yield* serving
        assert.strictEqual((yield* workspace("create", "local", "--name", "web", "--owner", "ann")).code, 0)
        const bindings = yield* ChatBindings
        yield* bindings.bindWorkspace({ chatId: ChatId.make("bobs"), owner: OwnerId.make("bob"), workspaceId: null })
        const refused = yield* Effect.forEach([
          { args: ["create", "unknown"], says: "no template \"unknown\"" },
          { args: ["create", "sized", "--param", "size=huge"], says: "size" },
          { args: ["create", "sized"], says: "size" },
          { args: ["create", "local", "--name", "Web"], says: "named \"Web\"" },
          { args: ["create", "local", "--chat", "bobs"], says: "no such chat" },
          { args: ["stop", "web", "--owner", "bob"], says: "no such workspace" },
          { args: ["log", "nothing"], says: "no such workspace" }
        ], ({ args, says }) =>
          Effect.map(
            workspace(...args, ...(args.includes("--owner") ? [] : ["--owner", "ann"])),
            (ended) => ({ ...ended, says })
          ), { concurrency: 3 })
        for (const { code, says, stderr, stdout } of refused) {
          assert.deepStrictEqual([code, stdout], [1, ""], says)
          assertClear(stderr, says)
        }
        const misnamed = yield* workspace("create", "local", "--name", "my web!")
        assert.strictEqual(misnamed.code, 1)
        assert.include(misnamed.stderr, "--name")
        assert.lengthOf((yield* workspace("list", "--owner", "ann")).stdout.trim().split("\n"), 2)
      }).pipe(Effect.scoped, Effect.provide(SqlChatBindings.layer())))

    it.effect("a build that fails prints its log, and exit code 1", () =>
      Effect.gen(function*() {
        yield* serving
        const { code, stderr, stdout } = yield* workspace("create", "failing", "--name", "never")
        assert.deepStrictEqual([code, stdout], [1, ""])
        assert.match(stderr, /^ {2}│ one$/m)
        assert.match(stderr, /^ {2}│ two$/m)
        assert.match(stderr, /^chat-workspace: never: [^\n]*3[^\n]*$/m)
        assert.match((yield* workspace("list")).stdout, /^never +failing +start failed \d+ s ago \(provider_failed\)/m)
      }).pipe(Effect.scoped))

    it.effect("a server that ends leaves a repeatable build to the next, until it is canceled", () =>
      Effect.gen(function*() {
        const first = yield* serving
        const creating = yield* begun("create", "endless", "--name", "long")
        yield* until("its build runs", () => creating.output().stderr.includes("│ begun") || undefined)
        yield* first.signal("SIGTERM")
        yield* Effect.timeout(first.ended, "15 seconds")
        yield* serving
        yield* until("the other goes on", () => creating.output().stderr.includes("builds, attempt 2") || undefined)

        const following = yield* begun("log", "long")
        yield* until("it is followed", () => following.output().stdout.includes("begun\nbegun\n") || undefined)
        const stopping = yield* begun("stop", "long")
        yield* until("the stop waits", () => stopping.output().stderr.includes("… start: builds") || undefined)
        const canceled = yield* workspace("cancel", "long")
        assert.deepStrictEqual([canceled.code, canceled.stdout], [0, "Its build is being canceled.\n"])
        const [created, followed, stopped] = yield* Effect.timeout(
          Effect.all([creating.ended, following.ended, stopping.ended]),
          "15 seconds"
        )
        assert.deepStrictEqual([stopped.code, stopped.stdout], [0, "long is stopped.\n"])
        assert.include(stopped.stderr, "… stop: ")
        assert.strictEqual(created.code, 1)
        assert.include(created.stderr, "long: The build was canceled.")
        assert.strictEqual(followed.code, 0)
        assert.match(followed.stderr, /^— starting [^\n]+\n— (start canceled|stop)/)
        assert.strictEqual((yield* workspace("cancel", "long")).stdout, "No build of it is under way.\n")
      }).pipe(Effect.scoped))
  }
)

layer(layerPlace.pipe(Layer.provideMerge(Postgres.freshDatabase())), real)(
  "chat-workspace workspace create, without a server",
  (it) => {
    it.effect("says that none takes it, and what becomes of the build when it is left", () =>
      Effect.gen(function*() {
        const creating = yield* begun("create", "local", "--name", "web")
        yield* until("it says so", () => creating.output().stderr.includes("no server takes it") || undefined)
        yield* creating.signal("SIGINT")
        const { code, stderr } = yield* Effect.timeout(creating.ended, "10 seconds")
        assert.strictEqual(code, 130)
        assert.match(stderr, /^What was begun goes on\. Follow it with: chat-workspace workspace log web\n$/m)
        assert.match((yield* workspace("list")).stdout, /^web +local +starting \(waits for \d+ s\)/m)

        // Not for ever: to stop it, this build would have to end first.
        const { args, options } = yield* Place
        const env = { ...options.env, BUILD_LIMIT: "1 second" }
        const stopped = yield* run(["workspace", "stop", "web", ...args], { ...options, env })
        assert.strictEqual(stopped.code, 1)
        assert.match(stopped.stderr, /^chat-workspace: web: No runner took the build within 1s\.$/m)
      }).pipe(Effect.scoped))
  }
)

describe("chat-workspace workspace, without a database", () => {
  it.live("starts none, and says what would", () =>
    Effect.gen(function*() {
      const cwd = yield* folder
      const { code, stderr } = yield* run(["workspace", "create", "local"], { cwd })
      assert.strictEqual(code, 1)
      assertClear(stderr, "chat-workspace serve", "DATABASE_URL")
    }))
})
