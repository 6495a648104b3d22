/** `chat-workspace chat` as a process, before a server in this one, whose model plays a script. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { ChatId } from "../../../src/domain/Ids.ts"
import * as ApiRoutes from "../../../src/http/ApiRoutes.ts"
import { Chats } from "../../../src/store/Chats.ts"
import { ScriptedModel, TestWorkspaces } from "../../../src/testing/index.ts"
import { Turns } from "../../../src/turn/Turns.ts"
import { ann, bob, listening } from "../../http/support/requests.ts"
import * as World from "../../http/support/world.ts"
import { assertClear, run, start } from "../support/commandLine.ts"

const alone = { timeout: 120_000 }

/** The arguments and the environment that name the server. */
const serving = Effect.map(listening(ApiRoutes.layer({ prefix: "/api" })), (base) => {
  const env = { API_URL: `${base}/api/`, API_TOKEN: ann }
  return { base, env }
})

const { call, hang, say } = ScriptedModel

describe("chat-workspace chat", () => {
  it.live("says what the model says on standard output, and what it does beside it", () =>
    Effect.gen(function*() {
      const world = yield* TestWorkspaces.TestWorkspaces
      yield* world.running(World.c)
      yield* world.onExecute(() => Effect.succeed({ stdout: "a.txt\nb.txt\n" }))
      const { env } = yield* serving
      const { code, stderr, stdout } = yield* run(["chat", "--chat", World.c, "what", "is", "here?"], { env })
      assert.deepStrictEqual([code, stdout], [0, "Two files.\n"])
      assert.strictEqual(stderr, "→ execute ls\n  │ a.txt\n  │ b.txt\n")
      const [asked] = (yield* ScriptedModel.ScriptedModel).requests()
      assert.include(JSON.stringify(asked?.prompt), "what is here?")
    }).pipe(World.provide([call("execute", { command: "ls" }), say("Two files.")])), alone)

  it.live("makes a chat where none is named, and says how to go on in it", () =>
    Effect.gen(function*() {
      const { env } = yield* serving
      const first = yield* run(["chat", "Hello"], { env })
      assert.deepStrictEqual([first.code, first.stdout], [0, "Hi.\n"])
      const chatId = /chat-workspace chat --chat (\S+)\n/.exec(first.stderr)?.[1] ?? ""
      const second = yield* run(["chat", "--chat", chatId, "Again"], { env })
      assert.deepStrictEqual([second.code, second.stdout, second.stderr], [0, "Hi again.\n", ""])
      const requests = (yield* ScriptedModel.ScriptedModel).requests()
      assert.include(JSON.stringify(requests[1]?.prompt), "Hello")
    }).pipe(World.provide([say("Hi."), say("Hi again.")])), alone)

  it.live("takes each line of its input for a message, one after the other", () =>
    Effect.gen(function*() {
      const { env } = yield* serving
      const { code, stderr, stdout } = yield* run(["chat", "--chat", "lines"], { env, input: "one\n\n  \ntwo" })
      assert.deepStrictEqual([code, stdout, stderr], [0, "First.\nSecond.\n", ""])
    }).pipe(World.provide([say("First."), say("Second.")])), alone)

  it.live("Ctrl-C interrupts the turn and waits for its end; the chat is free then", () =>
    Effect.gen(function*() {
      const { env } = yield* serving
      const chatting = yield* start(["chat", "--chat", World.c, "Think"], { env })
      yield* (yield* ScriptedModel.ScriptedModel).untilAsked(1)
      yield* chatting.signal("SIGINT")
      const { code, stderr } = yield* Effect.timeout(chatting.ended, "30 seconds")
      assert.deepStrictEqual([code, stderr.trim()], [130, "Interrupts the turn; once more leaves it alone."])
      const again = yield* run(["chat", "--chat", World.c, "And now?"], { env })
      assert.deepStrictEqual([again.code, again.stdout], [0, "Yes.\n"])
    }).pipe(World.provide([hang, say("Yes.")])), alone)

  it.live("a second Ctrl-C leaves; a turn that does not end goes on without it", () =>
    Effect.gen(function*() {
      const turns = yield* Turns
      const asked = yield* Deferred.make<void>()
      // As from a server that is slow to hear of it.
      const deaf = Layer.succeed(Turns, {
        ...turns,
        interrupt: () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
      })
      const base = yield* listening(Layer.provide(ApiRoutes.layer({ prefix: "/api" }), deaf))
      const chatting = yield* start(["chat", "--chat", World.c, "Think"], {
        env: { API_URL: `${base}/api`, API_TOKEN: ann }
      })
      yield* (yield* ScriptedModel.ScriptedModel).untilAsked(1)
      yield* chatting.signal("SIGINT")
      yield* Deferred.await(asked)
      yield* chatting.signal("SIGINT")
      const { code } = yield* Effect.timeout(chatting.ended, "30 seconds")
      assert.strictEqual(code, 130)
      assert.deepStrictEqual(turns.running().map(({ turn }) => turn.chatId), [World.c])
    }).pipe(World.provide([hang])), alone)

  it.live("a turn that fails is said, and is exit code 1", () =>
    Effect.gen(function*() {
      const { env } = yield* serving
      const { code, stderr, stdout } = yield* run(["chat", "--chat", World.c, "Think"], { env })
      assert.deepStrictEqual([code, stdout], [1, ""])
      assertClear(stderr, "The turn is failed: something is broken in the server.", "explain")
    }).pipe(World.provide([() => Effect.die("broken")])), alone)

  it.live(
    "says what is missing: the server, the API at that address, the right token, a token at all, the chat",
    () =>
      Effect.gen(function*() {
        yield* Effect.flatMap(Chats, (chats) => chats.create({ chatId: ChatId.make("foreign"), owner: bob }))
        const { base, env } = yield* serving
        const refused = (env: Readonly<Record<string, string>>, chat = "c") =>
          run(["chat", "--chat", chat, "Hello"], { env })
        const [nobody, elsewhere, stranger, tokenless, foreign] = yield* Effect.all([
          refused({ ...env, API_URL: "http://127.0.0.1:1/api" }),
          refused({ ...env, API_URL: base }),
          refused({ ...env, API_TOKEN: "wrong-hunter2" }),
          refused({ API_URL: env.API_URL }),
          refused(env, "foreign")
        ], { concurrency: 2 })
        assertClear(nobody.stderr, "nobody answers", "chat-workspace serve")
        assertClear(elsewhere.stderr, "status 404", "--url")
        assertClear(stranger.stderr, "no valid token", "API_TOKEN")
        assertClear(tokenless.stderr, ".chat-workspace/token", "API_TOKEN")
        assertClear(foreign.stderr, "no such chat")
        for (const { code, stdout } of [nobody, elsewhere, stranger, tokenless, foreign]) {
          assert.deepStrictEqual([code, stdout], [1, ""])
        }
      }).pipe(World.provide([])),
    alone
  )

  it.live("a chat that still answers another message is said", () =>
    Effect.gen(function*() {
      const { env } = yield* serving
      yield* start(["chat", "--chat", World.c, "Think"], { env })
      yield* (yield* ScriptedModel.ScriptedModel).untilAsked(1)
      const { code, stderr } = yield* run(["chat", "--chat", World.c, "Hello"], { env })
      assert.strictEqual(code, 1)
      assertClear(stderr, "still answers an earlier message", "--chat")
    }).pipe(World.provide([hang])), alone)
})
