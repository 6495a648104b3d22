import { assert, layer } from "@effect/vitest"
import { ObedientModel } from "chat-workspace/testing"
import { ConfigProvider, Context, Effect, Layer, Redacted } from "effect"
import { AppLive } from "../../examples/everything.ts"
import { closedPort, folder } from "../cli/support/commandLine.ts"
import { eventsOf } from "../http/support/streams.ts"
import { emptyDatabase, TestDatabase } from "../postgres.ts"

class Address extends Context.Service<Address, string>()("test/Address") {}

/** The environment that the application reads. */
const EnvironmentLive = Layer.unwrap(Effect.gen(function*() {
  const { url } = yield* TestDatabase
  const port = yield* closedPort
  return Layer.merge(
    ConfigProvider.layer(ConfigProvider.fromUnknown({
      DATABASE_URL: Redacted.value(url),
      PORT: port,
      WORKSPACES: yield* folder,
      API_TOKEN: "a token"
    })),
    Layer.succeed(Address, `http://127.0.0.1:${port}/api`)
  )
}))

/** Instead of a model: each message is a command. */
const ModelLive = ObedientModel.layer({ wish: (message) => ({ name: "execute", args: { command: message } }) })

const StandLive = AppLive.pipe(
  Layer.provide(ModelLive),
  Layer.provideMerge(EnvironmentLive),
  Layer.provide(emptyDatabase())
)

layer(StandLive, { timeout: 60_000, excludeTestServices: true })("an application that takes everything", (it) => {
  it.effect("makes a workspace for a message of a new chat, and runs a command in it", () =>
    Effect.gen(function*() {
      const address = yield* Address
      const ask = (path: string, body?: unknown, token = "a token") =>
        Effect.promise(() =>
          fetch(`${address}${path}`, {
            headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
            ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) })
          })
        )
      assert.strictEqual((yield* ask("/chats", { chatId: "c" }, "another")).status, 401)
      assert.strictEqual((yield* ask("/chats", { chatId: "c" })).status, 201)
      const told = yield* ask("/chats/c/messages", { messageId: "m", text: "echo $((6 * 7))" })
      const events = eventsOf(yield* Effect.promise(() => told.text()))
      assert.deepStrictEqual(events.at(-1)?.data, { _tag: "End", status: "done", reason: null })
      assert.include(JSON.stringify(events), "\"output\":\"42\\n\"")
      assert.strictEqual((yield* ask("/docs")).status, 200)
    }), 60_000)
})
